"""What we know of our own orders: only answers of the exchange change it."""

from __future__ import annotations

from typing import Any

from mmlab.events import NEVER_NS, NO_PRICE, OrderReason, OrderState
from mmlab.kernels.observe import take_fill, take_orders
from mmlab.kernels.policy import kernel
from mmlab.simulator.state import (
    ACCEPTED,
    CANCELED,
    FILLED,
    MODIFIED,
    NO_ASK,
    REFUSED,
    REJECTED,
    answer_at,
    fill_at,
    order_at,
    place_at,
)
from mmlab.simulator.uptime import count_uptime, find_touching

FREE = int(OrderState.PLANNED)
S_SENT, S_LIVE, S_PARTIAL = int(OrderState.SENT), int(OrderState.LIVE), int(OrderState.PARTIALLY_FILLED)
S_CANCEL, S_MODIFY = int(OrderState.CANCEL_PENDING), int(OrderState.MODIFY_PENDING)
S_FILLED, S_CANCELED, S_REJECTED = int(OrderState.FILLED), int(OrderState.CANCELED), int(OrderState.REJECTED)
END_OF_FEED = int(OrderReason.END_OF_FEED)


@kernel
def log_order(sim: Any, w: Any, exch_ns: int, local_ns: int, state: int, reason: int) -> None:
    """Write an `ORDER` row."""
    r = order_at(sim.out.orders, sim.orders)
    sim.orders += 1
    r.exch_ns, r.local_ns, r.state, r.side, r.rung, r.flags = exch_ns, local_ns, state, w.side, w.rung, w.how
    r.price_ticks, r.size_lots, r.filled_lots = w.price_ticks, w.size_lots, w.filled_lots
    r.order_id, r.client_order_id, r.reason = w.order_id, w.client_order_id, reason


@kernel
def hear(sim: Any, a: Any) -> None:
    """Apply one answer to what we believe, and write down the transition."""
    w = place_at(sim.places, a.place)
    if a.kind == REFUSED:
        hear_refusal(sim, w, a)
        return
    w.order_id = a.order_id
    if a.kind == FILLED:
        w.filled_lots += a.size_lots
        sim.known_lots += w.side * a.size_lots
    elif a.kind == ACCEPTED or a.kind == MODIFIED:
        w.price_ticks, w.size_lots = a.price_ticks, a.size_lots
    if a.kind == FILLED and w.filled_lots < w.size_lots:
        if w.state == S_LIVE:
            w.state = S_PARTIAL
        log_order(sim, w, a.exch_ns, a.local_ns, S_PARTIAL, a.reason)
        return
    w.state = state_after(a.kind, w.filled_lots)
    log_order(sim, w, a.exch_ns, a.local_ns, w.state, a.reason)
    if w.state >= S_FILLED:
        sim.rejects += 1 if w.state == S_REJECTED else 0
        w.state = FREE


@kernel
def state_after(kind: int, filled_lots: int) -> int:
    """State of an order after an answer, if the order's last fill is not partial."""
    if kind == FILLED:
        return S_FILLED
    if kind == CANCELED:
        return S_CANCELED
    if kind == REJECTED:
        return S_REJECTED
    return S_PARTIAL if filled_lots else S_LIVE


@kernel
def hear_refusal(sim: Any, w: Any, a: Any) -> None:
    """A cancel or modify came too late: written down in the name of the order it was meant for.

    That order's end we know from another answer, and its place may hold another order by now.
    """
    sim.refused += 1
    r = order_at(sim.out.orders, sim.orders)
    sim.orders += 1
    r.exch_ns, r.local_ns, r.side, r.rung, r.flags = a.exch_ns, a.local_ns, w.side, w.rung, w.how
    r.state = S_CANCELED if a.size_lots > 0 else S_FILLED
    r.price_ticks, r.size_lots, r.filled_lots = a.price_ticks, a.size_lots, 0
    r.order_id, r.client_order_id, r.reason = a.order_id, a.client_order_id, a.reason


@kernel
def next_answer(sim: Any) -> int:
    """The side whose next answer is heard first (-1: none), the bid's at equal time; sets `SIM.answer_ns`."""
    found, first_ns = -1, NEVER_NS
    for s in range(2):
        if sim.head[s] == sim.tail[s]:
            sim.head[s], sim.tail[s] = 0, 0
            continue
        heard_ns = answer_at(sim.out.answers, s * sim.out.max_answers + sim.head[s]).local_ns
        if heard_ns < first_ns:
            found, first_ns = s, heard_ns
    sim.answer_ns = first_ns
    return found


@kernel
def hear_all(q: Any, st: Any, sim: Any, t_ns: int) -> None:
    """Take every answer that is heard up to `t_ns`; fills go to the decision kernel."""
    side = next_answer(sim)
    while side >= 0 and sim.answer_ns <= t_ns:
        a = answer_at(sim.out.answers, side * sim.out.max_answers + sim.head[side])
        sim.head[side] += 1
        hear(sim, a)
        if a.kind == FILLED:
            take_fill(q, st, fill_at(sim.out.fills, a.fill_row))
        side = next_answer(sim)


@kernel
def working_lots(w: Any) -> int:
    """Lots of an order that may still be filled, in the worst case."""
    size = max(w.size_lots, w.request_lots) if w.state == S_MODIFY else w.size_lots
    return size - w.filled_lots


@kernel
def orders_changed(q: Any, st: Any, sim: Any, t_ns: int) -> None:
    """Tell the decision kernel what is working, and note at which prices we are shown."""
    count_uptime(st, sim, t_ns)
    sim.working_lots[0], sim.working_lots[1] = 0, 0
    sim.shown_ticks[0], sim.shown_ticks[1] = NO_PRICE, NO_ASK
    live, exit_live = 0, 0
    for k in range(sim.n_places):
        w = place_at(sim.places, k)
        if w.state == FREE:
            continue
        live += 1
        if w.rung < 0:
            exit_live = 1
            continue
        i = (1 - w.side) >> 1
        sim.working_lots[i] += working_lots(w)
        if w.state != S_SENT and w.side * w.price_ticks > w.side * sim.shown_ticks[i]:
            sim.shown_ticks[i] = w.price_ticks
    find_touching(st, sim)
    take_orders(q, st, t_ns, sim.working_lots[0], sim.working_lots[1], live, sim.messages, exit_live)


@kernel
def end_orders(sim: Any, t_ns: int) -> None:
    """The feed has ended: whatever still works is canceled."""
    for k in range(sim.n_places):
        w = place_at(sim.places, k)
        if w.state != FREE:
            log_order(sim, w, 0, t_ns, S_CANCELED, END_OF_FEED)
            w.state, w.live = FREE, 0
