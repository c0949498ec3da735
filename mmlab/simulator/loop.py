"""The replay loop: one feed on two clocks, the decision kernel in the middle.

The exchange takes data and our requests in exchange time; we hear data at `local_ns` and answers after the response
latency. An instant is everything we hear at one local time: trades, then marks and funding, then the book, then our
own answers, then one decision. Before we act at an instant the exchange has taken everything up to it, but nothing
later than the first answer that we would hear before.
"""

from __future__ import annotations

from typing import Any

from mmlab.events import NEVER_NS, Kind
from mmlab.kernels.decide import decide_now, on_alive, on_funding, on_mark
from mmlab.kernels.exit_step import depth_side, take_depth, ticks_to_slip
from mmlab.kernels.observe import take_book, take_trade
from mmlab.kernels.policy import kernel
from mmlab.kernels.prefetch import prefetch
from mmlab.simulator.answers import end_orders, hear_all, orders_changed
from mmlab.simulator.journal import drain_gates, log_decision
from mmlab.simulator.levels import BOOK_BYTES, PRINT_BYTES, SOON, hear_rows, level_lots, message_heard_ns
from mmlab.simulator.matching import ROOM, advance
from mmlab.simulator.planner import plan
from mmlab.simulator.state import Array, book_at, event_at, int64_at, params_at, print_at, state_at
from mmlab.simulator.uptime import count_uptime, find_touching, touching, write_metrics

FUNDING, MARK, GAP = int(Kind.FUNDING), int(Kind.MARK), int(Kind.GAP)
DONE, GROW, PAUSED = 0, 1, 2
RATE_UNIT = 1e-9


@kernel
def hear_other(p: Array, s: Array, sim: Any, row: int) -> None:
    """The row at index `row`, neither a trade nor a level."""
    e = event_at(sim.feed.events, row)
    if e.kind == MARK:
        on_mark(p, s, e.local_ns, e.price_ticks)
    elif e.kind == FUNDING:
        sim.funding += 1
        on_funding(p, s, e.exch_ns, e.local_ns, e.price_ticks, e.size_lots * RATE_UNIT)
    elif e.kind == GAP:
        sim.gaps += 1


@kernel
def hear_book(q: Any, st: Any, sim: Any, b: Any) -> None:
    """The best quotes have changed."""
    moved = b.valid != st.market.valid
    for i in range(2):
        moved |= touching(sim, b, i) != sim.touching[i]
    if moved:
        count_uptime(st, sim, b.local_ns)
    take_book(q, st, b)
    if moved:
        find_touching(st, sim)


@kernel
def look_deep(q: Any, st: Any, sim: Any, side: int, t_ns: int) -> None:
    """Answer the decision kernel's question for the visible size near the best price, as heard by now."""
    f, m = sim.feed, st.market
    hear_rows(sim, t_ns)
    best_ticks, lots = m.bid_ticks if side > 0 else m.ask_ticks, 0
    for i in range(ticks_to_slip(q, st) + 1):
        lots += level_lots(f, sim.cells, side, best_ticks - side * i, sim.begin)
    take_depth(st, lots)


@kernel
def act(q: Any, s: Array, st: Any, sim: Any, targets: Array, quoter: Any, t_ns: int, record: bool) -> None:
    """Decide, and send what follows."""
    if q.kill.stale and t_ns - st.book_ns > q.kill.stale_ns:
        on_alive(s, message_heard_ns(sim.feed, t_ns))
    side = depth_side(st)
    if side != 0 and st.market.valid:
        look_deep(q, st, sim, side, t_ns)
    n = decide_now(q, st, t_ns, targets, quoter)
    sim.decides += 1
    sim.decided_ns = t_ns
    if record:
        log_decision(q, st, sim, n, t_ns)
    if plan(q, sim, n, t_ns):
        orders_changed(q, st, sim, t_ns)


@kernel
def has_room(sim: Any) -> bool:
    """Whether the tables can take another instant."""
    out = sim.out
    pending = sim.tail[0] - sim.head[0] + sim.tail[1] - sim.head[1]
    return (
        sim.orders + pending + ROOM <= out.max_orders
        and sim.decisions < out.max_decisions
        and sim.targets + ROOM <= out.max_targets
        and sim.gates + ROOM <= out.max_gates
        and sim.metrics < out.max_metrics
    )


@kernel
def heard_print_ns(sim: Any) -> int:
    """When the next trade is heard."""
    prefetch(sim.feed.prints + PRINT_BYTES * (sim.print + SOON))
    return print_at(sim.feed.prints, sim.print).local_ns if sim.print < sim.feed.n_prints else NEVER_NS


