"""Recorded Lighter WebSocket frames, one a line.

A line is ``<local ns> <frame>``, ``{"local_ns": ..., "frame": <frame>}``, or the bare frame (then the venue's time is
the only clock). Frames other than order book, trades and market stats are passed over. When an update's ``begin_nonce``
is not the nonce before it, messages were lost: a GAP, and the book waits for the next full one. So does a recorder's
mark that frames are missing (`mmlab record lighter` makes them).
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import msgspec

from mmlab.errors import FeedError
from mmlab.events import NS_PER_MS, Kind
from mmlab.feeds.lines import Progress, lines
from mmlab.feeds.normalise import Raw
from mmlab.feeds.rows import UNKNOWN_NS, MessageTable, PrintTable, Sources
from mmlab.wire.lighter import (
    OFF_BOOK_TRADES,
    BookFrame,
    Frame,
    MarketStats,
    StatsFrame,
    Trade,
    TradeFrame,
    decode,
    market_of,
)


class Envelope(msgspec.Struct):
    """A frame with the time it was received, or the bare frame."""

    local_ns: int | None = None
    frame: msgspec.Raw = msgspec.Raw(b"{}")


class Recording:
    """Reads the frames of one market."""

    def __init__(self, market: int | None) -> None:
        self.market = market
        self.symbol = ""
        self.sources = Sources()
        self.book = MessageTable(self.sources)
        self.trades = PrintTable(self.sources)
        self.marks = PrintTable(self.sources)
        self.counts: Counter[str] = Counter()
        self.clocks = {True: 0, False: 0}
        self.snapshots = 0
        self._nonce: int | None = None  # of the last frame while the book is right
        self._last_trade = 0
        self._last_local = 0
        self._stats: MarketStats | None = None
        self._envelope = msgspec.json.Decoder(Envelope).decode

    def read(self, path: Path, progress: Progress | None) -> None:
        """Append a file."""
        file = self.sources.add(path)
        for number, line in lines(path, progress):
            try:
                local_ns, text = self._opened(line)
                frame = decode(text)
            except (msgspec.DecodeError, ValueError) as error:
                raise FeedError(f"cannot be read as a Lighter frame: {error}", path=path, line=number) from None
            if frame is None or not self._is_mine(frame.channel, isinstance(frame, BookFrame)):
                self.counts["other_frames"] += 1
                continue
            self.clocks[local_ns is not None] += 1
            local_ns = local_ns if local_ns is not None else max(self._last_local, _venue_ns(frame))
            if local_ns < self._last_local:
                behind = (self._last_local - local_ns) / 1e9
                reason = f"local time goes back by {behind:.6f} s: lines are not in order"
                raise FeedError(reason, path=path, line=number)
            self._last_local = local_ns
            self._frame(frame, local_ns, file + number)

    def _opened(self, line: bytes) -> tuple[int | None, Any]:
        """Local time, if the line has one, and the frame's text."""
        if line[:1].isdigit():
            stamp, _, text = line.partition(b" ")
            return int(stamp), text
        envelope = self._envelope(line)
        if envelope.local_ns is None:
            return None, line
        text = bytes(envelope.frame)
        return envelope.local_ns, msgspec.json.decode(text, type=str) if text.startswith(b'"') else text

    def _is_mine(self, channel: str, is_book: bool) -> bool:
        market = market_of(channel)
        if self.market is None and is_book:
            self.market = market
        return market == self.market

    def _frame(self, frame: Frame, local_ns: int, place: int) -> None:
        if isinstance(frame, BookFrame):
            self._book(frame, local_ns, place)
        elif isinstance(frame, TradeFrame):
            self._trades(frame, local_ns, place)
        elif isinstance(frame, StatsFrame):
            self._market_stats(frame, local_ns, place)
        else:
            self._gap(local_ns, place)

    def _gap(self, local_ns: int, place: int) -> None:
        """A recorder's mark."""
        self.counts["gap_marks"] += 1
        if self._nonce is not None:
            self.book.add(Kind.GAP, exch_ns=UNKNOWN_NS, local_ns=local_ns, update_id=0, place=place)
            self._nonce = None

    def _book(self, frame: BookFrame, local_ns: int, place: int) -> None:
        book, exch_ns = frame.order_book, frame.exch_ns or UNKNOWN_NS
        lost = self._nonce is not None and self._nonce != (book.nonce if frame.is_snapshot else book.begin_nonce)
        if not frame.is_snapshot and self._nonce is not None and book.nonce <= self._nonce and lost:
            self.counts["duplicates"] += 1
            return
        if lost and (frame.is_snapshot or book.begin_nonce is not None):
            self.book.add(Kind.GAP, exch_ns=exch_ns, local_ns=local_ns, update_id=0, place=place)
            self._nonce = None
        if self._nonce is None and not frame.is_snapshot:
            self.counts["updates_without_book"] += 1
            return
        self.snapshots += frame.is_snapshot
        self._nonce = book.nonce
        bids, asks = ([(level.price, level.size) for level in side] for side in (book.bids, book.asks))
        kind = Kind.SNAPSHOT_BEGIN if frame.is_snapshot else Kind.DEPTH
        self.book.add(kind, exch_ns=exch_ns, local_ns=local_ns, update_id=book.nonce, place=place, bids=bids, asks=asks)

    def _trades(self, frame: TradeFrame, local_ns: int, place: int) -> None:
        """New trades. A subscription repeats old ones: only those missed since the last one seen are kept."""
        if frame.is_snapshot and not self._last_trade:
            return
        found = [*(frame.trades or ()), *(frame.liquidation_trades or ())]
        for trade in sorted(found, key=lambda trade: trade.trade_id):
            self._trade(trade, local_ns, place, repeated=frame.is_snapshot)

    def _trade(self, trade: Trade, local_ns: int, place: int, *, repeated: bool) -> None:
        if repeated and trade.trade_id <= self._last_trade:
            return
        if trade.type in OFF_BOOK_TRADES:
            self.counts["off_book_trades"] += 1
            return
        self._last_trade = max(self._last_trade, trade.trade_id)
        self.trades.add(
            Kind.TRADE, exch_ns=trade.exch_ns, local_ns=local_ns, side=1 if trade.is_maker_ask else -1,
            price=trade.price, size=trade.size, order_id=trade.trade_id, place=place,
        )  # fmt: skip

    def _market_stats(self, frame: StatsFrame, local_ns: int, place: int) -> None:
        """Mark price, and funding when its time moves on (published as the last instant, or as the next one)."""
        stats, last = frame.market_stats, self._stats
        self._stats, self.symbol = stats, stats.symbol or self.symbol
        at_ms = frame.timestamp
        if last is not None and 0 < last.funding_timestamp < stats.funding_timestamp and stats.funding_rate:
            is_past = stats.funding_timestamp <= at_ms
            instant_ms = stats.funding_timestamp if is_past else last.funding_timestamp
            rate, mark = (stats if is_past else last).funding_rate, last.mark_price or stats.mark_price
            if rate and mark:
                self._mark(Kind.FUNDING, instant_ms, local_ns, mark, _percent(rate), place)
        if stats.mark_price and at_ms:
            self._mark(Kind.MARK, at_ms, local_ns, stats.mark_price, "0", place)

    def _mark(self, kind: Kind, at_ms: int, local_ns: int, price: str, rate: str, place: int) -> None:
        self.marks.add(
            kind, exch_ns=at_ms * NS_PER_MS, local_ns=local_ns, side=0, price=price, size=rate, order_id=0, place=place
        )


