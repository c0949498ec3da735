"""The order book of a feed: the table of best quotes, and the trades.

A level's index is its distance in ticks from the end of the price window, counted so that on both sides a better price
has the smaller index; so bid and ask are one code. Setting a level is one store, and only a row at or ahead of the best
price can change the best quotes. Levels outside the window (farther than a factor 2 from every trade) cannot become
best quotes and are left out, so the levels stay few where a venue publishes orders at absurd prices.

The book does not depend on our orders, so all this is worked out once a feed and shared by every run on it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mmlab.events import BOOK, NO_PRICE, Kind
from mmlab.kernels.policy import kernel, one_row, records

DEPTH, TRADE, BEGIN, END, GAP = (
    int(Kind.DEPTH), int(Kind.TRADE), int(Kind.SNAPSHOT_BEGIN), int(Kind.SNAPSHOT_END), int(Kind.GAP)
)  # fmt: skip
ADD, CANCEL, EXECUTE = int(Kind.ADD), int(Kind.CANCEL), int(Kind.EXECUTE)
MARK, FUNDING = int(Kind.MARK), int(Kind.FUNDING)
Array = np.ndarray[Any, Any]

NO_CELL, BEGIN_CELL, END_CELL = -1, -2, -3
"""What a row names instead of a level: nothing (or a level outside the window), a snapshot's begin, its end."""
MAX_LOTS, LARGE = 2**31 - 1, -1
"""Largest size of a `STEP`; a larger one is `LARGE` there, and has to be looked up in the feed."""
BLOCK_BITS, MAX_SINCE = 3, 2**31 - 1
"""Rows are grouped by 8 to be found by time; a `STEP` has the ns since the block before, up to 2.1 s."""
STEP = np.dtype([("cell", "i4"), ("lots", "i4"), ("since_ns", "i4")], align=True)
"""What a row does to the levels: the cell of the level it names, the level's size after it, and when, as `read_feed`
says."""
PRINT = np.dtype(
    [
        ("exch_ns", "i8"),
        ("local_ns", "i8"),
        ("row", "i8"),
        ("end_row", "i8"),
        ("price_ticks", "i8"),
        ("signed_lots", "i8"),
    ],
    align=True,
)
"""A trade (TRADE or EXECUTE row): ``signed_lots`` > 0 when the aggressor bought; ``end_row`` is the first row of the
book that the exchange takes after it."""


READING = np.dtype(
    [
        ("row", "i8"), ("n", "i8"), ("best", "i8", (2,)), ("usable", "u1"), ("in_snapshot", "u1"), ("touched", "u1"),
        ("empty", "u1"), ("prints", "i8"), ("others", "i8"), ("end_row", "i8"), ("book_ns", "i8"), ("block_ns", "i8"),
        ("bid", "i8"), ("ask", "i8"), ("bid_lots", "i8"), ("ask_lots", "i8"), ("valid", "i8"), ("waiting", "i8"),
    ], align=True,
)  # fmt: skip
"""Where the reading of a feed stands: ``row`` comes next, ``n, prints, others`` rows are written. ``best``: cell of the
best level a side; ``waiting``: the first `PRINT` after which no row of the book has come yet."""


