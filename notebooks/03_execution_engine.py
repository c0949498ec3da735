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
# # The execution engine
#
# A `Session` is the engine that trades paper and live: market rows go in, decisions come out, an order manager turns
# them into transactions, and everything is written down. Here it trades on a simulated exchange. `docs/engine.md` has
# the drawing; this notebook drives it, steers it, and breaks things on purpose.

# %%
import asyncio
import math
from pathlib import Path
from tempfile import mkdtemp

import pandas as pd
from bokeh.io import output_notebook, show
from bokeh.plotting import figure
from bokeh.resources import INLINE

import mmlab
from mmlab.lab.demo import SAMPLE

output_notebook(INLINE, hide_banner=True)  # Bokeh is in the page: no network needed

# %% tags=["parameters"]
feed_path = ""  # a feed file; empty: the synthetic sample that comes with mmlab
minutes = 4.0  # how much of the feed is traded
speed = 10.0  # times as fast as recorded, where a session runs beside other cells
seed = 0  # of sessions and faults

# %%
whole = mmlab.load_feed(feed_path or SAMPLE)
start = whole.quotes("local").index[0]
feed = whole[start : start + pd.Timedelta(minutes=minutes)]
config = mmlab.Config().with_(**{"strategy.warmup_s": 30})
folder = Path(mkdtemp())
feed.describe()

# %% [markdown]
# ## To the end
#
# With `speed=math.inf` time jumps from one event to the next: as fast as the machine can, and the same way every time.
# `await session.run()` gives the same kind of `Run` as a backtest, read from its run directory.

# %%
session = mmlab.Session(config, feed=feed, speed=math.inf, seed=seed, name="calm", out=folder / "calm")
run = await session.run()
run

# %%
run.fills[["side", "price", "size", "liquidity", "inventory_after", "markout_1s_bps"]].tail(5)

# %% [markdown]
# How long each stage took on this machine, in microseconds of real time: a decision, the order manager, signing, and
# **total**, from market rows in hand to a payload with the sender.

# %%
pd.DataFrame(session.state()["latency_us"]).T.round(0)

# %% [markdown]
# ## Beside other cells
#
# At a finite speed a session can run as a task while you look at it and steer it.

# %%
live = mmlab.Session(config, feed=feed, speed=speed, seed=seed, name="beside", out=folder / "beside")
task = asyncio.create_task(live.run())


async def passes(seconds: float) -> None:
    """Let some of the feed's time pass."""
    await asyncio.sleep(seconds / speed)


await passes(45)  # the first 30 s are the warm-up, in which nothing is quoted
live

# %% [markdown]
# An order is **pending** until the venue says that it rests, then **live**. Its `slot` (side, rung, A or B) and
# `version` are in its id, so a late report about an older one never closes a newer one.

# %%
live.orders()

# %%
await passes(5)
live.orders()

# %% [markdown]
# Parameters change between two decisions: all of them, or none.

# %%
version = live.update({"strategy.min_spread_bps": 3.0, "ladder.offset_ticks": [2, 4, 6, 9]})
await passes(5)
version, live.state()["parameter_version"], live.orders()[["side", "price", "state"]]

# %%
try:
    live.update({"strategy.min_spread_bps": -1, "ladder.hysteresis": 7})
except mmlab.ConfigError as error:
    print(error)

# %% [markdown]
# `kill` forbids placing first and cancels second; it reads *halted* only once a full view of the account has shown that
# nothing of ours is left. It stays so until `rearm`.

# %%
live.kill("looking around")
at_once = live.state()["trading"]
await passes(10)
at_once, live.state()["trading"], live.state()["why"], len(live.orders())

# %%
live.rearm()
await passes(10)
live

# %% [markdown]
# `flatten` leaves the position in reduce-only slices, quotes withdrawn meanwhile. Awaited, it says how many lots are
# left. First some position, with the spread as it was:

# %%
live.update({"strategy.min_spread_bps": None})
for _ in range(90):
    if live.state()["position"]:
        break
    await passes(1)
before = live.state()["position"]
left = await live.flatten()
before, left

# %%
live.stop()
beside = await task
beside.info.ended, beside.gates[["switch", "action"]].tail(4)

# %% [markdown]
# ## When things go wrong
#
# A `FaultPlan` says what goes wrong and how often: here lost transactions, lost replies, lost account messages,
# refusals and cut connections.

# %%
faults = mmlab.FaultPlan(
    lose_send=0.02, drop_ack=0.05, drop_update=0.05, rejects={9: 0.03}, disconnects_per_min=1, seed=seed
)
faulty = mmlab.Session(
    config, feed=feed, speed=math.inf, seed=seed, faults=faults, name="faulty", out=folder / "faulty"
)  # fmt: skip
hurt = await faulty.run()
hurt

# %% [markdown]
# What the order manager met and settled. A `timeout`, an `unclear` answer or a lost link ends nothing: the order
# becomes **unknown**, and a full view of the account decides. `missed_fill`: a trade that only the view told of;
# `lost`: an order that never arrived; `gone`: one that was over without a word.

# %%
faulty.anomalies().to_frame()

# %%
orders = hurt.orders
orders["next"] = orders.groupby("client_order_id")["state"].shift(-1)
orders["for_s"] = -orders.groupby("client_order_id")["local_ns"].diff(-1) / 1e9
doubts = orders[orders["state"] == "unknown"]
doubts.groupby("next")["for_s"].agg(["count", "median", "max"]).rename_axis("unknown became")

# %% [markdown]
# Our position by the fills, and as the venue's last full view has it: were a fill lost for good, they would differ.

# %%
signed = hurt.fills["size"] * hurt.fills["side"].map({"bid": 1.0, "ask": -1.0})
round(float(signed.sum()), 9), round(faulty.state()["position"], 9)

# %% [markdown]
# The life of one order that was in doubt:

# %%
lives = orders[orders["client_order_id"].isin(doubts["client_order_id"])].groupby("client_order_id")
if len(doubts):
    shortest = lives.size().idxmin()
    life = lives.get_group(shortest).head(30)
    elapsed_s = (life["local_ns"] - life["local_ns"].iloc[0]) / 1e9
    states = list(dict.fromkeys(life["state"]))
    picture = figure(
        title=f"Order {shortest}: {life['side'].iloc[0]} {life['size'].iloc[0]:g} at {life['price'].iloc[0]:g}",
        y_range=states, height=260, width=850, x_axis_label="seconds since it was signed",
    )  # fmt: skip
    picture.step(elapsed_s, life["state"], mode="after")
    colors = ["firebrick" if state == "unknown" else "steelblue" for state in life["state"]]
    picture.scatter(elapsed_s, life["state"], size=9, color=colors)
    show(picture)

# %% [markdown]
# ## Nothing is hidden
#
# Every input of the decision kernel was recorded in the order consumed. Fed to a fresh kernel they give the same
# decisions and target quotes, bit for bit, faults or not.

# %%
verdict = mmlab.verify_decisions(folder / "faulty")
verdict.same, verdict.rows, verdict.different

# %% [markdown]
# A report of such a run (`hurt.report()`, or `mmlab paper` on a command line) also replays what the session heard
# without the faults, so that one sees what they cost.
