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
from mmlab.kernels.shape import round_outward
from mmlab.params import AVELLANEDA_STOIKOV, FIXED

FLOOR, CAP = int(Reason.FLOOR), int(Reason.CAP)
Array = np.ndarray[Any, Any]


@kernel
def centre_and_half(
    q: Any, tick_size: float, fee: float, mid: float, mid_ticks: float, q_units: float, sigma: float, t_ns: int
) -> tuple[float, float]:
    """Centre and half-spread of the built-in models, in price."""
    if q.model == FIXED:
        return mid, distance_ticks(q.half_spread_ticks, q.half_spread_bps, mid_ticks) * tick_size
    if q.model == AVELLANEDA_STOIKOV:
        tau_ns = max(0, q.end_ns - t_ns) if q.terminal else q.horizon_ns
        centre, half = avellaneda_stoikov_quotes(mid, q_units, q.gamma, sigma, tau_ns / NS_PER_S, q.kappa)
        return centre, half + fee
    c1, c2 = glft_coefficients_net(q.gamma, q.A, q.kappa, fee)
    bid = glft_half_spread(1, q_units, sigma, c1, c2)
    ask = glft_half_spread(-1, q_units, sigma, c1, c2)
    return mid + 0.5 * (ask - bid), 0.5 * (bid + ask)


@kernel
def clip_half(q: Any, mid: float, half: float) -> float:
    """Half-spread between floor and cap."""
    return min(max(half, 0.5e-4 * q.floor_bps * mid), 0.5e-4 * q.cap_bps * mid)


@kernel
def clip_reason(model: float, clipped: float) -> int:
    """`Reason` bit of a half-spread that floor or cap has changed."""
    return 0 if clipped == model else (FLOOR if clipped > model else CAP)


@kernel
def model_quotes(
    p: Any, mid: float, mid_ticks: float, q_units: float, sigma: float, t_ns: int, out: Array
) -> tuple[int, int]:
    """Write the built-in model's quotes, bids then asks, best first; return their number and the `Reason` bit."""
    q, tick_size = p.quoting, p.instrument.tick_size
    fee = p.instrument.maker_fee * mid if q.fee_in_model else 0.0
    centre, model = centre_and_half(q, tick_size, fee, mid, mid_ticks, q_units, sigma, t_ns)
    half = clip_half(q, mid, model)
    spacing = distance_ticks(q.rung_spacing_ticks, q.rung_spacing_bps, mid_ticks) * tick_size
    for rung in range(q.rungs):
        away, lots = half + rung * spacing, int(q.order_lots * q.rung_multiplier[rung] + 1e-9)
        bid, ask = out[rung], out[q.rungs + rung]
        bid.side, bid.price, bid.size_lots = 1, centre - away, lots
        ask.side, ask.price, ask.size_lots = -1, centre + away, lots
    return 2 * q.rungs, clip_reason(model, half)


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
    model = 0.5 * (best_of(quotes, n, -1) - best_of(quotes, n, 1))
    if math.isnan(model):
        return 0
    half = clip_half(p.quoting, mid, model)
    for i in range(n):
        quotes[i].price -= quotes[i].side * (half - model)
    return clip_reason(model, half)


@kernel
def part(tick_size: float, quotes: Array, n: int) -> None:
    """Where best bid and best ask round to one tick, move the asks one tick out, so that no two targets can meet.

    This comes before every gate: a gate that removes our bid must not let our ask come nearer.
    """
    bid, ask = best_of(quotes, n, 1), best_of(quotes, n, -1)
    if not abs(ask - bid) < tick_size:
        return
    ticks = round_outward(1, bid, tick_size) + 1 - round_outward(-1, ask, tick_size)
    if ticks <= 0:
        return
    for i in range(n):
        if quotes[i].side < 0:
            quotes[i].price += ticks * tick_size
