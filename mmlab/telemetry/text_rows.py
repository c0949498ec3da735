"""Rows of a text table as lines, byte for byte those of `files.csv_lines` and `files.json_lines`, without Arrow.

A going run writes a few rows a second. For so few, Arrow columns cost many times what their text does.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import Any

import numpy as np
import pyarrow as pa

from mmlab.events import NO_PRICE
from mmlab.telemetry.files import iso, json_line
from mmlab.telemetry.tables import SCHEMAS, Scale, edge_plan, name_of, price_decimals

Array = np.ndarray[Any, Any]

PLAIN = (1e-4, 1e10)
"""Sizes of numbers that Python and Arrow write alike, but for the ``.0`` of whole ones."""


def csv_rows(name: str, rows: Array, scale: Scale) -> bytes:
    """Rows as lines of CSV.

    Parameters
    ----------
    name : str
        Key of `SCHEMAS`.
    rows : ndarray, shape (n,)
        Its dtype is the schema's.
    scale : Scale
        Steps of the market.
    """
    lines = [",".join(map(_text, row)) for row in _rows(name, rows, scale)]
    return "\n".join([*lines, ""]).encode()


def json_rows(name: str, rows: Array, scale: Scale) -> bytes:
    """Rows as lines of JSON; parameters as of `csv_rows`."""
    names = ("time", *(column for column, *_ in edge_plan(name)))
    lines = [json_line(dict(zip(names, map(_jsonable, row), strict=True))) for row in _rows(name, rows, scale)]
    return b"".join(lines)


def _rows(name: str, rows: Array, scale: Scale) -> Iterator[list[Any]]:
    """Rows of the edge table, as plain values."""
    shows = _shows(name, scale)
    for time, values in zip(iso(rows[SCHEMAS[name].time]).tolist(), rows.tolist(), strict=True):
        yield [time, *(values[at] if show is None else show(values[at]) for at, show in shows)]


@cache
def _shows(name: str, scale: Scale) -> list[tuple[int, Callable[[int], Any] | None]]:
    """Columns after the time: place of the field in its record, and what makes of it what is shown."""
    steps = {"price": scale.tick_size, "size": scale.lot_size}
    places = {field: at for at, field in enumerate(SCHEMAS[name].dtype.names or ())}
    shows: list[tuple[int, Callable[[int], Any] | None]] = []
    for _, field, shown, names in edge_plan(name):
        show: Callable[[int], Any] | None = None
        if shown == "name":
            show = partial(name_of, names=names)
        elif shown in steps:
            show = partial(_scaled, step=steps[shown], power=10.0 ** price_decimals(steps[shown]))
        shows.append((places[field], show))
    return shows


def _scaled(value: int, step: float, power: float) -> float:
    """Ticks or lots times their step, rounded by the very operations that NumPy rounds by."""
    return math.nan if value == NO_PRICE else round(value * step * power) / power


def _text(value: str | float) -> str:
    return number(value) if isinstance(value, float) else str(value)


def number(value: float) -> str:
    """A number as Arrow writes it: the shortest text that is this number and no other; nothing for NaN."""
    if value != value:  # noqa: PLR0124  quicker than isnan
        return ""
    if PLAIN[0] <= abs(value) < PLAIN[1] or value == 0:
        return repr(value).removesuffix(".0")
    return str(pa.scalar(value).cast(pa.string()).as_py())


def _jsonable(value: Any) -> Any:
    """NaN as null; infinities as text, since JSON has none."""
    if not isinstance(value, float) or math.isfinite(value):
        return value
    return None if math.isnan(value) else str(value)
