"""Lighter's public market frames: JSON text -> typed structures. Pure: no socket, no clock.

Prices and sizes stay decimal strings. ``begin_nonce`` of an update must equal the ``nonce`` of the frame before;
``offset`` is counted per API node and says nothing about gaps.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import msgspec

BOOK, TRADE, MARKET_STATS, TICKER = "order_book", "trade", "market_stats", "ticker"
GAP = "gap"
SNAPSHOT_PREFIX = "subscribed/"
OFF_BOOK_TRADES = frozenset({"deleverage", "market-settlement"})
"""Types of trades that no resting order took part in."""


Millis = Annotated[int, msgspec.Meta(ge=0, le=9 * 10**12)]
Micros = Annotated[int, msgspec.Meta(ge=0, le=9 * 10**15)]
UNREADABLE = (msgspec.DecodeError, ValueError, RecursionError)
"""What decoding bad input may raise."""
Id = Annotated[int, msgspec.Meta(ge=0, le=2**62)]


class Level(msgspec.Struct):
    """A price level; size zero removes it."""

    price: str
    size: str


class Book(msgspec.Struct):
    """A full book, or the levels that changed."""

    asks: list[Level]
    bids: list[Level]
    nonce: Id
    begin_nonce: Id | None = None
    last_updated_at: Micros = 0


class BookFrame(msgspec.Struct):
    """Frame of ``order_book/M``; times: µs, ms."""

    type: str
    channel: str
    order_book: Book
    last_updated_at: Micros = 0
    timestamp: Millis = 0

    @property
    def is_snapshot(self) -> bool:
        """Whether it holds the full book."""
        return self.type.startswith(SNAPSHOT_PREFIX)

    @property
    def exch_ns(self) -> int:
        """When the venue changed the book; 0 if the frame does not say."""
        us = self.order_book.last_updated_at or self.last_updated_at
        return us * 1000 if us else self.timestamp * 1_000_000


class Trade(msgspec.Struct):
    """A public trade; times: ms, µs. ``is_maker_ask``: the aggressor bought."""

    trade_id: Id
    price: str
    size: str
    is_maker_ask: bool
    timestamp: Millis = 0
    transaction_time: Micros = 0
    type: str = "trade"

    @property
    def exch_ns(self) -> int:
        """When it was matched."""
        return self.transaction_time * 1000 if self.transaction_time else self.timestamp * 1_000_000


class TradeFrame(msgspec.Struct):
    """Frame of ``trade/M``."""

    type: str
    channel: str
    trades: list[Trade] | None = None
    liquidation_trades: list[Trade] | None = None

    @property
    def is_snapshot(self) -> bool:
        """Whether it repeats recent trades."""
        return self.type.startswith(SNAPSHOT_PREFIX)


class MarketStats(msgspec.Struct):
    """Mark price and funding; rates in percent."""

    market_id: int = -1
    symbol: str = ""
    mark_price: str = ""
    funding_rate: str = ""
    funding_timestamp: Millis = 0


class StatsFrame(msgspec.Struct):
    """Frame of ``market_stats/M``; time: ms."""

    type: str
    channel: str
    market_stats: MarketStats
    timestamp: Millis = 0


class Quote(msgspec.Struct):
    """A best quote; empty texts: there is none."""

    price: str = ""
    size: str = ""


class Ticker(msgspec.Struct):
    """Best ask and bid."""

    a: Quote
    b: Quote


class TickerFrame(msgspec.Struct):
    """Frame of ``ticker/M``: told whenever a best quote changes."""

    type: str
    channel: str
    ticker: Ticker
    nonce: Id = 0


class GapMark(msgspec.Struct):
    """Not the venue's: a recorder's mark that frames of a market are missing from here on."""

    type: str
    channel: str
    reason: str = ""


class _Head(msgspec.Struct):
    type: str = ""
    channel: str = ""


Frame = BookFrame | TradeFrame | StatsFrame | GapMark
_head = msgspec.json.Decoder(_Head).decode
_DECODE: dict[str, Callable[[Any], Frame]] = {
    BOOK: msgspec.json.Decoder(BookFrame).decode,
    TRADE: msgspec.json.Decoder(TradeFrame).decode,
    MARKET_STATS: msgspec.json.Decoder(StatsFrame).decode,
    GAP: msgspec.json.Decoder(GapMark).decode,
}
_decode_ticker = msgspec.json.Decoder(TickerFrame).decode


def decode(text: bytes | str | msgspec.Raw) -> Frame | None:
    """A market frame, or a recorder's mark; None for every other kind.

    Raises
    ------
    msgspec.DecodeError
        No JSON, or a market frame without its fields.
    """
    head = _head(text)
    family = head.type.partition("/")[2]
    decoder = _DECODE.get(family)
    if decoder is None or (family == MARKET_STATS and head.channel.endswith("all")):
        return None
    return decoder(text)


def decode_family(family: str, text: bytes) -> Frame | TickerFrame | None:
    """A market frame of the family that its type names; None for every other kind.

    Raises
    ------
    msgspec.DecodeError
        A market frame without its fields.
    """
    if family == TICKER:
        return _decode_ticker(text)
    decoder = _DECODE.get(family)
    return None if decoder is None else decoder(text)


def gap_mark(market: int, reason: str) -> bytes:
    """A recorder's mark, as a frame."""
    return msgspec.json.encode(GapMark(f"mmlab/{GAP}", f"{BOOK}:{market}", reason))


def market_of(channel: str) -> int:
    """Market id of a channel name, ``order_book:0`` or ``order_book/0``; -1 if it has none."""
    name = channel.replace("/", ":").rpartition(":")[2]
    return int(name) if name.isdigit() else -1
