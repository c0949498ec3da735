"""Market frames as rows of the feed. Pure.

A book is right from a full frame on, as long as every update begins at the nonce where the frame before ended. Whatever
cannot be read, or does not follow, ends that: a GAP, and the channel must begin again.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable
from typing import Any

import numpy as np

from mmlab.events import ASK, BID, EVENT, NS_PER_MS, NS_PER_S, Kind
from mmlab.wire.lighter import (
    BOOK,
    MARKET_STATS,
    OFF_BOOK_TRADES,
    TICKER,
    TRADE,
    UNREADABLE,
    BookFrame,
    Level,
    MarketStats,
    StatsFrame,
    TickerFrame,
    Trade,
    TradeFrame,
    decode_family,
    market_of,
)
from mmlab.wire.lighter_numbers import nearest_units, units

Rows = list[tuple[int, int, int, int, int, int, int]]
FAMILIES = (BOOK, TRADE, MARKET_STATS, TICKER)
HOURS_12_NS = 43_200 * NS_PER_S
"""A venue's time farther from ours is not believed."""
REMEMBERED = 10_000
"""Trades known by their ids."""
CHECK_NS = NS_PER_S
"""Least time between two comparisons of the book with the ticker."""
TRUST = 3
"""Comparisons that agreed before one that does not counts against the book: shared nonces are to be verified."""
RATE_DECIMALS = 7
"""A funding rate is in percent; rows have it in 1e-9."""

MOST_FUNDING = 10**8
"""A tenth of the position's value at once."""


class UnusableError(ValueError):
    """A frame of which nothing can be believed."""


