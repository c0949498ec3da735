"""The exchange: our orders in the queue, and what recorded trades do to them (`terms.md`, Replay fidelity).

An order joins behind the size displayed at its price when it arrives. The size ahead of it falls by trades at its
price, is capped by the displayed size, and falls by cancellations as the queue model says:

=========== ==========================================================================================================
risk_averse cancellations are behind us
power, log  a share f(ahead) / (f(ahead) + f(behind)) of them is ahead, f(x) = x^n or ln(1 + x)
l3          those of orders that were there before us are ahead
=========== ==========================================================================================================

Of a trade, what remains after the size ahead of us is ours. A trade strictly through our price reaches us at once.
Depth alone never fills, so an order's place is brought up to date only when a trade reaches its price.
"""

from __future__ import annotations

import math
from typing import Any

from mmlab.events import NEVER_NS, NO_PRICE, FillKind, Kind, Liquidity, OrderReason, TargetFlag
from mmlab.kernels.policy import kernel
from mmlab.simulator.levels import cell_of, end_row_at, last_row, level_lots, next_row, row_lots
from mmlab.simulator.state import (
    ACCEPTED,
    CANCEL,
    CANCELED,
    FILLED,
    L3,
    MODIFIED,
    NO_ASK,
    NONE,
    PLACE,
    POWER,
    REFUSED,
    REJECTED,
    RISK_AVERSE,
    Array,
    Delays,
    Market,
    Tables,
)

BEGIN, END, ORDER_CANCEL = int(Kind.SNAPSHOT_BEGIN), int(Kind.SNAPSHOT_END), int(Kind.CANCEL)
POST_ONLY, IOC, REDUCE_ONLY = int(TargetFlag.POST_ONLY), int(TargetFlag.IOC), int(TargetFlag.REDUCE_ONLY)
MAKER, TAKER = int(Liquidity.MAKER), int(Liquidity.TAKER)
BY_QUEUE, BY_THROUGH, BY_CROSS, BY_TAKER = (
    int(FillKind.QUEUE), int(FillKind.THROUGH), int(FillKind.CROSS), int(FillKind.TAKER)
)  # fmt: skip
NO_REASON, WOULD_CROSS, NO_POSITION, REMAINDER, TOO_LATE = (
    int(OrderReason.NONE), int(OrderReason.POST_ONLY_WOULD_CROSS), int(OrderReason.REDUCE_ONLY),
    int(OrderReason.IOC_REMAINDER), int(OrderReason.TOO_LATE),
)  # fmt: skip
MAX_LEVELS_TAKEN = 256
"""Most price levels one order takes; the rest of it is canceled, or rests."""
ROUNDING = 1e-9


# ---------------------------------------------------------------------------------------------------------------------
# Answers


@kernel
def answer(
    sim: Any, places: Array, delays: Delays, out: Tables, k: int, exch_ns: int, kind: int, reason: int, price_ticks: int,
    lots: int, fill: int,
) -> int:  # fmt: skip
    """Send a message from the exchange to us; return when it will be heard. Messages of a side keep their order."""
    w = places[k]
    s = (1 - w.side) >> 1
    heard_ns = max(exch_ns + delays.response[s, sim.responses[s] % delays.response.shape[1]], sim.response_ns[s])
    sim.responses[s] += 1
    sim.response_ns[s] = heard_ns
    a = out.answers[s, sim.tail[s]]
    sim.tail[s] += 1
    a.exch_ns, a.local_ns, a.kind, a.place, a.reason = exch_ns, heard_ns, kind, k, reason
    a.price_ticks, a.size_lots, a.fill, a.order_id, a.client_order_id = (
        price_ticks, lots, fill, w.venue_id, w.client_order_id
    )  # fmt: skip
    sim.answer_ns = min(sim.answer_ns, heard_ns)
    return heard_ns


