"""hftbacktest's event arrays (.npz, .npy), in both directions.

A row is ``ev`` (what, which side, for which processor), ``exch_ts, local_ts`` (ns), ``px, qty``, ``order_id, ival,
fval``. A row for both processors stands where it is in order on both clocks; otherwise it comes twice, once for the
exchange at its exchange time and once for the local side at its local time. Import reads the local rows.
``DEPTH_CLEAR`` of both sides with the ``DEPTH_SNAPSHOT`` rows beside it is one snapshot.
"""

from __future__ import annotations

import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from mmlab.errors import FeedError
from mmlab.events import ASK, BID, Kind
from mmlab.feeds.decimals import zeros
from mmlab.feeds.feed import Feed
from mmlab.feeds.lines import Progress, open_file
from mmlab.feeds.normalise import Raw
from mmlab.feeds.rows import Rows, Sources, numbers, trade_rows, with_marks
from mmlab.feeds.tables import require_order

Array = np.ndarray[Any, Any]
DEPTH, TRADE, CLEAR, SNAPSHOT = 1, 2, 3, 4
ADD, CANCEL, MODIFY, FILL = 10, 11, 12, 13
EXCH, LOCAL, BUY, SELL = 1 << 31, 1 << 30, 1 << 29, 1 << 28
WHAT = 0xFF
HFT_EVENT = np.dtype(
    [
        ("ev", "u8"), ("exch_ts", "i8"), ("local_ts", "i8"), ("px", "f8"),
        ("qty", "f8"), ("order_id", "u8"), ("ival", "i8"), ("fval", "f8"),
    ],
    align=True,
)  # fmt: skip
DAMAGE = (
    OSError, ValueError, EOFError, KeyError, SyntaxError, MemoryError,
    tokenize.TokenError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip
"""What NumPy raises on files that are cut off or spoiled; their header is Python text."""
_DROPPED = 255
"""Row kind of what only opens a snapshot."""


def read(paths: list[Path], progress: Progress | None = None) -> Raw:
    """Read event arrays, several as one recording.

    Raises
    ------
    FeedError
        No event array, a row without a side, local time that goes backwards, or one side of the book cleared alone.
    """
    sources = Sources()
    loaded = sorted(((load(path, progress), path) for path in paths), key=lambda item: int(item[0]["local_ts"][0]))
    place = np.concatenate([sources.add(path) + 1 + np.arange(data.size) for data, path in loaded])
    data = np.concatenate([data for data, _ in loaded])
    local = ((data["ev"] & LOCAL) != 0) | ((data["ev"] & (EXCH | LOCAL)) == 0)
    data, place = data[local], place[local]
    require_order(data["local_ts"], sources, place, "local_ts")
    what = (data["ev"] & WHAT).astype(np.uint8)
    side = ((data["ev"] & BUY) != 0).astype(np.int8) - ((data["ev"] & SELL) != 0).astype(np.int8)
    known = np.isin(what, (DEPTH, TRADE, CLEAR, SNAPSHOT, ADD, CANCEL, MODIFY, FILL))
    report: dict[str, Any] = {"ignored": int(np.count_nonzero(~known))}
    sideless = known & (side == 0) & (what != CLEAR)
    if sideless.any():
        raise sources.error("a row is neither buy nor sell", place[int(np.argmax(sideless))])
    by_order = bool(np.isin(what, (ADD, CANCEL, MODIFY, FILL)).any())
    is_trade = (what == TRADE) & ~(by_order & (what == FILL).any())  # fills tell the same trades, order by order
    trades = _trades(data[is_trade], side[is_trade], place[is_trade], sources)
    is_book = known & (what != TRADE)
    read_book = _orders if by_order else _levels
    book = read_book(data[is_book], what[is_book], side[is_book], place[is_book], sources)
    return Raw(sources, book, trades, symbol=paths[0].stem, source="hftbacktest", report=report)


def load(path: Path, progress: Progress | None = None) -> Array:
    """The one event array of a file."""
    try:
        with open_file(path) as file:
            content = np.load(file, allow_pickle=False)
            data = content if isinstance(content, np.ndarray) else content[_key(content.files)]
    except DAMAGE as error:
        raise FeedError(f"is no whole .npz or .npy file ({error}): fetch it again", path=path) from None
    if progress is not None:
        progress(path.stat().st_size)
    missing = [name for name in HFT_EVENT.names or () if name not in (data.dtype.names or ())]
    if missing:
        raise FeedError(f"is no hftbacktest event array: its dtype {data.dtype} misses {missing}", path=path)
    if data.ndim != 1:
        raise FeedError(f"is no event array: it has {data.ndim} dimensions", path=path)
    if data.size == 0:
        raise FeedError("the event array is empty", path=path)
    return data


def _key(names: list[str]) -> str:
    if "data" not in names and len(names) != 1:
        raise KeyError(f"no array 'data' among {names}")
    return "data" if "data" in names else names[0]


def _trades(data: Array, side: Array, place: Array, sources: Sources) -> Rows:
    price, size = (numbers(data[name], sources, place, what) for name, what in (("px", "price"), ("qty", "size")))
    return trade_rows(data["exch_ts"], data["local_ts"], side, price, size, None, place)


def _levels(data: Array, what: Array, side: Array, place: Array, sources: Sources) -> Rows:
    """The book stream of level rows: rows with the same two times are one message."""
    n = data.size
    price, size = zeros(n), zeros(n)
    levels = what != CLEAR
    for column, name, text in ((price, "px", "price"), (size, "qty", "size")):
        found = numbers(data[name][levels], sources, place[levels], text)
        column.mantissa[levels], column.places[levels] = found.mantissa, found.places
    snapshot = np.isin(what, (CLEAR, SNAPSHOT))
    starts = np.ones(n, bool)
    starts[1:] = (np.diff(data["local_ts"]) != 0) | (np.diff(data["exch_ts"]) != 0) | (snapshot[1:] != snapshot[:-1])
    message = np.cumsum(starts)
    resets = _resets(what, side, message, snapshot, place, sources)
    kind = np.where(levels, Kind.DEPTH, _DROPPED).astype(np.uint8)
    side = np.where(levels, side, 0).astype(np.int8)
    rows = Rows(data["exch_ts"], data["local_ts"], kind, side, price, size, message, place)
    last = np.ones(n, bool)
    last[:-1] = starts[1:]
    rows = with_marks(rows, np.zeros(n, bool), starts & resets[message], last & resets[message])
    return rows[rows.kind != _DROPPED]


def _resets(what: Array, side: Array, message: Array, snapshot: Array, place: Array, sources: Sources) -> Array:
    """Which messages (by number) replace the whole book: both sides cleared, or a snapshot that comes first."""
    n = int(message[-1]) + 1 if message.size else 1
    cleared = np.zeros((3, n), bool)
    clear = what == CLEAR
    cleared[side[clear], message[clear]] = True  # side -1 is the last row
    bid, ask = (cleared[0] | cleared[s] for s in (BID, ASK))
    alone = bid != ask
    if alone.any():
        row = int(np.searchsorted(message, int(np.argmax(alone))))
        raise sources.error("one side of the book is cleared alone: not supported", place[row])
    resets = bid & ask
    if message.size and snapshot[0]:
        resets[message[0]] = True
    return resets


class Orders:
    """Resting orders, for turning order events into ADD, CANCEL and EXECUTE rows that never take what is not there."""

    def __init__(self) -> None:
        self.resting: dict[int, tuple[int, float, float]] = {}  # id -> side, price, size
        self.out: list[tuple[int, int, int, float, float, int]] = []  # row, kind, side, price, size, id

    def apply(self, row: int, what: int, side: int, price: float, size: float, order: int) -> bool:
        """Apply an order event; False if it names an order that was never added."""
        if what == ADD:
            self._add(row, side, price, size, order)
            return True
        if order not in self.resting:
            return False
        own_side, at, left = self.resting[order]
        smaller = what == MODIFY and price == at and size <= left
        taken = {CANCEL: left, FILL: min(size, left), MODIFY: left - size if smaller else left}[what]
        if taken > 0:
            kind = Kind.EXECUTE if what == FILL else Kind.CANCEL
            self.out.append((row, kind, own_side, at, taken, order))
        if what == CANCEL:
            del self.resting[order]
        elif what == MODIFY and not smaller:
            self._add(row, own_side, price, size, order)
        else:  # a filled order stays with size 0: the venue's own cancel of it is still to come
            self.resting[order] = (own_side, at, left - taken)
        return True

    def clear(self, row: int) -> None:
        """Empty the book."""
        self.resting.clear()
        self.out += [(row, kind, 0, 0.0, 0.0, 0) for kind in (Kind.SNAPSHOT_BEGIN, Kind.SNAPSHOT_END)]

    def _add(self, row: int, side: int, price: float, size: float, order: int) -> None:
        self.resting[order] = (side, price, size)
        self.out.append((row, Kind.ADD, side, price, size, order))


def _orders(data: Array, what: Array, side: Array, place: Array, sources: Sources) -> Rows:
    """The book stream of order rows. A modification is a smaller size at the same place, or a new order."""
    mixed = np.isin(what, (DEPTH, SNAPSHOT))
    if mixed.any():
        raise sources.error("levels and orders are mixed: not supported", place[int(np.argmax(mixed))])
    orders = Orders()
    columns = (what, side, data["px"], data["qty"], data["order_id"])
    for i, (kind, *order) in enumerate(zip(*(column.tolist() for column in columns), strict=True)):
        if kind == CLEAR:
            orders.clear(i)
        elif not orders.apply(i, kind, *order):
            raise sources.error(f"order {order[-1]} was never added", place[i])
    row, kinds, sides, prices, sizes, ids = (np.array(column) for column in zip(*orders.out, strict=True))
    where = place[row]
    return Rows(
        data["exch_ts"][row], data["local_ts"][row], kinds.astype(np.uint8), sides.astype(np.int8),
        numbers(prices, sources, where, "price"), numbers(sizes, sources, where, "size"), ids.astype(np.int64), where,
    )  # fmt: skip


def to_hftbacktest(feed: Feed) -> Array:
    """The feed as an hftbacktest event array, in order on both clocks.

    Parameters
    ----------
    feed : Feed
        Of levels. GAP, MARK and FUNDING rows have no counterpart and are left out.

    Returns
    -------
    ndarray of HFT_EVENT

    Raises
    ------
    FeedError
        An order-by-order feed.
    """
    events = feed.events
    if np.isin(events["kind"], (Kind.ADD, Kind.CANCEL, Kind.EXECUTE)).any():
        raise FeedError("order-by-order feeds cannot be exported to hftbacktest: only levels and trades")
    opened = np.cumsum(events["kind"] == Kind.SNAPSHOT_BEGIN) > np.cumsum(events["kind"] == Kind.SNAPSHOT_END)
    copies = np.isin(events["kind"], (Kind.DEPTH, Kind.TRADE)) + 2 * (events["kind"] == Kind.SNAPSHOT_BEGIN)
    row = np.repeat(np.arange(events.size), copies)
    kind, side = events["kind"][row], events["side"][row].astype(np.int64)
    clear = kind == Kind.SNAPSHOT_BEGIN
    side[clear] = np.tile((BID, ASK), int(clear.sum()) // 2)
    what = np.select([clear, kind == Kind.TRADE, opened[row]], [CLEAR, TRADE, SNAPSHOT], DEPTH)
    out = np.zeros(row.size, HFT_EVENT)
    out["ev"] = what | np.where(side > 0, BUY, SELL)
    out["exch_ts"], out["local_ts"] = events["exch_ns"][row], events["local_ns"][row]
    out["px"] = np.where(clear, np.nan, events["price_ticks"][row] * feed.instrument.tick_size)
    out["qty"] = events["size_lots"][row] * feed.instrument.lot_size
    return in_both_orders(out)


def in_both_orders(rows: Array) -> Array:
    """Rows in local order, as rows in order for both processors.

    A row no earlier row of which happened later, and no later one earlier, serves both. Between two such rows the
    others come first for the exchange, by exchange time, then for the local side, as they were.
    """
    if rows.size == 0:
        return rows
    exch = rows["exch_ts"]
    serves_both = (np.maximum.accumulate(exch) <= exch) & (np.minimum.accumulate(exch[::-1])[::-1] >= exch)
    block = np.cumsum(serves_both)
    index = np.arange(rows.size)
    both, split = index[serves_both], index[~serves_both]
    source = np.concatenate([both, split, split])
    rank = np.repeat((0, 1, 2), (both.size, split.size, split.size))
    order = np.lexsort((source, np.where(rank == 1, exch[source], 0), rank, block[source]))
    out = rows[source[order]]
    out["ev"] |= np.array([EXCH | LOCAL, EXCH, LOCAL], np.uint64)[rank[order]]
    return out
