"""LOBSTER: order-by-order messages of NASDAQ, with the book's best levels after each.

A message file says what happened (type, order id, size, price); the orderbook file shows the best K levels after each
message. Rows become ADD, CANCEL and EXECUTE; hidden executions become TRADE. What messages alone cannot tell is taken
from the orderbook file and carried by anonymous orders with negative ids:

- orders older than the file (the opening snapshot), and levels that come into view from beyond level K;
- a level out of view keeps its last known orders until it is seen again; then the difference is canceled or added.

So every CANCEL and EXECUTE names an order that was added before, and the best K levels equal the orderbook file.
A trading halt (type 7) is a GAP; when trading resumes the book is given again as a snapshot.
"""

from __future__ import annotations

import re
import zipfile
import zlib
from bisect import bisect_right, insort
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from mmlab.errors import FeedError
from mmlab.events import ASK, BID, Kind
from mmlab.feeds.decimals import Decimals
from mmlab.feeds.lines import Progress, read_all
from mmlab.feeds.normalise import Raw
from mmlab.feeds.rows import Rows, Sources, numbers, trade_rows
from mmlab.feeds.tables import column_text, parse_csv, places_of, require_order, whole_numbers

Array = np.ndarray[Any, Any]
SUBMISSION, CANCELLATION, DELETION, EXECUTION, HIDDEN, CROSS, HALT = range(1, 8)
BOOK_TYPES = (SUBMISSION, CANCELLATION, DELETION, EXECUTION)
MESSAGE_COLUMNS = ("time", "type", "order_id", "size", "price", "direction")
NAME = re.compile(r"(?P<symbol>[^_/]+)_(?P<date>\d{4}-\d{2}-\d{2})_\d+_\d+_(?P<what>message|orderbook)_\d+\.csv")
BOOK_COLUMNS = ("ask price", "ask size", "bid price", "bid size")
PRICE_PLACES = 4
HALTED, RESUMED = -1, 1
"""What the price column of a halt message says."""
Row = tuple[int, int, int, int, int, int]
"""message index, kind, side, price, size, order id"""


class Side:
    """One side of the tracked book: every order at every price, oldest first."""

    def __init__(self, sign: int, out: list[Row], book: Book) -> None:
        self.sign, self.out, self.book = sign, out, book
        self.orders: dict[int, dict[int, int]] = {}  # price -> order id -> size
        self.total: dict[int, int] = {}  # price -> size
        self.keys: list[int] = []  # -sign * price of every level, best first

    def add(self, price: int, order_id: int, size: int) -> None:
        """A new order."""
        self.out.append((self.book.message, Kind.ADD, self.sign, price, size, order_id))
        level = self.orders.get(price)
        if level is None:
            level = self.orders[price] = {}
            self.total[price] = 0
            insort(self.keys, -self.sign * price)
        level[order_id] = level.get(order_id, 0) + size
        self.total[price] += size

    def add_anonymous(self, price: int, size: int) -> None:
        """Size whose orders are not known."""
        self.book.anonymous -= 1
        self.add(price, self.book.anonymous, size)

    def take(self, kind: int, price: int, order_id: int, size: int) -> bool:
        """Remove `size` of an order; what it lacks comes from anonymous orders, then from the oldest.

        Returns False if the level does not hold that much.
        """
        if self.total.get(price, 0) < size:
            return False
        level = self.orders[price]
        left = self._take_from(kind, price, order_id, size) if order_id in level else size
        if left:
            for other in sorted(level, key=lambda known: known > 0):  # stable: by age within each group
                left = self._take_from(kind, price, other, left)
                if not left:
                    break
        return True

    def end(self, price: int, order_id: int) -> None:
        """Cancel what is left of an order that is said to be gone."""
        left = self.orders.get(price, {}).get(order_id, 0)
        if left:
            self._take_from(Kind.CANCEL, price, order_id, left)

    def _take_from(self, kind: int, price: int, order_id: int, size: int) -> int:
        """Take up to `size` from one order; returns what it lacked."""
        level = self.orders[price]
        taken = min(level[order_id], size)
        self.out.append((self.book.message, kind, self.sign, price, taken, order_id))
        if taken == level[order_id]:
            del level[order_id]
        else:
            level[order_id] -= taken
        self.total[price] -= taken
        if not level:
            del self.orders[price], self.total[price]
            del self.keys[bisect_right(self.keys, -self.sign * price) - 1]
        return size - taken

    def match(self, view: list[tuple[int, int]], levels: int) -> None:
        """Make the visible levels equal to `view`, (price, size) best first; fewer than `levels`: the whole side."""
        for price, size in view:
            have = self.total.get(price, 0)
            if have < size:
                self.add_anonymous(price, size - have)
            elif have > size:
                self.take(Kind.CANCEL, price, 0, have - size)
        reach = bisect_right(self.keys, -self.sign * view[-1][0]) if len(view) == levels else len(self.keys)
        if reach > len(view):
            visible = {-self.sign * price for price, _ in view}
            for key in [key for key in self.keys[:reach] if key not in visible]:
                price = -self.sign * key
                self.take(Kind.CANCEL, price, 0, self.total[price])


