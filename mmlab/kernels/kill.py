"""Kill switches: when each trips, and when it may re-arm (`terms.md`, Kill switches).

Global switches live in ``st.world``, indexed by `Switch`; toxic and burst belong to a side. Fill-driven switches
(toxic, burst, losing) are evaluated when a sample of their present epoch arrives; data-driven ones at every event and
timer.

Re-arming needs the duration to be over, the cause to be gone, a two-sided uncrossed book for ``fresh_s``, and no other
trip of the same scope still running: trips that only wait for one another are released together, so they cannot lock.
"""

from __future__ import annotations

import math
from typing import Any

from mmlab.events import NEVER_NS, NO_PRICE, NS_PER_S, GateAction, Reason, Switch
from mmlab.kernels.flow import rate_percentile, rate_reset
from mmlab.kernels.gate_log import log_gate
from mmlab.kernels.markout import effective_n, markout_epoch, share_below
from mmlab.kernels.pnl_window import pnl_epoch, pnl_window
from mmlab.kernels.policy import kernel
from mmlab.kernels.state import WORLD_SWITCHES
from mmlab.kernels.switch import switch_latch, switch_release, switch_running, switch_trip
from mmlab.kernels.volatility import MEDIAN_EVERY_NS, vol_median, vol_sigma

TRIP, OBSERVE, REARM, LATCH = (
    int(GateAction.TRIP), int(GateAction.OBSERVE), int(GateAction.REARM), int(GateAction.LATCH)
)  # fmt: skip
TOXIC, BURST, LOSING, LOSS, DRAWDOWN = (
    int(Switch.TOXIC), int(Switch.BURST), int(Switch.LOSING), int(Switch.LOSS), int(Switch.DRAWDOWN)
)  # fmt: skip
VOLATILITY, STALE, HARD_LIMIT, COLLAR = (
    int(Switch.VOLATILITY), int(Switch.STALE), int(Switch.HARD_LIMIT), int(Switch.COLLAR)
)  # fmt: skip
SIZE, ORDER_COUNT, MESSAGES, MARK, MANUAL = (
    int(Switch.SIZE), int(Switch.ORDER_COUNT), int(Switch.MESSAGES), int(Switch.MARK), int(Switch.MANUAL)
)  # fmt: skip
REASON_SHIFT = 10
"""The `Reason` bit of a global switch is ``1 << (switch + REASON_SHIFT)``."""
REARM_REASON, TOXIC_REASON, BURST_REASON = int(Reason.REARM), int(Reason.TOXIC), int(Reason.BURST)
REFUSALS = 3
"""Refusals that halt."""


@kernel
def observed(p: Any, st: Any, sw: Any, t_ns: int, which: int, side: int, value: float, limit: float, n: int) -> bool:
    """In observe mode: log the trip (at most once a memory) instead of acting."""
    if p.kill.observe == 0:
        return False
    if sw.observed_ns == 0 or t_ns - sw.observed_ns > p.kill.memory_ns:
        sw.observed_ns = t_ns
        log_gate(st.gates, t_ns, which, OBSERVE, side, value, limit, n, 0.0, 0)
    return True


@kernel
def trip(
    p: Any, st: Any, sw: Any, t_ns: int, which: int, side: int, value: float, limit: float, n: int, first_ns: int,
    cap_ns: int, latch: bool,
) -> None:  # fmt: skip
    """Trip a switch that is not active yet, and log it with its inputs."""
    if sw.active or observed(p, st, sw, t_ns, which, side, value, limit, n):
        return
    duration_ns = switch_trip(sw, t_ns, first_ns, cap_ns, p.kill.memory_ns)
    if latch:
        switch_latch(sw)
    log_gate(
        st.gates, t_ns, which, LATCH if latch else TRIP, side, value, limit, n, duration_ns / NS_PER_S, sw.until_ns
    )
    st.dirty, st.tripped = 1, 1


@kernel
def check_toxic(p: Any, st: Any, k: int, t_ns: int) -> None:
    """Trip if, with the markout of side `k` that has completed, its rolling markout is significantly too low."""
    kp, side = p.kill, st.side[k]
    if kp.toxic == 0 or side.toxic.active or side.markout.epoch_n == side.epoch_seen:
        return
    side.epoch_seen = side.markout.epoch_n
    since = side.toxic.epoch_ns
    n = effective_n(side.markout, kp.toxic_window, kp.toxic_horizon_ns, since)
    if n < kp.toxic_min_n:
        return
    share = share_below(side.markout, kp.toxic_window, kp.toxic_bps, False, since)
    limit = 0.5 + kp.toxic_z / (2.0 * math.sqrt(n))
    if share >= limit:
        first, cap = kp.toxic_pause_ns, kp.toxic_pause_max_ns
        trip(p, st, side.toxic, t_ns, TOXIC, 1 - 2 * k, share, limit, n, first, cap, False)


