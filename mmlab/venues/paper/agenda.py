"""What the paper venue will do when: one timer for all of it, in strict order of time, rank, and request."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from typing import Any

from mmlab.events import NEVER_NS
from mmlab.venues.clock import Clock

MARKET, EXCHANGE, OTHER = range(3)
"""Ranks: at equal time the market feed speaks first, then the exchange moves, then everything else happens."""


class Agenda:
    """Calls back at times of the clock. A callback is told the time it was planned for, however late it is."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._heap: list[tuple[int, int, int, Callable[..., None], tuple[Any, ...]]] = []
        self._n = 0
        self._timer: asyncio.TimerHandle | None = None
        self._armed_ns = NEVER_NS
        self._closed = self._running = False

    def at(self, when_ns: int, rank: int, callback: Callable[..., None], *args: Any) -> None:
        """Call ``callback(when_ns, *args)`` at `when_ns`."""
        if self._closed:
            return
        self._n += 1
        heapq.heappush(self._heap, (when_ns, rank, self._n, callback, args))
        if when_ns < self._armed_ns and not self._running:
            self._arm()

    def run_due(self) -> None:
        """Do all that is due."""
        now_ns, self._running = self._clock.now_ns(), True
        try:
            while self._heap and self._heap[0][0] <= now_ns:
                when_ns, _, _, callback, args = heapq.heappop(self._heap)
                callback(when_ns, *args)
        finally:
            self._running = False
            self._arm()

    def close(self) -> None:
        """Do nothing any more."""
        self._closed = True
        self._heap.clear()
        self._arm()

    def _arm(self) -> None:
        """Have a timer for the head. One that is early does no harm, and is left."""
        head_ns = self._heap[0][0] if self._heap else NEVER_NS
        if head_ns >= self._armed_ns and self._timer is not None and self._heap:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._armed_ns = head_ns
        if self._heap:
            self._timer = self._clock.call_at(head_ns, self._ring)

    def _ring(self) -> None:
        self._timer, self._armed_ns = None, NEVER_NS
        self.run_due()
