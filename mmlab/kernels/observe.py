"""What the decision kernel learns: books, trades, marks, funding, our own fills and orders, and the passing of time.

Every function takes what has become known on the local clock, in its order, and sets ``dirty`` when a decision may come
out differently. Each ``on_*`` is the door to a function on records, which the replay loop calls: an array argument
costs a compiled function two reference counts, a record none.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from mmlab.events import NS_PER_S, GateAction, Switch
from mmlab.kernels.account import (
    account_fill,
    account_funding,
    account_mark,
    notional_quote,
    value_of,
)
from mmlab.kernels.age_exit import exit_position_fell, exit_spend
from mmlab.kernels.cooldown import cooldown_hit, toxicity
from mmlab.kernels.flip_gate import NOTHING, SKIP, flip_gate_book
from mmlab.kernels.flow import flip_count, flip_reset, rate_hit
from mmlab.kernels.gate_log import log_gate
from mmlab.kernels.inventory import age_update, lots_fill
from mmlab.kernels.kill import check_burst, check_losing, check_toxic
from mmlab.kernels.markout import markout_advance, markout_due, markout_fill, markout_gap
from mmlab.kernels.pnl_window import pnl_advance, pnl_epoch, pnl_mark, pnl_set
from mmlab.kernels.policy import kernel
from mmlab.kernels.shape import q_ratio
from mmlab.kernels.volatility import vol_timer, vol_update
from mmlab.kernels.windows import histogram_push
from mmlab.params import FLIP_OFF, MICRO, QUOTER

Array = np.ndarray[Any, Any]
S_FLIP = int(Switch.FLIP)
S_PULL = int(Switch.PULL)
A_PAUSE = int(GateAction.PAUSE)


@kernel
def fill_market(instrument: Any, st: Any, new: Any) -> None:
    """Copy the book's integers and work out the mid, NaN while it is unusable."""
    m = st.market
    m.exch_ns, m.local_ns, m.valid = new.exch_ns, new.local_ns, new.valid
    m.bid_ticks, m.ask_ticks, m.bid_lots, m.ask_lots = new.bid_ticks, new.ask_ticks, new.bid_lots, new.ask_lots
    if m.valid:
        st.mid_ticks = 0.5 * (m.bid_ticks + m.ask_ticks)
        m.mid = st.mid_ticks * instrument.tick_size
    else:
        m.mid = math.nan


@kernel
def fill_prices(instrument: Any, m: Any) -> None:
    """Work out the market's floats, for a user's quoter; the book must be usable."""
    m.tick_size, m.lot_size = instrument.tick_size, instrument.lot_size
    m.bid, m.ask = m.bid_ticks * m.tick_size, m.ask_ticks * m.tick_size
    m.bid_size, m.ask_size = m.bid_lots * m.lot_size, m.ask_lots * m.lot_size
    m.micro = micro_ticks(m) * m.tick_size


@kernel
def micro_ticks(m: Any) -> float:
    """Microprice in ticks."""
    return (m.bid_ticks * m.ask_lots + m.ask_ticks * m.bid_lots) / (m.bid_lots + m.ask_lots)


@kernel
def inventory_ratio(q: Any, st: Any) -> float:
    """q_ratio of the present position."""
    return q_ratio(q.risk, st.account.position_lots + q.risk.offset_lots)


@kernel
def clock(q: Any, st: Any, t_ns: int) -> None:
    """Let time pass for everything that integrates or counts by the second."""
    if t_ns < st.next_second_ns:
        pnl_advance(st.pnl, t_ns)
        st.now_ns = t_ns
        return
    pnl_mark(st.pnl, st.account.net_quote)
    pnl_advance(st.pnl, t_ns)
    st.now_ns = t_ns
    second = t_ns // NS_PER_S
    for k in range(max(st.message_second + 1, second - 60), second + 1):
        st.message_ring[k % st.message_ring.size] = st.messages
    st.message_second, st.next_second_ns = second, (second + 1) * NS_PER_S


@kernel
def remark(q: Any, st: Any) -> None:
    """Bring net P&L up to the last valid mid."""
    i, a = q.instrument, st.account
    account_mark(a, st.last_mid, i.lot_size, i.contract_size, i.inverse != 0)
    st.net = a.marked_net


@kernel
def lose_book(st: Any) -> None:
    """The book is unusable: what needs it starts afresh."""
    flip_reset(st.flip.flips)
    for k in range(2):
        markout_gap(st.side[k].markout, st.market.exch_ns)


@kernel
def watch_flips(q: Any, st: Any, t_ns: int) -> None:
    """Give the flip gate its reference."""
    reference = micro_ticks(st.market) if q.flip.reference == MICRO else st.mid_ticks
    action = flip_gate_book(q.flip, st.flip, t_ns, reference, st.mid_ticks, q.kill.memory_ns)
    if action != NOTHING:
        count = flip_count(st.flip.flips, t_ns, q.flip.window_ns)
        effect = st.flip.pull.duration_ns / NS_PER_S if action == SKIP else st.flip.extra_ticks
        until_ns = st.flip.pull.until_ns if action == SKIP else 0
        log_gate(st.gates, t_ns, S_FLIP, action, 0, float(count), float(q.flip.threshold), count, effect, until_ns)
        st.dirty = 1


