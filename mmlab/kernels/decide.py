"""The decision kernel: market events and fills in, target quotes and reasons out. Nothing else computes a price.

Replay, paper and live call the same functions in the same order: `on_book`, `on_trade`, `on_mark`, `on_funding`,
`on_fill` and `on_orders` take what has become known on the local clock, `on_timer` lets time pass, `decide` states where
quotes should rest. Between two calls of `decide` nothing leaves this module.

Precedence (`terms.md`): global halts, then age exit, then side pauses, flip gate, cooldown, ladder. Every stage may only
remove a quote, move it away from mid, or make it smaller, so the order in which stages touch a quote does not matter
for safety; `st.side[k].reasons` says which of them did.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from mmlab.events import (
    MAX_RUNGS,
    NEVER_NS,
    NO_PRICE,
    NS_PER_S,
    GateAction,
    Liquidity,
    Reason,
    Switch,
    TargetFlag,
)
from mmlab.kernels import state as state_module
from mmlab.kernels.account import account_fill, account_funding, account_mark, account_net, notional_quote, value_of
from mmlab.kernels.age_exit import (
    CLEARING,
    IDLE,
    SENT,
    exit_deadline,
    exit_due,
    exit_end,
    exit_minutes,
    exit_over,
    exit_position_fell,
    exit_send,
    exit_size,
    exit_spend,
    exit_start,
)
from mmlab.kernels.age_exit import adverse_ticks as exit_adverse_ticks
from mmlab.kernels.cooldown import cooldown_hit, toxicity
from mmlab.kernels.flip_gate import NOTHING, SKIP, distance_ticks, flip_count, flip_deadline, flip_extra_ticks, flip_gate_book
from mmlab.kernels.flow import flip_reset, rate_count, rate_hit, rate_percentile
from mmlab.kernels.gate_log import log_gate
from mmlab.kernels.inventory import age_s, age_update, lots_age_s, lots_fill
from mmlab.kernels.kill import (
    COLLAR,
    MESSAGES,
    ORDER_COUNT,
    SIZE,
    check_burst,
    check_losing,
    check_toxic,
    kill_check,
    kill_deadline,
    refuse,
    release_side,
    release_world,
    sooner,
)
from mmlab.kernels.ladder import ladder_deadline, ladder_update
from mmlab.kernels.markout import markout_advance, markout_fill, markout_gap, markout_median, markout_n
from mmlab.kernels.pnl_window import pnl_advance, pnl_epoch, pnl_set
from mmlab.kernels.policy import kernel
from mmlab.kernels.quoting import floor_and_cap, model_quotes
from mmlab.kernels.shape import min_lots, notional, q_ratio, room_lots, round_outward, worse_tick
from mmlab.kernels.switch import switch_running
from mmlab.kernels.volatility import vol_sigma, vol_timer, vol_update
from mmlab.params import FLIP_OFF, MICRO, QUOTER

Array = np.ndarray[Any, Any]
STATE, new_state = state_module.STATE, state_module.new_state

MAKER = int(Liquidity.MAKER)
POST_ONLY, IOC, REDUCE_ONLY = int(TargetFlag.POST_ONLY), int(TargetFlag.IOC), int(TargetFlag.REDUCE_ONLY)
R_BOOK, R_WARMUP, R_LADDER, R_LADDER_FULL, R_COOLDOWN = (
    int(Reason.BOOK), int(Reason.WARMUP), int(Reason.LADDER), int(Reason.LADDER_FULL), int(Reason.COOLDOWN)
)  # fmt: skip
R_PULL, R_FLIP_SKIP, R_FLIP_WIDEN, R_AGE_EXIT, R_LIGHT_WIDEN = (
    int(Reason.PULL), int(Reason.FLIP_SKIP), int(Reason.FLIP_WIDEN), int(Reason.AGE_EXIT), int(Reason.LIGHT_WIDEN)
)  # fmt: skip
R_MIN_SIZE, R_CLAMP, R_CUT, R_POSITION = (
    int(Reason.MIN_SIZE), int(Reason.CLAMP), int(Reason.CUT), int(Reason.POSITION)
)  # fmt: skip
R_COLLAR, R_SIZE, R_ORDER_COUNT, R_MESSAGES = (
    int(Reason.COLLAR), int(Reason.SIZE), int(Reason.ORDER_COUNT), int(Reason.MESSAGES)
)  # fmt: skip
R_HALT = int(Reason.LOSING | Reason.LOSS | Reason.DRAWDOWN | Reason.HARD_LIMIT | Reason.COLLAR | Reason.MANUAL)
S_FLIP, S_PULL, S_EXIT, S_LADDER = int(Switch.FLIP), int(Switch.PULL), int(Switch.AGE_EXIT), int(Switch.LADDER)
A_PAUSE, A_EXIT, A_SKIPPED = int(GateAction.PAUSE), int(GateAction.EXIT), int(GateAction.EXIT_SKIPPED)
A_UP, A_DOWN = int(GateAction.LEVEL_UP), int(GateAction.LEVEL_DOWN)
FLIP_WINDOW_SHOWN_NS = 10 * NS_PER_S
OVER_BUDGET = -3.0


# ---------------------------------------------------------------------------------------------------------------------
# Market


@kernel
def fill_market(instrument: Any, m: Any, new: Any) -> None:
    """Copy the book's integers and work out prices; mid and micro are NaN while it is unusable."""
    m.exch_ns, m.local_ns, m.valid = new.exch_ns, new.local_ns, new.valid
    m.bid_ticks, m.ask_ticks, m.bid_lots, m.ask_lots = new.bid_ticks, new.ask_ticks, new.bid_lots, new.ask_lots
    m.tick_size, m.lot_size = instrument.tick_size, instrument.lot_size
    if m.valid:
        m.bid, m.ask = m.bid_ticks * m.tick_size, m.ask_ticks * m.tick_size
        m.bid_size, m.ask_size = m.bid_lots * m.lot_size, m.ask_lots * m.lot_size
        m.mid = 0.5 * (m.bid_ticks + m.ask_ticks) * m.tick_size
        m.micro = micro_ticks(m) * m.tick_size
    else:
        m.bid = m.ask = m.bid_size = m.ask_size = m.mid = m.micro = math.nan


