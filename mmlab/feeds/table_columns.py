"""The columns of any CSV or Parquet table, found under the names people give them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mmlab.errors import FeedError
from mmlab.feeds.decimals import Decimals
from mmlab.feeds.lines import Progress, open_file, read_all
from mmlab.feeds.rows import Sources, numbers
from mmlab.feeds.tables import column_text, parse_csv, places_of, times_ns

Array = np.ndarray[Any, Any]
Columns = Mapping[str, str | Sequence[str]]
ALIASES = {
    "exch_time": (
        "exch_time", "exch_ts", "exch_ts_ms", "exch_ts_us", "exch_ts_ns", "exch_ns",
        "exchange_time", "exchange_timestamp", "event_time",
        "transact_time", "timestamp", "time", "datetime", "date", "ts", "ts_event", "t",
    ),
    "local_time": (
        "local_time", "local_ts", "local_ns", "local_timestamp", "receive_time", "received_time", "received_at",
        "recv_time", "ts_recv", "ts_local", "ts_ms", "ts_us", "ts_ns",
    ),
    "update_id": ("update_id", "seq", "sequence", "sequence_number", "last_update_id", "lastupdateid", "u"),
    "symbol": ("symbol", "instrument", "market", "pair"),
    "trade_id": ("trade_id", "tradeid", "id", "tid"),
    "side": ("side", "aggressor", "aggressor_side", "taker_side", "direction"),
    "price": ("price", "px", "p"),
    "size": ("size", "qty", "quantity", "amount", "volume", "sz", "q"),
    "buyer_is_maker": ("buyer_is_maker", "is_buyer_maker", "m"),
}  # fmt: skip
LEVEL_GROUPS = ("bid_price", "bid_size", "ask_price", "ask_size")
PRICE_WORDS, SIZE_WORDS = ("price", "px", "p"), ("size", "qty", "quantity", "amount", "volume", "vol", "sz", "q")
LEVEL_NAME = re.compile(
    rf"(bid|ask)s?[\W_]*(\d*)[\W_]*({'|'.join((*PRICE_WORDS, *SIZE_WORDS))})[\W_]*(\d*)[\W_]*", re.IGNORECASE
)
PAIRS = {"bid": ("bids", "bid", "b"), "ask": ("asks", "ask", "a")}
OURS = (*ALIASES, *LEVEL_GROUPS, "bids", "asks")


class Table:
    """One file and the columns found in it."""

    def __init__(self, path: Path, sources: Sources, columns: Columns, progress: Progress | None) -> None:
        self.path, self.sources, self.columns = path, sources, columns
        self.data = _load(path, progress)
        first_line = 1 if path_is_parquet(path) else 2
        self.place = places_of(self.data, sources.add(path), first_line)
        self.names = {name.lower(): name for name in self.data.column_names}
        self.groups = self._level_groups()

    @property
    def is_book(self) -> bool:
        """Whether it holds levels of both sides."""
        return all(self.groups.get(group) for group in LEVEL_GROUPS) or all(self.pairs(side) for side in PAIRS)

    def keep(self, mask: pa.Array) -> None:
        """Only the rows of `mask`."""
        self.data, self.place = self.data.filter(mask), self.place[mask.to_numpy(zero_copy_only=False)]

    def find(self, ours: str) -> str | None:
        """The table's name of one of our columns."""
        if ours in self.columns:
            theirs = self.columns[ours]
            if not isinstance(theirs, str):
                raise FeedError(f"columns[{ours!r}] must be one name, not {theirs!r}")
            return theirs if theirs in self.data.column_names else None
        return next((self.names[alias] for alias in ALIASES[ours] if alias in self.names), None)

    def need(self, ours: str, what: str) -> str:
        """As `find`; absent is an error."""
        name = self.find(ours)
        if name is None:
            asked = f" {self.columns[ours]!r}" if ours in self.columns else ""
            raise FeedError(
                f"no column{asked} for the {what}: name it with columns={{{ours!r}: ...}}; "
                f"the table has {self.data.column_names}",
                path=self.path,
            )  # fmt: skip
        return name

    def values(self, name: str) -> Any:
        """A column as text, or as a NumPy array of numbers, times or booleans."""
        column = self.data.column(name).combine_chunks()
        if pa.types.is_dictionary(column.type):
            column = column.dictionary_decode()
        if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
            return column_text(self.data, name).fill_null("")
        if pa.types.is_null(column.type):
            return np.full(len(column), np.nan)
        if pa.types.is_decimal(column.type):
            return column.cast(pa.string()).fill_null("")
        return column.to_numpy(zero_copy_only=False)

    def numbers(self, name: str, what: str) -> Decimals:
        """A column as decimals."""
        return numbers(self.values(name), self.sources, self.place, what)

    def times(self, unit: str | None) -> tuple[Array, Array, bool]:
        """Exchange and local time, and whether they are two clocks."""
        exch, local = self.find("exch_time"), self.find("local_time")
        for ours in ("exch_time", "local_time"):
            if ours in self.columns:
                self.need(ours, "time")
        if exch is None and local is None:
            self.need("exch_time", "time")
        found = [times_ns(self.values(name), self.sources, self.place, name, unit) for name in (exch, local) if name]
        return found[0], found[-1], len(found) == 2

    def pairs(self, side: str) -> str | None:
        """The column of (price, size) pairs of a side."""
        given = self.columns.get(f"{side}s")
        if isinstance(given, str):
            return given if given in self.data.column_names else None
        name = next((self.names[alias] for alias in PAIRS[side] if alias in self.names), None)
        return name if name is not None and not self.groups.get(f"{side}_price") else None

    def _level_groups(self) -> dict[str, list[str]]:
        """Columns of each level group, best level first."""
        found: dict[str, list[tuple[int, str]]] = {group: [] for group in LEVEL_GROUPS}
        for name in self.data.column_names:
            match = LEVEL_NAME.fullmatch(name)
            if match:
                side, before, word, after = match.groups()
                what = "price" if word.lower() in PRICE_WORDS else "size"
                found[f"{side.lower()}_{what}"].append((int(before or after or 0), name))
        groups = {group: [name for _, name in sorted(names)] for group, names in found.items()}
        for group in LEVEL_GROUPS:
            if group in self.columns:
                groups[group] = self._named_levels(self.columns[group])
        return groups

    def _named_levels(self, theirs: str | Sequence[str]) -> list[str]:
        if not isinstance(theirs, str):
            names = list(theirs)
        elif "{}" in theirs:
            first = 0 if theirs.format(0) in self.data.column_names else 1
            names = []
            while theirs.format(first + len(names)) in self.data.column_names:
                names.append(theirs.format(first + len(names)))
        else:
            names = [theirs]
        missing = [name for name in names if name not in self.data.column_names]
        if missing or not names:
            reason = f"no column {missing or theirs!r}, named in columns=; the table has {self.data.column_names}"
            raise FeedError(reason, path=self.path)
        return names


def path_is_parquet(path: Path) -> bool:
    """Whether the file starts as Parquet does."""
    with open_file(path) as file:
        return file.read(4) == b"PAR1"


def _load(path: Path, progress: Progress | None) -> pa.Table:
    if path_is_parquet(path):
        try:
            table = pq.read_table(path)
            _ = table.column_names
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            raise FeedError(f"is not a whole Parquet file ({error}): fetch it again", path=path) from None
        if progress is not None:
            progress(path.stat().st_size)
    else:
        data = read_all(path, progress)
        if path.suffix == ".parquet" and data:
            raise FeedError("is not a Parquet file", path=path)
        table = parse_csv(data, path)
    if table.num_rows == 0:
        raise FeedError("the table has no rows", path=path)
    return table
