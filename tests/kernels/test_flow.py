"""Fill rate and flips: online == vectorised == twin."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmlab.kernels import flow
from mmlab.kernels.policy import one_row
from tests import twins
from tests.tapes import STEP_NS, T0, find_any, same, times

SECOND_NS = 4 * STEP_NS
fill_steps = st.lists(st.sampled_from([0, 0, 1, 1, 1, 2, 4]), max_size=60).map(times)
batches = st.lists(
    st.tuples(st.sampled_from([0, 1, 1, 2]), st.sampled_from(["move"] * 3 + ["none", "gap"]), st.integers(0, 6)),
    max_size=60,
)  # fmt: skip


def rates(ns, last=200, percentile=95.0):
    rate, high = np.empty(ns.size), np.empty(ns.size)
    flow.fill_rates(ns, SECOND_NS, percentile, last, rate, high)
    return rate, high


@given(fill_steps, st.sampled_from([1, 3, 200]), st.sampled_from([0.0, 50.0, 95.0, 100.0]))
def test_vectorised_rate_is_the_twin(ns, last, percentile):
    for got, expected in zip(
        rates(ns, last, percentile), twins.fill_rates(ns, SECOND_NS, percentile, last), strict=True
    ):
        assert same(got, expected)


@given(fill_steps)
def test_online_rate_is_the_vectorised(ns):
    side = one_row(flow.RATE)[0]
    rate, high = rates(ns)
    for i, t in enumerate(ns):
        assert flow.rate_hit(side, t, SECOND_NS) == rate[i] >= 1
        assert same(flow.rate_percentile(side, 95.0), high[i])
    assert side["n"] == np.unique(ns).size


def test_online_rate_over_many_hits_forgets_old_samples():
    rng = np.random.default_rng(3)
    ns = T0 + np.cumsum(rng.integers(0, SECOND_NS // 3, 1500))
    side = one_row(flow.RATE)[0]
    rate, high = rates(ns)
    for i, t in enumerate(ns):
        assert flow.rate_hit(side, t, SECOND_NS) == rate[i]
        assert same(flow.rate_percentile(side, 95.0), high[i])
    assert side["n"] == 200
    assert same(twins.fill_rates(ns[-400:], SECOND_NS, 95, 200)[1][-1], high[-1])


def test_a_closed_window_is_seen():
    def wrong(ns):
        return not same(rates(ns)[0], twins.fill_rates(ns, SECOND_NS, 95, 200, closed="both")[0])

    ns = find_any(fill_steps, wrong)
    assert same(rates(ns)[0], twins.fill_rates(ns, SECOND_NS, 95, 200)[0])


def test_the_count_at_any_moment():
    side = one_row(flow.RATE)[0]
    for k in range(6):
        flow.rate_hit(side, T0 + k, SECOND_NS)
    assert flow.rate_count(side, T0 + SECOND_NS, SECOND_NS) == 5
    assert flow.rate_count(side, T0 + 2 * SECOND_NS, SECOND_NS) == 0


def arrays(rows):
    kind = np.array([r[1] for r in rows], object)
    price = np.where(kind == "move", 100 + 0.25 * np.array([r[2] for r in rows], float), np.nan).astype(float)
    return times([r[0] for r in rows]), price, np.array(kind == "gap", bool)


def table(ns, price, lost, min_move, window_ns=SECOND_NS):
    flip, count = np.zeros(ns.size, bool), np.zeros(ns.size, np.int64)
    gaps = np.append(np.flatnonzero(lost), ns.size)
    flow.flip_table(ns, price, gaps, min_move, window_ns, one_row(flow.FLIP)[0], flip, count)
    return flip, count


@given(batches, st.sampled_from([0.0, 0.25, 0.5, 0.75]))
def test_flips_online_and_vectorised_are_the_twin(rows, min_move):
    ns, price, gap = arrays(rows)
    expected = twins.flips(ns, price, gap, min_move, SECOND_NS)
    np.testing.assert_array_equal(table(ns, price, gap, min_move), expected)
    record = one_row(flow.FLIP)[0]
    for i, t in enumerate(ns):
        if gap[i]:
            flow.flip_reset(record)
        assert flow.flip_update(record, t, price[i], min_move, 10 * SECOND_NS) == expected[0][i]
        assert flow.flip_count(record, t, SECOND_NS) == expected[1][i]


@pytest.mark.parametrize("bug", [{"closed": "both"}, {"accumulate": False}])
def test_planted_bugs_are_seen(bug):
    """A window closed on both sides, and small moves forgotten instead of accumulated."""

    def wrong(rows):
        ns, price, gap = arrays(rows)
        right = table(ns, price, gap, 0.5)
        return not all(map(np.array_equal, right, twins.flips(ns, price, gap, 0.5, SECOND_NS, **bug)))

    find_any(batches, wrong)


def test_rounding_is_no_move():
    """Two best quotes with one mid: 100.1/100.3 and 100.0/100.4 round differently."""
    record = one_row(flow.FLIP)[0]
    mids = [(100.1 + 100.3) / 2, (100.0 + 100.4) / 2, (100.2 + 100.2) / 2, (100.1 + 100.3) / 2]
    for t, mid in enumerate([*mids, 0.1 + 0.2, 0.3]):
        assert not flow.flip_update(record, t, mid, 0.0, 10)


def test_a_move_of_just_min_move_counts_whatever_the_rounding():
    record = one_row(flow.FLIP)[0]
    moves = [flow.flip_update(record, t, mid, 0.05, 10) for t, mid in enumerate([60_000.05, 60_000.1, 60_000.05])]
    assert moves == [False, False, True]


def test_flips_beyond_the_longest_window_are_forgotten_but_a_reset_keeps_the_counted():
    record = one_row(flow.FLIP)[0]
    for t in range(100):
        flow.flip_update(record, t, 1.0 + t % 2, 0.0, 10)
    assert record["flips"]["n"] == 10
    assert flow.flip_count(record, 99, 10) == 10
    flow.flip_reset(record)
    assert flow.flip_count(record, 99, 10) == 10
    assert not flow.flip_update(record, 100, 1.0, 0.0, 10)
