"""The order book of a feed: dense level arrays and the table of best quotes.

A book side is an int64 array of sizes in lots, indexed by price tick minus the window's lowest tick. Setting a level
is one store; the best price moves by scanning, which touches few cells since best quotes move little. Levels outside
the window (farther than a factor 2 from every trade) cannot become best quotes and are left out, so the arrays stay
small where a venue publishes orders at absurd prices. Untouched pages of the arrays cost no memory.

The book does not depend on our orders, so a feed's table is worked out once and shared by every run on that feed.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mmlab.events import BOOK, NO_PRICE, Kind
from mmlab.kernels.policy import kernel

DEPTH, TRADE, BEGIN, END, GAP = (
    int(Kind.DEPTH), int(Kind.TRADE), int(Kind.SNAPSHOT_BEGIN), int(Kind.SNAPSHOT_END), int(Kind.GAP)
)  # fmt: skip
ADD, CANCEL, EXECUTE = int(Kind.ADD), int(Kind.CANCEL), int(Kind.EXECUTE)
Array = np.ndarray[Any, Any]


@kernel
def price_window(events: Array) -> tuple[int, int]:
    """Lowest and highest tick of the level arrays: the span of book rows, within a factor 2 of the trades."""
    big = 1 << 62
    low, high, trade_low, trade_high = big, -big, big, -big
    for i in range(events.size):
        kind, price = events[i].kind, events[i].price_ticks
        if kind == TRADE or kind == EXECUTE:
            trade_low, trade_high = min(trade_low, price), max(trade_high, price)
        if kind == DEPTH or kind >= ADD:
            low, high = min(low, price), max(high, price)
    if low > high:
        return 0, 0
    if trade_low <= trade_high:
        low, high = max(low, trade_low // 2), min(high, trade_high * 2)
    return low, max(low, high)


@kernel
def scan(levels: Array, index: int, step: int) -> int:
    """First index at or beyond `index` in direction `step` that holds size; -1 if none."""
    while 0 <= index < levels.size:
        if levels[index] > 0:
            return index
        index += step
    return -1


@kernel
def set_level(levels: Array, best: int, index: int, size: int, step: int) -> int:
    """Set a level and return the side's best index (-1: empty). `step` is -1 for bids, +1 for asks."""
    levels[index] = size
    if size > 0:
        return index if best < 0 or (index - best) * step < 0 else best
    return scan(levels, index + step, step) if index == best else best


@kernel
def level_size(kind: int, levels: Array, index: int, size: int) -> int:
    """Size of the level after a book row: absolute for DEPTH, a change for order-by-order rows."""
    if kind == DEPTH:
        return size
    return levels[index] + size if kind == ADD else max(0, levels[index] - size)


@kernel
def same_message(a: Any, b: Any) -> bool:
    """Whether two consecutive book rows belong to one venue message."""
    return a.exch_ns == b.exch_ns and (a.kind != DEPTH or b.kind != DEPTH or a.order_id == b.order_id)


@kernel
def fill_book_table(events: Array, low: int, bids: Array, asks: Array, out: Array) -> int:
    """Write one `BOOK` row a venue message that changed the best quotes; return their number.

    `bids` and `asks` are the zeroed level arrays of the window from tick `low`.
    """
    n, width = 0, bids.size
    best_bid, best_ask = -1, -1
    usable, in_snapshot, pending = True, False, False
    bid, ask, bid_lots, ask_lots, valid = NO_PRICE, NO_PRICE, 0, 0, 0
    for i in range(events.size):
        e = events[i]
        kind = e.kind
        if kind == TRADE:
            continue
        if kind == DEPTH or kind >= ADD:
            index = e.price_ticks - low
            if 0 <= index < width:
                if e.side > 0:
                    best_bid = set_level(bids, best_bid, index, level_size(kind, bids, index, e.size_lots), -1)
                else:
                    best_ask = set_level(asks, best_ask, index, level_size(kind, asks, index, e.size_lots), 1)
            if in_snapshot:
                continue
            pending = True
            if i + 1 < events.size:
                following = events[i + 1]
                if (following.kind == DEPTH or following.kind >= ADD) and same_message(e, following):
                    continue
        elif kind == BEGIN:
            bids[:] = 0
            asks[:] = 0
            best_bid, best_ask = -1, -1
            usable, in_snapshot, pending = False, True, True
        elif kind == END:
            usable, in_snapshot, pending = True, False, True
        elif kind == GAP:
            usable, pending = False, True
        if not pending:
            continue
        pending = False
        new_bid = low + best_bid if best_bid >= 0 else NO_PRICE
        new_ask = low + best_ask if best_ask >= 0 else NO_PRICE
        new_bid_lots = bids[best_bid] if best_bid >= 0 else 0
        new_ask_lots = asks[best_ask] if best_ask >= 0 else 0
        new_valid = 1 if usable and best_bid >= 0 and best_ask >= 0 and best_bid < best_ask else 0
        if (
            new_bid != bid or new_ask != ask or new_bid_lots != bid_lots or new_ask_lots != ask_lots
            or new_valid != valid
        ):  # fmt: skip
            bid, ask, bid_lots, ask_lots, valid = new_bid, new_ask, new_bid_lots, new_ask_lots, new_valid
            row = out[n]
            row.exch_ns, row.local_ns, row.row = e.exch_ns, e.local_ns, i
            row.bid_ticks, row.ask_ticks, row.bid_lots, row.ask_lots = bid, ask, bid_lots, ask_lots
            row.valid = valid
            n += 1
    return n


def level_arrays(events: Array) -> tuple[int, Array, Array]:
    """Lowest tick of the window and the two zeroed level arrays."""
    low, high = price_window(events)
    width = high - low + 1
    return low, np.zeros(width, np.int64), np.zeros(width, np.int64)


def book_table(events: Array) -> Array:
    """Best quotes after each venue message that changed them.

    Parameters
    ----------
    events : ndarray of EVENT, shape (n,)

    Returns
    -------
    ndarray of BOOK, shape (m,)
    """
    low, bids, asks = level_arrays(events)
    out = np.zeros(events.size, BOOK)
    return out[: fill_book_table(events, low, bids, asks, out)]
