"""Markouts over arrays: many fills against many quotes in one pass (`terms.md`, Fill metrics)."""

from __future__ import annotations

from typing import Any

import numpy as np

from mmlab.events import NEVER_NS
from mmlab.kernels.policy import kernel
from mmlab.kernels.prefetch import LINE_BYTES, prefetch
from mmlab.kernels.windows import sorted_insert, sorted_median, sorted_remove

Array = np.ndarray[Any, Any]

ONE, TWO, STEP = np.uint64(1), np.uint64(2), np.uint64(16)
BLOCK = 1024
AHEAD_BYTES = 8 * 256
"""How far ahead of the last horizon quotes are asked for: mostly it is the farthest, and so the first to read them."""


@kernel
def count_in_step(ns: Array, k: np.uint64, t_ns: int) -> np.uint64:
    """How many of the ascending `ns` are <= `t_ns`, given that `k` are and that ``ns[k + 15]`` is not.

    A binary search without branches: a processor foresees none of its outcomes, and a wrong guess costs more than the
    search. Unsigned indices spare Numba's test for negative ones.
    """
    k += np.uint64(ns[k + np.uint64(7)] <= t_ns) << np.uint64(3)
    k += np.uint64(ns[k + np.uint64(3)] <= t_ns) << np.uint64(2)
    k += np.uint64(ns[k + ONE] <= t_ns) << ONE
    k += np.uint64(ns[k] <= t_ns)
    return k


@kernel
def count_until(ns: Array, start: int, t_ns: int) -> int:
    """How many of the ascending `ns` are <= `t_ns`, given that at least `start` are.

    A gallop in steps of 16, doubling, then a binary search.
    """
    k, n, step = np.uint64(start), np.uint64(ns.size), STEP
    while k + step <= n and ns[k + step - ONE] <= t_ns:
        k += step
        step += step
    while step > STEP:
        step >>= ONE
        if k + step <= n and ns[k + step - ONE] <= t_ns:
            k += step
    if k + STEP > n:
        while k < n and ns[k] <= t_ns:
            k += ONE
        return int(k)
    return int(count_in_step(ns, k, t_ns))


@kernel
def count_near(ns: Array, start: np.uint64, t_ns: int) -> np.uint64:
    """As `count_until`, where 16 more of `ns` are known to follow the count: mostly it lies within two steps."""
    k = start
    if ns[k + STEP - ONE] <= t_ns:
        k += STEP
        if ns[k + STEP - ONE] <= t_ns:
            return np.uint64(count_until(ns, int(k), t_ns))
    return count_in_step(ns, k, t_ns)


@kernel
def intervals(ns: Array) -> tuple[int, int]:
    """Shortest (below 0 where times go back) and longest time between neighbours; 0 and 0 if there are none.

    Four quarters are read side by side, which memory delivers faster than one whole.
    """
    part = max(ns.size - 1, 0) // 4
    a, b, c, d = ns[: part + 1], ns[part : 2 * part + 1], ns[2 * part : 3 * part + 1], ns[3 * part : 4 * part + 1]
    shortest, longest = np.int64(0), np.int64(0)
    if ns.size > 1:
        shortest = longest = ns[1] - ns[0]
    for i in range(part):
        w, x, y, z = a[i + 1] - a[i], b[i + 1] - b[i], c[i + 1] - c[i], d[i + 1] - d[i]
        shortest = min(shortest, w, x, y, z)
        longest = max(longest, w, x, y, z)
    for i in range(4 * part + 1, ns.size):
        step = ns[i] - ns[i - 1]
        shortest = min(shortest, step)
        longest = max(longest, step)
    return int(shortest), int(longest)


@kernel
def has_nan(values: Array) -> bool:
    """Whether any value is NaN; four quarters are read side by side."""
    part = values.size // 4
    a, b, c, d = values[:part], values[part : 2 * part], values[2 * part : 3 * part], values[3 * part : 4 * part]
    n = 0
    for i in range(part):  # values that differ from themselves: the test that vectorises
        n += (a[i] != a[i]) | (b[i] != b[i]) | (c[i] != c[i]) | (d[i] != d[i])
    for value in values[4 * part :]:
        n += np.isnan(value)
    return n > 0


@kernel
def side_codes(ends: Array, characters: Array, out: Array) -> None:
    """Write +1 for each "bid", -1 for each "ask" and 0 for anything else.

    Parameters
    ----------
    ends : ndarray of int64, shape (n + 1,)
        Where each string begins in `characters`, and the last one ends.
    characters : ndarray of uint8
    out : ndarray of int8, shape (n,)
    """
    bid = ord("b") | ord("i") << 8 | ord("d") << 16
    ask = ord("a") | ord("s") << 8 | ord("k") << 16
    for i in range(out.size):
        k, word = np.uint64(ends[i]), 0  # unsigned: as in `count_until`
        if ends[i + 1] - ends[i] == 3:
            word = int(characters[k]) | int(characters[k + ONE]) << 8 | int(characters[k + TWO]) << 16
        out[i] = np.int8(word == bid) - np.int8(word == ask)


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
def ask_ahead(times: int, prices: int, row: int) -> None:
    """Ask memory for quotes, given the addresses of those ahead of row 0: two lines, about a step from fill to fill."""
    for offset in (8 * row, 8 * row + LINE_BYTES):
        prefetch(times + offset)
        prefetch(prices + offset)


