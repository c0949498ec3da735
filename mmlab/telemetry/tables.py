"""The tables of a run: one schema for arrays (kernels), DataFrames (edge) and files, lossless both ways.

An edge table holds every field of its record as it is (times in ns, prices in ticks, sizes in lots) and, beside them,
what a reader wants: the UTC time, prices in quote currency, sizes in base currency, names instead of codes. Only the
record's own fields are read back from a file, so nothing is lost by rounding.

    record (ndarray)  --to_frame-->  DataFrame            --edge_table-->  Arrow table  -->  Parquet, CSV
                      <-----------------------------------from_arrow-----  Arrow table  <--
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import IntEnum
from functools import cache
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa

from mmlab.events import (
    BID,
    DECISION,
    FILL,
    GATE,
    METRIC,
    NO_PRICE,
    ORDER,
    TARGET,
    FillKind,
    GateAction,
    Liquidity,
    OrderReason,
    OrderState,
    Switch,
)

Array = np.ndarray[Any, Any]

MARKOUT = np.dtype(
    [
        ("fill", "i8"),
        ("hit_id", "i8"),
        ("exch_ns", "i8"),
        ("side", "i1"),
        ("horizon_ns", "i8"),
        ("spread_capture_bps", "f8"),
        ("adverse_bps", "f8"),
        ("markout_bps", "f8"),
        ("net_markout_bps", "f8"),
    ],
    align=True,
)
"""One row a fill and horizon, when complete: ``fill`` is the row of the run's `FILL` table, ``exch_ns`` its time."""


@dataclass(frozen=True)
class Scale:
    """Steps of the market, which turn ticks and lots into prices and sizes."""

    tick_size: float
    lot_size: float


@dataclass(frozen=True)
class Schema:
    """How one record shows at the edge.

    Parameters
    ----------
    dtype : dtype
        The record.
    time : str
        Field that becomes the UTC index.
    prices, sizes : dict
        Field in ticks (lots) -> name of its column in quote (base) currency.
    codes : dict
        Field -> enum whose lower-case names replace its numbers.
    """

    dtype: np.dtype[Any]
    time: str
    prices: Mapping[str, str] = field(default_factory=dict)
    sizes: Mapping[str, str] = field(default_factory=dict)
    codes: Mapping[str, type[IntEnum]] = field(default_factory=dict)


SCHEMAS = {
    "fills": Schema(
        FILL,
        "exch_ns",
        {"price_ticks": "price"},
        {
            "size_lots": "size",
            "position_before_lots": "inventory_before",
            "position_after_lots": "inventory_after",
        },
        {"liquidity": Liquidity, "fill_kind": FillKind},
    ),
    "orders": Schema(
        ORDER,
        "local_ns",
        {"price_ticks": "price"},
        {"size_lots": "size", "filled_lots": "filled"},
        {"state": OrderState, "reason": OrderReason},
    ),
    "decisions": Schema(
        DECISION,
        "local_ns",
        {"bid_ticks": "bid", "ask_ticks": "ask"},
        {"bid_lots": "bid_size", "ask_lots": "ask_size", "position_lots": "position"},
    ),
    "gates": Schema(GATE, "local_ns", codes={"switch": Switch, "action": GateAction}),
    "metrics": Schema(METRIC, "local_ns", {}, {"position_lots": "position"}),
    "markouts": Schema(MARKOUT, "exch_ns"),
}
Shown = Literal["as it is", "price", "size", "name"]
SIDES = {BID: "bid", -BID: "ask", 0: "both"}


@dataclass(frozen=True, eq=False)
class Tables:
    """The tables of a run as a driver writes them: `FILL`, `ORDER`, `DECISION`, `TARGET`, `GATE`, `METRIC`."""

    fills: Array
    orders: Array
    decisions: Array
    targets: Array
    gates: Array
    metrics: Array


