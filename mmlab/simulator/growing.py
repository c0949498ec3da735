"""`GrowingTape`: the tape of a feed that is still being recorded. Every row is read once.

The price window is laid once about a price of the market, since what comes cannot be surveyed. The last row is
held back until another one follows, or the feed is over: only then is it known where its message ends.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mmlab.errors import FeedError
from mmlab.events import BOOK, EVENT, Kind
from mmlab.kernels.book import (
    BLOCK_BITS,
    LARGE,
    MAX_LOTS,
    PRINT,
    STEP,
    first_reading,
    frozen,
    read_feed,
)
from mmlab.kernels.policy import records
from mmlab.simulator.replay import _zeros
from mmlab.simulator.tape import Tape, find_all_adds

Array = np.ndarray[Any, Any]

NEAR, WHOLE = (0.25, 0.25), (0.5, 1.0)
"""Levels within these shares of the price, below and above, are kept."""
LEAST_REACH = 64
"""And within so many ticks."""
ROOM = 1 << 16
_TABLES = {"book": BOOK, "prints": PRINT, "others": np.dtype("i8"), "steps": STEP}


class GrowingTape:
    """A tape that takes rows as they come.

    Parameters
    ----------
    mid_ticks : int
        A price of the market.
    reach : (float, float)
        Shares of it, below and above, within which levels are kept (`NEAR`, `WHOLE`).
    by_order : bool
        Whether the feed is order by order.
    adds : bool
        Whether orders are looked up in the feed (``queue = "l3"``): then each `extend` reads all rows again.

    Attributes
    ----------
    size : int
        Rows taken, the one held back included.
    """

    def __init__(
        self, mid_ticks: int, reach: tuple[float, float] = NEAR, *, by_order: bool = False, adds: bool = False
    ) -> None:
        below, above = (max(LEAST_REACH, round(share * abs(mid_ticks))) for share in reach)
        self.low_ticks, self.high_ticks, self.by_order = mid_ticks - below, mid_ticks + above, by_order
        self.size, self._adds, self._mid_ticks, self._reach = 0, adds and by_order, mid_ticks, reach
        width = self.high_ticks - self.low_ticks + 1
        self._levels, self._reading = np.zeros((2, width), np.int64), first_reading(width)
        self._events = np.empty(0, EVENT)
        self._tables = {name: np.empty(0, dtype) for name, dtype in _TABLES.items()}
        self._times = np.empty(0, np.int64)

    def empty(self) -> GrowingTape:
        """An empty tape of the same price window."""
        return GrowingTape(self._mid_ticks, self._reach, by_order=self.by_order, adds=self._adds)

    @property
    def read(self) -> int:
        """Rows that are in the tape."""
        return int(self._reading["row"][0])

    @property
    def events(self) -> Array:
        """The rows that were taken."""
        return self._events[: self.size]

    def extend(self, events: Array, *, over: bool = False) -> None:
        """Take further rows; `over`: there will be no more.

        Raises
        ------
        FeedError
            A level of an order-by-order feed is too large.
        """
        if self.size + events.size > self._events.size:
            self._grow(self.size + events.size)
        self._events[self.size : self.size + events.size] = events
        self.size += events.size
        stop = self.size if over else max(self.read, self.size - 1)
        first = self.read
        if stop == first:
            return
        book, prints, others, steps = (records(self._tables[name]) for name in _TABLES)
        read_feed(
            frozen(self.events), stop, self.low_ticks, self.high_ticks, self.by_order, self._levels, book, prints,
            others, steps, self._times, self._reading,
        )  # fmt: skip
        new = self._tables["steps"][first:stop]
        if self.by_order and (new["lots"][new["cell"] >= 0] == LARGE).any():
            raise FeedError(f"a level holds more than {MAX_LOTS} lots: import the feed with a larger lot")

    def _grow(self, size: int) -> None:
        """Twice the room, at least for `size` rows; what is not written costs no memory."""
        room = max(2 * self._events.size, size + ROOM)
        self._events = _larger(self._events, room)
        self._tables = {name: _larger(table, room) for name, table in self._tables.items()}
        self._times = _larger(self._times, (room >> BLOCK_BITS) + 1)

    def tape(self) -> Tape:
        """The tape as it is now; good until the next `extend`."""
        reading, n = self._reading[0], self.read
        events = frozen(self._events[:n])
        sizes = {"book": reading["n"], "prints": reading["prints"], "others": reading["others"], "steps": n}
        tables = {name: self._tables[name][: int(size)] for name, size in sizes.items()}
        added = find_all_adds(events) if self._adds else np.zeros(0, np.int32)
        return Tape(
            events=events, times=self._times, added=added, low_ticks=self.low_ticks, high_ticks=self.high_ticks,
            by_order=self.by_order, **tables,
        )  # fmt: skip


def is_by_order(events: Array) -> bool:
    """Whether rows are of an order-by-order feed."""
    return bool((events["kind"] >= Kind.ADD).any())


def _larger(table: Array, room: int) -> Array:
    larger = _zeros(room, table.dtype)
    larger[: table.size] = table
    return larger


def moved(tape: GrowingTape, first: int, events: Array) -> tuple[GrowingTape, int] | None:
    """A tape that begins later.

    Parameters
    ----------
    tape : GrowingTape
    first : int
        The first row of it that is kept.
    events : ndarray of EVENT
        A snapshot of the book after all rows before `first`, and then the rows from there on.

    Returns
    -------
    (GrowingTape, int) or None
        The new tape, and how many rows are its opening. None where there is no usable book before `first`, or the new
        tape's would not be the same: then the move must wait.
    """
    old = tape.tape()
    before = int(np.searchsorted(old.book["row"], first))
    if not before or not old.book["valid"][before - 1]:
        return None
    new, opening = tape.empty(), events.size - (tape.size - first)
    new.extend(events, over=tape.read == tape.size)
    book, rest = new.tape().book, old.book[before:]
    book = book[np.searchsorted(book["row"], opening) :]
    same = book.size == rest.size and all((book[name] == rest[name]).all() for name in _SEEN)
    return (new, opening) if same else None


_SEEN = ("local_ns", "bid_ticks", "ask_ticks", "bid_lots", "ask_lots", "valid")
