"""Inventory ladder: the heavy side steps away from mid, and shrinks, as inventory grows (`terms.md`, Ladder).

Up at once on reaching a threshold; down one level at a time, only when |q_ratio| has fallen below the level's threshold
by the hysteresis and the level was held for the dwell, which restarts at each step. A sign change takes the level of
the new |q_ratio| at once.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mmlab.events import NEVER_NS
from mmlab.kernels.policy import kernel

LADDER_STATE = np.dtype([("level", "i8"), ("sign", "i8"), ("since_ns", "i8")], align=True)


@kernel
def level_of(p: Any, ratio: float) -> int:
    """Number of thresholds at or below `ratio`."""
    level = 0
    while level < p.levels and ratio >= p.threshold[level] - 1e-12:
        level += 1
    return level


@kernel
def below_band(p: Any, ladder: Any, ratio: float) -> bool:
    """Whether the present level is to be left, once its dwell is over."""
    return ladder.level > 0 and ratio < p.threshold[ladder.level - 1] - p.hysteresis - 1e-12


@kernel
def ladder_update(p: Any, ladder: Any, t_ns: int, q_ratio: float) -> int:
    """Take the inventory ratio; return by how many levels the ladder moved."""
    before, ratio = ladder.level, abs(q_ratio)
    sign = 0 if q_ratio == 0.0 else (1 if q_ratio > 0.0 else -1)
    reached = level_of(p, ratio)
    if sign * ladder.sign < 0 or reached > ladder.level:
        ladder.level, ladder.since_ns = reached, t_ns
    else:
        ladder.level = min(ladder.level, p.levels)
        while below_band(p, ladder, ratio) and t_ns - ladder.since_ns >= p.dwell_ns:
            ladder.level -= 1
            ladder.since_ns = t_ns
    if sign != 0:
        ladder.sign = sign
    return ladder.level - before


@kernel
def ladder_deadline(p: Any, ladder: Any, q_ratio: float) -> int:
    """When the dwell that holds the present level is over; NEVER_NS if nothing waits for it."""
    return ladder.since_ns + p.dwell_ns if below_band(p, ladder, abs(q_ratio)) else NEVER_NS
