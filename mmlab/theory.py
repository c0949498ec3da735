"""Closed forms of market making, and a simulation of the model they come from. All fee-free.

>>> from mmlab import theory
>>> round(theory.avellaneda_stoikov(mid=100.0, q=0, gamma=0.1, sigma=2.0, tau=1.0, kappa=1.5).spread, 6)
1.69077
>>> round(theory.glft(q=10, gamma=0.01, sigma=0.3, A=0.9, kappa=0.3).bid, 6)
3.991574

Sources: Avellaneda & Stoikov 2008; Gueant, Lehalle & Fernandez-Tapia 2013. Formulas: `mmlab.kernels.quoting_models`.
"""

from __future__ import annotations

import math
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import pandas as pd

from mmlab.errors import ConfigError
from mmlab.kernels.model_simulation import OUTCOME, TRACE, simulate_path, simulate_paths
from mmlab.kernels.policy import records
from mmlab.kernels.quoting_models import (
    avellaneda_stoikov_quotes,
    base_half_spread,
    glft_coefficients,
    glft_half_spreads,
    skew_per_unit,
)

Strategy = Literal["inventory", "symmetric"]
Array = np.ndarray[Any, Any]
Market = tuple[float, float, float, float, float]
"""s0, sigma, dt, k, A: the kernels' order."""


class Quotes(NamedTuple):
    """Optimal quotes, in price."""

    bid: float
    ask: float
    reservation: float
    spread: float


class HalfSpreads(NamedTuple):
    """Distances of the optimal quotes from mid, in price."""

    bid: float
    ask: float


def avellaneda_stoikov(mid: float, q: float, gamma: float, sigma: float, tau: float, kappa: float) -> Quotes:
    """Quotes of Avellaneda & Stoikov (2008).

    Parameters
    ----------
    mid : float
        Mid price.
    q : float
        Signed inventory, in orders.
    gamma : float
        Risk aversion, 1/price for one order; 0 is the risk-neutral limit.
    sigma : float
        Volatility, price per sqrt(second).
    tau : float
        Seconds left.
    kappa : float
        Decay of the fill intensity ``A*exp(-kappa*distance)``, 1/price.

    Returns
    -------
    Quotes
        ``bid, ask, reservation, spread``, in price.

    Raises
    ------
    ConfigError
        A parameter is not finite or has a wrong sign.
    """
    _check(mid=mid, q=q, positive={"kappa": kappa}, not_negative={"gamma": gamma, "sigma": sigma, "tau": tau})
    reservation, half = avellaneda_stoikov_quotes(float(mid), float(q), gamma, sigma, tau, kappa)
    return Quotes(reservation - half, reservation + half, reservation, 2.0 * half)


def glft(q: float, gamma: float, sigma: float, A: float, kappa: float) -> HalfSpreads:
    """Asymptotic half-spreads of Gueant, Lehalle & Fernandez-Tapia (2013).

    Parameters
    ----------
    q : float
        Signed inventory, in orders.
    gamma, sigma, kappa : float
        As in `avellaneda_stoikov`.
    A : float
        Fill intensity at the mid, arrivals per side per second.

    Returns
    -------
    HalfSpreads
        ``bid, ask``: distances from mid, in price.

    Raises
    ------
    ConfigError
        A parameter is not finite or has a wrong sign.
    """
    _check(q=q, positive={"A": A, "kappa": kappa}, not_negative={"gamma": gamma, "sigma": sigma})
    return HalfSpreads(*glft_half_spreads(float(q), float(sigma), *glft_coefficients(gamma, A, kappa)))


