"""Rolling-minute limits. Pure: time is an argument."""

from __future__ import annotations

from collections import deque

from mmlab.events import NS_PER_S

WINDOW_NS = 60 * NS_PER_S


class Rolling:
    """Weight spent in the last minute, never more than ``most`` (0: no limit)."""

    def __init__(self, most: int) -> None:
        self.most, self.spent = most, 0
        self._times: deque[tuple[int, int]] = deque()

    def take(self, weight: int, now_ns: int) -> bool:
        """Spend; false (and nothing spent) if it would be too much."""
        while self._times and self._times[0][0] <= now_ns - WINDOW_NS:
            self.spent -= self._times.popleft()[1]
        if self.most and self.spent + weight > self.most:
            return False
        self.spent += weight
        self._times.append((now_ns, weight))
        return True
