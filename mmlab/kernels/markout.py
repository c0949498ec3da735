"""Markouts online: hits wait for the mid one horizon later, then join a rolling window (`terms.md`, Fill metrics).

`markout_table` has the same over arrays. One `MARKOUT` record a side. At a book event (GAP and SNAPSHOT_BEGIN are book
events too) call `markout_advance` *before* the event takes effect, then, if it loses the book, `markout_gap`. Fills are
registered with `markout_fill` when they become known, in any order.

A hit whose interval touches a GAP, whose reference is too old, or which became known after its horizon had passed is
completed as NaN: counted in ``nan``, not in the window. A gap lasts until the first book event with a mid.

Windows never forget at a new epoch: statistics take `since_ns`, and see of the last `window` hits those filled at or
after it. ``epoch_ns`` is the boundary for the switch that watches this side; the cooldown and the displays pass none.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mmlab.events import NEVER_NS
from mmlab.kernels.policy import kernel
from mmlab.kernels.windows import median_of

Array = np.ndarray[Any, Any]

PENDING = 2048
COMPLETED = 1024
ALWAYS_NS = 0
"""`since_ns` of statistics that know no epoch."""

MARKOUT = np.dtype(
    [
        ("pending_ns", "i8", (PENDING,)),
        ("pending_price", "f8", (PENDING,)),
        ("pending_size", "f8", (PENDING,)),
        ("head", "i8"),
        ("pending", "i8"),
        ("done_ns", "i8", (COMPLETED,)),
        ("done_bps", "f8", (COMPLETED,)),
        ("done_size", "f8", (COMPLETED,)),
        ("done", "i8"),
        ("nan", "i8"),
        ("epoch_ns", "i8"),
        ("epoch_n", "i8"),
        ("in_gap", "u1"),
        ("gap_ns", "i8"),
        ("gap_end_ns", "i8"),
        ("scratch", "f8", (COMPLETED,)),
    ],
    align=True,
)
"""Pending hits by fill time (size-weighted price); a ring of completed ones, ``done`` of them so far. ``nan`` counts
those completed as NaN; ``epoch_n`` those completed whose fill lies at or after ``epoch_ns``."""


@kernel
def markout_bps(side: int, price: float, mid: float) -> float:
    """Markout of a fill at `price` against `mid`: ``1e4*s*(mid - price)/price``."""
    return 1e4 * side * (mid - price) / price


@kernel
def markout_fill(m: Any, exch_ns: int, price: float, size: float) -> None:
    """Register a fill; fills with one exchange time merge in one hit with the size-weighted price.

    With 2,048 hits pending the oldest is given up (as NaN).
    """
    mask = PENDING - 1
    i = m.pending
    while i > 0 and m.pending_ns[(m.head + i - 1) & mask] > exch_ns:
        i -= 1
    at = (m.head + i - 1) & mask
    if i > 0 and m.pending_ns[at] == exch_ns:
        total = m.pending_size[at] + size
        m.pending_price[at] += (price - m.pending_price[at]) * (size / total)
        m.pending_size[at] = total
        return
    if m.pending == PENDING:
        m.nan += 1
        if i == 0:
            return
        m.head = (m.head + 1) & mask
        m.pending -= 1
        i -= 1
    for k in range(m.pending, i, -1):
        to, source = (m.head + k) & mask, (m.head + k - 1) & mask
        m.pending_ns[to] = m.pending_ns[source]
        m.pending_price[to] = m.pending_price[source]
        m.pending_size[to] = m.pending_size[source]
    at = (m.head + i) & mask
    m.pending_ns[at], m.pending_price[at], m.pending_size[at] = exch_ns, price, size
    m.pending += 1


@kernel
def markout_usable(m: Any, fill_ns: int, end_ns: int, mid: float, mid_exch_ns: int, max_age_ns: int) -> bool:
    """Whether `mid`, of time `mid_exch_ns`, is what prevailed at `end_ns`, with no gap since the fill."""
    if np.isnan(mid) or mid_exch_ns > end_ns or end_ns - mid_exch_ns > max_age_ns:
        return False
    return not (fill_ns < m.gap_end_ns and end_ns >= m.gap_ns)


@kernel
def markout_due(m: Any, exch_ns: int, horizon_ns: int) -> bool:
    """Whether `markout_advance` has anything to do before a book event at `exch_ns`."""
    return m.in_gap != 0 or (m.pending > 0 and m.pending_ns[m.head] + horizon_ns < exch_ns)


@kernel
def markout_advance(
    m: Any, side: int, exch_ns: int, mid: float, mid_exch_ns: int, horizon_ns: int, max_age_ns: int
) -> int:
    """Before a book event at `exch_ns`: complete the hits whose horizon lies strictly before it.

    Parameters
    ----------
    mid, mid_exch_ns : float, int
        The mid prevailing until now (NaN without a valid book), and the time of the quote it comes from.

    Returns
    -------
    int
        Hits completed with a value.
    """
    if m.in_gap and not np.isnan(mid):
        m.in_gap, m.gap_end_ns = 0, mid_exch_ns
    before = m.done
    while m.pending > 0:
        i = m.head
        fill_ns = m.pending_ns[i]
        end_ns = fill_ns + horizon_ns
        if end_ns >= exch_ns:
            break
        m.head = (i + 1) & (PENDING - 1)
        m.pending -= 1
        if markout_usable(m, fill_ns, end_ns, mid, mid_exch_ns, max_age_ns):
            at = m.done & (COMPLETED - 1)
            m.done_ns[at], m.done_size[at] = fill_ns, m.pending_size[i]
            m.done_bps[at] = markout_bps(side, m.pending_price[i], mid)
            m.done += 1
            m.epoch_n += 1 if fill_ns >= m.epoch_ns else 0
        else:
            m.nan += 1
    return m.done - before


@kernel
def markout_gap(m: Any, exch_ns: int) -> None:
    """The book was lost at `exch_ns`: every interval that touches this gap becomes NaN."""
    if not m.in_gap:
        m.in_gap, m.gap_ns, m.gap_end_ns = 1, exch_ns, NEVER_NS


@kernel
def markout_epoch(m: Any, exch_ns: int) -> None:
    """Start a new epoch: its samples come from fills at or after `exch_ns`."""
    m.epoch_ns, m.epoch_n = exch_ns, 0


@kernel
def markout_first(m: Any, window: int) -> int:
    """Ordinal of the oldest of the last `window` (at most 1,024) completed hits."""
    return max(0, m.done - min(window, COMPLETED))


@kernel
def markout_n(m: Any, window: int, since_ns: int = ALWAYS_NS) -> int:
    """How many of the last `window` completed hits were filled at or after `since_ns`."""
    n = 0
    for k in range(markout_first(m, window), m.done):
        n += 1 if m.done_ns[k & (COMPLETED - 1)] >= since_ns else 0
    return n


@kernel
def markout_median(m: Any, window: int, since_ns: int = ALWAYS_NS) -> float:
    """Median in bps of the last `window` completed hits; NaN if none."""
    n = 0
    for k in range(markout_first(m, window), m.done):
        i = k & (COMPLETED - 1)
        if m.done_ns[i] >= since_ns:
            m.scratch[n] = m.done_bps[i]
            n += 1
    return median_of(m.scratch, n)


@kernel
def markout_mean(m: Any, window: int, since_ns: int = ALWAYS_NS) -> float:
    """Mean in bps of the last `window` completed hits, each counting once; NaN if none."""
    n, total = 0, 0.0
    for k in range(markout_first(m, window), m.done):
        i = k & (COMPLETED - 1)
        if m.done_ns[i] >= since_ns:
            total += m.done_bps[i]
            n += 1
    return total / n if n > 0 else np.nan


@kernel
def markout_weighted_mean(m: Any, window: int, since_ns: int = ALWAYS_NS) -> float:
    """Size-weighted mean in bps of the last `window` completed hits; NaN if none."""
    size, total = 0.0, 0.0
    for k in range(markout_first(m, window), m.done):
        i = k & (COMPLETED - 1)
        if m.done_ns[i] >= since_ns:
            total += m.done_bps[i] * m.done_size[i]
            size += m.done_size[i]
    return total / size if size > 0.0 else np.nan


@kernel
def share_below(m: Any, window: int, threshold_bps: float, ties_half: bool, since_ns: int = ALWAYS_NS) -> float:
    """Share of the last `window` completed hits below `threshold_bps`; NaN if none.

    With `ties_half` those exactly at the threshold count half.
    """
    n, below = 0, 0.0
    for k in range(markout_first(m, window), m.done):
        i = k & (COMPLETED - 1)
        if m.done_ns[i] >= since_ns:
            n += 1
            if m.done_bps[i] < threshold_bps:
                below += 1.0
            elif ties_half and m.done_bps[i] == threshold_bps:
                below += 0.5
    return below / n if n > 0 else np.nan


@kernel
def effective_n(m: Any, window: int, horizon_ns: int, since_ns: int = ALWAYS_NS) -> int:
    """Distinct horizon-long buckets of fill time that hold one of the last `window` completed hits."""
    n, previous = 0, np.int64(-1)
    for k in range(markout_first(m, window), m.done):
        i = k & (COMPLETED - 1)
        bucket = m.done_ns[i] // horizon_ns
        if m.done_ns[i] >= since_ns and bucket != previous:
            n += 1
            previous = bucket
    return n
