"""Medians of resampled blocks, for bootstrap bands."""

from __future__ import annotations

from typing import Any

import numpy as np

from mmlab.kernels.policy import kernel

Array = np.ndarray[Any, Any]


@kernel
def block_medians(values: Array, block: Array, counts: Array, out: Array) -> None:
    """Median of `values` when each block is taken as often as a draw says.

    Parameters
    ----------
    values : ndarray of float64, shape (n,)
        Ascending.
    block : ndarray of int64, shape (n,)
        Block of each value.
    counts : ndarray of int64, shape (draws, blocks)
        How often each draw takes each block.
    out : ndarray of float64, shape (draws,)
        Written.
    """
    for d in range(out.size):
        total = 0
        for i in range(values.size):
            total += counts[d, block[i]]
        seen, i = 0, -1
        while seen <= (total - 1) // 2:
            i += 1
            seen += counts[d, block[i]]
        lower = values[i]
        while seen <= total // 2:
            i += 1
            seen += counts[d, block[i]]
        out[d] = 0.5 * (lower + values[i])