@kernel
def micro_ticks(m: Any) -> float:
    """Microprice in ticks."""
    return (m.bid_ticks * m.ask_lots + m.ask_ticks * m.bid_lots) / (m.bid_lots + m.ask_lots)


@kernel
def on_book(p: Array, s: Array, market: Any) -> None:
    """A venue message changed the best quotes (a `MARKET` record's integer columns; valid = 0: the book is unusable)."""
    q, st = p[0], s[0]
    m, t_ns = st.market, market.local_ns
    for k in range(2):
        done = markout_advance(
            st.side[k].markout, 1 - 2 * k, market.exch_ns, m.mid, m.exch_ns, q.kill.toxic_horizon_ns, q.max_quote_age_ns
        )
        if done > 0:
            check_toxic(q, st, k, t_ns)
    was_valid, bid_ticks, ask_ticks = m.valid, m.bid_ticks, m.ask_ticks
    fill_market(q.instrument, m, market)
    st.started, st.book_ns = 1, t_ns
    if m.valid == 0:
        lose_book(st)
    else:
        if was_valid == 0:
            st.valid_since_ns = t_ns
        st.last_mid = m.mid
        remark(q, st)
        watch_flips(q, st, t_ns)
    vol_update(st.vol, t_ns, m.mid, q.quoting.clock_ns, q.quoting.half_life_s)
    changed = m.bid_ticks != bid_ticks or m.ask_ticks != ask_ticks or m.valid != was_valid
    if changed or q.quoting.model == QUOTER:
        st.dirty = 1


@kernel
def lose_book(st: Any) -> None:
    """The book is unusable: what needs it starts afresh."""
    flip_reset(st.flip.flips)
    for k in range(2):
        markout_gap(st.side[k].markout, st.market.exch_ns)


@kernel
def remark(q: Any, st: Any) -> None:
    """Bring net P&L up to the last valid mid."""
    i, a = q.instrument, st.account
    if a.fills > 0:
        inverse = i.inverse != 0
        st.net = account_net(a, st.last_mid, i.lot_size, i.contract_size, inverse)
        account_mark(a, st.last_mid, i.lot_size, i.contract_size, inverse)


