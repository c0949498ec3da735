"""Records one market's frames as they come, for as long as it is let; needs no account."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from mmlab.venues.clock import LoopClock
from mmlab.venues.lighter.endpoint import Endpoint
from mmlab.venues.lighter.frame_files import FrameFiles
from mmlab.venues.lighter.link import USUAL, Link, Timing
from mmlab.venues.lighter.log import Log
from mmlab.venues.lighter.market import MarketTracker
from mmlab.wire.lighter import BOOK, MARKET_STATS, TICKER, TRADE
from mmlab.wire.lighter_rest import Market
from mmlab.wire.lighter_session import Head

FAMILIES = (BOOK, TRADE, MARKET_STATS, TICKER)
FLUSH_S = 1.0


class Recorder:
    """Writes frames to files; follows the book so that a gap is healed at once.

    Parameters
    ----------
    endpoint : Endpoint
    market : Market
    folder : Path
        Files go here; a recording that is there already is gone on with.
    log : Log
    """

    def __init__(
        self, endpoint: Endpoint, market: Market, folder: Path, log: Log, timing: Timing = USUAL,
    ) -> None:  # fmt: skip
        self.counters: Counter[str] = Counter()
        self.files = FrameFiles(folder, market.market_id)
        self._market = market.market_id
        self._tracker = MarketTracker(
            market.market_id, market.supported_price_decimals, market.supported_size_decimals, self.counters
        )
        self._link = Link("record", endpoint.ws, self._channels, self, self.counters, log, timing)
        self._clock = LoopClock(time.time_ns())
        self._resumed = self.files.last_ns > 0

    async def _channels(self) -> dict[str, str]:
        return {f"{family}/{self._market}": "" for family in FAMILIES}

    async def run(self, duration_s: float | None = None, look: Callable[[Recorder], object] | None = None) -> None:
        """Record until cancelled, or for `duration_s`; `look` is called every second."""
        if self._resumed:
            self.files.gap(self._clock.now_ns(), "recording resumed")
        self._link.start()
        until_s = asyncio.get_running_loop().time() + (duration_s if duration_s is not None else float("inf"))
        try:
            while (left_s := until_s - asyncio.get_running_loop().time()) > 0:
                await asyncio.sleep(min(FLUSH_S, left_s))
                self.files.flush()
                if look is not None:
                    look(self)
        finally:
            await self._link.close()
            self.files.close()

    def heard(self, head: Head, data: bytes) -> None:
        """A frame."""
        if head.family not in FAMILIES:
            return
        now_ns = self._clock.now_ns()
        self.files.frame(now_ns, data)
        self.counters[f"{head.family}_frames"] += 1
        self._tracker.frame(head.family, data, now_ns)
        if self._tracker.again:
            self._tracker.again.clear()
            self.files.gap(now_ns, "the book does not follow")
            self._link.resubscribe(BOOK)

    def went_up(self) -> None:
        """All channels have begun."""

    def went_down(self, reason: str) -> None:
        """Frames are missing from now on."""
        now_ns = self._clock.now_ns()
        self._tracker.lost(now_ns)
        self.files.gap(now_ns, reason)
