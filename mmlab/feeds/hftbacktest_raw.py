"""Raw Binance recordings of the hftbacktest collector: spot, USD-M and COIN-M.

One line a message: local time (ns, or µs in older files), a space, the message. Depth diffs carry update ids; the book
starts from one REST snapshot somewhere near the start. Binance's rule, spot and futures:

- diffs received before the snapshot are kept; those with ``u <= lastUpdateId`` are in it already and dropped;
- the first one applied must reach back to the snapshot: ``U <= lastUpdateId + 1`` (spot), ``pu <= lastUpdateId``
  (futures);
- after it each must follow on: ``U == previous u + 1`` (spot), ``pu == previous u`` (futures); if not, messages were
  lost: a GAP, and the book waits for another snapshot.

``bookTicker`` is not read: tests compare the rebuilt book with it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import msgspec

from mmlab.errors import FeedError
from mmlab.events import NS_PER_MS, Kind
from mmlab.feeds.lines import Progress, lines
from mmlab.feeds.normalise import EARLIEST_NS, LATEST_NS, Raw
from mmlab.feeds.rows import UNKNOWN_NS, MessageTable, PrintTable, Sources

COIN_M = re.compile(r"usd_(perp|\d{6})$")
COIN_M_CONTRACT_USD = {"btcusd": 100.0}
COIN_M_OTHER_USD = 10.0
MICROSECONDS_BELOW = 10**17
MOST_DIGITS = 20
Levels = list[tuple[str, str]]
Millis = Annotated[int, msgspec.Meta(ge=EARLIEST_NS // NS_PER_MS, le=LATEST_NS // NS_PER_MS)]
Id = Annotated[int, msgspec.Meta(ge=0, le=2**62)]


class Depth(msgspec.Struct):
    """A depth diff. ``pu`` and ``T`` only on futures."""

    E: Millis
    U: Id
    u: Id
    b: Levels
    a: Levels
    T: Millis | None = None
    pu: Id | None = None

    @property
    def exch_ns(self) -> int:
        """When the exchange changed the book (futures), or sent the diff (spot)."""
        return (self.E if self.T is None else self.T) * NS_PER_MS

    @property
    def after(self) -> int:
        """Update id of the book on which the diff builds."""
        return self.U - 1 if self.pu is None else self.pu


class DepthFrame(msgspec.Struct):
    """A depth diff in its combined-stream envelope."""

    data: Depth


class Trade(msgspec.Struct):
    """A trade. ``m``: the buyer was the maker; ``X``: MARKET, or what else moved a position (insurance fund, ADL)."""

    t: Id
    p: str
    q: str
    T: Millis
    m: bool
    X: str = "MARKET"


class TradeFrame(msgspec.Struct):
    """A trade in its envelope."""

    data: Trade


class Mark(msgspec.Struct):
    """Mark price ``p``, current funding rate ``r``, next funding time ``T``."""

    E: Millis
    p: str
    r: str = ""
    T: Annotated[int, msgspec.Meta(ge=0, le=LATEST_NS // NS_PER_MS)] = 0


class MarkFrame(msgspec.Struct):
    """A mark price in its envelope."""

    data: Mark


class Snapshot(msgspec.Struct):
    """A REST depth snapshot. Times only on futures."""

    lastUpdateId: Id  # noqa: N815 - the venue's name
    bids: Levels
    asks: Levels
    T: Millis | None = None
    E: Millis | None = None


class BookSync:
    """Binance's rule for joining snapshot and diffs, writing book messages to a table."""

    def __init__(self, out: MessageTable) -> None:
        self.out = out
        self.counts: Counter[str] = Counter()
        self.synced = False
        self.snapshots = 0
        self._waiting: list[tuple[int, int, Depth]] = []  # diffs since the book was last right
        self._last_u: int | None = None  # of the diff received last, if the book was right then
        self._snapshot_id: int | None = None  # set until the first diff after a snapshot
        self._snapshot_message = 0

    def snapshot(self, local_ns: int, place: int, snapshot: Snapshot) -> None:
        """Start, or start again, from a snapshot; then apply what was kept."""
        newest = snapshot.lastUpdateId
        if self.synced and self._last_u is not None and newest <= self._last_u:
            self.counts["snapshots_not_needed"] += 1
            return
        at_ms = snapshot.T if snapshot.T is not None else snapshot.E
        self._snapshot_message = len(self.out)
        exch_ns = UNKNOWN_NS if at_ms is None else at_ms * NS_PER_MS
        self.out.add(
            Kind.SNAPSHOT_BEGIN, exch_ns=exch_ns, local_ns=local_ns, update_id=newest, place=place,
            bids=snapshot.bids, asks=snapshot.asks,
        )  # fmt: skip
        self.snapshots += 1
        self.synced, self._snapshot_id = True, newest
        waiting, self._waiting = self._waiting, []
        for _, diff_place, diff in waiting:
            self.diff(local_ns, diff_place, diff)

    def diff(self, local_ns: int, place: int, diff: Depth) -> None:
        """Apply a diff, keep it for later, or find a gap."""
        if not self.synced:
            self._waiting.append((local_ns, place, diff))
            return
        if self._snapshot_id is not None:
            if diff.u <= self._snapshot_id:
                self.counts["diffs_before_snapshot"] += 1
                return
            if diff.after > self._snapshot_id:
                self._gap(local_ns, place, diff)
                return
            if self._last_u is not None and diff.after != self._last_u:
                self.out.insert_gap(self._snapshot_message)  # messages were lost, and the snapshot mended it
            self._snapshot_id = None
        elif self._last_u is not None:
            if diff.u <= self._last_u:
                self.counts["duplicates"] += 1
                return
            if diff.after != self._last_u:
                self._gap(local_ns, place, diff)
                return
        self._last_u = diff.u
        self.out.add(
            Kind.DEPTH, exch_ns=diff.exch_ns, local_ns=local_ns, update_id=diff.u, place=place, bids=diff.b, asks=diff.a
        )

    def _gap(self, local_ns: int, place: int, diff: Depth) -> None:
        self.out.add(Kind.GAP, exch_ns=diff.exch_ns, local_ns=local_ns, update_id=0, place=place)
        self.synced, self._snapshot_id, self._last_u = False, None, None
        self._waiting.append((local_ns, place, diff))


