"""Markouts: online == vectorised == twin, gaps, late reports, epochs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmlab.kernels import markout as m
from mmlab.kernels import markout_table as table
from mmlab.kernels.policy import one_row
from tests import twins
from tests.tapes import STEP_NS, T0, find_any, same, tapes

HORIZONS_NS = np.array([0, STEP_NS, 2 * STEP_NS, 4 * STEP_NS, 12 * STEP_NS])
SECOND_NS = 4 * STEP_NS
AGE_NS = 6 * STEP_NS


def vectorised(tape, horizons_ns=HORIZONS_NS, max_age_ns=AGE_NS):
    book = tape.quotes()
    gaps = table.gap_rows(tape.mid, book["bid"].to_numpy(), book["ask"].to_numpy())
    out = np.empty((2 * horizons_ns.size + 2, tape.ns.size))
    table.markout_table(
        tape.ns, tape.side, tape.price, tape.quote_ns, tape.mid, gaps, horizons_ns, max_age_ns, out
    )  # fmt: skip
    return out


def twin_markouts(tape, horizon_ns, max_age_ns=AGE_NS, **bug):
    fills = zip(tape.ns, tape.side, tape.price, strict=True)
    return [
        twins.markout(t, s, p, tape.quote_ns, tape.mid, tape.gap, horizon_ns, max_age_ns, **bug) for t, s, p in fills
    ]


def online(tape, horizon_ns, max_age_ns=AGE_NS, delay_ns=0):
    """Both sides' records after the tape; fills become known `delay_ns` late."""
    sides = {1: one_row(m.MARKOUT)[0], -1: one_row(m.MARKOUT)[0]}
    events = [(t, 0, i) for i, t in enumerate(tape.quote_ns)]
    events += [(t + delay_ns, 1, i) for i, t in enumerate(tape.ns)]
    mid, mid_ns = np.nan, 0
    for t, kind, i in sorted(events):
        if kind == 1:
            m.markout_fill(sides[tape.side[i]], tape.ns[i], tape.price[i], float(tape.lots[i]))
            continue
        for side, record in sides.items():
            m.markout_advance(record, side, t, mid, mid_ns, horizon_ns, max_age_ns)
            if tape.gap[i]:
                m.markout_gap(record, t)
        mid, mid_ns = tape.mid[i], t
    return sides


def hit_markouts(tape, side, horizon_ns, max_age_ns=AGE_NS, **bug):
    hits = twins.hits(tape.ns, tape.side, tape.price, tape.lots)
    hits = hits[hits["side"] == side]
    args = tape.quote_ns, tape.mid, tape.gap, horizon_ns, max_age_ns
    values = [twins.markout(h.ns, side, h.price, *args, **bug) for h in hits.itertuples()]
    return hits["ns"].to_numpy(), np.array(values, float)


def completed(record):
    return record["done_bps"][: record["done"]]


@settings(max_examples=200)
@given(tapes())
def test_vectorised_is_the_twin(tape):
    out = vectorised(tape)
    for k, horizon_ns in enumerate(HORIZONS_NS):
        assert same(out[k], twin_markouts(tape, horizon_ns))
    before = [twins.mid_before(t, tape.quote_ns, tape.mid) for t in tape.ns]
    assert same(out[HORIZONS_NS.size], before)


@given(tapes())
def test_markout_is_spread_capture_plus_adverse(tape):
    out = vectorised(tape)
    h = HORIZONS_NS.size
    total = out[h + 1] + out[h + 2 :]
    known = np.isfinite(total)
    np.testing.assert_array_equal(np.isfinite(out[:h]) & np.isfinite(out[h]), known)
    np.testing.assert_allclose(total[known], out[:h][known], rtol=1e-13, atol=1e-11)


@settings(max_examples=200)
@given(tapes(), st.sampled_from(HORIZONS_NS[1:]))
def test_online_is_the_twin(tape, horizon_ns):
    for side, record in online(tape, horizon_ns).items():
        ns, values = hit_markouts(tape, side, horizon_ns)
        good = np.isfinite(values)
        assert same(completed(record), values[good])
        np.testing.assert_array_equal(record["done_ns"][: record["done"]], ns[good])
        assert record["done"] + record["nan"] + record["pending"] == ns.size


