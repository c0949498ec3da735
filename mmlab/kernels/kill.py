"""Kill switches: when each trips (`terms.md`, Kill switches); `rearm` says when it returns.

Global switches live in ``st.world``, indexed by `Switch`; toxic and burst belong to a side. Fill-driven switches
(toxic, burst, losing) are evaluated when a sample of their present epoch arrives; data-driven ones at every event and
timer. Limits on single orders are in `refusals`.
"""

from __future__ import annotations

import math
from typing import Any

from mmlab.events import NEVER_NS, NO_PRICE, NS_PER_S, GateAction, Switch
from mmlab.kernels.gate_log import log_gate
from mmlab.kernels.markout import effective_n, markout_median, share_below
from mmlab.kernels.pnl_window import pnl_window
from mmlab.kernels.policy import kernel
from mmlab.kernels.switch import switch_latch, switch_trip
from mmlab.kernels.volatility import MEDIAN_EVERY_NS, vol_median, vol_sigma
from mmlab.kernels.windows import histogram_percentile

TRIP, OBSERVE, LATCH = int(GateAction.TRIP), int(GateAction.OBSERVE), int(GateAction.LATCH)
TOXIC, BURST, LOSING, LOSS, DRAWDOWN = (
    int(Switch.TOXIC), int(Switch.BURST), int(Switch.LOSING), int(Switch.LOSS), int(Switch.DRAWDOWN)
)  # fmt: skip
VOLATILITY, STALE, HARD_LIMIT, MARK = (
    int(Switch.VOLATILITY), int(Switch.STALE), int(Switch.HARD_LIMIT), int(Switch.MARK)
)  # fmt: skip


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
    # a share above a half says that the median is below the threshold; at z = 0 it may be a half exactly
    if share >= limit and markout_median(side.markout, kp.toxic_window, since) < kp.toxic_bps:
        first, cap = kp.toxic_pause_ns, kp.toxic_pause_max_ns
        trip(p, st, side.toxic, t_ns, TOXIC, 1 - 2 * k, share, limit, n, first, cap, False)


@kernel
def check_burst(p: Any, st: Any, k: int, t_ns: int) -> None:
    """Trip if, with the hit of side `k` that has arrived, the percentile of its fill rate is too high."""
    kp, side = p.kill, st.side[k]
    if kp.burst == 0 or side.burst.active or side.burst_rate.n < kp.burst_min_n:
        return
    rate = histogram_percentile(side.burst_rate, kp.burst_percentile)
    if rate > kp.burst_per_s:
        first, cap = kp.burst_pause_ns, kp.burst_pause_max_ns
        trip(p, st, side.burst, t_ns, BURST, 1 - 2 * k, rate, kp.burst_per_s, side.burst_rate.n, first, cap, False)


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
    """Net P&L (quote currency) from the start, or the last re-arm, and from its peak."""
    kp, net = p.kill, st.account.net_quote
    st.peak = max(st.peak, net)
    loss, drawdown = net - st.loss_from, net - st.peak
    if kp.loss and loss < -kp.max_loss:
        trip(p, st, st.world[LOSS], t_ns, LOSS, 0, loss, -kp.max_loss, 1, 0, 0, True)
    if kp.drawdown and drawdown < -kp.max_drawdown:
        trip(p, st, st.world[DRAWDOWN], t_ns, DRAWDOWN, 0, drawdown, -kp.max_drawdown, 1, 0, 0, True)


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
        st.silent = 1
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
            first, cap = p.kill.fresh_ns, p.kill.halt_ns
            trip(p, st, st.world[MARK], t_ns, MARK, 0, distance, p.kill.mark_bps, 1, first, cap, False)


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
