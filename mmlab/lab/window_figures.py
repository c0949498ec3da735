"""The figures of a window of a run: the rows of a what-if's table, the same for a replay and for the session itself.

Names are those of `run.summary` where the figure is the same (`terms.md`); money counts from the window's start.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from mmlab.events import METRIC, NS_PER_S, Reason
from mmlab.instrument import Instrument
from mmlab.lab.fill_markouts import CONTROL_S, Reference, markouts_of, wide

Array = np.ndarray[Any, Any]

GATES = (
    Reason.LADDER, Reason.LADDER_FULL, Reason.COOLDOWN, Reason.PULL, Reason.FLIP_SKIP, Reason.FLIP_WIDEN,
    Reason.AGE_EXIT, Reason.LIGHT_WIDEN,
)  # fmt: skip
"""Gates whose time is always shown."""
SWITCHES = (
    Reason.TOXIC, Reason.BURST, Reason.LOSING, Reason.LOSS, Reason.DRAWDOWN, Reason.VOLATILITY, Reason.STALE,
    Reason.POSITION, Reason.HARD_LIMIT, Reason.COLLAR, Reason.SIZE, Reason.ORDER_COUNT, Reason.MESSAGES, Reason.MARK,
    Reason.MANUAL, Reason.REARM, Reason.BOOK,
)  # fmt: skip
"""Kill switches, and the want of a book: shown where one of them was on."""


@dataclass(frozen=True)
class Window:
    """What is looked at.

    Parameters
    ----------
    start_ns, end_ns : int
        ``(start, end]`` on the local clock.
    instrument : Instrument
    reference : Reference
        The market's mids, for markouts (`mmlab.lab.fill_markouts.reference`).
    """

    start_ns: int
    end_ns: int
    instrument: Instrument
    reference: Reference


def within(rows: Array, window: Window) -> Array:
    """Which rows are of the window: a mask, since fills of two sides are not heard in their own order."""
    local = rows["local_ns"]
    return (local > window.start_ns) & (local <= window.end_ns)


def figures(window: Window, fills: Array, metrics: Array, markouts: Array | None = None) -> dict[str, float]:
    """Figures of a window.

    Parameters
    ----------
    window : Window
    fills, metrics : ndarray of FILL, METRIC
        Of the run; the last `METRIC` row at or before the window's start says how it begins (none: flat).
    markouts : ndarray of float64, optional
        1-s markout of each fill, bps, where they are known already.

    Returns
    -------
    dict
        ``net_pnl`` (settle currency), ``net_pnl_quote, pnl_per_million, markout_bid_bps, markout_ask_bps`` (mean of
        the completed 1-s markouts), ``fills, fills_bid, fills_ask, volume`` (quote), ``fees, flip_rate, messages,
        inventory_age_p95_s, start_position, max_position, final_position``.
    """
    lot, before = window.instrument.lot_size, _before(metrics, window.start_ns)
    inside = within(fills, window)
    markouts = markout_1s(window, fills[inside]) if markouts is None else markouts[inside]
    fills, metrics = fills[inside], metrics[within(metrics, window)]
    path = quote_path(window.instrument, before, metrics)
    traded = notional(window.instrument, fills)
    volume = float(traded.sum())
    position = int(before["position_lots"])
    held = np.concatenate([[position], fills["position_after_lots"], metrics["position_lots"]])
    age = metrics["inventory_age_s"]
    net_quote = float(path[-1]) if path.size else np.nan
    return {
        "net_pnl": float(metrics["net_pnl"][-1] - before["net_pnl"]) if metrics.size else np.nan,
        "net_pnl_quote": net_quote,
        "pnl_per_million": net_quote / volume * 1e6 if volume else np.nan,
        "markout_bid_bps": mean(markouts[fills["side"] > 0]),
        "markout_ask_bps": mean(markouts[fills["side"] < 0]),
        "fills": int(fills.size),
        "fills_bid": int(np.count_nonzero(fills["side"] > 0)),
        "fills_ask": int(np.count_nonzero(fills["side"] < 0)),
        "volume": volume,
        "fees": float(fills["fee"].sum()),
        "flip_rate": mean(metrics["flip_rate_10s"]),
        "messages": int(metrics["messages"][-1] - before["messages"]) if metrics.size else 0,
        "inventory_age_p95_s": float(np.nanpercentile(age, 95)) if np.isfinite(age).any() else np.nan,
        "start_position": position * lot,
        "max_position": float(np.abs(held).max() * lot),
        "final_position": float(metrics["position_lots"][-1] if metrics.size else position) * lot,
    }


def _before(metrics: Array, start_ns: int) -> Any:
    """The `METRIC` row at the window's start, or zeros."""
    n = int(np.searchsorted(metrics["local_ns"], start_ns, "right"))
    return metrics[n - 1] if n else np.zeros(1, METRIC)[0]


def quote_path(instrument: Instrument, before: Any, metrics: Array) -> Array:
    """Net P&L since the window's start after each row, quote currency: each increment at its own mid."""
    net = metrics["net_pnl"]
    steps = np.diff(net, prepend=before["net_pnl"])
    return np.cumsum(steps * forward(metrics["mid"]) if instrument.inverse else steps)


def forward(mid: Array) -> Array:
    """The last known value; before the first one, that."""
    known = np.flatnonzero(np.isfinite(mid))
    if not known.size:
        return np.zeros(mid.size)
    return mid[known[np.maximum(np.searchsorted(known, np.arange(mid.size), "right") - 1, 0)]]


def notional(instrument: Instrument, fills: Array) -> Array:
    """Traded notional of each fill, quote currency."""
    size = fills["size_lots"] * instrument.lot_size * instrument.contract_size
    return size if instrument.inverse else size * fills["price_ticks"] * instrument.tick_size


def markout_1s(window: Window, fills: Array) -> Array:
    """Markout of each fill after a second, bps; NaN where not complete."""
    fees = (window.instrument.maker_fee_bps, window.instrument.taker_fee_bps)
    rows = markouts_of(window.reference, window.instrument.tick_size, fills, fees)
    return wide(rows, fills.size)[f"markout_{CONTROL_S:g}s_bps"]


def mean(values: Array) -> float:
    """Mean of the known values; NaN if there are none."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else np.nan


def gate_times(window: Window, decisions: Array) -> dict[str, float]:
    """How long gates and switches held back at least one side: ``time_<reason>_s``.

    Parameters
    ----------
    window : Window
    decisions : ndarray
        ``local_ns, bid_reasons, ask_reasons`` of each change, ascending; the last one at or before the window's start
        says how it begins (none: nothing held back).
    """
    times = np.clip(decisions["local_ns"], window.start_ns, window.end_ns)
    lasted_ns = np.diff(times, append=window.end_ns)
    reasons = decisions["bid_reasons"] | decisions["ask_reasons"]
    return {
        f"time_{reason.name.lower()}_s": float(lasted_ns[reasons & int(reason) != 0].sum() / NS_PER_S)
        for reason in (*GATES, *SWITCHES)
        if reason.name
    }


OPTIONAL = frozenset(f"time_{reason.name.lower()}_s" for reason in SWITCHES if reason.name)
"""Figures that are shown only where one of them is not 0."""
