"""Figures of a run that follow from its metrics table, row by row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
MS_PER_MIN = 60_000.0


def net_quote(rows: dict[str, Array], *, inverse: bool) -> Array:
    """Net P&L in quote currency, each increment of an inverse contract's converted at its own mid."""
    net = np.nan_to_num(rows["net_pnl"])
    if not inverse:
        return net
    mid = rows["mid"].copy()
    known = np.flatnonzero(np.isfinite(mid))
    if not known.size:
        return np.zeros_like(net)
    last = np.maximum.accumulate(np.where(np.isfinite(mid), np.arange(mid.size), known[0]))
    return np.cumsum(np.diff(net, prepend=0.0) * mid[last])


def pnl_per_million(minutes: float, *, inverse: bool) -> Callable[[dict[str, Array], int], Array]:
    """Change of net P&L over the window by the notional traded in it, times 1e6; NaN where nothing traded.

    Until the window is full it runs from the start.
    """

    def derive(rows: dict[str, Array], first: int) -> Array:
        t, volume, net = rows["t"], rows["volume"], net_quote(rows, inverse=inverse)
        start = np.maximum(np.searchsorted(t, t[first:] - minutes * MS_PER_MIN), 0)
        traded = volume[first:] - volume[start]
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(traded > 0, 1e6 * (net[first:] - net[start]) / traded, np.nan)

    return derive


def rate(column: str, window_s: float = 60.0) -> Callable[[dict[str, Array], int], Array]:
    """Increase of a running total a second, over the window before each row."""

    def derive(rows: dict[str, Array], first: int) -> Array:
        t, total = rows["t"], rows[column]
        start = np.searchsorted(t, t[first:] - 1e3 * window_s)
        span = np.maximum((t[first:] - t[start]) / 1e3, 1e-9)
        return np.where(t[first:] > t[start], (total[first:] - total[start]) / span, np.nan)

    return derive


def participation(
    fills: Callable[[], dict[str, Array]], window_s: float = 60.0
) -> Callable[[dict[str, Array], int], Array]:
    """Our filled size by the market's in the window before each row, in %; NaN where nothing traded."""

    def derive(rows: dict[str, Array], first: int) -> Array:
        t, market = rows["t"], rows["market_volume"]
        start = np.searchsorted(t, t[first:] - 1e3 * window_s)
        ours = fills()
        sizes = np.concatenate(([0.0], np.cumsum(ours["size"])))
        mine = sizes[np.searchsorted(ours["t"], t[first:], side="right")] - sizes[
            np.searchsorted(ours["t"], t[start], side="right")
        ]  # fmt: skip
        traded = market[first:] - market[start]
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(traded > 0, 100.0 * mine / traded, np.nan)

    return derive


def hits_per_min(
    fills: Callable[[], dict[str, Array]], side: int, window_s: float = 60.0
) -> Callable[[dict[str, Array], int], Array]:
    """Fills of a side (+1 bid, -1 ask) in the minute before each row."""

    def derive(rows: dict[str, Array], first: int) -> Array:
        t, ours = rows["t"][first:], fills()
        mine = ours["t"][ours["side"] == side]
        n = np.searchsorted(mine, t, side="right") - np.searchsorted(mine, t - 1e3 * window_s, side="right")
        return n * (60.0 / window_s)

    return derive
