"""The replay loop: one feed on two clocks, the decision kernel in the middle.

The exchange takes data and our requests in exchange time; we hear data at `local_ns` and answers after the response
latency. An instant is everything we hear at one local time: trades, then marks and funding, then the book, then our
own answers, then one decision. Before we act at an instant the exchange has taken everything up to it, and nothing
later than the first answer that we would hear before.
"""

from __future__ import annotations

from typing import Any

from mmlab.events import NEVER_NS, Kind
from mmlab.kernels.decide import (
    decide,
    next_deadline,
    on_book,
    on_funding,
    on_mark,
    on_trade,
    set_depth,
    slippage_ticks,
    wants_depth,
)
from mmlab.kernels.policy import kernel
from mmlab.simulator.answers import (
    count_uptime,
    end_orders,
    find_touching,
    hear_all,
    orders_changed,
    write_metrics,
)
from mmlab.simulator.journal import drain_gates, log_decision
from mmlab.simulator.levels import end_row_heard, level_lots
from mmlab.simulator.matching import advance
from mmlab.simulator.planner import plan
from mmlab.simulator.state import Array, Delays, Market, Tables

FUNDING, MARK, GAP, BEGIN = int(Kind.FUNDING), int(Kind.MARK), int(Kind.GAP), int(Kind.SNAPSHOT_BEGIN)
ROOM = 1024
"""Rows that must be free in every table before an instant; none writes more but answers, which count themselves."""
DONE, GROW = 0, 1
RATE_UNIT = 1e-9


@kernel
def hear_other(m: Market, p: Array, s: Array, sim: Any, row: int) -> None:
    """A row that is neither a trade nor a level."""
    e = m.events[row]
    if e.kind == MARK:
        on_mark(p, s, e.local_ns, e.price_ticks)
    elif e.kind == FUNDING:
        sim.funding += 1
        on_funding(p, s, e.exch_ns, e.local_ns, e.price_ticks, e.size_lots * RATE_UNIT)
    elif e.kind == GAP:
        sim.gaps += 1
    elif e.kind == BEGIN:
        sim.begin = row


@kernel
def hear_book(m: Market, p: Array, s: Array, sim: Any, b: Any) -> None:
    """The best quotes have changed."""
    was_valid, touching = s[0].market.valid, (sim.touching[0], sim.touching[1])
    on_book(p, s, b)
    if b.valid != was_valid or touching != touching_at(sim, b):
        count_uptime(s, sim, b.local_ns)
        find_touching(s, sim)


@kernel
def touching_at(sim: Any, b: Any) -> tuple[int, int]:
    """Whether each side's quote is at the best price of `b`, or ahead of it."""
    return (
        1 if b.valid and sim.shown_ticks[0] >= b.bid_ticks else 0,
        1 if b.valid and sim.shown_ticks[1] <= b.ask_ticks else 0,
    )


@kernel
def look_deep(m: Market, p: Array, s: Array, sim: Any, side: int, t_ns: int) -> None:
    """Answer the decision kernel's question for the visible size near the best price, as heard by now."""
    sim.row = end_row_heard(m, sim.row, t_ns)
    best = s[0].market.bid_ticks if side > 0 else s[0].market.ask_ticks
    lots = 0
    for i in range(slippage_ticks(p, s) + 1):
        lots += level_lots(m, sim, m.heard, side, best - side * i, sim.row, sim.begin)
    set_depth(s, lots)


@kernel
def act(
    m: Market, p: Array, s: Array, sim: Any, places: Array, delays: Delays, out: Tables, targets: Array, quoter: Any,
    t_ns: int, record: bool,
) -> None:  # fmt: skip
    """Decide, and send what follows."""
    side = wants_depth(s)
    if side != 0 and s[0].market.valid:
        look_deep(m, p, s, sim, side, t_ns)
    n = decide(p, s, t_ns, targets, quoter)
    sim.decides += 1
    sim.decided_ns = t_ns
    if record:
        log_decision(p, s, sim, out, targets, n, t_ns)
    if plan(p, sim, places, delays, out, targets, n, t_ns) > 0:
        orders_changed(p, s, sim, places, t_ns)