@kernel
def prevailing_mid(m: Market, sim: Any, tick_size: float) -> float:
    """Mid after the last book event that the exchange has passed; NaN while the book is unusable."""
    if sim.x_book == 0:
        return math.nan
    b = m.book[sim.x_book - 1]
    return 0.5 * (b.bid_ticks + b.ask_ticks) * tick_size if b.valid else math.nan


@kernel
def fee_of(instrument: Any, lots: int, price: float, rate: float) -> float:
    """Fee in the settle currency: quote for linear contracts, base for inverse ones."""
    size = lots * instrument.lot_size * instrument.contract_size
    return rate * (size / price if instrument.inverse else size * price)


@kernel
def fill(
    m: Market, p: Array, sim: Any, places: Array, delays: Delays, out: Tables, k: int, exch_ns: int, ticks: int,
    lots: int, kind: int,
) -> None:  # fmt: skip
    """Fill `lots` of order `k` at `ticks`: position, fee, `FILL` row, and the message to us."""
    w, i, s = places[k], p[0].instrument, (1 - places[k].side) >> 1
    w.leaves_lots -= lots
    w.done_lots += lots
    if w.leaves_lots == 0:
        w.live = 0
    if sim.hit_ns[s] != exch_ns:
        sim.hits += 1
        sim.hit_ns[s], sim.hit_id[s] = exch_ns, sim.hits
    n = sim.fills
    sim.fills += 1
    heard_ns = answer(sim, places, delays, out, k, exch_ns, FILLED, NO_REASON, ticks, lots, n)
    r = out.fills[n]
    r.exch_ns, r.local_ns, r.side, r.rung, r.fill_kind = exch_ns, heard_ns, w.side, w.rung, kind
    r.liquidity = TAKER if kind == BY_TAKER else MAKER
    r.price_ticks, r.size_lots = ticks, lots
    r.fee = fee_of(i, lots, ticks * i.tick_size, i.taker_fee if kind == BY_TAKER else i.maker_fee)
    r.mid = prevailing_mid(m, sim, i.tick_size)
    r.position_before_lots = sim.position_lots
    sim.position_lots += w.side * lots
    r.position_after_lots = sim.position_lots
    r.order_id, r.client_order_id, r.hit_id = w.venue_id, w.client_order_id, sim.hit_id[s]


# ---------------------------------------------------------------------------------------------------------------------
# Place in the queue


@kernel
def share_ahead(sim: Any, ahead: float, behind: float) -> float:
    """Share of cancellations that is ahead of us."""
    if sim.queue == POWER:
        front, back = ahead**sim.exponent, behind**sim.exponent
    else:
        front, back = math.log1p(ahead), math.log1p(behind)
    return front / (front + back) if front + back > 0.0 else 0.0


@kernel
def level_changed(sim: Any, w: Any, lots: int) -> None:
    """The level of order `w` now shows `lots`, by cancellations, additions, or the trades that were counted already."""
    if sim.queue != RISK_AVERSE and sim.queue != L3:
        canceled = w.level_lots - lots - w.traded_lots
        if canceled > 0:
            behind = max(0.0, w.level_lots - w.traded_lots - w.ahead_lots)
            ahead = max(canceled * share_ahead(sim, w.ahead_lots, behind), canceled - behind)
            w.ahead_lots = max(0.0, w.ahead_lots - ahead)
    w.ahead_lots = min(w.ahead_lots, float(lots))
    w.level_lots, w.traded_lots = lots, 0


@kernel
def order_left(m: Market, sim: Any, w: Any, row: int) -> None:
    """Order by order: a cancellation of somebody who was there before us lets us advance."""
    e = m.events[row]
    if e.kind == ORDER_CANCEL and m.added[row] <= w.arrived_row:
        w.ahead_lots = max(0.0, w.ahead_lots - e.size_lots)