def price_decimals(step: float) -> int:
    """Decimals that show every multiple of `step` exactly."""
    exponent = Decimal(repr(float(step))).normalize().as_tuple().exponent
    return max(0, -int(exponent))


def to_frame(name: str, rows: Array, scale: Scale) -> pd.DataFrame:
    """Edge form of a record array, indexed by UTC time.

    Parameters
    ----------
    name : str
        Key of `SCHEMAS`.
    rows : ndarray, shape (n,)
        Its dtype is the schema's.
    scale : Scale
        Steps of the market.

    Returns
    -------
    DataFrame
        Edge columns first, then the record's own integers; one row a record, index ``time`` (UTC).
    """
    columns = {
        column: values if names is None else pd.array(_named(values, names), dtype="str")
        for column, values, names in _edge_columns(name, rows, scale)
    }
    stamps = pd.to_datetime(np.ascontiguousarray(rows[SCHEMAS[name].time]), utc=True)
    return pd.DataFrame(columns, index=pd.DatetimeIndex(stamps, name="time"))


def edge_table(name: str, rows: Array, scale: Scale) -> pa.Table:
    """Arrow form of `to_frame`, the UTC time as first column and NaN as null."""
    # Not by way of a DataFrame, which takes several times as long on the few rows that a live run writes at a time.
    stamps = np.ascontiguousarray(rows[SCHEMAS[name].time])
    columns = {"time": pa.array(stamps).cast(pa.timestamp("ns", "UTC"))}
    for column, values, names in _edge_columns(name, rows, scale):
        columns[column] = (
            pa.array(values, from_pandas=True) if names is None else pa.array(_named(values, names), pa.large_string())
        )
    return pa.table(columns)


@cache
def edge_plan(name: str) -> tuple[tuple[str, str, Shown, Mapping[int, str]], ...]:
    """Columns of a table after its time, edge first and the record's own integers after.

    Of each: its name, the record's field, how that is shown, and the names of its codes if by name.
    """
    schema = SCHEMAS[name]
    edge: list[tuple[str, str, Shown, Mapping[int, str]]] = []
    raw: list[tuple[str, str, Shown, Mapping[int, str]]] = []
    for field_ in schema.dtype.names or ():
        if field_ == "side":
            edge.append((field_, field_, "name", SIDES))
        elif field_ in schema.codes:
            edge.append(
                (field_, field_, "name", {member.value: member.name.lower() for member in schema.codes[field_]})
            )
        elif field_ in schema.prices or field_ in schema.sizes:
            shown: Shown = "price" if field_ in schema.prices else "size"
            edge.append(({**schema.prices, **schema.sizes}[field_], field_, shown, {}))
            raw.append((field_, field_, "as it is", {}))
        else:
            (raw if field_.endswith("_ns") else edge).append((field_, field_, "as it is", {}))
    return (*edge, *raw)


def _edge_columns(name: str, rows: Array, scale: Scale) -> Iterator[tuple[str, Array, Mapping[int, str] | None]]:
    """Columns of `edge_plan`: name, values, names of codes if they are."""
    for column, field_, shown, names in edge_plan(name):
        values = np.ascontiguousarray(rows[field_])
        if shown == "price" or shown == "size":
            values = _scaled(values, scale.tick_size if shown == "price" else scale.lot_size)
        yield column, values, names or None


def _named(codes: Array, names: Mapping[int, str]) -> Array:
    low = min(names)
    lookup = np.array([name_of(code, names) for code in range(low, max(names) + 1)], object)
    return lookup[codes.astype(np.int64) - low]


def name_of(code: int, names: Mapping[int, str]) -> str:
    """Name of a code; one without a name, between others, is its number.

    Raises
    ------
    IndexError
        It is beyond all that have one.
    """
    if code in names:
        return names[code]
    if min(names) < code < max(names):
        return str(code)
    raise IndexError(f"{code}: no code of {sorted(names.values())}")


