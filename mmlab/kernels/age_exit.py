"""Age exit: leave old, losing inventory with one reduce-only IOC sized by visible depth (`terms.md`, Age exit).

    IDLE ──conditions hold──► CLEARING ──heavy side confirmed gone, depth known──► SENT ──terminal──► IDLE (cooldown)
                                  └──conditions no longer hold──► IDLE

From CLEARING until the exit is terminal the heavy side is not quoted, so the exit cannot trade with our own order; the
light side is cut so that position, quote and exit cannot pass through zero together.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mmlab.events import NEVER_NS, NS_PER_S
from mmlab.kernels.flip_gate import distance_ticks
from mmlab.kernels.policy import kernel

IDLE, CLEARING, SENT = range(3)
MINUTE_NS = 60 * NS_PER_S
FALLS = 64
LOST_NS = 5 * NS_PER_S
"""An exit of which nothing was heard for this long was never placed."""
NO_EXIT, TOO_THIN, UNTRADEABLE, OVER_BUDGET = 0, -1, -2, -3
"""Outcomes of sizing that are not a size."""

AGE_EXIT_STATE = np.dtype(
    [
        ("phase", "i8"), ("planned_lots", "i8"), ("lots", "i8"), ("depth_lots", "i8"), ("depth_known", "i8"),
        ("seen_live", "i8"), ("sent_ns", "i8"), ("next_ns", "i8"), ("fall_ns", "i8", (FALLS,)),
        ("fall_from", "i8", (FALLS,)), ("falls", "i8"), ("cost", "f8", (60,)), ("minute", "i8"), ("exits", "i8"),
        ("skips", "i8"),
    ],
    align=True,
)  # fmt: skip
"""``fall_*``: when |position| fell and from what, to skip an exit that passive fills have done; ``cost``: taker cost of
each minute of the last hour, settle currency."""


@kernel
def exit_spend(x: Any, t_ns: int, cost: float) -> None:
    """Book the cost of an exit's fill."""
    exit_minutes(x, t_ns)
    x.cost[x.minute % 60] += cost


@kernel
def exit_minutes(x: Any, t_ns: int) -> None:
    """Forget the minutes that have left the hour."""
    minute = t_ns // MINUTE_NS
    for k in range(max(x.minute + 1, minute - 59), minute + 1):
        x.cost[k % 60] = 0.0
    x.minute = max(x.minute, minute)


@kernel
def exit_position_fell(x: Any, t_ns: int, before_lots: int) -> None:
    """Remember that |position| fell from `before_lots`."""
    i = x.falls % FALLS
    x.fall_ns[i], x.fall_from[i] = t_ns, before_lots
    x.falls += 1


@kernel
def fell_enough(p: Any, x: Any, t_ns: int, position_lots: int) -> bool:
    """Whether |position| already fell by `fraction` within the cooldown."""
    most = abs(position_lots)
    for k in range(max(0, x.falls - FALLS), x.falls):
        i = k % FALLS
        if x.fall_ns[i] > t_ns - p.cooldown_ns:
            most = max(most, x.fall_from[i])
    return abs(position_lots) <= (1.0 - p.fraction) * most


@kernel
def adverse_ticks(position_lots: int, entry: float, mid: float, tick_size: float) -> float:
    """How far the mid has moved against the entry price, in ticks; < 0 when in profit."""
    return (entry - mid) / tick_size * (1.0 if position_lots > 0 else -1.0)


@kernel
def exit_due(p: Any, x: Any, t_ns: int, position_lots: int, age_ns: float, adverse: float, mid_ticks: float) -> bool:
    """Whether an exit is due now (cost budget and depth apart)."""
    if p.enabled == 0 or position_lots == 0 or t_ns < x.next_ns or age_ns < p.age_ns:
        return False
    if not adverse >= distance_ticks(p.adverse_ticks, p.adverse_bps, mid_ticks):
        return False
    return not fell_enough(p, x, t_ns, position_lots)


@kernel
def exit_size(p: Any, x: Any, position_lots: int, light_lots: int, min_lots: int) -> int:
    """Lots to exit, or why not.

    ``min(fraction*|position|, depth_fraction*visible)``, such that what stays, less the resting light side, does not
    pass through zero; if it or the remainder is untradeable: all of it if the depth allows, else nothing.
    """
    held = abs(position_lots)
    allowed = int(p.depth_fraction * x.depth_lots)
    lots = min(int(p.fraction * held), allowed, held - light_lots)
    remainder = held - lots
    if lots >= min_lots and (remainder == 0 or remainder >= min_lots):
        return lots
    if held <= allowed and light_lots == 0:
        return held
    return TOO_THIN if allowed < max(min_lots, 1) else UNTRADEABLE


@kernel
def exit_start(p: Any, x: Any, t_ns: int, position_lots: int) -> None:
    """IDLE -> CLEARING."""
    x.phase, x.depth_known, x.seen_live = CLEARING, 0, 0
    x.planned_lots = int(p.fraction * abs(position_lots))
    x.lots, x.sent_ns = 0, t_ns


@kernel
def exit_send(x: Any, t_ns: int, lots: int) -> None:
    """CLEARING -> SENT."""
    x.phase, x.lots, x.sent_ns, x.seen_live = SENT, lots, t_ns, 0
    x.exits += 1


@kernel
def exit_end(p: Any, x: Any, t_ns: int) -> None:
    """-> IDLE, with the cooldown."""
    x.phase, x.depth_known, x.next_ns = IDLE, 0, t_ns + p.cooldown_ns


@kernel
def exit_over(p: Any, x: Any, t_ns: int, exit_live: int) -> bool:
    """SENT: whether the exit is terminal."""
    if exit_live:
        x.seen_live = 1
        return False
    return x.seen_live != 0 or t_ns >= x.sent_ns + LOST_NS


@kernel
def exit_deadline(p: Any, x: Any, age_at_ns: int, position_lots: int) -> int:
    """When the exit may become due, or is to be given up; NEVER_NS if nothing is ahead."""
    if x.phase == SENT:
        return x.sent_ns + LOST_NS
    if p.enabled == 0 or position_lots == 0 or x.phase == CLEARING:
        return NEVER_NS
    return max(x.next_ns, age_at_ns)