class Marks:
    """Mark prices; a funding instant passes when the next funding time moves on."""

    def __init__(self, out: PrintTable) -> None:
        self.out = out
        self._last: Mark | None = None

    def mark(self, local_ns: int, place: int, mark: Mark) -> None:
        """Append MARK, and FUNDING of the instant just passed, at the rate and mark last published before it."""
        last, self._last = self._last, mark
        if last is not None and last.r and 0 < last.T < mark.T and last.T <= mark.E:
            self._add(Kind.FUNDING, last.T, local_ns, last.p, last.r, place)
        self._add(Kind.MARK, mark.E, local_ns, mark.p, "0", place)

    def _add(self, kind: Kind, at_ms: int, local_ns: int, price: str, rate: str, place: int) -> None:
        self.out.add(
            kind, exch_ns=at_ms * NS_PER_MS, local_ns=local_ns, side=0, price=price, size=rate, order_id=0, place=place
        )


class Recording:
    """Reads the files of one session."""

    def __init__(self) -> None:
        self.sources = Sources()
        self.book = MessageTable(self.sources)
        self.sync = BookSync(self.book)
        self.trades = PrintTable(self.sources)
        self.mark_rows = PrintTable(self.sources)
        self.marks = Marks(self.mark_rows)
        self.ignored: Counter[str] = Counter()
        self.symbol = ""
        self._last_local = 0
        self._readers: dict[str, Callable[[int, int, bytes], None]] = {
            "depth": self._depth, "trade": self._trade, "markPrice": self._mark,
        }  # fmt: skip
        self._decode_depth = msgspec.json.Decoder(DepthFrame).decode
        self._decode_trade = msgspec.json.Decoder(TradeFrame).decode
        self._decode_mark = msgspec.json.Decoder(MarkFrame).decode
        self._decode_snapshot = msgspec.json.Decoder(Snapshot).decode

    def read(self, path: Path, progress: Progress | None) -> None:
        """Append a file."""
        file = self.sources.add(path)
        for number, line in lines(path, progress):
            stamp, _, message = line.partition(b" ")
            if not stamp.isdigit() or len(stamp) > MOST_DIGITS or not message:
                raise FeedError("expected '<local time> <json>'", path=path, line=number)
            local_ns = int(stamp)
            if local_ns < MICROSECONDS_BELOW:
                local_ns *= 1000
            if not EARLIEST_NS <= local_ns <= LATEST_NS:
                raise FeedError(f"local time {stamp.decode()} is absurd: neither ns nor µs", path=path, line=number)
            if local_ns < self._last_local:
                behind = (self._last_local - local_ns) / 1e9
                reason = f"local time goes back by {behind:.6f} s: lines are not in order"
                raise FeedError(reason, path=path, line=number)
            self._last_local = local_ns
            try:
                self._line(local_ns, file + number, message)
            except (msgspec.DecodeError, ValueError) as error:
                raise FeedError(f"cannot be read as a Binance message: {error}", path=path, line=number) from None

    def _line(self, local_ns: int, place: int, message: bytes) -> None:
        if not message.startswith(b'{"stream":"'):
            self.sync.snapshot(local_ns, place, self._decode_snapshot(message))
            return
        symbol, _, stream = message[11 : message.index(b'"', 11)].decode().partition("@")
        if symbol != self.symbol:
            self._new_symbol(symbol, place)
        read = self._readers.get(stream.partition("@")[0])
        if read is None:
            self.ignored[stream.partition("@")[0]] += 1
        else:
            read(local_ns, place, message)

    def _new_symbol(self, symbol: str, place: int) -> None:
        if self.symbol:
            raise self.sources.error(f"a second symbol {symbol!r} after {self.symbol!r}: import one at a time", place)
        self.symbol = symbol

    def _depth(self, local_ns: int, place: int, message: bytes) -> None:
        self.sync.diff(local_ns, place, self._decode_depth(message).data)

    def _trade(self, local_ns: int, place: int, message: bytes) -> None:
        trade = self._decode_trade(message).data
        if trade.X != "MARKET":
            self.ignored[f"trade {trade.X}"] += 1
            return
        self.trades.add(
            Kind.TRADE, exch_ns=trade.T * NS_PER_MS, local_ns=local_ns, side=-1 if trade.m else 1,
            price=trade.p, size=trade.q, order_id=trade.t, place=place,
        )  # fmt: skip

    def _mark(self, local_ns: int, place: int, message: bytes) -> None:
        self.marks.mark(local_ns, place, self._decode_mark(message).data)


