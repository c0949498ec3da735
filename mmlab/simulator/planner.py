"""Targets minus working orders = requests.

A target and an order belong together by (side, rung). Per such pair at most one order works, with at most one request
in flight. An order keeps its place in the queue while the target's price is nearer than the refresh tolerance and the
target's size is not above the order's own: a smaller target is a modify that keeps the place, and the rest of a partly
filled order stays. Limits may only remove: by our own knowledge, position and working orders of a side never exceed
the limit, whatever is filled.
"""

from __future__ import annotations

from typing import Any

from mmlab.events import TargetFlag
from mmlab.kernels.policy import kernel
from mmlab.simulator.answers import FREE, S_CANCEL, S_LIVE, S_MODIFY, S_PARTIAL, S_SENT, log_order, working_lots
from mmlab.simulator.requests import send
from mmlab.simulator.state import CANCEL, MODIFY, NONE, PLACE, place_at, target_at

EXIT_RUNG = -1
REDUCE_ONLY = int(TargetFlag.REDUCE_ONLY)


@kernel
def first_place(sim: Any, side: int, rung: int) -> int:
    """First of the two places of (side, rung); the exit's come last.

    A second order may be placed while the first, which is gone, still has a request in flight.
    """
    i = sim.n_places // 4 - 1 if rung < 0 else rung
    return 4 * i + (1 - side)


@kernel
def working_place(sim: Any, side: int, rung: int) -> int:
    """The place of the order that works for (side, rung); -1 if there is none."""
    k = first_place(sim, side, rung)
    if place_at(sim.places, k).state != FREE:
        return k
    return k + 1 if place_at(sim.places, k + 1).state != FREE else -1


@kernel
def free_place(sim: Any, side: int, rung: int) -> int:
    """A place of (side, rung) for a new order; -1 while both still have a request in flight."""
    k = first_place(sim, side, rung)
    if place_at(sim.places, k).request == NONE:
        return k
    return k + 1 if place_at(sim.places, k + 1).request == NONE else -1


@kernel
def room(q: Any, sim: Any, side: int) -> int:
    """Lots of `side` that could be added without the position ever passing its limit, whatever is filled."""
    lots = q.risk.max_long_lots if side > 0 else q.risk.max_short_lots
    lots -= side * (sim.known_lots + q.risk.offset_lots)
    for k in range(sim.n_places):
        w = place_at(sim.places, k)
        if w.state != FREE and w.side == side:
            lots -= working_lots(w)
    return lots


@kernel
def notional_quote(q: Any, lots: int, ticks: int) -> float:
    """Value of `lots` at a price, in quote currency."""
    i = q.instrument
    return lots * i.lot_size * i.contract_size * (1.0 if i.inverse else ticks * i.tick_size)


@kernel
def place(q: Any, sim: Any, t_ns: int, t: Any, k: int) -> None:
    """Send a new order for target `t` from place `k`, within the limits."""
    lots = t.size_lots
    if t["flags"] & REDUCE_ONLY == 0:
        lots = min(lots, room(q, sim, t.side))
    cut = lots < t.size_lots
    if lots <= 0 or (cut and lots < q.instrument.min_size_lots):
        return
    if cut and notional_quote(q, lots, t.price_ticks) < q.instrument.min_notional:
        return
    w = place_at(sim.places, k)
    w.state, w.how, w.side, w.rung = S_SENT, t["flags"], t.side, t.rung
    w.price_ticks, w.size_lots, w.filled_lots, w.order_id, w.client_order_id = t.price_ticks, lots, 0, 0, sim.clients
    sim.clients += 1
    sim.placed += 1
    send(sim, w, t_ns, PLACE, t.price_ticks, lots)
    log_order(sim, w, 0, t_ns, S_SENT, 0)


@kernel
def cancel(sim: Any, w: Any, t_ns: int) -> None:
    """Ask for an order's cancellation."""
    w.state = S_CANCEL
    sim.cancels += 1
    send(sim, w, t_ns, CANCEL, w.price_ticks, w.size_lots)
    log_order(sim, w, 0, t_ns, S_CANCEL, 0)


@kernel
def refresh(q: Any, sim: Any, t_ns: int, t: Any, w: Any) -> None:
    """Bring a resting order to its target, if that is worth its place in the queue."""
    leaves_lots, lots = w.size_lots - w.filled_lots, t.size_lots
    if t["flags"] & REDUCE_ONLY == 0 and lots > leaves_lots:
        lots = min(lots, leaves_lots + max(0, room(q, sim, t.side)))
    moved = abs(t.price_ticks - w.price_ticks) >= q.execution.tolerance_ticks
    if w.how == t["flags"] and not moved and leaves_lots <= lots <= w.size_lots:
        return
    if q.execution.modify == 0 or w.how != t["flags"]:
        cancel(sim, w, t_ns)
        return
    w.state = S_MODIFY
    sim.modifies += 1
    send(sim, w, t_ns, MODIFY, t.price_ticks if moved else w.price_ticks, w.filled_lots + lots)
    log_order(sim, w, 0, t_ns, S_MODIFY, 0)


@kernel
def has_target(sim: Any, n: int, w: Any) -> bool:
    """Whether one of the `n` targets stands for the order of a place."""
    for j in range(n):
        t = target_at(sim.wanted, j)
        if t.side == w.side and t.rung == w.rung:
            return True
    return False


@kernel
def resting(w: Any) -> bool:
    """Whether the order of a place rests, with no request in flight."""
    return w.state == S_LIVE or w.state == S_PARTIAL


@kernel
def plan(q: Any, sim: Any, n: int, t_ns: int) -> bool:
    """Send what takes the working orders to the `n` targets at `SIM.wanted`; whether anything was sent."""
    before = sim.requests
    for k in range(sim.n_places):
        w = place_at(sim.places, k)
        if resting(w) and w.rung != EXIT_RUNG and not has_target(sim, n, w):
            cancel(sim, w, t_ns)
    for j in range(n):
        t = target_at(sim.wanted, j)
        k = working_place(sim, t.side, t.rung)
        if k >= 0:
            if resting(place_at(sim.places, k)) and t.rung != EXIT_RUNG:
                refresh(q, sim, t_ns, t, place_at(sim.places, k))
            continue
        k = free_place(sim, t.side, t.rung)
        if k >= 0:
            place(q, sim, t_ns, t, k)
    return sim.requests > before