@kernel
def watch_flips(q: Any, st: Any, t_ns: int) -> None:
    """Give the flip gate its reference."""
    m = st.market
    mid_ticks = 0.5 * (m.bid_ticks + m.ask_ticks)
    reference = micro_ticks(m) if q.flip.reference == MICRO else mid_ticks
    action = flip_gate_book(q.flip, st.flip, t_ns, reference, mid_ticks, q.kill.memory_ns)
    if action != NOTHING:
        count = flip_count(st.flip.flips, t_ns, q.flip.window_ns)
        effect = st.flip.pull.duration_ns / NS_PER_S if action == SKIP else st.flip.extra_ticks
        until_ns = st.flip.pull.until_ns if action == SKIP else 0
        log_gate(st.gates, t_ns, S_FLIP, action, 0, float(count), float(q.flip.threshold), count, effect, until_ns)
        st.dirty = 1


@kernel
def on_trade(p: Array, s: Array, exch_ns: int, local_ns: int, side: int, price_ticks: int, size_lots: int) -> None:
    """Somebody traded."""
    st = s[0]
    st.market_volume += size_lots * p[0].instrument.lot_size
    if p[0].quoting.model == QUOTER:
        st.dirty = 1


@kernel
def on_mark(p: Array, s: Array, local_ns: int, price_ticks: int) -> None:
    """The venue's mark price."""
    s[0].mark_ticks = price_ticks
    if p[0].kill.mark:
        s[0].dirty = 1


@kernel
def on_funding(p: Array, s: Array, exch_ns: int, local_ns: int, price_ticks: int, rate: float) -> None:
    """Funding is booked on the position held."""
    i, st = p[0].instrument, s[0]
    account_funding(st.account, price_ticks * i.tick_size, rate, i.lot_size, i.contract_size, i.inverse != 0)
    remark(p[0], st)


# ---------------------------------------------------------------------------------------------------------------------
# Our own orders and fills


@kernel
def on_fill(p: Array, s: Array, fill: Any) -> None:
    """We traded (a `FILL` record; rung -1 is the age exit)."""
    q, st = p[0], s[0]
    i, a, t_ns = q.instrument, st.account, fill.local_ns
    inverse, price = i.inverse != 0, fill.price_ticks * i.tick_size
    k = 0 if fill.side > 0 else 1
    clock(q, st, t_ns)
    before_lots = abs(a.position_lots)
    account_fill(a, fill.side, price, fill.size_lots, fill.fee, i.lot_size, i.contract_size, inverse)
    if math.isnan(st.last_mid):
        st.last_mid = price
    remark(q, st)
    if abs(a.position_lots) < before_lots:
        exit_position_fell(st.exit, t_ns, before_lots)
    lots_fill(st.lots, t_ns, float(fill.side * fill.size_lots))
    age_update(st.age, t_ns, inventory_ratio(q, st), q.risk.flat_band)
    position = notional_quote(a.position_lots * i.lot_size, st.last_mid, i.contract_size, inverse)
    if a.fills == 1:
        pnl_epoch(st.pnl, t_ns)
    pnl_set(st.pnl, a.net_quote, a.volume, position)
    if fill.liquidity == MAKER:
        maker_fill(q, st, k, fill, price)
    else:
        size = fill.side * fill.size_lots * i.lot_size
        cost = value_of(size, price, i.contract_size, inverse) - value_of(size, fill.mid, i.contract_size, inverse)
        exit_spend(st.exit, t_ns, fill.fee + (0.0 if math.isnan(cost) else cost))
    check_losing(q, st, t_ns, fill.exch_ns)
    st.dirty = 1


@kernel
def maker_fill(q: Any, st: Any, k: int, fill: Any, price: float) -> None:
    """A resting quote of side `k` was hit: its statistics, cooldown and burst switch. Hits count, not fills."""
    side, t_ns = st.side[k], fill.local_ns
    side.last_lots[fill.rung] = max(0, side.last_lots[fill.rung] - fill.size_lots)
    markout_fill(side.markout, fill.exch_ns, price, float(fill.size_lots))
    hits = rate_hit(side.rate, fill.exch_ns, NS_PER_S)
    if fill.exch_ns == side.last_hit_ns:
        return
    side.last_hit_ns = fill.exch_ns
    c = side.cooldown
    if q.cooldown.enabled and cooldown_hit(q.cooldown, c, t_ns, hits, toxicity(side.markout), q.kill.memory_ns):
        limit, pause_s = float(q.cooldown.max_fills_per_s), c.pull.duration_ns / NS_PER_S
        log_gate(st.gates, t_ns, S_PULL, A_PAUSE, fill.side, float(hits), limit, hits, pause_s, c.pull.until_ns)
    check_burst(q, st, k, t_ns)