@kernel
def update_place(m: Market, sim: Any, w: Any, end_row: int) -> None:
    """Bring the queue position of order `w` up to the rows before `end_row`."""
    s, x = (1 - w.side) >> 1, cell_of(sim, w.side, w.at_ticks)
    if x < 0 or x >= m.first.shape[1]:
        return
    row = next_row(m, s, x, w.row)
    while row != 0 and row <= end_row:
        if sim.queue == L3:
            order_left(m, sim, w, row - 1)
        level_changed(sim, w, row_lots(m, row - 1))
        w.row = row
        row = next_row(m, s, x, row)


@kernel
def join(m: Market, sim: Any, w: Any, end_row: int) -> None:
    """Put order `w` at the end of the queue at its price."""
    w.level_lots = level_lots(m, sim, m.seen, w.side, w.at_ticks, end_row, sim.x_begin)
    w.ahead_lots, w.traded_lots, w.arrived_row = float(w.level_lots), 0, end_row
    s, x = (1 - w.side) >> 1, cell_of(sim, w.side, w.at_ticks)
    w.row = last_row(m, m.seen, s, x, end_row) if 0 <= x < m.first.shape[1] else 0
    sim.arrivals += 1
    w.priority = sim.arrivals


@kernel
def refresh_best(sim: Any, places: Array) -> None:
    """Count our live orders, and find the best price a side."""
    sim.live[:] = 0
    sim.best_ticks[0], sim.best_ticks[1] = NO_PRICE, NO_ASK
    for k in range(sim.places):
        w = places[k]
        if w.live:
            s = (1 - w.side) >> 1
            sim.live[s] += 1
            if sim.live[s] == 1 or w.side * (w.at_ticks - sim.best_ticks[s]) > 0:
                sim.best_ticks[s] = w.at_ticks


# ---------------------------------------------------------------------------------------------------------------------
# What the market does to our orders


@kernel
def pass_book(m: Market, sim: Any, t_ns: int) -> None:
    """Let the exchange take every book event up to and at `t_ns`."""
    while sim.x_book < m.book.size and m.book[sim.x_book].exch_ns <= t_ns:
        sim.x_book += 1


@kernel
def pass_rows(m: Market, sim: Any, t_ns: int) -> int:
    """The first book row after `t_ns` on the exchange clock. Asked with times that never fall."""
    row = sim.x_row
    if sim.x_book > 0:
        row = max(row, m.book[sim.x_book - 1].row + 1)
    sim.x_row = end_row_at(m, row, t_ns)
    return sim.x_row


@kernel
def rows_before_trade(m: Market, sim: Any, q: Any) -> int:
    """Bring the book up to a trade and return its first later row: at equal time the trade comes first, in an
    order-by-order feed the feed's order holds."""
    if sim.by_order == 0:
        pass_book(m, sim, q.exch_ns - 1)
        return pass_rows(m, sim, q.exch_ns - 1)
    while sim.x_book < m.book.size and m.book[sim.x_book].row < q.row:
        sim.x_book += 1
    return q.row


@kernel
def next_in_line(sim: Any, places: Array, side: int, limit_ticks: int, after: int) -> int:
    """Our live order of `side` at or better than `limit_ticks` that comes next by price and time; -1 if none.

    `after` is the order that came before; -1 for the first.
    """
    found = -1
    for k in range(sim.places):
        w = places[k]
        if w.live == 0 or w.side != side or side * (w.at_ticks - limit_ticks) < 0:
            continue
        if after >= 0 and not comes_before(places[after], w):
            continue
        if found < 0 or comes_before(w, places[found]):
            found = k
    return found


@kernel
def comes_before(a: Any, b: Any) -> bool:
    """Whether order `a` has price-time priority over `b` of the same side."""
    better = a.side * (a.at_ticks - b.at_ticks)
    return better > 0 or (better == 0 and a.priority < b.priority)


