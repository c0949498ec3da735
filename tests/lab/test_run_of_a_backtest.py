"""What a real backtest leaves behind agrees with itself, with the public metrics, and with its own directory."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import mmlab
from mmlab.errors import SessionError
from mmlab.lab.demo import SAMPLE
from mmlab.lab.money import bridge
from mmlab.telemetry.files import FILES


@pytest.fixture(scope="module")
def feed():
    return mmlab.load_feed(SAMPLE)


@pytest.fixture(scope="module")
def run(feed):
    return mmlab.backtest(feed)


def test_it_trades(run):
    assert run.summary["fills"] > 50
    assert run.summary["uptime_bid"] > 0.5
    assert run.summary["uptime_ask"] > 0.5


def test_mid_before_and_markouts_are_those_of_the_public_metrics(run, feed):
    theirs = mmlab.markouts(run.fills, feed.quotes())
    np.testing.assert_allclose(run.fills["mid"], theirs["mid"], rtol=1e-12)
    for name in ("markout_1s_bps", "markout_60s_bps", "spread_capture_bps", "adverse_1s_bps"):
        np.testing.assert_allclose(run.fills[name], theirs[name], rtol=0, atol=1e-9)


def test_the_last_second_agrees_with_the_fills(run):
    """Cash and position rebuilt from the fills give the last row of the metrics."""
    fills, last = run.fills, run.metrics.iloc[-1]
    signed = fills["size"] * np.where(fills["side"] == "bid", 1, -1)
    assert signed.sum() == pytest.approx(last["position"])
    assert fills["fee"].sum() == pytest.approx(last["fees"])
    gross = (signed * (last["mid"] - fills["price"])).sum()
    assert gross - fills["fee"].sum() + last["funding"] == pytest.approx(last["net_pnl"], rel=1e-9)
    assert fills["inventory_after"].iloc[-1] == pytest.approx(last["position"])


def test_bridge_sums_to_net(run):
    parts = bridge(run)["quote"]
    assert parts[:-1].sum() == pytest.approx(parts["net"], rel=1e-9)
    assert parts["net"] == pytest.approx(run.summary["net_pnl"], rel=1e-9)


def test_equal_backtests_give_equal_bytes(run, feed, tmp_path):
    one = run.save(tmp_path / "one")
    two = mmlab.backtest(feed[:], seed=run.info.seed).save(tmp_path / "two")
    for file in FILES.values():
        assert (one / file).read_bytes() == (two / file).read_bytes(), file


def test_a_saved_run_can_be_repeated(run, tmp_path):
    again = mmlab.load_run(run.save(tmp_path / "run"))
    pd.testing.assert_series_equal(again.summary, run.summary)
    pd.testing.assert_frame_equal(again.sensitivity, run.sensitivity)
    other = mmlab.what_if(again, again.config.with_(**{"strategy.min_spread_bps": 5.0}))
    assert other.summary["fills"] < run.summary["fills"]
    assert other.info.configurations_tried == 2


def test_a_saved_run_with_a_quoter_says_why_it_cannot(feed, tmp_path):
    @mmlab.quoter
    def nothing(market, metrics, position_lots, params, out):
        return 0

    again = mmlab.load_run(mmlab.backtest(feed, strategy=nothing).save(tmp_path / "run"))
    assert again.summary["fills"] == 0
    with pytest.raises(SessionError, match="quoter 'nothing' is not stored"):
        _ = again.sensitivity
    assert "quoter nothing" in again.report(tmp_path / "x.html").read_text()
