# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#       jupytext_version: 1.19.6
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Sweeps, and how far to believe them
#
# `mmlab.sweep` backtests every point of a grid and gives one table. It is as easy to find a good point as it is to be
# fooled by it, so the second half looks at the chosen point on data that did not choose it. `docs/sweeps.md` has the
# details, and how to use a cluster.

# %%
from bokeh.io import output_notebook, show
from bokeh.resources import INLINE

import mmlab
from mmlab.lab.demo import sample_feed
from mmlab.lab.study.figures import fold_picture, heat_map

output_notebook(INLINE, hide_banner=True)  # Bokeh is in the page: no network needed

# %% tags=["parameters"]
feed_path = ""  # a feed file, as made by `mmlab import`; empty: the synthetic sample that comes with mmlab
minutes = 10.0  # how much of the feed is traded
folds = 4  # walk-forward folds
by = "pnl_per_million"  # what a point is chosen by; or "net_pnl_quote"
out = ""  # folder of the study, where finished points are stored as they come; empty: none

# %% [markdown]
# ## A grid
#
# Two questions of a market maker: how wide at least (`min_spread_bps`), and how hard to lean against inventory
# (`reservation_ticks`: how far one order moves the price around which we quote). A wrong name or value is refused
# before anything runs.

# %%
import pandas as pd

feed = mmlab.load_feed(feed_path) if feed_path else sample_feed()
start = feed.quotes(clock="local").index[0]
feed = feed[start : start + pd.Timedelta(minutes=minutes)]
spread, lean = "strategy.min_spread_bps", "strategy.reservation_ticks"
grid = {lean: [0.1, 0.25, 0.5, 1.0, 2.0, 4.0], spread: [0.05, 0.2, 0.4, 0.6, 0.8, 1.0]}
print(feed)

# %%
try:
    mmlab.sweep(feed, None, {"strategy.min_spread": [0.1], "ladder.hysteresis": [0.05, 0.7]})
except mmlab.ConfigError as error:
    print(error)

# %% [markdown]
# ## The table
#
# One row a point: parameters, the figures of `run.summary`, and with `folds` columns in and out of sample with their
# bands. Points run in processes of their own where that is worth while; the table does not depend on it.

# %%
table = mmlab.sweep(feed, None, grid, folds=folds, out=out or None)
columns = [lean, spread, "net_pnl", "pnl_per_million", "fills", "markout_bid_bps", "markout_ask_bps", "max_position"]
table.nlargest(8, "pnl_per_million")[columns].round(3)

# %%
best = table["pnl_per_million"].idxmax()
show(heat_map(table, spread, lean, chosen=best, title="P&L per million traded, whole feed; the best point is framed"))

# %%
show(heat_map(table, spread, lean, "fills", chosen=best, title="Fills: what those figures rest on"))

# %% [markdown]
# ## The best point
#
# It looks good, as the best of many always does. `configurations_tried` says how many there were; hand it on to the run
# and its report says so too.

# %%
config = mmlab.Config().with_(**{name: table.loc[best, name] for name in table.attrs["parameters"]})
run = mmlab.backtest(feed, config, name="best of sweep")
run.info.configurations_tried = table.attrs["configurations_tried"]
run.info.configurations_tried, run

# %% [markdown]
# ## Out of sample
#
# The time is cut into blocks. In each fold the point is chosen on all blocks before, and then shown on the next one, of
# which the choice knew nothing. `rank` is the share of all points that the chosen one beat there: 0.5 is what drawing
# lots would give. `best` is what hindsight would have taken.

# %%
walk = mmlab.walk_forward(table, by)
walk.round(3)

# %%
show(fold_picture(walk, {"pnl_per_million": "P&L per million", "net_pnl_quote": "net P&L a block"}[by]))

# %% [markdown]
# Hollow: what the chosen point had earned when it was chosen. Full: what it earned then. The bar at "mean" is the 95 %
# band of the mean over folds.

# %%
mean = walk.loc["mean"]
lost = mean["in_sample"] - mean["out_of_sample"]
print(f"chosen among {walk.attrs['configurations_tried']} configurations, by {by}")
print(f"in sample     {mean['in_sample']:8.2f}")
print(f"out of sample {mean['out_of_sample']:8.2f}   95 % band {mean['low']:.2f} to {mean['high']:.2f}")
print(f"kept {1 - lost / mean['in_sample']:.0%} of what it promised; it beat {mean['rank']:.0%} of all points")

# %% [markdown]
# ## The lesson
#
# - **The best figure of a grid is not what that point will earn.** It is the largest of many noisy figures, and the
#   more points one tries the larger it gets. What counts is the out-of-sample line, with its band.
# - **A ratio rests on its fills.** The widest spreads have the finest P&L per million and a handful of fills; look at
#   both maps, and at `net_pnl_quote`.
# - **Prefer a plateau to a peak**: a point whose neighbours are good too.
# - **A band that holds zero says nothing is known yet.** A few folds of a few minutes are not a study; a few days are.
#   The sample is synthetic besides: its market does not learn.

# %%
mmlab.record(
    configurations_tried=walk.attrs["configurations_tried"],
    in_sample=mean["in_sample"],
    out_of_sample=mean["out_of_sample"],
    low=mean["low"],
    high=mean["high"],
    rank=mean["rank"],
)
