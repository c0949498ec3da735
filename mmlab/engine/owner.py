"""Who looks after a session: signs of life of its owner, and what follows when they stop. Pure; time is an argument.

The grace is counted from the last sign of life, so that whatever befell the owner (a killed kernel, a closed laptop, a
lost network) nothing rests in the book longer than ``grace_s`` after it.
"""

from __future__ import annotations

from typing import Literal

Loss = Literal["stop", "halt", "keep"]


class OwnerWatch:
    """Signs of life, in real seconds.

    Parameters
    ----------
    on_lost : {"stop", "halt", "keep"}
        What follows.
    grace_s : float
        How long after the last sign.
    now_s : float
        The first sign: the session was just started by somebody.
    """

    def __init__(self, on_lost: Loss, grace_s: float, now_s: float) -> None:
        self.on_lost, self.grace_s = on_lost, grace_s
        self.seen_s, self.lost = now_s, False

    def seen(self, now_s: float) -> bool:
        """A sign of life; whether the owner had been lost."""
        was_lost, self.seen_s, self.lost = self.lost, now_s, False
        return was_lost

    def step(self, now_s: float) -> Loss:
        """What is to be done now: once at each loss; "keep": nothing."""
        if self.lost or now_s - self.seen_s < self.grace_s:
            return "keep"
        self.lost = True
        return self.on_lost
