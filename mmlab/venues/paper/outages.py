"""When connections of the paper venue are cut, silent, or the venue is gone: one course of episodes a kind. Pure."""

from __future__ import annotations

from collections.abc import Callable

from mmlab.venues.paper.agenda import OTHER, Agenda
from mmlab.venues.paper.faults import FaultPlan
from mmlab.venues.paper.network import Chance

KINDS = ("disconnect", "market_disconnect", "stale", "restart")


class Outages:
    """Calls ``begin(at_ns, kind)`` and ``end(at_ns, kind)`` by the plan, each kind on its own; kinds may overlap."""

    def __init__(
        self, agenda: Agenda, plan: FaultPlan, start_ns: int,
        begin: Callable[[int, str], None], end: Callable[[int, str], None], chance: Callable[[int], Chance],
    ) -> None:  # fmt: skip
        self._agenda, self._plan = agenda, plan
        self._begin, self._end = begin, end
        self._chances = {kind: chance(n) for n, kind in enumerate(KINDS)}
        for kind in KINDS:
            self._next(start_ns, kind)

    def _next(self, after_ns: int, kind: str) -> None:
        per_min, mean_s = getattr(self._plan, f"{kind}s_per_min"), getattr(self._plan, f"{kind}_s")
        episode = self._chances[kind].episode(after_ns, per_min, mean_s)
        if episode is not None:
            begin_ns, end_ns = episode
            self._agenda.at(begin_ns, OTHER, self._begin, kind)
            self._agenda.at(end_ns, OTHER, self._over, kind)

    def _over(self, at_ns: int, kind: str) -> None:
        self._end(at_ns, kind)
        self._next(at_ns, kind)
