"""Rounding outward, minima, inventory ratio and room, against exact arithmetic."""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mmlab.kernels.policy import one_row
from mmlab.kernels.shape import held_lots, min_lots, notional, q_ratio, room_lots, round_outward, worse_tick
from mmlab.params import INSTRUMENT, RISK

ticks = st.sampled_from(["0.01", "0.1", "0.5", "1e-8", "0.00001", "25", "0.03125"])


@given(ticks, st.integers(1, 10**8), st.integers(0, 999), st.sampled_from([1, -1]))
def test_rounds_outward_to_whole_ticks(tick: str, whole: int, thousandths: int, side: int) -> None:
    size = Decimal(tick)
    price = float(size * (whole + Decimal(thousandths) / 1000))
    expected = whole if side > 0 or thousandths == 0 else whole + 1
    assert round_outward(side, price, float(size)) == expected


@given(ticks, st.integers(1, 10**8), st.sampled_from([1, -1]))
def test_a_price_on_the_grid_stays(tick: str, n: int, side: int) -> None:
    """Whatever way the float was worked out."""
    size = float(tick)
    for price in (n * size, float(Decimal(tick) * n), (n - 1) * size + size, (n + 1) * size - size):
        assert round_outward(side, price, size) == n


@given(st.integers(-1000, 1000), st.integers(-1000, 1000))
def test_worse_tick(a: int, b: int) -> None:
    assert (worse_tick(1, a, b), worse_tick(-1, a, b)) == (min(a, b), max(a, b))


@given(
    lot=st.sampled_from(["0.001", "1", "10"]), contract=st.sampled_from(["1", "100"]), least=st.integers(1, 50),
    money=st.integers(0, 500), price=st.integers(1, 10**6), inverse=st.booleans(),
)  # fmt: skip
def test_least_order(lot, contract, least, money, price, inverse) -> None:
    i = one_row(INSTRUMENT)
    i["lot_size"], i["contract_size"], i["inverse"] = float(lot), float(contract), inverse
    i["min_size_lots"], i["min_notional"] = least, float(money)
    one = Fraction(lot) * Fraction(contract) * (1 if inverse else price)
    n = min_lots(i[0], float(price))
    assert n == max(least, math.ceil(Fraction(money) / one))
    assert notional(i[0], n, float(price)) >= money * (1 - 1e-9)


@given(st.integers(1, 500), st.integers(1, 500), st.integers(-900, 900), st.integers(-300, 300))
def test_inventory(long: int, short: int, position: int, offset: int) -> None:
    r = one_row(RISK)
    r["max_long_lots"], r["max_short_lots"], r["offset_lots"] = long, short, offset
    inventory = position + offset
    assert q_ratio(r[0], inventory) == pytest.approx(inventory / long if inventory >= 0 else inventory / short)
    for side, limit in ((1, long), (-1, short)):
        room = room_lots(r[0], inventory, side)
        assert room == max(0, limit - side * inventory)
    held = held_lots(r[0], position)
    assert abs(held) <= min(abs(position), abs(inventory))
    assert held * position >= 0 and held * inventory >= 0
    if offset == 0:
        assert held == position
    assume(position * inventory > 0)
    assert abs(held) == min(abs(position), abs(inventory))
