"""The synthetic market: invariants of its rows, determinism, stylised facts, and the stored sample."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmlab.errors import ConfigError
from mmlab.events import EVENT, NS_PER_S, Kind
from mmlab.feeds import synthetic
from mmlab.feeds.store import load_feed
from mmlab.feeds.synthetic import SyntheticParameters, synthetic_events, synthetic_feed
from mmlab.kernels.book import book_table
from mmlab.kernels.policy import INTERPRETED

SAMPLE = Path(__file__).parents[2] / "data" / "sample.parquet"
EVENTFUL = {
    "flip_every_s": 4, "burst_every_s": 9, "burst_s": 2, "trend_every_s": 5, "trend_s": 2, "sweep_every_s": 4,
    "sweep_s": 1, "stale_every_s": 8, "stale_s": 2, "gap_every_s": 6, "funding_every_s": 7,
}  # fmt: skip
"""Every kind of episode within seconds."""
hours = pytest.mark.skipif(INTERPRETED, reason="half an hour of market and more: minutes without the compiler")
BOOK_KINDS = (Kind.DEPTH, Kind.SNAPSHOT_BEGIN, Kind.SNAPSHOT_END)


class Checker:
    """Replays rows on plain dictionaries and notes what breaks the rules of `mmlab.events`."""

    def __init__(self, events):
        self.events, self.faults = events, []
        self.book, self.valid, self.in_snapshot = {1: {}, -1: {}}, False, False

    def check(self):
        rows = self.events
        self.expect(rows[0]["kind"] == Kind.SNAPSHOT_BEGIN, 0, "does not open with a snapshot")
        self.order()
        for i, row in enumerate(rows):
            self.row(i, row)
            if row["kind"] in BOOK_KINDS and not self.in_snapshot and self.ends_message(i):
                self.expect(not self.valid or max(self.book[1]) < min(self.book[-1]), i, "book crossed")
        return self.faults

    def expect(self, holds, i, fault):
        if not holds:
            self.faults.append(f"row {i}: {fault}")

    def order(self):
        rows = self.events
        self.expect((np.diff(rows["local_ns"]) >= 0).all(), -1, "local time decreases")
        self.expect((rows["local_ns"] > rows["exch_ns"]).all(), -1, "no feed latency")
        for name, kinds in (("book", [*BOOK_KINDS, Kind.GAP]), ("trade", [Kind.TRADE]), ("mark", [Kind.MARK])):
            times = rows["exch_ns"][np.isin(rows["kind"], kinds)]
            self.expect((np.diff(times) >= 0).all(), -1, f"exchange time of the {name} stream decreases")

    def ends_message(self, i):
        if i + 1 == len(self.events):
            return True
        a, b = self.events[i], self.events[i + 1]
        return not (b["kind"] == Kind.DEPTH and a["exch_ns"] == b["exch_ns"] and a["order_id"] == b["order_id"])

    def row(self, i, row):
        kind, side, price, size = Kind(row["kind"]), int(row["side"]), int(row["price_ticks"]), int(row["size_lots"])
        if kind == Kind.DEPTH:
            self.depth(i, side, price, size)
        elif kind == Kind.TRADE:
            self.trade(i, side, price, size)
        elif kind == Kind.SNAPSHOT_BEGIN:
            self.book, self.in_snapshot = {1: {}, -1: {}}, True
        elif kind == Kind.SNAPSHOT_END:
            self.in_snapshot, self.valid = False, True
            self.expect(self.book[1] and self.book[-1], i, "one-sided snapshot")
        elif kind == Kind.GAP:
            self.valid = False
            self.expect(size > 0, i, "gap without lost messages")
        else:
            self.expect(side == 0 and price > 0, i, f"odd {kind.name}")

    def depth(self, i, side, price, size):
        self.expect(side in (1, -1) and size >= 0, i, "wrong side or negative size")
        self.expect(size > 0 or price in self.book[side], i, "removal of an absent level")
        self.expect(self.valid or self.in_snapshot, i, "book row between GAP and snapshot")
        self.book[side].pop(price, None)
        if size:
            self.book[side][price] = size

    def trade(self, i, side, price, size):
        self.expect(side in (1, -1) and size > 0, i, "wrong side or empty trade")
        following = self.events[i + 1 :]
        if not self.valid or not self.followed_by_depth(i):
            return
        resting = self.book[-side]
        self.expect(size <= resting.get(price, 0), i, "trade larger than the resting size")
        better = [p for p in resting if side * (price - p) > 0]
        earlier = self.events["price_ticks"][(self.events["exch_ns"] == self.events[i]["exch_ns"])]
        self.expect(set(better) <= set(earlier.tolist()), i, "trade through a better level")
        depth = following[(following["exch_ns"] == self.events[i]["exch_ns"]) & (following["kind"] == Kind.DEPTH)]
        mine = depth[depth["price_ticks"] == price]
        self.expect(
            len(mine) == 1 and mine[0]["size_lots"] == resting.get(price, 0) - size, i, "trade and depth differ"
        )

    def followed_by_depth(self, i):
        """False only for prints whose depth message falls in a gap just begun (it is among the lost ones)."""
        rows = self.events
        while i < len(rows) and rows[i]["kind"] == Kind.TRADE:
            i += 1
        return i < len(rows) and rows[i]["exch_ns"] == rows[i - 1]["exch_ns"]


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), duration_s=st.floats(0.5, 20), eventful=st.booleans())
def test_rows_keep_every_rule(seed, duration_s, eventful):
    events = synthetic_events(duration_s, seed, **(EVENTFUL if eventful else {}))
    assert Checker(events).check() == []
    assert events.dtype == EVENT
    assert (events["exch_ns"][-1] - synthetic.START_NS) / NS_PER_S <= duration_s + 4


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(224, 4000))
def test_exactly_n_rows_without_a_cut_message(seed, n):
    events = synthetic_events(events=n, seed=seed, **EVENTFUL)
    assert len(events) == n
    assert Checker(events).check() == []
    assert (events["kind"] == Kind.SNAPSHOT_BEGIN).sum() == (events["kind"] == Kind.SNAPSHOT_END).sum()


def test_checker_finds_planted_faults():
    """The invariant tests can fail: each planted fault is named."""
    good = synthetic_events(20, 5, **EVENTFUL)
    assert Checker(good).check() == []
    depth = np.flatnonzero(good["kind"] == Kind.DEPTH)
    trade = np.flatnonzero(good["kind"] == Kind.TRADE)
    late = depth[-1]
    best_ask = book_table(good)["ask_ticks"][-1]
    for index, changes, fault in (
        (late, {"side": 1, "price_ticks": best_ask + 3, "size_lots": 9}, "book crossed"),
        (late, {"size_lots": -1}, "negative size"),
        (late, {"price_ticks": 70_000, "size_lots": 0}, "absent level"),
        (late, {"local_ns": 0}, "local time decreases"),
        (late, {"exch_ns": good["exch_ns"][0]}, "book stream decreases"),
        (trade[0], {"size_lots": 10**6}, "larger than the resting size"),
        (trade[0], {"size_lots": good["size_lots"][trade[0]] + 1}, "trade and depth differ"),
    ):
        bad = good.copy()
        for name, value in changes.items():
            bad[name][index] = value
        assert any(fault in found for found in Checker(bad).check()), fault
    without_snapshot = good[good["kind"] != Kind.SNAPSHOT_BEGIN]
    assert any("does not open" in found for found in Checker(without_snapshot).check())


def test_equal_seed_equal_bytes():
    first, second, other = (synthetic_events(30, seed, **EVENTFUL).tobytes() for seed in (7, 7, 8))
    assert first == second
    assert first != other


def test_longer_than_a_chunk_is_the_same_market(monkeypatch):
    whole = synthetic_events(60, 3)
    monkeypatch.setattr(synthetic, "CHUNK_ROWS", 1000)
    assert synthetic_events(60, 3).tobytes() == whole.tobytes()


def test_every_episode_can_be_switched_off():
    quiet = synthetic_events(
        60, 1, flip_every_s=0, burst_every_s=0, trend_every_s=0, sweep_every_s=0, stale_every_s=0, gap_every_s=0,
        mark_every_s=0, funding_every_s=0,
    )  # fmt: skip
    assert set(np.unique(quiet["kind"])) == {Kind.DEPTH, Kind.TRADE, Kind.SNAPSHOT_BEGIN, Kind.SNAPSHOT_END}
    assert (quiet["kind"] == Kind.SNAPSHOT_BEGIN).sum() == 1


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"trade_rat": 4}, ["trade_rat: no such parameter", "did you mean trade_rate?"]),
        ({"sigma_ticks": -1, "depth_ticks": 1}, ["sigma_ticks = -1", "depth_ticks = 1", "from 5 to 200"]),
        ({"sigma_ticks": float("nan")}, ["sigma_ticks = nan"]),
        ({"duration_s": 0}, ["duration_s = 0"]),
        ({"duration_s": float("inf")}, ["duration_s = inf"]),
        ({"events": 10}, ["events = 10", "at least 224"]),
    ],
)
def test_bad_parameters_are_named(parameters, words):
    with pytest.raises(ConfigError) as error:
        synthetic_events(**{"duration_s": 1.0, **parameters})
    assert all(word in str(error.value) for word in words)


def test_an_instrument_changes_units_only():
    base = synthetic_feed(5.0, 2)
    other = synthetic_feed(5.0, 2, instrument=base.instrument.with_(symbol="X", tick_size=0.1))
    assert other.events.tobytes() == base.events.tobytes()
    assert other.quotes()["bid"].iloc[0] == pytest.approx(base.quotes()["bid"].iloc[0] / 10)


# Stylised facts, on the 30 minutes of the sample.


@pytest.fixture(scope="module")
def events():
    return synthetic_events(1800.0, 0)


@pytest.fixture(scope="module")
def book(events):
    table = book_table(events)
    return table[table["valid"] == 1]


def mid_on_clock(book, step_s):
    """Prevailing mid in ticks on a fixed clock."""
    mid = (book["bid_ticks"] + book["ask_ticks"]) / 2
    clock = np.arange(book["exch_ns"][0], book["exch_ns"][-1], int(step_s * NS_PER_S))
    return mid[np.searchsorted(book["exch_ns"], clock, "right") - 1]


def market_orders(events):
    """Times of market orders: prints with one match id are one."""
    trades = events[events["kind"] == Kind.TRADE]
    return trades[np.unique(trades["order_id"], return_index=True)[1]]


@hours
def test_rates_and_spread_are_those_of_a_busy_perpetual(events, book):
    seconds = (events["exch_ns"][-1] - events["exch_ns"][0]) / NS_PER_S
    messages = len(np.unique(events["order_id"][events["kind"] == Kind.DEPTH]))
    assert 10 <= messages / seconds <= 60
    assert 4 <= len(market_orders(events)) / seconds <= 7
    spread, held = book["ask_ticks"] - book["bid_ticks"], np.diff(book["exch_ns"], append=book["exch_ns"][-1])
    assert held[spread <= 3].sum() / held.sum() > 0.8
    assert np.median(spread) in (1, 2, 3)
    # The flip gate is inactive on feeds whose median interval exceeds 25 ms.
    assert np.median(np.diff(np.unique(events["exch_ns"][events["kind"] == Kind.DEPTH]))) < 25e6


@hours
def test_market_orders_cluster_in_time_and_by_side(events):
    orders = market_orders(events)
    counts = np.bincount((orders["exch_ns"] - orders["exch_ns"][0]) // NS_PER_S)
    assert counts.var() / counts.mean() > 2.0  # 1 for a Poisson process
    signs = orders["side"].astype(float)
    assert np.corrcoef(signs[:-1], signs[1:])[0, 1] > 0.1


@hours
def test_without_excitation_and_episodes_orders_are_nearly_poisson():
    """The clustering comes from where the model says."""
    plain = synthetic_events(
        1800.0, 0, self_excitation=0, cross_excitation=0, informed=0, burst_every_s=0, trend_every_s=0,
        sweep_every_s=0, stale_every_s=0,
    )  # fmt: skip
    orders = market_orders(plain)
    counts = np.bincount((orders["exch_ns"] - orders["exch_ns"][0]) // NS_PER_S)
    assert 0.8 < counts.var() / counts.mean() < 1.3


@hours
def test_returns_are_nearly_uncorrelated_and_the_price_returns(book):
    returns = np.diff(mid_on_clock(book, 1.0))
    assert abs(np.corrcoef(returns[:-1], returns[1:])[0, 1]) < 0.15
    calm = synthetic_events(6 * 3600.0, 1, burst_every_s=0, trend_every_s=0, sweep_every_s=0, reversion_s=120)
    table = book_table(calm)
    table = table[table["valid"] == 1]
    returns = np.diff(mid_on_clock(table, 1.0))
    assert abs(np.corrcoef(returns[:-1], returns[1:])[0, 1]) < 0.08
    mid = mid_on_clock(table, 1.0)
    ratio = np.var(mid[600:] - mid[:-600]) / (600 * np.var(returns))
    assert ratio < 0.5  # 1 for a random walk; with reversion over 120 s about 0.4 at a lag of 600 s


@hours
def test_flip_flop_episodes_exist(book):
    """Eight flips of the micro price in 200 ms, counted as in terms.md."""
    weight = book["bid_lots"] / (book["bid_lots"] + book["ask_lots"])
    micro = book["bid_ticks"] + weight * (book["ask_ticks"] - book["bid_ticks"])
    flips, reference, direction = [], micro[0], 0
    for time, value in zip(book["exch_ns"].tolist(), micro.tolist(), strict=True):
        if abs(value - reference) >= 0.1:
            moved, reference = (1 if value > reference else -1), value
            if moved == -direction:
                flips.append(time)
            direction = moved
    flips = np.array(flips)
    in_window = np.arange(len(flips)) - np.searchsorted(flips, flips - 200_000_000, "right") + 1
    triggers = flips[in_window >= 8]
    episodes = 1 + (np.diff(triggers) > 5 * NS_PER_S).sum()
    assert 7 <= episodes <= 60
    assert in_window.max() >= 16  # the hard threshold


@hours
def test_a_volatility_burst_trips_the_switch(book):
    """EWMA volatility (100 ms, half-life 60 s) passes three times its running median."""
    squared = np.diff(mid_on_clock(book, 0.1)) ** 2
    decay, variance, sigma = 0.5 ** (0.1 / 60), squared[:600].mean(), []
    for value in squared:
        variance = decay * variance + (1 - decay) * value
        sigma.append(variance**0.5)
    sigma = np.array(sigma)
    ratios = [sigma[i] / np.median(sigma[: i + 1]) for i in range(3000, len(sigma), 50)]
    assert max(ratios) > 3
    assert np.median(ratios) < 1.3


@hours
def test_one_pause_and_one_gap(events):
    pauses = np.diff(events["local_ns"]) / NS_PER_S
    assert 2.9 < pauses.max() < 3.5
    assert (pauses > 1).sum() == 1
    (gap,) = events[events["kind"] == Kind.GAP]
    assert gap["size_lots"] > 0
    assert (events["kind"] == Kind.SNAPSHOT_BEGIN).sum() == 2
    assert (events["kind"] == Kind.FUNDING).sum() == 1
    assert 1780 < (events["kind"] == Kind.MARK).sum() <= 1800


@hours
def test_touch_fills_earn_about_what_adverse_selection_takes():
    """The maker of each print at the touch, marked out 1 s later: capture and adverse selection are of one order."""
    rows = synthetic_events(4 * 3600.0, 3)
    table = book_table(rows)
    table = table[table["valid"] == 1]
    mid = (table["bid_ticks"] + table["ask_ticks"]) / 2
    trades = rows[rows["kind"] == Kind.TRADE]
    trades = trades[trades["exch_ns"] < rows["exch_ns"][-1] - NS_PER_S]
    before = np.maximum(np.searchsorted(table["exch_ns"], trades["exch_ns"], "left") - 1, 0)
    after = np.searchsorted(table["exch_ns"], trades["exch_ns"] + NS_PER_S, "right") - 1
    maker, price, size = -trades["side"], trades["price_ticks"], trades["size_lots"]
    touch = np.where(maker > 0, table["bid_ticks"][before], table["ask_ticks"][before]) == price
    capture, markout = (
        np.average((1e4 * maker * (m - price) / price)[touch], weights=size[touch]) for m in (mid[before], mid[after])
    )
    assert capture > 0.1
    assert -0.1 < markout < 0.1
    assert -1.6 * capture < markout - capture < -0.4 * capture


# The sample in the repo.


@hours
def test_the_sample_is_what_the_code_makes():
    sample = load_feed(SAMPLE)
    assert SAMPLE.stat().st_size < 3_000_000
    assert sample.events.tobytes() == synthetic_feed().events.tobytes()


def test_the_sample_opens_as_the_code_does():
    """Also without the compiler, so compiled and interpreted rows are equal."""
    opening = synthetic_events(10.0, 0)
    assert load_feed(SAMPLE).events[: len(opening)].tobytes() == opening.tobytes()


def test_the_sample_says_it_is_synthetic():
    sample = load_feed(SAMPLE)
    assert sample.synthetic
    assert "synthetic" in sample.source
    assert "SYNTHETIC" in sample.instrument.symbol
    assert "not market data" in json.dumps(sample.report)


def test_the_command_writes_a_feed(tmp_path, capsys):
    path = tmp_path / "made.parquet"
    synthetic.main(["--out", str(path), "--duration-s", "5", "--seed", "4"])
    assert load_feed(path).events.tobytes() == synthetic_events(5.0, 4).tobytes()
    assert "synthetic" in capsys.readouterr().out
    with pytest.raises(SystemExit) as stop:
        synthetic.main(["--out", str(path), "--duration-s", "-5"])
    assert stop.value.code == 2
    with pytest.raises(SystemExit) as stop:
        synthetic.main(["--help"])
    assert stop.value.code == 0
    assert "example: python -m mmlab.feeds.synthetic --out data/sample.parquet" in capsys.readouterr().out


def test_the_page_lists_every_parameter():
    page = (Path(__file__).parents[2] / "docs" / "synthetic.md").read_text()
    for name, default in SyntheticParameters.__dataclass_fields__.items():
        assert f"| `{name}` | {default.default:g} | {default.metadata['unit']} |" in page, name
