"""Refill cooldown after a hit, and the pull after too many hits in a second (`terms.md`, Refill cooldown)."""

from __future__ import annotations

from typing import Any

import numpy as np

from mmlab.kernels.markout import markout_n, share_below
from mmlab.kernels.policy import kernel
from mmlab.kernels.switch import SWITCH, switch_running, switch_trip

TOX_WINDOW = 50
TOX_MIN_N = 20

COOLDOWN_STATE = np.dtype([("until_ns", "i8"), ("pull", SWITCH)], align=True)


@kernel
def toxicity(markout: Any) -> float:
    """Share of the side's last 50 completed 1-s markouts below 0 (exact zeros count half); 0 below 20 samples."""
    if markout_n(markout, TOX_WINDOW) < TOX_MIN_N:
        return 0.0
    return share_below(markout, TOX_WINDOW, 0.0, True)


@kernel
def cooldown_ns(p: Any, tox: float) -> int:
    """``min + (max - min)*clip(2*tox - 1, 0, 1)``."""
    return p.min_ns + int((p.max_ns - p.min_ns) * min(1.0, max(0.0, 2.0 * tox - 1.0)))


@kernel
def cooldown_hit(p: Any, c: Any, t_ns: int, hits: int, tox: float, memory_ns: int) -> bool:
    """Take a hit, the `hits`-th in the trailing second; return whether it pulled the side."""
    c.until_ns = t_ns + cooldown_ns(p, tox)
    if hits <= p.max_fills_per_s or switch_running(c.pull, t_ns):
        return False
    switch_trip(c.pull, t_ns, p.pause_ns, p.pause_max_ns, memory_ns)
    c.pull.released_ns = c.pull.until_ns
    return True