@kernel
def lots_reached(sim: Any, w: Any, q: Any, left_lots: int, end_row: int, m: Market) -> int:
    """Lots of order `w` that trade `q` fills; `left_lots` of it are not yet taken by our orders before `w`."""
    lots = abs(q.signed_lots)
    if w.side * (w.at_ticks - q.price_ticks) > 0:
        w.ahead_lots = 0.0
        reached = left_lots
    elif sim.through_only:
        return 0
    else:
        update_place(m, sim, w, end_row)
        taken = lots - left_lots if sim.partial else 0
        reached = math.floor(lots - taken - w.ahead_lots + ROUNDING)
        w.ahead_lots = max(0.0, w.ahead_lots - lots)
        w.traded_lots += lots
    if sim.partial:
        return max(0, min(reached, w.leaves_lots))
    return w.leaves_lots if reached > 0 else 0


@kernel
def trade(m: Market, p: Array, sim: Any, places: Array, delays: Delays, out: Tables, q: Any) -> None:
    """A trade at or through one of our prices."""
    side = -1 if q.signed_lots > 0 else 1
    end_row = rows_before_trade(m, sim, q)
    left_lots, k = abs(q.signed_lots), next_in_line(sim, places, side, q.price_ticks, -1)
    while k >= 0:
        w = places[k]
        kind = BY_THROUGH if side * (w.at_ticks - q.price_ticks) > 0 else BY_QUEUE
        lots = lots_reached(sim, w, q, left_lots, end_row, m)
        if lots > 0:
            if sim.partial:
                left_lots -= lots
            fill(m, p, sim, places, delays, out, k, q.exch_ns, w.at_ticks, lots, kind)
        k = next_in_line(sim, places, side, q.price_ticks, k)
    refresh_best(sim, places)


@kernel
def cross(m: Market, p: Array, sim: Any, places: Array, delays: Delays, out: Tables, b: Any) -> None:
    """The opposite best price reached ours without a trade: with `fill_on_cross` we are filled."""
    for s in range(2):
        side = 1 - 2 * s
        best_ticks = b.ask_ticks if side > 0 else b.bid_ticks
        k = next_in_line(sim, places, side, best_ticks, -1) if best_ticks != NO_PRICE else -1
        while k >= 0:
            fill(m, p, sim, places, delays, out, k, b.exch_ns, places[k].at_ticks, places[k].leaves_lots, BY_CROSS)
            k = next_in_line(sim, places, side, best_ticks, k)
    refresh_best(sim, places)


@kernel
def snapshot(m: Market, sim: Any, places: Array, row: int) -> None:
    """A snapshot begins or has ended: levels it does not name are empty."""
    if m.events[row].kind == BEGIN:
        sim.x_begin = row
        return
    for k in range(sim.places):
        w = places[k]
        if w.live:
            update_place(m, sim, w, row)
            level_changed(sim, w, level_lots(m, sim, m.seen, w.side, w.at_ticks, row, sim.x_begin))


# ---------------------------------------------------------------------------------------------------------------------
# Our requests


@kernel
def arrive(m: Market, p: Array, sim: Any, places: Array, delays: Delays, out: Tables, k: int) -> None:
    """The request of place `k` reaches the exchange, after all data of that time."""
    w = places[k]
    t_ns, request = w.request_ns, w.request
    w.request_ns, w.request = NEVER_NS, NONE
    pass_book(m, sim, t_ns)
    end_row = pass_rows(m, sim, t_ns)
    if request == PLACE:
        w.venue_id, w.done_lots = w.request_n, 0
        enter(m, p, sim, places, delays, out, k, t_ns, end_row, w.request_ticks, w.request_lots, ACCEPTED)
    elif w.live == 0:
        answer(sim, places, delays, out, k, t_ns, REFUSED, TOO_LATE, w.at_ticks, w.leaves_lots, -1)
    elif request == CANCEL:
        w.live = 0
        answer(sim, places, delays, out, k, t_ns, CANCELED, NO_REASON, w.at_ticks, w.leaves_lots, -1)
    else:
        change(m, p, sim, places, delays, out, k, t_ns, end_row)
    refresh_best(sim, places)


