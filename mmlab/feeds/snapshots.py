"""Any CSV or Parquet tables of book snapshots and trades.

Columns are found by the names in `table_columns.ALIASES`, or named with ``columns={ours: theirs}``. Ours are, for
books: ``exch_time, local_time, update_id, symbol, bid_price, bid_size, ask_price, ask_size``; for trades: ``exch_time,
local_time, trade_id, symbol, side, price, size, buyer_is_maker``. Levels come as one nested column (a list a row, JSON
text in CSV), as a list of (price, size) pairs (``bids``, ``asks``), or as flat columns, named by a pattern
(``"bid_px_{}"``) or a list of names. With one time only, local and exchange time are the same.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mmlab.errors import FeedError
from mmlab.feeds.decimals import join
from mmlab.feeds.level_diffs import SideViews, book_rows
from mmlab.feeds.lines import Progress
from mmlab.feeds.normalise import Raw
from mmlab.feeds.rows import Rows, Sources, numbers, stack, trade_rows
from mmlab.feeds.table_columns import LEVEL_GROUPS, OURS, Columns, Table
from mmlab.feeds.tables import choose_symbol, match_ids, require_order, sides, whole_numbers

Array = np.ndarray[Any, Any]


def read(
    paths: list[Path],
    progress: Progress | None = None,
    columns: Columns | None = None,
    time_unit: str | None = None,
    symbol: str = "",
    prefer: str = "",
) -> Raw:
    """Read tables of snapshots and of trades, told apart by their columns.

    Parameters
    ----------
    paths : list of Path
    columns : mapping, optional
        Our name -> theirs, where it is not found by itself.
    time_unit : {"s", "ms", "us", "ns"}, optional
        Unit of times given as numbers; inferred from their magnitude if absent.
    symbol : str, optional
        Default: `prefer` if it is there, else the one with most snapshots.
    """
    columns = columns or {}
    unknown = sorted(set(columns) - set(OURS))
    if unknown:
        raise FeedError(f"columns= names {unknown}: our names are {', '.join(OURS)}, theirs are the values")
    if time_unit not in (None, "s", "ms", "us", "ns"):
        raise FeedError(f"time_unit = {time_unit!r}: must be 's', 'ms', 'us' or 'ns'")
    sources = Sources()
    tables = [Table(path, sources, columns, progress) for path in paths]
    books, trades = ([t for t in tables if t.is_book is wanted] for wanted in (True, False))
    if not books:
        missing = [group for group in LEVEL_GROUPS if not tables[0].groups.get(group)]
        reason = f"no table of snapshots: columns for {missing} are missing; name them with columns=; "
        raise FeedError(reason + f"this table has {tables[0].data.column_names}", path=paths[0])
    symbol, notes = _keep_symbol(books, trades, symbol, prefer)
    report: dict[str, Any] = {}
    book, two_clocks = _book(books, sources, time_unit, report)
    raw = Raw(
        sources, book, symbol=symbol, source="snapshots", clocks=2 if two_clocks else 1, notes=notes, report=report
    )
    raw.trades = stack([_trades(table, time_unit) for table in trades])
    return raw


def _keep_symbol(books: list[Table], trades: list[Table], symbol: str, prefer: str) -> tuple[str, list[str]]:
    """Reduce all tables that name symbols to one."""
    named = [(table, name) for table in books if (name := table.find("symbol"))]
    if not named:
        return symbol or prefer, []
    columns = [table.values(name) for table, name in named]
    chosen, notes = choose_symbol(columns, symbol, prefer, named[0][0].path)
    for table in (*books, *trades):
        name = table.find("symbol")
        if name:
            table.keep(pc.equal(table.values(name), chosen))
    return chosen, notes


def _book(tables: list[Table], sources: Sources, unit: str | None, report: dict[str, Any]) -> tuple[Rows, bool]:
    """The book stream of all tables, and whether they have two clocks."""
    times = [table.times(unit) for table in tables]
    order = sorted(range(len(tables)), key=lambda i: int(times[i][1][0]) if len(times[i][1]) else 0)
    tables, times = [tables[i] for i in order], [times[i] for i in order]
    exch_ns, local_ns = (np.concatenate([t[i] for t in times]) for i in (0, 1))
    place = np.concatenate([table.place for table in tables])
    require_order(local_ns, sources, place, "time")
    sides_of = [[_levels(table, side) for table in tables] for side in ("bid", "ask")]
    bids, asks = (
        SideViews(
            np.concatenate([v.counts for v in views]), join([v.price for v in views]), join([v.size for v in views]),
            max(v.room for v in views),
        )
        for views in sides_of
    )  # fmt: skip
    rows, report["duplicates"] = book_rows(
        exch_ns, local_ns, _update_ids(tables, len(place)), place, bids, asks, sources
    )
    return rows, all(t[2] for t in times)


def _update_ids(tables: list[Table], n: int) -> Array:
    """The venue's sequence where neighbours differ, else a count."""
    count = np.arange(1, n + 1)
    names = [table.find("update_id") for table in tables]
    if not all(names):
        return count
    columns = [table.values(name) for table, name in zip(tables, names, strict=True) if name]
    ids = [
        c.astype(np.int64) if isinstance(c, np.ndarray) else whole_numbers(c, t.sources, t.place, "update id")
        for c, t in zip(columns, tables, strict=True)
    ]
    ids_all = np.concatenate(ids)
    return ids_all if (np.diff(ids_all) != 0).all() else count


