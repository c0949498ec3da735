"""The market feed of the paper venue: a feed's rows when they are due, cuts and silences included. Pure.

Rows are handed out in instants: all rows of one local time, never part of a venue message. A cut is a GAP at once; what
comes meanwhile is lost; at the return a snapshot of the levels as they are. A silence delays, and loses nothing. A loop
begins the feed again after a GAP and an empty snapshot, all times shifted by the same.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Any

import numpy as np

from mmlab.events import EVENT, NEVER_NS, NS_PER_MS, NS_PER_S, Kind
from mmlab.venues.paper.faults import FaultPlan
from mmlab.venues.paper.network import Chance

Array = np.ndarray[Any, Any]
SEAM_NS = NS_PER_S
"""Between the last time of a feed and its first of the next lap."""


def instants(events: Array) -> Array:
    """Where an instant ends: indices of the rows after it.

    Rows belong together if they have one local time, or are parts of one message, be it of levels or a snapshot.
    """
    if not events.size:
        return np.zeros(0, np.int64)
    kind, a, b = events["kind"], events[:-1], events[1:]
    book = (kind == Kind.DEPTH) | (kind >= Kind.ADD)
    ids = (a["kind"] != Kind.DEPTH) | (b["kind"] != Kind.DEPTH) | (a["order_id"] == b["order_id"])
    one_message = book[:-1] & book[1:] & (a["exch_ns"] == b["exch_ns"]) & ids
    opened = np.cumsum((kind == Kind.SNAPSHOT_BEGIN).astype(np.int64)) > np.cumsum(kind == Kind.SNAPSHOT_END)
    together = one_message | opened[:-1] | (a["local_ns"] == b["local_ns"])
    return np.append(np.flatnonzero(~together) + 1, events.size)


class MarketFeed:
    """Hands out a feed's rows.

    Parameters
    ----------
    events : ndarray of EVENT, shape (n,)
    plan : FaultPlan
        Its market latencies are used.
    chance : Chance
    shift_ns : int
        Added to all times.
    loop : bool
        Begin again at the end, for ever.

    Attributes
    ----------
    lap_ns : int
        Length of a lap.
    """

    def __init__(self, events: Array, plan: FaultPlan, chance: Chance, shift_ns: int, *, loop: bool) -> None:
        ends = instants(events)
        self._events = events
        self._ends, self._due = ends.data, events["local_ns"][ends - 1].data  # quicker one by one
        self._chance, self._shift_ns = chance, shift_ns
        self._loop = loop and events.size > 0
        self._delay_ns = round(plan.market_delay_ms * NS_PER_MS)
        self._spread_ns = plan.market_spread_ms * NS_PER_MS
        self.lap_ns = lap_ns(events)
        self._next = self._row = 0  # instant and row
        self._floor_ns = -NEVER_NS  # local time handed out last
        self._ready: list[Array] = []
        self._extra_ns, self._release_ns = 0, NEVER_NS
        self.cut_off = self.silent = False
        self._levels = Levels()
        self._aim()

    @property
    def ended(self) -> bool:
        """Whether there is nothing more."""
        return self._next == len(self._ends) and not self._ready

    @property
    def next_ns(self) -> int:
        """When there is something to be pulled; `NEVER_NS` while silent or cut off."""
        if self._ready:
            return -NEVER_NS
        return NEVER_NS if self.cut_off or self.silent else self._release_ns

    def pull(self, now_ns: int) -> list[Array]:
        """All that is due."""
        if not self.cut_off and not self.silent:
            self._take(now_ns)
        ready, self._ready = self._ready, []
        return ready

    def cut(self, at_ns: int) -> None:
        """The connection is lost."""
        if not self.silent:
            self._take(at_ns)
        self.cut_off = True
        self._say(at_ns, (Kind.GAP,))

    def restore(self, at_ns: int) -> None:
        """The connection is there again."""
        while self._release_ns <= at_ns:
            self._skip()
        self.cut_off = False
        self._levels.take(self._events[: self._row])
        if self._levels.usable:
            self._say(at_ns, (Kind.SNAPSHOT_BEGIN, Kind.SNAPSHOT_END), self._levels.sizes)

    def hush(self, at_ns: int) -> None:
        """The feed falls silent."""
        if not self.cut_off:
            self._take(at_ns)
        self.silent = True

    def speak(self, at_ns: int) -> None:
        """The feed brings all that it held back."""
        self.silent = False
        self._raise_floor(at_ns)

    def _aim(self) -> None:
        """Find out when the next instant is handed out."""
        if self._next == len(self._ends):
            self._release_ns = NEVER_NS
            return
        due_ns = self._due[self._next] + self._shift_ns
        if self._spread_ns:
            self._extra_ns = self._chance.exponential_ns(self._spread_ns, due_ns)
        self._release_ns = max(due_ns + self._delay_ns + self._extra_ns, self._floor_ns)

    def _raise_floor(self, at_ns: int) -> None:
        """Nothing is handed out before `at_ns` any more."""
        self._floor_ns = max(self._floor_ns, at_ns)
        self._release_ns = max(self._release_ns, self._floor_ns)

    def _take(self, now_ns: int) -> None:
        """Put rows that are due among the ready."""
        while self._release_ns <= now_ns:
            end, last_ns = self._next + 1, now_ns - self._shift_ns - self._delay_ns
            if not self._spread_ns and end < len(self._ends) and self._due[end] <= last_ns:
                end = bisect_right(self._due, last_ns, end)  # at once all that share a delay
            row, self._row = self._row, self._ends[end - 1]
            self._ready.append(self._dated(row, self._row, self._due[end - 1]))
            self._next = end
            self._after_instant()

    def _skip(self) -> None:
        """The next instant is lost."""
        self._row = self._ends[self._next]
        self._next += 1
        self._after_instant()

    def _after_instant(self) -> None:
        if self._next == len(self._ends) and self._loop:
            self._begin_again()
        self._aim()

    def _begin_again(self) -> None:
        if not self.cut_off:
            self._say(self._floor_ns, (Kind.GAP, Kind.SNAPSHOT_BEGIN, Kind.SNAPSHOT_END))
        self._shift_ns += self.lap_ns
        self._next = self._row = 0
        self._levels = Levels()

    def _dated(self, begin: int, end: int, last_ns: int) -> Array:
        """A copy of rows, with the times at which they are handed out."""
        rows = self._events[begin:end].copy()
        later_ns = self._shift_ns + self._delay_ns + self._extra_ns
        if self._shift_ns:
            rows["exch_ns"] += self._shift_ns
        if later_ns:
            rows["local_ns"] += later_ns
        if rows.size > 1 or last_ns + later_ns < self._floor_ns:
            np.maximum(rows["local_ns"], self._floor_ns, out=rows["local_ns"])
        self._floor_ns = max(self._floor_ns, last_ns + later_ns)
        return rows

    def _say(self, at_ns: int, kinds: tuple[Kind, ...], levels: dict[tuple[int, int], int] | None = None) -> None:
        """Rows that the recording does not have, the levels before the last of them."""
        levels = levels or {}
        rows = np.zeros(len(kinds) + len(levels), EVENT)
        self._raise_floor(at_ns)
        rows["local_ns"] = self._floor_ns
        rows["exch_ns"] = self._book_ns()
        rows["kind"][: len(kinds) - 1], rows["kind"][-1] = kinds[:-1], kinds[-1]
        if levels:
            inside = rows[len(kinds) - 1 : -1]
            inside["side"], inside["price_ticks"] = np.array(list(levels), np.int64).T
            inside["size_lots"] = list(levels.values())
        self._ready.append(rows)

    def _book_ns(self) -> int:
        """Exchange time of the book's stream, which never falls."""
        kind = self._events["kind"][: self._row]
        for begin in range(self._row - 256, -256, -256):
            found = np.flatnonzero(is_book(kind[max(begin, 0) : begin + 256]))
            if found.size:
                return int(self._events["exch_ns"][max(begin, 0) + found[-1]]) + self._shift_ns
        return int(self._events["exch_ns"][0]) + self._shift_ns if self._events.size else 0