@kernel
def check_burst(p: Any, st: Any, k: int, t_ns: int) -> None:
    """Trip if, with the hit of side `k` that has arrived, the percentile of its fill rate is too high."""
    kp, side = p.kill, st.side[k]
    if kp.burst == 0 or side.burst.active or side.rate.n < kp.burst_min_n:
        return
    rate = rate_percentile(side.rate, kp.burst_percentile)
    if rate > kp.burst_per_s:
        first, cap = kp.burst_pause_ns, kp.burst_pause_max_ns
        trip(p, st, side.burst, t_ns, BURST, 1 - 2 * k, rate, kp.burst_per_s, side.rate.n, first, cap, False)


@kernel
def losing_limit(p: Any, st: Any, rms: float, length_s: float, volume: float) -> float:
    """P&L per million below which losing is significant: min(threshold, -z*sd*100), sd in bps of traded notional."""
    kp = p.kill
    sigma = vol_sigma(st.vol, p.quoting.sigma_floor)
    sd_bps = 1e4 * sigma / st.last_mid * math.sqrt(length_s) * rms / volume
    limit = -kp.losing_z * sd_bps * 100.0
    return kp.losing_quote if limit > kp.losing_quote else limit


@kernel
def check_losing(p: Any, st: Any, t_ns: int, exch_ns: int) -> None:
    """Trip if, with the fill that has arrived, P&L per million of the window is significantly bad."""
    kp, sw = p.kill, st.world[LOSING]
    if kp.losing == 0 or sw.active or exch_ns < sw.epoch_ns:
        return
    net, volume, rms, length_s = pnl_window(st.pnl, kp.losing_window_ns)
    if volume <= 0.0 or volume < kp.losing_notional:
        return
    per_million = net / volume * 1e6
    limit = losing_limit(p, st, rms, length_s, volume)
    if per_million < limit:
        latch = sw.trips >= kp.losing_rearms
        n = st.account.fills
        trip(p, st, sw, t_ns, LOSING, 0, per_million, limit, n, kp.losing_halt_ns, kp.losing_halt_ns, latch)


@kernel
def check_money(p: Any, st: Any, t_ns: int) -> None:
    """Net P&L from the start and from its peak."""
    kp = p.kill
    st.peak = max(st.peak, st.net)
    if kp.loss and st.net < -kp.max_loss:
        trip(p, st, st.world[LOSS], t_ns, LOSS, 0, st.net, -kp.max_loss, 1, 0, 0, True)
    if kp.drawdown and st.net - st.peak < -kp.max_drawdown:
        trip(p, st, st.world[DRAWDOWN], t_ns, DRAWDOWN, 0, st.net - st.peak, -kp.max_drawdown, 1, 0, 0, True)


@kernel
def check_volatility(p: Any, st: Any, t_ns: int) -> None:
    """Sigma against its 30-minute median, which is frozen while tripped."""
    kp, sw = p.kill, st.world[VOLATILITY]
    if kp.volatility == 0 or st.vol.ring_n * MEDIAN_EVERY_NS < kp.vol_min_ns:
        return
    floor = p.quoting.sigma_floor
    ratio = vol_sigma(st.vol, floor) / vol_median(st.vol, floor)
    if ratio > kp.vol_ratio:
        trip(p, st, sw, t_ns, VOLATILITY, 0, ratio, kp.vol_ratio, st.vol.ring_n, 0, 0, False)
    st.vol.frozen = 1 if sw.active else 0
    if not ratio < kp.vol_rearm_ratio:
        st.calm_since_ns = NEVER_NS
    elif st.calm_since_ns == NEVER_NS:
        st.calm_since_ns = t_ns


@kernel
def check_stale(p: Any, st: Any, t_ns: int) -> None:
    """Age of the last book event."""
    age_ns = t_ns - st.book_ns
    if p.kill.stale and st.started and age_ns > p.kill.stale_ns:
        limit = p.kill.stale_ns / NS_PER_S
        trip(p, st, st.world[STALE], t_ns, STALE, 0, age_ns / NS_PER_S, limit, 1, 0, 0, False)