@kernel
def on_orders(
    p: Array, s: Array, local_ns: int, working_bid_lots: int, working_ask_lots: int, live_orders: int, messages: int,
    exit_live: int,
) -> None:  # fmt: skip
    """Our own working orders changed: lots resting or in flight a side (worst case), orders not terminal, messages sent
    so far, and whether an age exit is not terminal yet."""
    st = s[0]
    clock(p[0], st, local_ns)
    st.side[0].working_lots, st.side[1].working_lots = working_bid_lots, working_ask_lots
    st.live_orders, st.messages, st.exit_live = live_orders, messages, exit_live
    st.dirty = 1


@kernel
def inventory_ratio(q: Any, st: Any) -> float:
    """q_ratio of the present position."""
    return q_ratio(q.risk, st.account.position_lots + q.risk.offset_lots)


# ---------------------------------------------------------------------------------------------------------------------
# Time


@kernel
def clock(q: Any, st: Any, t_ns: int) -> None:
    """Let time pass for everything that integrates or counts by the second."""
    pnl_advance(st.pnl, t_ns)
    st.now_ns = t_ns
    if t_ns < st.next_second_ns:
        return
    second = t_ns // NS_PER_S
    for k in range(max(st.message_second + 1, second - 59), second + 1):
        st.message_ring[k % 60] = st.messages
    st.message_second, st.next_second_ns = second, (second + 1) * NS_PER_S


@kernel
def on_timer(p: Array, s: Array, local_ns: int) -> None:
    """Time has passed, and every event up to `local_ns` has been taken."""
    clock(p[0], s[0], local_ns)
    vol_timer(s[0].vol, local_ns, p[0].quoting.clock_ns, p[0].quoting.half_life_s)


@kernel
def next_deadline(p: Array, s: Array) -> int:
    """Local time at which `on_timer` and `decide` are due even if nothing happens."""
    return s[0].deadline_ns


@kernel
def work_out_deadline(q: Any, st: Any, t_ns: int) -> int:
    """The next whole second, or sooner if a gate changes by itself before."""
    deadline = min(st.next_second_ns, kill_deadline(q, st, t_ns))
    deadline = sooner(deadline, flip_deadline(q.flip, st.flip, t_ns), t_ns)
    deadline = sooner(deadline, ladder_deadline(q.ladder, st.ladder, inventory_ratio(q, st)), t_ns)
    deadline = sooner(deadline, exit_deadline(q.age_exit, st.exit, exit_age_at(q, st, t_ns), st.account.position_lots), t_ns)
    for k in range(2):
        cooldown = st.side[k].cooldown
        deadline = sooner(deadline, cooldown.until_ns, t_ns)
        deadline = sooner(deadline, cooldown.pull.until_ns, t_ns)
    return sooner(deadline, q.quoting.start_ns, t_ns)


# ---------------------------------------------------------------------------------------------------------------------
# Age exit


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
def wants_depth(s: Array) -> int:
    """+1 / -1: before the next `decide`, `set_depth` must be given the visible lots on that side of the book within
    the exit's slippage of its best, less our own; 0: no."""
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


# ---------------------------------------------------------------------------------------------------------------------
# Decision


@kernel
def decide(p: Array, s: Array, local_ns: int, out: Array, quoter: Any) -> int:
    """Write the target quotes and return their number.

    `out` takes up to ``2*MAX_RUNGS + 1`` `TARGET` rows: bids, then asks, best first; an age exit comes last, with rung -1
    and IOC | REDUCE_ONLY, in the one decision that sends it.
    """
    q, st = p[0], s[0]
    on_timer(p, s, local_ns)
    st.dirty = 0
    kill_check(q, st, local_ns)
    st.blocked = release_world(q, st, local_ns)
    moved = ladder_update(q.ladder, st.ladder, local_ns, inventory_ratio(q, st))
    if moved != 0:
        action, ratio = A_UP if moved > 0 else A_DOWN, inventory_ratio(q, st)
        log_gate(st.gates, local_ns, S_LADDER, action, 0, ratio, math.nan, moved, float(st.ladder.level), 0)
    halted = global_reasons(q, st, local_ns)
    exit_lots = exit_step(q, st, local_ns, halted)
    sides = 0
    for k in range(2):
        st.side[k].reasons = halted | release_side(q, st, k, local_ns)
        sides |= 0 if side_off(q, st, k, halted) else 1 << k
    n_quotes = raw_quotes(q, st, local_ns, quoter, p) if sides else 0
    n = 0
    for k in range(2):
        n = side_targets(q, st, k, local_ns, n_quotes, (sides >> k) & 1, n, out)
    uncross(out, n)
    remember(st, out, n)
    if exit_lots > 0:
        n = exit_target(p, s, exit_lots, out, n)
    st.deadline_ns = work_out_deadline(q, st, local_ns)
    return n


