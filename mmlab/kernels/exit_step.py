"""The age exit inside a decision: when it is due, how it is cleared, sized, sent and ended (see `age_exit`)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from mmlab.events import NEVER_NS, NS_PER_S, GateAction, Switch, TargetFlag
from mmlab.kernels.age_exit import (
    CLEARING,
    IDLE,
    SENT,
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
from mmlab.kernels.shape import min_lots

Array = np.ndarray[Any, Any]
IOC = int(TargetFlag.IOC)
REDUCE_ONLY = int(TargetFlag.REDUCE_ONLY)
S_EXIT = int(Switch.AGE_EXIT)
A_EXIT = int(GateAction.EXIT)
A_SKIPPED = int(GateAction.EXIT_SKIPPED)
OVER_BUDGET = -3.0


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
    a, tick_size = st.account, q.instrument.tick_size
    adverse = exit_adverse_ticks(a.position_lots, a.entry, st.last_mid, tick_size)
    age_ns, mid_ticks = exit_age_ns(q, st, t_ns), st.last_mid / tick_size
    return exit_due(q.age_exit, st.exit, t_ns, a.position_lots, age_ns, adverse, mid_ticks)


@kernel
def exit_decide(q: Any, st: Any, t_ns: int, heavy: int) -> int:
    """Size the exit, log it, and return its lots; 0 when it is skipped."""
    x, position_lots = st.exit, st.account.position_lots
    exit_minutes(x, t_ns)
    light_lots = st.side[1 - heavy].working_lots
    lots = exit_size(q.age_exit, x, position_lots, light_lots, min_lots(q.instrument, st.last_mid))
    age_seconds, spent = exit_age_ns(q, st, t_ns) / NS_PER_S, x.cost.sum()
    x.depth_known = 0
    side = -1 if position_lots > 0 else 1
    limit = q.age_exit.age_ns / NS_PER_S
    if lots <= 0 or spent >= q.age_exit.budget_quote:
        effect = OVER_BUDGET if lots > 0 else float(lots)
        x.skips += 1
        exit_end(q.age_exit, x, t_ns)
        log_gate(st.gates, t_ns, S_EXIT, A_SKIPPED, side, age_seconds, limit, x.depth_lots, effect, x.next_ns)
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
    wanted = blocked == 0 and exit_wanted(q, st, t_ns)
    if x.phase == CLEARING and not wanted:
        x.phase, x.depth_known = IDLE, 0
    if not wanted:
        return 0
    if x.phase == IDLE:
        exit_start(q.age_exit, x, t_ns, st.account.position_lots)
    heavy = 0 if st.account.position_lots > 0 else 1
    if st.side[heavy].working_lots > 0 or x.depth_known == 0:
        return 0
    return exit_decide(q, st, t_ns, heavy)


@kernel
def wants_depth(s: Array) -> int:
    """Side of the book whose depth `set_depth` must be given before the next `decide`; 0: none.

    Depth is the visible lots within `slippage_ticks` of that side's best price, less our own.
    """
    st = s[0]
    if st.exit.phase != CLEARING:
        return 0
    return 1 if st.account.position_lots > 0 else -1


@kernel
def set_depth(s: Array, lots: int) -> None:
    """Answer to `wants_depth`."""
    s[0].exit.depth_lots, s[0].exit.depth_known = lots, 1


@kernel
def slippage_ticks(p: Array, s: Array) -> int:
    """How far from the best price the exit may trade, in ticks."""
    x, tick_size = p[0].age_exit, p[0].instrument.tick_size
    return int(distance_ticks(x.slippage_ticks, x.slippage_bps, s[0].last_mid / tick_size))


@kernel
def exit_target(p: Array, s: Array, lots: int, out: Array, n: int) -> int:
    """Append the exit: reduce-only IOC down to `max_slippage` through the opposite best."""
    st = s[0]
    sign = -1 if st.account.position_lots > 0 else 1
    best = st.market.bid_ticks if sign < 0 else st.market.ask_ticks
    row = out[n]
    row.side, row.rung, row.flags = sign, -1, IOC | REDUCE_ONLY
    row.price_ticks, row.size_lots = best + sign * slippage_ticks(p, s), lots
    return n + 1
