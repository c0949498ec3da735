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
# # Lighter, on paper
#
# The live path from end to end without a cent at risk: a paper server speaks Lighter's REST and WebSocket wire, the
# session trades on it through the real adapter and the official signer, and only the keys are throwaway ones that the
# server made. What works here works against the venue, where a config must be armed first (`docs/lighter.md`).

# %%
import time
from pathlib import Path
from tempfile import mkdtemp

import pandas as pd

import mmlab

# %% tags=["parameters"]
feed_path = ""  # a feed file; empty: the synthetic sample that comes with mmlab
speed = 10.0  # times as fast as recorded
trade_s = 10.0  # how long to trade
run_dir = ""  # run directory to make; empty: a temporary one

# %% [markdown]
# ## An exchange of your own

# %%
server = mmlab.PaperServer(feed_path or None, speed=speed, loop=True)
server

# %% [markdown]
# ## A session on it
#
# `venue="lighter"` is the live venue; `paper=` says that it is this server instead, so no key of yours is looked for.
# The session listens to the market for its warm-up, then quotes.

# %%
config = mmlab.Config().with_(
    **{"venue.market": "0", "strategy.warmup_s": 5, "strategy.warmup_min_trades": 0, "owner.grace_s": 20}
)
out = Path(run_dir or mkdtemp()) / "lighter"
session = mmlab.Session(config, venue="lighter", paper=server.ready, name="lighter", out=out).start()
session.until_quoting()

# %%
time.sleep(trade_s)
session

# %% [markdown]
# ## Latency by stage
#
# `total` is from market rows in hand to the bytes handed to the socket. With a warm bank of payloads signed ahead an
# order leaves without waiting for its signature.

# %%
state = session.state()
pd.DataFrame(state["latency_us"]).T

# %%
pd.Series(state["presign"], name="payloads signed ahead")

# %% [markdown]
# ## Reconciliation
#
# What the order manager met and settled: late replies, missed fills, strays. The server's own view of the account must
# agree with ours.

# %%
session.anomalies()

# %%
pd.Series(state["connection"], name="the venue's connection", dtype="int64")

# %%
session.orders()[["side", "price", "state"]]

# %% [markdown]
# ## The end
#
# `stop` cancels all and waits for proof. The run directory is a run like any other.

# %%
session.stop()
run = session.wait(120)
server.stop()
run

# %%
run.fills.tail()
