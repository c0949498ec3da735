"""Walk-forward folds: what was chosen on the past, on the time after it.

The time that can be traded is cut into k + 1 blocks of equal length. In fold i, of 1 to k, blocks 0 to i - 1 are
in sample and block i is out of sample:

    block     0     1     2     3
    fold 1    in    out
    fold 2    in    in    out
    fold 3    in    in    in    out

Each block is a run of its own: flat at its start, with a warm-up on the time just before it, so it knows nothing of
what comes later. Figures of several blocks are pooled: the sum of P&L over the sum of volume, not a mean of ratios.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from mmlab.config import Config
from mmlab.errors import ConfigError
from mmlab.events import NS_PER_S
from mmlab.feeds.feed import Feed
from mmlab.lab.fill_markouts import CONTROL_S, wide
from mmlab.lab.money import last, notional, to_quote
from mmlab.lab.record import Record
from mmlab.lab.warm_up import warm_up_ns
from mmlab.metrics.bands import CONFIDENCE, t_quantile

Array = np.ndarray[Any, Any]

FEWEST, MOST = 2, 100
LEAST_BLOCK_S = 10.0
FEWEST_FOR_BANDS = 3
SMALL_T = (12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060)
"""97.5 % quantiles of Student's t with 1 to 8 degrees of freedom, for which `t_quantile` is not made."""
FIGURES = {
    "pnl_per_million": ("net_pnl_quote", "volume", 1e6),
    "net_pnl_quote": ("net_pnl_quote", "", 1.0),
    "markout_1s_bps": ("markout_sum_bps", "markouts", 1.0),
}
"""Figure -> what is summed, what it is divided by (nothing: a mean a block), and a factor."""
CHOSEN_BY = ("pnl_per_million", "net_pnl_quote")
"""Figures that are kept for each fold, by which a point can be chosen."""


@dataclass(frozen=True)
class Blocks:
    """Where the blocks are: `edges_ns` (local clock), one more than there are blocks."""

    edges_ns: tuple[int, ...]

    @property
    def folds(self) -> int:
        """How many folds they make."""
        return len(self.edges_ns) - 2

    def part(self, feed: Feed, number: int, warmup_s: float) -> Feed:
        """One block's part of a feed, with a warm-up before it; kept with the feed."""
        start, end = self.edges_ns[number : number + 2]
        # A run warms up in a quarter of its feed at most; with a third of the block's length it does not end too early.
        start -= min(round(warmup_s * NS_PER_S), math.ceil((end - start) / 3))
        last_one = number == len(self.edges_ns) - 2
        key = ("block", start, end)
        if key not in feed.cache:
            feed.cache[key] = feed[start:] if last_one else feed[start:end]
        block: Feed = feed.cache[key]
        return block


def forget_blocks(feed: Feed) -> None:
    """Let go of the parts kept with a feed: together they are as large as the feed."""
    for key in [key for key in feed.cache if isinstance(key, tuple) and key[0] == "block"]:
        del feed.cache[key]


