"""Sizes of price levels on one clock.

A cell remembers which row named its level last; the size is looked up when somebody asks. So the rows that concern
nobody cost one store. A row is its index in the feed plus 1; 0 is none.
"""

from __future__ import annotations

from typing import Any

from mmlab.events import BOOK
from mmlab.kernels.book import BEGIN_CELL, LARGE, PRINT, is_book
from mmlab.kernels.policy import kernel
from mmlab.kernels.prefetch import prefetch
from mmlab.simulator.state import book_at, cell_at, event_at, step_at

BOOK_BYTES, PRINT_BYTES = BOOK.itemsize, PRINT.itemsize
SOON = 8
"""How many rows ahead memory is asked for what comes next."""


@kernel
def cell_of(f: Any, side: int, ticks: int) -> int:
    """Cell of a level, -1 outside the price window: bids counted down from the highest tick, then asks, up."""
    x = f.high_ticks - ticks if side > 0 else ticks - f.low_ticks
    if x < 0 or x >= f.width:
        return -1
    return x if side > 0 else x + f.width


@kernel
def row_lots(f: Any, row: int) -> int:
    """Size of a level after one of its rows."""
    lots = step_at(f.steps, row - 1).lots
    return lots if lots != LARGE else event_at(f.events, row - 1).size_lots


@kernel
def cell_lots(f: Any, cells: int, cell: int, begin_row: int) -> int:
    """Size of a level; the snapshot that began at `begin_row` has undone what was before."""
    row = cell_at(cells, cell).row
    return row_lots(f, row) if row > begin_row else 0


@kernel
def level_lots(f: Any, cells: int, side: int, ticks: int, begin_row: int) -> int:
    """Size at a price."""
    cell = cell_of(f, side, ticks)
    return cell_lots(f, cells, cell, begin_row) if cell >= 0 else 0


@kernel
def hear_rows(sim: Any, t_ns: int) -> None:
    """Take every row that is heard up to `t_ns` into the levels as we know them."""
    f = sim.feed
    while sim.row < f.n_events and event_at(f.events, sim.row).local_ns <= t_ns:
        cell = step_at(f.steps, sim.row).cell
        sim.row += 1
        if cell >= 0:
            cell_at(sim.cells, cell).row = sim.row
        elif cell == BEGIN_CELL:
            sim.begin = sim.row


@kernel
def message_heard_ns(f: Any, t_ns: int) -> int:
    """Local time of the last book row heard up to `t_ns`, whether or not it changed the best quotes; 0 if none."""
    low, high = 0, f.n_events
    while low < high:
        middle = (low + high) // 2
        if event_at(f.events, middle).local_ns <= t_ns:
            low = middle + 1
        else:
            high = middle
    while low > 0 and not is_book(event_at(f.events, low - 1).kind):
        low -= 1
    return event_at(f.events, low - 1).local_ns if low > 0 else 0


@kernel
def x_book_passed(sim: Any) -> None:
    """The exchange has taken a change of the best quotes: on to the next."""
    sim.x_book += 1
    prefetch(sim.feed.book + BOOK_BYTES * (sim.x_book + SOON))


@kernel
def x_print_passed(sim: Any) -> None:
    """The exchange has taken a trade: on to the next."""
    sim.x_print += 1
    prefetch(sim.feed.prints + PRINT_BYTES * (sim.x_print + SOON))


@kernel
def pass_book(sim: Any, t_ns: int) -> None:
    """Let the exchange take every change of the best quotes up to and at `t_ns`."""
    f, i = sim.feed, sim.x_book
    while i < f.n_book and book_at(f.book, i).exch_ns <= t_ns:
        i += 1
    sim.x_book = i


@kernel
def pass_book_rows(sim: Any, end_row: int) -> None:
    """Let the exchange take every change of the best quotes before index `end_row`."""
    f, i = sim.feed, sim.x_book
    while i < f.n_book and book_at(f.book, i).row < end_row:
        i += 1
    sim.x_book = i


@kernel
def first_later_row(f: Any, row: int, t_ns: int) -> int:
    """First row of the book at or after `row` that is later than `t_ns` on the exchange's clock."""
    while row < f.n_events:
        e = event_at(f.events, row)
        if e.exch_ns > t_ns and is_book(e.kind):
            break
        row += 1
    return row