def is_book(kind: Array) -> Array:
    """Which rows belong to the book's stream."""
    return (kind != Kind.TRADE) & (kind != Kind.MARK) & (kind != Kind.FUNDING)


def lap_ns(events: Array) -> int:
    """From one beginning of a feed to the next when it is repeated."""
    if not events.size:
        return 0
    first = min(int(events["exch_ns"].min()), int(events["local_ns"][0]))
    return max(int(events["exch_ns"].max()), int(events["local_ns"][-1])) - first + SEAM_NS


class Levels:
    """The book after some of a feed's rows; further rows only.

    Attributes
    ----------
    sizes : dict of (int, int) to int
        (side, price in ticks) -> lots, > 0.
    usable : bool
        Whether the book is known: no GAP since the last snapshot.
    """

    def __init__(self) -> None:
        self.sizes: dict[tuple[int, int], int] = {}
        self.usable, self._row = True, 0

    def take(self, events: Array) -> None:
        """The rows up to now, those taken before included."""
        rows, self._row = events[self._row :], events.size
        marks = np.flatnonzero(np.isin(rows["kind"], (int(Kind.GAP), int(Kind.SNAPSHOT_BEGIN), int(Kind.SNAPSHOT_END))))
        begins = marks[rows["kind"][marks] == Kind.SNAPSHOT_BEGIN]
        if marks.size:
            self.usable = rows["kind"][marks[-1]] == Kind.SNAPSHOT_END
        if begins.size:
            self.sizes.clear()
            rows = rows[begins[-1] :]
        if (rows["kind"] >= Kind.ADD).any():
            self._take_orders(rows)
        else:
            self._take_levels(rows[rows["kind"] == Kind.DEPTH])
        self.sizes = {level: lots for level, lots in self.sizes.items() if lots > 0}

    def _take_levels(self, rows: Array) -> None:
        sides, ticks, lots = (rows[name].tolist() for name in ("side", "price_ticks", "size_lots"))
        self.sizes.update(zip(zip(sides, ticks, strict=True), lots, strict=True))

    def _take_orders(self, rows: Array) -> None:
        names = ("kind", "side", "price_ticks", "size_lots")
        for kind, side, ticks, lots in zip(*(rows[name].tolist() for name in names), strict=True):
            if kind == Kind.DEPTH:
                self.sizes[side, ticks] = lots
            elif kind >= Kind.ADD:
                before = self.sizes.get((side, ticks), 0)
                self.sizes[side, ticks] = before + lots if kind == Kind.ADD else max(0, before - lots)
