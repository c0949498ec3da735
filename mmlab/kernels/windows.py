"""Sliding windows over event times, and order statistics of rings: the memory that the online metrics share.

Every window is half-open, ``(t - w, t]``. A zeroed record is an empty one. Rings have a power-of-two capacity; when one
is full the oldest entry is forgotten and ``lost`` counts it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mmlab.kernels.policy import kernel

Array = np.ndarray[Any, Any]

SAMPLES = 200
"""Samples behind every rolling order statistic (`terms.md`: the last 200)."""
MAX_VALUE = 512
"""Largest value a histogram ring tells apart; larger ones count as this."""


def times_dtype(capacity: int) -> np.dtype[Any]:
    """Ring of event times; `capacity` is a power of two."""
    fields = [("t_ns", "i8", (capacity,)), ("head", "i8"), ("n", "i8"), ("lost", "i8")]
    return np.dtype(fields, align=True)


TIMES = times_dtype(512)
"""Ring of the last 512 event times, ascending."""

HISTOGRAM_FIELDS: list[Any] = [
    ("values", "i8", (SAMPLES,)),
    ("counts", "i8", (MAX_VALUE + 1,)),
    ("next", "i8"),
    ("n", "i8"),
]
"""Ring of the last 200 small whole numbers with a count of each, so that a percentile costs no sort."""


@kernel
def times_after(w: Any, x: int) -> int:
    """Number of leading entries of the ring `w` that are <= `x`."""
    mask = w.t_ns.size - 1
    low, high = 0, w.n
    while low < high:
        middle = (low + high) // 2
        if w.t_ns[(w.head + middle) & mask] <= x:
            low = middle + 1
        else:
            high = middle
    return low


@kernel
def times_count(w: Any, t_ns: int, window_ns: int) -> int:
    """Events in ``(t_ns - window_ns, t_ns]``."""
    return times_after(w, t_ns) - times_after(w, t_ns - window_ns)


@kernel
def times_contains(w: Any, t_ns: int) -> bool:
    """Whether an event at exactly `t_ns` is in the ring."""
    i = times_after(w, t_ns)
    return i > 0 and w.t_ns[(w.head + i - 1) & (w.t_ns.size - 1)] == t_ns


@kernel
def times_push(w: Any, t_ns: int) -> None:
    """Add an event; one that arrives late is put in its place."""
    capacity = w.t_ns.size
    mask = capacity - 1
    if w.n == capacity:
        w.lost += 1
        if t_ns < w.t_ns[w.head]:
            return
        w.head = (w.head + 1) & mask
        w.n -= 1
    i = w.n
    while i > 0 and w.t_ns[(w.head + i - 1) & mask] > t_ns:
        w.t_ns[(w.head + i) & mask] = w.t_ns[(w.head + i - 1) & mask]
        i -= 1
    w.t_ns[(w.head + i) & mask] = t_ns
    w.n += 1


@kernel
def times_forget(w: Any, until_ns: int) -> None:
    """Forget events at or before `until_ns`."""
    head, n = w.head, w.n
    while n > 0 and w.t_ns[head] <= until_ns:
        head, n = (head + 1) & (w.t_ns.size - 1), n - 1
    w.head, w.n = head, n


@kernel
def histogram_push(h: Any, value: int) -> None:
    """Add a whole number >= 0; the oldest of more than 200 is forgotten."""
    if h.n == h.values.size:
        h.counts[h.values[h.next]] -= 1
    else:
        h.n += 1
    value = min(value, h.counts.size - 1)
    h.values[h.next] = value
    h.counts[value] += 1
    h.next = (h.next + 1) % h.values.size


@kernel
def histogram_reset(h: Any) -> None:
    """Forget every sample."""
    h.counts[:] = 0
    h.n, h.next = 0, 0


@kernel
def counts_percentile(counts: Array, n: int, percentile: float) -> float:
    """Percentile (linear interpolation) of `n` whole numbers given how often each occurs; NaN if none."""
    if n == 0:
        return np.nan
    position = (n - 1) * percentile / 100.0
    rank = int(position)
    value, seen = 0, counts[0]
    while seen <= rank:
        value += 1
        seen += counts[value]
    following = value
    if rank + 1 < n and seen <= rank + 1:
        following += 1
        while counts[following] == 0:
            following += 1
    return value + (position - rank) * (following - value)


@kernel
def histogram_percentile(h: Any, percentile: float) -> float:
    """Percentile of the samples of `h`; NaN if none."""
    return counts_percentile(h.counts, h.n, percentile)


@kernel
def select(values: Array, n: int, k: int) -> float:
    """The k-th smallest (from 0) of the first `n` values, which are reordered (quickselect)."""
    low, high = 0, n - 1
    while low < high:
        pivot = values[(low + high) // 2]
        i, j = low, high
        while i <= j:
            while values[i] < pivot:
                i += 1
            while values[j] > pivot:
                j -= 1
            if i <= j:
                values[i], values[j] = values[j], values[i]
                i += 1
                j -= 1
        if k <= j:
            high = j
        elif k >= i:
            low = i
        else:
            break
    return values[k]


@kernel
def median_of(values: Array, n: int) -> float:
    """Median of the first `n` values, which are reordered; NaN if none."""
    if n == 0:
        return np.nan
    upper = select(values, n, n // 2)
    if n % 2 == 1:
        return upper
    lower = values[0]
    for i in range(1, n // 2):
        lower = max(lower, values[i])
    return 0.5 * (lower + upper)


@kernel
def sorted_insert(values: Array, n: int, value: float) -> None:
    """Insert `value` in the ascending first `n` of `values`."""
    i = n
    while i > 0 and values[i - 1] > value:
        values[i] = values[i - 1]
        i -= 1
    values[i] = value


@kernel
def sorted_remove(values: Array, n: int, value: float) -> None:
    """Remove one `value` from the ascending first `n` of `values`, where it must occur."""
    i = np.searchsorted(values[:n], value)
    for k in range(i, n - 1):
        values[k] = values[k + 1]


@kernel
def sorted_median(values: Array, n: int) -> float:
    """Median of the ascending first `n` of `values`; NaN if none."""
    if n == 0:
        return np.nan
    return values[n // 2] if n % 2 == 1 else 0.5 * (values[n // 2 - 1] + values[n // 2])