def _levels(table: Table, side: str) -> SideViews:
    """All levels of one side of a table, without empty places."""
    pairs = table.pairs(side)
    groups = [table.groups[f"{side}_{what}"] for what in ("price", "size")]
    if not groups[0] and pairs:
        counts, columns = _nested_pairs(table, pairs)
    elif len(groups[0]) == 1 and _is_nested(table, groups[0][0]):
        (counts, price), (other, size) = (_nested(table, group[0]) for group in groups)
        if (counts != other).any():
            i = int(np.argmax(counts != other))
            raise table.sources.error(f"{counts[i]} {side} prices, but {other[i]} sizes", table.place[i])
        columns = [price, size]
    else:
        if len(groups[0]) != len(groups[1]):
            reason = f"{len(groups[0])} columns of {side} prices, but {len(groups[1])} of sizes: {groups}"
            raise FeedError(reason, path=table.path)
        counts = np.full(len(table.place), len(groups[0]), np.int64)
        columns = [_interleave([table.values(name) for name in group]) for group in groups]
    return _without_empty(table, side, counts, columns)


def _without_empty(table: Table, side: str, counts: Array, columns: list[Any]) -> SideViews:
    """Drop places that hold no level: both numbers missing, or size 0."""
    missing = [_missing(column) for column in columns]
    row = np.repeat(np.arange(counts.size), counts)
    empty = missing[0] & (missing[1] | _zero(columns[1]))
    column_of = [_take(column, ~empty) for column in columns]
    row, place = row[~empty], table.place[row[~empty]]
    price, size = (
        numbers(column, table.sources, place, f"{side} {what}")
        for column, what in zip(column_of, ("price", "size"), strict=True)
    )
    shown = size.mantissa != 0
    return SideViews(np.bincount(row[shown], minlength=counts.size), price[shown], size[shown], int(counts.max()))


def _missing(column: Any) -> Array:
    if isinstance(column, np.ndarray):
        return np.isnan(column) if column.dtype.kind == "f" else np.zeros(column.size, bool)
    return pc.is_in(pc.utf8_lower(column), pa.array(["", "nan", "null", "none"])).to_numpy(zero_copy_only=False)


def _zero(column: Any) -> Array:
    if isinstance(column, np.ndarray):
        return column == 0
    return pc.match_substring_regex(column, r"^0*\.?0*$").to_numpy(zero_copy_only=False)


