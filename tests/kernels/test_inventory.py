"""Inventory age and lot age: online == vectorised == twin."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmlab.kernels import inventory
from mmlab.kernels.policy import one_row
from tests import twins
from tests.tapes import T0, find_any, same, times

signed = st.lists(st.tuples(st.integers(0, 3), st.integers(-5, 5).filter(bool)), max_size=40)


def arrays(rows):
    return times([r[0] for r in rows]), np.array([r[1] for r in rows], np.int64)


def table(ns, lots, limit=10.0, band=0.2):
    age, lot_age = np.empty(ns.size), np.empty(ns.size)
    inventory.age_table(ns, lots, limit, limit, band, one_row(inventory.AGE)[0], age, lot_age)
    return age, lot_age


@given(signed, st.sampled_from([0.0, 0.1, 0.2, 0.5]))
def test_vectorised_is_the_twin(rows, band):
    ns, lots = arrays(rows)
    age, lot_age = table(ns, lots, 10.0, band)
    assert same(age, twins.inventory_ages(ns, lots, 10, band))
    assert same(lot_age, twins.lot_ages(ns, lots))


@given(signed, st.integers(0, 5_000_000_000))
def test_online_is_the_twin_at_any_moment(rows, later_ns):
    ns, lots = arrays(rows)
    age, book, position = one_row(inventory.AGE)[0], one_row(inventory.LOTS)[0], 0
    ages = twins.inventory_ages(ns, lots, 10, 0.2)
    at_fill, later = twins.lot_ages(ns, lots), twins.lot_ages(ns, lots, ns + later_ns)
    for i, t in enumerate(ns):
        position += lots[i]
        inventory.age_update(age, t, position / 10, 0.2)
        inventory.lots_fill(book, t, lots[i])
        assert same(inventory.age_s(age, t), ages[i])
        assert same(inventory.age_s(age, t + later_ns), ages[i] + (abs(position) > 2) * later_ns / 1e9)
        assert same(inventory.lots_age_s(book, t), at_fill[i])
        assert same(inventory.lots_age_s(book, t + later_ns), later[i])
        assert book["open_lots"] == abs(position)


def test_different_limits_long_and_short():
    age, lot_age = np.empty(2), np.empty(2)
    ns = np.array([T0, T0 + 10**9])
    lots = np.array([-1, -1])
    inventory.age_table(ns, lots, 1.0, 100.0, 0.01, one_row(inventory.AGE)[0], age, lot_age)
    np.testing.assert_array_equal(age, [0.0, 0.0])  # -1/100 lies inside the band, -2/100 has just left it


def test_last_in_first_out_is_seen():
    def wrong(rows):
        ns, lots = arrays(rows)
        return not same(table(ns, lots)[1], twins.lot_ages(ns, lots, lifo=True))

    find_any(signed, wrong)


def test_a_full_ring_merges_the_two_oldest_and_keeps_the_age():
    rng = np.random.default_rng(5)
    ns = T0 + np.cumsum(rng.integers(1, 10**9, 1500))
    lots = rng.integers(1, 9, ns.size)
    book = one_row(inventory.LOTS)[0]
    for t, n in zip(ns, lots, strict=True):
        inventory.lots_fill(book, t, n)
    assert book["n"] == inventory.LOT_CAPACITY
    expected = np.average((ns[-1] - ns) / 1e9, weights=lots)
    assert inventory.lots_age_s(book, ns[-1]) == pytest.approx(expected, rel=1e-12)
    inventory.lots_fill(book, ns[-1], -lots.sum())
    assert inventory.lots_age_s(book, ns[-1] + 5) == 0.0
    assert book["open_lots"] == book["n"] == 0


def test_the_running_sum_of_ages_does_not_drift():
    rng = np.random.default_rng(6)
    ns = T0 + np.cumsum(rng.integers(1, 10**8, 20_000))
    lots = rng.integers(-9, 10, ns.size)
    lots[lots == 0] = 1
    book = one_row(inventory.LOTS)[0]
    for t, n in zip(ns, lots, strict=True):
        inventory.lots_fill(book, t, n)
    assert same(inventory.lots_age_s(book, ns[-1]), twins.lot_ages(ns, lots)[-1])
    assert same(table(ns, lots)[1][-1], twins.lot_ages(ns, lots)[-1])
