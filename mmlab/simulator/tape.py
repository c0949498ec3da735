"""What every run on a feed shares: all that can be worked out from its rows without knowing our orders.

The book does not depend on us, so its best quotes, its trades and what each row does to the levels are derived once
(`read_feed`). A run walks these, which are small, and hardly looks at the feed's own rows.

Book rows keep their order on both clocks, and so do trades; between the two streams the order may differ. So exchange
order is a merge of the two, never a sort.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from mmlab.errors import FeedError
from mmlab.events import BOOK, EVENT
from mmlab.kernels.book import (
    ADD,
    BLOCK_BITS,
    CANCEL,
    EXECUTE,
    LARGE,
    MAX_LOTS,
    PRINT,
    STEP,
    first_reading,
    frozen,
    read_feed,
    survey,
)
from mmlab.kernels.policy import kernel, records

Array = np.ndarray[Any, Any]
MAX_ROWS = 2**31 - 2
LATENCY_SAMPLES = 1 << 16


@dataclass(frozen=True)
class Tape:
    """Tables derived from a feed's rows.

    Attributes
    ----------
    events : ndarray of EVENT, shape (n,)
        The rows themselves, read-only.
    book : ndarray of BOOK, shape (m,)
        Best quotes after each venue message that changed them.
    prints : ndarray of PRINT
        The trades.
    others : ndarray of int64
        Rows that are neither trades nor levels: GAP, snapshots, FUNDING, MARK.
    steps : ndarray of STEP, shape (n,)
        What each row does to the levels. A cell: bids counted down from `high_ticks`, then asks up from `low_ticks`;
        negative where the row names no level (`mmlab.kernels.book`).
    times : ndarray of int64
        Latest exchange time of the book's stream up to the end of each block of 8 rows.
    added : ndarray of int32, shape (n,) or (0,)
        Order-by-order feeds: for each CANCEL and EXECUTE row the row of the order's ADD, plus 1 (0: unknown).
    low_ticks, high_ticks : int
        Window of the levels kept.
    by_order : bool
        Whether the feed is order by order.
    """

    events: Array
    book: Array
    prints: Array
    others: Array
    steps: Array
    times: Array
    added: Array
    low_ticks: int
    high_ticks: int
    by_order: bool

    @cached_property
    def latency_ns(self) -> Array:
        """Recorded `local_ns - exch_ns` of the feed, at most 65,536 samples spread evenly."""
        step = max(1, self.events.size // LATENCY_SAMPLES)
        rows = self.events[::step]
        return np.maximum(rows["local_ns"] - rows["exch_ns"], 0)


@kernel
def slot_of(ids: Array, order_id: int) -> Any:
    """Place of `order_id` in an open-addressing table whose size is a power of 2."""
    mask = ids.size - 1
    i = (order_id * np.int64(-7046029254386353131)) >> 20 & mask
    while ids[i] != order_id and ids[i] != -1:
        i = (i + 1) & mask
    return i


@kernel
def find_adds(events: Array, ids: Array, rows: Array, added: Array) -> None:
    """For each CANCEL and EXECUTE row find the row of the order's latest ADD, plus 1.

    `ids` (filled with -1) and `rows` (zeroed) are a hash table of at least twice as many places as there are ADD rows.
    """
    for i in range(events.size):
        e = events[i]
        if e.kind == ADD:
            k = slot_of(ids, e.order_id)
            ids[k], rows[k] = e.order_id, i + 1
        elif e.kind == CANCEL or e.kind == EXECUTE:
            added[i] = rows[slot_of(ids, e.order_id)]


def find_all_adds(events: Array) -> Array:
    """For each CANCEL and EXECUTE row of a feed the row of the order's ADD, plus 1 (0: unknown)."""
    adds = int(np.count_nonzero(events["kind"] == ADD))
    places = 1 << max(4, (2 * adds).bit_length())
    added = np.zeros(events.size, np.int32)
    find_adds(events, np.full(places, -1, np.int64), np.zeros(places, np.int32), added)
    return added


def build_tape(events: Array) -> Tape:
    """Derive a feed's tables.

    Parameters
    ----------
    events : ndarray of EVENT, shape (n,)
        Sorted as `mmlab.events` says.

    Returns
    -------
    Tape

    Raises
    ------
    FeedError
        The rows are of another dtype, or too many for one tape.
    """
    if events.dtype != EVENT:
        raise FeedError(f"events have dtype {events.dtype}: build them as np.zeros(n, mmlab.EVENT)")
    if events.size > MAX_ROWS:
        raise FeedError(f"{events.size} events are too many for one replay (at most {MAX_ROWS}): split the feed")
    events = frozen(np.ascontiguousarray(events).view(EVENT))
    low, high, n_prints, n_others, by_order = survey(events)
    prints, others = np.empty(n_prints, PRINT), np.empty(n_others, np.int64)
    book = np.empty(events.size, BOOK)  # only the part that is written costs memory
    levels = np.zeros((2, high - low + 1), np.int64)
    steps = np.empty(events.size, STEP)
    times = np.empty((events.size >> BLOCK_BITS) + 1, np.int64)
    reading = first_reading(levels.shape[1])
    read_feed(
        events, events.size, low, high, by_order, levels, records(book), records(prints), others, records(steps),
        times, reading,
    )  # fmt: skip
    if by_order and (steps["lots"][steps["cell"] >= 0] == LARGE).any():
        raise FeedError(
            f"a level of an order-by-order feed holds more than {MAX_LOTS} lots: import it with a larger lot"
        )
    added = find_all_adds(events) if by_order else np.zeros(0, np.int32)
    return Tape(events, book[: int(reading["n"][0])], prints, others, steps, times, added, low, high, by_order)
