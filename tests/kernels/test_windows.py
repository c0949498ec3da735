"""Rings of times, histograms and order statistics against NumPy."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mmlab.kernels import windows as w
from mmlab.kernels.policy import one_row
from tests import twins

steps = st.lists(st.integers(0, 3), max_size=40)


def test_a_zeroed_ring_is_empty():
    ring = one_row(w.TIMES)[0]
    assert w.times_count(ring, 10, 10) == 0
    assert not w.times_contains(ring, 0)


@given(steps, st.integers(1, 6), st.integers(0, 130))
def test_count_is_half_open(gaps, window, at):
    times = np.cumsum(gaps)
    ring = one_row(w.TIMES)[0]
    for t in times:
        w.times_push(ring, t)
    assert w.times_count(ring, at, window) == twins.in_window(times, at, window).sum()
    assert w.times_contains(ring, at) == (at in times)


@given(st.permutations(range(12)), st.integers(1, 6), st.integers(0, 12))
def test_late_events_take_their_place(order, window, at):
    ring = one_row(w.TIMES)[0]
    for t in order:
        w.times_push(ring, t)
    assert w.times_count(ring, at, window) == twins.in_window(order, at, window).sum()


def test_a_full_ring_forgets_the_oldest_and_says_so():
    ring = one_row(w.TIMES)[0]
    for t in range(1000):
        w.times_push(ring, t)
    assert (ring["n"], ring["lost"]) == (512, 488)
    assert w.times_count(ring, 999, 10_000) == 512
    assert w.times_count(ring, 999, 100) == 100
    w.times_push(ring, 3)  # older than everything remembered
    assert w.times_count(ring, 999, 10_000) == 512
    assert not w.times_contains(ring, 3)


def test_forget():
    ring = one_row(w.TIMES)[0]
    for t in (1, 2, 2, 3):
        w.times_push(ring, t)
    w.times_forget(ring, 2)
    assert w.times_count(ring, 3, 10) == 1


@given(st.lists(st.integers(0, 9), max_size=450), st.sampled_from([0.0, 50.0, 90.0, 95.0, 99.0, 100.0]))
def test_histogram_percentile_is_numpys_linear_one(values, percentile):
    ring = one_row(np.dtype(w.HISTOGRAM_FIELDS, align=True))[0]
    for value in values:
        w.histogram_push(ring, value)
    got = w.histogram_percentile(ring, percentile)
    expected = np.percentile(values[-w.SAMPLES :], percentile) if values else np.nan
    np.testing.assert_allclose(got, expected, rtol=1e-12)
    w.histogram_reset(ring)
    assert np.isnan(w.histogram_percentile(ring, percentile))


@given(st.lists(st.integers(-5, 5), min_size=1, max_size=60))
def test_select_and_medians(values):
    ascending = np.sort(np.array(values, float))
    for k in range(len(values)):
        assert w.select(np.array(values, float), len(values), k) == ascending[k]
    assert w.median_of(np.array(values, float), len(values)) == np.median(values)
    assert w.sorted_median(ascending, len(values)) == np.median(values)


def test_median_of_nothing_is_undefined():
    assert np.isnan(w.median_of(np.zeros(4), 0))
    assert np.isnan(w.sorted_median(np.zeros(4), 0))


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=30), st.data())
def test_sorted_insert_and_remove(values, data):
    ring = np.zeros(40)
    for n, value in enumerate(values):
        w.sorted_insert(ring, n, value)
    np.testing.assert_array_equal(ring[: len(values)], np.sort(values))
    gone = data.draw(st.sampled_from(values))
    w.sorted_remove(ring, len(values), gone)
    left = list(values)
    left.remove(gone)
    np.testing.assert_array_equal(ring[: len(left)], np.sort(left))
