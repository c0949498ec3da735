"""The one jit policy of the project.

`kernel` marks every compiled function: cached on disk, IEEE division (no Python exceptions in the loop), no fastmath
(results must be equal on every run), and `nogil`, so that a kernel never stalls another thread of the engine.
With ``NUMBA_DISABLE_JIT=1`` the same functions run as plain Python, for coverage.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np

F = TypeVar("F", bound=Callable[..., Any])


def kernel(function: F) -> F:
    """Compile `function` under the project's jit policy."""
    return cast(F, numba.njit(cache=True, error_model="numpy", nogil=True)(function))


def inline(function: F) -> F:
    """As `kernel`, for a scalar formula that is always inlined into its caller."""
    return cast(F, numba.njit(cache=True, error_model="numpy", nogil=True, inline="always")(function))


def one_row(dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    """One zeroed row of `dtype`: how state and parameters cross into a kernel.

    Kernels read fields as attributes, which plain structured scalars lack in interpreted mode; there the row is a
    record array.
    """
    row = np.zeros(1, dtype)
    return cast("np.ndarray[Any, Any]", row.view(np.recarray)) if numba.config.DISABLE_JIT else row
