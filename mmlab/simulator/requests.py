"""Our requests: how they travel, and what the exchange does with them when they arrive."""

from __future__ import annotations

from typing import Any

from mmlab.events import NEVER_NS, NO_PRICE, OrderReason, TargetFlag
from mmlab.kernels.policy import kernel
from mmlab.simulator.fills import BY_TAKER, NO_REASON, answer, fill
from mmlab.simulator.levels import cell_of, level_lots, pass_book
from mmlab.simulator.queues import join, leave, pass_time, refresh_best
from mmlab.simulator.state import (
    ACCEPTED,
    CANCEL,
    CANCELED,
    MODIFIED,
    NONE,
    PLACE,
    REFUSED,
    REJECTED,
    book_at,
    int64_at,
    place_at,
)

POST_ONLY, IOC, REDUCE_ONLY = int(TargetFlag.POST_ONLY), int(TargetFlag.IOC), int(TargetFlag.REDUCE_ONLY)
WOULD_CROSS, NO_POSITION, REMAINDER, TOO_LATE = (
    int(OrderReason.POST_ONLY_WOULD_CROSS), int(OrderReason.REDUCE_ONLY), int(OrderReason.IOC_REMAINDER),
    int(OrderReason.TOO_LATE),
)  # fmt: skip
MAX_LEVELS_TAKEN = 256
"""Most price levels one order takes; what is left of it is canceled, or rests."""


@kernel
def send(sim: Any, w: Any, t_ns: int, request: int, ticks: int, lots: int) -> None:
    """Send a request at local time `t_ns`. Requests of a side keep their order."""
    s = (1 - w.side) >> 1
    delay_ns = int64_at(sim.entry, s * sim.n_entry + sim.entries[s] % sim.n_entry)
    arrival_ns = max(t_ns + delay_ns, sim.entry_ns[s])
    sim.entries[s] += 1
    sim.entry_ns[s] = arrival_ns
    sim.messages += 1
    sim.requests += 1
    w.request, w.request_ns, w.request_n = request, arrival_ns, sim.requests
    w.request_ticks, w.request_lots = ticks, lots
    sim.request_ns = min(sim.request_ns, arrival_ns)
    sim.x_due_ns = min(sim.x_due_ns, arrival_ns)


@kernel
def next_request(sim: Any) -> int:
    """The place whose request reaches the exchange next, in the order sent at equal time; sets `SIM.request_ns`."""
    found, first_ns, first_n = -1, NEVER_NS, NEVER_NS
    for k in range(sim.n_places):
        w = place_at(sim.places, k)
        if w.request != NONE and (w.request_ns < first_ns or (w.request_ns == first_ns and w.request_n < first_n)):
            found, first_ns, first_n = k, w.request_ns, w.request_n
    sim.request_ns = first_ns
    return found


@kernel
def arrive(q: Any, sim: Any) -> None:
    """The next request reaches the exchange, after all data of that time."""
    k = next_request(sim)
    w = place_at(sim.places, k)
    t_ns, request = w.request_ns, w.request
    w.request_ns, w.request = NEVER_NS, NONE
    pass_book(sim, t_ns)
    if request == PLACE:
        w.venue_id, w.done_lots = w.request_n, 0
        enter(q, sim, w, k, t_ns, w.request_ticks, w.request_lots, ACCEPTED)
    elif w.live == 0:
        answer(sim, w, k, t_ns, REFUSED, TOO_LATE, w.at_ticks, w.leaves_lots, -1)
    elif request == CANCEL:
        leave(sim, w)
        answer(sim, w, k, t_ns, CANCELED, NO_REASON, w.at_ticks, w.leaves_lots, -1)
    else:
        change(q, sim, w, k, t_ns)
    refresh_best(sim)
    next_request(sim)


@kernel
def change(q: Any, sim: Any, w: Any, k: int, t_ns: int) -> None:
    """Modify a live order. A smaller size at the same price keeps its place; anything else joins the back."""
    lots = w.request_lots - w.done_lots
    if lots <= 0:
        leave(sim, w)
        answer(sim, w, k, t_ns, CANCELED, NO_REASON, w.at_ticks, w.leaves_lots, -1)
    elif w.request_ticks == w.at_ticks and lots <= w.leaves_lots:
        w.leaves_lots = lots
        answer(sim, w, k, t_ns, MODIFIED, NO_REASON, w.at_ticks, w.request_lots, -1)
    else:
        leave(sim, w)
        enter(q, sim, w, k, t_ns, w.request_ticks, lots, MODIFIED)


@kernel
def enter(q: Any, sim: Any, w: Any, k: int, t_ns: int, ticks: int, lots: int, kind: int) -> None:
    """An order comes to the book: refused, taken at once, or resting. `kind` is the answer when it is not refused."""
    opposite = best_opposite(sim, w.side)
    crosses = opposite != NO_PRICE and w.side * (ticks - opposite) >= 0
    room_lots = reducible_lots(sim, w.side, k) if w.how & REDUCE_ONLY else lots
    w.at_ticks, w.leaves_lots = ticks, min(lots, room_lots)
    if room_lots <= 0 or (crosses and w.how & POST_ONLY):
        answer(sim, w, k, t_ns, REJECTED, NO_POSITION if room_lots <= 0 else WOULD_CROSS, ticks, lots, -1)
        return
    w.live = 1
    pass_time(sim, t_ns)
    answer(sim, w, k, t_ns, kind, NO_REASON, ticks, w.done_lots + w.leaves_lots, -1)
    if crosses:
        take(q, sim, w, k, t_ns, opposite)
    if w.live and w.how & IOC:
        leave(sim, w)
        answer(sim, w, k, t_ns, CANCELED, REMAINDER, ticks, w.leaves_lots, -1)
    elif w.live:
        join(sim, w)


@kernel
def best_opposite(sim: Any, side: int) -> int:
    """Best price of the other side on the exchange clock; `NO_PRICE` if empty."""
    if sim.x_book == 0:
        return NO_PRICE
    b = book_at(sim.feed.book, sim.x_book - 1)
    return b.ask_ticks if side > 0 else b.bid_ticks


@kernel
def reducible_lots(sim: Any, side: int, k: int) -> int:
    """Lots of `side` that cannot take the position through zero, what rests already (but for place `k`) included."""
    lots = max(0, -side * sim.position_lots)
    for j in range(sim.n_places):
        w = place_at(sim.places, j)
        if j != k and w.live and w.side == side:
            lots -= w.leaves_lots
    return lots


@kernel
def take(q: Any, sim: Any, w: Any, k: int, t_ns: int, best_ticks: int) -> None:
    """Walk the visible levels from the opposite best to the order's price."""
    f, ticks, levels = sim.feed, best_ticks, 0
    while w.live and w.side * (w.at_ticks - ticks) >= 0 and levels < MAX_LEVELS_TAKEN:
        if cell_of(f, -w.side, ticks) < 0:
            break
        lots = min(w.leaves_lots, level_lots(f, sim.x_cells, -w.side, ticks, sim.x_begin))
        if lots > 0:
            fill(q, sim, w, k, t_ns, ticks, lots, BY_TAKER)
            levels += 1
        ticks += w.side
