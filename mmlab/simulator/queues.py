"""Our place in the queue at a price (`terms.md`, Replay fidelity).

An order joins behind the size displayed at its price when it arrives. The size ahead of it falls by trades at its
price, is capped by the displayed size, and falls by cancellations as the queue model says:

=========== ==========================================================================================================
risk_averse cancellations are behind us
power, log  a share f(ahead) / (f(ahead) + f(behind)) of them is ahead, f(x) = x^n or ln(1 + x)
l3          those of orders that were there before us are ahead
=========== ==========================================================================================================

Depth alone never fills, so the exchange takes the feed's rows only when a trade reaches a price of ours, or a request
arrives. A cell that holds orders of ours says so; rows at other levels cost one store.
"""

from __future__ import annotations

import math
from typing import Any

from mmlab.events import NO_PRICE, Kind
from mmlab.kernels.book import BEGIN_CELL, BLOCK_BITS, END_CELL, MAX_SINCE
from mmlab.kernels.policy import kernel
from mmlab.simulator.levels import cell_lots, cell_of, first_later_row, row_lots
from mmlab.simulator.state import L3, LOG, NO_ASK, POWER, cell_at, event_at, int32_at, int64_at, place_at, step_at

ORDER_CANCEL = int(Kind.CANCEL)


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
    """The level of order `w` now shows `lots`, by additions, cancellations, or trades, which were counted already."""
    if sim.queue == POWER or sim.queue == LOG:
        canceled = w.level_lots - lots - w.traded_lots
        if canceled > 0:
            behind = max(0.0, w.level_lots - w.traded_lots - w.ahead_lots)
            ahead = max(canceled * share_ahead(sim, w.ahead_lots, behind), canceled - behind)
            w.ahead_lots = max(0.0, w.ahead_lots - ahead)
    w.ahead_lots = min(w.ahead_lots, float(lots))
    w.level_lots, w.traded_lots = lots, 0


@kernel
def order_left(sim: Any, w: Any, row: int) -> None:
    """Order by order: a cancellation of somebody who was there before us lets us advance."""
    e = event_at(sim.feed.events, row - 1)
    if e.kind == ORDER_CANCEL and int32_at(sim.feed.added, row - 1) <= w.arrived_row:
        w.ahead_lots = max(0.0, w.ahead_lots - e.size_lots)


@kernel
def cell_changed(sim: Any, cell: int, row: int) -> None:
    """A row changed a level that holds orders of ours."""
    lots = row_lots(sim.feed, row)
    for k in range(sim.n_places):
        w = place_at(sim.places, k)
        if w.live and w.cell == cell:
            if sim.queue == L3:
                order_left(sim, w, row)
            level_changed(sim, w, lots)


@kernel
def snapshot_ended(sim: Any) -> None:
    """Levels that a snapshot does not name are empty."""
    for k in range(sim.n_places):
        w = place_at(sim.places, k)
        if w.live and w.cell >= 0:
            level_changed(sim, w, cell_lots(sim.feed, sim.x_cells, w.cell, sim.x_begin))


@kernel
def pass_rows(sim: Any, end_row: int) -> None:
    """Let the exchange take the book rows before index `end_row`."""
    row, steps, cells = sim.x_row, sim.feed.steps, sim.x_cells
    while row < end_row:
        cell = step_at(steps, row).cell
        row += 1
        if cell >= 0:
            c = cell_at(cells, cell)
            c.row = row
            if c.ours:
                cell_changed(sim, cell, row)
        elif cell == BEGIN_CELL:
            sim.x_begin = row
        elif cell == END_CELL:
            snapshot_ended(sim)
    sim.x_row = row


@kernel
def pass_time(sim: Any, t_ns: int) -> None:
    """Let the exchange take the book rows up to and at `t_ns`. Times never fall."""
    f = sim.feed
    block, blocks = sim.x_row >> BLOCK_BITS, (f.n_events >> BLOCK_BITS) + 1
    while block < blocks and int64_at(f.times, block) <= t_ns:
        block += 1
    pass_rows(sim, min(block << BLOCK_BITS, f.n_events))  # the last block may be short
    row = sim.x_row
    passed_ns = t_ns - int64_at(f.times, block - 1) if block > 0 else -1
    if 0 <= passed_ns < MAX_SINCE:
        while row < f.n_events and step_at(f.steps, row).since_ns <= passed_ns:
            row += 1
    else:
        row = first_later_row(f, row, t_ns)
    pass_rows(sim, row)


@kernel
def join(sim: Any, w: Any) -> None:
    """Put order `w` at the end of the queue at its price."""
    w.cell, w.level_lots = cell_of(sim.feed, w.side, w.at_ticks), 0
    if w.cell >= 0:
        cell_at(sim.x_cells, w.cell).ours += 1
        w.level_lots = cell_lots(sim.feed, sim.x_cells, w.cell, sim.x_begin)
    w.ahead_lots, w.traded_lots, w.arrived_row = float(w.level_lots), 0, sim.x_row
    sim.arrivals += 1
    w.priority = sim.arrivals


@kernel
def leave(sim: Any, w: Any) -> None:
    """Take order `w` out of the market."""
    w.live = 0
    if w.cell >= 0:
        cell_at(sim.x_cells, w.cell).ours -= 1
        w.cell = -1


@kernel
def comes_before(a: Any, b: Any) -> bool:
    """Whether order `a` has price-time priority over `b` of the same side."""
    better = a.side * (a.at_ticks - b.at_ticks)
    return better > 0 or (better == 0 and a.priority < b.priority)


@kernel
def next_in_line(sim: Any, side: int, limit_ticks: int, after: int) -> int:
    """Our live order of `side` at or better than `limit_ticks` that comes next by price and time; -1 if none.

    `after` is the place of the order that came before, -1 for the first.
    """
    found = -1
    for k in range(sim.n_places):
        w = place_at(sim.places, k)
        if w.live == 0 or w.side != side or side * (w.at_ticks - limit_ticks) < 0:
            continue
        if after >= 0 and not comes_before(place_at(sim.places, after), w):
            continue
        if found < 0 or comes_before(w, place_at(sim.places, found)):
            found = k
    return found


@kernel
def refresh_best(sim: Any) -> None:
    """Count our live orders, and find the best price a side."""
    sim.live[0], sim.live[1] = 0, 0
    sim.best_ticks[0], sim.best_ticks[1] = NO_PRICE, NO_ASK
    for k in range(sim.n_places):
        w = place_at(sim.places, k)
        if w.live:
            s = (1 - w.side) >> 1
            sim.live[s] += 1
            if w.side * w.at_ticks > w.side * sim.best_ticks[s]:
                sim.best_ticks[s] = w.at_ticks
