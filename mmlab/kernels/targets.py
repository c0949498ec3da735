"""From raw quotes to one side's target orders: ladder, flip extra, rounding, clamp, cooldown, sizes, limits.

Every stage may only remove a quote, move it away from mid, or make it smaller; the side's ``reasons`` say which did.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from mmlab.events import MAX_RUNGS, NO_PRICE, Reason, TargetFlag
from mmlab.kernels.age_exit import IDLE, SENT
from mmlab.kernels.flip_gate import distance_ticks, flip_extra_ticks
from mmlab.kernels.policy import kernel
from mmlab.kernels.refusals import COLLAR, MESSAGES, ORDER_COUNT, SIZE, messages_last_minute, note_refusal
from mmlab.kernels.shape import held_lots, min_lots, notional, q_ratio, room_lots, round_outward, worse_tick
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
    held = held_lots(q.risk, position)
    if st.blocked:
        room = min(room, abs(held))
    if st.exit.phase != IDLE and held != 0 and (held > 0) == (k == 1):
        leaving = st.exit.lots if st.exit.phase == SENT else st.exit.planned_lots
        if room > abs(held) - leaving:
            room = max(0, abs(held) - leaving)
            st.side[k].reasons |= R_AGE_EXIT
    return room


@kernel
def side_frozen(q: Any, st: Any, k: int, t_ns: int) -> bool:
    """Whether side `k` gets no new order, size increase or move towards mid (cooldown, messages, live orders)."""
    side, frozen = st.side[k], False
    if q.cooldown.enabled and t_ns < side.cooldown.until_ns:
        side.reasons |= R_COOLDOWN
        frozen = True
    sent = messages_last_minute(st)
    if sent >= q.risk.max_messages or (st.was_refusing[MESSAGES] and 2 * sent > q.risk.max_messages):
        side.reasons |= R_MESSAGES
        note_refusal(st, MESSAGES, float(sent), float(q.risk.max_messages))
        frozen = True
    if st.live_orders > q.risk.max_live_orders:
        side.reasons |= R_ORDER_COUNT
        frozen = True
    return frozen


@kernel
def target_ticks(q: Any, st: Any, k: int, t_ns: int, price: float, previous: int) -> int:
    """Ladder offset, flip extra, rounding outward, post-only clamp; strictly outside the rung before."""
    sign, side, tick_size = 1 - 2 * k, st.side[k], q.instrument.tick_size
    away = 0.0
    if st.ladder.level > 0 and is_heavy(q, st, k):
        level = st.ladder.level - 1
        away += distance_ticks(q.ladder.offset_ticks[level], q.ladder.offset_bps[level], st.mid_ticks)
        side.reasons |= R_LADDER
    extra = flip_extra_ticks(q.flip, st.flip, t_ns) if q.flip.mode != FLIP_OFF else 0.0
    if extra > 0.0:
        away += extra
        side.reasons |= R_FLIP_WIDEN
    if side.reasons & R_LIGHT_WIDEN:
        away += distance_ticks(q.flip.widen_ticks, q.flip.widen_bps, st.mid_ticks)
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
def collar_distance_bps(q: Any, st: Any, price: float) -> float:
    """How far a price is from the mid and, where there is one, from the mark: the larger, in bps."""
    distance = abs(price - st.last_mid) / st.last_mid
    if st.mark_ticks != NO_PRICE:
        mark = st.mark_ticks * q.instrument.tick_size
        distance = max(distance, abs(price - mark) / mark)
    return 1e4 * distance


@kernel
def allowed(q: Any, st: Any, k: int, t_ns: int, model_price: float, ticks: int, lots: int, n: int) -> bool:
    """Size minima, collar, order notional and order count; adds the reason of a refusal."""
    side, price = st.side[k], ticks * q.instrument.tick_size
    if ticks <= 0 or lots < min_lots(q.instrument, price):
        side.reasons |= R_MIN_SIZE
        return False
    if n >= q.risk.max_live_orders:
        side.reasons |= R_ORDER_COUNT
        note_refusal(st, ORDER_COUNT, float(n + 1), float(q.risk.max_live_orders))
        return False
    value = notional(q.instrument, lots, price)
    if value > q.risk.max_order_notional:
        side.reasons |= R_SIZE
        note_refusal(st, SIZE, value, q.risk.max_order_notional)
        return False
    if collar_distance_bps(q, st, price) <= q.risk.collar_bps:
        return True
    side.reasons |= R_COLLAR
    # a quote that only the gates pushed past the collar is not quoted; a model price beyond it is an error
    distance = collar_distance_bps(q, st, model_price)
    if distance > q.risk.collar_bps:
        note_refusal(st, COLLAR, distance, q.risk.collar_bps)
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
        if not math.isfinite(quote.price):  # only a user's quoter can do that
            side.reasons |= R_COLLAR
            note_refusal(st, COLLAR, quote.price, q.risk.collar_bps)
            rung += 1
            continue
        ticks = target_ticks(q, st, k, t_ns, quote.price, previous)
        lots = target_lots(q, st, k, quote.size_lots)
        if lots <= 0:
            side.reasons |= R_MIN_SIZE
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
def remember(st: Any, out: Array, n: int) -> None:
    """Keep the targets, for the cooldown's 'no better than now'."""
    for k in range(2):
        st.side[k].last_lots[:] = 0
    for j in range(n):
        side = st.side[0 if out[j].side > 0 else 1]
        side.last_ticks[out[j].rung], side.last_lots[out[j].rung] = out[j].price_ticks, out[j].size_lots
