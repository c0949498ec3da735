"""Fill metrics: pandas in, pandas out. Definitions, signs and units: `terms.md`, Fill metrics.

``fills`` have a UTC index (or a column ``ts_ns``) and the columns ``side`` ("bid": we bought, "ask": we sold),
``price``, ``size`` and ``fee``; ``quotes`` are as from ``feed.quotes()``. Undefined is NaN.
"""

from mmlab.metrics.bands import markout_bands, mean_band, median_band
from mmlab.metrics.fills import fill_rate, flips, inventory_age, markouts, rolling_markout
from mmlab.metrics.pnl import pnl_per_million
from mmlab.metrics.reporting import participation, time_weighted_rate

__all__ = [
    "fill_rate",
    "flips",
    "inventory_age",
    "markout_bands",
    "markouts",
    "mean_band",
    "median_band",
    "participation",
    "pnl_per_million",
    "rolling_markout",
    "time_weighted_rate",
]
