"""From raw quotes to one side's target orders: ladder, flip extra, rounding, clamp, cooldown, sizes, limits.

Every stage may only remove a quote, move it away from mid, or make it smaller; the side's ``reasons`` say which did.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mmlab.events import MAX_RUNGS, NO_PRICE, Reason, TargetFlag
from mmlab.kernels.age_exit import IDLE, SENT
from mmlab.kernels.flip_gate import distance_ticks, flip_extra_ticks
from mmlab.kernels.kill import COLLAR, MESSAGES, ORDER_COUNT, SIZE, refuse
from mmlab.kernels.policy import kernel
from mmlab.kernels.shape import min_lots, notional, q_ratio, room_lots, round_outward, worse_tick
from mmlab.params import FLIP_OFF

Array = np.ndarray[Any, Any]
POST_ONLY = int(TargetFlag.POST_ONLY)
REDUCE_ONLY = int(TargetFlag.REDUCE_ONLY)
R_LADDER = int(Reason.LADDER)
R_COOLDOWN = int(Reason.COOLDOWN)
R_FLIP_WIDEN = int(Reason.FLIP_WIDEN)
R_AGE_EXIT = int(Reason.AGE_EXIT)
R_LIGHT_WIDEN = int(Reason.LIGHT_WIDEN)
R_MIN_SIZE = int(Reason.MIN_SIZE)
R_CLAMP = int(Reason.CLAMP)
R_CUT = int(Reason.CUT)
R_COLLAR = int(Reason.COLLAR)
R_SIZE = int(Reason.SIZE)
R_ORDER_COUNT = int(Reason.ORDER_COUNT)
R_MESSAGES = int(Reason.MESSAGES)


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