@kernel
def advance_markouts(q: Any, st: Any, k: int, exch_ns: int, t_ns: int) -> None:
    """Complete the markouts of side `k` before the book event at `exch_ns` takes effect."""
    m, horizon_ns = st.market, q.kill.toxic_horizon_ns
    markout = st.side[k].markout
    if markout_advance(markout, 1 - 2 * k, exch_ns, m.mid, m.exch_ns, horizon_ns, q.max_quote_age_ns) > 0:
        check_toxic(q, st, k, t_ns)


@kernel
def on_book(p: Array, s: Array, market: Any) -> None:
    """Take the best quotes after a venue message (integer columns of a `MARKET` record; valid = 0: unusable)."""
    take_book(p[0], s[0], market)


@kernel
def take_book(q: Any, st: Any, market: Any) -> None:
    """`on_book` on records."""
    m, t_ns = st.market, market.local_ns
    for k in range(2):
        if markout_due(st.side[k].markout, market.exch_ns, q.kill.toxic_horizon_ns):
            advance_markouts(q, st, k, market.exch_ns, t_ns)
    was_valid, bid_ticks, ask_ticks = m.valid, m.bid_ticks, m.ask_ticks
    fill_market(q.instrument, st, market)
    changed = m.bid_ticks != bid_ticks or m.ask_ticks != ask_ticks or m.valid != was_valid
    st.started, st.book_ns = 1, t_ns
    if m.valid == 0:
        lose_book(st)
    else:
        if was_valid == 0 or st.silent:
            st.valid_since_ns = t_ns
        st.silent = 0
        st.last_mid = m.mid
        if changed and st.account.position_lots != 0:
            remark(q, st)
        moved = changed or q.flip.reference == MICRO or st.flip.flips.started == 0
        if moved and (q.watch_sizes or q.flip.mode != FLIP_OFF):
            watch_flips(q, st, t_ns)
    if q.watch_sigma:
        vol_update(st.vol, t_ns, m.mid, q.quoting.clock_ns, q.quoting.half_life_s)
    if changed or q.quoting.model == QUOTER:
        st.dirty = 1


@kernel
def on_alive(s: Array, local_ns: int) -> None:
    """Take a venue message that left the best quotes as they were: the feed is not stale."""
    st = s[0]
    st.book_ns = max(st.book_ns, local_ns)
    if st.silent:
        st.silent, st.valid_since_ns, st.dirty = 0, local_ns, 1


@kernel
def on_trade(p: Array, s: Array, exch_ns: int, local_ns: int, side: int, price_ticks: int, size_lots: int) -> None:
    """Somebody traded."""
    take_trade(p[0], s[0], size_lots)


@kernel
def take_trade(q: Any, st: Any, size_lots: int) -> None:
    """`on_trade` on records."""
    st.market_volume += size_lots * q.instrument.lot_size
    if q.quoting.model == QUOTER:
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


@kernel
def quote_fill(q: Any, st: Any, k: int, fill: Any, price: float) -> None:
    """A quote of side `k` was hit: its statistics, cooldown and burst switch. Hits count, not fills."""
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
    if fill.exch_ns >= side.burst.epoch_ns:
        histogram_push(side.burst_rate, hits)
        check_burst(q, st, k, t_ns)


@kernel
def on_fill(p: Array, s: Array, fill: Any) -> None:
    """We traded (a `FILL` record; rung -1 is the age exit)."""
    take_fill(p[0], s[0], fill)


@kernel
def take_fill(q: Any, st: Any, fill: Any) -> None:
    """`on_fill` on records."""
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
    if fill.rung >= 0:
        quote_fill(q, st, k, fill, price)
    else:
        size = fill.side * fill.size_lots * i.lot_size
        cost = value_of(size, price, i.contract_size, inverse) - value_of(size, fill.mid, i.contract_size, inverse)
        exit_spend(st.exit, t_ns, fill.fee + (0.0 if math.isnan(cost) else cost))
    check_losing(q, st, t_ns, fill.exch_ns)
    st.dirty = 1


@kernel
def on_orders(
    p: Array, s: Array, local_ns: int, working_bid_lots: int, working_ask_lots: int, live_orders: int, messages: int,
    exit_live: int,
) -> None:  # fmt: skip
    """Take a change of our own working orders.

    Lots resting or in flight a side (worst case), orders not terminal, messages sent so far, and whether an age exit
    is not terminal yet.
    """
    take_orders(p[0], s[0], local_ns, working_bid_lots, working_ask_lots, live_orders, messages, exit_live)


@kernel
def take_orders(
    q: Any, st: Any, local_ns: int, working_bid_lots: int, working_ask_lots: int, live_orders: int, messages: int,
    exit_live: int,
) -> None:  # fmt: skip
    """`on_orders` on records."""
    clock(q, st, local_ns)
    st.side[0].working_lots, st.side[1].working_lots = working_bid_lots, working_ask_lots
    st.live_orders, st.messages, st.exit_live = live_orders, messages, exit_live
    if exit_live:
        st.exit.seen_live = 1
    st.dirty = 1


@kernel
def on_timer(p: Array, s: Array, local_ns: int) -> None:
    """Time has passed, and every event up to `local_ns` has been taken."""
    take_time(p[0], s[0], local_ns)


@kernel
def take_time(q: Any, st: Any, local_ns: int) -> None:
    """`on_timer` on records."""
    clock(q, st, local_ns)
    if q.watch_sigma:
        vol_timer(st.vol, local_ns, q.quoting.clock_ns, q.quoting.half_life_s)