@kernel
def global_reasons(q: Any, st: Any, t_ns: int) -> int:
    """`Reason` bits that keep both sides empty."""
    reasons = st.blocked
    if st.market.valid == 0:
        reasons |= R_BOOK
    if t_ns < q.quoting.start_ns or math.isnan(vol_sigma(st.vol, q.quoting.sigma_floor)):
        reasons |= R_WARMUP
    return reasons


@kernel
def reducing(q: Any, st: Any, k: int, halted: int) -> bool:
    """Whether a halt lets side `k` reduce the position (``on_halt = "reduce"``)."""
    light = (st.account.position_lots > 0) == (k == 1) and st.account.position_lots != 0
    return q.risk.reduce != 0 and light and halted != 0 and (halted & ~R_HALT) == 0


@kernel
def is_light(q: Any, st: Any, k: int) -> bool:
    """Whether side `k` lets inventory out while it must be able to leave."""
    inventory = st.account.position_lots + q.risk.offset_lots
    ratio = q_ratio(q.risk, inventory)
    return q.ladder.levels > 0 and abs(ratio) >= q.ladder.threshold[0] and (inventory > 0) == (k == 1)


@kernel
def is_heavy(q: Any, st: Any, k: int) -> bool:
    """Whether a fill of side `k` would increase |inventory|."""
    inventory = st.account.position_lots + q.risk.offset_lots
    return inventory != 0 and (inventory > 0) == (k == 0)


@kernel
def side_off(q: Any, st: Any, k: int, halted: int) -> bool:
    """Whether side `k` is empty now; adds the reasons."""
    side, t_ns = st.side[k], st.now_ns
    if halted:
        return not reducing(q, st, k, halted)
    off = False
    if side.reasons:
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
def raw_quotes(q: Any, st: Any, t_ns: int, quoter: Any, p: Array) -> int:
    """The model's or the user's quotes, with floor and cap; returns their number."""
    mid = st.last_mid
    if q.quoting.model == QUOTER:
        refresh_metric(q, st, t_ns)
        n = min(quoter(st.market, st.metric, st.account.position_lots, q, st.quotes[:]), st.quotes.size)
    else:
        units = (st.account.position_lots + q.risk.offset_lots) / q.quoting.order_lots
        n = model_quotes(q, mid, units, vol_sigma(st.vol, q.quoting.sigma_floor), t_ns, st.quotes)
    reason = floor_and_cap(q, mid, st.quotes, n)
    for k in range(2):
        st.side[k].reasons |= reason
    return n


@kernel
def side_targets(q: Any, st: Any, k: int, t_ns: int, n_quotes: int, on: int, n: int, out: Array) -> int:
    """Shape side `k`'s quotes to targets; returns the number of rows written so far."""
    sign, side, first = 1 - 2 * k, st.side[k], n
    if on == 0:
        return n
    room = side_room(q, st, k)
    previous, rung = NO_PRICE, 0
    frozen = side_frozen(q, st, k, t_ns)
    for j in range(n_quotes):
        quote = st.quotes[j]
        if quote.side != sign or rung == MAX_RUNGS:
            continue
        ticks = target_ticks(q, st, k, t_ns, quote.price, previous)
        lots = target_lots(q, st, k, quote.size_lots)
        if frozen:
            lots = min(lots, side.last_lots[rung])
            if lots > 0 and worse_tick(sign, ticks, side.last_ticks[rung]) != ticks:
                ticks = side.last_ticks[rung]
        previous = ticks
        if lots > room:
            lots = room
            side.reasons |= R_CUT
        if lots > 0 and allowed(q, st, k, t_ns, quote.price, ticks, lots, n):
            row = out[n]
            row.side, row.rung, row.price_ticks, row.size_lots = sign, rung, ticks, lots
            row.flags = (POST_ONLY if q.quoting.post_only else 0) | (REDUCE_ONLY if st.blocked else 0)
            room -= lots
            n += 1
        rung += 1
    side.quoted_lots = 0
    for j in range(first, n):
        side.quoted_lots += out[j].size_lots
    return n


