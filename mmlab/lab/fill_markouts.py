"""Markouts of a run's fills, on the feed's own book."""

from __future__ import annotations

from typing import Any

import numpy as np

from mmlab.events import NO_PRICE, NS_PER_S
from mmlab.feeds.feed import Feed
from mmlab.kernels.markout_table import gap_rows, markout_table
from mmlab.resolve import MAX_QUOTE_AGE_S
from mmlab.telemetry.tables import MARKOUT

Array = np.ndarray[Any, Any]

Reference = tuple[Array, Array, Array]
"""Exchange time and mid after each book event, and the rows without a book."""

HORIZONS_S = (0.1, 0.5, 1.0, 5.0, 30.0, 60.0)
CONTROL_S = 1.0
"""Horizon of headline figures."""


def fill_markouts(feed: Feed, fills: Array, maker_taker_bps: tuple[float, float]) -> Array:
    """Every completed markout of `fills`.

    Parameters
    ----------
    feed : Feed
        Its book is the reference, on the exchange clock.
    fills : ndarray of FILL
    maker_taker_bps : tuple of float
        Fees of the run, indexed by `Liquidity`.

    Returns
    -------
    ndarray of MARKOUT
        One row a fill and horizon, by exchange time; those that are not complete, or touch a gap, are left out.
    """
    if "reference" not in feed.cache:
        feed.cache["reference"] = reference(feed.book(), feed.instrument.tick_size)
    return markouts_of(feed.cache["reference"], feed.instrument.tick_size, fills, maker_taker_bps)


def markouts_of(reference: Reference, tick_size: float, fills: Array, maker_taker_bps: tuple[float, float]) -> Array:
    """`fill_markouts` against a `reference`."""
    quote_ns, mid, gaps = reference
    horizons_ns = np.array([round(h * NS_PER_S) for h in HORIZONS_S])
    n, h = fills.size, horizons_ns.size
    order = np.argsort(fills["exch_ns"], kind="stable")
    fills = fills[order]
    price = fills["price_ticks"] * tick_size
    out = np.empty((2 * h + 2, n))
    markout_table(
        np.ascontiguousarray(fills["exch_ns"]), np.ascontiguousarray(fills["side"]), price, quote_ns, mid, gaps,
        horizons_ns, round(MAX_QUOTE_AGE_S * NS_PER_S), out,
    )  # fmt: skip
    rows = np.zeros((n, h), MARKOUT)
    rows["fill"] = order[:, None]
    for name in ("hit_id", "exch_ns", "side"):
        rows[name] = fills[name][:, None]
    rows["horizon_ns"] = horizons_ns
    rows["markout_bps"] = out[:h].T
    rows["spread_capture_bps"] = out[h + 1][:, None]
    rows["adverse_bps"] = out[h + 2 :].T
    rows["net_markout_bps"] = rows["markout_bps"] - np.array(maker_taker_bps)[fills["liquidity"]][:, None]
    return rows[~np.isnan(rows["markout_bps"])]


def reference(book: Array, tick_size: float) -> Reference:
    """Exchange time and mid after each row of a `BOOK` table, and the rows without a book."""
    bid, ask = (np.where(book[s] == NO_PRICE, np.nan, book[s] * tick_size) for s in ("bid_ticks", "ask_ticks"))
    mid = np.where(book["valid"] == 1, (bid + ask) / 2, np.nan)
    return np.ascontiguousarray(book["exch_ns"]), mid, gap_rows(mid, bid, ask)


def wide(markouts: Array, fills: int) -> dict[str, Array]:
    """Columns ``markout_<h>s_bps`` and ``adverse_1s_bps``, one value a fill, NaN where not complete."""
    columns = {}
    for horizon_s in HORIZONS_S:
        rows = markouts[markouts["horizon_ns"] == round(horizon_s * NS_PER_S)]
        columns[f"markout_{horizon_s:g}s_bps"] = _spread(rows, "markout_bps", fills)
        if horizon_s == CONTROL_S:
            columns["adverse_1s_bps"] = _spread(rows, "adverse_bps", fills)
    return columns


def _spread(rows: Array, name: str, fills: int) -> Array:
    values = np.full(fills, np.nan)
    values[rows["fill"]] = rows[name]
    return values
