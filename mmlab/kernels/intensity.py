"""Market orders of a feed, and how far from mid each one reached: the data of an intensity fit.

A market order is all trades of one aggressor side with one exchange time, at the worst of their prices. It reaches
distance d when a quote resting d away from the prevailing mid, on the side it hits, would have traded. Distances are
counted in half-ticks, so that they are whole numbers whatever the spread.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mmlab.events import Kind
from mmlab.kernels.policy import kernel, records

DEPTH, TRADE, ADD, EXECUTE = int(Kind.DEPTH), int(Kind.TRADE), int(Kind.ADD), int(Kind.EXECUTE)
NO_DISTANCE = np.iinfo(np.int64).min
"""Distance of a market order that met no valid book."""

Array = np.ndarray[Any, Any]

MARKET_ORDER = np.dtype(
    [("exch_ns", "i8"), ("local_ns", "i8"), ("side", "i8"), ("price_ticks", "i8"), ("size_lots", "i8")], align=True
)
"""``side`` is the aggressor's (+1 buys), ``price_ticks`` the worst price paid, ``local_ns`` that of the first print."""


@kernel
def merge_market_orders(events: Array, out: Array) -> int:
    """Write the market orders of `events` in order of their first print; return their number.

    Prints of the two sides may alternate at one exchange time, so each side remembers its own last order.
    """
    n, last_buy, last_sell = 0, -1, -1
    for i in range(events.size):
        e = events[i]
        if e.kind != TRADE and e.kind != EXECUTE:
            continue
        side = np.int64(e.side) if e.kind == TRADE else -np.int64(e.side)
        last = last_buy if side > 0 else last_sell
        if last >= 0 and out[last].exch_ns == e.exch_ns:
            order = out[last]
            order.size_lots += e.size_lots
            order.price_ticks = side * max(side * order.price_ticks, side * e.price_ticks)
            continue
        order = out[n]
        order.exch_ns, order.local_ns, order.side = e.exch_ns, e.local_ns, side
        order.price_ticks, order.size_lots = e.price_ticks, e.size_lots
        if side > 0:
            last_buy = n
        else:
            last_sell = n
        n += 1
    return n


@kernel
def order_distances(orders: Array, book: Array, out: Array) -> None:
    """Half-ticks from the mid that prevailed strictly before each order to its worst price; may be negative.

    `book` is a `BOOK` table; an order before its first row, or that meets an invalid row, gets `NO_DISTANCE`.
    """
    row = -1
    for i in range(orders.size):
        order = orders[i]
        while row + 1 < book.size and book[row + 1].exch_ns < order.exch_ns:
            row += 1
        if row < 0 or book[row].valid == 0:
            out[i] = NO_DISTANCE
        else:
            out[i] = order.side * (2 * order.price_ticks - book[row].bid_ticks - book[row].ask_ticks)


def market_orders(events: Array) -> Array:
    """Market orders of a stretch of events: trades of one side and exchange time, at their worst price.

    Returns
    -------
    ndarray of MARKET_ORDER, shape (m,)
    """
    out = np.zeros(int(np.count_nonzero(np.isin(events["kind"], (TRADE, EXECUTE)))), MARKET_ORDER)
    return out[: merge_market_orders(records(events), records(out))]


def distances_half_ticks(orders: Array, book: Array) -> Array:
    """`order_distances` of every order: ndarray of int64, shape (orders,)."""
    out = np.empty(orders.size, np.int64)
    order_distances(records(orders), records(book), out)
    return out


def reached(distance: Array, weight: Array, grid: Array) -> Array:
    """Sum of the weights of the distances >= each point of the ascending `grid`."""
    order = np.argsort(distance, kind="stable")
    from_the_end = np.append(np.cumsum(weight[order][::-1])[::-1], 0.0)
    return from_the_end[np.searchsorted(distance[order], grid, side="left")]


def book_intervals_ns(events: Array) -> Array:
    """Local time between consecutive venue messages about the book.

    Returns
    -------
    ndarray of int64, shape (messages - 1,)
    """
    kind = events["kind"]
    rows = events[(kind == DEPTH) | (kind >= ADD)]
    before, after = rows[:-1], rows[1:]
    starts = (before["exch_ns"] != after["exch_ns"]) | (
        (before["kind"] == DEPTH) & (after["kind"] == DEPTH) & (before["order_id"] != after["order_id"])
    )
    times = rows["local_ns"]
    return np.diff(times[np.concatenate([[True], starts])]) if rows.size else np.empty(0, np.int64)
