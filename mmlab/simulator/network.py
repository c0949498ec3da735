"""What becomes of a message between us and a simulated venue: it comes, late, twice, or not at all. Seeded, pure."""

from __future__ import annotations

from collections import Counter

import numpy as np

from mmlab.events import NEVER_NS, NS_PER_MS, NS_PER_S
from mmlab.simulator.faults import FaultPlan

LONGEST, SHORTEST_NS = 10, 10 * NS_PER_MS
"""An outage lasts at most so many times its mean, and at least so long."""


class Chance:
    """One stream of draws. After `until_ns` nothing happens any more."""

    def __init__(self, seed: int, stream: int, until_ns: int, counts: Counter[str]) -> None:
        self.rng = np.random.Generator(np.random.PCG64([seed, stream]))
        self.until_ns, self.counts = until_ns, counts

    def happens(self, name: str, share: float, at_ns: int) -> bool:
        """Whether a fault of this share happens now; counted by name."""
        if share == 0.0 or at_ns >= self.until_ns or self.rng.random() >= share:
            return False
        self.counts[name] += 1
        return True

    def exponential_ns(self, mean_ns: float, at_ns: int) -> int:
        """An exponential time; 0 once faults have stopped."""
        return round(self.rng.exponential(mean_ns)) if mean_ns > 0 and at_ns < self.until_ns else 0

    def pieces(self, lots: int) -> list[int]:
        """`lots` as two or more positive parts, if that can be."""
        cuts = np.unique(self.rng.integers(1, max(lots, 2), 3))
        return [int(n) for n in np.diff([0, *cuts[cuts < lots], lots])]

    def episode(self, after_ns: int, per_min: float, mean_s: float) -> tuple[int, int] | None:
        """Begin and end of the next outage; None: there is none before faults stop."""
        if per_min == 0.0:
            return None
        begin_ns = after_ns + round(self.rng.exponential(60 * NS_PER_S / per_min))
        length_ns = max(SHORTEST_NS, round(min(self.rng.exponential(), LONGEST) * mean_s * NS_PER_S))
        end_ns = min(begin_ns + length_ns, self.until_ns)
        return (begin_ns, end_ns) if begin_ns < end_ns else None


class Line:
    """One direction of a connection. Messages keep their order, but for those that are planned to be overtaken.

    `name` is the suffix of the plan's faults: ``send`` (``lose_send``, ``reorder_send``), ``ack`` or ``update``.
    """

    def __init__(self, plan: FaultPlan, chance: Chance, name: str) -> None:
        way = "entry" if name == "send" else "response"
        self._chance, self._name = chance, name
        self._base_ns = round(getattr(plan, f"{way}_ms") * NS_PER_MS)
        self._spread_ns = getattr(plan, f"{way}_spread_ms") * NS_PER_MS
        self._cap_ns = round(plan.latency_cap_ms * NS_PER_MS)
        self._drop = "lose_send" if name == "send" else f"drop_{name}"
        self._shares = {f: getattr(plan, f, 0.0) for f in (self._drop, f"duplicate_{name}", f"reorder_{name}")}
        self._last_ns = -NEVER_NS

    @property
    def longest_ns(self) -> int:
        """Most that a message can take."""
        varies = self._spread_ns > 0 or self._shares[f"reorder_{self._name}"] > 0
        return self._base_ns + (self._cap_ns if varies else 0)

    def carry(self, at_ns: int) -> tuple[int, ...]:
        """When a message that leaves at `at_ns` arrives; never if it is lost."""
        if self._fault(self._drop, at_ns):
            return ()
        if self._fault(f"reorder_{self._name}", at_ns):
            arrival_ns = at_ns + self._base_ns + round(self._chance.rng.random() * self._cap_ns)
        else:
            arrival_ns = self._last_ns = max(at_ns + self.delay_ns(at_ns), self._last_ns)
        twice = self._fault(f"duplicate_{self._name}", at_ns)
        return (arrival_ns, arrival_ns) if twice else (arrival_ns,)

    def delay_ns(self, at_ns: int) -> int:
        """A latency, for what keeps no order."""
        return self._base_ns + min(self._chance.exponential_ns(self._spread_ns, at_ns), self._cap_ns)

    def _fault(self, name: str, at_ns: int) -> bool:
        return self._chance.happens(name, self._shares[name], at_ns)
