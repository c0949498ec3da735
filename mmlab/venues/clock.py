"""The one source of time of a session: the event loop's clock, on the time scale of the data.

Live: wall-clock time. On a recording: the recording's time, at its own or another speed. Under `mmlab.venues.virtual`
the loop's clock itself jumps, so a session runs as fast as the machine can and always the same way.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

from mmlab.events import NS_PER_S


class Clock(Protocol):
    """Time in ns since the epoch; never falls."""

    def now_ns(self) -> int:
        """The time."""

    def call_at(self, when_ns: int, callback: Callable[..., object], *args: Any) -> asyncio.TimerHandle:
        """Call back at `when_ns`, or soon if that is past."""

    async def sleep_until(self, when_ns: int) -> None:
        """Wait until `when_ns`; returns at once if that is past."""


class LoopClock:
    """`origin_ns` at the moment of its making, then `speed` times as fast as the running event loop's clock."""

    def __init__(self, origin_ns: int, speed: float = 1.0) -> None:
        self._loop = asyncio.get_running_loop()
        self._start_s, self._last_ns = self._loop.time(), origin_ns
        self.origin_ns, self.speed = origin_ns, speed

    def now_ns(self) -> int:
        """The time."""
        elapsed_s = (self._loop.time() - self._start_s) * self.speed
        self._last_ns = max(self._last_ns, self.origin_ns + round(elapsed_s * NS_PER_S))
        return self._last_ns

    def call_at(self, when_ns: int, callback: Callable[..., object], *args: Any) -> asyncio.TimerHandle:
        """Call back at `when_ns`, or soon if that is past."""
        when_s = self._start_s + (when_ns - self.origin_ns) / (NS_PER_S * self.speed)
        return self._loop.call_at(when_s, callback, *args)

    async def sleep_until(self, when_ns: int) -> None:
        """Wait until `when_ns`; returns at once if that is past."""
        while when_ns > self.now_ns():  # the loop may wake a trifle early
            wake = self._loop.create_future()
            handle = self.call_at(when_ns, _wake, wake)
            try:
                await wake
            finally:
                handle.cancel()


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
