"""BitMEX recordings: CSV without header, 10 book levels a row, and trades; strings padded with NULs.

Books: "datetime", ms, "symbol", 10 ask prices, 10 ask sizes, 10 bid prices, 10 bid sizes. Trades: "symbol", "datetime",
ms, price, size, "action", "side" of the taker. One clock only. ``partial`` trades repeat what was before the recording
and are left out.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mmlab.errors import FeedError
from mmlab.events import NS_PER_MS
from mmlab.feeds.decimals import join
from mmlab.feeds.level_diffs import SideViews, book_rows
from mmlab.feeds.lines import Progress, read_all
from mmlab.feeds.normalise import Raw
from mmlab.feeds.rows import Rows, Sources, numbers, trade_rows
from mmlab.feeds.tables import (
    choose_symbol,
    column_text,
    parse_csv,
    places_of,
    require_order,
    sides,
    times_ns,
    whole_numbers,
)

Array = np.ndarray[Any, Any]
LEVELS = 10
GROUPS = ("ask_price", "ask_size", "bid_price", "bid_size")
BOOK_COLUMNS = ["time", "ms", "symbol", *(f"{group}_{k}" for group in GROUPS for k in range(LEVELS))]
TRADE_COLUMNS = ["symbol", "time", "ms", "price", "size", "action", "side"]
INVERSE_USD = {"XBTUSD": 1.0}
"""Inverse contracts: USD a contract. All other perpetuals against USD are quanto."""


def read(paths: list[Path], progress: Progress | None = None, symbol: str = "", prefer: str = "") -> Raw:
    """Read book and trade files, told apart by their number of columns.

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
        data = read_all(path, progress)
        width = data.partition(b"\n")[0].count(b",") + 1
        if data and width not in (len(BOOK_COLUMNS), len(TRADE_COLUMNS)):
            reason = f"has {width} columns: expected {len(BOOK_COLUMNS)} (books) or {len(TRADE_COLUMNS)} (trades)"
            raise FeedError(reason, path=path, line=1)
        is_book = width == len(BOOK_COLUMNS)
        table = parse_csv(data, path, BOOK_COLUMNS if is_book else TRADE_COLUMNS)
        (books if is_book else trades).append((table, places_of(table, sources.add(path), 1)))
    if not books:
        raise FeedError(f"no order book file (of {len(BOOK_COLUMNS)} columns) among the files", path=paths[0])
    symbol, notes = choose_symbol([column_text(table, "symbol") for table, _ in books], symbol, prefer, paths[0])
    table, place = _of_symbol(books, symbol)
    ns = _time_ns(table, sources, place)
    require_order(ns, sources, place, "time")
    bids, asks = (_side(side, table, sources, place) for side in ("bid", "ask"))
    book, repeats = book_rows(ns, ns, np.arange(1, len(ns) + 1), place, bids, asks, sources)
    raw = Raw(sources, book, symbol=symbol, source="BitMEX", clocks=1, notes=notes, report={"duplicates": repeats})
    if trades:
        raw.trades = _trades(*_of_symbol(trades, symbol), sources, raw.report)
    if symbol.endswith("USD"):
        raw.contract = "inverse" if symbol in INVERSE_USD else "quanto"
        raw.contract_size, raw.settle = INVERSE_USD.get(symbol, 1.0), "XBT"
    return raw


def _of_symbol(tables: list[tuple[pa.Table, Array]], symbol: str) -> tuple[pa.Table, Array]:
    """Rows of one symbol from all files, and their places."""
    parts = []
    for table, place in tables:
        mine = pc.equal(column_text(table, "symbol"), symbol)
        parts.append((table.filter(mine), place[mine.to_numpy(zero_copy_only=False)]))
    return pa.concat_tables([table for table, _ in parts]), np.concatenate([place for _, place in parts])


def _time_ns(table: pa.Table, sources: Sources, place: Array) -> Array:
    seconds = times_ns(column_text(table, "time"), sources, place, "time")
    return seconds + whole_numbers(column_text(table, "ms"), sources, place, "milliseconds") * NS_PER_MS


def _side(side: str, table: pa.Table, sources: Sources, place: Array) -> SideViews:
    """All levels of one side, flat, row after row."""
    flat = np.arange(LEVELS * len(place)).reshape(LEVELS, -1).T.ravel()
    price, size = (
        join([numbers(column_text(table, f"{group}_{k}"), sources, place, group) for k in range(LEVELS)])[flat]
        for group in (f"{side}_price", f"{side}_size")
    )
    return SideViews(np.full(len(place), LEVELS, np.int64), price, size, LEVELS)


def _trades(table: pa.Table, place: Array, sources: Sources, report: dict[str, Any]) -> Rows:
    fresh = pc.not_equal(column_text(table, "action"), "partial")
    report["partial_trades"] = table.num_rows - (pc.sum(fresh).as_py() or 0)
    table, place = table.filter(fresh), place[fresh.to_numpy(zero_copy_only=False)]
    ns = _time_ns(table, sources, place)
    price, size = (numbers(column_text(table, what), sources, place, what) for what in ("price", "size"))
    return trade_rows(ns, ns, sides(column_text(table, "side"), sources, place), price, size, None, place)
