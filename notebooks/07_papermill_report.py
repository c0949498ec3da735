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
# # Daily report of a run
#
# For papermill: `papermill 07_papermill_report.ipynb report.ipynb -p run_dir runs/20240101T114500Z-paper`, each day
# from a timer, or for many runs at once `mmlab batch notebooks/07_papermill_report.ipynb --grid grid.toml --out DIR`
# with `run_dir = [...]` in the grid. Without a `run_dir` it makes a run on the synthetic sample.

# %%
from tempfile import mkdtemp

import pandas as pd
from bokeh.io import output_notebook, show
from bokeh.models import ColumnDataSource
from bokeh.plotting import figure
from bokeh.resources import INLINE

import mmlab
from mmlab.lab.demo import run_demo
from mmlab.lab.figure_style import BAD, GOOD, styled
from mmlab.lab.report_figures import bridge_figure, markout_curve
from mmlab.lab.report_text import headline, key_figures

output_notebook(INLINE, hide_banner=True)  # Bokeh is in the page: no network needed

# %% tags=["parameters"]
run_dir = ""  # a run directory, of a backtest, paper or live run; empty: make one on the sample
every = "5min"  # length of a row of the table over time, for example "1h"
worst = 5  # how many of the worst fills are shown

# %%
if not run_dir:
    run_dir = str(run_demo(out=f"{mkdtemp()}/demo").directory)
run = mmlab.load_run(run_dir)
print(run_dir)
print(f"{run.info.mode} run on {run.info.venue}, {run.instrument.symbol}, ended: {run.info.ended}")
print(*headline(run, None), sep="\n")
print(*run.info.notes, sep="\n")

# %% [markdown]
# ## Figures

# %%
pd.DataFrame(key_figures(run, None), columns=["figure", "value", "of that"]).set_index("figure")

# %%
show(run.plot())

# %% [markdown]
# ## Over time
#
# Net P&L is the change over each row, in settle currency; positions and ages are those at its end.

# %%
rows = run.metrics.resample(every, closed="right", label="left")
heard = run.fills.set_index(pd.to_datetime(run.fills["local_ns"], utc=True))["price"]
start = rows["net_pnl"].last().ffill().shift(fill_value=0.0)
by_time = pd.DataFrame({
    "net_pnl": rows["net_pnl"].last().ffill() - start,
    "volume": rows["volume"].last().ffill().diff().fillna(rows["volume"].last()),
    "fills": heard.resample(every, closed="right", label="left").count(),
    "position": rows["position"].last(),
    "inventory_age_s": rows["inventory_age_s"].last(),
    "flip_rate_10s": rows["flip_rate_10s"].mean(),
})  # fmt: skip
by_time["fills"] = by_time["fills"].fillna(0).astype(int)
by_time

# %%
bars = ColumnDataSource({
    "time": [f"{t:%H:%M}" if len(by_time) < 40 else f"{t:%d %H:%M}" for t in by_time.index],
    "net_pnl": by_time["net_pnl"],
    "colour": [GOOD if v >= 0 else BAD for v in by_time["net_pnl"]],
})  # fmt: skip
picture = styled(
    figure(x_range=list(bars.data["time"]), height=220, width=850, toolbar_location=None, y_axis_label="net P&L")
)
picture.vbar("time", 0.8, "net_pnl", source=bars, color="colour")
picture.xaxis.major_label_orientation = 0.8 if len(by_time) > 12 else 0.0
show(picture)

# %% [markdown]
# ## Why
#
# From the spread captured to net P&L, in basis points of what was traded; and what fills were worth after them, with
# 95 % bands.

# %%
show(bridge_figure(run))

# %%
show(markout_curve(run))

# %%
run.fills.nsmallest(worst, "markout_1s_bps")[
    ["side", "price", "size", "fill_kind", "inventory_after", "markout_1s_bps"]
]

# %% [markdown]
# ## Gates and kill switches

# %%
run.gates.groupby(["switch", "action"]).size().rename("times").to_frame()

# %% [markdown]
# ## For the table of a batch

# %%
mmlab.record(
    run.summary[["net_pnl", "pnl_per_million", "fills", "volume", "max_position", "kill_trips"]], ended=run.info.ended
)
