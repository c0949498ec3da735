"""The market that is served: a feed's rows in exchange order, and when they are due. Pure."""

from __future__ import annotations

from typing import Any

import numpy as np

from mmlab.events import NS_PER_S, Kind
from mmlab.feeds import Feed
from mmlab.paper_server.book import Book, Print
from mmlab.simulator import Tape, build_tape

Array = np.ndarray[Any, Any]
SEAM_NS = NS_PER_S
"""Between the last row of a lap and the first of the next."""


class Market:
    """Walks a feed on the exchange's clock.

    Parameters
    ----------
    feed : Feed
        In units (`units.in_units`).
    loop : bool
        Begin again at the end, for ever.

    Attributes
    ----------
    tape : Tape
        What the accounts' exchanges walk.
    shift_ns : int
        Market time minus recorded time.
    laps : int
        How often it has begun again.
    """

    def __init__(self, feed: Feed, *, loop: bool) -> None:
        self.instrument = feed.instrument
        self.tape: Tape = build_tape(feed.events)
        self._rows = in_exchange_order(feed.events)
        self._times = np.ascontiguousarray(self._rows["exch_ns"])
        self._next, self._loop = 0, loop and self._rows.size > 0
        self.book = Book()
        self.shift_ns = self.laps = 0

    @property
    def begin_ns(self) -> int:
        """Market time of the first row of this lap."""
        return (int(self._times[0]) if self._times.size else 0) + self.shift_ns

    @property
    def end_ns(self) -> int:
        """Market time at which this lap is over."""
        return (int(self._times[-1]) if self._times.size else 0) + self.shift_ns + SEAM_NS

    @property
    def ended(self) -> bool:
        """Whether nothing more will come."""
        return not self._loop and self._next == self._rows.size

    def lap_over(self, market_ns: int) -> bool:
        """Whether the feed must begin again (`begin_again`) before more is taken."""
        return self._loop and market_ns >= self.end_ns

    def begin_again(self) -> None:
        """The next lap."""
        self.shift_ns, self._next, self.laps = self.end_ns - int(self._times[0]), 0, self.laps + 1
        self.book.clear()

    def take(self, market_ns: int) -> tuple[list[Print], list[tuple[int, int, int]]]:
        """Take the rows up to `market_ns`; trades, and fundings, in market time."""
        stop = int(np.searchsorted(self._times, market_ns - self.shift_ns, "right"))
        if stop <= self._next:
            return [], []
        rows, self._next = self._rows[self._next : stop], stop
        prints, fundings = self.book.apply(rows)
        self.book.updated_ns += self.shift_ns if self.book.updated_ns < self.begin_ns else 0
        if self.shift_ns:
            prints = [one._replace(exch_ns=one.exch_ns + self.shift_ns) for one in prints]
            fundings = [(at + self.shift_ns, mark, rate) for at, mark, rate in fundings]
        return prints, fundings


def in_exchange_order(events: Array) -> Array:
    """Rows by exchange time; rows of one stream keep their order."""
    times = events["exch_ns"]
    if not events.size or (np.diff(times) >= 0).all():
        return events
    marks = (events["kind"] == Kind.GAP) | (events["kind"] == Kind.SNAPSHOT_BEGIN)
    if marks.any():  # a mark belongs where it stands in the book's stream, whatever time it names
        times = times.copy()
        book = events["kind"] != Kind.TRADE
        times[book] = np.maximum.accumulate(times[book])
    return events[np.argsort(times, kind="stable")]
