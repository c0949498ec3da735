"""Calibration on markets whose parameters are known, and against plain NumPy written from terms.md."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mmlab
from mmlab import calibration
from mmlab.errors import FeedError
from mmlab.events import BOOK, EVENT, NO_PRICE, Kind
from mmlab.instrument import Instrument
from mmlab.kernels.intensity import book_intervals_ns, market_orders
from mmlab.kernels.quoting_models import glft_coefficients_net
from tests.conftest import shared_data

Array = np.ndarray[Any, Any]
S = 1_000_000_000
RECORDINGS = {
    "coin-m": ("hftbacktest", [f"binance_hftbacktest_raw/cm_btcusd_perp_2024080{day}.gz" for day in (8, 9)]),
    "usd-m": ("hftbacktest", ["binance_hftbacktest_raw/usdm_btcusdt_20240808.gz"]),
    "spot": ("hftbacktest", [f"binance_hftbacktest_raw/spot_btcusdt_2024080{day}.gz" for day in (8, 9)]),
    "nexo": (
        "hftbacktest",
        [f"binance_spot_nexousdt_2024-07/nexousdt_202407{day}.dat.gz" for day in (23, 24, 25)],
    ),
    "amzn": ("lobster", ["lobster_2012-06-21/LOBSTER_SampleFile_AMZN_2012-06-21_5.zip"]),
    "bitmex": ("bitmex", [f"bitmex_xbtusd_ethusd_2020-03-10/{n}.csv.gz" for n in ("orderbooks", "trades")]),
}
LATENCY_NS = 3_000_000


@dataclass
class Market:
    """What `calibrate_arrays` needs of a feed."""

    events: Array
    table: Array
    instrument: Instrument

    def calibrate(self, start_ns: int, end_ns: int, **options: Any) -> calibration.Calibration:
        return calibration.calibrate_arrays(
            self.table, self.events, self.instrument, start_ns=start_ns, end_ns=end_ns, **options
        )


def book_rows(times_ns: Array, bid: Array, ask: Array) -> Array:
    table = np.zeros(len(times_ns), BOOK)
    table["exch_ns"], table["local_ns"] = times_ns, times_ns + LATENCY_NS
    table["bid_ticks"], table["ask_ticks"] = bid, ask
    table["bid_lots"] = table["ask_lots"] = 1
    table["valid"] = 1
    return table


def trade_rows(times_ns: Array, side: Array, price: Array, size: Array | int = 1) -> Array:
    events = np.zeros(len(times_ns), EVENT)
    events["exch_ns"], events["local_ns"] = times_ns, times_ns + LATENCY_NS
    events["kind"], events["side"], events["price_ticks"], events["size_lots"] = Kind.TRADE, side, price, size
    return events


def poisson_market(
    A: float,
    kappa: float,
    *,
    spread: int = 1,
    seconds: float = 2000.0,
    sigma: float = 1.0,
    tick: float = 0.01,
    seed: int = 0,
) -> Market:
    """Market orders arrive at rate A a side and reach exponential depths (kappa per tick) from a moving mid.

    One that would reach d pays the farthest price level at most d from mid; nearer than the best quote, nothing trades.
    sigma is in ticks per sqrt(second): the mid moves a tick up or down, sigma^2 times a second.
    """
    rng = np.random.default_rng(seed)
    moves = np.cumsum(rng.exponential(1.0 / sigma**2, round(seconds * sigma**2 * 1.2)))
    moves = np.concatenate([[0.0], moves[moves < seconds]])
    bid = 10_000 + np.concatenate([[0], np.cumsum(rng.choice([-1, 1], moves.size - 1))])
    table = book_rows((moves * S).astype(np.int64), bid, bid + spread)
    arrivals = np.sort(rng.uniform(0.0, seconds, rng.poisson(2 * A * seconds)))
    side, depth = rng.choice([-1, 1], arrivals.size), rng.exponential(1.0 / kappa, arrivals.size)
    at_ns = (arrivals * S).astype(np.int64)
    row = np.searchsorted(table["exch_ns"], at_ns, side="left") - 1
    beyond_touch = np.floor(depth - spread / 2).astype(np.int64)
    real = (row >= 0) & (beyond_touch >= 0)
    touch = np.where(side > 0, table["ask_ticks"][row], table["bid_ticks"][row])
    events = trade_rows(at_ns[real], side[real], (touch + side * beyond_touch)[real])
    return Market(events, table, Instrument("TEST", tick, 1.0))


@pytest.mark.parametrize("spread", [1, 2, 5])
@pytest.mark.parametrize(("A", "kappa"), [(2.0, 0.4), (5.0, 0.8), (20.0, 1.2)])
@pytest.mark.parametrize("seed", [0, 1])
def test_fit_recovers_a_poisson_market(A: float, kappa: float, spread: int, seed: int) -> None:
    """Standard error of the likelihood's kappa: kappa/sqrt(n); the regression's is about 1.7 times as large."""
    market = poisson_market(A, kappa, spread=spread, seed=seed)
    found = market.calibrate(0, 2000 * S)
    n = found.table["n"].iloc[0]
    assert found.fallback == ""
    assert found.kappa * 0.01 == pytest.approx(kappa, rel=4 * 1.7 / math.sqrt(n))
    # A is read off at mid, spread/2 ticks before the first point: the error of the slope enters
    assert math.log(found.A / A) == pytest.approx(0.0, abs=4 * 1.7 / math.sqrt(n) * (1 + kappa * spread / 2))
    assert found.r2 > 0.98
    assert found.median_spread_ticks == spread
    assert found.n_orders == market.events.size
    # a market that moves by whole ticks at Poisson times: the sampled variance has relative error sqrt(2/samples)
    assert found.sigma == pytest.approx(0.01, rel=0.15)


def test_window_looks_neither_back_nor_ahead() -> None:
    market = poisson_market(5.0, 0.8)
    start_ns, end_ns = 100 * S, 400 * S
    found = market.calibrate(start_ns, end_ns)
    rows = market.table[market.table["local_ns"] <= end_ns]
    inside = market.events[(market.events["local_ns"] > start_ns) & (market.events["local_ns"] <= end_ns)]
    alone = calibration.calibrate_arrays(rows, inside, market.instrument, start_ns=start_ns, end_ns=end_ns)
    assert found.table.equals(alone.table)
    for name in ("A", "kappa", "sigma", "gamma", "sigma_ewma", "mid", "n_orders", "coverage_s"):
        assert getattr(found, name) == getattr(alone, name), name
    assert found.coverage_s == pytest.approx(300.0)


def twin_counts(events: Array, table: Array, grid: Array) -> dict[int, list[float]]:
    """Market orders a side that reached each distance (ticks), in plain Python from terms.md and the brief's rule."""
    orders: dict[tuple[int, int], int] = {}
    for e in events:
        if e["kind"] in (Kind.TRADE, Kind.EXECUTE):
            side = int(e["side"]) if e["kind"] == Kind.TRADE else -int(e["side"])
            key, price = (int(e["exch_ns"]), side), int(e["price_ticks"])
            orders[key] = max(orders.get(key, price), price) if side > 0 else min(orders.get(key, price), price)
    reached: dict[int, list[float]] = {1: [0.0] * len(grid), -1: [0.0] * len(grid)}
    for (exch_ns, side), price in orders.items():
        before = table[table["exch_ns"] < exch_ns]
        if before.size and before["valid"][-1]:
            mid = (int(before["bid_ticks"][-1]) + int(before["ask_ticks"][-1])) / 2
            for i, d in enumerate(grid):
                reached[side][i] += side * (price - mid) >= d
    return reached


