"""Money of a run in quote currency, and the bridge from spread capture to net P&L (`terms.md`)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from mmlab.lab.fill_markouts import CONTROL_S, wide
from mmlab.lab.record import Record

Array = np.ndarray[Any, Any]

BRIDGE = ("spread capture", "adverse (1 s)", "later drift and inventory", "less fees", "funding", "net")


def notional(record: Record) -> Array:
    """Traded notional of each fill, quote currency."""
    fills, instrument = record.tables.fills, record.instrument
    size = fills["size_lots"] * instrument.lot_size * instrument.contract_size
    return size if instrument.inverse else size * fills["price_ticks"] * instrument.tick_size


def to_quote(record: Record, settle: Array) -> Array:
    """A running total of the metrics table in quote currency: each increment converted at its own mid.

    Parameters
    ----------
    settle : ndarray of float64, shape (n,)
        Running total in settle currency, one value a row of the metrics table; NaN counts as unchanged.
    """
    settle = pd.Series(settle).ffill().fillna(0.0).to_numpy()
    if not record.instrument.inverse:
        return settle
    mid = pd.Series(record.tables.metrics["mid"]).ffill().bfill().to_numpy()
    return np.cumsum(np.diff(settle, prepend=0.0) * mid)


def last(values: Array) -> float:
    """Last value that is known; NaN if none is."""
    known = values[~np.isnan(values)]
    return float(known[-1]) if known.size else np.nan


def bridge(record: Record) -> pd.DataFrame:
    """From spread capture to net P&L.

    Returns
    -------
    DataFrame
        Index `BRIDGE`; ``quote`` (quote currency) and ``bps`` (of traded notional). The rows before ``net`` sum to it.
        Fills without a mid just before, or a second later, add nothing to their row: what they earned is in the drift.
    """
    fills, metrics = record.tables.fills, record.tables.metrics
    traded = notional(record)
    price = fills["price_ticks"] * record.instrument.tick_size
    capture = 1e4 * fills["side"] * (fills["mid"] - price) / price
    markout = wide(record.markouts, fills.size)[f"markout_{CONTROL_S:g}s_bps"]
    totals = {name: last(to_quote(record, metrics[name])) for name in ("net_pnl", "fees", "funding")}
    captured = float(np.nansum(capture * traded) * 1e-4)
    adverse = float(np.nansum((markout - capture) * traded) * 1e-4)
    drift = totals["net_pnl"] - captured - adverse + totals["fees"] - totals["funding"]
    quote = np.array([captured, adverse, drift, -totals["fees"], totals["funding"], totals["net_pnl"]])
    total = traded.sum()
    return pd.DataFrame(
        {"quote": quote, "bps": quote / total * 1e4 if total else np.full(6, np.nan)}, index=list(BRIDGE)
    )
