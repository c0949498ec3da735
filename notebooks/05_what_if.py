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
# # What if?
#
# A session records every market event that it hears. So before you turn a knob you can ask what the last minutes would
# have looked like with the knob turned: the same ticks, the same latency, the same queue model. This notebook runs a
# short paper session, asks such questions of its recording, and looks at how far the answers can be trusted.
# `docs/what_if.md` says what they cannot tell.

# %%
import math
from pathlib import Path
from tempfile import mkdtemp

import pandas as pd
from bokeh.io import output_notebook, show
from bokeh.resources import INLINE

import mmlab
from mmlab.lab.demo import SAMPLE
from mmlab.lab.rehearsal import Rehearsal
from mmlab.lab.shadow_sets import play_sets
from mmlab.lab.what_if_figure import what_if_figure

output_notebook(INLINE, hide_banner=True)  # Bokeh is in the page: no network needed

# %% tags=["parameters"]
feed_path = ""  # a feed file; empty: the synthetic sample that comes with mmlab
minutes = 5.0  # how much of the feed the session trades
window_minutes = 4.0  # how much of its end is replayed; the Tune view takes 30
offset_ticks = [2, 5, 9, 14]  # a ladder that leans harder
min_spread_bps = 1.2  # a wider floor of the spread
seed = 0

# %% [markdown]
# ## A session
#
# With `speed=math.inf` it runs as fast as this machine can. All that follows works as well while a session is going:
# a `Rehearsal` reads what was recorded since it last looked.

# %%
feed = mmlab.load_feed(feed_path or SAMPLE)
config = mmlab.Config().with_(**{"strategy.warmup_s": 30.0})
folder = Path(mkdtemp()) / "session"
session = mmlab.Session(config, feed=feed, speed=math.inf, seed=seed, out=folder)
run = await session.run(duration_s=60 * minutes)
run

# %% [markdown]
# ## A question
#
# `refresh()` takes in what was recorded, `compare(changes)` replays the window with the parameters in force (`now`) and
# with the changes on top (`then`). Wrong changes raise a `ConfigError` that names every one of them.

# %%
rehearsal = Rehearsal(folder, window_s=60 * window_minutes)
print(f"{rehearsal.refresh():,} events held")
answer = rehearsal.compare({"strategy.min_spread_bps": min_spread_bps})
answer

# %%
show(what_if_figure(answer))

# %% [markdown]
# ## The honest column
#
# `session` is what really happened. Where it is near `now`, the replay knows this market; where they part, do not trust
# `then` any further than that. Both begin with the position that the session had at the window's start.

# %%
same, ours = answer.matched["same"], answer.matched["session"]
print(f"The session had {ours} fills in the window; the replay found {same} of them, same side, price and second.")
gap = answer.table.loc["net_pnl_quote", "now"] - answer.table.loc["net_pnl_quote", "session"]
change = answer.table.loc["net_pnl_quote", "difference"]
print(f"Replay and session differ by {abs(gap):.4g} of net P&L; the change would make {change:+.4g}.")
if abs(change) <= abs(gap):
    print("That is no more than what the replay gets wrong anyway: no reason to change anything.")

# %% [markdown]
# ## Several questions
#
# `now` is kept between questions, so each further one costs one replay.

# %%
questions = {
    "ladder leans harder": {"ladder.offset_ticks": offset_ticks},
    "wider floor": {"strategy.min_spread_bps": min_spread_bps},
    "no cooldown": {"gates.cooldown.enabled": False},
    "no flip gate": {"gates.flip.mode": "off"},
}
answers = {name: rehearsal.compare(changes) for name, changes in questions.items()}
rows = ["net_pnl_quote", "pnl_per_million", "markout_bid_bps", "markout_ask_bps", "fills", "max_position", "messages"]
pd.DataFrame({"now": answer.table["now"], **{name: a.table["then"] for name, a in answers.items()}}).loc[rows].round(4)

# %% [markdown]
# `then` is a whole `Run`: all its tables, `summary`, `report()` and `compare()` are there.

# %%
answers["wider floor"].then.fills[["side", "price", "size", "inventory_after", "markout_1s_bps"]].tail(3)

# %% [markdown]
# ## Shadow sets
#
# On a going session up to eight sets run along on the live feed, without sending orders, in a process of their own:
# `session.add_shadow("wider floor", {...})`, then `session.shadows()`. This is the table they would have shown for the
# session above; `live` is the session itself.

# %%
shadows = play_sets(folder, questions)
shadows[["net_pnl_quote", "live_net_pnl_quote", "fills", "live_fills", "markout_bid_bps", "markout_ask_bps",
         "max_position", "time_ladder_s", "time_cooldown_s"]].round(4)  # fmt: skip