def _percent(text: str) -> str:
    """A percentage as a plain number."""
    return f"{text}e-2"


def _venue_ns(frame: Frame) -> int:
    if isinstance(frame, BookFrame):
        return frame.exch_ns
    if isinstance(frame, TradeFrame):
        return max((t.exch_ns for t in (*(frame.trades or ()), *(frame.liquidation_trades or ()))), default=0)
    return frame.timestamp * NS_PER_MS if isinstance(frame, StatsFrame) else 0


def read(paths: list[Path], progress: Progress | None = None, market: int | None = None) -> Raw:
    """Read the frames of one market, several files as one recording, in the order given.

    Parameters
    ----------
    paths : list of Path
    market : int, optional
        Lighter's market id; default: that of the first order book frame.
    """
    recording = Recording(market)
    for path in paths:
        recording.read(path, progress)
    if not recording.snapshots:
        which = "" if recording.market is None else f" of market {recording.market}"
        raise FeedError(f"no full order book{which} (subscribed/order_book) among the frames", path=paths[0])
    clocks = recording.clocks
    if clocks[True] and clocks[False]:
        raise FeedError("some lines have a local time and some have none", path=paths[0])
    symbol = recording.symbol or f"market {recording.market}"
    return Raw(
        recording.sources, recording.book.rows(), recording.trades.rows(), recording.marks.rows(),
        symbol=symbol, source="Lighter", clocks=2 if clocks[True] else 1, settle="USDC",
        report={"market": recording.market, **recording.counts},
    )  # fmt: skip