@kernel
def change(
    m: Market, p: Array, sim: Any, places: Array, delays: Delays, out: Tables, k: int, t_ns: int, end_row: int
) -> None:
    """Modify a live order. A smaller size at the same price keeps its place; anything else joins the back."""
    w = places[k]
    leaves_lots = w.request_lots - w.done_lots
    if leaves_lots <= 0:
        w.live = 0
        answer(sim, places, delays, out, k, t_ns, CANCELED, NO_REASON, w.at_ticks, w.leaves_lots, -1)
    elif w.request_ticks == w.at_ticks and leaves_lots <= w.leaves_lots:
        w.leaves_lots = leaves_lots
        answer(sim, places, delays, out, k, t_ns, MODIFIED, NO_REASON, w.at_ticks, w.request_lots, -1)
    else:
        w.live = 0
        enter(m, p, sim, places, delays, out, k, t_ns, end_row, w.request_ticks, leaves_lots, MODIFIED)


@kernel
def enter(
    m: Market, p: Array, sim: Any, places: Array, delays: Delays, out: Tables, k: int, t_ns: int, end_row: int,
    ticks: int, lots: int, kind: int,
) -> None:  # fmt: skip
    """An order comes to the book at `ticks` with `lots` to be filled: refused, taken at once, or resting."""
    w = places[k]
    opposite = best_opposite(m, sim, w.side)
    crosses = opposite != NO_PRICE and w.side * (ticks - opposite) >= 0
    room_lots = reducible_lots(sim, places, w.side, k) if w.flags & REDUCE_ONLY else lots
    w.at_ticks, w.leaves_lots = ticks, min(lots, room_lots)
    if room_lots <= 0 or (crosses and w.flags & POST_ONLY):
        reason = NO_POSITION if room_lots <= 0 else WOULD_CROSS
        answer(sim, places, delays, out, k, t_ns, REJECTED, reason, ticks, lots, -1)
        return
    w.live = 1
    answer(sim, places, delays, out, k, t_ns, kind, NO_REASON, ticks, w.done_lots + w.leaves_lots, -1)
    if crosses:
        take(m, p, sim, places, delays, out, k, t_ns, end_row, opposite)
    if w.live and w.flags & IOC:
        w.live = 0
        answer(sim, places, delays, out, k, t_ns, CANCELED, REMAINDER, ticks, w.leaves_lots, -1)
    elif w.live:
        join(m, sim, w, end_row)


@kernel
def best_opposite(m: Market, sim: Any, side: int) -> int:
    """Best price of the other side on the exchange clock; `NO_PRICE` if empty."""
    if sim.x_book == 0:
        return NO_PRICE
    b = m.book[sim.x_book - 1]
    return b.ask_ticks if side > 0 else b.bid_ticks


@kernel
def reducible_lots(sim: Any, places: Array, side: int, k: int) -> int:
    """Lots of `side` that cannot take the position through zero, what rests already included (order `k` aside)."""
    lots = max(0, -side * sim.position_lots)
    for j in range(sim.places):
        if j != k and places[j].live and places[j].side == side:
            lots -= places[j].leaves_lots
    return lots


@kernel
def take(
    m: Market, p: Array, sim: Any, places: Array, delays: Delays, out: Tables, k: int, t_ns: int, end_row: int,
    best_ticks: int,
) -> None:  # fmt: skip
    """Walk the visible levels from the opposite best to the order's price."""
    w, ticks = places[k], best_ticks
    levels = 0
    while w.live and w.side * (w.at_ticks - ticks) >= 0 and levels < MAX_LEVELS_TAKEN:
        x = cell_of(sim, -w.side, ticks)
        if x >= m.first.shape[1]:
            break
        lots = min(w.leaves_lots, level_lots(m, sim, m.seen, -w.side, ticks, end_row, sim.x_begin))
        if lots > 0:
            fill(m, p, sim, places, delays, out, k, t_ns, ticks, lots, BY_TAKER)
            levels += 1
        ticks += w.side


