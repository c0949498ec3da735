"""Paths of the discrete Avellaneda-Stoikov market.

In each step the maker quotes around the mid, each quote fills with probability ``min(A*exp(-k*distance)*dt, 1)``
(both may), and then the mid moves by ``+-sigma*sqrt(dt)``. Quotes are not clipped at the mid, so a distance may be
negative. A strategy is two arrays, one value a step: the half-spread, and how far one unit of inventory moves the
centre of the quotes away from the mid.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from mmlab.kernels.policy import kernel

Array = np.ndarray[Any, Any]

TRACE = np.dtype([(name, "f8") for name in ("mid", "reservation", "bid", "ask", "q", "cash")])
"""One step of a path: the mid and the quotes at its start; ``q`` and ``cash`` before its fills."""

OUTCOME = np.dtype([("profit", "f8"), ("final_q", "i8"), ("mean_spread", "f8"), ("fills", "i8")], align=True)
"""A finished path. ``profit`` is cash + q * last mid; ``mean_spread`` the mean of ask - bid over the steps."""


@kernel
def fill_probability(distance: float, A: float, k: float, dt: float) -> float:
    """Chance that a quote at `distance` from mid fills within one step."""
    return min(A * math.exp(-k * distance) * dt, 1.0)


@kernel
def simulate_path(
    rng: np.random.Generator, s0: float, sigma: float, dt: float, k: float, A: float,
    half_spread: Array, skew: Array, outcome: Array, path: int, trace: Array,
) -> None:  # fmt: skip
    """Simulate one path into ``outcome[path]``, and into `trace` unless that is empty.

    Draws three uniforms a step, in the order bid fill, ask fill, price, so that a path is a fixed stretch of the
    random stream.
    """
    mid, q, cash, spread, fills = s0, 0, 0.0, 0.0, 0
    move = sigma * math.sqrt(dt)
    for i in range(half_spread.size):
        reservation = mid - q * skew[i]
        if trace.size > 0:
            row = trace[i]
            row.mid, row.reservation, row.q, row.cash = mid, reservation, q, cash
            row.bid, row.ask = reservation - half_spread[i], reservation + half_spread[i]
        q_before = q
        for side in (1, -1):
            distance = half_spread[i] + side * q_before * skew[i]
            if rng.random() < fill_probability(distance, A, k, dt):
                q += side
                cash -= side * (mid - side * distance)
                fills += 1
        spread += 2.0 * half_spread[i]
        mid += move if rng.random() < 0.5 else -move
    result = outcome[path]
    result.profit, result.final_q, result.fills = cash + q * mid, q, fills
    result.mean_spread = spread / half_spread.size


@kernel
def simulate_paths(
    rng: np.random.Generator, s0: float, sigma: float, dt: float, k: float, A: float,
    half_spread: Array, skew: Array, outcome: Array, no_trace: Array,
) -> None:  # fmt: skip
    """Fill `outcome`, one row a path, from one random stream: the first n paths do not depend on how many follow."""
    for path in range(outcome.size):
        simulate_path(rng, s0, sigma, dt, k, A, half_spread, skew, outcome, path, no_trace)
