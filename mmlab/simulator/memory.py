"""Rows of tables through their address: how the replay loop holds twenty tables at no cost.

An array argument costs a compiled function two atomic reference counts, at each call, and the loop's functions would
pass a dozen of them: half of its time. A table's address in the `SIM` record costs nothing. The driver owns the arrays
and outlives the call. Compiled code checks no index; interpreted (``NUMBA_DISABLE_JIT=1``) every row is checked against
the table's end.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from numba.core import cgutils, types
from numba.extending import intrinsic

from mmlab.kernels.policy import INTERPRETED

Array = np.ndarray[Any, Any]
Intrinsic = Any
"""What Numba makes of a function that writes LLVM code; its typing knows nothing of the compiled call."""


_BYTES: dict[int, int] = {}
"""Interpreted mode: sizes of tables by address."""


def address_of(table: Array) -> int:
    """Where a table begins; the caller keeps it alive."""
    address = int(table.ctypes.data)
    if INTERPRETED:
        _BYTES[address] = table.nbytes
    return address


def _view(address: int, index: int, dtype: np.dtype[Any]) -> Array:
    """One row of a table, for interpreted mode."""
    address, begin = int(address), int(index) * dtype.itemsize
    if not 0 <= begin <= _BYTES[address] - dtype.itemsize:
        raise IndexError(f"row {index} of a table of {_BYTES[address] // dtype.itemsize} rows")
    buffer: Any = (ctypes.c_char * dtype.itemsize).from_address(address + begin)
    array: Array = np.frombuffer(buffer, dtype)
    return array.view(np.recarray) if dtype.names else array


def rows_of(dtype: np.dtype[Any]) -> Callable[[int, int], Any]:
    """``at(address, index)``: a row of a table of records, or a value of a table of numbers."""
    if INTERPRETED:
        return lambda address, index: _view(address, index, dtype)[0]
    element: Any = numba.from_dtype(dtype)
    is_record = dtype.names is not None
    result = element if is_record else types.int64

    @intrinsic
    def at(typing_context: Any, address: Any, index: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            offset = builder.mul(arguments[1], context.get_constant(types.int64, dtype.itemsize))
            place = builder.add(arguments[0], offset)
            if is_record:
                return builder.inttoptr(place, context.get_value_type(element))
            value = builder.load(builder.inttoptr(place, context.get_data_type(element).as_pointer()))
            return context.cast(builder, value, element, result)

        return result(types.int64, types.int64), code

    compiled: Intrinsic = at
    return compiled


def one_row_at(dtype: np.dtype[Any]) -> Callable[[int], Any]:
    """``row(address)``: a table of one record as an array that is not reference-counted."""
    if INTERPRETED:
        return lambda address: _view(address, 0, dtype)
    array_type: Any = types.Array(numba.from_dtype(dtype), 1, "C")
    tools: Any = cgutils

    @intrinsic
    def row(typing_context: Any, address: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            array = context.make_array(array_type)(context, builder)
            one, size = (context.get_constant(types.intp, n) for n in (1, dtype.itemsize))
            data = builder.inttoptr(arguments[0], array.data.type)
            context.populate_array(
                array, data=data, shape=tools.pack_array(builder, [one]), strides=tools.pack_array(builder, [size]),
                itemsize=size, meminfo=None,
            )  # fmt: skip
            return array._getvalue()  # noqa: SLF001  # so named in Numba's own code generators

        return array_type(types.int64), code

    compiled: Intrinsic = row
    return compiled
