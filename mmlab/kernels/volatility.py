"""Volatility: debiased EWMA of dmid^2/dt of prevailing mids on a fixed clock (`terms.md`, Quoting).

Clock points are the whole multiples of the clock. The mid at a point is the one after the last book event at or before
it; an interval in which the mid was NaN at any moment is skipped. Between two book events the mid does not move, so
only the first point after an event can bring a move and the rest decay in closed form: the cost does not depend on how
long the feed was quiet.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from mmlab.events import NS_PER_S
from mmlab.kernels.policy import kernel
from mmlab.kernels.windows import sorted_insert, sorted_remove

Array = np.ndarray[Any, Any]

MEDIAN_EVERY_NS = 10 * NS_PER_S
MEDIAN_SAMPLES = 180
"""The 30-min median is over one sigma every 10 s."""

VOL = np.dtype(
    [
        ("started", "u1"),
        ("frozen", "u1"),
        ("broken", "u1"),
        ("sampled", "u1"),
        ("mid", "f8"),
        ("sample", "f8"),
        ("next_ns", "i8"),
        ("numerator", "f8"),
        ("weight", "f8"),
        ("n", "i8"),
        ("warm_up_n", "i8"),
        ("clock_ns", "i8"),
        ("half_life_s", "f8"),
        ("log_decay", "f8"),
        ("ring", "f8", (MEDIAN_SAMPLES,)),
        ("ascending", "f8", (MEDIAN_SAMPLES,)),
        ("ring_next", "i8"),
        ("ring_n", "i8"),
    ],
    align=True,
)
"""``mid`` prevails; ``sample`` is the mid at the last clock point (if ``sampled``); ``next_ns`` is the next point;
``broken`` marks an interval that saw a NaN. ``n`` counts intervals; sigma is NaN below ``warm_up_n``, set by the owner.
``frozen``, set by the owner, keeps the 30-min median as it is."""


@kernel
def vol_clock(v: Any, clock_ns: int, half_life_s: float) -> None:
    """Take the clock and half-life, which may change while running."""
    if v.clock_ns != clock_ns:
        v.sampled = 0
        v.next_ns = -(-v.next_ns // clock_ns) * clock_ns
    if v.clock_ns != clock_ns or v.half_life_s != half_life_s:
        v.clock_ns, v.half_life_s = clock_ns, half_life_s
        v.log_decay = -math.log(2.0) * (clock_ns / NS_PER_S) / half_life_s


@kernel
def vol_add(v: Any, square: float, count: int) -> None:
    """Add one interval's dmid^2/dt and, after it, `count - 1` intervals without a move."""
    decay = math.exp(v.log_decay)
    v.numerator = decay * v.numerator + square
    v.weight = decay * v.weight + 1.0
    if count > 1:
        lost = -math.expm1((count - 1) * v.log_decay)
        v.numerator -= lost * v.numerator
        v.weight += lost * (-1.0 / math.expm1(v.log_decay) - v.weight)
    v.n += count


@kernel
def vol_raw(v: Any) -> float:
    """Sigma without a floor; NaN during warm-up."""
    return np.nan if v.n < max(v.warm_up_n, 1) else math.sqrt(v.numerator / v.weight)


@kernel
def vol_remember(v: Any) -> None:
    """Put the present sigma in the 30-min ring, unless frozen, in warm-up or without a mid."""
    sigma = vol_raw(v)
    if v.frozen or np.isnan(sigma) or np.isnan(v.mid):
        return
    if v.ring_n == MEDIAN_SAMPLES:
        sorted_remove(v.ascending, v.ring_n, v.ring[v.ring_next])
        v.ring_n -= 1
    sorted_insert(v.ascending, v.ring_n, sigma)
    v.ring_n += 1
    v.ring[v.ring_next] = sigma
    v.ring_next = (v.ring_next + 1) % MEDIAN_SAMPLES


@kernel
def vol_points(v: Any, count: int) -> None:
    """Take the prevailing mid at the next `count` clock points."""
    v.next_ns += count * v.clock_ns
    if np.isnan(v.mid):
        v.sampled, v.broken = 0, 0
        return
    if v.sampled and not v.broken:
        move = v.mid - v.sample
        vol_add(v, move * move * (NS_PER_S / v.clock_ns), count)
    elif count > 1:
        vol_add(v, 0.0, count - 1)
    v.sample, v.sampled, v.broken = v.mid, 1, 0


@kernel
def vol_until(v: Any, end_ns: int) -> None:
    """Take every clock point before `end_ns`, stopping at the 10-s marks to remember sigma."""
    while v.next_ns < end_ns:
        mark = -(-v.next_ns // MEDIAN_EVERY_NS) * MEDIAN_EVERY_NS
        count = -(-(min(end_ns, mark + 1) - v.next_ns) // v.clock_ns)
        vol_points(v, count)
        if v.next_ns > mark:
            vol_remember(v)


@kernel
def vol_update(v: Any, t_ns: int, mid: float, clock_ns: int, half_life_s: float) -> None:
    """Take a book event at `t_ns` whose new mid is `mid` (NaN: no valid book).

    Clock points strictly before `t_ns` are taken with the mid that prevailed until now.
    """
    vol_clock(v, clock_ns, half_life_s)
    if v.started == 0:
        v.started, v.mid = 1, mid
        v.next_ns = -(-t_ns // clock_ns) * clock_ns
    elif v.next_ns < t_ns:
        vol_until(v, t_ns)
    v.mid = mid
    if np.isnan(mid):
        v.broken = 1


@kernel
def vol_timer(v: Any, t_ns: int, clock_ns: int, half_life_s: float) -> None:
    """Take the clock points up to and at `t_ns`, which comes after every book event at that time."""
    if v.started:
        vol_clock(v, clock_ns, half_life_s)
        vol_until(v, t_ns + 1)


@kernel
def vol_sigma(v: Any, floor: float) -> float:
    """Volatility in price per sqrt(second), at least `floor`; NaN during warm-up."""
    return max(vol_raw(v), floor) if v.n >= max(v.warm_up_n, 1) else np.nan


@kernel
def vol_median(v: Any, floor: float) -> float:
    """Median over 30 min of sigma, each sample at least `floor`; NaN while there is none."""
    n = v.ring_n
    if n == 0:
        return np.nan
    if n % 2 == 1:
        return max(v.ascending[n // 2], floor)
    return 0.5 * (max(v.ascending[n // 2 - 1], floor) + max(v.ascending[n // 2], floor))


@kernel
def vol_series(ns: Array, mid: Array, clock_ns: int, half_life_s: float, floor: float, v: Any, out: Array) -> None:
    """Sigma in force after each book event.

    Parameters
    ----------
    ns : ndarray of int64, shape (n,)
        Times of book events, ascending.
    mid : ndarray of float64, shape (n,)
        The mid after each; NaN without a valid book.
    v : VOL row
        Zeroed, with ``warm_up_n`` set.
    out : ndarray of float64, shape (n,)
        Written: sigma in price per sqrt(second).
    """
    for i in range(ns.size):
        vol_update(v, ns[i], mid[i], clock_ns, half_life_s)
        out[i] = vol_sigma(v, floor)