@kernel
def side_room(q: Any, st: Any, k: int) -> int:
    """Lots side `k` may quote in all: the position limit, and what an exit or a halt leaves."""
    position = st.account.position_lots
    room = room_lots(q.risk, position + q.risk.offset_lots, 1 - 2 * k)
    light = position != 0 and (position > 0) == (k == 1)
    if st.blocked:
        room = min(room, abs(position))
    if st.exit.phase != IDLE and light:
        leaving = st.exit.lots if st.exit.phase == SENT else st.exit.planned_lots
        if room > abs(position) - leaving:
            room = max(0, abs(position) - leaving)
            st.side[k].reasons |= R_AGE_EXIT
    return room


@kernel
def side_frozen(q: Any, st: Any, k: int, t_ns: int) -> bool:
    """Whether side `k` gets no new order, size increase or move towards mid (cooldown, message rate)."""
    side = st.side[k]
    if q.cooldown.enabled and t_ns < side.cooldown.until_ns:
        side.reasons |= R_COOLDOWN
        return True
    sent = st.messages - st.message_ring[(st.message_second + 1) % 60]
    if sent >= q.risk.max_messages:
        side.reasons |= R_MESSAGES
        refuse(q, st, t_ns, MESSAGES, float(sent), float(q.risk.max_messages))
        return True
    st.refusing[MESSAGES] = 0
    return False


@kernel
def target_ticks(q: Any, st: Any, k: int, t_ns: int, price: float, previous: int) -> int:
    """Ladder offset, flip extra, rounding outward, post-only clamp; strictly outside the rung before."""
    sign, side, tick_size = 1 - 2 * k, st.side[k], q.instrument.tick_size
    mid_ticks, away = st.last_mid / tick_size, 0.0
    if st.ladder.level > 0 and is_heavy(q, st, k):
        level = st.ladder.level - 1
        away += distance_ticks(q.ladder.offset_ticks[level], q.ladder.offset_bps[level], mid_ticks)
        side.reasons |= R_LADDER
    extra = flip_extra_ticks(q.flip, st.flip, t_ns) if q.flip.mode != FLIP_OFF else 0.0
    if extra > 0.0:
        away += extra
        side.reasons |= R_FLIP_WIDEN
    if side.reasons & R_LIGHT_WIDEN:
        away += distance_ticks(q.flip.widen_ticks, q.flip.widen_bps, mid_ticks)
    ticks = round_outward(sign, price - sign * away * tick_size, tick_size)
    behind = (st.market.ask_ticks if sign > 0 else st.market.bid_ticks) - sign
    if worse_tick(sign, ticks, behind) != ticks:
        side.reasons |= R_CLAMP
        ticks = behind
    return ticks if previous == NO_PRICE else worse_tick(sign, ticks, previous - sign)


@kernel
def target_lots(q: Any, st: Any, k: int, lots: int) -> int:
    """Size after the ladder's multiplier."""
    if st.ladder.level > 0 and is_heavy(q, st, k):
        return int(lots * q.ladder.multiplier[st.ladder.level - 1] + 1e-9)
    return lots


@kernel
def allowed(q: Any, st: Any, k: int, t_ns: int, model_price: float, ticks: int, lots: int, n: int) -> bool:
    """Size minima, collar, order notional and order count; adds the reason of a refusal."""
    side, price = st.side[k], ticks * q.instrument.tick_size
    if ticks <= 0 or lots < min_lots(q.instrument, price):
        side.reasons |= R_MIN_SIZE
        return False
    if n >= q.risk.max_live_orders:
        side.reasons |= R_ORDER_COUNT
        refuse(q, st, t_ns, ORDER_COUNT, float(n + 1), float(q.risk.max_live_orders))
        return False
    st.refusing[ORDER_COUNT] = 0
    value = notional(q.instrument, lots, price)
    if value > q.risk.max_order_notional:
        side.reasons |= R_SIZE
        refuse(q, st, t_ns, SIZE, value, q.risk.max_order_notional)
        return False
    st.refusing[SIZE] = 0
    collar = 1e-4 * q.risk.collar_bps * st.last_mid
    if abs(price - st.last_mid) <= collar:
        st.refusing[COLLAR] = 0
        return True
    side.reasons |= R_COLLAR
    # a quote that only the gates pushed past the collar is not quoted; a model price beyond it is an error
    if abs(model_price - st.last_mid) > collar:
        refuse(q, st, t_ns, COLLAR, 1e4 * abs(model_price - st.last_mid) / st.last_mid, q.risk.collar_bps)
    return False


