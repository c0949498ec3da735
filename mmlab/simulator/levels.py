"""Sizes of price levels on one clock: the feed's rows are applied up to a time, when somebody asks.

A level's cell: bids are counted down from the highest tick of the window, asks follow, up from the lowest.
"""

from __future__ import annotations

from typing import Any

from mmlab.events import Kind
from mmlab.kernels.book import ADD, DEPTH, size_after
from mmlab.kernels.policy import kernel
from mmlab.simulator.state import book_at, cell_at, event_at

BEGIN = int(Kind.SNAPSHOT_BEGIN)


@kernel
def cell_of(f: Any, side: int, ticks: int) -> int:
    """Cell of a level, -1 outside the price window."""
    x = f.high_ticks - ticks if side > 0 else ticks - f.low_ticks
    if x < 0 or x >= f.width:
        return -1
    return x if side > 0 else x + f.width


@kernel
def level_lots(f: Any, cells: int, side: int, ticks: int) -> int:
    """Size at a price."""
    cell = cell_of(f, side, ticks)
    return cell_at(cells, cell).lots if cell >= 0 else 0


@kernel
def apply_row(f: Any, cells: int, e: Any) -> int:
    """Set the level that a book row names; return its cell, -1 outside the price window."""
    cell = cell_of(f, e.side, e.price_ticks)
    if cell >= 0:
        c = cell_at(cells, cell)
        c.lots = size_after(e.kind, c.lots, e.size_lots)
    return cell


@kernel
def clear_levels(f: Any, cells: int) -> None:
    """A snapshot begins: every level is empty."""
    for cell in range(2 * f.width):
        cell_at(cells, cell).lots = 0


@kernel
def hear_rows(sim: Any, t_ns: int) -> None:
    """Apply every row that is heard up to `t_ns` to the levels as we know them."""
    f = sim.feed
    while sim.row < f.n_events:
        e = event_at(f.events, sim.row)
        if e.local_ns > t_ns:
            break
        if e.kind == DEPTH or e.kind >= ADD:
            apply_row(f, sim.cells, e)
            sim.filled = 1
        elif e.kind == BEGIN and sim.filled:
            clear_levels(f, sim.cells)
        sim.row += 1


@kernel
def pass_book(sim: Any, t_ns: int) -> None:
    """Let the exchange take every change of the best quotes up to and at `t_ns`."""
    f, i = sim.feed, sim.x_book
    while i < f.n_book and book_at(f.book, i).exch_ns <= t_ns:
        i += 1
    sim.x_book = i
