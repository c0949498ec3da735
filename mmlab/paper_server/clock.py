"""Two times: the server's (the wall clock) and the market's (the recording's, which may run faster).

All times on the wire are wall clock. A market event of market time m is shown with the wall time at which the server
reaches it, so at ``speed`` 10 the trades of ten recorded seconds come within one, and say so.
"""

from __future__ import annotations

import time


class ServerClock:
    """Wall clock that never jumps, and market time beside it.

    Parameters
    ----------
    market_ns : int
        Market time now.
    speed : float
        Market seconds a wall second.
    """

    def __init__(self, market_ns: int, speed: float) -> None:
        self._market_ns, self.speed = market_ns, speed
        self.begin()

    def begin(self) -> None:
        """The market's time begins now."""
        self._wall_ns, self._mono_ns = time.time_ns(), time.monotonic_ns()

    def now_ns(self) -> int:
        """Wall time."""
        return self._wall_ns + time.monotonic_ns() - self._mono_ns

    def market_ns(self, wall_ns: int) -> int:
        """Market time at a wall time."""
        return self._market_ns + int((wall_ns - self._wall_ns) * self.speed)

    def wall_ns(self, market_ns: int) -> int:
        """Wall time at a market time."""
        return self._wall_ns + int((market_ns - self._market_ns) / self.speed)
