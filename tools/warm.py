"""Compile what a first run needs: a replay of the sample and its summary, and a minute on the paper venue."""

import math
import tempfile
from pathlib import Path

import mmlab

feed = mmlab.load_feed(Path(__file__).parents[1] / "data" / "sample.parquet")
mmlab.backtest(feed, mmlab.Config()).summary  # noqa: B018  reading it works it out
with tempfile.TemporaryDirectory() as folder:
    mmlab.Session(feed=feed, speed=math.inf, out=f"{folder}/run").run(duration_s=60.0)
