"""Fewer points, the same picture.

Of each pixel column the first, last, lowest and highest point are kept, so a line drawn through them covers the same
pixels as the line through all (Jugel et al. 2014, "M4: a visualization-oriented time series data aggregation").
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

BUCKETS = 1200
"""Pixel columns of a wide figure."""


def m4(x: Array, columns: Sequence[Array], buckets: int = BUCKETS) -> Array:
    """Rows to keep.

    Parameters
    ----------
    x : ndarray, shape (n,)
        Ascending.
    columns : sequence of ndarray of float64, shape (n,)
        Series over `x` that will be drawn; NaN breaks a line, and of each bucket the first break is kept.
    buckets : int
        Pixel columns.

    Returns
    -------
    ndarray of int64
        Ascending row numbers; all rows if there are few.
    """
    n = x.size
    if n <= 4 * buckets or x[-1] == x[0]:
        return np.arange(n)
    bucket = np.minimum(((x - x[0]) / ((x[-1] - x[0]) / buckets)).astype(np.int64), buckets - 1)
    starts = np.flatnonzero(np.diff(bucket, prepend=-1))
    run = np.repeat(np.arange(starts.size), np.diff(starts, append=n))
    keep = [starts, np.append(starts[1:], n) - 1]
    for y in columns:
        extremes = (extreme.reduceat(y, starts)[run] for extreme in (np.fmin, np.fmax))
        keep += [_first_in_run(y == value, run) for value in extremes]
        keep.append(_first_in_run(np.isnan(y), run))
    return np.unique(np.concatenate(keep))


def _first_in_run(match: Array, run: Array) -> Array:
    rows = np.flatnonzero(match)
    _, first = np.unique(run[rows], return_index=True)
    return rows[first]
