"""How long each side had a quote resting, and one at the best price, by what we believe. Pure."""

from __future__ import annotations

from mmlab.events import NO_PRICE, NS_PER_S

Pair = tuple[int, int]


class Uptime:
    """Running totals of time, ns; index 0 is the bid."""

    def __init__(self) -> None:
        self.quoting_ns, self.touch_ns, self.valid_ns = [0, 0], [0, 0], 0
        self._since_ns = 0
        self._valid = False
        self._best: Pair = (NO_PRICE, NO_PRICE)
        self._shown: Pair = (NO_PRICE, NO_PRICE)
        self._told = [0, 0, 0, 0]

    def book(self, now_ns: int, best_ticks: Pair, *, valid: bool) -> None:
        """The best prices have changed."""
        self._pass(now_ns)
        self._best, self._valid = best_ticks, valid

    def shown(self, now_ns: int, ticks: Pair) -> None:
        """Our best resting prices have changed; `NO_PRICE` where there is none."""
        self._pass(now_ns)
        self._shown = ticks

    def _pass(self, now_ns: int) -> None:
        passed, self._since_ns = now_ns - (self._since_ns or now_ns), now_ns
        self.valid_ns += passed * self._valid
        for i, sign in enumerate((1, -1)):
            if self._shown[i] == NO_PRICE:
                continue
            self.quoting_ns[i] += passed
            if self._valid and sign * (self._shown[i] - self._best[i]) >= 0:
                self.touch_ns[i] += passed

    def shares(self, now_ns: int) -> list[float]:
        """Quoting bid, ask, touch bid, ask: seconds gained since the last call, as shares of one second."""
        self._pass(now_ns)
        totals = [*self.quoting_ns, *self.touch_ns]
        gained = [(total - told) / NS_PER_S for total, told in zip(totals, self._told, strict=True)]
        self._told = totals
        return gained
