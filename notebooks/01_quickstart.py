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
# # Quickstart
#
# Load recorded ticks, look at them, let a market maker trade them in a replay, and read why it earned or lost. It takes
# about a minute the first time, when Numba compiles, and seconds after that.

# %%
from pathlib import Path
from tempfile import mkdtemp

from bokeh.io import output_notebook, show
from bokeh.resources import INLINE

import mmlab
from mmlab.lab.demo import SAMPLE

output_notebook(INLINE, hide_banner=True)  # Bokeh is in the page: no network needed

# %% tags=["parameters"]
feed_path = ""  # a feed file, as made by `mmlab import`; empty: the synthetic sample that comes with mmlab
latency_ms = 5.0  # one way
queue = "risk_averse"  # or "power", "log"; "l3" for order-by-order feeds
half_spread_ticks = 2.0  # of the quoter written below
out = ""  # folder for the run directory; empty: a temporary one

# %% [markdown]
# ## Load and look
#
# A `Feed` is one recording of one market: depth changes, trades, gaps. It knows what was met on import.

# %%
feed = mmlab.load_feed(feed_path or SAMPLE)
feed.describe()

# %%
quotes = feed.quotes()  # one row a change of the best quotes, exchange time
quotes.tail(3)

# %%
feed.trades().tail(3)

# %% [markdown]
# ## Trade it
#
# `Config()` works on any feed as it is: order size from the market's minimum, volatility and fill intensity from the
# warm-up at the start of the feed, in which nothing is quoted. The replay keeps two clocks (the exchange's and ours),
# the place of our orders in the queue, latency, partial fills and fees.

# %%
config = mmlab.Config()
latency = mmlab.Latency(entry_ms=latency_ms, response_ms=latency_ms)
run = mmlab.backtest(feed, config, latency=latency, queue=queue, name="quickstart")
run

# %%
show(run.plot())

# %% [markdown]
# ## Read the metrics
#
# **Markout**: what a fill is worth a moment later, in basis points, before fees. Positive is money made. It splits into
# the spread we captured and the move against us: `markout = spread_capture + adverse`.

# %%
columns = ["side", "price", "size", "liquidity", "fill_kind", "inventory_after", "spread_capture_bps", "adverse_1s_bps"]
run.fills[[*columns, "markout_1s_bps"]].tail(5)

# %%
mmlab.metrics.markout_bands(run.fills)[["mean_bps", "mean_low_bps", "mean_high_bps", "median_bps", "n", "note"]]

# %% [markdown]
# The same functions work on anybody's fills, for example your own from another system: a UTC index, `side`, `price`,
# `size`, `fee`.

# %%
own = run.fills[["side", "price", "size", "fee"]]
mmlab.rolling_markout(own, quotes).tail(3)

# %%
mmlab.inventory_age(own, max_position=run.summary["max_position"] or 1.0).describe()

# %% [markdown]
# Everything of a run in one Series, and what the gates and kill switches did:

# %%
run.summary.to_frame("run")

# %%
run.gates.groupby(["switch", "action"]).size().rename("times").to_frame()

# %% [markdown]
# ## What if?
#
# The same ticks with other parameters. A second run on a feed is quick, since its book is worked out already.

# %%
wider = mmlab.what_if(run, config.with_(**{"strategy.min_spread_bps": 2.0, "gates.flip.mode": "widen"}))
run.compare(wider).loc[["net_pnl", "fills", "volume", "pnl_per_million", "spread_capture_bps", "adverse_1s_bps"]]

# %% [markdown]
# ## Your own quoter
#
# A quoter is a function: market, metrics, position and parameters in; quotes out, best first a side. Numba compiles it.
# Ladder, gates, kill switches, metrics and reports work with it unchanged. This one quotes a fixed distance from the
# micro price and leans against its inventory by a tick an order.


# %%
@mmlab.quoter(half_spread_ticks=half_spread_ticks)
def lean(market, metrics, position_lots, params, out):
    """Fixed half-spread about the micro price, moved by a tick for each order held."""
    centre = market.micro - position_lots / params.quoting.order_lots * market.tick_size
    for i in range(2):
        side = 1 - 2 * i  # +1 bid, -1 ask
        out[i].side = side
        out[i].price = centre - side * params.user[0] * market.tick_size
        out[i].size_lots = params.quoting.order_lots
    return 2


mine = mmlab.backtest(feed, config, latency=latency, queue=queue, strategy=lean, name="lean")
mine

# %% [markdown]
# ## Keep it
#
# A run directory holds everything; a report is one HTML file that needs nothing else. It also says whether the result
# holds with another queue model, latency or fee.

# %%
folder = run.save(Path(out or mkdtemp()) / "quickstart")
sorted(path.name for path in folder.iterdir())

# %%
mmlab.load_run(folder).fills.equals(run.fills)

# %%
run.report(folder / "report.html")

# %%
run.sensitivity[["net_pnl", "change", "fills", "flips"]]

# %% [markdown]
# In a batch (`mmlab batch notebooks/01_quickstart.ipynb --grid config/batch_grid.toml --out DIR`) these figures make
# a row of its table:

# %%
mmlab.record(run.summary[["net_pnl", "pnl_per_million", "fills", "markout_bid_bps", "markout_ask_bps"]])
