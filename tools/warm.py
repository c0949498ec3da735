"""Compile what a first run needs: one replay of the sample, and its summary."""

from pathlib import Path

import mmlab

feed = mmlab.load_feed(Path(__file__).parents[1] / "data" / "sample.parquet")
mmlab.backtest(feed, mmlab.Config()).summary  # noqa: B018  reading it works it out
