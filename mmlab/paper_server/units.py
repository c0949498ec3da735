"""Decimals of a market: one price unit is a tick, one size unit a lot, and text has all decimals. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np

from mmlab.errors import ConfigError
from mmlab.events import NO_PRICE, Kind
from mmlab.feeds import Feed
from mmlab.instrument import Instrument

Array = np.ndarray[Any, Any]
MICRO = 10**6
"""Money is counted in millionths of price unit x size unit, so that fees (millionths) are exact."""


@dataclass(frozen=True, slots=True)
class Units:
    """Decimals of prices and sizes."""

    price_decimals: int
    size_decimals: int

    @property
    def money(self) -> int:
        """Money units in one USD."""
        return MICRO * 10 ** (self.price_decimals + self.size_decimals)

    def price(self, ticks: int) -> str:
        """A price as text."""
        return text(ticks, self.price_decimals)

    def size(self, lots: int) -> str:
        """A size as text."""
        return text(lots, self.size_decimals)

    def usd(self, units: int) -> str:
        """Money as text, 6 decimals, rounded towards minus infinity."""
        return text(units * MICRO // self.money, 6)

    def quote(self, tick_lots: int) -> str:
        """Price x size as text, 6 decimals."""
        return self.usd(tick_lots * MICRO)


def text(value: int, decimals: int) -> str:
    """``value`` units of ``10**-decimals`` as text with all decimals."""
    if not decimals:
        return str(value)
    sign, digits = ("-", -value) if value < 0 else ("", value)
    whole, part = divmod(digits, 10**decimals)
    return f"{sign}{whole}.{part:0{decimals}d}"


def decimals_of(step: float) -> tuple[int, int]:
    """Decimals of a step, and how many units of its last decimal it is: 0.5 -> (1, 5)."""
    number = Decimal(repr(step)).normalize()
    exponent = int(number.as_tuple().exponent)
    decimals = max(0, -exponent)
    return decimals, int(number.scaleb(decimals))


def in_units(feed: Feed) -> tuple[Feed, Units]:
    """The feed in units of the last decimal, as Lighter counts; the same feed if its tick and lot are so already.

    Raises
    ------
    ConfigError
        The contract is none that Lighter could have.
    """
    instrument = feed.instrument
    if instrument.inverse or instrument.contract_size != 1.0:
        raise ConfigError(f"{instrument.symbol}: Lighter has linear contracts of size 1 only; serve another feed")
    (price_decimals, ticks), (size_decimals, lots) = decimals_of(instrument.tick_size), decimals_of(instrument.lot_size)
    units = Units(price_decimals, size_decimals)
    if ticks == 1 and lots == 1:
        return feed, units
    events = feed.events.copy()
    events["price_ticks"][events["price_ticks"] != NO_PRICE] *= ticks
    sized = (events["kind"] != Kind.FUNDING) & (events["kind"] != Kind.GAP)
    events["size_lots"][sized] *= lots
    finer = _finer(instrument, units)
    return Feed(finer, events, feed.source, feed.report), units


def _finer(instrument: Instrument, units: Units) -> Instrument:
    return instrument.with_(tick_size=float(f"1e-{units.price_decimals}"), lot_size=float(f"1e-{units.size_decimals}"))
