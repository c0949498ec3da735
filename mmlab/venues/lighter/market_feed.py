"""The market connection: frames in, rows out."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import numpy as np

from mmlab.exchange import Status
from mmlab.venues.clock import Clock
from mmlab.venues.lighter.endpoint import Endpoint
from mmlab.venues.lighter.link import USUAL, Link, Timing
from mmlab.venues.lighter.log import Log
from mmlab.venues.lighter.market import FAMILIES, MarketTracker, Rows, as_array
from mmlab.venues.lighter.pipe import Pipe
from mmlab.wire.lighter import BOOK
from mmlab.wire.lighter_session import Head

MOST_WAITING = 10_000
"""Frames that may wait for their reader; then they are thrown away, and the book begins anew."""
Message = np.ndarray[Any, Any] | Status


class MarketFeed:
    """Order book, trades, mark price and funding of one market."""

    def __init__(
        self, endpoint: Endpoint, market: int, decimals: tuple[int, int], clock: Clock, counters: Counter[str],
        log: Log, timing: Timing = USUAL,
    ) -> None:  # fmt: skip
        self.tracker = MarketTracker(market, *decimals, counters)
        self.link = Link("market", endpoint.ws, self._channels, self, counters, log, timing)
        self._clock, self._counters = clock, counters
        self._pipe: Pipe[Message] | None = None
        self._status: Status | None = None

    async def _channels(self) -> dict[str, str]:
        return {f"{family}/{self.tracker.market}": "" for family in FAMILIES}

    async def read(self) -> AsyncIterator[Message]:
        """Rows from now on; asked for again, it begins with a GAP, and a snapshot soon."""
        pipe = self._pipe = Pipe(MOST_WAITING)
        if self._status is not None:
            pipe.put(self._status)
        self._put(self.tracker.lost(self._clock.now_ns()))
        self.link.resubscribe(BOOK) if self.link.up else self.link.start()
        async for message in pipe:
            yield message

    def tell(self, status: Status) -> None:
        """Whether the market trades."""
        self._status = status
        if self._pipe is not None:
            self._pipe.put(status)

    def heard(self, head: Head, data: bytes) -> None:
        """A frame."""
        rows = self.tracker.frame(head.family, data, self._clock.now_ns())
        self._put(rows)
        while self.tracker.again:
            self.link.resubscribe(self.tracker.again.pop())

    def went_up(self) -> None:
        """All channels have begun."""

    def went_down(self, reason: str) -> None:  # noqa: ARG002  the log has it
        """The connection is gone."""
        self._put(self.tracker.lost(self._clock.now_ns()))

    def _put(self, rows: Rows) -> None:
        pipe = self._pipe
        if not rows or pipe is None or pipe.put(as_array(rows)):
            return
        self._counters["market_overflows"] += 1
        pipe.clear()
        pipe.put(as_array([(rows[-1][0], rows[-1][1], 4, 0, 0, 0, 0)]))
        self.tracker.lost(self._clock.now_ns())
        self.tracker.again.add(BOOK)

    async def close(self) -> None:
        """Disconnect; the reader ends."""
        await self.link.close()
        if self._pipe is not None:
            self._pipe.close()
