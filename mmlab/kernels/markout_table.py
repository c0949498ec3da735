"""Markouts over arrays: many fills against many quotes in one pass (`terms.md`, Fill metrics)."""

from __future__ import annotations

from typing import Any

import numpy as np

from mmlab.kernels.policy import kernel
from mmlab.kernels.windows import sorted_insert, sorted_median, sorted_remove

Array = np.ndarray[Any, Any]


@kernel
def count_until(ns: Array, start: int, t_ns: int) -> int:
    """How many of the ascending `ns` are <= `t_ns`, given that at least `start` are: a short walk, then a gallop."""
    k, n = start, ns.size
    walk = min(n, start + 8)
    while k < walk:
        if ns[k] > t_ns:
            return k
        k += 1
    step = 8
    while k + step <= n and ns[k + step - 1] <= t_ns:
        k += step
        step *= 2
    high = min(n, k + step)
    while k < high:
        middle = (k + high) // 2
        if ns[middle] <= t_ns:
            k = middle + 1
        else:
            high = middle
    return k


@kernel
def is_ascending(ns: Array) -> bool:
    """Whether no entry is below the one before it."""
    below = 0
    for i in range(1, ns.size):
        below += ns[i] < ns[i - 1]
    return below == 0


@kernel
def gap_rows(reference: Array, bid: Array, ask: Array) -> Array:
    """Rows of a quote table during which the book was lost, then one row past the end.

    The reference is NaN there although the row's own best quotes do not say why (one side empty, locked or crossed);
    a gap lasts until the next row with a reference. Without quotes (`bid` of size 0) every NaN is a gap.
    """
    rows = np.empty(64, np.int64)
    n, in_gap = 0, False
    for i in range(reference.size):
        if reference[i] == reference[i]:
            in_gap = False
            continue
        if not in_gap:
            in_gap = bid.size == 0 or not ((np.isnan(bid[i]) != np.isnan(ask[i])) or bid[i] >= ask[i])
        if in_gap:
            if n == rows.size:
                rows = np.append(rows, np.empty(n, np.int64))
            rows[n] = i
            n += 1
    return np.append(rows[:n], reference.size)


@kernel
def markout_table(
    ns: Array, side: Array, price: Array, quote_ns: Array, reference: Array, gaps: Array, horizons_ns: Array,
    max_age_ns: int, out: Array,
) -> None:  # fmt: skip
    """Markouts of fills at several horizons, with their decomposition.

    Parameters
    ----------
    ns, side, price : ndarray, shape (n,)
        Fills, ascending in time (exchange clock, ns); side +1 bid, -1 ask.
    quote_ns, reference : ndarray, shape (m,)
        Time of each book event, ascending, and the mid (or other reference) after it; NaN without a valid book.
    gaps : ndarray of int64
        Rows of `gap_rows`.
    horizons_ns : ndarray of int64, shape (h,)
        Horizons in ns, >= 0.
    max_age_ns : int
        Oldest usable reference.
    out : ndarray of float64, shape (2*h + 2, n)
        Written: markout at each horizon, mid_before, spread capture, adverse at each horizon; bps but for mid_before.
    """
    h, m = horizons_ns.size, quote_ns.size
    ends = np.zeros(h, np.int64)
    before, until, gap = 0, 0, 0
    last_ns = quote_ns[m - 1] if m > 0 else np.int64(0)
    for i in range(ns.size):
        t, scale = ns[i], 1e4 * side[i] / price[i]
        before = count_until(quote_ns, before, t - 1)
        until = count_until(quote_ns, max(until, before), t)
        while gaps[gap] < until - 1:
            gap += 1
        mid_before = reference[before - 1] if before > 0 else np.nan
        out[h, i] = mid_before
        out[h + 1, i] = scale * (mid_before - price[i])
        for k in range(h):
            end_ns = t + horizons_ns[k]
            ends[k] = count_until(quote_ns, max(ends[k], until), end_ns)
            j = ends[k] - 1
            mid = np.nan
            if end_ns < last_ns and j >= 0 and gaps[gap] > j and end_ns - quote_ns[j] <= max_age_ns:
                mid = reference[j]
            out[k, i] = scale * (mid - price[i])
            out[h + 2 + k, i] = scale * (mid - mid_before)


@kernel
def merge_hits(
    ns: Array, side: Array, price: Array, size: Array, hit_ns: Array, hit_side: Array, hit_price: Array, hit_size: Array
) -> int:
    """Merge fills (ascending) of one side and time in hits with the size-weighted price; return their number."""
    n, last = 0, np.full(2, -1, np.int64)
    for i in range(ns.size):
        s = 1 if side[i] > 0 else 0
        k = last[s]
        if k >= 0 and hit_ns[k] == ns[i]:
            hit_size[k] += size[i]
            hit_price[k] += (price[i] - hit_price[k]) * (size[i] / hit_size[k])
            continue
        hit_ns[n], hit_side[n], hit_price[n], hit_size[n] = ns[i], side[i], price[i], size[i]
        last[s] = n
        n += 1
    return n


@kernel
def rolling_markouts(bps: Array, size: Array, window: int, out: Array) -> None:
    """Median, mean and size-weighted mean of the last `window` completed hits of one side, after each of them.

    Parameters
    ----------
    bps, size : ndarray of float64, shape (n,)
        Completed hits of one side in order of completion.
    out : ndarray of float64, shape (4, n)
        Written: median, mean, size-weighted mean, number of hits.
    """
    ascending = np.empty(window + 1)
    for i in range(bps.size):
        n = min(i, window)
        if i >= window:
            sorted_remove(ascending, n, bps[i - window])
            n -= 1
        sorted_insert(ascending, n, bps[i])
        n += 1
        total, weighted, weight = 0.0, 0.0, 0.0
        for k in range(i - n + 1, i + 1):
            total += bps[k]
            weighted += bps[k] * size[k]
            weight += size[k]
        out[0, i] = sorted_median(ascending, n)
        out[1, i], out[2, i], out[3, i] = total / n, weighted / weight, n
