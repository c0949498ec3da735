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
# # Live tuning
#
# `Session.start()` starts the engine in a process of its own and returns at once. This notebook, a served dashboard and
# the command line are its clients: a cell that computes for a minute does not stall trading, and a kernel that dies
# leaves no orders behind, because the engine misses its signs of life and cancels all.

# %%
import time
from pathlib import Path
from tempfile import mkdtemp

import mmlab
from mmlab.lab.demo import SAMPLE

# %% tags=["parameters"]
feed_path = ""  # a feed file; empty: the synthetic sample that comes with mmlab
speed = 10.0  # times as fast as recorded
run_dir = ""  # run directory to make; empty: a temporary one
stop_at_end = False  # the last cell ends the session; else it trades on until this kernel ends, and a little longer

# %%
config = mmlab.Config().with_(**{"strategy.warmup_s": 30, "owner.grace_s": 20})
out = Path(run_dir or mkdtemp()) / "live"
session = mmlab.Session(config, feed=feed_path or SAMPLE, speed=speed, loop=True, name="tuning", out=out).start()
session.until_quoting()

# %% [markdown]
# ## What it does now
#
# The session shows itself; its tables are DataFrames: `status, orders, fills, metrics, gates, params`.

# %%
session

# %%
time.sleep(3)
session.orders()

# %% [markdown]
# ## The dashboard in a cell
#
# All views, live, with the tuning form. The same is served to any browser by `mmlab dashboard`, whose KILL works even
# while this kernel is busy.

# %%
session.panel()

# %% [markdown]
# ## Widgets
#
# Move a widget, press Apply, and the engine's parameters change between two decisions.

# %%
session.widgets()

# %% [markdown]
# ## From code
#
# A change is checked as a whole, gets a version, and is written down. The estimators' state stays.

# %%
version = session.update({"ladder.offset_ticks": [2, 4, 6, 9], "gates.flip.mode": "widen"})
time.sleep(1)
version, session.orders()[["side", "price", "state"]]

# %%
try:
    session.update({"ladder.hysteresis": 7, "gates.flip.mode": "sometimes", "no.such": 1})
except mmlab.ConfigError as error:
    print(error)

# %%
session.params(history=True)

# %% [markdown]
# Two people may tune the same engine. Who names the version that his changes were made for is told when it is not the
# newest any more:

# %%
other = mmlab.attach(session.run_dir)  # as another notebook would, or this one after a restart of its kernel
other.update({"ladder.min_dwell_ms": 400})
try:
    session.update({"ladder.min_dwell_ms": 600}, base_version=version)
except mmlab.SessionError as error:
    print(error)

# %% [markdown]
# ## Shadow sets
#
# Other parameters run along on the same live market, up to eight sets, without sending orders. Figures come every few
# seconds.

# %%
session.add_shadow("wider", {"gates.flip.widen_ticks": 4})
session.add_shadow("no ladder", {"ladder.enabled": False})
for _ in range(60):
    if len(session.shadows()) == 3:
        break
    time.sleep(1)
session.shadows().T

# %% [markdown]
# ## Kill and re-arm
#
# A kill latches in the engine: no restart of a notebook or a dashboard undoes it, only a re-arm does.

# %%
session.kill("to show it")
time.sleep(1)
state = session.state()
state["trading"], state["why"], len(state["orders"])

# %%
session.rearm()
session.until_quoting()

# %% [markdown]
# ## The end
#
# `stop` cancels all and waits for proof; the run directory is then a run like any other.

# %%
run = None
if stop_at_end:
    session.stop()
    run = session.wait(120)
run
