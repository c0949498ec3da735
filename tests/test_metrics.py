"""The public metrics: columns, rows and values as `api.md` promises, against the twins; errors; bands."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mmlab
from mmlab.metrics import bands, markout_bands, mean_band, median_band, participation, time_weighted_rate
from mmlab.metrics.fills import whole_lots
from tests import twins
from tests.tapes import STEP_NS, T0, Tape, find_any, same, tapes

SECOND_NS = 4 * STEP_NS
SIZE = 0.1


def twin_markouts(tape, horizon_s, **bug):
    args = tape.quote_ns, tape.mid, tape.gap, round(horizon_s * 1e9), 60 * 10**9
    return [twins.markout(t, s, p, *args, **bug) for t, s, p in zip(tape.ns, tape.side, tape.price, strict=True)]


def small(n=6):
    """A quiet market and a few fills, for tests of shape."""
    quotes = pd.date_range("2024-01-01", periods=200, freq="100ms", tz="UTC")
    mid = 100 + np.arange(200) * 0.01
    book = pd.DataFrame({"bid": mid - 0.5, "ask": mid + 0.5, "bid_size": 1.0, "ask_size": 2.0}, index=quotes)
    book["mid"] = mid
    book["micro"] = (book["bid"] * 2 + book["ask"]) / 3
    at = quotes[:: 200 // n][:n] + pd.Timedelta("7ms")
    fills = pd.DataFrame({"side": ["bid", "ask"] * (n // 2), "price": 100.0, "size": 1.0, "fee": 0.01}, index=at)
    return fills, book


@settings(max_examples=60)
@given(tapes())
def test_markouts_are_the_twin(tape):
    frame = mmlab.markouts(tape.fills(), tape.quotes(), (0, 0.25, 1, 2.5))
    assert frame.index.equals(tape.fills().index)
    for h in (0, 0.25, 1, 2.5):
        assert same(frame[f"markout_{h:g}s_bps"], twin_markouts(tape, h))
        total = frame["spread_capture_bps"] + frame[f"adverse_{h:g}s_bps"]
        known = total.notna()
        assert same(total[known], frame[f"markout_{h:g}s_bps"][known], 1e-12)
    assert same(frame["mid"], [twins.mid_before(t, tape.quote_ns, tape.mid) for t in tape.ns])


def test_markout_columns_are_those_of_the_contract():
    fills, quotes = small()
    names = list(mmlab.markouts(fills, quotes).columns)
    horizons = ["0.1", "0.5", "1", "5", "30", "60"]
    assert names[:6] == [f"markout_{h}s_bps" for h in horizons]
    assert {"mid", "spread_capture_bps", *(f"adverse_{h}s_bps" for h in horizons)} <= set(names)


@pytest.mark.parametrize("bug", [{"first_after": True}, {"fill_gap": True}])
def test_planted_markout_bugs_are_seen(bug):
    def wrong(tape):
        got = mmlab.markouts(tape.fills(), tape.quotes(), (1,))["markout_1s_bps"]
        return not same(got, twin_markouts(tape, 1, **bug))

    find_any(tapes(), wrong)


def test_an_old_reference_is_no_reference():
    fills, quotes = small()
    thin = quotes.iloc[[0, -1]]
    assert mmlab.markouts(fills, thin, (1,))["markout_1s_bps"].notna().any()
    assert mmlab.markouts(fills, thin, (1,), max_quote_age_s=0.5)["markout_1s_bps"].isna().all()


def test_markouts_against_the_micro_price():
    fills, quotes = small()
    got = mmlab.markouts(fills, quotes, (1,), reference="micro")["markout_1s_bps"]
    expected = mmlab.markouts(fills, quotes.assign(mid=quotes["micro"]), (1,))["markout_1s_bps"]
    assert same(got, expected)
    assert not same(got, mmlab.markouts(fills, quotes, (1,))["markout_1s_bps"])


def test_mid_and_micro_come_from_the_best_quotes_where_they_are_missing():
    fills, quotes = small()
    bare = quotes[["bid", "ask", "bid_size", "ask_size"]]
    for reference in ("mid", "micro"):
        assert same(
            mmlab.markouts(fills, bare, reference=reference), mmlab.markouts(fills, quotes, reference=reference), 1e-9
        )


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_any_unit_of_the_index_is_read_exactly(unit):
    fills, quotes = small()
    quotes = quotes[::10]
    fills.index = quotes.index[: len(fills)]
    expected = mmlab.markouts(fills, quotes, (1, 2))
    got = mmlab.markouts(fills.set_axis(fills.index.as_unit(unit)), quotes.set_axis(quotes.index.as_unit(unit)), (1, 2))
    assert same(got, expected, 0.0)
    assert got.index.unit == unit


def test_other_timezones_and_ts_ns_are_the_same_instants():
    fills, quotes = small()
    expected = mmlab.markouts(fills, quotes)
    assert same(mmlab.markouts(fills.tz_convert("Asia/Tokyo"), quotes), expected, 0.0)
    plain = fills.assign(ts_ns=fills.index.as_unit("ns").asi8).reset_index(drop=True)
    got = mmlab.markouts(plain, quotes)
    assert same(got, expected, 0.0)
    assert got.index.equals(plain.index)


@given(tapes(max_fills=8), st.randoms(use_true_random=False))
def test_rows_out_of_order_are_answered_in_their_own_order(tape, random):
    fills = tape.fills()
    fills = fills[~fills.index.duplicated()]
    order = list(range(len(fills)))
    random.shuffle(order)
    for metric in (
        lambda f: mmlab.markouts(f, tape.quotes(), (1,)),
        mmlab.fill_rate,
        lambda f: mmlab.inventory_age(f, 1.0),
    ):
        assert same(metric(fills.iloc[order]), metric(fills).iloc[order], 0.0)


@settings(max_examples=60)
@given(tapes(), st.sampled_from([1, 3, 200]))
def test_rolling_markout_is_the_twin(tape, window):
    frame = mmlab.rolling_markout(tape.fills(), tape.quotes(), 1.0, window)
    hits = twins.hits(tape.ns, tape.side, tape.price, tape.lots)
    args = tape.quote_ns, tape.mid, tape.gap, SECOND_NS, 60 * 10**9
    hits["bps"] = [twins.markout(h.ns, h.side, h.price, *args) for h in hits.itertuples()]
    hits = hits[hits["bps"].notna()]
    assert list(frame.index.as_unit("ns").asi8) == list(hits["ns"] + SECOND_NS)
    assert str(frame.index.tz) == "UTC"
    for name, side in (("bid", 1), ("ask", -1)):
        mine = hits["bps"].where(hits["side"] == side)
        rolled = mine.dropna().rolling(window, min_periods=1)
        assert same(frame[name], rolled.median().reindex(hits.index).ffill())
        assert same(frame[f"mean_{name}"], rolled.mean().reindex(hits.index).ffill())
        assert same(frame[f"n_{name}"], rolled.count().reindex(hits.index).ffill().fillna(0))


@given(tapes(), st.sampled_from([1, 3, 200]))
def test_fill_rate_is_the_twin(tape, last):
    frame = mmlab.fill_rate(tape.fills(), 1.0, 95, last)
    assert list(frame.columns) == ["bid", "ask", "bid_p95", "ask_p95"]
    assert frame.index.equals(tape.fills().index)
    for name, side in (("bid", 1), ("ask", -1)):
        mine = tape.side == side
        for column, values in zip(
            (name, f"{name}_p95"), twins.fill_rates(tape.ns[mine], SECOND_NS, 95, last), strict=True
        ):
            expected = pd.Series(np.nan, range(tape.ns.size))
            expected[mine] = values
            assert same(frame[column], expected.ffill())


def test_fill_rate_names_its_percentile():
    assert list(mmlab.fill_rate(small()[0], percentile=99.5).columns) == ["bid", "ask", "bid_p99.5", "ask_p99.5"]


@given(tapes(max_quotes=40), st.sampled_from([0.25, 1.0]), st.sampled_from([0.0, 2.0]))
def test_flips_are_the_twin(tape, window_s, ticks):
    frame = mmlab.flips(tape.quotes(), "mid", window_s, min_move_ticks=ticks, tick_size=0.25)
    gap = twins.lost(tape.mid, tape.gap)
    flip, count = twins.flips(tape.quote_ns, tape.mid, gap, ticks * 0.25, round(window_s * 1e9))
    assert frame["flip"].dtype == bool
    np.testing.assert_array_equal(frame["flip"], flip)
    np.testing.assert_array_equal(frame["flips"], count)
    assert same(frame["flip_rate"], count / window_s)


@given(tapes(max_fills=30), st.sampled_from([0.0, 0.05, 0.3]))
def test_inventory_age_is_the_twin(tape, band):
    frame = mmlab.inventory_age(tape.fills(), 20 * SIZE, band)
    signed = tape.lots * tape.side
    assert list(frame.columns) == ["inventory_age_s", "lot_age_s"]
    assert same(frame["inventory_age_s"], twins.inventory_ages(tape.ns, signed, 20, band))
    assert same(frame["lot_age_s"], twins.lot_ages(tape.ns, signed))


@pytest.mark.parametrize("sizes", [[0.1, 0.2, 0.3], [0.001, 12_345.678, 12_345.679], [1e-8, 2e-8, 3e-8], [5, 7, 12]])
def test_positions_add_up_exactly(sizes):
    lots, per_unit = whole_lots(np.array(sizes, float))
    assert lots[0] + lots[1] == lots[2]
    np.testing.assert_allclose(lots / per_unit, sizes, rtol=1e-12)


def test_sizes_that_are_no_decimals_are_rounded_far_below_what_matters():
    sizes = np.random.default_rng(0).uniform(0.1, 5, 1000)
    lots, per_unit = whole_lots(sizes)
    np.testing.assert_allclose(lots / per_unit, sizes, rtol=1e-9)


def pnl_rows(tape):
    """Times of the rows, fills booked at each, and the last valid mid at a time, straight from the definition."""
    frame = pd.DataFrame(
        {"ns": tape.ns, "side": tape.side, "price": tape.price, "size": tape.lots * SIZE, "fee": tape.fee}
    )
    rows = [(t, 0, k + 1) for k, t in enumerate(tape.ns)]
    if tape.ns.size:
        minute = 60 * 10**9
        end = max(tape.ns[-1], tape.quote_ns[-1] if tape.quote_ns.size else 0)
        marks = range(-(-int(tape.ns[0]) // minute), int(end) // minute + 1)
        rows += [(m * minute, 1, int((tape.ns <= m * minute).sum())) for m in marks]
    rows.sort()

    def mid_at(t):
        known = tape.mid[(tape.quote_ns <= t) & np.isfinite(tape.mid)]
        return known[-1] if known.size else np.nan

    return frame, [r[0] for r in rows], [r[2] for r in rows], mid_at


def slow(tape):
    """The tape with its steps a hundred times as long, so that it spans minutes."""

    def stretch(ns):
        return T0 + 100 * (ns - T0)

    return Tape(
        stretch(tape.quote_ns), tape.mid, tape.gap, stretch(tape.ns), tape.side, tape.price, tape.lots, tape.fee
    )


@settings(max_examples=60, deadline=None)
@given(tapes().map(slow), st.sampled_from([0.5, 1, 30]))
def test_pnl_per_million_is_the_twin(tape, minutes):
    frame = mmlab.pnl_per_million(tape.fills(), tape.quotes(), (minutes,))
    fills, ns, upto, mid_at = pnl_rows(tape)
    assert list(frame.index.as_unit("ns").asi8) == ns
    expected = twins.pnl_per_million(fills, ns, upto, mid_at, round(minutes * 60e9))
    assert same(frame[f"pnl_per_million_{minutes:g}m"], expected, 1e-6)
    window = frame[f"held_pnl_{minutes:g}m"] + frame[f"new_fill_pnl_{minutes:g}m"]
    notional = frame[f"notional_{minutes:g}m"]
    assert same(1e6 * window[notional > 0] / notional[notional > 0], expected[notional > 0], 1e-6)


def test_pnl_per_million_columns_and_held_inventory():
    fills, quotes = small(2)
    frame = mmlab.pnl_per_million(fills, quotes)
    assert list(frame.columns[:2]) == ["pnl_per_million_30m", "pnl_per_million_60m"]
    one = fills.iloc[:1]
    quotes = pd.concat([quotes, quotes.tail(1).set_axis(quotes.index[-1:] + pd.Timedelta("40min")).assign(mid=150.0)])
    last = mmlab.pnl_per_million(one, quotes, (30,)).iloc[-1]
    carried = 150.0 - quotes["mid"].iloc[-2]
    assert last["held_pnl_30m"] == pytest.approx(0.0)  # the jump lies behind the last whole minute
    late = mmlab.pnl_per_million(one, quotes.set_axis(quotes.index.where(quotes.index < quotes.index[-1],
                                 quotes.index[-1].ceil("min"))), (30,)).iloc[-1]  # fmt: skip
    assert late["held_pnl_30m"] == pytest.approx(carried)
    assert math.isnan(late["pnl_per_million_30m"])  # nothing traded in the window


def test_pnl_per_million_of_an_inverse_contract():
    """1,000 dollars bought at 50,000; at 51,000 they have made 1000*(1/50000 - 1/51000) coins, worth 19.61 dollars."""
    index = pd.DatetimeIndex([T0, T0 + 90 * 10**9], tz="UTC")
    quotes = pd.DataFrame({"mid": [50_000.0, 51_000.0]}, index=index)
    fills = pd.DataFrame({"side": "bid", "price": 50_000.0, "size": 10.0, "fee": 0.0}, index=index[:1])
    quotes.index = quotes.index.where(quotes.index == index[0], index[1].ceil("min"))
    frame = mmlab.pnl_per_million(fills, quotes, (60,), contract="inverse", contract_size=100.0)
    made = 1000 * (1 / 50_000 - 1 / 51_000) * 51_000
    assert frame["pnl_per_million_60m"].iloc[-1] == pytest.approx(1e6 * made / 1000, rel=1e-9)


def test_pnl_flags_a_mid_that_is_not_valid_now():
    index = pd.DatetimeIndex([T0, T0 + 10**9], tz="UTC")
    quotes = pd.DataFrame({"mid": [100.0, np.nan]}, index=index)
    fills = pd.DataFrame({"side": ["bid", "ask"], "price": 100.0, "size": 1.0, "fee": 0.0}, index=index)
    assert list(mmlab.pnl_per_million(fills, quotes)["mid_valid"][:2]) == [True, False]


def test_nothing_in_gives_nothing_out():
    fills, quotes = small()
    for f, q in ((fills.iloc[:0], quotes), (fills, quotes.iloc[:0]), (fills.iloc[:0], quotes.iloc[:0])):
        marks = mmlab.markouts(f, q)
        assert len(marks) == len(f)
        assert marks.isna().all(axis=None)
        assert len(mmlab.rolling_markout(f, q)) == 0
        assert len(mmlab.flips(q)) == len(q)
        assert len(mmlab.fill_rate(f)) == len(mmlab.inventory_age(f, 1.0)) == len(f)
        assert len(mmlab.pnl_per_million(f, q)) >= len(f)


def fails(match, call):
    with pytest.raises(mmlab.MMLabError, match=match):
        call()


def test_errors_say_what_to_change():
    fills, quotes = small()
    fails(
        "column 'price' is missing; it has 'side', 'size', 'fee'",
        lambda: mmlab.markouts(fills.drop(columns="price"), quotes),
    )
    fails("column 'side' is missing", lambda: mmlab.fill_rate(fills.drop(columns="side")))
    fails("row 0 has side 'buy': must be 'bid'", lambda: mmlab.fill_rate(fills.assign(side="buy")))
    fails("no timezone; .*tz_localize", lambda: mmlab.markouts(fills.tz_localize(None), quotes))
    fails("quotes: the index has no timezone", lambda: mmlab.markouts(fills, quotes.tz_localize(None)))
    fails("RangeIndex: must be a DatetimeIndex", lambda: mmlab.fill_rate(fills.reset_index(drop=True)))
    fails("row 1 is earlier", lambda: mmlab.markouts(fills, quotes.iloc[::-1]))
    fails("row 0 has price = 0.0", lambda: mmlab.markouts(fills.assign(price=0.0), quotes))
    fails("row 0 has price = nan", lambda: mmlab.markouts(fills.assign(price=np.nan), quotes))
    fails("row 0 has size = -1.0", lambda: mmlab.inventory_age(fills.assign(size=-1.0), 1.0))
    fails("row 0 has fee = nan", lambda: mmlab.pnl_per_million(fills.assign(fee=np.nan), quotes))
    fails("'price' is .*must be numbers", lambda: mmlab.markouts(fills.assign(price="x"), quotes))
    fails("column 'vwap' is missing", lambda: mmlab.markouts(fills, quotes, reference="vwap"))
    fails("horizons_s = -1", lambda: mmlab.markouts(fills, quotes, (-1,)))
    fails("horizons_s is empty", lambda: mmlab.markouts(fills, quotes, ()))
    fails("window = 0", lambda: mmlab.rolling_markout(fills, quotes, window=0))
    fails("percentile = 101", lambda: mmlab.fill_rate(fills, percentile=101))
    fails("needs tick_size", lambda: mmlab.flips(quotes, min_move_ticks=1))
    fails("window_s = 0", lambda: mmlab.flips(quotes, window_s=0))
    fails("max_position = 0", lambda: mmlab.inventory_age(fills, 0))
    fails("contract = 'quanto'", lambda: mmlab.pnl_per_million(fills, quotes, contract="quanto"))
    fails("windows_min = ", lambda: mmlab.pnl_per_million(fills, quotes, (0,)))
    fails("got a list", lambda: mmlab.fill_rate([1]))
    fails("got a list", lambda: mmlab.flips([1]))
    fails("'ts_ns' is float64", lambda: mmlab.fill_rate(fills.reset_index(drop=True).assign(ts_ns=1.5)))
    missing = fills.set_axis(fills.index.where(fills.index != fills.index[2], pd.NaT))
    fails("row 2 has no time", lambda: mmlab.fill_rate(missing))
    fails("markout_1s_bps", lambda: markout_bands(fills))
    fails("window_s = 0", lambda: participation(fills, quotes, 0))


def test_inputs_are_left_as_they_were():
    fills, quotes = small()
    copies = fills.copy(), quotes.copy()
    mmlab.markouts(fills, quotes)
    mmlab.pnl_per_million(fills.iloc[::-1], quotes)
    pd.testing.assert_frame_equal(fills, copies[0])
    pd.testing.assert_frame_equal(quotes, copies[1])


def test_sides_of_any_string_type():
    fills, quotes = small()
    expected = mmlab.markouts(fills, quotes)
    for dtype in (object, "category", "string", "str"):
        assert same(mmlab.markouts(fills.astype({"side": dtype}), quotes), expected, 0.0)


# 97.5 % quantiles of Student's t, from tables
T_TABLE = {9: 2.262157, 10: 2.228139, 20: 2.085963, 30: 2.042272, 120: 1.979930}


@pytest.mark.parametrize(("degrees", "value"), T_TABLE.items())
def test_t_quantile(degrees, value):
    assert bands.t_quantile(0.975, degrees) == pytest.approx(value, abs=1e-4)


def test_mean_band_by_hand():
    """Ten blocks of two equal values each: the band is that of ten numbers."""
    x = np.arange(10.0)
    ns = np.repeat(T0 // 60_000_000_000 * 60_000_000_000 + 60_000_000_000 * np.arange(10), 2)
    band = mean_band(ns, np.repeat(x, 2), 60_000_000_000)
    half = 2.262157 * x.std(ddof=1) / np.sqrt(10)
    assert (band.value, band.n, band.blocks) == (4.5, 20, 10)
    assert band.high - band.value == pytest.approx(half, rel=1e-4)
    assert band.value - band.low == pytest.approx(half, rel=1e-4)


def test_bands_cover():
    """Where markouts share a shock a minute, 95 % bands hold the truth about 95 % of the time; naive ones would not."""
    rng = np.random.default_rng(0)
    ns = T0 + np.sort(rng.integers(0, 40 * 60 * 10**9, 400))
    minute = ns // (60 * 10**9)
    hits = {"mean": 0, "median": 0}
    for seed in range(200):
        shock = rng.normal(0, 1, 60)[minute - minute[0]]
        values = shock + rng.normal(0, 0.5, ns.size)
        mean = mean_band(ns, values, 60 * 10**9)
        median = median_band(ns, values, 60 * 10**9, seed=seed, draws=200)
        hits["mean"] += mean.low <= 0 <= mean.high
        hits["median"] += median.low <= 0 <= median.high
    assert 180 <= hits["mean"] <= 199
    assert 170 <= hits["median"] <= 199


def test_median_band_resamples_whole_blocks():
    rng = np.random.default_rng(1)
    ns = T0 + np.sort(rng.integers(0, 15 * 60 * 10**9, 101))
    values = rng.normal(size=ns.size)
    band = median_band(ns, values, 60 * 10**9, seed=7, draws=50)
    block = np.unique(ns // (60 * 10**9), return_inverse=True)[1]
    groups = [values[block == b] for b in range(block.max() + 1)]
    taken = np.random.default_rng(7).multinomial(len(groups), np.full(len(groups), 1 / len(groups)), 50)
    medians = [np.median(np.concatenate([np.tile(g, k) for g, k in zip(groups, row, strict=True)])) for row in taken]
    assert same([band.low, band.high], np.quantile(medians, [0.025, 0.975]))
    assert band == median_band(ns, values, 60 * 10**9, seed=7, draws=50)


def test_markout_bands_need_ten_blocks():
    fills, quotes = small()
    few = markout_bands(fills.join(mmlab.markouts(fills, quotes)))
    assert list(few.index.names) == ["side", "horizon_s"]
    row = few.loc[("both", 1.0)]
    assert (row["n"], row["blocks"], row["note"]) == (6, 1, "too few blocks")
    assert np.isnan(row["mean_low_bps"])
    assert not np.isnan(row["mean_bps"])
    index = pd.date_range("2024-01-01", periods=40, freq="30s", tz="UTC")
    many = pd.DataFrame({"side": ["bid", "ask"] * 20, "markout_1s_bps": np.arange(40.0), "markout_60s_bps": 1.0}, index)
    table = markout_bands(many)
    assert table.loc[("both", 1.0), "blocks"] == 20
    assert table.loc[("both", 60.0), "blocks"] == 10
    assert table.loc[("bid", 1.0), "mean_low_bps"] < 19.0 < table.loc[("bid", 1.0), "mean_high_bps"]
    assert table.loc[("bid", 1.0), "note"] == ""


def test_participation_by_window():
    minute = pd.date_range("2024-01-01 00:00:30", periods=3, freq="1min", tz="UTC")
    fills = pd.DataFrame({"side": "bid", "size": [1.0, 2.0]}, index=minute[[0, 2]])
    trades = pd.DataFrame({"side": "buy", "price": 1.0, "size": [100.0, 50.0, 10.0]}, index=minute)
    table = participation(fills, trades)
    assert list(table["participation"]) == [0.01, 0.0, 0.2]
    assert list(table["self_impact"]) == [False, False, True]
    assert table.index[0] == pd.Timestamp("2024-01-01 00:01", tz="UTC")
    edge = participation(
        fills, trades.set_axis(minute.ceil("min"))
    )  # a trade on the mark belongs to the window it ends
    assert same(edge["market"], table["market"])
    assert len(participation(fills.iloc[:0], trades.iloc[:0])) == 0


def test_time_weighted_rate_counts_empty_seconds():
    index = pd.DatetimeIndex(T0 + np.array([0, 100, 100, 10**9, 3 * 10**9 - 5]), tz="UTC")
    fills = pd.DataFrame({"side": ["bid", "bid", "bid", "ask", "bid"]}, index=index)
    rate = time_weighted_rate(fills)
    assert list(rate["bid"]) == [1, 1, 0, 1]
    assert list(rate["ask"]) == [0, 1, 0, 0]
    span = time_weighted_rate(fills, index[0] - pd.Timedelta("2s"), index[0] + pd.Timedelta("1s"))
    assert list(span["bid"]) == [0, 0, 1, 1]
    assert time_weighted_rate(fills.iloc[:0]).to_numpy().sum() == 0