@kernel
def survey(events: Array) -> tuple[Any, Any, int, int, bool]:
    """What a feed holds, before it is read.

    Returns
    -------
    low, high : int
        Window of the levels in ticks: the span of book rows, within a factor 2 of the trades.
    prints, others : int
        Number of trades, and of rows that are neither trades nor levels.
    by_order : bool
        Whether the feed is order by order.
    """
    big = np.int64(1) << 62
    low, high, trade_low, trade_high = big, -big, big, -big
    prints, others, by_order = 0, 0, False
    for i in range(events.size):
        kind, price = events[i].kind, events[i].price_ticks
        if kind == DEPTH:
            low, high = min(low, price), max(high, price)
            continue
        if kind >= ADD:
            by_order = True
            low, high = min(low, price), max(high, price)
        if kind == TRADE or kind == EXECUTE:
            prints += 1
            trade_low, trade_high = min(trade_low, price), max(trade_high, price)
        elif kind < ADD:
            others += 1
    if low > high:
        return 0, 0, prints, others, by_order
    if trade_low <= trade_high:
        low, high = max(low, trade_low // 2), min(high, trade_high * 2)
    return low, max(low, high), prints, others, by_order


@kernel
def same_message(a: Any, b: Any) -> bool:
    """Whether two consecutive rows belong to one venue message (a maximal run of book rows, see `mmlab.events`)."""
    return (
        (b.kind == DEPTH or b.kind >= ADD)
        and a.exch_ns == b.exch_ns
        and (a.kind != DEPTH or b.kind != DEPTH or a.order_id == b.order_id)
    )


@kernel
def is_book(kind: int) -> bool:
    """Whether rows of this kind belong to the book's stream, and so keep their order on both clocks."""
    return kind != TRADE and kind != MARK and kind != FUNDING


@kernel
def first_book_row(events: Array, row: int, exch_ns: int) -> int:
    """First row of the book at or after `row` that is not before `exch_ns` on the exchange's clock."""
    while row < events.size and not (is_book(events[row].kind) and events[row].exch_ns >= exch_ns):
        row += 1
    return row


@kernel
def write_print(out: Array, n: int, e: Any, row: int, end_row: int, aggressor: int) -> None:
    """Write one `PRINT` row."""
    r = out[n]
    r.exch_ns, r.local_ns, r.row, r.end_row = e.exch_ns, e.local_ns, row, end_row
    r.price_ticks, r.signed_lots = e.price_ticks, aggressor * e.size_lots


@kernel
def size_after(kind: int, before: int, lots: int) -> int:
    """Size of a level after a book row: absolute for DEPTH, a change for order-by-order rows."""
    if kind == DEPTH:
        return lots
    return before + lots if kind == ADD else max(0, before - lots)


def first_reading(width: int) -> Array:
    """A `READING` row at the start of a feed, for a price window of `width` levels."""
    reading = one_row(READING)
    reading["best"], reading["usable"], reading["empty"] = width, 1, 1
    reading["book_ns"] = reading["block_ns"] = reading["bid"] = reading["ask"] = NO_PRICE
    return reading


@kernel
def close_prints(events: Array, prints: Array, c: Any) -> None:
    """Find the row of the book after trades that had none yet, among rows that have come since."""
    i = c.waiting
    while i < c.prints:
        end_row = first_book_row(events, prints[i].end_row, prints[i].exch_ns)
        prints[i].end_row = c.end_row = end_row
        if end_row == events.size:
            break
        i += 1
    for j in range(i + 1, c.prints):
        prints[j].end_row = c.end_row = events.size
    c.waiting = i


@kernel
def read_feed(
    events: Array, stop: int, low: int, high: int, by_order: bool, levels: Array, out: Array, prints: Array,
    others: Array, steps: Array, times: Array, reading: Array,
) -> None:  # fmt: skip
    """Read a feed once: write one `BOOK` row a venue message that changed the best quotes.

    Parameters
    ----------
    events : EVENT[n]
    stop : int
        Read rows before this one; later rows are looked at only to tell where a message ends.
    low, high : int
        Price window in ticks.
    by_order : bool
        Whether the feed is order by order: then its own order holds on both clocks.
    levels : i8[2, high - low + 1]
        Zeroed; bids in row 0.
    out : BOOK[n]
    prints, others : PRINT[], i8[]
        Trades, and rows that are neither trades nor levels.
    steps : STEP[n]
        What each row does to the levels; the cells of asks follow those of bids.
    times : i8[n / 8, rounded up]
        Latest exchange time of the book's stream up to the end of each block of 8 rows; ``STEP.since_ns`` is the same
        up to each row, less that of the block before.
    reading : READING[1]
        From `first_reading`; a feed that grows is read on from where it stands.

    Notes
    -----
    `prints`, `others`, `steps` and `times` may be empty, all four; then only `out` is written.
    """
    c = reading[0]
    width, full = levels.shape[1], steps.size > 0
    base = np.array([high, -low])
    best = np.array([c.best[0], c.best[1]])  # cell of the best level, bid and ask; width: the side is empty
    n, usable, in_snapshot, touched, empty = c.n, c.usable != 0, c.in_snapshot != 0, c.touched != 0, c.empty != 0
    if full and not by_order and c.waiting < c.prints:
        close_prints(events, prints, c)
    n_prints, n_others, end_row, book_ns, block_ns = c.prints, c.others, c.end_row, c.book_ns, c.block_ns
    bid, ask, bid_lots, ask_lots, valid = c.bid, c.ask, c.bid_lots, c.ask_lots, c.valid
    for i in range(c.row, stop):
        e = events[i]
        kind = e.kind
        if full:
            step = steps[i]
            step.cell = NO_CELL
            if i & ((1 << BLOCK_BITS) - 1) == 0:
                block_ns = book_ns
            if is_book(kind):
                book_ns = e.exch_ns
            times[i >> BLOCK_BITS] = book_ns
            step.since_ns = min(book_ns - block_ns, MAX_SINCE) if block_ns != NO_PRICE else MAX_SINCE
        if kind == TRADE:
            if full:
                # at equal time the trade comes first; a trade that is heard late lies behind rows read already
                end_row = (
                    i + 1 if by_order else first_book_row(events, i if e.exch_ns > book_ns else end_row, e.exch_ns)
                )
                write_print(prints, n_prints, e, i, end_row, e.side)
                n_prints += 1
            continue
        if kind == DEPTH or kind >= ADD:
            s = (1 - e.side) >> 1
            x = base[s] - e.side * e.price_ticks
            if 0 <= x < width:
                size = size_after(kind, levels[s, x], e.size_lots)
                levels[s, x] = size
                empty = False
                if full:
                    step = steps[i]
                    step.cell = x + s * width
                    step.lots = size if size <= MAX_LOTS else LARGE
                if x <= best[s]:
                    touched = True
                    if size > 0:
                        best[s] = x
                    elif x == best[s]:
                        while x < width and levels[s, x] == 0:
                            x += 1
                        best[s] = x
            if kind == EXECUTE and full:
                write_print(prints, n_prints, e, i, i, -e.side)
                n_prints += 1
            if in_snapshot or not touched or (i + 1 < events.size and same_message(e, events[i + 1])):
                continue
        else:
            if full:
                others[n_others] = i
                n_others += 1
                steps[i].cell = BEGIN_CELL if kind == BEGIN else (END_CELL if kind == END else NO_CELL)
            if kind == BEGIN:
                if not empty:
                    levels[:] = 0
                empty = True
                best[:] = width
                usable, in_snapshot = False, True
            elif kind == END:
                usable, in_snapshot = True, False
            elif kind == GAP:
                usable = False
            else:
                continue
        touched = False
        two_sided = best[0] < width and best[1] < width
        new_bid = high - best[0] if best[0] < width else NO_PRICE
        new_ask = low + best[1] if best[1] < width else NO_PRICE
        new_bid_lots = levels[0, best[0]] if best[0] < width else 0
        new_ask_lots = levels[1, best[1]] if best[1] < width else 0
        new_valid = 1 if usable and two_sided and new_bid < new_ask else 0
        if (
            new_bid != bid
            or new_ask != ask
            or new_bid_lots != bid_lots
            or new_ask_lots != ask_lots
            or new_valid != valid
        ):
            bid, ask, bid_lots, ask_lots, valid = new_bid, new_ask, new_bid_lots, new_ask_lots, new_valid
            row = out[n]
            row.exch_ns, row.local_ns, row.row = e.exch_ns, e.local_ns, i
            row.bid_ticks, row.ask_ticks, row.bid_lots, row.ask_lots = bid, ask, bid_lots, ask_lots
            row.valid = valid
            n += 1
    c.row, c.n, c.best[0], c.best[1], c.usable, c.in_snapshot = stop, n, best[0], best[1], usable, in_snapshot
    c.touched, c.empty, c.prints, c.others, c.end_row, c.book_ns = touched, empty, n_prints, n_others, end_row, book_ns
    c.block_ns, c.bid, c.ask, c.bid_lots, c.ask_lots, c.valid = block_ns, bid, ask, bid_lots, ask_lots, valid
    while full and c.waiting < n_prints and (by_order or prints[c.waiting].end_row < events.size):
        c.waiting += 1


def frozen(array: Array) -> Array:
    """A read-only view as kernels take it: they are compiled for one kind of feed array."""
    view = records(array.view())
    view.flags.writeable = False
    return view


def book_table(events: Array) -> Array:
    """Best quotes after each venue message that changed them.

    Parameters
    ----------
    events : ndarray of EVENT, shape (n,)

    Returns
    -------
    ndarray of BOOK, shape (m,)
    """
    events = frozen(events)
    low, high, _, _, by_order = survey(events)
    out = np.empty(events.size, BOOK)  # only what is written costs memory
    levels, none = np.zeros((2, high - low + 1), np.int64), np.empty(0, np.int64)
    prints, steps = records(np.empty(0, PRINT)), records(np.empty(0, STEP))
    reading = first_reading(levels.shape[1])
    read_feed(
        events, events.size, low, high, by_order, levels, records(out), prints, none, steps, none, reading
    )  # fmt: skip
    return out[: int(reading["n"][0])]
