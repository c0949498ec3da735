"""Same-side fill rate and flips of the reference price: how fast we are hit, and how nervous the market is.

Definitions: `terms.md`, Fill metrics. The online records (`RATE`, `FLIP`) take one event at a time; `fill_rates` and
`flip_table` are the same over arrays.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mmlab.kernels.policy import kernel
from mmlab.kernels.windows import (
    HISTOGRAM_FIELDS,
    TIMES,
    counts_percentile,
    histogram_percentile,
    histogram_push,
    times_contains,
    times_count,
    times_dtype,
    times_forget,
    times_push,
)

Array = np.ndarray[Any, Any]

RATE = np.dtype([("hits", TIMES), *HISTOGRAM_FIELDS], align=True)
"""Hits of one side: their times, and the last 200 samples of the fill rate (``n`` of them)."""

FLIP = np.dtype(
    [
        ("flips", times_dtype(4096)),
        ("anchor", "f8"),
        ("direction", "i8"),
        ("started", "u1"),
    ],
    align=True,
)
"""Flips of the reference: their times, the reference after the last counted move, and that move's sign."""

SAME_MOVE = 1e-6
"""A move short of `min_move` by this part of it reaches it: price differences are rounded."""
ROUNDING = 8 * np.finfo(np.float64).eps
"""Two references this close, relative to their size, are one price worked out in two ways: no move."""


@kernel
def rate_hit(r: Any, exch_ns: int, window_ns: int) -> int:
    """Register a fill; return its side's hits in ``(exch_ns - window_ns, exch_ns]``.

    A fill with the time of an earlier one belongs to that hit: it adds neither a hit nor a sample.
    """
    if times_contains(r.hits, exch_ns):
        return times_count(r.hits, exch_ns, window_ns)
    times_push(r.hits, exch_ns)
    count = times_count(r.hits, exch_ns, window_ns)
    histogram_push(r, count)
    return count


@kernel
def rate_count(r: Any, t_ns: int, window_ns: int) -> int:
    """The side's hits in ``(t_ns - window_ns, t_ns]``, at any time."""
    return times_count(r.hits, t_ns, window_ns)


@kernel
def rate_percentile(r: Any, percentile: float) -> float:
    """Percentile (linear interpolation) of the last 200 samples; NaN if none."""
    return histogram_percentile(r, percentile)


@kernel
def flip_reset(f: Any) -> None:
    """A GAP: the next reference starts afresh. Flips already counted stay in their windows."""
    f.started, f.direction = 0, 0


@kernel
def flip_move(f: Any, reference: float, min_move: float) -> bool:
    """Take the reference of one batch; whether it completes a flip."""
    if f.started == 0:
        f.anchor, f.started = reference, 1
        return False
    move = reference - f.anchor
    if abs(move) < min_move * (1.0 - SAME_MOVE) or abs(move) <= ROUNDING * abs(reference):
        return False
    direction = 1 if move > 0.0 else -1
    flip = f.direction * direction < 0
    f.anchor, f.direction = reference, direction
    return flip


@kernel
def flip_update(f: Any, t_ns: int, reference: float, min_move: float, keep_ns: int) -> bool:
    """Take the reference after a batch; whether this move is a flip.

    Moves below `min_move` (price) accumulate until they reach it. A NaN reference is ignored. Flips older than
    `keep_ns`, the longest window asked for, are forgotten.
    """
    if np.isnan(reference) or not flip_move(f, reference, min_move):
        return False
    times_forget(f.flips, t_ns - keep_ns)
    times_push(f.flips, t_ns)
    return True


@kernel
def flip_count(f: Any, t_ns: int, window_ns: int) -> int:
    """Flips in ``(t_ns - window_ns, t_ns]``."""
    return times_count(f.flips, t_ns, window_ns)


@kernel
def fill_rates(ns: Array, window_ns: int, percentile: float, last: int, rate: Array, high: Array) -> None:
    """Fill rate of one side after each of its fills, and its percentile over the last `last` hits.

    Parameters
    ----------
    ns : ndarray of int64, shape (n,)
        Times of the side's fills, ascending.
    rate, high : ndarray of float64, shape (n,)
        Written: hits in the window, and the percentile of those samples.
    """
    samples = np.zeros(ns.size, np.int64)
    counts = np.zeros(ns.size + 1, np.int64)
    hits = np.zeros(ns.size, np.int64)
    n, first = 0, 0
    for i in range(ns.size):
        if i == 0 or ns[i] != ns[i - 1]:
            hits[n] = ns[i]
            while hits[first] <= ns[i] - window_ns:
                first += 1
            samples[n] = n - first + 1
            counts[samples[n]] += 1
            if n >= last:
                counts[samples[n - last]] -= 1
            n += 1
            high[i] = counts_percentile(counts, min(n, last), percentile)
        else:
            high[i] = high[i - 1]
        rate[i] = samples[n - 1]


@kernel
def flip_table(
    ns: Array, reference: Array, gaps: Array, min_move: float, window_ns: int, f: Any, flip: Array, count: Array
) -> None:
    """Flips over arrays of batches.

    Parameters
    ----------
    ns, reference : ndarray, shape (n,)
        Time of each batch, ascending, and the reference after it.
    gaps : ndarray of int64
        Rows without a book, ascending, then one past the end (`markout_table.gap_rows`).
    min_move : float
        In price.
    f : FLIP row
        Zeroed; only its anchor and direction are used.
    flip, count : ndarray of bool and int64, shape (n,)
        `flip` zeroed. Written: whether the row completes a flip, and flips in ``(t - window_ns, t]``.
    """
    times = np.zeros(ns.size, np.int64)
    n, first, gap = 0, 0, 0
    for i in range(ns.size):
        if gaps[gap] == i:
            flip_reset(f)
            gap += 1
        elif not np.isnan(reference[i]) and flip_move(f, reference[i], min_move):
            flip[i] = True
            times[n] = ns[i]
            n += 1
        while first < n and times[first] <= ns[i] - window_ns:
            first += 1
        count[i] = n - first