@kernel
def uncross(out: Array, n: int) -> None:
    """Keep our asks above our best bid, moving asks: a model may put both on one tick."""
    if n == 0 or out[0].side < 0:
        return
    floor_ticks = out[0].price_ticks + 1
    for j in range(n):
        if out[j].side < 0:
            out[j].price_ticks = max(out[j].price_ticks, floor_ticks)
            floor_ticks = out[j].price_ticks + 1


@kernel
def remember(st: Any, out: Array, n: int) -> None:
    """Keep the targets, for the cooldown's 'no better than now'."""
    for k in range(2):
        st.side[k].last_lots[:] = 0
    for j in range(n):
        side = st.side[0 if out[j].side > 0 else 1]
        side.last_ticks[out[j].rung], side.last_lots[out[j].rung] = out[j].price_ticks, out[j].size_lots


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


# ---------------------------------------------------------------------------------------------------------------------
# Metrics


@kernel
def refresh_metric(q: Any, st: Any, t_ns: int) -> None:
    """Keep `st.metric` for a quoter: everything once a second, the cheap fields at every decision."""
    second = t_ns // NS_PER_S
    if second != st.metric_second:
        st.metric_second = second
        write_metric(q, st, t_ns, st.metric)
    row = st.metric
    row.local_ns, row.mid, row.position_lots = t_ns, st.market.mid, st.account.position_lots
    row.q_ratio, row.level = inventory_ratio(q, st), st.ladder.level
    row.sigma = vol_sigma(st.vol, q.quoting.sigma_floor)
    row.inventory_age_s = age_s(st.age, t_ns)
    row.flip_extra_ticks = flip_extra_ticks(q.flip, st.flip, t_ns)


@kernel
def write_metric(q: Any, st: Any, t_ns: int, row: Any) -> None:
    """Fill in a `METRIC` record, except what only the driver knows."""
    i, a, bid, ask = q.instrument, st.account, st.side[0], st.side[1]
    row.local_ns, row.mid, row.position_lots = t_ns, st.market.mid, a.position_lots
    row.q_ratio, row.level = inventory_ratio(q, st), st.ladder.level
    row.cash, row.realised, row.fees, row.funding = a.cash, a.realised, a.fees, a.funding
    row.net_pnl, row.volume = st.net, a.volume
    row.unrealised = st.net - a.realised + a.fees - a.funding
    row.sigma = vol_sigma(st.vol, q.quoting.sigma_floor)
    row.flip_rate = flip_count(st.flip.flips, t_ns, q.flip.window_ns) / (q.flip.window_ns / NS_PER_S)
    row.flip_rate_10s = flip_count(st.flip.flips, t_ns, FLIP_WINDOW_SHOWN_NS) / (FLIP_WINDOW_SHOWN_NS / NS_PER_S)
    window = q.kill.toxic_window
    row.markout_bid_bps, row.markout_ask_bps = markout_median(bid.markout, window), markout_median(ask.markout, window)
    row.n_bid, row.n_ask = markout_n(bid.markout, window), markout_n(ask.markout, window)
    row.fill_rate_bid = float(rate_count(bid.rate, t_ns, NS_PER_S))
    row.fill_rate_ask = float(rate_count(ask.rate, t_ns, NS_PER_S))
    percentile = q.kill.burst_percentile
    row.fill_rate_p95_bid = rate_percentile(bid.rate, percentile)
    row.fill_rate_p95_ask = rate_percentile(ask.rate, percentile)
    row.inventory_age_s, row.lot_age_s = age_s(st.age, t_ns), lots_age_s(st.lots, t_ns)
    row.market_volume = st.market_volume
    row.bid_reasons, row.ask_reasons = bid.reasons, ask.reasons
    row.flip_extra_ticks = flip_extra_ticks(q.flip, st.flip, t_ns)


@kernel
def metrics_row(p: Array, s: Array, local_ns: int, out: Any) -> None:
    """Fill in a `METRIC` record at `local_ns`, except messages, quoting_* and at_touch_*, which only the driver knows."""
    clock(p[0], s[0], local_ns)
    write_metric(p[0], s[0], local_ns, out)
