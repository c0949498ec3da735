"""The age exit inside a decision: when it is due, how it is cleared, sized, sent and ended (see `age_exit`)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from mmlab.events import NEVER_NS, NS_PER_S, GateAction, Switch, TargetFlag
from mmlab.kernels.account import value_of
from mmlab.kernels.age_exit import (
    CLEARING,
    IDLE,
    SENT,
    WAKE_NS,
    exit_cancel,
    exit_due,
    exit_end,
    exit_minutes,
    exit_over,
    exit_send,
    exit_size,
    exit_start,
)
from mmlab.kernels.age_exit import (
    adverse_ticks as exit_adverse_ticks,
)
from mmlab.kernels.flip_gate import distance_ticks
from mmlab.kernels.gate_log import log_gate
from mmlab.kernels.inventory import age_s, lots_age_s
from mmlab.kernels.policy import kernel
from mmlab.kernels.shape import held_lots, min_lots

Array = np.ndarray[Any, Any]
IOC = int(TargetFlag.IOC)
REDUCE_ONLY = int(TargetFlag.REDUCE_ONLY)
S_EXIT = int(Switch.AGE_EXIT)
A_EXIT = int(GateAction.EXIT)
A_SKIPPED = int(GateAction.EXIT_SKIPPED)


@kernel
def exit_age_ns(q: Any, st: Any, t_ns: int) -> float:
    """Age by the configured basis."""
    return (lots_age_s(st.lots, t_ns) if q.age_exit.lot_basis else age_s(st.age, t_ns)) * NS_PER_S


@kernel
def exit_age_at(q: Any, st: Any, t_ns: int) -> int:
    """When the age reaches `age_s`, if no fill comes before; NEVER_NS while there is none."""
    age_ns = exit_age_ns(q, st, t_ns)
    if age_ns <= 0.0 or q.age_exit.enabled == 0:
        return NEVER_NS
    return t_ns + max(0, math.ceil(q.age_exit.age_ns - age_ns))


@kernel
def exit_wanted(q: Any, st: Any, t_ns: int) -> bool:
    """Whether age, loss and cooldown ask for an exit now."""
    a = st.account
    if q.age_exit.enabled == 0 or a.position_lots == 0 or t_ns < st.exit.next_ns:
        return False
    held = held_lots(q.risk, a.position_lots)
    adverse = exit_adverse_ticks(held, a.entry, st.last_mid, q.instrument.tick_size)
    return exit_due(q.age_exit, st.exit, t_ns, held, exit_age_ns(q, st, t_ns), adverse, st.mid_ticks)


@kernel
def exit_limit_ticks(q: Any, st: Any, side: int) -> int:
    """Price limit of an exit on `side`: `max_slippage` through the opposite best."""
    best = st.market.bid_ticks if side < 0 else st.market.ask_ticks
    x = q.age_exit
    return max(1, best + side * int(distance_ticks(x.slippage_ticks, x.slippage_bps, st.mid_ticks)))


@kernel
def exit_affordable(q: Any, st: Any, held: int) -> int:
    """Lots that can be taken out, at the worst price the exit may trade at, before the hourly budget is spent."""
    i, inverse = q.instrument, q.instrument.inverse != 0
    worst = exit_limit_ticks(q, st, -1 if held > 0 else 1) * i.tick_size
    value = value_of(i.lot_size, worst, i.contract_size, inverse)
    slippage = abs(value - value_of(i.lot_size, st.last_mid, i.contract_size, inverse))
    cost = i.taker_fee * abs(value) + slippage
    left = q.age_exit.budget_quote - st.exit.cost.sum()
    if cost * abs(held) <= left:
        return abs(held)
    return int(left / cost) if left > 0.0 else 0


@kernel
def exit_decide(q: Any, st: Any, t_ns: int, held: int) -> int:
    """Size the exit; send it once nothing of ours is in its way. Returns its lots, 0 while it waits or is skipped."""
    x, heavy = st.exit, 0 if held > 0 else 1
    exit_minutes(x, t_ns)
    affordable = exit_affordable(q, st, held)
    lots = exit_size(q.age_exit, abs(held), x.depth_lots, affordable, min_lots(q.instrument, st.last_mid))
    age_seconds, limit = exit_age_ns(q, st, t_ns) / NS_PER_S, q.age_exit.age_ns / NS_PER_S
    side = -1 if held > 0 else 1
    if lots <= 0:
        x.skips += 1
        exit_end(q.age_exit, x, t_ns)
        log_gate(st.gates, t_ns, S_EXIT, A_SKIPPED, side, age_seconds, limit, x.depth_lots, float(lots), x.next_ns)
        return 0
    x.planned_lots, x.wake_ns = lots, NEVER_NS
    if st.side[heavy].working_lots > 0 or st.side[1 - heavy].working_lots > abs(held) - lots:
        return 0
    exit_send(x, t_ns, lots)
    log_gate(st.gates, t_ns, S_EXIT, A_EXIT, side, age_seconds, limit, x.depth_lots, float(lots), 0)
    return lots


@kernel
def exit_step(q: Any, st: Any, t_ns: int, blocked: int) -> int:
    """Advance the age exit; return the lots of an IOC to send now, 0 for none."""
    x = st.exit
    if x.phase == SENT:
        if exit_over(q.age_exit, x, t_ns, st.exit_live):
            exit_end(q.age_exit, x, t_ns)
        return 0
    if blocked != 0 or not exit_wanted(q, st, t_ns):
        if x.phase == CLEARING:
            exit_cancel(x)
        return 0
    held = held_lots(q.risk, st.account.position_lots)
    if x.phase == IDLE:
        exit_start(q.age_exit, x, t_ns, abs(held))
    if x.depth_known == 0:
        x.wake_ns = t_ns + WAKE_NS
        return 0
    x.depth_known = 0
    return exit_decide(q, st, t_ns, held)


@kernel
def wants_depth(s: Array) -> int:
    """Side of the book whose depth `set_depth` must be given before the next `decide`; 0: none.

    Depth is the visible lots within `slippage_ticks` of that side's best price, less our own.
    """
    return depth_side(s[0])


@kernel
def depth_side(st: Any) -> int:
    """`wants_depth` on a record."""
    if st.exit.phase != CLEARING:
        return 0
    return 1 if st.account.position_lots > 0 else -1  # an exit reduces the position, whatever counts as inventory


@kernel
def set_depth(s: Array, lots: int) -> None:
    """Answer to `wants_depth`."""
    take_depth(s[0], lots)


@kernel
def take_depth(st: Any, lots: int) -> None:
    """`set_depth` on a record."""
    st.exit.depth_lots, st.exit.depth_known = lots, 1


@kernel
def slippage_ticks(p: Array, s: Array) -> int:
    """How far from the best price the exit may trade, in ticks."""
    return ticks_to_slip(p[0], s[0])


@kernel
def ticks_to_slip(q: Any, st: Any) -> int:
    """`slippage_ticks` on records."""
    x = q.age_exit
    return int(distance_ticks(x.slippage_ticks, x.slippage_bps, st.mid_ticks))


@kernel
def exit_target(q: Any, st: Any, lots: int, out: Array, n: int) -> int:
    """Append the exit: a reduce-only IOC."""
    row, side = out[n], -1 if st.account.position_lots > 0 else 1
    row.side, row.rung, row.flags = side, -1, IOC | REDUCE_ONLY
    row.price_ticks, row.size_lots = exit_limit_ticks(q, st, side), lots
    return n + 1
