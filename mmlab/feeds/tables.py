"""CSV tables as columns of text, times of any unit as nanoseconds, with file and line named when something is wrong."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from mmlab.errors import FeedError
from mmlab.events import NS_PER_S
from mmlab.feeds.decimals import from_text
from mmlab.feeds.lines import Progress, read_all
from mmlab.feeds.rows import Sources, numbers

Array = np.ndarray[Any, Any]
NS_PER_UNIT = {"s": NS_PER_S, "ms": 10**6, "us": 1000, "ns": 1}
SECONDS_BELOW = 10**11
"""A time below this is in seconds (the year 5138); each further thousand is the next unit."""
EARLIEST, LATEST = pd.Timestamp("1990-01-01", tz="UTC"), pd.Timestamp("2100-01-01", tz="UTC")
SIDES = {"buy": 1, "bid": 1, "b": 1, "1": 1, "sell": -1, "ask": -1, "s": -1, "a": -1, "-1": -1}


def read_csv(path: Path, names: Sequence[str] | None = None, progress: Progress | None = None) -> pa.Table:
    """A CSV file, gzipped or not, all columns text.

    Parameters
    ----------
    path : Path
    names : sequence of str, optional
        Column names of a file without header; without it the first line names them.

    Raises
    ------
    FeedError
        Empty file, cut-off gzip, or a line with another number of columns.
    """
    return parse_csv(read_all(path, progress), path, names)


def parse_csv(data: bytes, path: Path, names: Sequence[str] | None = None) -> pa.Table:
    """As `read_csv`, from bytes; `path` is only named in errors."""
    if not data.strip():
        raise FeedError("the file is empty", path=path)
    if names is None:
        header = data[: data.find(b"\n")] if b"\n" in data else data
        names = [name.strip().strip('"') for name in header.decode(errors="replace").strip("\ufeff\r\n").split(",")]
        skip = 1
    else:
        skip = 0
    if len(set(names)) < len(names):
        raise FeedError(f"column names repeat: {names}", path=path, line=1)
    read = pa.csv.ReadOptions(column_names=list(names), skip_rows=skip, use_threads=False)
    convert = pa.csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False)
    try:
        return pa.csv.read_csv(pa.BufferReader(data), read_options=read, convert_options=convert)
    except pa.ArrowInvalid as error:
        row = re.search(r"Row #(\d+)", str(error))
        raise FeedError(f"is no such table: {error}", path=path, line=int(row[1]) if row else None) from None


def column_text(table: pa.Table, name: str) -> pa.Array:
    """One column as one array of text, outer blanks and NULs removed."""
    column = table.column(name).combine_chunks()
    return pc.utf8_trim(column, characters=" \0\t")


def places_of(table: pa.Table, file: int, first_line: int) -> Array:
    """Place of each row of a table whose first row stands on `first_line`."""
    return file + first_line + np.arange(table.num_rows, dtype=np.int64)


def whole_numbers(texts: pa.Array, sources: Sources, place: Array, what: str) -> Array:
    """Text as int64; a fraction is an error."""
    column = numbers(texts, sources, place, what)
    if (column.places > 0).any():
        i = int(np.argmax(column.places > 0))
        raise sources.error(f"{what} {column.text(i)} is no whole number", place[i])
    return column.mantissa


def times_ns(values: Any, sources: Sources, place: Array, what: str, unit: str | None = None) -> Array:
    """Times as int64 nanoseconds.

    Parameters
    ----------
    values : pyarrow Array of text, or ndarray
        Numbers since the epoch, ISO 8601 text (UTC where no zone is given), or datetime64.
    unit : {"s", "ms", "us", "ns"}, optional
        Unit of numbers; inferred from their magnitude if absent.
    """
    if isinstance(values, np.ndarray) and values.dtype.kind == "M":
        missing = np.isnat(values)
        if missing.any():
            raise sources.error(f"{what} is missing", place[int(np.argmax(missing))])
        return values.astype("datetime64[ns]").astype(np.int64)
    if isinstance(values, pa.Array) and len(values) and not _is_number(values[0].as_py()):
        return _iso_ns(values, sources, place, what)
    column = numbers(values, sources, place, what)
    scale = int(column.places.max(initial=0))
    whole = column.mantissa / 10.0 ** column.places.astype(np.float64)
    factor = NS_PER_UNIT[unit] if unit is not None else unit_ns(whole)
    if scale == 0:
        return column.mantissa * factor
    shift = np.power(10, np.maximum(9 - column.places.astype(np.int64), 0))
    cut = np.power(10, np.maximum(column.places.astype(np.int64) - 9, 0))
    return (column.mantissa // cut * shift) // (NS_PER_S // factor)


def unit_ns(times: Array) -> int:
    """Nanoseconds a unit of these epoch times is worth, by their magnitude."""
    magnitude = float(np.median(times)) if times.size else 0.0
    for n, factor in enumerate(NS_PER_UNIT.values()):
        if magnitude < SECONDS_BELOW * 1000**n:
            return factor
    return 1


def _is_number(text: str) -> bool:
    try:
        from_text([text])
    except ValueError:
        return False
    return True


def _iso_ns(texts: pa.Array, sources: Sources, place: Array, what: str) -> Array:
    stamps = pd.to_datetime(pd.Series(texts.to_pylist(), dtype=object), utc=True, format="ISO8601", errors="coerce")
    stamps = stamps.where((stamps >= EARLIEST) & (stamps <= LATEST))
    missing = stamps.isna().to_numpy()
    if missing.any():
        i = int(np.argmax(missing))
        raise sources.error(f"{what} {texts[i].as_py()!r} is no time", place[i])
    return stamps.dt.as_unit("ns").astype(np.int64).to_numpy()


def sides(texts: pa.Array, sources: Sources, place: Array) -> Array:
    """+1 for buy or bid, -1 for sell or ask, int8."""
    encoded = pc.dictionary_encode(pc.utf8_lower(texts))
    words = [SIDES.get(word, 0) for word in encoded.dictionary.to_pylist()]
    found = np.array(words, np.int8)[encoded.indices.to_numpy(zero_copy_only=False)]
    if (found == 0).any():
        i = int(np.argmax(found == 0))
        raise sources.error(f"side {texts[i].as_py()!r} is neither buy nor sell", place[i])
    return found


def match_ids(texts: pa.Array) -> Array:
    """Trade ids as int64: whole numbers as they are, others numbered by first appearance; 0 where there is none."""
    try:
        column = from_text(texts)
        if not (column.places > 0).any():
            return column.mantissa
    except ValueError:
        pass
    ids = pc.dictionary_encode(texts).indices.to_numpy(zero_copy_only=False).astype(np.int64) + 1
    return np.where(pc.equal(texts, "").to_numpy(zero_copy_only=False), 0, ids)


def choose_symbol(columns: Sequence[pa.Array], symbol: str, prefer: str, path: Path) -> tuple[str, list[str]]:
    """The symbol to import: the one asked for, else `prefer` if it is there, else the one with most rows; and notes."""
    counted = pc.value_counts(pa.chunked_array(columns)).to_pylist()
    rows = {item["values"]: item["counts"] for item in counted}
    if not rows:
        raise FeedError("the table has no rows", path=path)
    if symbol and symbol not in rows:
        raise FeedError(f"no rows of symbol {symbol!r}: there are {sorted(rows)}", path=path)
    chosen = symbol or (prefer if prefer in rows else max(sorted(rows), key=lambda name: rows[name]))
    others = sorted(set(rows) - {chosen})
    return chosen, [f"other symbols were left out: {', '.join(others)}"] if others else []


def require_order(local_ns: Array, sources: Sources, place: Array, what: str) -> None:
    """Refuse times that go backwards."""
    backwards = np.diff(local_ns) < 0
    if backwards.any():
        i = int(np.argmax(backwards)) + 1
        back_s = (local_ns[i - 1] - local_ns[i]) / NS_PER_S
        raise sources.error(f"{what} goes back by {back_s:.6f} s: rows are not sorted by time", place[i])
