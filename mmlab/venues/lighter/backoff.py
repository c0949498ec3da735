"""How long to wait before the next try. Pure."""

from __future__ import annotations

import random

FIRST_S, FACTOR, MOST_S = 0.1, 2.0, 30.0
JITTER = 0.25
"""Share of a wait that chance takes away, so that many clients do not come back at once."""
BLOCKED_S = 60.0
"""After the firewall has shut us out (HTTP 403, 405)."""
BLOCKING = (403, 405)


class Backoff:
    """Doubles with every failure; a success sets it back."""

    def __init__(self, first_s: float = FIRST_S, most_s: float = MOST_S, blocked_s: float = BLOCKED_S) -> None:
        self.first_s, self.most_s, self.blocked_s, self.failures = first_s, most_s, blocked_s, 0

    def failed(self, status: int = 0) -> float:
        """One more failure, with the HTTP status if there was one; returns how long to wait, s."""
        self.failures += 1
        wait_s = min(self.most_s, self.first_s * FACTOR ** min(self.failures - 1, 30))
        if status in BLOCKING:
            wait_s = max(wait_s, self.blocked_s)
        elif status == 429:
            wait_s = max(wait_s, min(self.most_s, 10 * self.first_s))
        return wait_s * (1 - JITTER * random.random())  # noqa: S311  no secret

    def succeeded(self) -> None:
        """It works."""
        self.failures = 0
