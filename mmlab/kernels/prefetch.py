"""Ask memory for what will be read soon: who walks several tables at once is ahead of what the processor foresees."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from mmlab.kernels.policy import INTERPRETED

LINE_BYTES = 64
"""What memory hands over at once."""


def _prefetch() -> Callable[[int], None]:
    """``prefetch(address)``: ask for the line of an address, which may lie outside every table."""
    if INTERPRETED:
        return lambda _: None

    @intrinsic
    def touch(typing_context: Any, address: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            number, byte = ir.IntType(32), ir.IntType(8).as_pointer()
            kind = ir.FunctionType(ir.VoidType(), [byte, number, number, number])
            tools: Any = cgutils
            fetch = tools.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8")
            to_read, keep, data = number(0), number(3), number(1)
            builder.call(fetch, [builder.inttoptr(arguments[0], byte), to_read, keep, data])
            return context.get_dummy_value()

        return types.none(types.int64), code

    compiled: Any = touch
    return compiled


prefetch = _prefetch()
