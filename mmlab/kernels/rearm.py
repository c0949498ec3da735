"""How kill switches return: by themselves when their time is over and their cause gone, or by an operator's hand.

Re-arming needs the duration to be over, the cause to be gone, a two-sided uncrossed book for ``fresh_s``, and no other
trip of the same scope still running: trips that only wait for one another are released together, so they cannot lock.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from mmlab.events import NEVER_NS, GateAction, Reason, Switch
from mmlab.kernels.gate_log import log_gate
from mmlab.kernels.kill import (
    BURST,
    DRAWDOWN,
    HARD_LIMIT,
    LATCH,
    LOSING,
    LOSS,
    MARK,
    STALE,
    TOXIC,
    VOLATILITY,
    mark_distance_bps,
)
from mmlab.kernels.markout import markout_epoch
from mmlab.kernels.pnl_window import pnl_epoch, pnl_mark
from mmlab.kernels.policy import kernel
from mmlab.kernels.state import WORLD_SWITCHES
from mmlab.kernels.switch import switch_latch, switch_release, switch_running, switch_trip
from mmlab.kernels.windows import histogram_reset

Array = np.ndarray[Any, Any]
REARM, MANUAL = int(GateAction.REARM), int(Switch.MANUAL)
REASON_SHIFT = 10
"""The `Reason` bit of a global switch is ``1 << (switch + REASON_SHIFT)``."""
REARM_REASON, TOXIC_REASON, BURST_REASON = int(Reason.REARM), int(Reason.TOXIC), int(Reason.BURST)


@kernel
def cause_gone(p: Any, st: Any, which: int, t_ns: int) -> bool:
    """Whether a data-driven switch's condition has cleared."""
    if which == STALE:
        return t_ns - st.book_ns <= p.kill.stale_ns
    if which == VOLATILITY:
        return st.calm_since_ns != NEVER_NS and t_ns - st.calm_since_ns >= p.kill.fresh_ns
    if which == MARK:
        return mark_distance_bps(p, st) <= p.kill.mark_bps
    if which == HARD_LIMIT:
        return abs(st.account.position_lots + p.risk.offset_lots) <= p.risk.hard_lots
    return True


@kernel
def book_fresh(p: Any, st: Any, t_ns: int) -> bool:
    """Two-sided uncrossed book for ``fresh_s``."""
    return st.market.valid != 0 and t_ns - st.valid_since_ns >= p.kill.fresh_ns


@kernel
def new_epoch(st: Any, which: int, t_ns: int) -> None:
    """What a switch measures starts afresh at its re-arm."""
    net = st.account.net_quote
    if which == LOSING:
        pnl_mark(st.pnl, net)
        pnl_epoch(st.pnl, t_ns)
    elif which == LOSS:
        st.loss_from = net
    elif which == DRAWDOWN:
        st.peak = net


@kernel
def release_world(p: Any, st: Any, t_ns: int) -> int:
    """Re-arm the global switches if none is running; return the `Reason` bits of those that still block."""
    if st.tripped == 0:
        return 0
    blocked, running = 0, False
    for which in range(WORLD_SWITCHES):
        sw = st.world[which]
        if sw.active:
            blocked |= 1 << (which + REASON_SHIFT)
            if switch_running(sw, t_ns) or not cause_gone(p, st, which, t_ns):
                running = True
    if blocked == 0:
        st.tripped = (
            st.side[0].toxic.active | st.side[0].burst.active | st.side[1].toxic.active | st.side[1].burst.active
        )
    if blocked == 0 or running:
        return blocked
    if not book_fresh(p, st, t_ns):
        return blocked | REARM_REASON
    for which in range(WORLD_SWITCHES):
        sw = st.world[which]
        if sw.active:
            switch_release(sw, t_ns)
            log_gate(st.gates, t_ns, which, REARM, 0, math.nan, math.nan, 0, 0.0, t_ns)
            new_epoch(st, which, t_ns)
    st.vol.frozen = 0
    return 0


