"""Decimal columns against `decimal.Decimal`, and the grids inferred from them."""

from __future__ import annotations

from decimal import Decimal
from math import gcd

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmlab.feeds.decimals import BadNumber, from_floats, from_text
from mmlab.feeds.grid import given as given_grid
from mmlab.feeds.grid import inferred

numbers = st.tuples(st.integers(-(10**12), 10**12), st.integers(0, 8))


def values(column):
    return [Decimal(m).scaleb(-p) for m, p in zip(column.mantissa.tolist(), column.places.tolist(), strict=True)]


@given(st.lists(numbers, max_size=20), st.integers(0, 3), st.booleans())
def test_text(drawn, padding, exponent):
    exact = [Decimal(m).scaleb(-p) for m, p in drawn]
    texts = [
        f"{d:e}" if exponent else f"{d:f}" + ("0" * padding if p else "")
        for d, (_, p) in zip(exact, drawn, strict=True)
    ]
    assert values(from_text(texts)) == exact


@given(st.lists(st.tuples(st.integers(-(10**9), 10**9), st.integers(0, 6)), max_size=20))
def test_floats(drawn):
    exact = [Decimal(m).scaleb(-p) for m, p in drawn]
    assert values(from_floats(np.array([float(d) for d in exact]))) == exact


def test_float_noise_is_forgiven():
    assert values(from_floats(np.array([0.1 + 0.2, 1.1 * 3]))) == [Decimal("0.3"), Decimal("3.3")]


@pytest.mark.parametrize("text", ["", "nan", "NaN", "inf", "-", ".", "1.2.3", "1e", "1e5x", "12a", " 1", "0x10", "--1"])
def test_what_is_no_number(text):
    with pytest.raises(BadNumber, match="not a number") as caught:
        from_text(["1.5", text])
    assert caught.value.index == 1


@pytest.mark.parametrize("text", ["1" * 20, "1e300", "0." + "0" * 18 + "1", "1e19", "99999999999999999.999"])
def test_what_is_too_long(text):
    with pytest.raises(BadNumber, match="absurd"):
        from_text([text])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1 / 3, 1e300])
def test_floats_that_are_no_decimals(value):
    with pytest.raises(BadNumber):
        from_floats(np.array([1.5, value]))


def test_common_scale_overflow():
    column = from_text(["99999999999999999", "0.00000001"])
    with pytest.raises(BadNumber, match="absurd") as caught:
        column.at_scale(8)
    assert caught.value.index == 0


@given(st.lists(st.integers(1, 10**6), min_size=1, max_size=10), st.integers(1, 500), st.integers(0, 8))
def test_grid_is_the_greatest_common_divisor(multiples, step, places):
    texts = [f"{Decimal(m * step).scaleb(-places):f}" for m in multiples]
    grid = inferred([from_text(texts)])
    assert Decimal(grid.step).scaleb(-grid.scale) == Decimal(gcd(*multiples) * step).scaleb(-places)
    assert grid.size == float(Decimal(grid.step).scaleb(-grid.scale))


@pytest.mark.parametrize(
    ("step", "expected"), [(0.1, (1, 1)), (1e-05, (1, 5)), (0.25, (25, 2)), (10.0, (10, 0)), (0.5, (5, 1))]
)
def test_grid_of_an_instrument(step, expected):
    grid = given_grid(step)
    assert (grid.step, grid.scale) == expected