@kernel
def send(sim: Any, w: Any, delays: Delays, t_ns: int, request: int, ticks: int, lots: int) -> None:
    """Send a request at local time `t_ns`. Requests of a side keep their order."""
    s = (1 - w.side) >> 1
    arrival_ns = max(t_ns + delays.entry[s, sim.entries[s] % delays.entry.shape[1]], sim.entry_ns[s])
    sim.entries[s] += 1
    sim.entry_ns[s] = arrival_ns
    sim.messages += 1
    sim.requests += 1
    w.request, w.request_ns, w.request_ticks, w.request_lots, w.request_n = (
        request, arrival_ns, ticks, lots, sim.requests
    )  # fmt: skip
    sim.request_ns = min(sim.request_ns, arrival_ns)
    sim.x_due_ns = min(sim.x_due_ns, arrival_ns)


@kernel
def next_request(sim: Any, places: Array) -> int:
    """The place whose request reaches the exchange next, in the order sent at equal time; sets `SIM.request_ns`."""
    found = -1
    for k in range(sim.places):
        w = places[k]
        if w.request != NONE and (
            found < 0
            or w.request_ns < places[found].request_ns
            or (w.request_ns == places[found].request_ns and w.request_n < places[found].request_n)
        ):
            found = k
    sim.request_ns = places[found].request_ns if found >= 0 else NEVER_NS
    return found


@kernel
def advance(m: Market, p: Array, sim: Any, places: Array, delays: Delays, out: Tables, limit_ns: int, room: int) -> int:
    """Let the exchange take everything up to `limit_ns`, or to the moment its first answer is heard.

    Returns that moment, or -1 when fewer than `room` rows are left in a table. At equal time trades come first, then
    the book, then our requests.
    """
    while True:
        print_ns = m.prints[sim.x_print].exch_ns if sim.x_print < m.prints.size else NEVER_NS
        other_ns = next_snapshot(m, sim)
        watch = sim.cross and (sim.live[0] or sim.live[1])
        book_ns = m.book[sim.x_book].exch_ns if watch and sim.x_book < m.book.size else NEVER_NS
        t_ns = min(min(print_ns, book_ns), min(other_ns, sim.request_ns))
        sim.x_due_ns = t_ns
        limit_ns = min(limit_ns, sim.answer_ns)
        if t_ns > limit_ns:
            return limit_ns
        if short_of_room(sim, out, room):
            return -1
        if print_ns == t_ns and not (sim.by_order and book_ns == t_ns and book_is_first(m, sim)):
            q = m.prints[sim.x_print]
            sim.x_print += 1
            if q.price_ticks <= sim.best_ticks[0] if q.signed_lots < 0 else q.price_ticks >= sim.best_ticks[1]:
                trade(m, p, sim, places, delays, out, q)
        elif book_ns == t_ns:
            b = m.book[sim.x_book]
            if (b.ask_ticks <= sim.best_ticks[0] and b.ask_ticks != NO_PRICE) or b.bid_ticks >= sim.best_ticks[1]:
                cross(m, p, sim, places, delays, out, b)
            sim.x_book += 1
        elif other_ns == t_ns:
            snapshot(m, sim, places, m.others[sim.x_other])
            sim.x_other += 1
        else:
            arrive(m, p, sim, places, delays, out, next_request(sim, places))
            next_request(sim, places)


@kernel
def next_snapshot(m: Market, sim: Any) -> int:
    """Exchange time of the next begin or end of a snapshot."""
    while sim.x_other < m.others.size:
        e = m.events[m.others[sim.x_other]]
        if e.kind == BEGIN or e.kind == END:
            return e.exch_ns
        sim.x_other += 1
    return NEVER_NS


@kernel
def book_is_first(m: Market, sim: Any) -> bool:
    """Whether the next book event stands before the next trade in the feed."""
    return m.book[sim.x_book].row < m.prints[sim.x_print].row


@kernel
def short_of_room(sim: Any, out: Tables, room: int) -> bool:
    """Whether one more event of the exchange might not fit the tables."""
    tail = max(sim.tail[0], sim.tail[1])
    return sim.fills + room > out.fills.size or tail + room > out.answers.shape[1]