@kernel
def release_side(p: Any, st: Any, k: int, t_ns: int) -> int:
    """Re-arm the switches of side `k` if none is running; return the `Reason` bits of those that still block."""
    if st.tripped == 0:
        return 0
    side = st.side[k]
    blocked = (TOXIC_REASON if side.toxic.active else 0) | (BURST_REASON if side.burst.active else 0)
    if blocked == 0 or switch_running(side.toxic, t_ns) or switch_running(side.burst, t_ns):
        return blocked
    if st.blocked != 0 or not book_fresh(p, st, t_ns):
        return blocked | REARM_REASON
    if side.toxic.active:
        switch_release(side.toxic, t_ns)
        markout_epoch(side.markout, t_ns)
        side.epoch_seen = 0
        log_gate(st.gates, t_ns, TOXIC, REARM, 1 - 2 * k, math.nan, math.nan, 0, 0.0, t_ns)
    if side.burst.active:
        switch_release(side.burst, t_ns)
        histogram_reset(side.burst_rate)
        log_gate(st.gates, t_ns, BURST, REARM, 1 - 2 * k, math.nan, math.nan, 0, 0.0, t_ns)
    return 0


@kernel
def trip_manual(p: Array, s: Array, local_ns: int) -> None:
    """An operator halts everything, latched, whatever the mode."""
    st = s[0]
    sw = st.world[MANUAL]
    if sw.latched:
        return
    switch_trip(sw, local_ns, 0, 0, p[0].kill.memory_ns)
    switch_latch(sw)
    log_gate(st.gates, local_ns, MANUAL, LATCH, 0, math.nan, math.nan, 0, 0.0, sw.until_ns)
    st.dirty, st.tripped = 1, 1


@kernel
def hurry(sw: Any, t_ns: int) -> int:
    """End the time of an active switch, latched or not; 1 if there was any."""
    if not switch_running(sw, t_ns):
        return 0
    sw.latched, sw.until_ns = 0, t_ns
    return 1


@kernel
def rearm(p: Array, s: Array, local_ns: int) -> int:
    """An operator re-arms every switch; return how many were latched or still running.

    The next `decide` releases them if the conditions of every re-arm hold, else as soon as they do.
    """
    st, n = s[0], 0
    for which in range(WORLD_SWITCHES):
        n += hurry(st.world[which], local_ns)
    for k in range(2):
        n += hurry(st.side[k].toxic, local_ns) + hurry(st.side[k].burst, local_ns)
    st.dirty = 1
    return n


@kernel
def sooner(deadline_ns: int, candidate_ns: int, t_ns: int) -> int:
    """The earlier of two deadlines, if the candidate is still ahead."""
    return min(deadline_ns, candidate_ns) if candidate_ns > t_ns else deadline_ns


@kernel
def switch_deadline(sw: Any, fresh_ns: int, t_ns: int) -> int:
    """When an active switch may be released by the passing of time alone; NEVER_NS if not."""
    return sooner(NEVER_NS, max(sw.until_ns, fresh_ns), t_ns) if sw.active and not sw.latched else NEVER_NS


@kernel
def kill_deadline(p: Any, st: Any, t_ns: int) -> int:
    """When a switch may change by the passing of time alone; NEVER_NS if none can."""
    deadline = NEVER_NS
    fresh_ns = st.valid_since_ns + p.kill.fresh_ns
    if p.kill.stale and st.started and st.world[STALE].active == 0:
        deadline = sooner(deadline, st.book_ns + p.kill.stale_ns + 1, t_ns)
    if st.blocked:
        for which in range(WORLD_SWITCHES):
            deadline = min(deadline, switch_deadline(st.world[which], fresh_ns, t_ns))
    for k in range(2):
        deadline = min(deadline, switch_deadline(st.side[k].toxic, fresh_ns, t_ns))
        deadline = min(deadline, switch_deadline(st.side[k].burst, fresh_ns, t_ns))
    return deadline
