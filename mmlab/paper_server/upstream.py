"""A market that is heard from another venue on the same wire, as it happens."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import aiohttp
import msgspec
import numpy as np

from mmlab.errors import VenueError
from mmlab.events import EVENT, Kind
from mmlab.instrument import Instrument
from mmlab.paper_server.book import Book, Print
from mmlab.paper_server.units import Units
from mmlab.simulator import Tape
from mmlab.simulator.growing import GrowingTape
from mmlab.wire.lighter import OFF_BOOK_TRADES, BookFrame, GapMark, StatsFrame, TradeFrame, decode
from mmlab.wire.lighter_terms import API, IDLE_S, STREAM

Array = np.ndarray[Any, Any]
ROW = tuple[int, int, int, int]
"""Kind, side, ticks, lots."""
START_S, AGAIN_S = 15.0, 1.0


class LiveMarket:
    """A `Market` whose rows come while it is served; time is the wall clock's.

    Parameters
    ----------
    instrument : Instrument
    units : Units
    mid_ticks : int
        A price of the market; levels within a quarter of it are kept.
    """

    def __init__(self, instrument: Instrument, units: Units, mid_ticks: int) -> None:
        self.instrument, self._units = instrument, units
        self._growing, self._pending = GrowingTape(mid_ticks), list[Array]()
        self.book, self.shift_ns, self.laps, self.ended = Book(), 0, 0, False
        self.begin_ns = self.end_ns = time.time_ns()
        self._last_ns = self._last_trade = 0
        self.tape: Tape = self._growing.tape()
        self.grown = False

    def lap_over(self, _: int) -> bool:
        """Never."""
        return False

    def begin_again(self) -> None:
        """Never called."""

    def take(self, _: int) -> tuple[list[Print], list[tuple[int, int, int]]]:
        """Take the rows that have come."""
        if not self._pending:
            return [], []
        rows, self._pending = np.concatenate(self._pending), []
        return self.book.apply(rows)

    def hear(self, frame: BookFrame | TradeFrame | StatsFrame, now_ns: int) -> None:
        """A frame of the other venue; its rows happen now."""
        rows = self._rows(frame)
        if not rows:
            return
        self._last_ns = max(self._last_ns + 1, now_ns)
        events = np.zeros(len(rows), EVENT)
        events["exch_ns"] = events["local_ns"] = self._last_ns
        for name, column in zip(("kind", "side", "price_ticks", "size_lots"), zip(*rows, strict=True), strict=True):
            events[name] = column
        self._growing.extend(events)
        self.tape, self.grown = self._growing.tape(), True
        self._pending.append(events)

    def _rows(self, frame: BookFrame | TradeFrame | StatsFrame) -> list[ROW]:
        if isinstance(frame, TradeFrame):
            return [] if frame.is_snapshot else self._trades(frame)
        if isinstance(frame, StatsFrame):
            mark = frame.market_stats.mark_price
            return [(Kind.MARK, 0, self._ticks(mark), 0)] if mark else []
        sides = ((1, frame.order_book.bids), (-1, frame.order_book.asks))
        levels: list[ROW] = [
            (Kind.DEPTH, side, self._ticks(one.price), self._lots(one.size)) for side, found in sides for one in found
        ]
        if frame.is_snapshot:
            return [(Kind.SNAPSHOT_BEGIN, 0, 0, 0), *levels, (Kind.SNAPSHOT_END, 0, 0, 0)]
        return levels

    def _trades(self, frame: TradeFrame) -> list[ROW]:
        found = [*(frame.trades or ()), *(frame.liquidation_trades or ())]
        rows: list[ROW] = []
        for one in sorted(found, key=lambda trade: trade.trade_id):
            if one.trade_id > self._last_trade and one.type not in OFF_BOOK_TRADES:
                self._last_trade = one.trade_id
                side = 1 if one.is_maker_ask else -1
                rows.append((Kind.TRADE, side, self._ticks(one.price), self._lots(one.size)))
        return rows

    def _ticks(self, price: str) -> int:
        return round(float(price) * 10**self._units.price_decimals)

    def _lots(self, size: str) -> int:
        return round(float(size) * 10**self._units.size_decimals)


class Upstream:
    """The connection to the other venue.

    Parameters
    ----------
    url : str
        Of its WebSocket, ``wss://host/stream``.
    market_id : int
    """

    def __init__(self, url: str, market_id: int) -> None:
        self.url, self.market_id = url, market_id
        self.market: LiveMarket | None = None
        self._nonce: int | None = None
        self._opened: tuple[LiveMarket, Units] | None = None

    @property
    def opened(self) -> tuple[LiveMarket, Units]:
        """The market and its decimals, once it is open."""
        if self._opened is None:
            raise VenueError("the upstream is not open")
        return self._opened

    async def open(self) -> None:
        """Ask what the market is.

        Raises
        ------
        VenueError
            There is no answer, or no such market.
        """
        base = "http" + self.url.removeprefix("ws").removesuffix(STREAM)
        try:
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(START_S)) as session,
                session.get(f"{base}{API}/orderBookDetails?market_id={self.market_id}") as answer,
            ):
                found = await answer.json()
            (detail,) = found["order_book_details"]
            units = Units(int(detail["supported_price_decimals"]), int(detail["supported_size_decimals"]))
            instrument = Instrument(
                str(detail["symbol"]), float(f"1e-{units.price_decimals}"), float(f"1e-{units.size_decimals}"),
                min_size=float(detail["min_base_amount"]), min_notional=float(detail["min_quote_amount"]),
                settle="USDC",
            )  # fmt: skip
            mid_ticks = round(float(detail["last_trade_price"]) * 10**units.price_decimals)
        except (aiohttp.ClientError, TimeoutError, KeyError, TypeError, ValueError) as error:
            raise VenueError(f"upstream {base}: no market {self.market_id} there: {error!r}") from None
        self.market = LiveMarket(instrument, units, mid_ticks)
        self._opened = self.market, units

    async def run(self, now_ns: Callable[[], int]) -> None:
        """Listen for ever; connect again when the connection is lost, or a frame was."""
        while True:
            try:
                async with aiohttp.ClientSession() as session, session.ws_connect(self.url, max_msg_size=0) as socket:
                    for family in ("order_book", "trade", "market_stats"):
                        await socket.send_json({"type": "subscribe", "channel": f"{family}/{self.market_id}"})
                    await self._listen(socket, now_ns)
            except (aiohttp.ClientError, TimeoutError, msgspec.DecodeError):
                pass
            await asyncio.sleep(AGAIN_S)

    async def _listen(self, socket: aiohttp.ClientWebSocketResponse, now_ns: Callable[[], int]) -> None:
        said = time.monotonic()
        async for message in socket:
            if time.monotonic() - said > IDLE_S / 3:
                said = time.monotonic()
                await socket.send_str('{"type":"ping"}')
            if message.data == '{"type":"ping"}':
                await socket.send_str('{"type":"pong"}')
            frame = decode(message.data)
            if isinstance(frame, BookFrame) and not frame.is_snapshot and frame.order_book.begin_nonce != self._nonce:
                return  # something was lost: begin anew, from a full book
            if isinstance(frame, BookFrame):
                self._nonce = frame.order_book.nonce
            if self.market is not None and frame is not None and not isinstance(frame, GapMark):
                self.market.hear(frame, now_ns())
