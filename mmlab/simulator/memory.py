"""Rows of tables through their address: how the replay loop holds twenty tables at no cost.

An array argument costs a compiled function two atomic reference counts, at each call, and the loop's functions would
pass a dozen of them: half of its time. A table's address in the `SIM` record costs nothing. The driver owns the arrays
and outlives the call.
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


def _view(address: int, dtype: np.dtype[Any], rows: int = 1) -> Array:
    """An array over foreign memory."""
    buffer = (ctypes.c_char * (dtype.itemsize * rows)).from_address(int(address))
    array = np.frombuffer(buffer, dtype)
    return array.view(np.recarray) if dtype.names else array


def _pointer(context: Any, builder: Any, address: Any, index: Any, element: Any) -> Any:
    """LLVM pointer to element `index` of a table of numba type `element`."""
    data = context.get_data_type(element)
    size = context.get_constant(types.int64, context.get_abi_sizeof(data))
    return builder.inttoptr(builder.add(address, builder.mul(index, size)), data.as_pointer())


def rows_of(dtype: np.dtype[Any]) -> Callable[[int, int], Any]:
    """``at(address, index)``: a row of a table of records."""
    if INTERPRETED:
        return lambda address, index: _view(address + index * dtype.itemsize, dtype)[0]
    record = numba.from_dtype(dtype)

    @intrinsic
    def at(typing_context: Any, address: Any, index: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            offset = builder.mul(arguments[1], context.get_constant(types.int64, dtype.itemsize))
            pointer = context.get_value_type(record)
            return builder.inttoptr(builder.add(arguments[0], offset), pointer)

        return record(types.int64, types.int64), code

    return at


def values_of(dtype: np.dtype[Any]) -> Callable[[int, int], Any]:
    """``get(address, index)``: a number of a table of numbers."""
    if INTERPRETED:
        return lambda address, index: _view(address + index * dtype.itemsize, dtype)[0]
    element = numba.from_dtype(dtype)

    @intrinsic
    def get(typing_context: Any, address: Any, index: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            value = builder.load(_pointer(context, builder, *arguments, element))
            return context.cast(builder, value, element, types.int64)

        return types.int64(types.int64, types.int64), code

    return get


def stores_of(dtype: np.dtype[Any]) -> Callable[[int, int, int], None]:
    """``put(address, index, value)``: set a number of a table of numbers."""
    if INTERPRETED:

        def put_interpreted(address: int, index: int, value: int) -> None:
            _view(address + index * dtype.itemsize, dtype)[0] = value

        return put_interpreted
    element = numba.from_dtype(dtype)

    @intrinsic
    def put(typing_context: Any, address: Any, index: Any, value: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            number = context.cast(builder, arguments[2], types.int64, element)
            builder.store(number, _pointer(context, builder, arguments[0], arguments[1], element))
            return context.get_dummy_value()

        return types.void(types.int64, types.int64, types.int64), code

    return put


def one_row_at(dtype: np.dtype[Any]) -> Callable[[int], Any]:
    """``row(address)``: a table of one record as an array that is not reference-counted."""
    if INTERPRETED:
        return lambda address: _view(address, dtype)
    array_type = types.Array(numba.from_dtype(dtype), 1, "C")

    @intrinsic
    def row(typing_context: Any, address: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            array = cgutils.create_struct_proxy(array_type)(context, builder)
            one, size = (context.get_constant(types.intp, n) for n in (1, dtype.itemsize))
            data = builder.inttoptr(arguments[0], array.data.type)
            array.data, array.nitems, array.itemsize = data, one, size
            array.shape, array.strides = (cgutils.pack_array(builder, [n]) for n in (one, size))
            array.meminfo = cgutils.get_null_value(array.meminfo.type)
            array.parent = cgutils.get_null_value(array.parent.type)
            return array._getvalue()

        return array_type(types.int64), code

    return row
