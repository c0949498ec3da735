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
# # Avellaneda & Stoikov (2008)
#
# *High-frequency trading in a limit order book* asks where a dealer who dislikes inventory should quote. Its answer has
# two parts: a **reservation price**, which leans away from the mid with inventory $q$, and a **spread** around it:
#
# $$ r = s - q\,\gamma\sigma^2\tau, \qquad
#    \delta^a + \delta^b = \gamma\sigma^2\tau + \frac{2}{\gamma}\ln\Big(1 + \frac{\gamma}{k}\Big). $$
#
# This notebook repeats the paper's experiment: tables 1 to 3, a path and the distribution of the profit. It ends with
# the limit in which the horizon is far away (Guéant, Lehalle & Fernandez-Tapia, GLFT), which mmlab quotes by default.

# %%
import pandas as pd
from bokeh.io import output_notebook, show
from bokeh.layouts import column
from bokeh.plotting import figure
from bokeh.resources import INLINE

from mmlab import theory

output_notebook(INLINE, hide_banner=True)  # Bokeh is in the page: no network needed

# %% tags=["parameters"]
gammas = [0.1, 0.01, 1.0]  # tables 1, 2 and 3
paths = 1_000  # as in the paper
many_paths = 100_000  # for moments to about two digits after the point
sample_gamma = 0.1  # of the pictures
seed = 0

# %% [markdown]
# ## The experiment
#
# The mid starts at $s = 100$ and moves by $\pm\sigma\sqrt{dt}$ a step ($\sigma = 2$, $T = 1$, $dt = 0.005$). A quote at
# distance $\delta$ from the mid fills in a step with probability $A e^{-k\delta}\,dt$ ($A = 140$, $k = 1.5$). The
# **inventory** strategy quotes the formulas above; the **symmetric** one quotes the same average spread around the mid,
# whatever it holds.


# %%
def table(gamma: float, n: int) -> pd.DataFrame:
    """Rows and columns of the paper's tables, with the standard error of the mean profit."""
    rows = {}
    for strategy in ("inventory", "symmetric"):
        sample = theory.simulate(gamma, strategy, paths=n, seed=seed)
        rows[gamma, n, strategy] = {
            "spread": sample["mean_spread"].mean(),
            "profit": sample["profit"].mean(),
            "± (1 s.e.)": sample["profit"].sem(),
            "std profit": sample["profit"].std(),
            "final q": sample["final_q"].mean(),
            "std final q": sample["final_q"].std(),
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(["gamma", "paths", "strategy"])


tables = pd.concat([table(gamma, n) for gamma in gammas for n in (paths, many_paths)])
tables.round(3)

# %% [markdown]
# With $\gamma = 0.1$ the inventory strategy gives up about 5 % of the profit and halves its standard deviation; the
# final inventory is about a third as wide. As $\gamma$ falls the two strategies become alike; as it rises the dealer
# trades less, earns less and holds little.

# %%
path = theory.sample_path(sample_gamma, seed=seed)
prices = figure(title="One path: quotes follow the reservation price", height=320, width=850, y_axis_label="price")
prices.step(path.index, path["mid"], color="black", mode="after", legend_label="mid")
prices.step(path.index, path["reservation"], color="orange", mode="after", legend_label="reservation")
prices.step(path.index, path["bid"], color="green", mode="after", alpha=0.5, legend_label="bid")
prices.step(path.index, path["ask"], color="red", mode="after", alpha=0.5, legend_label="ask")
prices.legend.location, prices.legend.orientation = "top_left", "horizontal"
inventory = figure(height=150, width=850, x_range=prices.x_range, x_axis_label="time (s)", y_axis_label="inventory")
inventory.step(path.index, path["q"], mode="after")
show(column(prices, inventory))

# %% [markdown]
# ## Profit

# %%
profits = figure(
    title=f"Profit of {many_paths:,} paths, gamma = {sample_gamma}", height=320, width=850,
    x_axis_label="profit", y_axis_label="paths",
)  # fmt: skip
for strategy, color in (("inventory", "steelblue"), ("symmetric", "darkorange")):
    profit = theory.simulate(sample_gamma, strategy, paths=many_paths, seed=seed)["profit"]
    counts = profit.groupby(profit.round()).size()  # bins one wide
    profits.vbar(x=counts.index, top=counts, width=1.0, color=color, alpha=0.5, legend_label=strategy)
show(profits)

# %% [markdown]
# ## Without a horizon: GLFT
#
# When the end is far away the quotes stop depending on time: each half-spread is a constant plus a term linear in
# inventory. A long dealer ($q > 0$) moves the bid away from the mid and the ask towards it.

# %%
inventories = list(range(-10, 11))
half_spreads = [theory.glft(q, gamma=0.01, sigma=0.3, A=0.9, kappa=0.3) for q in inventories]
glft = figure(
    title="GLFT half-spreads (sigma 0.3, A 0.9, kappa 0.3, gamma 0.01)", height=320, width=850,
    x_axis_label="inventory (orders)", y_axis_label="distance from mid",
)  # fmt: skip
for side, color in (("bid", "green"), ("ask", "red")):
    distances = [getattr(h, side) for h in half_spreads]
    glft.line(inventories, distances, color=color, legend_label=side)
    glft.scatter(inventories, distances, color=color)
show(glft)

# %%
pd.DataFrame(half_spreads, index=pd.Index(inventories, name="q")).loc[[-10, 0, 10]].round(6)