def _take(column: Any, mask: Array) -> Any:
    return column[mask] if isinstance(column, np.ndarray) else column.filter(pa.array(mask))


def _interleave(columns: list[Any]) -> Any:
    """Flat columns as one column, row after row."""
    if all(isinstance(column, np.ndarray) for column in columns):
        return np.stack(columns, axis=1).ravel()
    texts = [column if isinstance(column, pa.Array) else pa.array(column).cast(pa.string()) for column in columns]
    order = np.arange(len(texts) * len(texts[0])).reshape(len(texts), -1).T.ravel()
    return pa.concat_arrays(texts).take(pa.array(order))


def _is_nested(table: Table, name: str) -> bool:
    kind = table.data.schema.field(name).type
    if pa.types.is_string(kind):
        first = table.data.column(name)[0].as_py() if table.data.num_rows else ""
        return first.lstrip().startswith("[")
    return pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)


def _nested(table: Table, name: str) -> tuple[Array, Any]:
    """Lengths and flat values of a nested column."""
    column = _as_list(table, name)
    counts = pc.list_value_length(column).fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
    flat = pc.list_flatten(column)
    if pa.types.is_decimal(flat.type):
        flat = flat.cast(pa.string())
    return counts, flat if pa.types.is_string(flat.type) else flat.to_numpy(zero_copy_only=False)


def _nested_pairs(table: Table, name: str) -> tuple[Array, list[Any]]:
    """Lengths, flat prices and flat sizes of a column of (price, size) pairs or structs."""
    column = _as_list(table, name)
    counts = pc.list_value_length(column).fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
    flat = pc.list_flatten(column)
    if pa.types.is_struct(flat.type):
        fields = [flat.field(i) for i in range(2)]
    else:
        widths = pc.list_value_length(flat).to_numpy(zero_copy_only=False)
        if (widths < 2).any():
            row = int(np.repeat(np.arange(counts.size), counts)[np.argmax(widths < 2)])
            raise table.sources.error(f"a level of {name} is no (price, size) pair", table.place[row])
        fields = [pc.list_element(flat, i) for i in range(2)]
    return counts, [f if pa.types.is_string(f.type) else f.to_numpy(zero_copy_only=False) for f in fields]


def _as_list(table: Table, name: str) -> pa.Array:
    column = table.data.column(name).combine_chunks()
    if not pa.types.is_string(column.type):
        return column
    rows = []
    for i, text in enumerate(column.to_pylist()):
        try:
            rows.append(msgspec.json.decode(text))
        except msgspec.DecodeError as error:
            raise table.sources.error(f"{name} is no JSON list: {error}", table.place[i]) from None
    try:
        return pa.array(rows)
    except pa.ArrowException as error:
        raise FeedError(f"{name} holds lists of different kinds: {error}", path=table.path) from None


def _trades(table: Table, unit: str | None) -> Rows:
    exch_ns, local_ns, two_clocks = table.times(unit)
    if two_clocks:
        require_order(local_ns, table.sources, table.place, "time")
    price, size = (table.numbers(table.need(what, what), what) for what in ("price", "size"))
    found = table.find("trade_id")
    ids = None
    if found is not None:
        column = table.values(found)
        ids = column.astype(np.int64) if isinstance(column, np.ndarray) else match_ids(column)
    return trade_rows(exch_ns, local_ns, _aggressor(table), price, size, ids, table.place)


def _aggressor(table: Table) -> Array:
    flag = table.find("buyer_is_maker")
    if table.find("side") is None and flag is not None:
        column = table.values(flag)
        made = column.astype(bool) if isinstance(column, np.ndarray) else pc.equal(pc.utf8_lower(column), "true")
        return np.where(np.asarray(made), -1, 1).astype(np.int8)
    column = table.values(table.need("side", "side"))
    texts = pa.array(column).cast(pa.string()) if isinstance(column, np.ndarray) else column
    return sides(texts, table.sources, table.place)
