"""Tardis CSV files: ``incremental_book_L2`` and ``trades``, several days as one recording.

Rows with one ``local_timestamp`` are one message. ``is_snapshot`` rows replace the book: at the start of a file, and
after a lost connection. A snapshot that is not the first one follows a GAP, since what happened before it is not known;
the one that opens the next day's file does not.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mmlab.errors import FeedError
from mmlab.events import Kind
from mmlab.feeds.lines import Progress
from mmlab.feeds.normalise import Raw
from mmlab.feeds.rows import LINE_BITS, Rows, Sources, no_rows, numbers, trade_rows, with_marks
from mmlab.feeds.tables import (
    choose_symbol,
    column_text,
    match_ids,
    places_of,
    read_csv,
    require_order,
    sides,
    times_ns,
)

Array = np.ndarray[Any, Any]
BOOK_COLUMNS = {"symbol", "timestamp", "local_timestamp", "is_snapshot", "side", "price", "amount"}
TRADE_COLUMNS = {"symbol", "timestamp", "local_timestamp", "id", "side", "price", "amount"}


def read(paths: list[Path], progress: Progress | None = None, symbol: str = "", prefer: str = "") -> Raw:
    """Read book and trade files, told apart by their header.

    Parameters
    ----------
    paths : list of Path
    symbol : str, optional
        Default: `prefer` if it is there, else the one with most book rows.
    """
    sources = Sources()
    books: list[tuple[pa.Table, Array]] = []
    trades: list[tuple[pa.Table, Array]] = []
    for path in paths:
        table = read_csv(path, progress=progress)
        names = set(table.column_names)
        into = books if "is_snapshot" in names else trades
        missing = (BOOK_COLUMNS if into is books else TRADE_COLUMNS) - names
        if missing:
            raise FeedError(
                f"misses the columns {sorted(missing)} of Tardis; it has {sorted(names)}", path=path, line=1
            )
        into.append((table, places_of(table, sources.add(path), 2)))
    if not books:
        raise FeedError("no incremental_book_L2 file (with a column is_snapshot) among the files", path=paths[0])
    symbol, notes = choose_symbol([column_text(table, "symbol") for table, _ in books], symbol, prefer, paths[0])
    report: dict[str, Any] = {}
    book = _book(*_of_symbol(books, symbol), sources, report)
    prints = _trades(*_of_symbol(trades, symbol), sources, report) if trades else no_rows()
    exchange = column_text(books[0][0], "exchange")[0].as_py() if "exchange" in books[0][0].column_names else ""
    source = f"{exchange}, Tardis".removeprefix(", ")
    return Raw(sources, book, prints, symbol=symbol, source=source, report=report, notes=notes)


def _of_symbol(tables: list[tuple[pa.Table, Array]], symbol: str) -> tuple[pa.Table, Array]:
    """Rows of one symbol from all files, in the order of their first rows, and their places."""
    parts = []
    for table, place in tables:
        mine = pc.equal(column_text(table, "symbol"), symbol)
        parts.append((table.filter(mine), place[mine.to_numpy(zero_copy_only=False)]))
    parts.sort(key=lambda part: part[0]["local_timestamp"][0].as_py() if part[0].num_rows else "")
    common = [name for name in parts[0][0].column_names if all(name in table.column_names for table, _ in parts)]
    return pa.concat_tables([table.select(common) for table, _ in parts]), np.concatenate([p for _, p in parts])


def _times(table: pa.Table, sources: Sources, place: Array) -> tuple[Array, Array]:
    exch_ns, local_ns = (
        times_ns(column_text(table, name), sources, place, name) for name in ("timestamp", "local_timestamp")
    )
    require_order(local_ns, sources, place, "local_timestamp")
    return exch_ns, local_ns


def _book(table: pa.Table, place: Array, sources: Sources, report: dict[str, Any]) -> Rows:
    """The book stream: levels with snapshot marks and gaps between them."""
    snapshot = pc.equal(pc.utf8_lower(column_text(table, "is_snapshot")), "true").to_numpy(zero_copy_only=False)
    if not snapshot.any():
        raise sources.error("no snapshot rows: the book cannot be known", place[0])
    first = int(np.argmax(snapshot))
    report["rows_before_snapshot"] = first
    table, place, snapshot = table.slice(first), place[first:], snapshot[first:]
    exch_ns, local_ns = _times(table, sources, place)
    price, size = (numbers(column_text(table, name), sources, place, name) for name in ("price", "amount"))
    starts = np.ones(len(place), bool)
    starts[1:] = (np.diff(local_ns) != 0) | (np.diff(exch_ns) != 0) | (snapshot[1:] != snapshot[:-1])
    message = np.cumsum(starts)
    kind, side = np.full(len(place), Kind.DEPTH, np.uint8), sides(column_text(table, "side"), sources, place)
    levels = Rows(exch_ns, local_ns, kind, side, price, size, message, place)
    first_row_of_file = np.append(True, np.diff(place >> LINE_BITS) != 0)
    opens, closes = starts & snapshot, snapshot & np.append(starts[1:], True)
    gaps = opens & ~first_row_of_file
    gaps[1:] &= ~snapshot[:-1]
    report["resets"] = int(gaps.sum())
    return with_marks(levels, gaps, opens, closes)


def _trades(table: pa.Table, place: Array, sources: Sources, report: dict[str, Any]) -> Rows:
    known = pc.not_equal(column_text(table, "side"), "unknown")
    report["trades_of_unknown_side"] = table.num_rows - (pc.sum(known).as_py() or 0)
    table, place = table.filter(known), place[known.to_numpy(zero_copy_only=False)]
    exch_ns, local_ns = _times(table, sources, place)
    price, size = (numbers(column_text(table, name), sources, place, name) for name in ("price", "amount"))
    side, ids = sides(column_text(table, "side"), sources, place), match_ids(column_text(table, "id"))
    return trade_rows(exch_ns, local_ns, side, price, size, ids, place)
