"""Compile what a first run needs: a replay of the sample, its summary, a small sweep, a minute on the paper venue."""

import math
import tempfile
from pathlib import Path

import mmlab


def main() -> None:
    feed = mmlab.load_feed(Path(__file__).parents[1] / "data" / "sample.parquet")
    mmlab.backtest(feed, mmlab.Config()).summary  # noqa: B018  reading it works it out
    mmlab.sweep(feed, None, {"ladder.hysteresis": [0.04, 0.05]}, folds=3, workers=2)
    with tempfile.TemporaryDirectory() as folder:
        mmlab.Session(feed=feed, speed=math.inf, out=f"{folder}/run").run(duration_s=60.0)


if __name__ == "__main__":  # processes of the sweep import this file
    main()