@kernel
def mark_distance_bps(p: Any, st: Any) -> float:
    """Mid from the mark price; 0 while there is none."""
    if st.mark_ticks == NO_PRICE or math.isnan(st.last_mid):
        return 0.0
    mark = st.mark_ticks * p.instrument.tick_size
    return 1e4 * abs(st.last_mid - mark) / mark


@kernel
def check_mark(p: Any, st: Any, t_ns: int) -> None:
    """Mid against the mark price."""
    if p.kill.mark:
        distance = mark_distance_bps(p, st)
        if distance > p.kill.mark_bps:
            trip(p, st, st.world[MARK], t_ns, MARK, 0, distance, p.kill.mark_bps, 1, 0, 0, False)


@kernel
def check_position(p: Any, st: Any, t_ns: int) -> None:
    """Position beyond the hard limit."""
    position = abs(st.account.position_lots + p.risk.offset_lots)
    if position > p.risk.hard_lots:
        hard = float(p.risk.hard_lots)
        trip(p, st, st.world[HARD_LIMIT], t_ns, HARD_LIMIT, 0, float(position), hard, 1, 0, 0, True)


@kernel
def kill_check(p: Any, st: Any, t_ns: int) -> None:
    """Every data-driven switch."""
    check_money(p, st, t_ns)
    check_volatility(p, st, t_ns)
    check_stale(p, st, t_ns)
    check_mark(p, st, t_ns)
    check_position(p, st, t_ns)


@kernel
def note_refusal(st: Any, which: int, value: float, limit: float) -> None:
    """Take note that this decision refused an order."""
    st.refused, st.refusing[which] = 1, 1
    st.refused_value[which], st.refused_limit[which] = value, limit


@kernel
def count_refusals(p: Any, st: Any, t_ns: int) -> bool:
    """After the quotes: count the refusals, and halt at the third within the memory; return whether one halted.

    A decision counts once, however many orders it refused. The message rate is backed off from until it has fallen, so
    there an unbroken run of decisions counts once.
    """
    halted, st.refused = False, 0
    for which in range(COLLAR, MESSAGES + 1):
        if st.refusing[which] == 0:
            st.was_refusing[which] = 0
            continue
        st.refusing[which] = 0
        again = st.was_refusing[which] != 0 and (which == MESSAGES or t_ns == st.refused_ns[which])
        if not again:
            expired = t_ns - st.refused_ns[which] > p.kill.memory_ns
            st.refusals[which] = 1 if expired else st.refusals[which] + 1
        st.refused, st.was_refusing[which], st.refused_ns[which] = 1, 1, t_ns  # looked at again after the next quotes
        if not again and st.refusals[which] >= REFUSALS:
            n, halt = st.refusals[which], p.kill.halt_ns
            st.refusals[which] = 0
            value, limit = st.refused_value[which], st.refused_limit[which]
            trip(p, st, st.world[which], t_ns, which, 0, value, limit, n, halt, halt, False)
            halted = halted or st.world[which].active != 0
    return halted


@kernel
def messages_last_minute(st: Any) -> int:
    """Messages sent since the whole second 60 s ago, or a little longer."""
    return st.messages - st.message_ring[(st.message_second - 60) % st.message_ring.size]


@kernel
def cause_gone(p: Any, st: Any, which: int, t_ns: int) -> bool:
    """Whether a data-driven switch's condition has cleared."""
    if which == STALE:
        return t_ns - st.book_ns <= p.kill.stale_ns
    if which == VOLATILITY:
        return st.calm_since_ns != NEVER_NS and t_ns - st.calm_since_ns >= p.kill.fresh_ns
    if which == MARK:
        return mark_distance_bps(p, st) <= p.kill.mark_bps
    return True


@kernel
def book_fresh(p: Any, st: Any, t_ns: int) -> bool:
    """Two-sided uncrossed book for ``fresh_s``."""
    return st.market.valid != 0 and t_ns - st.valid_since_ns >= p.kill.fresh_ns


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
            if which == LOSING:
                pnl_epoch(st.pnl, t_ns)
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
        rate_reset(side.rate)
        log_gate(st.gates, t_ns, BURST, REARM, 1 - 2 * k, math.nan, math.nan, 0, 0.0, t_ns)
    return 0


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
