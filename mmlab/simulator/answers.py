"""What we know of our own orders: only answers of the exchange change it."""

from __future__ import annotations

from typing import Any

from mmlab.events import NEVER_NS, NO_PRICE, NS_PER_S, OrderReason, OrderState
from mmlab.kernels.decide import metrics_row, on_fill, on_orders
from mmlab.kernels.policy import kernel
from mmlab.simulator.state import (
    ACCEPTED,
    CANCELED,
    FILLED,
    MODIFIED,
    NO_ASK,
    REFUSED,
    REJECTED,
    Array,
    Tables,
)

FREE = int(OrderState.PLANNED)
S_SENT, S_LIVE, S_PARTIAL = int(OrderState.SENT), int(OrderState.LIVE), int(OrderState.PARTIALLY_FILLED)
S_CANCEL, S_MODIFY = int(OrderState.CANCEL_PENDING), int(OrderState.MODIFY_PENDING)
S_FILLED, S_CANCELED, S_REJECTED = int(OrderState.FILLED), int(OrderState.CANCELED), int(OrderState.REJECTED)
END_OF_FEED = int(OrderReason.END_OF_FEED)


@kernel
def log_order(sim: Any, w: Any, out: Tables, exch_ns: int, local_ns: int, state: int, reason: int) -> None:
    """Write an `ORDER` row."""
    r = out.orders[sim.orders]
    sim.orders += 1
    r.exch_ns, r.local_ns, r.state, r.side, r.rung, r.flags = exch_ns, local_ns, state, w.side, w.rung, w.flags
    r.price_ticks, r.size_lots, r.filled_lots = w.price_ticks, w.size_lots, w.filled_lots
    r.order_id, r.client_order_id, r.reason = w.order_id, w.client_order_id, reason


@kernel
def hear(sim: Any, places: Array, out: Tables, a: Any) -> None:
    """Apply one answer to what we believe, and write down the transition.

    A cancel or modify that came too late says nothing new of the order: its end is known from another answer.
    """
    w = places[a.place]
    if a.kind == REFUSED:
        sim.refused += 1
        hear_refusal(sim, w, out, a)
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
        log_order(sim, w, out, a.exch_ns, a.local_ns, S_PARTIAL, a.reason)
        return
    if a.kind == FILLED:
        w.state = S_FILLED
    elif a.kind == CANCELED:
        w.state = S_CANCELED
    elif a.kind == REJECTED:
        sim.rejects += 1
        w.state = S_REJECTED
    else:
        w.state = S_PARTIAL if w.filled_lots else S_LIVE
    log_order(sim, w, out, a.exch_ns, a.local_ns, w.state, a.reason)
    if w.state >= S_FILLED:
        w.state = FREE


@kernel
def hear_refusal(sim: Any, w: Any, out: Tables, a: Any) -> None:
    """Write down a refusal, in the name of the order it was meant for: its place may hold another one by now."""
    r = out.orders[sim.orders]
    sim.orders += 1
    r.exch_ns, r.local_ns, r.side, r.rung, r.flags = a.exch_ns, a.local_ns, w.side, w.rung, w.flags
    r.state = S_CANCELED if a.size_lots > 0 else S_FILLED
    r.price_ticks, r.size_lots, r.filled_lots = a.price_ticks, a.size_lots, 0
    r.order_id, r.client_order_id, r.reason = a.order_id, a.client_order_id, a.reason


@kernel
def next_answer(sim: Any, out: Tables) -> int:
    """The side whose next answer is heard first (-1: none), the bid's at equal time; sets `SIM.answer_ns`."""
    found, sim.answer_ns = -1, NEVER_NS
    for s in range(2):
        if sim.head[s] == sim.tail[s]:
            sim.head[s] = sim.tail[s] = 0
        elif out.answers[s, sim.head[s]].local_ns < sim.answer_ns:
            found, sim.answer_ns = s, out.answers[s, sim.head[s]].local_ns
    return found


@kernel
def hear_all(p: Array, s: Array, sim: Any, places: Array, out: Tables, t_ns: int) -> None:
    """Take every answer that is heard up to `t_ns`; fills go to the decision kernel."""
    side = next_answer(sim, out)
    while side >= 0 and sim.answer_ns <= t_ns:
        a = out.answers[side, sim.head[side]]
        sim.head[side] += 1
        hear(sim, places, out, a)
        if a.kind == FILLED:
            on_fill(p, s, out.fills[a.fill])
        side = next_answer(sim, out)


@kernel
def working_lots(w: Any) -> int:
    """Lots of an order that may still be filled, in the worst case."""
    size = w.size_lots
    if w.state == S_MODIFY:
        size = max(size, w.request_lots)
    return size - w.filled_lots


@kernel
def orders_changed(p: Array, s: Array, sim: Any, places: Array, t_ns: int) -> None:
    """Tell the decision kernel what is working, and note at which prices we are shown."""
    count_uptime(s, sim, t_ns)
    sim.working_lots[:] = 0
    sim.shown_ticks[0], sim.shown_ticks[1] = NO_PRICE, NO_ASK
    live, exit_live = 0, 0
    for k in range(sim.places):
        w = places[k]
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
    find_touching(s, sim)
    on_orders(p, s, t_ns, sim.working_lots[0], sim.working_lots[1], live, sim.messages, exit_live)


@kernel
def find_touching(s: Array, sim: Any) -> None:
    """Whether each side has a quote at the best price, or ahead of it."""
    b = s[0].market
    sim.touching[0] = 1 if b.valid and sim.shown_ticks[0] >= b.bid_ticks else 0
    sim.touching[1] = 1 if b.valid and sim.shown_ticks[1] <= b.ask_ticks else 0


@kernel
def count_uptime(s: Array, sim: Any, t_ns: int) -> None:
    """Add the time since the last count to the uptime of each side."""
    passed = t_ns - sim.since_ns
    sim.since_ns = t_ns
    if s[0].market.valid:
        sim.valid_ns += passed
    for i in range(2):
        if sim.shown_ticks[i] != (NO_PRICE if i == 0 else NO_ASK):
            sim.quoting_ns[i] += passed
        if sim.touching[i]:
            sim.touch_ns[i] += passed


@kernel
def write_metrics(p: Array, s: Array, sim: Any, out: Tables) -> None:
    """Write the `METRIC` row of the second that has passed."""
    t_ns = sim.metric_ns
    sim.metric_ns += NS_PER_S
    count_uptime(s, sim, t_ns)
    r = out.metrics[sim.metrics]
    sim.metrics += 1
    metrics_row(p, s, t_ns, r)
    r.messages = sim.messages
    r.quoting_bid, r.quoting_ask = share(sim, 0, sim.quoting_ns[0]), share(sim, 1, sim.quoting_ns[1])
    r.at_touch_bid, r.at_touch_ask = share(sim, 2, sim.touch_ns[0]), share(sim, 3, sim.touch_ns[1])


@kernel
def share(sim: Any, i: int, total_ns: int) -> float:
    """Share of a second that a running total has gained since it was last asked for."""
    gained = total_ns - sim.counted_ns[i]
    sim.counted_ns[i] = total_ns
    return gained / NS_PER_S


@kernel
def end_orders(sim: Any, places: Array, out: Tables, t_ns: int) -> None:
    """The feed has ended: whatever still works is canceled."""
    for k in range(sim.places):
        w = places[k]
        if w.state != FREE:
            log_order(sim, w, out, 0, t_ns, S_CANCELED, END_OF_FEED)
            w.state, w.live = FREE, 0
