"""Decimal numbers as integers: read text (or floats) without ever rounding a price.

A column of numbers is an int64 mantissa and a count of decimal places each: 61837.63 is (6183763, 2). Trailing zeros
are dropped, so 61837.63000000 is the same pair. Text goes through one compiled loop.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa

from mmlab.kernels.policy import kernel

Array = np.ndarray[Any, Any]
MAX_PLACES = 15
"""Most decimal places looked for in a float."""
NOT_A_NUMBER, TOO_LONG = 1, 2
_LIMIT = 9.0e18
MOST_BEFORE_A_DIGIT = (2**63 - 10) // 10
"""An int64 this large takes one more digit."""


class BadNumber(ValueError):  # noqa: N818 - it names what was found, and becomes a FeedError at once
    """A value that is no finite decimal number; `index` is its place in the column."""

    def __init__(self, index: int, reason: str) -> None:
        super().__init__(reason)
        self.index, self.reason = index, reason


@dataclass(slots=True)
class Decimals:
    """A column of decimal numbers: ``mantissa / 10**places``.

    Attributes
    ----------
    mantissa : ndarray of int64, shape (n,)
    places : ndarray of int8, shape (n,)
    """

    mantissa: Array
    places: Array

    def __len__(self) -> int:
        return self.mantissa.size

    def __getitem__(self, index: Any) -> Decimals:
        return Decimals(self.mantissa[index], self.places[index])

    def text(self, index: int) -> str:
        """One number as it would be written."""
        return f"{Decimal(int(self.mantissa[index])).scaleb(-int(self.places[index])).normalize():f}"

    def at_scale(self, scale: int) -> Array:
        """Mantissas at one common number of places; raises `BadNumber` where that does not fit 64 bits."""
        factor = np.power(10, np.maximum(scale - self.places.astype(np.int64), 0))
        too_big = np.abs(self.mantissa.astype(np.float64)) * factor > _LIMIT
        if too_big.any():
            index = int(np.argmax(too_big))
            raise BadNumber(index, f"{self.text(index)} is absurd: it does not fit 64 bits at {scale} decimal places")
        return self.mantissa * factor


def zeros(n: int) -> Decimals:
    """`n` zeros: rows that carry no number."""
    return Decimals(np.zeros(n, np.int64), np.zeros(n, np.int8))


def join(columns: Sequence[Decimals]) -> Decimals:
    """Columns one after the other."""
    if not columns:
        return zeros(0)
    return Decimals(np.concatenate([c.mantissa for c in columns]), np.concatenate([c.places for c in columns]))


@kernel
def parse(data: Array, offsets: Array, mantissa: Array, places: Array) -> tuple[int, int]:
    """Read text ``data[offsets[i]:offsets[i + 1]]`` into the outputs; return (first bad index or -1, why)."""
    for i in range(mantissa.size):
        j, end = offsets[i], offsets[i + 1]
        negative = j < end and data[j] == 45  # "-"
        if negative or (j < end and data[j] == 43):
            j += 1
        value: Any = np.int64(0)
        digits, scale, point = 0, 0, False
        while j < end:
            c = data[j]
            if 48 <= c <= 57:
                if value > MOST_BEFORE_A_DIGIT:
                    if not point or c != 48:
                        return i, TOO_LONG
                else:
                    value = value * 10 + (np.int64(c) - 48)
                    scale += 1 if point else 0
                digits += 1
            elif c == 46 and not point:
                point = True
            else:
                break
            j += 1
        if digits == 0:
            return i, NOT_A_NUMBER
        if j < end:  # an exponent, as in 1e-05
            if data[j] != 101 and data[j] != 69:
                return i, NOT_A_NUMBER
            j += 1
            down = j < end and data[j] == 45
            if down or (j < end and data[j] == 43):
                j += 1
            exponent: Any = 0
            digits = 0
            while j < end and 48 <= data[j] <= 57 and digits < 4:
                exponent = exponent * 10 + (np.int64(data[j]) - 48)
                digits += 1
                j += 1
            if j < end or digits == 0:
                return i, NOT_A_NUMBER
            scale += exponent if down else -exponent
        while scale > 0 and value % 10 == 0:
            value //= 10
            scale -= 1
            if value == 0:
                scale = 0
        while scale < 0:
            if value > MOST_BEFORE_A_DIGIT:
                return i, TOO_LONG
            value *= 10
            scale += 1
            if value == 0:
                scale = 0
        if scale > 18:
            return i, TOO_LONG
        mantissa[i], places[i] = -value if negative else value, scale
    return -1, 0


def from_text(texts: Sequence[str] | pa.Array) -> Decimals:
    """Numbers written as text, for example ``["61837.63000000", "1e-05"]``.

    Raises
    ------
    BadNumber
        A text is empty, no number (``nan`` included), or does not fit 64 bits.
    """
    column = texts if isinstance(texts, pa.Array) else pa.array(texts, pa.string())
    column = column.cast(pa.large_string())
    if len(column) == 0:
        return zeros(0)
    _, offsets_buffer, data_buffer = column.buffers()
    offsets = np.frombuffer(offsets_buffer, np.int64)[column.offset : column.offset + len(column) + 1]
    data = np.frombuffer(data_buffer, np.uint8) if data_buffer is not None else np.zeros(0, np.uint8)
    mantissa, places = np.empty(len(column), np.int64), np.empty(len(column), np.int8)
    bad, why = parse(data, offsets, mantissa, places)
    if bad >= 0:
        text = column[bad].as_py()
        raise BadNumber(bad, f"{text!r} is not a number" if why == NOT_A_NUMBER else f"{text!r} is absurd: too long")
    return Decimals(mantissa, places)


def from_floats(values: Array) -> Decimals:
    """Numbers stored as floats: the fewest decimal places that give every one back.

    A difference of a few units in the last place is forgiven (0.30000000000000004 is 0.3).

    Raises
    ------
    BadNumber
        A value is NaN or infinite, or needs more than `MAX_PLACES` places.
    """
    values = np.asarray(values, np.float64)
    finite = np.isfinite(values)
    if not finite.all():
        index = int(np.argmin(finite))
        raise BadNumber(index, f"{values[index]} is not a number")
    tolerance = 4 * np.finfo(np.float64).eps * np.abs(values)
    bad = np.ones(values.size, bool)
    for places in range(MAX_PLACES + 1):
        scaled = np.rint(values * 10.0**places)
        bad = np.abs(scaled / 10.0**places - values) > tolerance
        if not bad.any():
            break
    if bad.any() or (values.size and np.abs(scaled).max() > 2.0**53):
        index = int(np.argmax(bad)) if bad.any() else int(np.argmax(np.abs(scaled)))
        raise BadNumber(index, f"{values[index]!r} is absurd: no decimal number of at most {MAX_PLACES} places")
    return Decimals(scaled.astype(np.int64), np.full(values.size, places, np.int8))
