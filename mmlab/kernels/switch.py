"""A switch that trips, backs off and re-arms: the one mechanism behind every pause, pull and halt.

A trip starts a new epoch of the switch. Repeats within ``memory`` of the last release double the duration, up to a cap.
A switch whose time has run out stays active until its owner releases it, because re-arming has conditions of its own.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mmlab.events import NEVER_NS
from mmlab.kernels.policy import kernel

SWITCH = np.dtype(
    [
        ("active", "i8"), ("latched", "i8"), ("until_ns", "i8"), ("duration_ns", "i8"), ("epoch_ns", "i8"),
        ("released_ns", "i8"), ("trips", "i8"), ("observed_ns", "i8"),
    ],
    align=True,
)  # fmt: skip
"""``epoch_ns``: samples from fills before it do not count (NEVER_NS while tripped)."""


@kernel
def switch_trip(sw: Any, t_ns: int, first_ns: int, cap_ns: int, memory_ns: int) -> int:
    """Trip for `first_ns`, or twice the last duration (at most `cap_ns`) on a repeat; return the duration."""
    repeat = sw.trips > 0 and t_ns - sw.released_ns <= memory_ns
    sw.duration_ns = min(cap_ns, 2 * sw.duration_ns) if repeat else first_ns
    sw.until_ns = t_ns + sw.duration_ns
    sw.active, sw.epoch_ns = 1, NEVER_NS
    sw.trips += 1
    return sw.duration_ns


@kernel
def switch_latch(sw: Any) -> None:
    """Stay tripped until an operator re-arms."""
    sw.active, sw.latched, sw.until_ns = 1, 1, NEVER_NS


@kernel
def switch_running(sw: Any, t_ns: int) -> bool:
    """Tripped and its time not yet over."""
    return sw.active != 0 and (sw.latched != 0 or t_ns < sw.until_ns)


@kernel
def switch_release(sw: Any, t_ns: int) -> None:
    """Re-arm: a new epoch starts now."""
    sw.active, sw.latched, sw.epoch_ns, sw.released_ns = 0, 0, t_ns, t_ns
