"""The order book of a feed that is still going: what `book` works out for a whole feed, message by message.

A level's index counts ticks from the end of a price window, so that on both sides a better price has the smaller index.
The window spans a factor of 4 in price; a level outside it is counted and left out. When the market drifts to a quarter
of the window's end, `recentred` moves it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mmlab.events import NO_PRICE
from mmlab.kernels.book import ADD, BEGIN, DEPTH, END, GAP, size_after
from mmlab.kernels.policy import kernel, one_row

Array = np.ndarray[Any, Any]

LIVE_BOOK = np.dtype(
    [
        ("exch_ns", "i8"), ("local_ns", "i8"), ("bid_ticks", "i8"), ("ask_ticks", "i8"), ("bid_lots", "i8"),
        ("ask_lots", "i8"), ("valid", "i8"),
        ("low_ticks", "i8"), ("high_ticks", "i8"), ("best", "i8", (2,)), ("usable", "i8"), ("in_snapshot", "i8"),
        ("touched", "i8"), ("ignored", "i8"),
    ], align=True,
)  # fmt: skip
"""First the best quotes of the last message that changed them (a `BOOK` row). ``best``: index of the best level a side,
the window's width while it is empty; ``touched``: the present message may have changed the best quotes; ``ignored``:
rows that named a level outside the window."""


def new_book(mid_ticks: int) -> tuple[Array, Array]:
    """An empty book about a price: its record, and its levels (i8[2, width], bids in row 0)."""
    book = one_row(LIVE_BOOK)
    row = book[0]
    row["low_ticks"], row["high_ticks"] = mid_ticks // 2, 2 * max(1, mid_ticks)
    levels = np.zeros((2, int(row["high_ticks"] - row["low_ticks"]) + 1), np.int64)
    row["bid_ticks"] = row["ask_ticks"] = NO_PRICE
    row["best"], row["usable"] = levels.shape[1], 1
    return book, levels


@kernel
def needs_recentring(b: Any) -> bool:
    """Whether the best quotes have come near an end of the window."""
    quarter = (b.high_ticks - b.low_ticks) // 4
    return NO_PRICE < b.bid_ticks < b.low_ticks + quarter // 4 or b.ask_ticks > b.high_ticks - quarter


def recentred(book: Array, levels: Array) -> tuple[Array, Array]:
    """The same book in a window about its present price. Levels that the old window left out stay unknown."""
    old = book[0]
    new, more = new_book(int(old["bid_ticks"] if old["bid_ticks"] != NO_PRICE else old["ask_ticks"]))
    row = new[0]
    for name in LIVE_BOOK.names or ():
        if name not in ("low_ticks", "high_ticks", "best"):
            row[name] = old[name]
    for s, (base, was) in enumerate(((row["high_ticks"], old["high_ticks"]), (-row["low_ticks"], -old["low_ticks"]))):
        shift = int(base - was)  # index in the new window less index in the old one
        kept = np.flatnonzero(levels[s])
        kept = kept[(kept + shift >= 0) & (kept + shift < more.shape[1])]
        more[s, kept + shift] = levels[s, kept]
        found = np.flatnonzero(more[s])
        row["best"][s] = found[0] if found.size else more.shape[1]
    return new, more


@kernel
def book_row(b: Any, levels: Array, e: Any) -> bool:
    """Take one row that is no trade, mark or funding; whether a message that is complete with it may be published."""
    width, kind = levels.shape[1], e.kind
    if kind == DEPTH or kind >= ADD:
        s = (1 - e.side) >> 1
        x = (b.high_ticks if s == 0 else -b.low_ticks) - e.side * e.price_ticks
        if x < 0 or x >= width:
            b.ignored += 1
        else:
            size = size_after(kind, levels[s, x], e.size_lots)
            levels[s, x] = size
            if x <= b.best[s]:
                b.touched = 1
                if size > 0:
                    b.best[s] = x
                elif x == b.best[s]:
                    while x < width and levels[s, x] == 0:
                        x += 1
                    b.best[s] = x
        return b.in_snapshot == 0 and b.touched != 0
    if kind == BEGIN:
        levels[:] = 0
        b.best[0] = b.best[1] = width
        b.usable, b.in_snapshot = 0, 1
    elif kind == END:
        b.usable, b.in_snapshot = 1, 0
    elif kind == GAP:
        b.usable = 0
    return True


@kernel
def publish(b: Any, levels: Array, e: Any) -> bool:
    """The message that ends with row `e` is complete: whether it changed the best quotes, which stand in `b`."""
    width = levels.shape[1]
    b.touched = 0
    bid, bid_lots = NO_PRICE, 0
    ask, ask_lots = NO_PRICE, 0
    if b.best[0] < width:
        bid, bid_lots = b.high_ticks - b.best[0], levels[0, b.best[0]]
    if b.best[1] < width:
        ask, ask_lots = b.low_ticks + b.best[1], levels[1, b.best[1]]
    valid = 1 if b.usable and bid_lots > 0 and ask_lots > 0 and bid < ask else 0
    if (
        bid == b.bid_ticks and ask == b.ask_ticks and bid_lots == b.bid_lots and ask_lots == b.ask_lots
        and valid == b.valid
    ):  # fmt: skip
        return False
    b.exch_ns, b.local_ns = e.exch_ns, e.local_ns
    b.bid_ticks, b.ask_ticks, b.bid_lots, b.ask_lots, b.valid = bid, ask, bid_lots, ask_lots, valid
    return True


@kernel
def visible_lots(b: Any, levels: Array, side: int, within_ticks: int) -> int:
    """Lots of a side (+1 bid, -1 ask) from its best price to `within_ticks` behind it."""
    s = (1 - side) >> 1
    first, lots = b.best[s], 0
    for x in range(first, min(first + within_ticks + 1, levels.shape[1])):
        lots += levels[s, x]
    return lots