@kernel
def has_room(sim: Any, out: Tables) -> bool:
    """Whether the tables can take another instant."""
    pending = sim.tail[0] - sim.head[0] + sim.tail[1] - sim.head[1]
    return (
        sim.orders + pending + ROOM <= out.orders.size
        and sim.decisions < out.decisions.size
        and sim.targets + ROOM <= out.targets.size
        and sim.gates + ROOM <= out.gates.size
        and sim.metrics < out.metrics.size
    )


@kernel
def run_replay(
    m: Market, p: Array, s: Array, sims: Array, places: Array, delays: Delays, out: Tables, targets: Array, quoter: Any,
    record: bool,
) -> int:  # fmt: skip
    """Replay until the feed ends (DONE) or a table is full (GROW: grow the tables and call again)."""
    sim = sims[0]
    step_ns = p[0].execution.step_ns
    while True:
        if not has_room(sim, out):
            return GROW
        print_ns = m.prints[sim.print].local_ns if sim.print < m.prints.size else NEVER_NS
        book_ns = m.book[sim.book].local_ns if sim.book < m.book.size else NEVER_NS
        other_ns = m.events[m.others[sim.other]].local_ns if sim.other < m.others.size else NEVER_NS
        timer_ns = sim.grid_ns if step_ns > 0 else max(next_deadline(p, s), sim.decided_ns + 1)
        t_ns = min(min(min(print_ns, book_ns), min(other_ns, timer_ns)), min(sim.answer_ns, sim.end_ns + 1))
        if sim.x_due_ns <= t_ns:
            t_ns = advance(m, p, sim, places, delays, out, t_ns, ROOM)
            if t_ns < 0:
                return GROW
        if t_ns > sim.metric_ns:
            write_metrics(p, s, sim, out)
            continue
        if t_ns > sim.end_ns:
            break
        while print_ns == t_ns:
            q = m.prints[sim.print]
            on_trade(p, s, q.exch_ns, t_ns, 1 if q.signed_lots > 0 else -1, q.price_ticks, abs(q.signed_lots))
            sim.print += 1
            print_ns = m.prints[sim.print].local_ns if sim.print < m.prints.size else NEVER_NS
        while other_ns == t_ns:
            hear_other(m, p, s, sim, m.others[sim.other])
            sim.other += 1
            other_ns = m.events[m.others[sim.other]].local_ns if sim.other < m.others.size else NEVER_NS
        while book_ns == t_ns:
            hear_book(m, p, s, sim, m.book[sim.book])
            sim.book += 1
            book_ns = m.book[sim.book].local_ns if sim.book < m.book.size else NEVER_NS
        if sim.answer_ns == t_ns:
            hear_all(p, s, sim, places, out, t_ns)
            orders_changed(p, s, sim, places, t_ns)
        due = (s[0].dirty or next_deadline(p, s) <= t_ns) and sim.decided_ns < t_ns
        if step_ns > 0:
            if sim.grid_ns == NEVER_NS and due:
                sim.grid_ns = t_ns
            due = due and sim.grid_ns == t_ns
            if sim.grid_ns == t_ns:
                sim.grid_ns += step_ns
        if due:
            act(m, p, s, sim, places, delays, out, targets, quoter, t_ns, record)
        if s[0].gates.n > 0:
            drain_gates(s, sim, out)
    return finish(p, s, sim, places, out)


@kernel
def finish(p: Array, s: Array, sim: Any, places: Array, out: Tables) -> int:
    """The feed has ended: hear what is on its way, and cancel what still works."""
    count_uptime(s, sim, sim.end_ns)
    if sim.answer_ns < NEVER_NS:
        hear_all(p, s, sim, places, out, NEVER_NS - 1)
    end_orders(sim, places, out, sim.end_ns)
    drain_gates(s, sim, out)
    return DONE
