"""Inventory age and lot age: how long we have carried what we hold (`terms.md`, Fill metrics).

Lot age needs no list of ages: with A the size-weighted sum of ages and S the open size, A grows by S*dt, a new lot adds
nothing, and closing part of the oldest lot takes that part's age away. The ring only remembers which lot is oldest.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mmlab.events import NS_PER_S
from mmlab.kernels.policy import kernel

Array = np.ndarray[Any, Any]

LOT_CAPACITY = 1024

AGE = np.dtype([("since_ns", "i8"), ("sign", "i8")], align=True)
"""Since when the position has been outside the flat band, with this sign (0: inside)."""

LOTS = np.dtype(
    [
        ("t_ns", "i8", (LOT_CAPACITY,)),
        ("lots", "f8", (LOT_CAPACITY,)),
        ("head", "i8"),
        ("n", "i8"),
        ("sign", "i8"),
        ("open_lots", "f8"),
        ("age_lot_s", "f8"),
        ("now_ns", "i8"),
    ],
    align=True,
)
"""Open lots, oldest first. When more than 1,024 are open the two oldest become one at their size-weighted mean time,
which leaves the lot age as it is until that lot is closed in part."""


@kernel
def age_update(a: Any, t_ns: int, q_ratio: float, flat_band: float) -> None:
    """Take the inventory ratio after a fill (or a change of its limits)."""
    sign = 0
    if abs(q_ratio) > flat_band:
        sign = 1 if q_ratio > 0.0 else -1
    if sign != a.sign:
        a.sign, a.since_ns = sign, t_ns


@kernel
def age_s(a: Any, t_ns: int) -> float:
    """Seconds since |q_ratio| last rose above the flat band or the sign changed; 0 inside the band."""
    return 0.0 if a.sign == 0 else (t_ns - a.since_ns) / NS_PER_S


@kernel
def lots_clock(book: Any, t_ns: int) -> None:
    """Let the open lots grow older until `t_ns`."""
    book.age_lot_s += book.open_lots * ((t_ns - book.now_ns) / NS_PER_S)
    book.now_ns = t_ns


@kernel
def lots_close(book: Any, t_ns: int, size: float) -> float:
    """Close up to `size` from the oldest lots; return what is left of `size`."""
    mask = LOT_CAPACITY - 1
    while size > 0.0 and book.n > 0:
        i = book.head
        part = min(size, book.lots[i])
        book.age_lot_s -= part * ((t_ns - book.t_ns[i]) / NS_PER_S)
        book.open_lots -= part
        book.lots[i] -= part
        size -= part
        if book.lots[i] <= 0.0:
            book.head = (i + 1) & mask
            book.n -= 1
    if book.n == 0:
        book.open_lots, book.age_lot_s = 0.0, 0.0
    return size


@kernel
def lots_open(book: Any, t_ns: int, size: float) -> None:
    """Add a lot at the young end."""
    mask = LOT_CAPACITY - 1
    if book.n == LOT_CAPACITY:
        i, j = book.head, (book.head + 1) & mask
        share = book.lots[i] / (book.lots[i] + book.lots[j])
        book.t_ns[j] -= round(share * (book.t_ns[j] - book.t_ns[i]))
        book.lots[j] += book.lots[i]
        book.head = j
        book.n -= 1
    i = (book.head + book.n) & mask
    book.t_ns[i], book.lots[i] = t_ns, size
    book.n += 1
    book.open_lots += size


@kernel
def lots_fill(book: Any, t_ns: int, signed_lots: float) -> None:
    """Take a fill: > 0 bought, < 0 sold. It closes the oldest opposite lots first; the rest opens a new lot."""
    lots_clock(book, t_ns)
    sign = 1 if signed_lots > 0 else -1
    size = abs(float(signed_lots))
    if book.sign != sign:
        size = lots_close(book, t_ns, size)
    if size > 0.0:
        lots_open(book, t_ns, size)
        book.sign = sign


@kernel
def lots_age_s(book: Any, t_ns: int) -> float:
    """Size-weighted age of the open lots in seconds; 0 when flat."""
    if book.open_lots <= 0.0:
        return 0.0
    return book.age_lot_s / book.open_lots + (t_ns - book.now_ns) / NS_PER_S


@kernel
def age_table(
    ns: Array,
    signed_lots: Array,
    per_long: float,
    per_short: float,
    flat_band: float,
    a: Any,
    age: Array,
    lot_age: Array,
) -> None:
    """Inventory age and lot age just after each fill.

    Parameters
    ----------
    ns, signed_lots : ndarray of int64, shape (n,)
        Fills, ascending in time; > 0 bought.
    per_long, per_short : float
        Lots at which the inventory ratio is 1, long and short.
    a : AGE row
        Zeroed.
    age, lot_age : ndarray of float64, shape (n,)
        Written, in seconds.
    """
    lots = np.zeros(ns.size, np.int64)
    times = np.zeros(ns.size, np.int64)
    first, n, position, aged = 0, 0, 0, 0.0
    for i in range(ns.size):
        if i > 0:
            aged += abs(position) * ((ns[i] - ns[i - 1]) / NS_PER_S)
        left = signed_lots[i]
        while first < n and (lots[first] > 0) != (left > 0) and left != 0:
            part = min(abs(left), abs(lots[first]))
            sign = 1 if left > 0 else -1
            aged -= part * ((ns[i] - times[first]) / NS_PER_S)
            lots[first] += sign * part
            left -= sign * part
            if lots[first] == 0:
                first += 1
        if left != 0:
            lots[n], times[n] = left, ns[i]
            n += 1
        if first == n:
            aged = 0.0
        position += signed_lots[i]
        age_update(a, ns[i], position / (per_long if position >= 0 else per_short), flat_band)
        age[i] = age_s(a, ns[i])
        lot_age[i] = aged / abs(position) if position != 0 else 0.0
