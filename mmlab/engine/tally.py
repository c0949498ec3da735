"""Running totals of fills and refusals, for the metrics. Pure, and of bounded size."""

from __future__ import annotations

import math
from collections import Counter, deque
from typing import Any

import numpy as np

from mmlab.events import Liquidity
from mmlab.instrument import Instrument

Array = np.ndarray[Any, Any]
RECENT = 200
"""Fills a side that the means are of, as the rolling markout has hits."""
MOST_CODES = 40
"""Error codes of a venue that are told apart; further ones are counted as ``other``."""
SIDES = {1: "bid", -1: "ask"}


class Tally:
    """What was filled and refused so far.

    Attributes
    ----------
    fills : Counter
        By (side, liquidity).
    notional : dict
        Traded, quote currency, by side.
    size : float
        Filled, base units, both sides.
    refused : Counter
        Refusals by the venue's code.
    """

    def __init__(self, instrument: Instrument) -> None:
        self.fills: Counter[tuple[str, str]] = Counter()
        self.notional = dict.fromkeys(SIDES.values(), 0.0)
        self.size = 0.0
        self.refused: Counter[str] = Counter()
        self._instrument = instrument
        self._capture: dict[str, deque[float]] = {side: deque(maxlen=RECENT) for side in SIDES.values()}

    def fill(self, row: Array) -> None:
        """One `FILL` row."""
        side, lots, ticks, mid = (row[name].item() for name in ("side", "size_lots", "price_ticks", "mid"))
        name, price = SIDES[side], self._instrument.to_price(ticks)
        self.fills[name, Liquidity(int(row["liquidity"].item())).name.lower()] += 1
        self.size += self._instrument.to_size(lots)
        self.notional[name] += self._instrument.notional(lots, price)
        if not math.isnan(mid):
            self._capture[name].append(1e4 * side * (mid - price) / price)

    def refuse(self, code: object) -> None:
        """The venue refused a message."""
        text = str(code)
        self.refused[text if text in self.refused or len(self.refused) < MOST_CODES else "other"] += 1

    def capture_bps(self) -> dict[str, float]:
        """Mean spread capture of the last `RECENT` fills a side, bps; sides without any are left out."""
        return {side: sum(values) / len(values) for side, values in self._capture.items() if values}