@given(st.integers(0, 2**32 - 1), st.integers(5, 60), st.integers(1, 4))
def test_counts_agree_with_a_plain_twin(seed: int, n: int, spread: int) -> None:
    rng = np.random.default_rng(seed)
    times = np.sort(rng.integers(0, 20, n))  # many prints share a time, on both sides
    events = trade_rows(times, rng.choice([-1, 1], n), rng.integers(95, 106, n))
    events["kind"] = rng.choice([Kind.TRADE, Kind.EXECUTE, Kind.DEPTH], n, p=[0.5, 0.4, 0.1])
    bid = rng.integers(97, 102, 8)
    table = book_rows(np.sort(rng.integers(0, 20, 8)), bid, bid + spread)
    table["valid"] = rng.random(8) < 0.8
    counts = calibration.reach_counts(market_orders(events), table, 1)
    expected = twin_counts(events, table, counts["distance_ticks"].to_numpy())
    assert counts["arrivals_ask"].tolist() == expected[1]
    assert counts["arrivals_bid"].tolist() == expected[-1]


def test_small_market_orders_count_in_part() -> None:
    table = book_rows(np.array([0]), np.array([99]), np.array([100]))
    events = trade_rows(
        np.array([10, 20, 20, 30]), np.array([1, 1, 1, -1]), np.array([100, 100, 100, 99]), np.array([1, 2, 1, 9])
    )
    counts = calibration.reach_counts(market_orders(events), table, 4)
    assert counts["arrivals_ask"].iloc[0] == 1 / 4 + 3 / 4
    assert counts["arrivals_bid"].iloc[0] == 1.0


