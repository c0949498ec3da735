"""A run's tables, figures and bridge, against twins written from `terms.md`."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import mmlab
from mmlab.events import NS_PER_S
from mmlab.lab.episodes import covered_s
from mmlab.lab.feed_facts import coverage, events_sha256, feed_facts, gap_s
from mmlab.lab.money import BRIDGE, bridge
from tests.lab.fabricated import INVERSE, LINEAR, START_NS, make_feed, make_run

CONTRACT = ["side", "price", "size", "fee", "liquidity", "mid", "inventory_before", "inventory_after"]
CONTRACT += ["order_id", "client_order_id", "fill_kind", "hit_id", "local_ns"]
CONTRACT += [f"markout_{h}s_bps" for h in ("0.1", "0.5", "1", "5", "30", "60")] + [
    "spread_capture_bps",
    "adverse_1s_bps",
]
FIGURES = ["net_pnl", "fees", "fills", "volume", "pnl_per_million", "markout_bid_bps", "markout_ask_bps"]
FIGURES += ["fill_rate_p95_bid", "fill_rate_p95_ask", "flip_rate", "max_position", "inventory_age_p95_s"]
FIGURES += ["messages", "gate_triggers", "kill_trips"]


@pytest.fixture(scope="module", params=[LINEAR, INVERSE], ids=["linear", "inverse"])
def run(request):
    return make_run(600, instrument=request.param, halted=True)


def test_the_contract_of_names(run):
    assert set(CONTRACT) <= set(run.fills.columns)
    assert set(FIGURES) <= set(run.summary.index)
    for table in (run.fills, run.orders, run.decisions, run.metrics, run.gates):
        assert str(table.index.tz) == "UTC"
        assert len(table)


def test_fills_are_at_exchange_time(run):
    np.testing.assert_array_equal(run.fills.index.as_unit("ns").asi8, run.tables.fills["exch_ns"])


def test_markouts_are_those_of_the_public_function(run):
    theirs = mmlab.markouts(run.fills, run.feed.quotes())
    names = [name for name in theirs.columns if name in run.fills.columns and name.endswith("_bps")]
    assert {"markout_1s_bps", "markout_60s_bps", "spread_capture_bps", "adverse_1s_bps"} <= set(names)
    pd.testing.assert_frame_equal(run.fills[names], theirs[names], check_freq=False, rtol=1e-9, atol=1e-9)


def test_markout_is_spread_capture_plus_adverse(run):
    fills = run.fills.dropna(subset="markout_1s_bps")
    assert len(fills) > 50
    np.testing.assert_allclose(
        fills["spread_capture_bps"] + fills["adverse_1s_bps"], fills["markout_1s_bps"], rtol=0, atol=1e-9
    )


def test_bridge_sums_to_net(run):
    parts = bridge(run)
    assert tuple(parts.index) == BRIDGE
    for column in parts:
        assert parts[column][:-1].sum() == pytest.approx(parts.loc["net", column], rel=1e-9)
    assert parts.loc["net", "bps"] * 100 == pytest.approx(run.summary["pnl_per_million"], rel=1e-9)


def test_bridge_of_a_linear_market_worked_out_from_prices():
    run = make_run(600, halted=True)
    fills, s = run.fills, np.where(run.fills["side"] == "bid", 1, -1)
    after = fills["price"] * (1 + s * fills["markout_1s_bps"] * 1e-4)
    end = run.metrics["mid"].iloc[-1]
    parts = bridge(run)["quote"]
    assert parts["spread capture"] == pytest.approx(
        (s * (fills["mid"] - fills["price"]) * fills["size"]).sum(), rel=1e-9
    )
    assert parts["adverse (1 s)"] == pytest.approx((s * (after - fills["mid"]) * fills["size"]).sum(), rel=1e-6)
    later = s * (end - after.fillna(fills["mid"])) * fills["size"]
    assert parts["later drift and inventory"] == pytest.approx(later.sum(), rel=1e-6)
    assert parts["less fees"] == pytest.approx(-fills["fee"].sum(), rel=1e-9)


def test_money_of_an_inverse_contract_is_converted_increment_by_increment():
    run = make_run(600, instrument=INVERSE)
    total, before = 0.0, 0.0
    for row in run.tables.metrics:
        total += (row["net_pnl"] - before) * row["mid"]
        before = row["net_pnl"]
    assert run.summary["net_pnl_quote"] == pytest.approx(total, rel=1e-12)
    assert run.summary["net_pnl"] == pytest.approx(before)


def test_summary_figures(run):
    summary, fills, metrics = run.summary, run.fills, run.metrics
    value = run.instrument.contract_size * (1 if run.instrument.inverse else fills["price"])
    assert summary["volume"] == pytest.approx((fills["size"] * value).sum())
    assert summary["volume"] == pytest.approx(metrics["volume"].iloc[-1])
    assert summary["fills"] == len(fills) == summary["fills_bid"] + summary["fills_ask"]
    assert summary["fills_queue"] + summary["fills_through"] + summary["fills_cross"] == len(fills)
    for side in ("bid", "ask"):
        ours = fills[fills["side"] == side]
        assert summary[f"markout_{side}_bps"] == pytest.approx(ours["markout_1s_bps"].mean())
        assert summary[f"rolling_markout_{side}_bps"] == metrics[f"markout_{side}_bps"].iloc[-1]
    held = pd.concat([fills["inventory_after"], metrics["position"]]).abs()
    assert summary["max_position"] == pytest.approx(held.max())
    traded = run.feed.trades()["size"].sum()
    assert summary["participation"] == pytest.approx(fills["size"].sum() / traded)
    net = pd.Series(np.r_[metrics["net_pnl"].iloc[0], metrics["net_pnl"].diff().dropna()])
    path = (net.to_numpy() * (metrics["mid"].to_numpy() if run.instrument.inverse else 1.0)).cumsum()
    assert summary["max_drawdown_quote"] == pytest.approx((np.maximum.accumulate(path) - path).max())
    feed_s = (run.facts["end_ns"] - run.facts["start_ns"]) / NS_PER_S - run.facts["gap_s"]
    assert summary["uptime_bid"] == pytest.approx(metrics["quoting_bid"].sum() / feed_s)


def test_trips_and_halt_time(run):
    summary = run.summary
    assert (summary["gate_triggers"], summary["kill_trips"], summary["halts"]) == (1, 3, 2)
    span = run.metrics["local_ns"].iloc[-1] - START_NS
    expected = (int(0.52 * span) - int(0.5 * span) + span - int(0.9 * span)) / NS_PER_S
    assert summary["halt_s"] == summary["stopped_s"] == pytest.approx(expected, abs=1e-6)
    assert summary["traded_share"] == pytest.approx(
        (summary["feed_s"] - summary["warmup_s"] - expected) / summary["feed_s"]
    )


def test_overlapping_episodes_count_once():
    frame = pd.DataFrame({"start_ns": [0, 5, 20, 21], "end_ns": [10, 8, 30, 25]}) * NS_PER_S
    assert covered_s(frame) == 20.0


def test_facts_of_the_feed():
    feed = make_feed(60)
    facts = feed_facts(feed)
    assert (facts["gaps"], facts["gap_s"], facts["queue_fidelity"]) == (1, 2.0, "high")
    assert facts["coverage"] == pytest.approx(1 - 2.0 / 59.9, rel=1e-3)
    assert facts["book_interval_ms"] == 100.0
    assert facts["latency_p50_ms"] == 2.0
    whole = make_feed(60, gap=False)
    assert (gap_s(whole.events), coverage(whole.book())) == (0.0, 1.0)


def test_the_hash_sees_every_column_and_no_padding():
    events = make_feed(5).events
    first = events_sha256(events)
    assert first == events_sha256(events.copy())
    for name in events.dtype.names:
        other = events.copy()
        other[name][3] += 1
        assert events_sha256(other) != first


def test_best_targets(run):
    decisions, targets = run.tables.decisions, run.tables.targets
    for i in (0, 7, decisions.size - 1):
        mine = targets[decisions["first_target"][i] :][: decisions["targets"][i]]
        for side, sign in (("bid", 1), ("ask", -1)):
            prices = mine[mine["side"] == sign]["price_ticks"]
            got = run.decisions[f"target_{side}"].iloc[i]
            assert (np.isnan(got) and not prices.size) or got == pytest.approx(prices[0] * run.instrument.tick_size)


def test_compare_shows_figures_and_changed_parameters():
    one, two = make_run(60), make_run(60, seed=1)
    two.config = two.config.with_(**{"ladder.hysteresis": 0.1})
    table = one.compare(two)
    assert table.loc["fills", "change"] == two.summary["fills"] - one.summary["fills"]
    assert table.loc["ladder.hysteresis"].tolist() == [0.05, 0.1, 0.05]
    assert "ladder.min_dwell_ms" not in table.index


def test_a_run_says_what_it_is(run):
    assert "fills, net" in repr(run)
