"""From unrounded quotes to whole ticks and lots: ladder offset, flip extra, rounding, clamp, size rules.

Everything here moves a quote away from mid or makes it smaller; bids and asks differ by their sign only.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from mmlab.kernels.policy import kernel

Array = np.ndarray[Any, Any]


@kernel
def round_outward(side: int, price: float, tick_size: float) -> int:
    """Tick at or beyond `price` away from mid: down for bids, up for asks (1e-9 of a tick is forgiven)."""
    ticks = price / tick_size
    return math.floor(ticks + 1e-9) if side > 0 else math.ceil(ticks - 1e-9)


@kernel
def worse_tick(side: int, a: int, b: int) -> int:
    """The tick farther from mid."""
    return min(a, b) if side > 0 else max(a, b)


@kernel
def min_lots(instrument: Any, price: float) -> int:
    """Smallest tradeable order at `price`, by min_size and min_notional."""
    lot_value = instrument.lot_size * instrument.contract_size * (1.0 if instrument.inverse else price)
    return max(instrument.min_size_lots, math.ceil(instrument.min_notional / lot_value - 1e-9))


@kernel
def notional(instrument: Any, lots: int, price: float) -> float:
    """Value of `lots` at `price` in quote currency."""
    return abs(lots) * instrument.lot_size * instrument.contract_size * (1.0 if instrument.inverse else price)


@kernel
def q_ratio(risk: Any, inventory_lots: int) -> float:
    """``inventory/max_long`` if >= 0, else ``inventory/max_short``."""
    return inventory_lots / (risk.max_long_lots if inventory_lots >= 0 else risk.max_short_lots)


@kernel
def room_lots(risk: Any, inventory_lots: int, side: int) -> int:
    """Lots that may still be bought (+1) or sold (-1)."""
    limit = risk.max_long_lots if side > 0 else risk.max_short_lots
    return max(0, limit - side * inventory_lots)
