"""Rate limit and volume quota: both are budgets that quotes may not use up, since cancels need them."""

from __future__ import annotations

from mmlab.events import NEVER_NS
from mmlab.exchange import Costs, QuotaRule, RateRule, TxKind

COST_FIELDS = ("place", "modify", "cancel", "cancel_all")
"""By `TxKind`."""


def cost_of(costs: Costs, kind: TxKind) -> int:
    """What one message costs."""
    cost: int = getattr(costs, COST_FIELDS[kind])
    return cost


class TokenBucket:
    """Token bucket in integers: the level is in tokens x ``per_ns``, so nothing is rounded."""

    def __init__(self, rule: RateRule) -> None:
        self.rule = rule
        self._level = rule.capacity * rule.per_ns
        self._at_ns = 0

    def tokens(self, now_ns: int) -> int:
        """Whole tokens there now; a large number without a limit."""
        rule = self.rule
        if rule.capacity == 0:
            return 1 << 60
        if now_ns > self._at_ns:
            self._level = min(rule.capacity * rule.per_ns, self._level + (now_ns - self._at_ns) * rule.refill)
            self._at_ns = now_ns
        return self._level // rule.per_ns

    def take(self, amount: int, now_ns: int) -> None:
        """Take tokens; the level may fall below zero (a cancel that could not wait)."""
        if self.rule.capacity:
            self.tokens(now_ns)
            self._level -= amount * self.rule.per_ns

    def when(self, amount: int, now_ns: int) -> int:
        """When `amount` tokens will be there; `NEVER_NS` if more than fit."""
        if self.tokens(now_ns) >= amount:
            return now_ns
        if amount > self.rule.capacity or self.rule.refill == 0:
            return NEVER_NS
        missing = amount * self.rule.per_ns - self._level
        return now_ns - (-missing // self.rule.refill)

    def empty(self, now_ns: int) -> None:
        """The venue says we sent too much: start from nothing."""
        self.tokens(now_ns)
        self._level = min(self._level, 0)


class VolumeQuota:
    """Messages the venue still allows for the volume traded; its own figure replaces ours whenever it tells one."""

    def __init__(self, rule: QuotaRule) -> None:
        self.rule = rule
        self.left = rule.start
        self._traded = 0
        self._spent_ns = 0

    def when(self, kind: TxKind, now_ns: int) -> int:
        """When a message of this kind may be sent, as far as time alone decides."""
        if not self.rule.on or self.left >= cost_of(self.rule.costs, kind):
            return now_ns
        return max(now_ns, self._spent_ns + self.rule.free_ns) if self.rule.free_ns else NEVER_NS

    def spend(self, kind: TxKind, now_ns: int) -> None:
        """A message of this kind is being sent."""
        cost = cost_of(self.rule.costs, kind)
        if cost:
            self.left, self._spent_ns = max(0, self.left - cost), now_ns

    def earn(self, price_ticks: int, lots: int) -> None:
        """We traded."""
        if self.rule.earn_tick_lots:
            self._traded += price_ticks * lots
            units, self._traded = divmod(self._traded, self.rule.earn_tick_lots)
            self.left = min(self.rule.cap, self.left + units)

    def told(self, left: int) -> None:
        """The venue's own figure."""
        self.left = left