@kernel
def references(
    ns: Array,
    quote_ns: Array,
    reference: Array,
    gaps: Array,
    horizons_ns: Array,
    max_age_ns: int,
    at: Array,
    out: Array,
) -> None:
    """What fills are marked against.

    Parameters
    ----------
    ns : ndarray of int64, shape (n,)
        Times of fills, ascending.
    at : ndarray of int64, shape (h + 2,)
        Where to start: quotes up to each horizon's end, and strictly before the fill; then the gap at hand. Zeroed
        before the first fills, and brought forward.
    out : ndarray of float64, shape (h + 1, >= n)
        Written: the reference at each horizon and strictly before the fill.
    """
    h, m, gap = horizons_ns.size, quote_ns.size, at[-1]
    times, prices = quote_ns.ctypes.data + AHEAD_BYTES, reference.ctypes.data + AHEAD_BYTES
    last_ns, next_gap = quote_ns[m - 1], gaps[gap]
    for i in range(ns.size):
        t = ns[i]
        before = count_until(quote_ns, at[h], t - 1)
        at[h] = before
        out[h, i] = reference[before - 1] if before > 0 else np.nan
        if next_gap < m:
            book = count_until(quote_ns, before, t) - 1
            while next_gap < book:
                gap += 1
                next_gap = gaps[gap]
        for k in range(h):
            end_ns = t + horizons_ns[k]
            count = count_until(quote_ns, at[k], end_ns)
            at[k] = count
            usable = 0 < count <= next_gap and end_ns < last_ns and end_ns - quote_ns[count - 1] <= max_age_ns
            out[k, i] = reference[count - 1] if usable else np.nan
        ask_ahead(times, prices, at[h - 1])
    at[-1] = gap


@kernel
def references_in_the_clear(
    ns: Array, quote_ns: Array, reference: Array, horizons_ns: Array, at: Array, out: Array
) -> None:
    """As `references`, where `is_clear`: every reference is there and usable."""
    h = np.uint64(horizons_ns.size)
    times, prices = quote_ns.ctypes.data + AHEAD_BYTES, reference.ctypes.data + AHEAD_BYTES
    for i in range(np.uint64(ns.size)):
        t = ns[i]
        count = count_near(quote_ns, np.uint64(at[h]), t - 1)
        at[h] = count
        out[h, i] = reference[count - ONE]
        for k in range(h):
            count = count_near(quote_ns, np.uint64(at[k]), t + horizons_ns[k])
            at[k] = count
            out[k, i] = reference[count - ONE]
        ask_ahead(times, prices, int(count))


@kernel
def is_clear(ns: Array, quote_ns: Array, gaps: Array, farthest_ns: int, at: Array) -> bool:
    """Whether a quote lies before these fills, no gap within their horizons, and more than a step of quotes after."""
    h, end_ns = at.size - 2, ns[-1] + farthest_ns
    while gaps[at[-1]] < at[h] - 1:
        at[-1] += 1
    count = count_until(quote_ns, at[h], end_ns)
    return bool(at[h] > 0 and count + int(STEP) < quote_ns.size and gaps[at[-1]] >= count)


@kernel
def decompose(side: Array, price: Array, marks: Array, scale: Array, first: int, out: Array) -> None:
    """Write the columns of `markout_table` from `first` on, given what each fill is marked against.

    Rows are sliced before the loops, which then vectorise.
    """
    h, n = out.shape[0] // 2 - 1, price.size
    last = first + n
    before, mid, capture = marks[h][:n], out[h][first:last], out[h + 1][first:last]
    for i in range(n):
        scale[i] = 1e4 * side[i] / price[i]
    for i in range(n):
        mid[i] = before[i]
        capture[i] = scale[i] * (before[i] - price[i])
    for k in range(h):
        mark, markout, adverse = marks[k][:n], out[k][first:last], out[h + 2 + k][first:last]
        for i in range(n):
            markout[i] = scale[i] * (mark[i] - price[i])
        for i in range(n):
            adverse[i] = scale[i] * (mark[i] - before[i])


@kernel
def markout_range(
    ns: Array, side: Array, price: Array, quote_ns: Array, reference: Array, gaps: Array, horizons_ns: Array,
    max_age_ns: int, out: Array, longest_ns: int, first: int, last: int,
) -> None:  # fmt: skip
    """As `markout_table`, for the fills ``first : last`` only, so that threads may share the work.

    `longest_ns` is the longest interval between quotes: within `max_age_ns`, most fills need fewer tests.
    """
    if quote_ns.size == 0:
        out[:, first:last] = np.nan
        return
    h = horizons_ns.size
    at = np.zeros(h + 2, np.int64)
    # Blocks of fills small enough for the cache; rows of `marks` must not lie a power of two apart in it.
    marks, scale = np.empty((h + 1, BLOCK + 8)), np.empty(BLOCK)
    for i in range(first, last, BLOCK):
        j = min(last, i + BLOCK)
        if longest_ns <= max_age_ns and is_clear(ns[i:j], quote_ns, gaps, horizons_ns.max(), at):
            references_in_the_clear(ns[i:j], quote_ns, reference, horizons_ns, at, marks)
        else:
            references(ns[i:j], quote_ns, reference, gaps, horizons_ns, max_age_ns, at, marks)
        decompose(side[i:j], price[i:j], marks, scale, i, out)


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
        Horizons in ns, >= 0; at least one.
    max_age_ns : int
        Oldest usable reference.
    out : ndarray of float64, shape (2*h + 2, n)
        Written: markout at each horizon, mid_before, spread capture, adverse at each horizon; bps but for mid_before.
    """
    markout_range(
        ns, side, price, quote_ns, reference, gaps, horizons_ns, max_age_ns, out, NEVER_NS, 0, ns.size
    )  # fmt: skip


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