def test_exposure_leaves_out_time_without_a_book() -> None:
    market = poisson_market(5.0, 0.8, seconds=1000.0)
    whole = market.calibrate(0, 1000 * S)
    blind = (market.table["local_ns"] > 400 * S) & (market.table["local_ns"] <= 600 * S)
    market.table["valid"][blind] = 0
    part = market.calibrate(0, 1000 * S)
    assert part.coverage_s == pytest.approx(800.0, abs=5.0)
    assert pytest.approx(whole.A, rel=0.1) == part.A
    assert part.sigma == pytest.approx(whole.sigma, rel=0.1)


def test_large_tick_book_falls_back_to_the_spread() -> None:
    """Orders that never pass the touch give no slope."""
    table = book_rows(np.array([0]), np.array([99]), np.array([100]))
    times = np.arange(1, 101) * S
    side = np.tile([1, -1], 50)
    market = Market(trade_rows(times, side, np.where(side > 0, 100, 99)), table, Instrument("T", 0.5, 1.0))
    found = market.calibrate(LATENCY_NS, LATENCY_NS + 100 * S)
    assert "only 1 distances" in found.fallback
    assert found.kappa == pytest.approx(1 / 0.25)
    assert found.A * math.exp(-found.kappa * 0.25) == pytest.approx(0.5), "the rate at the touch is that of the trades"
    assert found.sigma == pytest.approx(0.25 / math.sqrt(60)), "the floor: half a tick per sqrt(60 s)"
    assert math.isnan(found.r2)


def test_no_trade_at_all_is_survived() -> None:
    market = poisson_market(5.0, 0.8, seconds=100.0)
    silent = Market(market.events[:0], market.table, market.instrument)
    found = silent.calibrate(0, 100 * S)
    assert found.fallback
    assert (found.n_orders, found.buys_per_s) == (0, 0.0)
    assert all(math.isfinite(x) and x > 0 for x in (found.A, found.kappa, found.sigma, found.gamma))


@pytest.mark.parametrize("farthest", [20.0, 12.0, 25.0])
def test_a_rate_that_hardly_falls_is_not_fitted(farthest: float) -> None:
    n = np.array([20.0, 20.0, farthest])
    counts = pd.DataFrame(
        {"distance_ticks": [0.5, 1.5, 2.5], "n": 2 * n, "arrivals_bid": n, "arrivals_ask": n, "used": True}
    )
    fit = calibration.fit_intensity(counts, 100.0, 1.0, 0.1)
    assert "hardly falls" in fit.fallback
    assert fit.kappa == pytest.approx(1 / 0.05)


def test_no_book_is_a_feed_error() -> None:
    market = poisson_market(5.0, 0.8, seconds=50.0)
    with pytest.raises(FeedError, match="no two-sided"):
        calibration.calibrate_arrays(market.table[:0], market.events, market.instrument, start_ns=0, end_ns=S)
    with pytest.raises(FeedError, match="no two-sided"):  # there is one, for no time at all
        calibration.calibrate_arrays(market.table, market.events, market.instrument, start_ns=S, end_ns=S)
    market.table["valid"], market.table["bid_ticks"] = 0, NO_PRICE
    with pytest.raises(FeedError, match="never has a two-sided"):
        calibration.first_valid_ns(market.table)


