"""Closed-form quoting models: scalar formulas, in price and seconds.

Symbols: q signed inventory in units of one order, gamma risk aversion (1/price for one order), sigma volatility
(price per sqrt(second)), tau seconds left, and fill intensity at distance d from mid ``A*exp(-kappa*d)`` with A in
arrivals per side per second and kappa in 1/price. side s is +1 for bid, -1 for ask.

Sources: Avellaneda & Stoikov, "High-frequency trading in a limit order book", 2008, equations 29-30; Gueant, Lehalle &
Fernandez-Tapia (GLFT), "Dealing with the inventory risk", 2013, asymptotic quotes.

With fees (``fee``, the maker fee in price, < 0 a rebate) a half-spread is the model's at intensity
``A*exp(-kappa*fee)``, plus ``fee``: a fill at distance d earns d - fee and still arrives at ``A*exp(-kappa*d)``.
Every formula has its limit at gamma = 0, where inventory is free.
"""

from __future__ import annotations

import math

from mmlab.kernels.policy import kernel


@kernel
def base_half_spread(gamma: float, kappa: float) -> float:
    """``ln(1 + gamma/kappa)/gamma``, the half-spread without inventory risk; 1/kappa at gamma = 0."""
    x = gamma / kappa
    return (math.log1p(x) / x if x > 0.0 else 1.0) / kappa


@kernel
def skew_per_unit(gamma: float, sigma: float, tau_s: float) -> float:
    """``gamma*sigma^2*tau``: how far one unit of inventory moves the Avellaneda-Stoikov reservation price."""
    return gamma * sigma * sigma * tau_s


@kernel
def avellaneda_stoikov_quotes(
    mid: float, q_units: float, gamma: float, sigma: float, tau_s: float, kappa: float
) -> tuple[float, float]:
    """Reservation price and half-spread: quote at ``reservation -+ half_spread``.

    ``reservation = mid - q*gamma*sigma^2*tau``; ``2*half_spread = gamma*sigma^2*tau + (2/gamma)*ln(1 + gamma/kappa)``.
    A fee enters the second as ``+ fee``, since the formula does not depend on A.
    """
    skew = skew_per_unit(gamma, sigma, tau_s)
    return mid - q_units * skew, 0.5 * skew + base_half_spread(gamma, kappa)


@kernel
def glft_coefficients(gamma: float, A: float, kappa: float) -> tuple[float, float]:
    """GLFT ``c1`` (price) and ``c2`` (sqrt(second)).

    ``c1 = (1/gamma)*ln(1 + gamma/kappa)``; ``c2 = sqrt(gamma/(2*A*kappa)*(1 + gamma/kappa)^(1 + kappa/gamma))``.
    """
    x, c1 = gamma / kappa, base_half_spread(gamma, kappa)
    # (1 + x)^(1 + 1/x) = exp(ln(1+x) + ln(1+x)/x), whose second term is kappa*c1 and has a limit at x = 0
    return c1, math.sqrt(x / (2.0 * A) * math.exp(math.log1p(x) + kappa * c1))


@kernel
def glft_coefficients_net(gamma: float, A: float, kappa: float, fee: float) -> tuple[float, float]:
    """GLFT coefficients with the maker fee in the model: c1 + fee, and c2 at ``A*exp(-kappa*fee)``."""
    c1, c2 = glft_coefficients(gamma, A, kappa)
    return c1 + fee, c2 * math.exp(0.5 * kappa * fee)


@kernel
def glft_half_spread(side: int, q_units: float, sigma: float, c1: float, c2: float) -> float:
    """Distance of one side's quote from mid: ``c1 + (1 + 2*s*q)/2*sigma*c2``."""
    return c1 + 0.5 * (1.0 + 2.0 * side * q_units) * sigma * c2


@kernel
def glft_half_spreads(q_units: float, sigma: float, c1: float, c2: float) -> tuple[float, float]:
    """Distances (bid, ask) from mid."""
    return glft_half_spread(1, q_units, sigma, c1, c2), glft_half_spread(-1, q_units, sigma, c1, c2)