def first_stamp(path: Path) -> int:
    """Local time at which a file starts, for putting files in order."""
    _, line = next(lines(path))
    stamp = line.partition(b" ")[0]
    return int(stamp) if stamp.isdigit() else 0


def read(paths: list[Path], progress: Progress | None = None) -> Raw:
    """Read the files of one session, in the order of their first lines.

    Raises
    ------
    FeedError
        A line that is no Binance message, local time going backwards, two symbols, or no snapshot at all.
    """
    recording = Recording()
    for path in sorted(paths, key=first_stamp):
        recording.read(path, progress)
    if not recording.sync.snapshots:
        reason = "no order book snapshot in the recording: give its first file too, which holds it"
        raise FeedError(reason, path=recording.sources.paths[0])
    symbol = recording.symbol.upper()
    counts = recording.sync.counts
    report: dict[str, Any] = {"ignored": dict(recording.ignored), **counts}
    raw = Raw(
        recording.sources, recording.book.rows(), recording.trades.rows(), recording.mark_rows.rows(),
        symbol=symbol, source="Binance, hftbacktest collector", report=report,
    )  # fmt: skip
    if COIN_M.search(recording.symbol):
        pair = recording.symbol.partition("_")[0]
        raw.contract, raw.settle = "inverse", pair.removesuffix("usd").upper()
        raw.contract_size = COIN_M_CONTRACT_USD.get(pair, COIN_M_OTHER_USD)
        raw.notes.append(f"{symbol} is a COIN-M future: inverse, {raw.contract_size:g} USD a contract")
    return raw