def test_sigma_is_that_of_the_definition() -> None:
    """Realised and EWMA volatility against squared moves of the prevailing mid on a 100 ms clock."""
    market = poisson_market(1.0, 0.8, seconds=300.0, sigma=3.0)
    start_ns, end_ns = S, 300 * S
    found = market.calibrate(start_ns, end_ns)
    points = np.arange(-(-start_ns // 10**8) * 10**8, end_ns + 1, 10**8)
    row = np.searchsorted(market.table["local_ns"], points, side="right") - 1
    mid = (market.table["bid_ticks"] + market.table["ask_ticks"])[row] / 2 * 0.01
    rate, age_s = np.diff(mid) ** 2 / 0.1, (end_ns - points[1:]) / S
    assert found.sigma == pytest.approx(math.sqrt(rate.mean()), rel=1e-2), "the row before the window adds its interval"
    weight = 0.5 ** (age_s / 60)
    assert found.sigma_ewma == pytest.approx(math.sqrt(np.sum(rate * weight) / weight.sum()), rel=1e-2)


def test_warm_up_ends_at_the_first_time_with_enough_orders() -> None:
    times = np.arange(1, 1001) * S
    events = trade_rows(times, np.ones(1000), np.full(1000, 100))
    end = calibration.warmup_end_ns
    assert end(events, 0, warmup_s=60, min_trades=50) == 60 * S
    assert end(events, 0, warmup_s=60, min_trades=100) == 100 * S + LATENCY_NS
    assert end(events, 0, warmup_s=60, min_trades=100, max_s=80) == 80 * S
    assert end(events, 0, warmup_s=60, min_trades=900) == round(0.25 * (1000 * S + LATENCY_NS)), "a quarter of the feed"
    assert end(events[:100], 0, warmup_s=60, min_trades=0) == round(0.25 * (100 * S + LATENCY_NS))
    assert end(events[:0], 5 * S) == 5 * S
    split = np.repeat(events, 3)  # prints of one market order count once
    assert end(split, 0, warmup_s=60, min_trades=100) == 100 * S + LATENCY_NS


def test_book_intervals_are_between_messages() -> None:
    events = np.zeros(7, EVENT)
    events["kind"] = [Kind.DEPTH, Kind.DEPTH, Kind.TRADE, Kind.DEPTH, Kind.GAP, Kind.DEPTH, Kind.DEPTH]
    events["exch_ns"] = [1, 1, 2, 2, 3, 4, 4]
    events["order_id"] = [8, 8, 0, 9, 0, 10, 11]  # two update ids at one time are two messages
    events["local_ns"] = [10, 10, 11, 13, 14, 20, 20]
    assert book_intervals_ns(events).tolist() == [3, 7, 0]
    events["kind"][[0, 1, 3]], events["kind"][[5, 6]] = Kind.ADD, Kind.EXECUTE  # order by order: by time alone
    assert book_intervals_ns(events).tolist() == [3, 7]
    assert book_intervals_ns(events[:0]).size == 0


@given(st.floats(1e-4, 1e3), st.floats(1e-4, 1e2), st.floats(1e-4, 1e3), st.floats(1e-3, 1e3), st.floats(-3, 3))
def test_gamma_moves_the_reservation_price_as_asked(
    skew: float, sigma: float, A: float, kappa: float, fee_share: float
) -> None:
    fee = fee_share / kappa
    gamma = calibration.gamma_for_skew_glft(skew, sigma, A, kappa, fee)
    assert sigma * glft_coefficients_net(gamma, A, kappa, fee)[1] == pytest.approx(skew, rel=1e-9)
    gamma = calibration.gamma_for_skew_avellaneda_stoikov(skew, sigma, 60.0)
    assert gamma * sigma**2 * 60.0 == pytest.approx(skew, rel=1e-12)


def test_suggested_gamma_is_for_the_model_asked_for() -> None:
    market = poisson_market(5.0, 0.8, seconds=200.0)
    fees = Instrument("TEST", 0.01, 1.0, maker_fee_bps=1.0)
    found = calibration.calibrate_arrays(
        market.table, market.events, fees, start_ns=0, end_ns=200 * S, reservation_ticks=2
    )
    c2 = glft_coefficients_net(found.gamma, found.A, found.kappa, 1e-4 * found.mid)[1]
    assert found.sigma * c2 == pytest.approx(0.02)
    found = market.calibrate(0, 200 * S, model="avellaneda_stoikov", reservation_bps=3.0)
    assert found.gamma * found.sigma**2 * 60 == pytest.approx(3e-4 * found.mid), "the larger of ticks and bps holds"


@pytest.mark.parametrize("name", RECORDINGS)
def test_recordings_give_usable_parameters(name: str) -> None:
    kind, names = RECORDINGS[name]
    feed = mmlab.import_feed([shared_data(n) for n in names], format=kind)
    found = mmlab.calibrate(feed)
    table, tick = found.table, feed.instrument.tick_size
    print(name, found, table.to_string(), sep="\n")
    first_ns, last_ns = feed.events["local_ns"][[0, -1]]
    assert 60 * S <= found.end_ns - found.start_ns <= max(60 * S, 0.25 * (last_ns - first_ns))
    assert found.n_orders >= 50
    assert found.coverage_s > 0.9 * (found.end_ns - found.start_ns) / S
    # the risk-neutral half-spread 1/kappa: from a quarter of the touch's to 5 bps
    assert 0.25 * 0.5 * found.median_spread_ticks * tick < 1 / found.kappa < 5e-4 * found.mid
    # there, what the fit says arrives is what was counted, to a factor of two
    counted = np.interp(1 / found.kappa, table["distance"], table["rate"])
    assert 0.5 < counted / np.interp(1 / found.kappa, table["distance"], table["fit"]) < 2.0
    assert found.sigma / found.sigma_ewma == pytest.approx(1.0, abs=0.5)
    assert found.sigma < 20e-4 * found.mid, "20 bps in a second"
    assert 0 < found.median_interval_ns <= found.p99_interval_ns < 60 * S
    skew = found.sigma * glft_coefficients_net(found.gamma, found.A, found.kappa, 0.0)[1]
    assert skew == pytest.approx(max(0.5 * tick, 0.01e-4 * found.mid))
