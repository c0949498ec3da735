"""`Run`: what a backtest, a what-if, or a loaded run directory gives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from mmlab.errors import FeedError, SessionError
from mmlab.feeds.feed import Feed
from mmlab.feeds.store import load_feed
from mmlab.instrument import Instrument
from mmlab.lab.compare import compare
from mmlab.lab.feed_facts import events_sha256
from mmlab.lab.record import Record
from mmlab.lab.summary import summarise
from mmlab.telemetry.info import RUNNING, folder_name
from mmlab.telemetry.inputs import FEED, INPUTS, KERNEL, MARKET, market_events, read_inputs
from mmlab.telemetry.run_directory import Stored, read_run, store_summary, write_run

if TYPE_CHECKING:
    from bokeh.models import LayoutDOM

Rerun = Callable[..., "Run"]


class Run(Record):
    """One run: its tables, its figures, its files.

    Parameters
    ----------
    config, feed, instrument, tables, info, markouts
        See `Record`.
    rerun : callable, optional
        ``rerun(run, **changes) -> Run``: the same run with changes (`mmlab.lab.sensitivity.VARIANTS`), for the
        sensitivity of a report.
    directory : Path, optional
        Where it was saved.
    """

    def __init__(self, *args: Any, rerun: Rerun | None = None, directory: Path | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.rerun, self.directory = rerun, directory

    @cached_property
    def summary(self) -> pd.Series:
        """Figures of the whole run (`mmlab.lab.summary.summarise`)."""
        figures = summarise(self)
        if self.directory is not None and self.info.ended != RUNNING:
            store_summary(self.directory, figures.to_dict())
        return figures

    def save(self, path: str | Path | None = None) -> Path:
        """Write the run directory, whole or not at all.

        Parameters
        ----------
        path : str or Path, optional
            The directory to make; default ``runs/<UTC start>-<name>``.

        Returns
        -------
        Path
            The directory. It names the feed's file and hash; a feed without a file is stored in it.

        Raises
        ------
        SessionError
            The directory exists and is not empty, or cannot be written.
        """
        path = Path("runs") / folder_name(self.info) if path is None else Path(path)
        feed = self.feed
        kept = feed.path is not None and feed.path.is_file()
        inputs = {
            "what": FEED if self.info.mode == "replay" else MARKET,
            "feed": str(feed.path) if kept else INPUTS,
            "events": len(feed),
            "sha256": events_sha256(feed.events),
        }
        info = replace(self.info, feed=self.facts)
        stored = Stored(
            self.config, info, self.instrument.to_dict(), inputs, self.tables, self.markouts, self.summary.to_dict()
        )
        here = feed.path
        write_run(path, stored, None if kept else feed.save)
        feed.path = here  # not the copy: it goes with this run's directory
        self.directory = path
        return path

    @cached_property
    def sensitivity(self) -> pd.DataFrame:
        """Net P&L with other queue models, latencies and fees (`mmlab.lab.sensitivity.sensitivity`).

        Raises
        ------
        SessionError
            The run cannot be repeated.
        """
        from mmlab.lab.sensitivity import sensitivity

        return sensitivity(self)

    def report(self, path: str | Path | None = None, *, sensitivity: bool = True) -> Path:
        """Write the tear sheet: one HTML file that needs nothing else.

        Parameters
        ----------
        path : str or Path, optional
            The file; default ``report.html`` in the run directory, or here.
        sensitivity : bool
            Run the variations (queue model, latency, fee) that tell whether net P&L is robust.
        """
        from mmlab.lab.report import write_report

        path = (self.directory or Path()) / "report.html" if path is None else Path(path)
        return write_report(self, path, sensitivity=sensitivity)

    def plot(self) -> LayoutDOM:
        """Price with quotes and fills, position and net P&L, as a Bokeh layout for a cell."""
        from mmlab.lab.report import overview

        return overview(self)

    def compare(self, other: Run) -> pd.DataFrame:
        """Summaries and changed parameters of two runs, side by side: columns ``this, other, change``."""
        return compare(self, other)

    def __repr__(self) -> str:
        figures = self.summary
        return (
            f"Run({self.instrument.symbol!r}, {self.info.mode}, {figures['fills']} fills,"
            f" net {figures['net_pnl']:.6g}, {figures['pnl_per_million']:.4g} per million)"
        )

    def _repr_html_(self) -> str:
        from mmlab.lab.report import summary_html

        return summary_html(self)


def load_run(path: str | Path, rerun: Rerun | None = None) -> Run:
    """Read a run directory; its feed is loaded when it is first asked for.

    Of a paper or live run the feed is the market as it was heard. A run that is still going gives what is there so far.

    Raises
    ------
    SessionError
        The directory is absent, cut short or damaged: which file, and what to do.
    """
    path = Path(path)
    stored = read_run(path)
    return Run(
        stored.config,
        lambda: _load_inputs(path, stored),
        Instrument(**stored.instrument),
        stored.tables,
        stored.info,
        markouts=stored.markouts,
        rerun=rerun,
        directory=path,
    )


def _load_inputs(path: Path, stored: Stored) -> Feed:
    inputs = stored.inputs
    if inputs["what"] == KERNEL:
        return _heard(path, stored)
    file = path / inputs["feed"]  # an absolute path stays as it is
    try:
        feed = load_feed(file)
    except FeedError as error:
        raise SessionError(f"{path}: its feed cannot be read: {error}") from None
    if len(feed) != inputs["events"] or events_sha256(feed.events) != inputs["sha256"]:
        raise SessionError(f"{path}: {file} no longer holds the events that this run used: run again on it")
    return feed


def _heard(path: Path, stored: Stored) -> Feed:
    """The market as a paper or live run heard it."""
    events = market_events(read_inputs(path, stored.inputs))
    info = stored.info
    source, market = f"{info.mode} run {folder_name(info)} on {info.venue}", info.market
    note = f"heard by a {info.mode} run" + (f" of the feed {market['source']!r}" if market.get("source") else "")
    report = {"synthetic": bool(market.get("synthetic", False)), "notes": [note]}
    try:
        return Feed(Instrument(**stored.instrument), events, source, report)
    except FeedError as error:
        raise SessionError(f"{path}: its inputs are no feed: {error}") from None