def _scaled(values: Array, step: float) -> Array:
    scaled = np.round(values * step, price_decimals(step))
    return np.where(values == NO_PRICE, np.nan, scaled)


def from_arrow(name: str, table: pa.Table) -> Array:
    """Record array of an edge table.

    Raises
    ------
    ValueError
        A column is missing, or holds a name that its enum does not know.
    """
    schema = SCHEMAS[name]
    missing = [column for column in schema.dtype.names or () if column not in table.column_names]
    if missing:
        raise ValueError(f"column {missing[0]!r} is missing")
    rows = np.zeros(table.num_rows, schema.dtype)
    for column in schema.dtype.names or ():
        if column == "side":
            rows[column] = _codes(table[column], {text: code for code, text in SIDES.items()})
        elif column in schema.codes:
            rows[column] = _codes(table[column], {member.name.lower(): member.value for member in schema.codes[column]})
        else:
            rows[column] = table[column].to_numpy(zero_copy_only=False)
    return rows


def _codes(column: pa.ChunkedArray, codes: Mapping[str, int]) -> list[int]:
    encoded = column.combine_chunks().dictionary_encode()
    names = encoded.dictionary.to_pylist()
    unknown = [name for name in names if name not in codes]
    if unknown:
        raise ValueError(f"{unknown[0]!r} is not one of {sorted(codes)}")
    return np.array([codes[name] for name in names] or [0])[encoded.indices.to_numpy(zero_copy_only=False)]


def csv_types(name: str) -> dict[str, pa.DataType]:
    """Arrow types of a table's own fields, for a CSV reader, which must not guess them."""
    schema = SCHEMAS[name]
    text = {"side", *schema.codes}
    return {
        column: pa.string() if column in text else pa.from_numpy_dtype(schema.dtype[column])
        for column in schema.dtype.names or ()
    }


_TARGET_FIELDS = ("side", "rung", "flags", "price_ticks", "size_lots")


def with_targets(table: pa.Table, decisions: Array, targets: Array) -> pa.Table:
    """Add the column ``target``: the quotes each decision wanted, a list of structs."""
    counts = decisions["targets"].astype(np.int64)
    starts = np.cumsum(counts) - counts
    rows = np.repeat(decisions["first_target"] - starts, counts) + np.arange(counts.sum())
    return table.append_column("target", target_lists(counts, targets[rows]))


def target_lists(counts: Array, targets: Array) -> pa.Array:
    """Lists of target quotes: the first ``counts[0]`` of `targets`, the next ``counts[1]``, and so on."""
    struct = pa.StructArray.from_arrays(
        [pa.array(np.ascontiguousarray(targets[name])) for name in _TARGET_FIELDS], names=list(_TARGET_FIELDS)
    )
    offsets = np.concatenate(([0], np.cumsum(counts)))
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), struct)


def split_targets(decisions: Array, table: pa.Table) -> tuple[Array, Array]:
    """`DECISION` and `TARGET` arrays of a table made by `with_targets`, targets in the order of their decisions."""
    flat = table["target"].combine_chunks().flatten()
    targets = np.zeros(len(flat), TARGET)
    for name in _TARGET_FIELDS:
        targets[name] = flat.field(name).to_numpy(zero_copy_only=False)
    decisions["first_target"] = np.concatenate(([0], np.cumsum(decisions["targets"])[:-1])) if decisions.size else 0
    return decisions, targets


def record_to_dict(row: Any) -> dict[str, Any]:
    """Plain nested values of one record (a one-row array, or a row of one)."""
    row = row[0] if getattr(row, "ndim", 0) else row
    return {name: _plain(row[name]) for name in row.dtype.names}


def _plain(value: Any) -> Any:
    if getattr(value, "dtype", None) is not None and value.dtype.names:
        return record_to_dict(value)
    return value.tolist() if isinstance(value, np.ndarray) else value.item()