@settings(max_examples=200)
@given(tapes(), st.sampled_from([STEP_NS, 3 * STEP_NS, 6 * STEP_NS]))
def test_a_late_report_gives_the_same_value_or_none(tape, delay_ns):
    """A fill heard of after its horizon may be NaN, but never gets the mid of another moment."""
    for side, record in online(tape, SECOND_NS, delay_ns=delay_ns).items():
        ns, values = hit_markouts(tape, side, SECOND_NS)
        by_time = dict(zip(ns, values, strict=True))
        for k in range(record["done"]):
            assert same(record["done_bps"][k], by_time[record["done_ns"][k]])


@settings(max_examples=100)
@given(tapes(gaps=False), st.integers(0, 3))
def test_reports_out_of_order_within_the_horizon_change_nothing(tape, swap):
    first = online(tape, SECOND_NS)
    other = {1: one_row(m.MARKOUT)[0], -1: one_row(m.MARKOUT)[0]}
    for i in np.random.default_rng(swap).permutation(tape.ns.size):
        m.markout_fill(other[tape.side[i]], tape.ns[i], tape.price[i], float(tape.lots[i]))
    for side, record in other.items():
        mid, mid_ns = np.nan, 0
        for t, new in zip(tape.quote_ns, tape.mid, strict=True):
            m.markout_advance(record, side, t, mid, mid_ns, SECOND_NS, AGE_NS)
            mid, mid_ns = new, t
        assert same(completed(record), completed(first[side]))


@pytest.mark.parametrize("bug", [{"first_after": True}, {"fill_gap": True}])
def test_planted_bugs_are_seen(bug):
    """A mid after the moment instead of at it, and one carried across a gap, differ from the kernels on some tape."""
    tape = find_any(tapes(), lambda t: not same(vectorised(t)[3], twin_markouts(t, SECOND_NS, **bug)))
    assert same(vectorised(tape)[3], twin_markouts(tape, SECOND_NS))


def test_hits_merge_with_the_size_weighted_price():
    record = one_row(m.MARKOUT)[0]
    m.markout_fill(record, T0, 100.0, 1.0)
    m.markout_fill(record, T0 + 1, 90.0, 1.0)
    m.markout_fill(record, T0, 104.0, 3.0)
    assert record["pending"] == 2
    assert record["pending_price"][0] == pytest.approx(103.0, rel=1e-15)
    assert m.markout_advance(record, 1, T0 + 10, 103.0, T0, 5, 100) == 2
    assert completed(record)[0] == pytest.approx(0.0, abs=1e-9)


@given(tapes())
def test_merged_hits_are_the_twins(tape):
    n = tape.ns.size
    out = np.empty(n, np.int64), np.empty(n, np.int8), np.empty(n), np.empty(n)
    count = table.merge_hits(tape.ns, tape.side, tape.price, tape.lots.astype(float), *out)
    expected = twins.hits(tape.ns, tape.side, tape.price, tape.lots)
    for values, name in zip(out, ("ns", "side", "price", "size"), strict=True):
        assert same(values[:count], expected[name])


