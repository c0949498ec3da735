"""Quoting formulas against terms.md in plain Python and high precision."""

from __future__ import annotations

import math
from decimal import Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmlab.kernels.quoting_models import (
    avellaneda_stoikov_quotes,
    base_half_spread,
    glft_coefficients,
    glft_coefficients_net,
    glft_half_spread,
    glft_half_spreads,
)

positive = st.floats(1e-6, 1e6)
inventory = st.floats(-50, 50)


def terms_coefficients(gamma: float, A: float, kappa: float) -> tuple[float, float]:
    """c1 and c2 as terms.md writes them, with 60 digits (the formula cancels at small gamma)."""
    with localcontext() as context:
        context.prec = 60
        g, a, k = Decimal(gamma), Decimal(A), Decimal(kappa)
        c1 = (1 + g / k).ln() / g
        c2 = (g / (2 * a * k) * (1 + g / k) ** (1 + k / g)).sqrt()
        return float(c1), float(c2)


@given(positive, positive, positive)
def test_coefficients_are_those_of_terms_md(gamma: float, A: float, kappa: float) -> None:
    assert glft_coefficients(gamma, A, kappa) == pytest.approx(terms_coefficients(gamma, A, kappa), rel=1e-12)


@given(inventory, positive, positive, positive, positive)
def test_half_spreads_are_those_of_terms_md(q: float, gamma: float, A: float, kappa: float, sigma: float) -> None:
    c1, c2 = terms_coefficients(gamma, A, kappa)
    bid, ask = glft_half_spreads(q, sigma, *glft_coefficients(gamma, A, kappa))
    tolerance = 1e-12 * (c1 + (abs(q) + 1) * sigma * c2)
    assert bid == pytest.approx(c1 + (2 * q + 1) / 2 * sigma * c2, abs=tolerance)
    assert ask == pytest.approx(c1 - (2 * q - 1) / 2 * sigma * c2, abs=tolerance)
    assert bid == glft_half_spread(-1, -q, sigma, *glft_coefficients(gamma, A, kappa)), "the sides are mirror images"


@given(st.floats(1, 1e5), inventory, st.floats(1e-4, 1e2), st.floats(1e-4, 1e2), st.floats(0, 1e3), positive)
def test_avellaneda_stoikov_is_that_of_terms_md(
    mid: float, q: float, gamma: float, sigma: float, tau_s: float, kappa: float
) -> None:
    reservation, half_spread = avellaneda_stoikov_quotes(mid, q, gamma, sigma, tau_s, kappa)
    spread = gamma * sigma**2 * tau_s + 2 * terms_coefficients(gamma, 1.0, kappa)[0]
    assert reservation == pytest.approx(mid - q * gamma * sigma**2 * tau_s, rel=1e-12)
    assert half_spread == pytest.approx(spread / 2, rel=1e-12)


@pytest.mark.parametrize("gamma", [0.0, 5e-324, 1e-300, 1e-12])
def test_limits_at_no_risk_aversion(gamma: float) -> None:
    c1, c2 = glft_coefficients(gamma, 0.9, 0.3)
    assert c1 == base_half_spread(gamma, 0.3) == pytest.approx(1 / 0.3, rel=1e-10)
    assert c2 == pytest.approx(math.sqrt(gamma * math.e / (2 * 0.9 * 0.3)), rel=1e-10)
    assert avellaneda_stoikov_quotes(100.0, 7.0, gamma, 2.0, 1.0, 0.3) == pytest.approx((100.0, 1 / 0.3), rel=1e-9)


def test_glft_published_figures() -> None:
    """Oracle (b) of the issue: (sigma, A, kappa, gamma) = (0.3, 0.9, 0.3, 0.01)."""
    coefficients = glft_coefficients(0.01, 0.9, 0.3)
    bids = [glft_half_spreads(q, 0.3, *coefficients)[0] for q in (-10.0, 0.0, 10.0)]
    assert bids == pytest.approx([2.634257, 3.312915, 3.991574], abs=5e-7)


@given(inventory, positive, st.floats(1e-3, 1e3), st.floats(1e-2, 1e2), positive, st.floats(-5, 5))
def test_fee_in_model(q: float, gamma: float, A: float, kappa: float, sigma: float, fee_share: float) -> None:
    """With a fee f each half-spread is the model's at A*exp(-kappa*f), plus f."""
    fee = fee_share / kappa
    net = glft_half_spreads(q, sigma, *glft_coefficients_net(gamma, A, kappa, fee))
    plain = glft_half_spreads(q, sigma, *glft_coefficients(gamma, A * math.exp(-kappa * fee), kappa))
    tolerance = 1e-12 * (abs(plain[0]) + abs(plain[1]) + abs(fee)) * (abs(q) + 1)
    assert net == pytest.approx((plain[0] + fee, plain[1] + fee), abs=tolerance)