class Book:
    """Both sides, and the rows that they write."""

    def __init__(self) -> None:
        self.out: list[Row] = []
        self.message = 0
        self.anonymous = 0
        self.sides = {sign: Side(sign, self.out, self) for sign in (BID, ASK)}

    def open(self, views: dict[int, list[tuple[int, int]]]) -> None:
        """The opening snapshot."""
        self._mark(Kind.SNAPSHOT_BEGIN)
        for sign, view in views.items():
            for price, size in view:
                self.sides[sign].add_anonymous(price, size)
        self._mark(Kind.SNAPSHOT_END)

    def halt(self, price: int) -> None:
        """A halt message: the book is not to be used from a halt until trading resumes."""
        if price == HALTED:
            self._mark(Kind.GAP)
        elif price == RESUMED:
            self._mark(Kind.SNAPSHOT_BEGIN)
            for sign, side in self.sides.items():
                for key in side.keys:
                    at = -sign * key
                    for order_id, size in side.orders[at].items():
                        self.out.append((self.message, Kind.ADD, sign, at, size, order_id))
            self._mark(Kind.SNAPSHOT_END)

    def _mark(self, kind: Kind) -> None:
        self.out.append((self.message, kind, 0, 0, 0, 0))


def read(
    paths: list[Path],
    progress: Progress | None = None,
    symbol: str = "",
    date: str = "",
    timezone: str = "America/New_York",
) -> Raw:
    """Read a zip, or a message and an orderbook file.

    Parameters
    ----------
    paths : list of Path
    symbol, date : str, optional
        Taken from the file names (``AMZN_2012-06-21_..._message_5.csv``) if absent.
    timezone : str
        Of the exchange; LOBSTER counts seconds from local midnight.
    """
    sources = Sources()
    (message_name, message_data), (book_name, book_data) = _pair(paths, progress)
    name = NAME.search(message_name.name)
    symbol, date = symbol or (name["symbol"] if name else ""), date or (name["date"] if name else "")
    if not date:
        raise FeedError("the file name has no date: give date='2012-06-21'", path=message_name)
    file = sources.add(message_name)
    table = parse_csv(message_data, message_name, MESSAGE_COLUMNS)
    place = places_of(table, file, 1)
    exch_ns = _midnight_ns(date, timezone) + _seconds_ns(numbers(column_text(table, "time"), sources, place, "time"))
    require_order(exch_ns, sources, place, "time")
    columns = [whole_numbers(column_text(table, c), sources, place, c) for c in MESSAGE_COLUMNS[1:]]
    width = book_data.partition(b"\n")[0].count(b",") + 1
    if book_data.strip() and width % 4:
        raise FeedError(f"has {width} columns: an orderbook file has 4 a level", path=book_name, line=1)
    names = [f"{column} {level}" for level in range(1, width // 4 + 1) for column in BOOK_COLUMNS]
    book_table = parse_csv(book_data, book_name, names)
    if book_table.num_rows != table.num_rows:
        reason = f"has {book_table.num_rows} rows, the message file {table.num_rows}: they are not a pair"
        raise FeedError(reason, path=book_name)
    views = Views(book_table, sources, places_of(book_table, sources.add(book_name), 1))
    tracked = track(columns, views, sources, place)
    notes = ["order by order; orders older than the file and levels from beyond its depth have negative ids"]
    crossings = int(np.count_nonzero(columns[0] == CROSS))
    if crossings:
        notes.append(f"{crossings} auction trades were left out: they have no aggressor")
    return Raw(
        sources, _book_rows(tracked.out, exch_ns, place), _hidden_trades(columns, exch_ns, place),
        symbol=symbol, source="NASDAQ, LOBSTER", clocks=1, hidden_prices=True, settle="USD", notes=notes,
        report={"levels": views.levels, "anonymous_orders": -tracked.anonymous, "auction_trades": crossings},
    )  # fmt: skip


class Views:
    """The orderbook file: the best `levels` levels of each side after each message."""

    def __init__(self, table: pa.Table, sources: Sources, place: Array) -> None:
        self.levels = table.num_columns // 4
        columns = [whole_numbers(column_text(table, name), sources, place, name) for name in table.column_names]
        grid = np.stack(columns, axis=1).reshape(-1, self.levels, 4)
        both = (grid[:, 0, 1] > 0) & (grid[:, 0, 3] > 0)
        crossed = both & (grid[:, 0, 2] >= grid[:, 0, 0])
        if crossed.any():
            i = int(np.argmax(crossed))
            ask, bid = (grid[i, 0, c] / 10**PRICE_PLACES for c in (0, 2))
            raise sources.error(f"crossed snapshot: best bid {bid:g} is not below best ask {ask:g}", place[i])
        self._pairs: dict[int, list[Any]] = {}
        self.changed: dict[int, list[bool]] = {}
        for sign, first in ((BID, 2), (ASK, 0)):
            pairs = grid[:, :, first : first + 2]
            self._pairs[sign] = pairs.tolist()
            self.changed[sign] = [True, *(pairs[1:] != pairs[:-1]).any(axis=(1, 2)).tolist()]

    def __len__(self) -> int:
        return len(self._pairs[BID])

    def at(self, sign: int, i: int) -> list[tuple[int, int]]:
        """(price, size) of one side after message `i`, best first, without the dummies of unoccupied levels."""
        pairs = self._pairs[sign][i]
        return pairs if pairs[-1][1] > 0 else [pair for pair in pairs if pair[1] > 0]


def track(columns: list[Array], views: Views, sources: Sources, place: Array) -> Book:
    """Walk through the messages, keeping every order; the rows are ``Book.out``."""
    book = Book()
    types, ids, sizes, prices, directions = (column.tolist() for column in columns)
    for i, (kind, order_id, size, price, sign) in enumerate(zip(types, ids, sizes, prices, directions, strict=True)):
        book.message = i
        if i == 0:
            book.open(before(kind, size, price, sign, {s: views.at(s, 0) for s in (BID, ASK)}))
        if kind in BOOK_TYPES:
            wrong = apply(book, kind, order_id, size, price, sign)
        elif kind in (HIDDEN, CROSS):
            wrong = ""
        else:
            wrong = "" if kind == HALT else f"message type {kind} is unknown"
            book.halt(price)
        if wrong:
            raise sources.error(wrong, place[i])
        for s in (BID, ASK):
            if s == sign or views.changed[s][i]:
                book.sides[s].match(views.at(s, i), views.levels)
    return book


def apply(book: Book, kind: int, order_id: int, size: int, price: int, sign: int) -> str:
    """Apply a message about a visible order; returns what is wrong with it, or nothing."""
    if sign not in book.sides:
        return f"direction {sign} is neither 1 nor -1"
    if size <= 0:
        return f"size {size} must be > 0"
    side = book.sides[sign]
    if kind == SUBMISSION:
        side.add(price, order_id, size)
    elif not side.take(Kind.EXECUTE if kind == EXECUTION else Kind.CANCEL, price, order_id, size):
        held = side.total.get(price, 0)
        return f"{size} leave the level {price}, which holds {held}: message and orderbook files disagree"
    if kind == DELETION:
        side.end(price, order_id)
    return ""


def before(
    kind: int, size: int, price: int, sign: int, views: dict[int, list[tuple[int, int]]]
) -> dict[int, list[tuple[int, int]]]:
    """The visible levels before the first message, from those after it."""
    if kind in BOOK_TYPES and sign in views:
        sizes = {at: held for at, held in views[sign]}  # noqa: C416 - the pairs are lists
        sizes[price] = sizes.get(price, 0) + (-size if kind == SUBMISSION else size)
        views[sign] = sorted(((p, q) for p, q in sizes.items() if q > 0), key=lambda level: -sign * level[0])
    return views


def _pair(paths: list[Path], progress: Progress | None) -> tuple[tuple[Path, bytes], tuple[Path, bytes]]:
    """Names and contents of the message file and the orderbook file."""
    found: dict[str, tuple[Path, bytes]] = {}
    for path in paths:
        for name, data in _members(path, progress):
            match = NAME.search(name.name)
            what = match["what"] if match else next((w for w in ("message", "orderbook") if w in name.name), "")
            if what in found:
                reason = f"a second {what} file beside {found[what][0].name}: import one day at a time"
                raise FeedError(reason, path=name)
            if what:
                found[what] = name, data
    for what in ("message", "orderbook"):
        if what not in found:
            raise FeedError(f"no {what} file: give LOBSTER's zip, or both its CSV files", path=paths[0])
    return found["message"], found["orderbook"]


def _members(path: Path, progress: Progress | None) -> list[tuple[Path, bytes]]:
    """CSV files of a zip, or the file itself."""
    if path.suffix != ".zip":
        return [(path, read_all(path, progress))]
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if name.endswith(".csv")]
            members = [(path / name, archive.read(name)) for name in names]
    except (zipfile.BadZipFile, EOFError, zlib.error) as error:
        raise FeedError(f"is damaged or no zip file ({error}): fetch it again", path=path) from None
    if progress is not None:
        progress(path.stat().st_size)
    return members


def _midnight_ns(date: str, timezone: str) -> int:
    try:
        return int(pd.Timestamp(date).tz_localize(timezone).as_unit("ns").value)
    except (ValueError, KeyError) as error:
        raise FeedError(f"date {date!r} in time zone {timezone!r} cannot be read: {error}") from None


def _seconds_ns(seconds: Decimals) -> Array:
    """Seconds as nanoseconds; finer digits are cut off."""
    places = seconds.places.astype(np.int64)
    return seconds.mantissa * np.power(10, np.maximum(9 - places, 0)) // np.power(10, np.maximum(places - 9, 0))


def _book_rows(out: list[Row], exch_ns: Array, place: Array) -> Rows:
    message, kind, side, price, size, order_id = np.array(out, np.int64).T
    return Rows(
        exch_ns[message], exch_ns[message], kind.astype(np.uint8), side.astype(np.int8),
        Decimals(price, np.full(price.size, PRICE_PLACES, np.int8)), Decimals(size, np.zeros(size.size, np.int8)),
        order_id, place[message],
    )  # fmt: skip


def _hidden_trades(columns: list[Array], exch_ns: Array, place: Array) -> Rows:
    """Executions of hidden orders: no part of the book. The aggressor is opposite to the resting order."""
    kind, _, size, price, direction = columns
    at = kind == HIDDEN
    n = int(at.sum())
    prices, sizes = Decimals(price[at], np.full(n, PRICE_PLACES, np.int8)), Decimals(size[at], np.zeros(n, np.int8))
    return trade_rows(exch_ns[at], exch_ns[at], -direction[at].astype(np.int8), prices, sizes, None, place[at])
