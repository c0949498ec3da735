"""The signature of a user's quoting function, and how it crosses into the compiled loop.

A quoter compiles on its own, in about 0.1 s, and is called through its address: the replay loop is never recompiled.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
from numba.core import types
from numba.core.types import FunctionType

from mmlab.events import MARKET, METRIC, QUOTE
from mmlab.params import PARAMS

MARKET_T, METRIC_T, PARAMS_T, QUOTE_T = (numba.from_dtype(d) for d in (MARKET, METRIC, PARAMS, QUOTE))
SIGNATURE = types.int64(MARKET_T, METRIC_T, types.int64, PARAMS_T, types.Array(QUOTE_T, 1, "C"))
QUOTER_T = FunctionType(SIGNATURE)
"""Numba type of a quoter argument, for the explicit signature of a loop that takes one."""


def compile_quoter(function: Callable[..., int], *, cache: bool = False) -> Callable[..., int]:
    """Compile ``f(market, metrics, position_lots, params, out) -> n`` under the project's jit policy.

    With `cache` the machine code is kept on disk; only for a function that calls no other.
    """
    return numba.njit(SIGNATURE, cache=cache, error_model="numpy", nogil=True)(function)


def no_quotes(market: Any, metrics: Any, position_lots: int, params: Any, out: Any) -> int:
    """The quoter of a config whose model is built in: never called for its quotes."""
    return 0