@kernel
def heard_book_ns(sim: Any) -> int:
    """When the next book event is heard."""
    prefetch(sim.feed.book + BOOK_BYTES * (sim.book + SOON))
    return book_at(sim.feed.book, sim.book).local_ns if sim.book < sim.feed.n_book else NEVER_NS


@kernel
def heard_other_ns(sim: Any) -> int:
    """When the next row that is neither is heard."""
    f = sim.feed
    return event_at(f.events, int64_at(f.others, sim.other)).local_ns if sim.other < f.n_others else NEVER_NS


@kernel
def is_due(st: Any, sim: Any, step_ns: int, t_ns: int) -> bool:
    """Whether to decide at this instant: something changed or a deadline is over, once at a time, and on the grid."""
    due = (st.dirty != 0 or st.deadline_ns <= t_ns) and sim.decided_ns < t_ns
    if step_ns == 0:
        return due
    if sim.grid_ns == NEVER_NS and due:
        sim.grid_ns = t_ns
    if sim.grid_ns > t_ns:
        return False
    steps = (t_ns - sim.grid_ns) // step_ns
    on_grid = t_ns == sim.grid_ns + steps * step_ns
    sim.grid_ns += (steps + 1) * step_ns
    return due and on_grid


@kernel
def next_timer_ns(st: Any, sim: Any, step_ns: int, before_ns: int) -> int:
    """When to decide next if nothing happens before: at the deadline, or at the next point of the grid if it is due.

    What is not before `before_ns` need not be worked out: a division costs as much as all the rest.
    """
    deadline_ns = max(st.deadline_ns, sim.decided_ns + 1)
    if step_ns == 0 or sim.grid_ns == NEVER_NS:
        return deadline_ns
    if st.dirty or deadline_ns <= sim.grid_ns:
        return sim.grid_ns
    if deadline_ns >= before_ns:
        return before_ns
    return sim.grid_ns + ((deadline_ns - sim.grid_ns - 1) // step_ns + 1) * step_ns


@kernel
def run_replay(sims: Array, targets: Array, quoter: Any, record: bool) -> int:
    """Replay until the feed ends (DONE), pauses (PAUSED), or a table must grow (GROW); then it is called again."""
    sim = sims[0]
    p, s = params_at(sim.params), state_at(sim.state)
    q, st, step_ns = p[0], s[0], p[0].execution.step_ns
    print_ns, book_ns, other_ns = heard_print_ns(sim), heard_book_ns(sim), heard_other_ns(sim)
    written = True
    while True:
        if written and not has_room(sim):
            return GROW
        written = False
        event_ns = min(print_ns, book_ns, other_ns, sim.answer_ns, sim.end_ns + 1)
        t_ns = min(event_ns, next_timer_ns(st, sim, step_ns, event_ns))
        if sim.x_due_ns <= t_ns:
            t_ns = advance(q, sim, t_ns)
            if t_ns < 0:
                return GROW
        if t_ns > sim.metric_ns:
            write_metrics(q, st, sim)
            written = True
            continue
        if t_ns > sim.end_ns:
            return PAUSED if sim.goes_on else finish(q, st, sim)
        while print_ns == t_ns:
            trade = print_at(sim.feed.prints, sim.print)
            take_trade(q, st, abs(trade.signed_lots))
            sim.print += 1
            print_ns = heard_print_ns(sim)
        while other_ns == t_ns:
            hear_other(p, s, sim, int64_at(sim.feed.others, sim.other))
            sim.other += 1
            other_ns = heard_other_ns(sim)
        while book_ns == t_ns:
            hear_book(q, st, sim, book_at(sim.feed.book, sim.book))
            sim.book += 1
            book_ns = heard_book_ns(sim)
        if sim.answer_ns == t_ns:
            hear_all(q, st, sim, t_ns)
            orders_changed(q, st, sim, t_ns)
            written = True
        if is_due(st, sim, step_ns, t_ns):
            act(q, s, st, sim, targets, quoter, t_ns, record)
            written = True
        if st.gates.n > 0:
            drain_gates(st, sim)
            written = True


@kernel
def finish(q: Any, st: Any, sim: Any) -> int:
    """The feed has ended: hear what is on its way, and cancel what still works."""
    count_uptime(st, sim, sim.end_ns)
    hear_all(q, st, sim, NEVER_NS - 1)
    end_orders(sim, sim.end_ns)
    drain_gates(st, sim)
    return DONE
