"""What an importer hands to `mmlab.feeds.normalise`: columns of raw rows, and where each stood.

An importer reads one format into streams of `Rows` in arrival order: the book (level or order messages), the trades,
and mark prices with funding. Prices and sizes are still exact decimals; ticks and lots come later, when all rows are
known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mmlab.errors import FeedError
from mmlab.events import Kind
from mmlab.feeds.decimals import BadNumber, Decimals, from_floats, from_text, join, zeros

Array = np.ndarray[Any, Any]

UNKNOWN_NS = np.iinfo(np.int64).min
"""Exchange time of a message whose sender did not give one (a REST snapshot)."""
LINE_BITS = 40
FLUSH = 1 << 20
"""Texts kept before they are turned into numbers."""


@dataclass(slots=True)
class Rows:
    """Columns of one stream, in arrival order; all of shape (n,), units as in `EVENT` but for price and size."""

    exch_ns: Array
    local_ns: Array
    kind: Array
    side: Array
    price: Decimals
    size: Decimals
    order_id: Array
    place: Array
    """``file index << LINE_BITS | line``, for errors."""

    def __len__(self) -> int:
        return self.exch_ns.size

    def __getitem__(self, index: Any) -> Rows:
        return Rows(*(getattr(self, name)[index] for name in COLUMNS))


COLUMNS = ("exch_ns", "local_ns", "kind", "side", "price", "size", "order_id", "place")


@dataclass(slots=True)
class Sources:
    """The files of an import, for naming places in errors."""

    paths: list[Path] = field(default_factory=list)

    def add(self, path: Path) -> int:
        """Index of a new file, shifted so that a line can be added."""
        self.paths.append(path)
        return (len(self.paths) - 1) << LINE_BITS

    def error(self, reason: str, place: int) -> FeedError:
        """The error for a row."""
        line = int(place) & ((1 << LINE_BITS) - 1)
        return FeedError(reason, path=self.paths[int(place) >> LINE_BITS], line=line or None)


def no_rows() -> Rows:
    """An empty stream."""
    ints = np.zeros(0, np.int64)
    return Rows(ints, ints, np.zeros(0, np.uint8), np.zeros(0, np.int8), zeros(0), zeros(0), ints, ints)


def stack(parts: Sequence[Rows]) -> Rows:
    """Streams one after the other."""
    if not parts:
        return no_rows()
    columns: list[Any] = []
    for name in COLUMNS:
        pieces = [getattr(part, name) for part in parts]
        columns.append(join(pieces) if name in ("price", "size") else np.concatenate(pieces))
    return Rows(*columns)


def numbers(values: Any, sources: Sources, place: Array, what: str) -> Decimals:
    """Decimals from text or floats; a bad one is a FeedError that names its place."""
    try:
        if isinstance(values, np.ndarray):
            whole = values.dtype.kind in "iu"
            return Decimals(values.astype(np.int64), zeros(values.size).places) if whole else from_floats(values)
        return from_text(values)
    except BadNumber as bad:
        raise sources.error(f"{what} {bad.reason}", place[bad.index]) from None


def trade_rows(
    exch_ns: Array, local_ns: Array, side: Array, price: Decimals, size: Decimals, ids: Array | None, place: Array
) -> Rows:
    """TRADE rows from columns; `side` is the aggressor's, `ids` the match ids if there are any."""
    kind = np.full(exch_ns.size, Kind.TRADE, np.uint8)
    order_id = np.zeros(exch_ns.size, np.int64) if ids is None else ids
    return Rows(exch_ns, local_ns, kind, side, price, size, order_id, place)


def with_marks(rows: Rows, gaps: Array, opens: Array, closes: Array) -> Rows:
    """Rows with GAP and SNAPSHOT_BEGIN put before, and SNAPSHOT_END after, those where the masks say so."""
    parts, position = [rows], [4 * np.arange(len(rows)) + 2]
    for rank, where, kind in ((0, gaps, Kind.GAP), (1, opens, Kind.SNAPSHOT_BEGIN), (3, closes, Kind.SNAPSHOT_END)):
        at = rows[where]
        n = len(at)
        kinds, side = np.full(n, kind, np.uint8), np.zeros(n, np.int8)
        parts.append(Rows(at.exch_ns, at.local_ns, kinds, side, zeros(n), zeros(n), at.order_id, at.place))
        position.append(4 * np.flatnonzero(where) + rank)
    return stack(parts)[np.argsort(np.concatenate(position))]


