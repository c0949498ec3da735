"""What the exchange tells us: answers to requests, and fills with their fee and the mid before them."""

from __future__ import annotations

import math
from typing import Any

from mmlab.events import FillKind, Liquidity, OrderReason
from mmlab.kernels.policy import kernel
from mmlab.simulator.queues import leave
from mmlab.simulator.state import FILLED, answer_at, book_at, fill_at, int64_at

MAKER, TAKER = int(Liquidity.MAKER), int(Liquidity.TAKER)
BY_QUEUE, BY_THROUGH, BY_CROSS, BY_TAKER = (
    int(FillKind.QUEUE), int(FillKind.THROUGH), int(FillKind.CROSS), int(FillKind.TAKER)
)  # fmt: skip
NO_REASON = int(OrderReason.NONE)


@kernel
def answer(sim: Any, w: Any, k: int, exch_ns: int, kind: int, reason: int, ticks: int, lots: int, fill_row: int) -> int:
    """Send a message about order `w` of place `k`; return when we hear it. Messages of a side keep their order."""
    s = (1 - w.side) >> 1
    delay_ns = int64_at(sim.response, s * sim.n_response + sim.responses[s] % sim.n_response)
    heard_ns = max(exch_ns + delay_ns, sim.response_ns[s])
    sim.responses[s] += 1
    sim.response_ns[s] = heard_ns
    a = answer_at(sim.out.answers, s * sim.out.max_answers + sim.tail[s])
    sim.tail[s] += 1
    a.exch_ns, a.local_ns, a.kind, a.place, a.reason = exch_ns, heard_ns, kind, k, reason
    a.price_ticks, a.size_lots, a.fill_row = ticks, lots, fill_row
    a.order_id, a.client_order_id = w.venue_id, w.client_order_id
    sim.answer_ns = min(sim.answer_ns, heard_ns)
    return heard_ns


@kernel
def prevailing_mid(sim: Any, tick_size: float) -> float:
    """Mid after the last book event that the exchange has passed; NaN while the book is unusable."""
    if sim.x_book == 0:
        return math.nan
    b = book_at(sim.feed.book, sim.x_book - 1)
    return 0.5 * (b.bid_ticks + b.ask_ticks) * tick_size if b.valid else math.nan


@kernel
def fee_of(instrument: Any, lots: int, price: float, rate: float) -> float:
    """Fee in the settle currency: quote for linear contracts, base for inverse ones."""
    size = lots * instrument.lot_size * instrument.contract_size
    return rate * (size / price if instrument.inverse else size * price)


@kernel
def fill(q: Any, sim: Any, w: Any, k: int, exch_ns: int, ticks: int, lots: int, kind: int) -> None:
    """Fill `lots` of order `w` of place `k` at `ticks`: position, `FILL` row, and the message to us."""
    i, s = q.instrument, (1 - w.side) >> 1
    w.leaves_lots -= lots
    w.done_lots += lots
    if w.leaves_lots == 0:
        leave(sim, w)
    if sim.hit_ns[s] != exch_ns:
        sim.hits += 1
        sim.hit_ns[s], sim.hit_id[s] = exch_ns, sim.hits
    heard_ns = answer(sim, w, k, exch_ns, FILLED, NO_REASON, ticks, lots, sim.fills)
    r = fill_at(sim.out.fills, sim.fills)
    sim.fills += 1
    taker = kind == BY_TAKER
    r.exch_ns, r.local_ns, r.side, r.rung, r.fill_kind = exch_ns, heard_ns, w.side, w.rung, kind
    r.liquidity = TAKER if taker else MAKER
    r.price_ticks, r.size_lots = ticks, lots
    r.fee = fee_of(i, lots, ticks * i.tick_size, i.taker_fee if taker else i.maker_fee)
    r.mid = prevailing_mid(sim, i.tick_size)
    r.position_before_lots = sim.position_lots
    sim.position_lots += w.side * lots
    r.position_after_lots = sim.position_lots
    r.order_id, r.client_order_id, r.hit_id = w.venue_id, w.client_order_id, sim.hit_id[s]
