"""Config + market + warm-up -> PARAMS: defaults that depend on the market, units, contradictions, notes."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmlab.config import Config
from mmlab.errors import ConfigError
from mmlab.events import NEVER_NS
from mmlab.instrument import Instrument
from mmlab.resolve import default_order_lots, resolve
from tests.kernels.driver import measured

SPOT = Instrument("X", tick_size=0.01, lot_size=0.001, min_notional=10.0, maker_fee_bps=1.0, taker_fee_bps=4.0)
INVERSE = Instrument("BTCUSD", tick_size=0.1, lot_size=1.0, contract="inverse", contract_size=100.0, taker_fee_bps=5.0)


def row(instrument: Instrument = SPOT, warmup=None, **changes):
    params, notes = resolve(Config().with_(**changes), instrument, warmup or measured())
    return params[0], notes


def refused(instrument: Instrument = SPOT, **changes) -> str:
    with pytest.raises(ConfigError) as error:
        row(instrument, **changes)
    return str(error.value)


# ---------------------------------------------------------------------------------------------------------------------
# Defaults that depend on the market


def test_order_size_survives_the_smallest_multiple_and_a_fall_of_a_tenth() -> None:
    p, notes = row()
    lots = int(p["quoting"]["order_lots"])
    assert lots == math.ceil(math.ceil(10.0 / (0.001 * 90.0)) / 0.1) == default_order_lots(Config(), SPOT, 100.0)
    assert math.floor(lots * 0.1) * 0.001 * 90.0 >= 10.0
    assert notes == []


@given(
    mid=st.floats(1e-6, 1e6), lot=st.sampled_from([1e-8, 1e-3, 1.0, 100.0]), least=st.floats(0, 500),
    smallest=st.floats(0.05, 1.0), inverse=st.booleans(),
)  # fmt: skip
def test_default_order_can_always_be_quoted(mid, lot, least, smallest, inverse) -> None:
    contract = {"contract": "inverse", "contract_size": 10.0} if inverse else {}
    instrument = Instrument("X", 1e-9, lot, min_notional=least, **contract)
    config = Config().with_(**{"ladder.size_multipliers": (1.0, 0.5, 0.5, smallest)})
    lots = default_order_lots(config, instrument, mid)
    assert math.floor(lots * min(0.5, smallest) + 1e-9) >= instrument.min_lots(0.9 * mid)


def test_limits_follow_the_order() -> None:
    p, _ = row()
    lots = int(p["quoting"]["order_lots"])
    assert p["risk"]["max_long_lots"] == p["risk"]["max_short_lots"] == 8 * lots
    assert p["risk"]["hard_lots"] == 10 * lots
    assert p["risk"]["max_live_orders"] == 8, "4x rungs + 4"
    assert p["risk"]["max_messages"] == NEVER_NS
    assert math.isinf(p["risk"]["max_order_notional"])


def test_money_limits() -> None:
    p, _ = row()
    order = int(p["quoting"]["order_lots"]) * 0.001 * 100.0
    assert p["kill"]["losing_notional"] == pytest.approx(50 * order)
    assert p["kill"]["max_loss"] == p["kill"]["max_drawdown"] == pytest.approx(0.01 * 8 * order * 10)
    assert p["age_exit"]["budget_quote"] == pytest.approx(5e-4 * 8 * order)


def test_money_limits_of_inverse_contracts_are_in_quote_and_the_exit_budget_in_base() -> None:
    p, _ = row(INVERSE)
    order = int(p["quoting"]["order_lots"]) * 100.0
    assert p["kill"]["losing_notional"] == pytest.approx(50 * order)
    assert p["kill"]["max_loss"] == pytest.approx(0.1 * 8 * order)
    assert p["age_exit"]["budget_quote"] == pytest.approx(5e-4 * 8 * order / 100.0)
    p, _ = row(INVERSE, **{"kill.loss.max_loss_quote": 7.0})
    assert p["kill"]["max_loss"] == 7.0


def test_adverse_distance() -> None:
    """max(taker fee + half the median spread, 1 sigma over age_s), in bps."""
    p, _ = row(warmup=measured(sigma=1e-9, median_spread_ticks=6.0))
    assert p["age_exit"]["adverse_bps"] == pytest.approx(4.0 + 3.0)
    p, _ = row(warmup=measured(sigma=0.1))
    assert p["age_exit"]["adverse_bps"] == pytest.approx(1e4 * 0.1 * math.sqrt(8) / 100)
    p, _ = row(**{"gates.age_exit.adverse_bps": 1.5})
    assert p["age_exit"]["adverse_bps"] == 1.5


def test_floor_counts_fees_and_edge() -> None:
    p, _ = row(**{"strategy.min_edge_bps": 0.5, "strategy.min_spread_bps": 1.0})
    assert p["quoting"]["floor_bps"] == pytest.approx(0.5 + 2 * 1.0)
    p, _ = row(**{"strategy.min_spread_bps": 5.0})
    assert p["quoting"]["floor_bps"] == 5.0


def test_stale_follows_the_feed() -> None:
    assert row(warmup=measured(p99_interval_ns=1e6))[0]["kill"]["stale_ns"] == 10**9
    assert row(warmup=measured(p99_interval_ns=3e9))[0]["kill"]["stale_ns"] == 30 * 10**9
    assert row(warmup=measured(p99_interval_ns=math.nan))[0]["kill"]["stale_ns"] == 10**9


def test_mark_needs_marks() -> None:
    assert row(warmup=measured(has_mark=True))[0]["kill"]["mark"] == 1
    assert row(warmup=measured(has_mark=False))[0]["kill"]["mark"] == 0


def test_model_from_the_warm_up_unless_given() -> None:
    p, _ = row(warmup=measured(A=1.1, kappa=22.0, gamma=0.03))
    assert (p["quoting"]["A"], p["quoting"]["kappa"], p["quoting"]["gamma"]) == (1.1, 22.0, 0.03)
    p, _ = row(**{"strategy.A": 2.0, "strategy.kappa": 3.0, "strategy.gamma": 4.0})
    assert (p["quoting"]["A"], p["quoting"]["kappa"], p["quoting"]["gamma"]) == (2.0, 3.0, 4.0)


# ---------------------------------------------------------------------------------------------------------------------
# Units


def test_units() -> None:
    p, _ = row()
    assert p["instrument"]["maker_fee"] == pytest.approx(1e-4)
    assert p["ladder"]["dwell_ns"] == 500_000_000
    assert p["flip"]["window_ns"] == 200_000_000
    assert p["cooldown"]["min_ns"] == 300_000_000
    assert p["age_exit"]["age_ns"] == 8_000_000_000
    assert p["kill"]["losing_window_ns"] == 1_800_000_000_000
    assert p["quoting"]["sigma_floor"] == pytest.approx(0.5 * 0.01 / math.sqrt(60))
    assert p["quoting"]["start_ns"] == measured().end_ns
    assert (p["flip"]["reference"], p["flip"]["min_move"]) == (0, 0.1)
    p, _ = row(**{"gates.flip.reference": "mid"})
    assert (p["flip"]["reference"], p["flip"]["min_move"]) == (1, 0.5)


def test_portfolio() -> None:
    """10 in all, 40 % to be held, 3 held: 1 below the target, 6 above it possible."""
    p, _ = row(**{
        "risk.inventory": "portfolio", "risk.portfolio_total": 10.0, "risk.target_pct": 0.4,
        "risk.portfolio_start": 3.0, "strategy.order_size": 0.5,
    })  # fmt: skip
    risk = p["risk"]
    assert (risk["offset_lots"], risk["max_long_lots"], risk["max_short_lots"]) == (-1000, 6000, 4000)
    assert risk["hard_lots"] == 7500
    p, _ = row(**{"risk.inventory": "portfolio", "risk.portfolio_total": 100.0})
    assert p["risk"]["offset_lots"] == 0, "without a start one begins at the target"


# ---------------------------------------------------------------------------------------------------------------------
# Contradictions and notes

WRONG = {
    "strategy.order_size = 0.001: below the least order of X": {"strategy.order_size": 0.001},
    "strategy.max_spread_bps = 1.0: below the floor of 2.0 bps": {"strategy.max_spread_bps": 1.0},
    "risk.max_long = 0.5: below one order of 1.0": {
        "strategy.order_size": 1.0, "risk.max_position": 8.0, "risk.max_long": 0.5,
    },
    "risk.max_short = 0.5: below one order of 1.0": {
        "strategy.order_size": 1.0, "risk.max_position": 8.0, "risk.max_short": 0.5,
    },
    "risk.hard_limit = 7.0: below the position limit 8.0": {"risk.max_position": 8.0, "risk.hard_limit": 7.0},
    "risk.max_live_orders = 3: below 4, one order a rung and side": {"strategy.rungs": 2, "risk.max_live_orders": 3},
    "risk.max_order_notional = 50.0: below the largest order, 200": {
        "strategy.order_size": 1.0, "risk.max_position": 8.0, "risk.max_order_notional": 50.0,
        "strategy.rung_size_multipliers": [2.0],
    },
    "risk.portfolio_total: needed": {"risk.inventory": "portfolio"},
}  # fmt: skip


@pytest.mark.parametrize("words", WRONG)
def test_contradictions_in_this_market_are_refused(words: str) -> None:
    assert words in refused(**WRONG[words])


def test_contradictions_are_all_listed() -> None:
    message = refused(**{
        "strategy.order_size": 0.001, "strategy.max_spread_bps": 1.0, "risk.max_position": 8.0, "risk.hard_limit": 7.0,
        "risk.max_live_orders": 1,
    })  # fmt: skip
    assert message.count("; ") == 3
    for name in ("strategy.order_size", "strategy.max_spread_bps", "risk.hard_limit", "risk.max_live_orders"):
        assert name in message


def test_rungs_too_small_to_be_quoted_are_told() -> None:
    _, notes = row(**{"strategy.order_size": 0.2, "risk.max_position": 8.0})
    assert any("ladder level 4: 20 lots are below the least order of 100" in note for note in notes)
    _, notes = row(**{"strategy.order_size": 0.2, "risk.max_position": 8.0, "ladder.enabled": False})
    assert notes == []


def test_a_slow_feed_is_told() -> None:
    p, notes = row(warmup=measured(median_interval_ns=500e6))
    assert p["flip"]["mode"] == 0
    assert any("flip gate inactive: books come every 500 ms" in note for note in notes)
    p, notes = row(warmup=measured(median_interval_ns=500e6), **{"gates.flip.mode": "off"})
    assert notes == []
