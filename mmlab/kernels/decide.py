"""The decision kernel: market events and fills in, target quotes and reasons out. Nothing else computes a price.

Replay, paper and live call the same functions in the same order: `on_book`, `on_trade`, `on_mark`, `on_funding`,
`on_fill` and `on_orders` take what has become known on the local clock, `on_timer` lets time pass, `decide` states
where quotes should rest. Between two calls of `decide` nothing leaves this module.

Precedence (`terms.md`): global halts, then age exit, then side pauses, flip gate, cooldown, ladder. Every stage may
only remove a quote, move it away from mid, or make it smaller, so the order in which stages touch a quote does not
matter for safety; `st.side[k].reasons` says which of them did.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from mmlab.events import GateAction, Reason, Switch, TargetFlag
from mmlab.kernels.age_exit import IDLE, exit_deadline
from mmlab.kernels.exit_step import exit_age_at, exit_step, exit_target, set_depth, slippage_ticks, wants_depth
from mmlab.kernels.flip_gate import flip_deadline
from mmlab.kernels.gate_log import log_gate
from mmlab.kernels.kill import kill_check
from mmlab.kernels.ladder import ladder_deadline, ladder_update
from mmlab.kernels.metric_row import metrics_row, refresh_metric
from mmlab.kernels.observe import (
    fill_prices,
    inventory_ratio,
    on_alive,
    on_book,
    on_fill,
    on_funding,
    on_mark,
    on_orders,
    on_timer,
    on_trade,
    take_time,
)
from mmlab.kernels.policy import kernel
from mmlab.kernels.quoting import floor_and_cap, model_quotes, part
from mmlab.kernels.rearm import kill_deadline, rearm, release_side, release_world, sooner, trip_manual
from mmlab.kernels.refusals import count_refusals
from mmlab.kernels.shape import held_lots
from mmlab.kernels.state import STATE, new_state
from mmlab.kernels.switch import switch_running
from mmlab.kernels.targets import is_heavy, is_light, remember, side_targets
from mmlab.kernels.volatility import vol_sigma
from mmlab.params import QUOTER

Array = np.ndarray[Any, Any]
IOC = int(TargetFlag.IOC)
REDUCE_ONLY = int(TargetFlag.REDUCE_ONLY)
R_BOOK = int(Reason.BOOK)
R_WARMUP = int(Reason.WARMUP)
R_LADDER_FULL = int(Reason.LADDER_FULL)
R_PULL = int(Reason.PULL)
R_FLIP_SKIP = int(Reason.FLIP_SKIP)
R_AGE_EXIT = int(Reason.AGE_EXIT)
R_LIGHT_WIDEN = int(Reason.LIGHT_WIDEN)
R_POSITION = int(Reason.POSITION)
R_HALT = int(
    Reason.LOSING | Reason.LOSS | Reason.DRAWDOWN | Reason.HARD_LIMIT | Reason.COLLAR | Reason.SIZE
    | Reason.ORDER_COUNT | Reason.MANUAL | Reason.REARM
)  # fmt: skip
"""Halts that may leave the light side to reduce the position."""
S_LADDER = int(Switch.LADDER)
A_UP = int(GateAction.LEVEL_UP)
A_DOWN = int(GateAction.LEVEL_DOWN)
__all__ = [
    "STATE", "decide", "metrics_row", "new_state", "next_deadline", "on_alive", "on_book", "on_fill", "on_funding",
    "on_mark", "on_orders", "on_timer", "on_trade", "rearm", "set_depth", "slippage_ticks", "trip_manual",
    "wants_depth",
]  # fmt: skip


@kernel
def global_reasons(q: Any, st: Any, t_ns: int) -> int:
    """`Reason` bits that keep both sides empty."""
    reasons = st.blocked
    if st.market.valid == 0:
        reasons |= R_BOOK
    if t_ns < q.quoting.start_ns or (q.watch_sigma and math.isnan(vol_sigma(st.vol, q.quoting.sigma_floor))):
        reasons |= R_WARMUP
    return reasons


@kernel
def reducing(q: Any, st: Any, k: int, halted: int) -> bool:
    """Whether a halt lets side `k` reduce the position (``on_halt = "reduce"``)."""
    held = held_lots(q.risk, st.account.position_lots)
    return q.risk.reduce != 0 and held != 0 and (held > 0) == (k == 1) and (halted & ~R_HALT) == 0


@kernel
def side_off(q: Any, st: Any, k: int, halted: int, t_ns: int) -> bool:
    """Whether side `k` is empty now; sets the reasons."""
    side = st.side[k]
    paused = release_side(q, st, k, t_ns)
    side.reasons = halted | paused
    off = halted != 0 and not reducing(q, st, k, halted)
    if paused:
        if is_light(q, st, k) and q.kill.pause_light_side == 0:
            side.reasons |= R_LIGHT_WIDEN
        else:
            off = True
    if switch_running(side.cooldown.pull, t_ns):
        side.reasons |= R_PULL
        off = True
    if switch_running(st.flip.pull, t_ns):
        side.reasons |= R_FLIP_SKIP
        off = True
    if is_heavy(q, st, k):
        if abs(inventory_ratio(q, st)) >= 1.0:
            side.reasons |= R_LADDER_FULL
            off = True
            if abs(inventory_ratio(q, st)) > 1.0:
                side.reasons |= R_POSITION
        if st.exit.phase != IDLE:
            side.reasons |= R_AGE_EXIT
            off = True
    return off


@kernel
def raw_quotes(q: Any, st: Any, t_ns: int, quoter: Any) -> int:
    """The model's or the user's quotes, with floor and cap; returns their number."""
    if q.quoting.model == QUOTER:
        refresh_metric(q, st, t_ns)
        fill_prices(q.instrument, st.market)
        n = min(quoter(st.market, st.metric, st.account.position_lots, q, st.quotes[:]), st.quotes.size)
        reason = floor_and_cap(q, st.last_mid, st.quotes, n)
    else:
        units = (st.account.position_lots + q.risk.offset_lots) / q.quoting.order_lots
        sigma = vol_sigma(st.vol, q.quoting.sigma_floor)
        n, reason = model_quotes(q, st.last_mid, st.mid_ticks, units, sigma, t_ns, st.quotes)
    part(q.instrument.tick_size, st.quotes, n)
    st.side[0].reasons |= reason
    st.side[1].reasons |= reason
    return n


@kernel
def work_out_deadline(q: Any, st: Any, t_ns: int) -> int:
    """The next whole second, or sooner if a gate changes by itself before."""
    deadline = min(st.next_second_ns, kill_deadline(q, st, t_ns))
    deadline = sooner(deadline, flip_deadline(q.flip, st.flip, t_ns), t_ns)
    deadline = sooner(deadline, ladder_deadline(q.ladder, st.ladder, inventory_ratio(q, st)), t_ns)
    deadline = sooner(
        deadline, exit_deadline(q.age_exit, st.exit, exit_age_at(q, st, t_ns), st.account.position_lots), t_ns
    )
    for k in range(2):
        cooldown = st.side[k].cooldown
        deadline = sooner(deadline, cooldown.until_ns, t_ns)
        deadline = sooner(deadline, cooldown.pull.until_ns, t_ns)
    return sooner(deadline, q.quoting.start_ns, t_ns)


@kernel
def next_deadline(p: Array, s: Array) -> int:
    """Local time at which `on_timer` and `decide` are due even if nothing happens."""
    return s[0].deadline_ns


@kernel
def quote_sides(q: Any, st: Any, t_ns: int, halted: int, out: Array, quoter: Any) -> int:
    """Write both sides' targets; return their number."""
    sides = 0
    for k in range(2):
        sides |= 0 if side_off(q, st, k, halted, t_ns) else 1 << k
    n_quotes = raw_quotes(q, st, t_ns, quoter) if sides else 0
    n = 0
    for k in range(2):
        n = side_targets(q, st, k, t_ns, n_quotes, (sides >> k) & 1, n, out)
    return n


