"""Real recordings: the public metrics against `merge_asof`, and against what the decision kernel saw event by event."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import mmlab
from tests.conftest import shared_data
from tests.tapes import same

FILES = ("cm_btcusd_perp_20240808.gz", "cm_btcusd_perp_20240809.gz")


@pytest.fixture(scope="module")
def feed():
    folder = shared_data("binance_hftbacktest_raw")
    return mmlab.import_feed([folder / name for name in FILES], format="hftbacktest")


def test_markouts_of_every_trade_are_those_of_merge_asof(feed):
    """Each trade of the recording taken as a fill of ours."""
    trades, quotes = feed.trades(), feed.quotes()
    fills = trades.assign(side=np.where(trades["side"] == "sell", "bid", "ask"))
    got = mmlab.markouts(fills, quotes)
    sign, price = np.where(fills["side"] == "bid", 1e4, -1e4), fills["price"].to_numpy()
    right = pd.DataFrame({"at": quotes.index, "mid": quotes["mid"].to_numpy()})
    before = pd.merge_asof(pd.DataFrame({"at": fills.index}), right, on="at", allow_exact_matches=False)["mid"]
    assert same(got["mid"], before)
    for h in (0.1, 0.5, 1, 5, 30, 60):
        at = pd.DataFrame({"at": fills.index + pd.Timedelta(seconds=h)})
        mid = pd.merge_asof(at, right, on="at", tolerance=pd.Timedelta("60s"))["mid"].to_numpy()
        gap = quotes.index[quotes["mid"].isna()]
        touched = np.searchsorted(gap, at["at"], side="right") > np.searchsorted(gap, fills.index, side="right")
        mid = np.where((at["at"] < quotes.index[-1]) & ~touched, mid, np.nan)
        assert same(got[f"markout_{h:g}s_bps"], sign * (mid - price) / price)
    assert got["markout_1s_bps"].notna().mean() > 0.99


def test_the_decision_kernel_saw_the_same(feed):
    """The last row of a run's metrics, kept online on the local clock, is the public metrics of its own fills."""
    run = mmlab.backtest(feed, mmlab.Config())
    last = run.metrics.iloc[-1]
    known = run.fills[run.fills["local_ns"] <= run.metrics.index[-1].value]
    quoted = known[known["liquidity"] == "maker"]  # age exits are no hits of a quote
    assert len(quoted) > 20
    rolling = mmlab.rolling_markout(quoted, feed.quotes()).iloc[-1]
    rate = mmlab.fill_rate(quoted).iloc[-1]
    for side in ("bid", "ask"):
        assert same(last[f"markout_{side}_bps"], rolling[side])
        assert last[f"n_{side}"] == rolling[f"n_{side}"]
        assert same(last[f"fill_rate_p95_{side}"], rate[f"{side}_p95"])
