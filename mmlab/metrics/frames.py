"""DataFrames in, arrays out: reading users' fills and quotes, with errors that say what to change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from mmlab.errors import MMLabError
from mmlab.events import ASK, BID, NS_PER_S
from mmlab.kernels.markout_table import gap_rows, has_nan, intervals, side_codes

Array = np.ndarray[Any, Any]


def read_only(array: Array) -> Array:
    """A read-only view. pandas gives some arrays as such; kernels see one type, and compile once, if all are."""
    view = array.view()
    view.flags.writeable = False
    return view


def ns_of(seconds: float, name: str) -> int:
    """Seconds as whole nanoseconds."""
    if not (np.isfinite(seconds) and seconds >= 0):
        raise MMLabError(f"{name} = {seconds!r}: must be a finite number of seconds >= 0")
    return round(float(seconds) * NS_PER_S)


def times_ns(frame: pd.DataFrame, what: str) -> Array:
    """Times of the rows in ns since the epoch, from a timezone-aware index of any unit or the column ``ts_ns``.

    Raises
    ------
    MMLabError
        There is neither, the index is timezone-naive, or a time is missing.
    """
    index = frame.index
    if "ts_ns" in frame.columns and not (isinstance(index, pd.DatetimeIndex) and index.tz is not None):
        column = frame["ts_ns"]
        if not np.issubdtype(column.to_numpy().dtype, np.integer):
            raise MMLabError(
                f"{what}: column 'ts_ns' is {column.dtype}: must be int64 nanoseconds since the epoch (UTC)"
            )
        ns = column.to_numpy(np.int64)
    elif not isinstance(index, pd.DatetimeIndex):
        raise MMLabError(
            f"{what}: the index is a {type(index).__name__}: must be a DatetimeIndex in UTC, "
            "or give int64 nanoseconds in a column 'ts_ns'"
        )
    elif index.tz is None:
        raise MMLabError(f"{what}: the index has no timezone; if its times are UTC, pass frame.tz_localize('UTC')")
    else:
        ns = index.asi8 if index.unit == "ns" else index.as_unit("ns").asi8
    return read_only(ns)


def spacing(ns: Array, what: str) -> tuple[int, int]:
    """Shortest (below 0: not in order) and longest interval between times; an error if a time is missing."""
    with np.errstate(over="ignore"):  # a missing time is the smallest integer
        shortest, longest = intervals(ns)
    first = 0 if shortest >= 0 and longest >= 0 else int(ns.argmin())
    if ns.size and ns[first] == np.iinfo(np.int64).min:
        raise MMLabError(f"{what}: row {first} has no time (NaT): drop it, or give its time")
    return shortest, longest


def utc_index(ns: Array) -> pd.DatetimeIndex:
    """UTC index of int64 nanoseconds."""
    return pd.DatetimeIndex(ns.view("M8[ns]")).tz_localize("UTC")


def column(frame: pd.DataFrame, name: str, what: str) -> Array:
    """A column as contiguous float64, without a copy where it is that already."""
    if name not in frame.columns:
        raise MMLabError(f"{what}: column {name!r} is missing; it has {', '.join(map(repr, frame.columns)) or 'none'}")
    try:
        return read_only(np.ascontiguousarray(frame[name].to_numpy(np.float64)))
    except (TypeError, ValueError) as error:
        raise MMLabError(f"{what}: column {name!r} is {frame[name].dtype}: must be numbers ({error})") from None


def arrow_sides(text: pd.Series) -> Array:
    """Sides of Arrow strings, from their bytes: comparing strings would take longer than all markouts."""
    array = pa.array(text.array)
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    array = array.cast(pa.large_string())
    _, offsets, characters = array.buffers()
    ends = np.frombuffer(offsets, np.int64)[array.offset : array.offset + len(array) + 1]
    out = np.empty(len(array), np.int8)
    side_codes(ends, np.frombuffer(characters or b"", np.uint8), out)
    return out


def sides(frame: pd.DataFrame) -> Array:
    """Column ``side`` as int8, +1 for "bid" and -1 for "ask"."""
    if "side" not in frame.columns:
        raise MMLabError(f"fills: column 'side' is missing; it has {', '.join(map(repr, frame.columns)) or 'none'}")
    text = frame["side"]
    if isinstance(text.dtype, pd.StringDtype) and text.dtype.storage == "pyarrow" and len(text):
        side = arrow_sides(text)
    else:
        side = (text == "bid").to_numpy(np.int8) * BID + (text == "ask").to_numpy(np.int8) * ASK
    if not side.all():
        row = int((side == 0).argmax())
        raise MMLabError(f"fills: row {row} has side {text.iloc[row]!r}: must be 'bid' (we bought) or 'ask' (we sold)")
    return read_only(side)


@dataclass(frozen=True, slots=True)
class Fills:
    """Fills in order of time; ``order`` leads from there to the rows of the frame (None: they are the same)."""

    frame: pd.DataFrame
    ns: Array
    side: Array
    order: Array | None

    def column(self, name: str, *, positive: bool = True) -> Array:
        """A numeric column in order of time; it must be finite, and > 0 if `positive`."""
        values = column(self.frame, name, "fills")
        lowest, highest = (values.min(), values.max()) if values.size else (1.0, 1.0)  # NaN if any is
        if not (lowest > (0.0 if positive else -np.inf) and highest < np.inf):
            good = np.isfinite(values) & (values > 0) if positive else np.isfinite(values)
            row = int((~good).argmax())
            rule = "a finite number > 0" if positive else "a finite number"
            raise MMLabError(f"fills: row {row} has {name} = {values[row]}: must be {rule}")
        return values if self.order is None else read_only(values[self.order])

    def to_frame(self, values: Array, names: Sequence[str]) -> pd.DataFrame:
        """`values` of shape (columns, fills) as a DataFrame with the rows of the input."""
        if self.order is not None:
            rows = np.empty_like(values)
            rows[:, self.order] = values
            values = rows
        return pd.DataFrame(values.T, index=self.frame.index, columns=list(names), copy=False)


def read_fills(frame: pd.DataFrame) -> Fills:
    """Time and side of fills. Rows out of order are taken in order of time (rows of one time as they stand)."""
    if not isinstance(frame, pd.DataFrame):
        raise MMLabError(
            f"fills: got a {type(frame).__name__}: must be a DataFrame with columns side, price, size, fee"
        )
    ns, side = times_ns(frame, "fills"), sides(frame)
    if spacing(ns, "fills")[0] >= 0:
        return Fills(frame, ns, side, None)
    order = np.argsort(ns, kind="stable")
    return Fills(frame, read_only(ns[order]), read_only(side[order]), order)


@dataclass(frozen=True, slots=True)
class Quotes:
    """A reference price after each book event, and the longest interval between events.

    ``gaps`` are the rows without a book, ascending, then one past the end.
    """

    frame: pd.DataFrame
    ns: Array
    reference: Array
    gaps: Array
    longest_ns: int


def read_reference(frame: pd.DataFrame, reference: str) -> Array:
    """The column `reference` of quotes; mid and micro are worked out from the best quotes where they are missing."""
    if reference in frame.columns or reference not in {"mid", "micro"} or "bid" not in frame.columns:
        return column(frame, reference, "quotes")
    bid, ask = column(frame, "bid", "quotes"), column(frame, "ask", "quotes")
    if reference == "mid":
        price = (bid + ask) / 2
    else:
        bid_size, ask_size = column(frame, "bid_size", "quotes"), column(frame, "ask_size", "quotes")
        with np.errstate(invalid="ignore"):
            price = (bid * ask_size + ask * bid_size) / (bid_size + ask_size)
    return read_only(np.where(bid < ask, price, np.nan))


def read_quotes(frame: pd.DataFrame, reference: str) -> Quotes:
    """Times, reference and gaps of quotes, which must be in order of time."""
    if not isinstance(frame, pd.DataFrame):
        raise MMLabError(f"quotes: got a {type(frame).__name__}: must be a DataFrame as from feed.quotes()")
    ns = times_ns(frame, "quotes")
    shortest, longest = spacing(ns, "quotes")
    if shortest < 0:
        row = int((ns[1:] < ns[:-1]).argmax()) + 1
        raise MMLabError(f"quotes: row {row} is earlier than the row before it; pass quotes.sort_index(kind='stable')")
    price = read_reference(frame, reference)
    if not has_nan(price):
        gaps = np.array([ns.size])
    elif {"bid", "ask"} <= set(frame.columns):
        gaps = gap_rows(price, column(frame, "bid", "quotes"), column(frame, "ask", "quotes"))
    else:
        gaps = gap_rows(price, read_only(np.empty(0)), read_only(np.empty(0)))
    return Quotes(frame, ns, price, gaps, longest)