def simulate(
    gamma: float, strategy: Strategy = "inventory", paths: int = 1000, s0: float = 100.0, T: float = 1.0,
    sigma: float = 2.0, dt: float = 0.005, k: float = 1.5, A: float = 140.0, seed: int = 0,
) -> pd.DataFrame:  # fmt: skip
    """Simulate the market of Avellaneda & Stoikov (2008), section 3.3, with one of its two strategies.

    At step i, with ``tau = T - i*dt``, the maker quotes; each side fills with probability ``min(A*exp(-k*d)*dt, 1)``,
    d its distance from mid; then the mid moves by ``+-sigma*sqrt(dt)``. Quotes are not clipped at the mid.

    Parameters
    ----------
    gamma : float
        Risk aversion, 1/price for one order.
    strategy : {"inventory", "symmetric"}
        The optimal quotes, or a constant spread around the mid: the mean spread of the optimal ones,
        ``(2/gamma)*ln(1 + gamma/k) + gamma*sigma^2*T/2``.
    paths : int
        Number of paths. The first n paths do not depend on how many follow.
    s0, T, sigma, dt, k, A : float
        First mid, length, volatility, step, decay and level of the fill intensity. T is a whole number of steps.
    seed : int
        Seed of the random stream; equal seeds give equal paths.

    Returns
    -------
    pandas.DataFrame
        One row a path: ``profit`` (quote), ``final_q`` (orders), ``mean_spread`` (price), ``fills``.

    Raises
    ------
    ConfigError
        A parameter is out of range.
    """
    if paths < 0:
        raise ConfigError(f"simulate: paths = {paths}: must be >= 0")
    market, quotes = _market(s0, T, sigma, dt, k, A), _strategy_arrays(gamma, strategy, T, sigma, dt, k)
    outcome = records(np.zeros(paths, OUTCOME))
    simulate_paths(np.random.default_rng(seed), *market, *quotes, outcome, _trace(0))
    return pd.DataFrame({name: outcome[name] for name in OUTCOME.names or ()})


def sample_path(
    gamma: float, strategy: Strategy = "inventory", s0: float = 100.0, T: float = 1.0, sigma: float = 2.0,
    dt: float = 0.005, k: float = 1.5, A: float = 140.0, seed: int = 0,
) -> pd.DataFrame:  # fmt: skip
    """Step by step, the first path that `simulate` draws with the same arguments.

    Returns
    -------
    pandas.DataFrame
        Indexed by time (s), one row a step: ``mid, reservation, bid, ask`` (price) when quoting, ``q`` (orders) and
        ``cash`` (quote) before the step's fills.

    Raises
    ------
    ConfigError
        A parameter is out of range.
    """
    market, quotes = _market(s0, T, sigma, dt, k, A), _strategy_arrays(gamma, strategy, T, sigma, dt, k)
    trace, outcome = _trace(quotes[0].size), records(np.zeros(1, OUTCOME))
    simulate_path(np.random.default_rng(seed), *market, *quotes, outcome, 0, trace)
    times = pd.Index(dt * np.arange(trace.size), name="t")
    return pd.DataFrame({name: trace[name] for name in TRACE.names or ()}, index=times)


def _market(s0: float, T: float, sigma: float, dt: float, k: float, A: float) -> Market:
    _check(s0=s0, positive={"T": T, "dt": dt, "k": k, "A": A}, not_negative={"sigma": sigma})
    return float(s0), float(sigma), float(dt), float(k), float(A)


def _strategy_arrays(
    gamma: float, strategy: Strategy, T: float, sigma: float, dt: float, k: float
) -> tuple[Array, Array]:
    """Half-spread and skew of each step."""
    _check(positive={}, not_negative={"gamma": gamma})
    if strategy not in get_args(Strategy):
        raise ConfigError(f"simulate: strategy = {strategy!r}: must be 'inventory' or 'symmetric'")
    steps = round(T / dt)
    if steps < 1 or not math.isclose(steps * dt, T, rel_tol=1e-9):
        raise ConfigError(f"simulate: T = {T} is not a whole number of steps dt = {dt}")
    base = base_half_spread(gamma, k)
    if strategy == "symmetric":
        return np.full(steps, base + skew_per_unit(gamma, sigma, T) / 4.0), np.zeros(steps)
    skew = skew_per_unit(gamma, sigma, 1.0) * (T - dt * np.arange(steps))
    return base + skew / 2.0, skew


def _trace(steps: int) -> Array:
    return records(np.zeros(steps, TRACE))


def _check(
    *, positive: dict[str, float], not_negative: dict[str, float], **finite: float
) -> None:  # one message lists every wrong value
    wrong = [f"{name} = {value!r}: must be finite" for name, value in finite.items() if not math.isfinite(value)]
    wrong += [
        f"{name} = {value!r}: must be finite and > 0"
        for name, value in positive.items()
        if not (math.isfinite(value) and value > 0)
    ]
    wrong += [
        f"{name} = {value!r}: must be finite and >= 0"
        for name, value in not_negative.items()
        if not (math.isfinite(value) and value >= 0)
    ]
    if wrong:
        raise ConfigError("; ".join(wrong))