def blocks_of(feed: Feed, config: Config, folds: Any) -> Blocks:
    """Cut a feed's time after the warm-up.

    Raises
    ------
    ConfigError
        `folds` is no number of folds, or the feed is too short for them.
    """
    if isinstance(folds, bool) or not isinstance(folds, int | np.integer) or not FEWEST <= folds <= MOST:
        raise ConfigError(f"folds = {folds!r}: must be a whole number from {FEWEST} to {MOST}")
    start_ns, quoting_ns = warm_up_ns(feed, config)
    start_ns = min(quoting_ns, start_ns + round(config.strategy.warmup_s * NS_PER_S))
    end_ns = int(feed.events["local_ns"][-1])
    length_s = (end_ns - start_ns) / (folds + 1) / NS_PER_S
    if length_s < LEAST_BLOCK_S:
        most = int((end_ns - start_ns) / NS_PER_S / LEAST_BLOCK_S) - 1
        advice = f"at most {most} are possible" if most >= FEWEST else "give a longer one"
        raise ConfigError(
            f"folds = {folds}: blocks of the feed would be {length_s:.3g} s long, at least {LEAST_BLOCK_S:g} s are"
            f" needed: {advice}"
        )
    return Blocks(tuple(start_ns + (end_ns - start_ns) * i // (folds + 1) for i in range(folds + 2)))


def block_sums(record: Record) -> dict[str, float]:
    """What is summed over blocks, of one block's run."""
    fills = record.tables.fills
    markout = wide(record.markouts, fills.size)[f"markout_{CONTROL_S:g}s_bps"]
    known = markout[np.isfinite(markout)]
    return {
        "net_pnl_quote": last(to_quote(record, record.tables.metrics["net_pnl"])),
        "volume": float(notional(record).sum()),
        "fills": int(fills.size),
        "markout_sum_bps": float(known.sum()),
        "markouts": int(known.size),
    }


class Pooled(NamedTuple):
    """A figure over several blocks with its 95 % band."""

    value: float
    low: float
    high: float


def pooled(blocks: Sequence[dict[str, float]], figure: str) -> Pooled:
    """A figure of `FIGURES` over blocks.

    Returns
    -------
    Pooled
        The band is Student's, with the blocks as observations (of a ratio: its linearised residuals); NaN with less
        than three blocks that have any volume, or markouts.
    """
    above, below, factor = FIGURES[figure]
    x = np.array([block[above] for block in blocks], np.float64)
    y = np.array([block[below] for block in blocks], np.float64) if below else np.ones(x.size)
    total = float(y.sum())
    if not total or not np.isfinite(x).all():
        return Pooled(np.nan, np.nan, np.nan)
    value = float(x.sum()) / total
    x, y = x[y > 0], y[y > 0]  # a block without any tells nothing of a ratio
    n = x.size
    if n < FEWEST_FOR_BANDS:
        return Pooled(factor * value, np.nan, np.nan)
    error = math.sqrt(n / (n - 1) * float(((x - value * y) ** 2).sum())) / total
    half = student(n - 1) * error
    return Pooled(factor * value, factor * (value - half), factor * (value + half))


def student(degrees: int) -> float:
    """97.5 % quantile of Student's t."""
    return SMALL_T[degrees - 1] if degrees <= len(SMALL_T) else t_quantile((1 + CONFIDENCE) / 2, degrees)


def fold_columns(blocks: Sequence[dict[str, float]] | None, folds: int) -> dict[str, float]:
    """Columns of one point: in sample and out of sample over all folds, and fold by fold.

    Parameters
    ----------
    blocks : sequence of dict, optional
        `block_sums` of each block; None where the point has none, whose columns are NaN.
    folds : int
    """
    if blocks is None:
        empty = {"net_pnl_quote": np.nan, "volume": np.nan, "fills": np.nan, "markout_sum_bps": np.nan, "markouts": 0}
        blocks = [empty] * (folds + 1)
    columns = {}
    for name, part in (("in_sample", blocks[:-1]), ("out_of_sample", blocks[1:])):
        for figure in FIGURES:
            band = pooled(part, figure)
            columns[f"{name}_{figure}"] = band.value
            columns[f"{name}_{figure}_low"], columns[f"{name}_{figure}_high"] = band.low, band.high
        columns[f"{name}_fills"] = sum(block["fills"] for block in part)
    for fold in range(1, folds + 1):
        for figure in CHOSEN_BY:
            columns[f"fold_{fold}_in_sample_{figure}"] = pooled(blocks[:fold], figure).value
            columns[f"fold_{fold}_out_of_sample_{figure}"] = pooled(blocks[fold : fold + 1], figure).value
    return columns


def walk_forward(table: pd.DataFrame, by: str = "pnl_per_million") -> pd.DataFrame:
    """Choose in each fold the point that was best in sample, and look at it out of sample.

    Parameters
    ----------
    table : DataFrame
        From ``mmlab.sweep(..., folds=k)``.
    by : {"pnl_per_million", "net_pnl_quote"}
        What is best.

    Returns
    -------
    DataFrame
        One row a fold and one, "mean", over them: the chosen point's parameters and row in the table (``point``), its
        figure ``in_sample`` and ``out_of_sample``; out of sample also the ``median`` of all points and the ``best`` of
        them, which nobody could know; ``rank``, the share of points that the chosen one beat (0.5: as good as chance).
        The row "mean" has the 95 % bands of ``out_of_sample``: ``low, high``. ``attrs["configurations_tried"]`` says
        among how many was chosen.

    Raises
    ------
    ConfigError
        The table has no folds, or not that figure.
    """
    folds = int(table.attrs.get("folds", 0))
    if not folds:
        raise ConfigError("the table has no folds: make it with mmlab.sweep(..., folds=5)")
    if by not in CHOSEN_BY:
        raise ConfigError(f"by = {by!r}: must be one of {', '.join(map(repr, CHOSEN_BY))}")
    parameters = list(table.attrs["parameters"])
    rows = [_fold(table, fold, by, parameters) for fold in range(1, folds + 1)]
    result = pd.DataFrame(rows, index=pd.Index(range(1, folds + 1), name="fold", dtype=object))
    figures = ["in_sample", "out_of_sample", "median", "best", "rank"]
    mean = result[figures].astype(float).mean()
    out = result["out_of_sample"].astype(float).dropna()
    half = student(len(out) - 1) * float(out.std()) / math.sqrt(len(out)) if len(out) >= FEWEST_FOR_BANDS else np.nan
    result.loc["mean", figures] = mean
    result["low"] = result["high"] = np.nan
    result.loc["mean", ["low", "high"]] = mean["out_of_sample"] - half, mean["out_of_sample"] + half
    result.attrs["configurations_tried"] = table.attrs["configurations_tried"]
    return result


def _fold(table: pd.DataFrame, fold: int, by: str, parameters: list[str]) -> dict[str, Any]:
    inside = table[f"fold_{fold}_in_sample_{by}"].astype(float)
    out = table[f"fold_{fold}_out_of_sample_{by}"].astype(float)
    known = out.dropna()
    figures = {"median": known.median(), "best": known.max()}
    if inside.isna().all():
        nothing = dict.fromkeys([*parameters, "point"], None)
        return {**nothing, "in_sample": np.nan, "out_of_sample": np.nan, **figures, "rank": np.nan}
    point = inside.idxmax()
    mine = out[point]
    others = known.drop(point, errors="ignore")
    rank = float(((others < mine) + 0.5 * (others == mine)).mean()) if len(others) and np.isfinite(mine) else np.nan
    chosen = {name: table.loc[point, name] for name in parameters}
    return {**chosen, "point": point, "in_sample": inside[point], "out_of_sample": mine, **figures, "rank": rank}