@kernel
def decide(p: Array, s: Array, local_ns: int, out: Array, quoter: Any) -> int:
    """Write the target quotes and return their number.

    `out` takes up to ``2*MAX_RUNGS + 1`` `TARGET` rows: bids, then asks, best first; an age exit comes last, with rung
    -1 and IOC | REDUCE_ONLY, in the one decision that sends it.
    """
    return decide_now(p[0], s[0], local_ns, out, quoter)


@kernel
def decide_now(q: Any, st: Any, local_ns: int, out: Array, quoter: Any) -> int:
    """`decide` on records."""
    take_time(q, st, local_ns)
    st.dirty = 0
    if local_ns >= q.quoting.start_ns:  # before, there is nothing to halt
        kill_check(q, st, local_ns)
    st.blocked = release_world(q, st, local_ns)
    moved = ladder_update(q.ladder, st.ladder, local_ns, inventory_ratio(q, st))
    if moved != 0:
        action, ratio = A_UP if moved > 0 else A_DOWN, inventory_ratio(q, st)
        log_gate(st.gates, local_ns, S_LADDER, action, 0, ratio, math.nan, moved, float(st.ladder.level), 0)
    halted = global_reasons(q, st, local_ns)
    exit_lots = exit_step(q, st, local_ns, halted)
    n = quote_sides(q, st, local_ns, halted, out, quoter)
    if st.refused and count_refusals(q, st, local_ns):  # a halt acts in the decision that finds its cause
        st.blocked = release_world(q, st, local_ns)
        n = quote_sides(q, st, local_ns, halted | st.blocked, out, quoter)
    remember(st, out, n)
    if exit_lots > 0:
        n = exit_target(q, st, exit_lots, out, n)
    st.deadline_ns = work_out_deadline(q, st, local_ns)
    return n
