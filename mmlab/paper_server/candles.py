"""Candles of the served trades, made as they come. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

MINUTE_MS = 60_000
RESOLUTIONS_MS = {
    "1m": 1, "5m": 5, "15m": 15, "30m": 30, "1h": 60, "4h": 240, "12h": 720, "1d": 1440, "1w": 10_080,
}  # fmt: skip
"""Minutes of each."""
KEPT = 2 * 1440
"""Minutes kept."""


@dataclass(slots=True)
class Candle:
    """One; prices in quote currency, ``begin_ms`` its first instant."""

    begin_ms: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    quote: float
    last_id: int
    trades: int

    def view(self) -> dict[str, Any]:
        """As the venue shows it."""
        return {
            "t": self.begin_ms, "o": self.open, "h": self.high, "l": self.low, "c": self.close, "v": self.volume,
            "V": self.quote, "i": self.last_id,
        }  # fmt: skip

    def join(self, later: Candle) -> None:
        """Take a later one into this."""
        self.high, self.low = max(self.high, later.high), min(self.low, later.low)
        self.close, self.last_id = later.close, later.last_id
        self.volume += later.volume
        self.quote += later.quote
        self.trades += later.trades


class Candles:
    """The last two days by the minute."""

    def __init__(self) -> None:
        self.minutes: list[Candle] = []

    def add(self, at_ms: int, price: float, size: float, trade_id: int) -> None:
        """A trade."""
        one = Candle(at_ms - at_ms % MINUTE_MS, price, price, price, price, size, price * size, trade_id, 1)
        if self.minutes and self.minutes[-1].begin_ms >= one.begin_ms:
            self.minutes[-1].join(one)
            return
        self.minutes.append(one)
        if len(self.minutes) > KEPT:
            del self.minutes[: len(self.minutes) - KEPT]

    def get(self, resolution: str, start_ms: int, end_ms: int, count: int) -> list[Candle]:
        """Candles that begin within the times, the last `count` of them."""
        length_ms = RESOLUTIONS_MS[resolution] * MINUTE_MS
        found: list[Candle] = []
        for minute in self.minutes:
            begin_ms = minute.begin_ms - minute.begin_ms % length_ms
            if not start_ms <= begin_ms <= end_ms:
                continue
            if found and found[-1].begin_ms == begin_ms:
                found[-1].join(minute)
            else:
                found.append(_copy(minute, begin_ms))
        return found[-count:]

    def day(self, now_ms: int) -> Candle | None:
        """The last 24 hours as one; None: no trade."""
        first_ms = now_ms - 1440 * MINUTE_MS
        whole: Candle | None = None
        for minute in self.minutes:
            if minute.begin_ms < first_ms:
                continue
            if whole is None:
                whole = _copy(minute, minute.begin_ms)
            else:
                whole.join(minute)
        return whole


def _copy(one: Candle, begin_ms: int) -> Candle:
    return Candle(begin_ms, one.open, one.high, one.low, one.close, one.volume, one.quote, one.last_id, one.trades)