class MarketTracker:
    """One market's feed.

    Parameters
    ----------
    market : int
        The venue's id of it.
    price_decimals, size_decimals : int
        Of its ticks and lots.

    Attributes
    ----------
    counters : Counter
        What was wrong, by name.
    again : set of str
        Channels that must begin again; whoever acts on it takes them out.
    """

    def __init__(self, market: int, price_decimals: int, size_decimals: int, counters: Counter[str]) -> None:
        self.market, self.counters = market, counters
        self.again: set[str] = set()
        self._price_decimals, self._size_decimals = price_decimals, size_decimals
        self._nonce: int | None = None  # of the last frame, while the book is right
        self._bids: dict[int, int] = {}
        self._asks: dict[int, int] = {}
        self._book_ns = self._trade_ns = 0
        self._last_trade = 0
        self._trades: deque[int] = deque(maxlen=REMEMBERED)
        self._known: set[int] = set()
        self._stats: MarketStats | None = None
        self._agreed = 0
        self._checked_ns = 0

    @property
    def is_right(self) -> bool:
        """Whether the book is whole."""
        return self._nonce is not None

    @property
    def best(self) -> tuple[int, int]:
        """Best bid and ask, ticks; 0 for a side that is empty."""
        return max(self._bids, default=0), min(self._asks, default=0)

    def lost(self, now_ns: int) -> Rows:
        """Frames are missing: a GAP, unless it is known already."""
        if self._nonce is None:
            return []
        self._nonce = None
        self.counters["gaps"] += 1
        return [(self._book_ns or now_ns, now_ns, Kind.GAP, 0, 0, 0, 0)]

    def frame(self, family: str, data: bytes, now_ns: int) -> Rows:
        """Rows of a frame heard at `now_ns`."""
        if family not in FAMILIES:
            return []
        try:
            frame = decode_family(family, data)
            if frame is None:
                return []
            if market_of(frame.channel) != self.market:
                raise UnusableError(f"of another market: {frame.channel}")
            if isinstance(frame, BookFrame):
                return self._book(frame, now_ns)
            if isinstance(frame, TradeFrame):
                return self._trade_frame(frame, now_ns)
            if isinstance(frame, StatsFrame):
                return self._market_stats(frame, now_ns)
            return self._ticker(frame, now_ns) if isinstance(frame, TickerFrame) else []
        except UNREADABLE:
            self.counters["bad_frames"] += 1
            self.counters[f"bad_{family}"] += 1
            return self._start_over(now_ns) if family == BOOK else []

    def _start_over(self, now_ns: int) -> Rows:
        self.again.add(BOOK)
        return self.lost(now_ns)

    # --- Book --------------------------------------------------------------------------------------------------------

    def _book(self, frame: BookFrame, now_ns: int) -> Rows:
        book, is_full = frame.order_book, frame.is_snapshot
        if not is_full:
            if self._nonce is None:
                self.counters["updates_without_book"] += 1
                return []
            if book.begin_nonce != self._nonce:
                if book.nonce <= self._nonce and book.begin_nonce is not None:
                    self.counters["old_updates"] += 1
                    return []
                return self._start_over(now_ns)
        bids, asks = self._levels(book.bids), self._levels(book.asks)
        rows: Rows = []
        if is_full:
            if _crossed({p: s for p, s in bids if s}, {p: s for p, s in asks if s}):
                raise UnusableError("crossed")
            rows = self.lost(now_ns) if self._nonce != book.nonce else []
            self._bids, self._asks = {}, {}
        self._apply(bids, asks)
        self._nonce = book.nonce
        exch_ns = self._book_ns = max(self._book_ns, self._time(frame.exch_ns, now_ns))
        if is_full:
            rows.append((exch_ns, now_ns, Kind.SNAPSHOT_BEGIN, 0, 0, 0, book.nonce))
        rows += [(exch_ns, now_ns, Kind.DEPTH, BID, p, s, book.nonce) for p, s in bids if s or not is_full]
        rows += [(exch_ns, now_ns, Kind.DEPTH, ASK, p, s, book.nonce) for p, s in asks if s or not is_full]
        if is_full:
            rows.append((exch_ns, now_ns, Kind.SNAPSHOT_END, 0, 0, 0, book.nonce))
        return rows

    def _levels(self, levels: Iterable[Level]) -> list[tuple[int, int]]:
        price_decimals, size_decimals = self._price_decimals, self._size_decimals
        found = [(units(level.price, price_decimals), units(level.size, size_decimals)) for level in levels]
        for price, _ in found:
            if price == 0:
                raise UnusableError("a price of zero")
        return found

    def _apply(self, bids: list[tuple[int, int]], asks: list[tuple[int, int]]) -> None:
        for side, levels in ((self._bids, bids), (self._asks, asks)):
            for price, size in levels:
                if size:
                    side[price] = size
                else:
                    side.pop(price, None)

    def _ticker(self, frame: TickerFrame, now_ns: int) -> Rows:
        """Compare the book with the best quotes that the venue tells on another channel."""
        if frame.nonce != self._nonce or now_ns - self._checked_ns < CHECK_NS:
            return []
        self._checked_ns = now_ns
        ticker = frame.ticker
        told = tuple(units(q.price, self._price_decimals) if q.price else 0 for q in (ticker.b, ticker.a))
        if told == self.best and not _crossed(self._bids, self._asks):
            self._agreed += 1
            self.counters["ticker_agrees"] += 1
            return []
        self.counters["ticker_differs"] += 1
        return self._start_over(now_ns) if self._agreed >= TRUST or _crossed(self._bids, self._asks) else []

    # --- Trades ------------------------------------------------------------------------------------------------------

    def _trade_frame(self, frame: TradeFrame, now_ns: int) -> Rows:
        """New trades. A subscription repeats old ones: only those missed since the last one seen are kept."""
        found = [*(frame.trades or ()), *(frame.liquidation_trades or ())]
        if frame.is_snapshot and not self._last_trade:
            self._last_trade = max((trade.trade_id for trade in found), default=0)
            return []
        rows: Rows = []
        for trade in sorted(found, key=lambda trade: trade.trade_id):
            if frame.is_snapshot and trade.trade_id <= self._last_trade:
                continue
            try:
                rows += self._trade(trade, now_ns)
            except ValueError:
                self.counters["bad_trades"] += 1
        return rows

    def _trade(self, trade: Trade, now_ns: int) -> Rows:
        if trade.trade_id in self._known:
            self.counters["repeated_trades"] += 1
            return []
        if trade.type in OFF_BOOK_TRADES:
            self.counters["off_book_trades"] += 1
            return []
        price, size = units(trade.price, self._price_decimals), units(trade.size, self._size_decimals)
        if not price or not size:
            raise UnusableError("a trade of nothing")
        if len(self._trades) == REMEMBERED:
            self._known.discard(self._trades[0])
        self._trades.append(trade.trade_id)
        self._known.add(trade.trade_id)
        self._last_trade = max(self._last_trade, trade.trade_id)
        exch_ns = self._trade_ns = max(self._trade_ns, self._time(trade.exch_ns, now_ns))
        side = BID if trade.is_maker_ask else ASK
        return [(exch_ns, now_ns, Kind.TRADE, side, price, size, trade.trade_id)]

    # --- Mark price and funding --------------------------------------------------------------------------------------

    def _market_stats(self, frame: StatsFrame, now_ns: int) -> Rows:
        """Mark price, and funding when its time moves on (published as the last instant, or as the next one)."""
        stats, last = frame.market_stats, self._stats
        at_ms = frame.timestamp
        rows: Rows = []
        mark = nearest_units(stats.mark_price, self._price_decimals) if stats.mark_price else 0
        if last is not None and 0 < last.funding_timestamp < stats.funding_timestamp and stats.funding_rate:
            is_past = stats.funding_timestamp <= at_ms
            instant_ms = stats.funding_timestamp if is_past else last.funding_timestamp
            rate, price = (stats if is_past else last).funding_rate, last.mark_price or stats.mark_price
            if rate and price:
                ticks, billionths = nearest_units(price, self._price_decimals), nearest_units(rate, RATE_DECIMALS)
                if abs(billionths) > MOST_FUNDING:
                    raise UnusableError(f"funding rate {rate} %")
                rows.append((self._time(instant_ms * NS_PER_MS, now_ns), now_ns, Kind.FUNDING, 0, ticks, billionths, 0))
        self._stats = stats
        if mark > 0 and at_ms:
            rows.append((self._time(at_ms * NS_PER_MS, now_ns), now_ns, Kind.MARK, 0, mark, 0, 0))
        return rows

    def _time(self, exch_ns: int, now_ns: int) -> int:
        """The venue's time, or ours if it tells none or nonsense."""
        if exch_ns and abs(exch_ns - now_ns) < HOURS_12_NS:
            return exch_ns
        self.counters["bad_times"] += exch_ns != 0
        return now_ns


def _crossed(bids: dict[int, int], asks: dict[int, int]) -> bool:
    return bool(bids and asks and max(bids) >= min(asks))


def as_array(rows: Rows) -> np.ndarray[Any, Any]:
    """Rows as the feed has them."""
    return np.array(rows, EVENT)
