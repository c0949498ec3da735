"""Volatility: closed form over quiet spans == a walk over every clock point; gaps, warm-up, median."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmlab.kernels import volatility as vol
from mmlab.kernels.policy import one_row
from tests import twins
from tests.tapes import T0, find_any, same

CLOCK_NS = 100_000_000
HALF_LIFE_S = 0.7
steps_ms = st.sampled_from([0, 10, 40, 50, 100, 250, 700, 2_300])
events = st.lists(
    st.tuples(steps_ms, st.sampled_from([1, 1, 1, 1, 0]), st.integers(-3, 3)),
    min_size=1, max_size=40,
)  # fmt: skip


def arrays(rows):
    ns = T0 + 1_000_000 * np.cumsum([r[0] for r in rows])
    mid = np.where([r[1] == 1 for r in rows], 100 + 0.5 * np.array([r[2] for r in rows], float), np.nan)
    return ns.astype(np.int64), mid.astype(float)


def state(warm_up_n=0):
    record = one_row(vol.VOL)[0]
    record["warm_up_n"] = warm_up_n
    return record


def series(ns, mid, warm_up_n=0, floor=0.0):
    out = np.empty(ns.size)
    vol.vol_series(ns, mid, CLOCK_NS, HALF_LIFE_S, floor, state(warm_up_n), out)
    return out


@given(events, st.integers(0, 5), st.sampled_from([0.0, 1.0]))
def test_vectorised_is_the_twin(rows, warm_up_n, floor):
    ns, mid = arrays(rows)
    assert same(series(ns, mid, warm_up_n, floor), twins.sigma(ns, mid, CLOCK_NS, HALF_LIFE_S, warm_up_n, floor))


@given(events, st.sampled_from([0, 30, 100, 900]), st.sets(st.integers(0, 30_000), max_size=20))
def test_online_with_timers_is_the_twin(rows, after_ms, timers_ms):
    """Timers anywhere in between change nothing; the last one takes the points up to and at its time."""
    ns, mid = arrays(rows)
    end = ns[-1] + 1_000_000 * after_ms
    record = state()
    timers = [(T0 + 1_000_000 * t, 1, -1) for t in timers_ms if T0 + 1_000_000 * t < end]
    for t, kind, i in sorted([(t, 0, i) for i, t in enumerate(ns)] + timers):
        if kind == 0:
            vol.vol_update(record, t, mid[i], CLOCK_NS, HALF_LIFE_S)
        else:
            vol.vol_timer(record, t, CLOCK_NS, HALF_LIFE_S)
    vol.vol_timer(record, end, CLOCK_NS, HALF_LIFE_S)
    assert same(vol.vol_sigma(record, 0.0), twins.sigma(ns, mid, CLOCK_NS, HALF_LIFE_S, 0, 0.0, end)[-1])


def test_a_mid_strictly_before_the_clock_point_is_seen():
    def wrong(rows):
        ns, mid = arrays(rows)
        return not same(series(ns, mid), twins.sigma(ns, mid, CLOCK_NS, HALF_LIFE_S, 0, 0.0, strict=True))

    find_any(events, wrong)


def test_sigma_of_a_random_walk():
    rng = np.random.default_rng(2)
    ns = T0 + 20_000_000 * np.arange(1_000_000)
    mid = 100 + np.cumsum(rng.normal(0, 0.3 * np.sqrt(0.02), ns.size))
    record, out = state(), np.empty(ns.size)
    vol.vol_series(ns, mid, CLOCK_NS, 60.0, 0.0, record, out)
    assert out[10_000:].mean() == pytest.approx(0.3, rel=0.02)
    assert vol.vol_median(record, 0.0) == pytest.approx(0.3, rel=0.05)


def test_warm_up_and_floor():
    record = state(warm_up_n=3)
    for k in range(3):
        vol.vol_update(record, T0 + k * CLOCK_NS, 100.0 + k, CLOCK_NS, 60.0)
    vol.vol_timer(record, T0 + 2 * CLOCK_NS, CLOCK_NS, 60.0)
    assert (record["n"], np.isnan(vol.vol_sigma(record, 0.0))) == (2, True)
    vol.vol_timer(record, T0 + 3 * CLOCK_NS, CLOCK_NS, 60.0)
    assert vol.vol_sigma(record, 0.0) > 2
    assert vol.vol_sigma(record, 99.0) == 99.0


def test_a_change_of_clock_skips_one_interval_and_goes_on():
    record = state()
    vol.vol_update(record, T0, 100.0, CLOCK_NS, 60.0)
    vol.vol_timer(record, T0 + 10 * CLOCK_NS, CLOCK_NS, 60.0)
    assert record["n"] == 10
    vol.vol_timer(record, T0 + 20 * CLOCK_NS, 3 * CLOCK_NS, 60.0)
    assert record["n"] == 12  # points 12, 15, 18: two intervals
    assert vol.vol_sigma(record, 0.0) == 0.0


def test_the_median_holds_the_last_30_minutes_and_freezes():
    rng = np.random.default_rng(4)
    ns = T0 + np.sort(rng.integers(0, 4_000 * 10**9, 8_000))
    mid = 100 + np.cumsum(rng.normal(0, 0.1, ns.size))
    marks = np.arange(-(-T0 // vol.MEDIAN_EVERY_NS), ns[-1] // vol.MEDIAN_EVERY_NS + 1) * vol.MEDIAN_EVERY_NS
    marks = marks[marks < ns[-1]]
    record, probe, samples = state(warm_up_n=50), state(warm_up_n=50), []
    k = 0
    for mark in marks:
        while ns[k] <= mark:
            vol.vol_update(probe, ns[k], mid[k], CLOCK_NS, 60.0)
            vol.vol_update(record, ns[k], mid[k], CLOCK_NS, 60.0)
            k += 1
        vol.vol_timer(probe, mark, CLOCK_NS, 60.0)
        if not np.isnan(vol.vol_sigma(probe, 0.0)):
            samples.append(vol.vol_sigma(probe, 0.0))
    vol.vol_update(record, ns[-1], mid[-1], CLOCK_NS, 60.0)
    assert len(samples) > vol.MEDIAN_SAMPLES
    last = np.array(samples[-vol.MEDIAN_SAMPLES :])
    assert vol.vol_median(record, 0.0) == pytest.approx(np.median(last), rel=1e-12)
    floor = float(np.quantile(last, 0.6))
    assert vol.vol_median(record, floor) == pytest.approx(np.median(np.maximum(last, floor)), rel=1e-12)
    record["frozen"] = 1
    vol.vol_timer(record, ns[-1] + 10**12, CLOCK_NS, 60.0)
    assert vol.vol_median(record, 0.0) == pytest.approx(np.median(last), rel=1e-12)
    record["frozen"] = 0
    vol.vol_timer(record, ns[-1] + 5 * 10**12, CLOCK_NS, 60.0)
    assert vol.vol_median(record, 0.0) < 1e-6


def test_the_median_needs_no_clock_point_on_the_mark_and_no_sample_without_a_mid():
    record = state()
    vol.vol_update(record, T0, 100.0, 300_000_000, 60.0)
    assert np.isnan(vol.vol_median(record, 0.0))
    vol.vol_timer(record, T0 + 100 * 10**9, 300_000_000, 60.0)
    assert record["ring_n"] == 10
    vol.vol_update(record, T0 + 101 * 10**9, np.nan, 300_000_000, 60.0)
    vol.vol_timer(record, T0 + 300 * 10**9, 300_000_000, 60.0)
    assert record["ring_n"] == 10
