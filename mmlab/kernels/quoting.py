"""From the quoting model to unrounded quotes (`terms.md`, Quoting, Order of work).

model -> floor, then cap of the total spread about the model's own centre. Ladder, flip extra, rounding and the
post-only clamp follow in `mmlab.kernels.shape`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from mmlab.events import NS_PER_S, Reason
from mmlab.kernels.flip_gate import distance_ticks
from mmlab.kernels.policy import kernel
from mmlab.kernels.quoting_models import avellaneda_stoikov_quotes, glft_coefficients_net, glft_half_spread
from mmlab.params import AVELLANEDA_STOIKOV, FIXED

FLOOR, CAP = int(Reason.FLOOR), int(Reason.CAP)
Array = np.ndarray[Any, Any]


@kernel
def centre_and_half(
    q: Any, tick_size: float, fee: float, mid: float, q_units: float, sigma: float, t_ns: int
) -> tuple[float, float]:
    """Centre and half-spread of the built-in models, in price."""
    if q.model == FIXED:
        return mid, distance_ticks(q.half_spread_ticks, q.half_spread_bps, mid / tick_size) * tick_size
    if q.model == AVELLANEDA_STOIKOV:
        tau_ns = max(0, q.end_ns - t_ns) if q.terminal else q.horizon_ns
        centre, half = avellaneda_stoikov_quotes(mid, q_units, q.gamma, sigma, tau_ns / NS_PER_S, q.kappa)
        return centre, half + fee
    c1, c2 = glft_coefficients_net(q.gamma, q.A, q.kappa, fee)
    bid = glft_half_spread(1, q_units, sigma, c1, c2)
    ask = glft_half_spread(-1, q_units, sigma, c1, c2)
    return mid + 0.5 * (ask - bid), 0.5 * (bid + ask)


@kernel
def model_quotes(p: Any, mid: float, q_units: float, sigma: float, t_ns: int, out: Array) -> int:
    """Write the built-in model's quotes, bids then asks, best first; return their number."""
    q, tick_size = p.quoting, p.instrument.tick_size
    fee = p.instrument.maker_fee * mid if q.fee_in_model else 0.0
    centre, half = centre_and_half(q, tick_size, fee, mid, q_units, sigma, t_ns)
    spacing = distance_ticks(q.rung_spacing_ticks, q.rung_spacing_bps, mid / tick_size) * tick_size
    n = 0
    for side in (1, -1):
        for rung in range(q.rungs):
            quote = out[n]
            quote.side, quote.price = side, centre - side * (half + rung * spacing)
            quote.size_lots = int(q.order_lots * q.rung_multiplier[rung] + 1e-9)
            n += 1
    return n


@kernel
def best_of(quotes: Array, n: int, side: int) -> float:
    """Price of the first quote of a side; NaN if it has none."""
    for i in range(n):
        if quotes[i].side == side:
            return quotes[i].price
    return math.nan


@kernel
def floor_and_cap(p: Any, mid: float, quotes: Array, n: int) -> int:
    """Shift both sides alike so that the total spread lies between floor and cap; return the `Reason` bit."""
    half = 0.5 * (best_of(quotes, n, -1) - best_of(quotes, n, 1))
    if math.isnan(half):
        return 0
    least, most = 0.5e-4 * p.quoting.floor_bps * mid, 0.5e-4 * p.quoting.cap_bps * mid
    shift = min(max(half, least), most) - half
    if shift == 0.0:
        return 0
    for i in range(n):
        quotes[i].price -= quotes[i].side * shift
    return FLOOR if shift > 0.0 else CAP
