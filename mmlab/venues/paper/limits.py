"""The paper venue's rate limit and volume quota, as the venue keeps them."""

from __future__ import annotations

from mmlab.events import NS_PER_S
from mmlab.exchange import Costs, QuotaRule, RateRule, TxKind
from mmlab.venues.paper.faults import FaultPlan

COST_FIELDS = ("place", "modify", "cancel", "cancel_all")
"""By `TxKind`."""


def rate_rule(plan: FaultPlan) -> RateRule:
    """The plan's rate limit. Questions are free."""
    return RateRule(plan.rate_capacity, plan.rate_refill, NS_PER_S, Costs(query=0))


def quota_rule(plan: FaultPlan) -> QuotaRule:
    """The plan's volume quota."""
    return QuotaRule(on=plan.quota >= 0, start=max(plan.quota, 0), earn_tick_lots=plan.quota_earn_tick_lots)


class Bucket:
    """Tokens, in units of 1 / `RateRule.per_ns`, so that nothing is rounded."""

    def __init__(self, rule: RateRule) -> None:
        self._rule, self._at_ns = rule, 0
        self._level = self._full = rule.capacity * rule.per_ns

    def wait_ns(self, kind: TxKind, now_ns: int) -> int:
        """Take the tokens of a message and return 0; or how long to wait for them."""
        if self._full == 0:
            return 0
        self._level = min(self._full, self._level + (now_ns - self._at_ns) * self._rule.refill)
        self._at_ns = now_ns
        short = getattr(self._rule.weights, COST_FIELDS[kind]) * self._rule.per_ns - self._level
        if short > 0:
            return -(-short // max(1, self._rule.refill))
        self._level = -short
        return 0


class Quota:
    """Messages left; ``left`` is -1 without a quota."""

    def __init__(self, rule: QuotaRule) -> None:
        self._rule, self._traded = rule, 0
        self.left = rule.start if rule.on else -1

    def spend(self, kind: TxKind) -> bool:
        """Pay for a message; False if too little is left."""
        if not self._rule.on:
            return True
        cost = getattr(self._rule.costs, COST_FIELDS[kind])
        if cost > self.left:
            return False
        self.left -= cost
        return True

    def earn(self, price_ticks: int, lots: int) -> None:
        """We traded."""
        if self._rule.on and self._rule.earn_tick_lots:
            units, self._traded = divmod(self._traded + price_ticks * lots, self._rule.earn_tick_lots)
            self.left = min(self._rule.cap, self.left + units)