def test_statistics_of_the_window_and_of_the_epoch():
    record = one_row(m.MARKOUT)[0]
    rng = np.random.default_rng(1)
    ns = T0 + np.cumsum(rng.integers(1, SECOND_NS, 1500))
    mids = 100 + rng.integers(-3, 4, ns.size).astype(float)
    for t, mid in zip(ns, mids, strict=True):
        m.markout_fill(record, t, 100.0, 1.0 + t % 5)
        m.markout_advance(record, 1, t + 2, mid, t, 1, 10)
    bps, size = 100 * (mids - 100), 1.0 + ns % 5
    assert record["done"] == ns.size
    for window in (1, 50, 200, 1024):
        last, weight = bps[-window:], size[-window:]
        assert m.markout_n(record, window) == window
        assert m.markout_median(record, window) == np.median(last)
        assert m.markout_mean(record, window) == pytest.approx(last.mean(), abs=1e-9)
        assert m.markout_weighted_mean(record, window) == pytest.approx(np.average(last, weights=weight), abs=1e-9)
        assert m.share_below(record, window, 0.0, True) == pytest.approx((last < 0).mean() + (last == 0).mean() / 2)
        assert m.share_below(record, window, 0.0, False) == pytest.approx((last < 0).mean())
        assert m.effective_n(record, window, SECOND_NS) == np.unique(ns[-window:] // SECOND_NS).size
    since = ns[-30]
    assert m.markout_n(record, 200, since) == 30
    assert m.markout_median(record, 200, since) == np.median(bps[-30:])
    assert m.effective_n(record, 200, SECOND_NS, since) == np.unique(ns[-30:] // SECOND_NS).size


def test_an_epoch_counts_only_fills_after_it():
    record = one_row(m.MARKOUT)[0]
    m.markout_fill(record, T0, 100.0, 1.0)
    m.markout_epoch(record, T0 + 5)
    m.markout_fill(record, T0 + 5, 100.0, 1.0)
    assert m.markout_advance(record, 1, T0 + 100, 101.0, T0, 10, 1000) == 2
    assert record["epoch_n"] == 1
    assert m.markout_n(record, 200) == 2
    assert m.markout_n(record, 200, record["epoch_ns"]) == 1


def test_nothing_is_undefined_not_zero():
    record = one_row(m.MARKOUT)[0]
    statistics = (
        m.markout_median(record, 200), m.markout_mean(record, 200), m.markout_weighted_mean(record, 200),
        m.share_below(record, 50, 0.0, True),
    )  # fmt: skip
    assert np.isnan(statistics).all()
    assert m.markout_n(record, 200) == m.effective_n(record, 200, 1) == 0


def test_a_full_pending_ring_gives_up_the_oldest():
    record = one_row(m.MARKOUT)[0]
    for k in range(m.PENDING + 7):
        m.markout_fill(record, T0 + k, 100.0, 1.0)
    m.markout_fill(record, T0 - 1, 100.0, 1.0)  # older than all that wait
    assert (record["pending"], record["nan"]) == (m.PENDING, 8)
    assert m.markout_advance(record, 1, T0 + 10**6, 100.0, T0 + 10, 10**5, 10**9) == m.PENDING
    assert (np.diff(record["done_ns"]) >= 0).sum() == m.COMPLETED - 1


@given(st.lists(st.integers(-3, 3), max_size=60), st.integers(1, 12))
def test_rolling_statistics_are_pandas(values, window):
    import pandas as pd

    bps = np.array(values, float)
    size = 1.0 + np.arange(bps.size) % 3
    out = np.empty((4, bps.size))
    table.rolling_markouts(bps, size, window, out)
    rolled = pd.Series(bps).rolling(window, min_periods=1)
    weight = pd.Series(size).rolling(window, min_periods=1).sum()
    assert same(out[0], rolled.median())
    assert same(out[1], rolled.mean())
    assert same(out[2], pd.Series(bps * size).rolling(window, min_periods=1).sum() / weight)
    assert same(out[3], rolled.count())


@given(st.lists(st.integers(0, 3), max_size=60), st.integers(0, 60), st.integers(-2, 130))
def test_count_until_gallops_to_the_right_place(steps, start, t):
    ns = np.cumsum(np.array(steps, np.int64))
    known = min(start, int(np.searchsorted(ns, t, side="right")))
    assert table.count_until(ns, known, t) == np.searchsorted(ns, t, side="right")
    followed = np.append(ns, np.full(16, 200))
    assert table.count_near(followed, np.uint64(known), t) == np.searchsorted(ns, t, side="right")


def test_count_until_on_long_steps():
    ns = np.arange(100_000)
    for t in (-1, 0, 5, 77, 4096, 99_998, 99_999, 200_000):
        assert table.count_until(ns, 0, t) == np.searchsorted(ns, t, side="right")
    for t in (-1, 0, 14, 15, 16, 30, 31, 32, 77, 4096, 99_983):
        assert table.count_near(ns, np.uint64(0), t) == t + 1


@given(st.lists(st.integers(-3, 9), max_size=40))
def test_intervals_are_the_differences(steps):
    ns = T0 + np.cumsum(np.array(steps, np.int64))
    between = np.diff(ns) if ns.size > 1 else np.zeros(1, np.int64)
    assert table.intervals(ns) == (between.min(), between.max())


@pytest.mark.parametrize("n", range(14))
def test_a_nan_is_found_wherever_it_is(n):
    values = np.array([np.inf, -np.inf, 0.0, -0.0, 1e308, -1.5, 5e-324] * 2)[:n]
    assert not table.has_nan(values)
    for i in range(n):
        assert table.has_nan(np.where(np.arange(n) == i, np.nan, values))


@given(st.lists(st.sampled_from(["bid", "ask", "", "bi", "bids", "Ask", "asb", "dib", "Ö"]), max_size=20))
def test_side_codes_know_two_words(words):
    encoded = [word.encode() for word in words]
    ends = np.cumsum([0, *map(len, encoded)])
    out = np.empty(len(words), np.int8)
    table.side_codes(ends, np.frombuffer(b"".join(encoded), np.uint8), out)
    assert out.tolist() == [{"bid": 1, "ask": -1}.get(word, 0) for word in words]