class MessageTable:
    """Collects book messages one by one: a few appends each, expanded to rows all at once.

    Parameters
    ----------
    sources : Sources
    """

    def __init__(self, sources: Sources) -> None:
        self.sources = sources
        self.exch_ns: list[int] = []
        self.local_ns: list[int] = []
        self.kind: list[int] = []  # DEPTH, SNAPSHOT_BEGIN for a whole snapshot, or GAP
        self.update_id: list[int] = []
        self.place: list[int] = []
        self.bids: list[int] = []
        self.asks: list[int] = []
        self.texts: list[str] = []
        self._parsed: list[Decimals] = []
        self._pending_from = 0

    def __len__(self) -> int:
        return len(self.exch_ns)

    def add(
        self,
        kind: int,
        *,
        exch_ns: int,
        local_ns: int,
        update_id: int,
        place: int,
        bids: Sequence[Sequence[str]] = (),
        asks: Sequence[Sequence[str]] = (),
    ) -> None:
        """Append a message whose levels are (price, size) texts."""
        self.kind.append(kind)
        self.exch_ns.append(exch_ns)
        self.local_ns.append(local_ns)
        self.update_id.append(update_id)
        self.place.append(place)
        self.bids.append(len(bids))
        self.asks.append(len(asks))
        texts = self.texts
        for level in bids:
            texts += level
        for level in asks:
            texts += level
        if len(texts) >= FLUSH:
            self._flush()

    def insert_gap(self, index: int) -> None:
        """Put a GAP before message `index`, at its time."""
        for column, value in (
            (self.kind, int(Kind.GAP)),
            (self.exch_ns, self.exch_ns[index]),
            (self.local_ns, self.local_ns[index]),
            (self.update_id, 0),
            (self.place, self.place[index]),
            (self.bids, 0),
            (self.asks, 0),
        ):
            column.insert(index, value)

    def _flush(self) -> None:
        levels = np.add(self.bids[self._pending_from :], self.asks[self._pending_from :])
        place = np.repeat(np.array(self.place[self._pending_from :], np.int64), 2 * levels)
        self._parsed.append(numbers(self.texts, self.sources, place, "price or size"))
        self._pending_from = len(self)
        self.texts.clear()

    def rows(self) -> Rows:
        """All messages as rows: BEGIN, levels and END of a snapshot; levels of a diff; one row a gap."""
        if self.texts:
            self._flush()
        flat = join(self._parsed)
        kind = np.array(self.kind, np.uint8)
        bids, asks = np.array(self.bids, np.int64), np.array(self.asks, np.int64)
        snapshot, gap = kind == Kind.SNAPSHOT_BEGIN, kind == Kind.GAP
        levels = bids + asks
        counts = levels + 2 * snapshot + gap
        first = np.cumsum(counts) - counts
        n = int(counts.sum())
        message = np.repeat(np.arange(len(self)), counts)
        rank = np.arange(n) - first[message] - snapshot[message]  # -1: BEGIN; levels[message]: END
        is_level = (rank >= 0) & (rank < levels[message])
        row_kind = np.full(n, Kind.DEPTH, np.uint8)
        row_kind[first[snapshot]] = Kind.SNAPSHOT_BEGIN
        row_kind[(first + counts - 1)[snapshot]] = Kind.SNAPSHOT_END
        row_kind[first[gap]] = Kind.GAP
        side = np.where(rank < bids[message], 1, -1).astype(np.int8)
        side[~is_level] = 0
        price, size = zeros(n), zeros(n)
        for column, which in ((price, 0), (size, 1)):
            column.mantissa[is_level] = flat.mantissa[which::2]
            column.places[is_level] = flat.places[which::2]
        per_row = (np.array(c, np.int64)[message] for c in (self.exch_ns, self.local_ns, self.update_id, self.place))
        exch_ns, local_ns, update_id, place = per_row
        return Rows(exch_ns, local_ns, row_kind, side, price, size, update_id, place)


class PrintTable:
    """Collects single rows: trades, mark prices, funding."""

    def __init__(self, sources: Sources) -> None:
        self.sources = sources
        self.kind: list[int] = []
        self.exch_ns: list[int] = []
        self.local_ns: list[int] = []
        self.side: list[int] = []
        self.price: list[str] = []
        self.size: list[str] = []
        self.order_id: list[int] = []
        self.place: list[int] = []

    def add(
        self,
        kind: int,
        *,
        exch_ns: int,
        local_ns: int,
        side: int,
        price: str,
        size: str,
        order_id: int,
        place: int,
    ) -> None:
        """Append a row."""
        self.kind.append(kind)
        self.exch_ns.append(exch_ns)
        self.local_ns.append(local_ns)
        self.side.append(side)
        self.price.append(price)
        self.size.append(size)
        self.order_id.append(order_id)
        self.place.append(place)

    def rows(self) -> Rows:
        """All rows as columns."""
        place = np.array(self.place, np.int64)
        return Rows(
            np.array(self.exch_ns, np.int64),
            np.array(self.local_ns, np.int64),
            np.array(self.kind, np.uint8),
            np.array(self.side, np.int8),
            numbers(self.price, self.sources, place, "price"),
            numbers(self.size, self.sources, place, "size"),
            np.array(self.order_id, np.int64),
            place,
        )
