"""The exchange: what recorded trades, and the book, do to our orders (`terms.md`, Replay fidelity).

Of a trade at our price, what remains after the size ahead of us is ours. A trade strictly through our price reaches us
at once. Several orders of ours share a trade by price and time. Without partial fills an order that is reached is
filled whole, and nothing is shared.
"""

from __future__ import annotations

import math
from typing import Any

from mmlab.events import NEVER_NS, NO_PRICE
from mmlab.kernels.policy import kernel
from mmlab.simulator.fills import BY_CROSS, BY_QUEUE, BY_THROUGH, fill
from mmlab.simulator.levels import pass_book_rows, x_book_passed, x_print_passed
from mmlab.simulator.queues import next_in_line, pass_rows, refresh_best
from mmlab.simulator.requests import arrive
from mmlab.simulator.state import book_at, place_at, print_at

ROUNDING = 1e-9
ROOM = 1024
"""Rows that are free in every table before an event or an instant; none writes more."""


@kernel
def lots_reached(sim: Any, w: Any, trade: Any, left_lots: int) -> int:
    """Lots of order `w` that a trade fills; `left_lots` of it are not yet taken by orders of ours before `w`."""
    lots = abs(trade.signed_lots)
    if w.side * (w.at_ticks - trade.price_ticks) > 0:
        w.ahead_lots = 0.0
        reached = left_lots
    elif sim.through_only:
        return 0
    else:
        taken = lots - left_lots
        reached = math.floor(lots - taken - w.ahead_lots + ROUNDING)
        w.ahead_lots = max(0.0, w.ahead_lots - lots)
        w.traded_lots += lots
    if sim.partial:
        return max(0, min(reached, w.leaves_lots))
    return w.leaves_lots if reached > 0 else 0


@kernel
def trade_reaches(q: Any, sim: Any, trade: Any) -> None:
    """A trade at or through one of our prices."""
    side, left_lots = -1 if trade.signed_lots > 0 else 1, abs(trade.signed_lots)
    pass_book_rows(sim, trade.end_row)
    pass_rows(sim, trade.end_row)
    k = next_in_line(sim, side, trade.price_ticks, -1)
    while k >= 0:
        w = place_at(sim.places, k)
        kind = BY_THROUGH if side * (w.at_ticks - trade.price_ticks) > 0 else BY_QUEUE
        lots = lots_reached(sim, w, trade, left_lots)
        if lots > 0:
            left_lots -= lots if sim.partial else 0
            fill(q, sim, w, k, trade.exch_ns, w.at_ticks, lots, kind)
        k = next_in_line(sim, side, trade.price_ticks, k)
    refresh_best(sim)


@kernel
def book_reaches(q: Any, sim: Any, b: Any) -> None:
    """The opposite best price reached ours without a trade: with `fill_on_cross` we are filled."""
    for s in range(2):
        side = 1 - 2 * s
        best_ticks = b.ask_ticks if side > 0 else b.bid_ticks
        k = next_in_line(sim, side, best_ticks, -1) if best_ticks != NO_PRICE else -1
        while k >= 0:
            w = place_at(sim.places, k)
            fill(q, sim, w, k, b.exch_ns, w.at_ticks, w.leaves_lots, BY_CROSS)
            k = next_in_line(sim, side, best_ticks, k)
    refresh_best(sim)


@kernel
def short_of_room(sim: Any) -> bool:
    """Whether one more event of the exchange might not fit the tables."""
    out = sim.out
    return sim.fills + ROOM > out.max_fills or max(sim.tail[0], sim.tail[1]) + ROOM > out.max_answers


@kernel
def advance(q: Any, sim: Any, limit_ns: int) -> int:
    """Let the exchange take everything up to `limit_ns`, or to the moment its first answer is heard.

    Returns that moment, or -1 when a table must grow first. At equal time trades come first, then the book, then our
    requests.
    """
    f = sim.feed
    while True:
        print_ns = print_at(f.prints, sim.x_print).exch_ns if sim.x_print < f.n_prints else NEVER_NS
        watched = sim.cross and sim.x_book < f.n_book and (sim.live[0] or sim.live[1])
        book_ns = book_at(f.book, sim.x_book).exch_ns if watched else NEVER_NS
        t_ns = min(print_ns, book_ns, sim.request_ns)
        sim.x_due_ns = t_ns
        limit_ns = min(limit_ns, sim.answer_ns)
        if t_ns > limit_ns:
            return limit_ns
        if short_of_room(sim):
            return -1
        if book_ns == t_ns and (print_ns > t_ns or book_is_first(sim)):
            b = book_at(f.book, sim.x_book)
            if b.bid_ticks >= sim.best_ticks[1] or NO_PRICE < b.ask_ticks <= sim.best_ticks[0]:
                book_reaches(q, sim, b)
            x_book_passed(sim)
        elif print_ns == t_ns:
            trade = print_at(f.prints, sim.x_print)
            ticks = trade.price_ticks
            x_print_passed(sim)
            if ticks <= sim.best_ticks[0] if trade.signed_lots < 0 else ticks >= sim.best_ticks[1]:
                trade_reaches(q, sim, trade)
        else:
            arrive(q, sim)


@kernel
def book_is_first(sim: Any) -> bool:
    """Whether the exchange takes the next book event before the next trade."""
    return book_at(sim.feed.book, sim.x_book).row < print_at(sim.feed.prints, sim.x_print).end_row
