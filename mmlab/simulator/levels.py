"""Sizes of price levels at a time: a level's chain of rows is followed only when somebody asks.

A row in a chain is its index in the feed plus 1; 0 is none.
"""

from __future__ import annotations

from typing import Any

from mmlab.kernels.book import ADD, DEPTH
from mmlab.kernels.policy import kernel
from mmlab.simulator.state import book_at, event_at, int32_at, int64_at, put_int32


@kernel
def cell_of(f: Any, side: int, ticks: int) -> int:
    """Index of a level in the feed's table of first rows, -1 outside the price window."""
    x = f.high_ticks - ticks if side > 0 else ticks - f.low_ticks
    if x < 0 or x >= f.width:
        return -1
    return x if side > 0 else x + f.width


@kernel
def row_lots(f: Any, row: int) -> int:
    """Size of a level after one of its rows."""
    return int64_at(f.after, row - 1) if f.by_order else event_at(f.events, row - 1).size_lots


@kernel
def next_row(f: Any, cell: int, row: int) -> int:
    """The row at a level after `row`."""
    return int32_at(f.links, row - 1) if row else int32_at(f.first, cell)


@kernel
def last_row(f: Any, cursors: int, cell: int, end_row: int) -> int:
    """The last row at a level before index `end_row`, which never falls from call to call with the same `cursors`."""
    row = int32_at(cursors, cell)
    following = next_row(f, cell, row)
    while following != 0 and following <= end_row:
        row = following
        following = next_row(f, cell, row)
    put_int32(cursors, cell, row)
    return row


@kernel
def level_lots(f: Any, cursors: int, side: int, ticks: int, end_row: int, begin_row: int) -> int:
    """Displayed size at a price from the rows before index `end_row`; a snapshot that began at index `begin_row` undoes
    the earlier ones."""
    cell = cell_of(f, side, ticks)
    if cell < 0:
        return 0
    row = last_row(f, cursors, cell, end_row)
    return row_lots(f, row) if row > begin_row + 1 else 0


@kernel
def end_row_at(f: Any, row: int, t_ns: int) -> int:
    """Index of the first book row at or after `row` whose exchange time is after `t_ns`; the number of rows if none."""
    while row < f.n_events:
        e = event_at(f.events, row)
        if e.exch_ns > t_ns and (e.kind == DEPTH or e.kind >= ADD):
            break
        row += 1
    return row


@kernel
def end_row_heard(f: Any, row: int, t_ns: int) -> int:
    """Index of the first row at or after `row` that is heard after `t_ns`."""
    low, high = row, f.n_events
    while low < high:
        middle = (low + high) // 2
        if event_at(f.events, middle).local_ns > t_ns:
            high = middle
        else:
            low = middle + 1
    return low


@kernel
def pass_book(sim: Any, t_ns: int) -> None:
    """Let the exchange take every book event up to and at `t_ns`."""
    f, i = sim.feed, sim.x_book
    while i < f.n_book and book_at(f.book, i).exch_ns <= t_ns:
        i += 1
    sim.x_book = i


@kernel
def pass_rows(sim: Any, t_ns: int) -> int:
    """Index of the first book row after `t_ns` on the exchange clock. Times asked for never fall."""
    row = sim.x_row
    if sim.x_book > 0:
        row = max(row, book_at(sim.feed.book, sim.x_book - 1).row + 1)
    sim.x_row = end_row_at(sim.feed, row, t_ns)
    return sim.x_row
