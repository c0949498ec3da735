"""Price and size grids: tick and lot inferred as greatest common divisors, or checked against a given instrument."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np

from mmlab.feeds.decimals import BadNumber, Decimals
from mmlab.feeds.rows import Rows, Sources

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class Grid:
    """Multiples of ``step / 10**scale``."""

    step: int
    scale: int

    @property
    def size(self) -> float:
        """The step as a float, correctly rounded."""
        return self.step / 10**self.scale


def inferred(columns: Sequence[Decimals]) -> Grid | None:
    """The coarsest grid on which every number lies: the greatest common divisor; None if all are zero."""
    scale = max((int(c.places.max()) for c in columns if len(c)), default=0)
    divisors = [np.gcd.reduce(c.at_scale(scale)) for c in columns if len(c)]
    step = int(np.gcd.reduce(np.array(divisors, np.int64))) if divisors else 0
    return Grid(step, scale) if step else None


def given(step: float) -> Grid:
    """The grid of an instrument's tick or lot, from its shortest decimal form."""
    exact = Decimal(repr(step)).normalize()
    scale = max(0, -int(exact.as_tuple().exponent))
    return Grid(int(exact.scaleb(scale)), scale)


def on_grid(column: Decimals, grid: Grid, rows: Rows, sources: Sources, what: str) -> Array:
    """The column in steps of the grid, int64; a number off the grid is a FeedError that names its place."""
    steps, off = divided(column, grid, rows, sources, what)
    if off.any():
        i = int(np.argmax(off))
        name = {"price": "tick_size", "size": "lot_size"}[what]
        raise sources.error(
            f"{what} {column.text(i)} is no multiple of the instrument's {name} {grid.size!r}: "
            f"correct the instrument, or leave it out to infer {name}",
            rows.place[i],
        )
    return steps


def divided(column: Decimals, grid: Grid, rows: Rows, sources: Sources, what: str) -> tuple[Array, Array]:
    """Whole steps (rounded down), and whether each number is off the grid."""
    scale = max(grid.scale, int(column.places.max()) if len(column) else 0)
    try:
        values = column.at_scale(scale)
    except BadNumber as bad:
        raise sources.error(f"{what} {bad.reason}", rows.place[bad.index]) from None
    step = grid.step * 10 ** (scale - grid.scale)
    steps, rest = np.divmod(values, step)
    return steps, rest != 0
