"""Sizes of price levels at a time: a level's chain of rows is followed only when somebody asks."""

from __future__ import annotations

from typing import Any

from mmlab.kernels.book import ADD, DEPTH
from mmlab.kernels.policy import kernel
from mmlab.simulator.state import Array, Market


@kernel
def cell_of(sim: Any, side: int, ticks: int) -> int:
    """Index of a level in `Market.first`; may lie outside it."""
    return sim.high_ticks - ticks if side > 0 else ticks - sim.low_ticks


@kernel
def row_lots(m: Market, row: int) -> int:
    """Size of the level after a row."""
    return m.after[row] if m.after.size else m.events[row].size_lots


@kernel
def next_row(m: Market, s: int, x: int, row: int) -> int:
    """The row at level (s, x) after `row`, both plus 1; 0: none."""
    return m.links[row - 1] if row else m.first[s, x]


@kernel
def last_row(m: Market, cursors: Array, s: int, x: int, end_row: int) -> int:
    """The last row at level (s, x) before `end_row`, plus 1 (0: none). `end_row` never falls from call to call."""
    row = cursors[s, x]
    following = next_row(m, s, x, row)
    while following != 0 and following <= end_row:
        row = following
        following = next_row(m, s, x, row)
    cursors[s, x] = row
    return row


@kernel
def level_lots(m: Market, sim: Any, cursors: Array, side: int, ticks: int, end_row: int, begin_row: int) -> int:
    """Displayed size at a price from the rows before `end_row`, of which a snapshot that began at `begin_row` undoes
    the earlier ones."""
    x = cell_of(sim, side, ticks)
    if x < 0 or x >= m.first.shape[1]:
        return 0
    row = last_row(m, cursors, 0 if side > 0 else 1, x, end_row)
    return row_lots(m, row - 1) if row > max(begin_row, 0) else 0


@kernel
def is_book_row(kind: int) -> bool:
    """Whether a row belongs to the book stream and names a level."""
    return kind == DEPTH or kind >= ADD


@kernel
def end_row_at(m: Market, row: int, t_ns: int) -> int:
    """First book row at or after `row` whose exchange time is after `t_ns`; the number of rows if there is none."""
    while row < m.events.size:
        e = m.events[row]
        if is_book_row(e.kind) and e.exch_ns > t_ns:
            break
        row += 1
    return row


@kernel
def end_row_heard(m: Market, row: int, t_ns: int) -> int:
    """First row at or after `row` that is heard after `t_ns`."""
    low, high = row, m.events.size
    while low < high:
        middle = (low + high) // 2
        if m.events[middle].local_ns > t_ns:
            high = middle
        else:
            low = middle + 1
    return low
