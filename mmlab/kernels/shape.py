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
    """Tick at or beyond `price` away from mid: down for bids, up for asks (a rounding error is forgiven)."""
    ticks = price / tick_size
    error = 1e-9 + 1e-15 * abs(ticks)
    return math.floor(ticks + error) if side > 0 else math.ceil(ticks - error)


@kernel
def worse_tick(side: int, a: int, b: int) -> int:
    """The tick farther from mid."""
    return min(a, b) if side > 0 else max(a, b)


@kernel
def min_lots(instrument: Any, price: float) -> int:
    """Smallest tradeable order at `price`, by min_size and min_notional."""
    if instrument.min_notional <= 0.0:
        return instrument.min_size_lots
    return max(instrument.min_size_lots, math.ceil(instrument.min_notional / notional(instrument, 1, price) - 1e-9))


@kernel
def notional(instrument: Any, lots: int, price: float) -> float:
    """Value of `lots` at `price` in quote currency."""
    return abs(lots) * instrument.lot_size * instrument.contract_size * (1.0 if instrument.inverse else price)


@kernel
def q_ratio(risk: Any, inventory_lots: int) -> float:
    """``inventory/max_long`` if >= 0, else ``inventory/max_short``."""
    return inventory_lots / (risk.max_long_lots if inventory_lots >= 0 else risk.max_short_lots)


@kernel
def held_lots(risk: Any, position_lots: int) -> int:
    """The part of the position that is inventory of the same sign: what may be reduced.

    It is the position itself, except in portfolio mode, where inventory is counted from a target.
    """
    inventory_lots = position_lots + risk.offset_lots
    if position_lots > 0:
        return max(0, min(position_lots, inventory_lots))
    return min(0, max(position_lots, inventory_lots))


@kernel
def room_lots(risk: Any, inventory_lots: int, side: int) -> int:
    """Lots that may still be bought (+1) or sold (-1)."""
    limit = risk.max_long_lots if side > 0 else risk.max_short_lots
    return max(0, limit - side * inventory_lots)
