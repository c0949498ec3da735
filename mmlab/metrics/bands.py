"""How sure a mean or median markout is (`terms.md`, Bands).

Markouts that overlap in time are one piece of evidence, so errors are clustered by blocks of time.
"""

from __future__ import annotations

from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from mmlab.errors import MMLabError
from mmlab.events import NS_PER_S
from mmlab.kernels.resample import block_medians
from mmlab.metrics.frames import read_fills

Array = np.ndarray[Any, Any]

CONFIDENCE = 0.95
MIN_BLOCKS = 10
MIN_BLOCK_S = 60.0
DRAWS = 1000
TOO_FEW = "too few blocks"


class Band(NamedTuple):
    """An estimate with its 95 % band (NaN below 10 blocks)."""

    value: float
    low: float
    high: float
    n: int
    blocks: int


def t_quantile(p: float, degrees: int) -> float:
    """Quantile of Student's t (Cornish-Fisher, Abramowitz and Stegun 26.7.5): 1e-4 near from 9 degrees at p = 0.975."""
    x = NormalDist().inv_cdf(p)
    terms = (
        (x**3 + x) / 4,
        (5 * x**5 + 16 * x**3 + 3 * x) / 96,
        (3 * x**7 + 19 * x**5 + 17 * x**3 - 15 * x) / 384,
        (79 * x**9 + 776 * x**7 + 1482 * x**5 - 1920 * x**3 - 945 * x) / 92160,
    )
    return x + sum(term / degrees ** (k + 1) for k, term in enumerate(terms))


def blocks_of(ns: Array, block_ns: int) -> tuple[Array, int]:
    """Number of each time's block, from 0 without holes, and how many there are."""
    distinct, block = np.unique(ns // block_ns, return_inverse=True)
    return block, distinct.size


def mean_band(ns: Array, values: Array, block_ns: int) -> Band:
    """Mean with a standard error clustered by blocks of time, 95 % t with G - 1 degrees of freedom.

    Parameters
    ----------
    ns : ndarray of int64, shape (n,)
        Time of each value in ns.
    values : ndarray of float64, shape (n,)
        NaN are left out.
    block_ns : int
        Length of a block in ns.
    """
    known = np.isfinite(values)
    ns, values = ns[known], values[known]
    if values.size == 0:
        return Band(np.nan, np.nan, np.nan, 0, 0)
    mean = float(values.mean())
    block, count = blocks_of(ns, block_ns)
    if count < MIN_BLOCKS:
        return Band(mean, np.nan, np.nan, values.size, count)
    sums = np.bincount(block, values - mean, count)
    error = np.sqrt(count / (count - 1) * np.sum(sums**2)) / values.size
    half = t_quantile((1 + CONFIDENCE) / 2, count - 1) * float(error)
    return Band(mean, mean - half, mean + half, values.size, count)


def median_band(ns: Array, values: Array, block_ns: int, *, seed: int = 0, draws: int = DRAWS) -> Band:
    """Median with a 95 % band by block bootstrap; `draws` resamples of whole blocks from the run's `seed`.

    Parameters
    ----------
    ns, values, block_ns
        As for `mean_band`.
    """
    known = np.isfinite(values)
    ns, values = ns[known], values[known]
    if values.size == 0:
        return Band(np.nan, np.nan, np.nan, 0, 0)
    median = float(np.median(values))
    block, count = blocks_of(ns, block_ns)
    if count < MIN_BLOCKS:
        return Band(median, np.nan, np.nan, values.size, count)
    order = np.argsort(values, kind="stable")
    taken = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), draws)
    medians = np.empty(draws)
    block_medians(values[order], block[order], taken, medians)
    low, high = np.quantile(medians, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Band(median, float(low), float(high), values.size, count)


def horizons_in(frame: pd.DataFrame) -> list[tuple[str, float]]:
    """Markout columns of a frame with their horizons in seconds."""
    names = [c for c in map(str, frame.columns) if c.startswith("markout_") and c.endswith("s_bps")]
    if not names:
        raise MMLabError("fills: no column like 'markout_1s_bps'; join them: fills.join(mmlab.markouts(fills, quotes))")
    return [(name, float(name.removeprefix("markout_").removesuffix("s_bps"))) for name in names]


def markout_bands(fills: pd.DataFrame, *, seed: int = 0, draws: int = DRAWS) -> pd.DataFrame:
    """Mean and median markout by side and horizon, with 95 % bands.

    Parameters
    ----------
    fills : DataFrame
        UTC index or ``ts_ns``, ``side`` and the columns of `markouts`, for example ``run.fills``.
    seed : int, optional
        Seed of the bootstrap: the run's.
    draws : int, optional
        Bootstrap draws.

    Returns
    -------
    DataFrame
        Indexed by ``side`` ("bid", "ask", "both") and ``horizon_s``: ``mean_bps, mean_low_bps, mean_high_bps``,
        ``median_bps, median_low_bps, median_high_bps, n, blocks, note``. Blocks of time are max(60 s,
        twice the horizon) long; below 10 of them bands are NaN and the note says so.
    """
    read = read_fills(fills)
    order = slice(None) if read.order is None else read.order
    rows = []
    for name, horizon_s in horizons_in(fills):
        values = fills[name].to_numpy(np.float64)[order]
        block_ns = round(max(MIN_BLOCK_S, 2 * horizon_s) * NS_PER_S)
        for side, mine in (("bid", read.side > 0), ("ask", read.side < 0), ("both", read.side != 0)):
            mean = mean_band(read.ns[mine], values[mine], block_ns)
            median = median_band(read.ns[mine], values[mine], block_ns, seed=seed, draws=draws)
            note = TOO_FEW if mean.blocks < MIN_BLOCKS else ""
            rows.append((side, horizon_s, *mean[:3], *median[:3], mean.n, mean.blocks, note))
    bands = [f"{what}{end}_bps" for what in ("mean", "median") for end in ("", "_low", "_high")]
    frame = pd.DataFrame(rows, columns=["side", "horizon_s", *bands, "n", "blocks", "note"])
    return frame.set_index(["side", "horizon_s"])
