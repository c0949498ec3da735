"""Rows of a text table as lines, byte for byte those of `files.csv_lines` and `files.json_lines`, without Arrow.

A going run writes a few rows a second. For so few, Arrow columns cost many times what their text does.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from mmlab.telemetry.files import iso, json_line
from mmlab.telemetry.tables import SCHEMAS, Scale, edge_columns, named

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
    texts = [map(_text, values) for _, values in _columns(name, rows, scale)]
    return "".join([",".join(row) + "\n" for row in zip(*texts, strict=True)]).encode()


def json_rows(name: str, rows: Array, scale: Scale) -> bytes:
    """Rows as lines of JSON; parameters as of `csv_rows`."""
    names, columns = zip(*_columns(name, rows, scale), strict=True)
    return b"".join(json_line(dict(zip(names, map(_jsonable, row), strict=True))) for row in zip(*columns, strict=True))


def _columns(name: str, rows: Array, scale: Scale) -> Iterator[tuple[str, list[Any]]]:
    """Columns of the edge table, as plain values."""
    yield "time", iso(rows[SCHEMAS[name].time]).tolist()
    for column, values, names in edge_columns(name, rows, scale):
        yield column, (values if names is None else named(values, names)).tolist()


def _text(value: str | int | float) -> str:  # noqa: PYI041  the kinds of column there are
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
