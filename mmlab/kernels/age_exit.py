"""Age exit: leave old, losing inventory with one reduce-only IOC sized by visible depth (`terms.md`, Age exit).

    IDLE ──conditions hold──► CLEARING ──heavy side confirmed gone, light side cut──► SENT ──terminal──► IDLE (cooldown)
                                  ├──conditions no longer hold──► IDLE
                                  └──untradeable, too thin, over budget──► IDLE (cooldown), logged

From CLEARING until the exit is terminal the heavy side is not quoted, so the exit cannot trade with our own order; the
light side is cut so that position, quote and exit cannot pass through zero together. While it clears, the exit is sized
afresh at every decision.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mmlab.events import NEVER_NS, NS_PER_MS, NS_PER_S
from mmlab.kernels.flip_gate import distance_ticks
from mmlab.kernels.policy import kernel

IDLE, CLEARING, SENT = range(3)
MINUTE_NS = 60 * NS_PER_S
MINUTES = 61
"""Minutes of cost remembered: the present one and the hour before it."""
WAKE_NS = NS_PER_MS
"""An exit that waits for nothing but the depth is looked at again this soon."""
FALLS = 64
LOST_NS = 5 * NS_PER_S
"""An exit of which nothing was heard for this long was never placed."""
NO_EXIT, TOO_THIN, UNTRADEABLE, OVER_BUDGET = 0, -1, -2, -3
"""Outcomes of sizing that are not a size."""

AGE_EXIT_STATE = np.dtype(
    [
        ("phase", "i8"), ("planned_lots", "i8"), ("lots", "i8"), ("depth_lots", "i8"), ("depth_known", "i8"),
        ("seen_live", "i8"), ("sent_ns", "i8"), ("next_ns", "i8"), ("fall_ns", "i8", (FALLS,)),
        ("fall_from", "i8", (FALLS,)), ("falls", "i8"), ("cost", "f8", (MINUTES,)), ("minute", "i8"),
        ("exits", "i8"), ("skips", "i8"), ("wake_ns", "i8"),
    ],
    align=True,
)  # fmt: skip
"""``fall_*``: when |position| fell and from what, to skip an exit that passive fills have done; ``cost``: taker cost of
each minute of the last hour, settle currency; ``wake_ns``: when CLEARING is to be looked at again."""


@kernel
def exit_spend(x: Any, t_ns: int, cost: float) -> None:
    """Book the cost of an exit's fill."""
    exit_minutes(x, t_ns)
    x.cost[x.minute % MINUTES] += cost


@kernel
def exit_minutes(x: Any, t_ns: int) -> None:
    """Forget the minutes that have left the hour."""
    minute = t_ns // MINUTE_NS
    for k in range(max(x.minute + 1, minute - MINUTES + 1), minute + 1):
        x.cost[k % MINUTES] = 0.0
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
def exit_size(p: Any, held: int, depth_lots: int, affordable: int, min_lots: int) -> int:
    """Lots to exit of `held` > 0, or why not.

    ``min(fraction*held, depth_fraction*visible)``, and no more than the budget affords; if it or the remainder is
    untradeable: all of it if depth and budget allow, else nothing.
    """
    deep = int(p.depth_fraction * depth_lots + 1e-9)
    most = min(deep, affordable)
    lots = min(int(p.fraction * held + 1e-9), most)
    remainder = held - lots
    if lots >= min_lots and (remainder == 0 or remainder >= min_lots):
        return lots
    if min_lots <= held <= most:
        return held
    if deep < min_lots:
        return TOO_THIN
    return UNTRADEABLE if most == deep else OVER_BUDGET


@kernel
def exit_start(p: Any, x: Any, t_ns: int, held: int) -> None:
    """IDLE -> CLEARING."""
    x.phase, x.depth_known, x.lots, x.wake_ns = CLEARING, 0, 0, t_ns + WAKE_NS
    x.planned_lots = int(p.fraction * held + 1e-9)


@kernel
def exit_cancel(x: Any) -> None:
    """CLEARING -> IDLE: the reason to exit is gone."""
    x.phase, x.depth_known = IDLE, 0


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
    return exit_live == 0 and (x.seen_live != 0 or t_ns >= x.sent_ns + LOST_NS)


@kernel
def exit_deadline(p: Any, x: Any, age_at_ns: int, position_lots: int) -> int:
    """When the exit may become due, or is to be given up; NEVER_NS if nothing is ahead."""
    if x.phase == SENT:
        return x.sent_ns + LOST_NS
    if p.enabled == 0 or position_lots == 0:
        return NEVER_NS
    if x.phase == CLEARING:
        return x.wake_ns
    return max(x.next_ns, age_at_ns)
