"""The signature of a user's quoting function, and how it crosses into the compiled loop.

A quoter compiles on its own, in about 0.1 s, and is called through its address: the replay loop is never recompiled.
Where a kernel is called for every event the address crosses as a number (`quoter_at`): Numba looks a function argument
up anew at each call, which takes several times as long as a decision.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
from numba.core import types
from numba.core.types import FunctionType
from numba.extending import intrinsic

from mmlab.events import MARKET, METRIC, QUOTE
from mmlab.params import PARAMS

MARKET_T, METRIC_T, PARAMS_T, QUOTE_T = (numba.from_dtype(d) for d in (MARKET, METRIC, PARAMS, QUOTE))
SIGNATURE = types.int64(MARKET_T, METRIC_T, types.int64, PARAMS_T, types.Array(QUOTE_T, 1, "C"))
QUOTER_T = FunctionType(SIGNATURE)
"""Numba type of a quoter argument, for the explicit signature of a loop that takes one."""


@intrinsic
def _quoter_at(typing: Any, address: Any) -> Any:
    """The quoter whose C function stands at `address`, inside a kernel."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointers = context.get_value_type(signature.return_type)  # the C function's comes first
        return builder.insert_value(pointers(None), builder.inttoptr(args[0], pointers.elements[0]), 0)

    return QUOTER_T(types.int64), code


quoter_at: Any = _quoter_at  # as kernels see it: a function of one argument


def compile_quoter(function: Callable[..., int], *, cache: bool = False) -> Callable[..., int]:
    """Compile ``f(market, metrics, position_lots, params, out) -> n`` under the project's jit policy.

    With `cache` the machine code is kept on disk; only for a function that calls no other.
    """
    return numba.njit(SIGNATURE, cache=cache, error_model="numpy", nogil=True)(function)


def no_quotes(market: Any, metrics: Any, position_lots: int, params: Any, out: Any) -> int:
    """The quoter of a config whose model is built in: never called for its quotes."""
    return 0
