"""When to try again: exponential back-off with jitter, budgets, and a circuit breaker. Chance is a counter, hashed."""

from __future__ import annotations

from collections import deque

from mmlab.orders.settings import RetryRule

_MASK = (1 << 64) - 1


def uniform(seed: int, counter: int) -> float:
    """A number in [0, 1) from seed and counter: splitmix64 (Steele, Lea, Flood 2014), two rounds."""
    z = seed & _MASK
    for step in (counter, 0):
        z = (z + 0x9E3779B97F4A7C15 * (step + 1)) & _MASK
        z = ((z ^ z >> 30) * 0xBF58476D1CE4E5B9) & _MASK
        z = ((z ^ z >> 27) * 0x94D049BB133111EB) & _MASK
        z ^= z >> 31
    return (z >> 11) / (1 << 53)


class Retries:
    """Back-off of single orders, the session's budget, and the breaker that stops all quoting.

    The breaker opens when too large a share of the last messages was refused, or when the session's budget is spent.
    It closes by itself after a delay that doubles while it keeps opening; the first message after that decides.
    """

    def __init__(self, rule: RetryRule, seed: int) -> None:
        self.rule = rule
        self.open_until_ns = 0
        self._seed = seed
        self._draws = 0
        self._trips = 0
        self._outcomes: deque[bool] = deque(maxlen=rule.breaker_n)
        self._refused = 0
        self._times: deque[int] = deque()

    def delay_ns(self, attempt: int) -> int:
        """Wait before try number `attempt` + 1 (the first refusal is attempt 1)."""
        self._draws += 1
        rule = self.rule
        delay = float(rule.max_ns)
        if attempt <= rule.per_order:
            delay = min(delay, rule.base_ns * rule.factor ** (attempt - 1))
        return int(delay * (1.0 - rule.jitter * uniform(self._seed, self._draws)))

    def spend(self, now_ns: int) -> bool:
        """Count a retry of the session; False if that was one too many."""
        times = self._times
        times.append(now_ns)
        while times[0] <= now_ns - self.rule.window_ns:
            times.popleft()
        return len(times) <= self.rule.per_session

    def note(self, *, refused: bool, now_ns: int) -> bool:
        """Count the outcome of a message; True if the breaker opens now."""
        if len(self._outcomes) == self._outcomes.maxlen:
            self._refused -= self._outcomes[0]
        self._outcomes.append(refused)
        self._refused += refused
        if not refused:
            if self._trips and len(self._outcomes) >= self.rule.breaker_min_n:
                self._trips = 0
            return False
        enough = 1 if self._trips else self.rule.breaker_min_n
        n = len(self._outcomes)
        if now_ns < self.open_until_ns or n < enough or self._refused <= self.rule.breaker_share * n:
            return False
        self.trip(now_ns)
        return True

    def trip(self, now_ns: int) -> None:
        """Open the breaker."""
        self._trips += 1
        self.open_until_ns = now_ns + max(self.rule.base_ns, self.delay_ns(self._trips + 3))
        self._outcomes.clear()
        self._refused = 0
        self._times.clear()
