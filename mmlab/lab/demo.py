"""The demo: trade the sample, or a feed of your own, and leave a run directory."""

from __future__ import annotations

from pathlib import Path

import mmlab
from mmlab.feeds.feed import Feed
from mmlab.feeds.store import load_feed
from mmlab.lab.backtesting import backtest
from mmlab.lab.run import Run

SAMPLE = Path(mmlab.__file__).parents[1] / "data" / "sample.parquet"
SAMPLE_S = 1800.0


def sample_feed() -> Feed:
    """The synthetic half hour that comes with the source; made anew where it is not there (an installed wheel)."""
    if SAMPLE.is_file():
        return load_feed(SAMPLE)
    from mmlab.feeds.synthetic import synthetic_feed

    return synthetic_feed(duration_s=SAMPLE_S)


def run_demo(feed: str | Path | None = None, out: str | Path | None = None) -> Run:
    """Trade a feed with the default config and save the run.

    Parameters
    ----------
    feed : path, optional
        A feed file; default the synthetic sample.
    out : path, optional
        The run directory to make; default ``runs/<UTC start>-demo``.

    Returns
    -------
    Run
    """
    run = backtest(sample_feed() if feed is None else load_feed(feed), name="demo")
    run.save(out)
    return run
