"""The age exit against terms.md: when, how much, in which order, and what the quotes do meanwhile."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmlab.events import GateAction, Reason, Switch, TargetFlag
from mmlab.instrument import Instrument
from mmlab.kernels.age_exit import OVER_BUDGET, TOO_THIN, UNTRADEABLE, exit_size
from mmlab.kernels.policy import one_row
from mmlab.params import AGE_EXIT
from tests.kernels.driver import MARKET_X, Driver, measured, simple

MS = 1_000_000


def config(**changes):
    base = {"gates.age_exit.enabled": True, "gates.age_exit.adverse_bps": 0.0, "kill.stale.enabled": False}
    return simple(**(base | changes))


def losing_long(lots: int = 60, drop: int = 10, **changes) -> Driver:
    """Long `lots` at 9999 since just now, the mid fallen by `drop` ticks below the entry."""
    d = Driver(config(**changes)).warm()
    d.fill(1, lots, ticks=9999)
    return d.book(9998 - drop, 10000 - drop)


# ---------------------------------------------------------------------------------------------------------------------
# Size


def sizing(fraction: float = 1 / 3, depth_fraction: float = 0.25):
    p = one_row(AGE_EXIT)
    p["fraction"], p["depth_fraction"] = fraction, depth_fraction
    return p[0]


@given(
    held=st.integers(1, 300), depth=st.integers(0, 2000), affordable=st.integers(0, 400), least=st.integers(1, 40),
    fraction=st.sampled_from([1 / 3, 0.1, 0.29, 0.5, 1.0]), depth_fraction=st.sampled_from([0.25, 0.1, 1.0]),
)  # fmt: skip
def test_size_twin(held, depth, affordable, least, fraction, depth_fraction) -> None:
    lots = exit_size(sizing(fraction, depth_fraction), held, depth, affordable, least)
    exactly = {1 / 3: (1, 3), 0.1: (1, 10), 0.29: (29, 100), 0.5: (1, 2), 1.0: (1, 1), 0.25: (1, 4)}
    part = exactly[fraction][0] * held // exactly[fraction][1]
    visible = exactly[depth_fraction][0] * depth // exactly[depth_fraction][1]
    want = min(part, visible, affordable)

    def tradeable(n: int) -> bool:
        return n >= least

    if tradeable(want) and (want == held or tradeable(held - want)):
        assert lots == want
    elif tradeable(held) and held <= min(visible, affordable):
        assert lots == held
    else:
        assert lots in (TOO_THIN, UNTRADEABLE, OVER_BUDGET)
        assert (lots == TOO_THIN) == (not tradeable(visible))


# ---------------------------------------------------------------------------------------------------------------------
# When


def test_needs_age_and_adversity() -> None:
    d = losing_long()
    d.until_ns(d.now_ns + 7_999 * MS)
    assert d.exit is None
    d.until_ns(d.now_ns + 4 * MS)
    assert d.exit is not None, "8 s, by its timer; the heavy side is empty already"
    (row,) = d.triggers(Switch.AGE_EXIT)
    assert (row.action, row.side, row.threshold, row.effect) == (GateAction.EXIT, -1, 8.0, 20)
    assert row.value == pytest.approx(8.0, abs=0.01)


@pytest.mark.parametrize(("drop", "exits"), [(5, False), (6, True)])
def test_adverse_by_ticks(drop: int, exits: bool) -> None:
    d = losing_long(drop=drop)
    d.calm(9.0)
    assert (d.exit is not None) == exits


def test_adverse_in_bps_holds_when_larger() -> None:
    d = losing_long(drop=9, **{"gates.age_exit.adverse_bps": 10.0})  # 10 bps of about 100 are 10 ticks
    d.calm(9.0)
    assert d.exit is None
    d.book(9987, 9989)
    d.calm(0.01)
    assert d.exit is not None


def test_default_adversity_is_fee_and_spread_or_one_sigma() -> None:
    fees = Instrument("X", 0.01, 0.1, taker_fee_bps=5.0)
    d = Driver(config(**{"gates.age_exit.adverse_bps": None}), fees, measured(sigma=1e-6, median_spread_ticks=4.0))
    assert d.p["age_exit"]["adverse_bps"][0] == pytest.approx(5.0 + 2.0)
    d = Driver(config(**{"gates.age_exit.adverse_bps": None}), fees, measured(sigma=0.05, median_spread_ticks=4.0))
    assert d.p["age_exit"]["adverse_bps"][0] == pytest.approx(1e4 * 0.05 * math.sqrt(8.0) / 100.0)


def test_profit_never_exits() -> None:
    d = losing_long(drop=-20)
    d.calm(30.0)
    assert d.exit is None


def test_disabled() -> None:
    d = losing_long(**{"gates.age_exit.enabled": False})
    d.calm(30.0)
    assert d.exit is None


def test_short_is_the_mirror() -> None:
    d = Driver(config()).warm()
    d.fill(-1, 60, ticks=10001).book(10010, 10012).calm(8.1)
    assert (d.exit.side, d.exit.lots, d.exit.ticks) == (1, 20, 10012 + 5)
    assert d.ask is None
    assert d.bid is not None


def test_lot_age_basis() -> None:
    """Half of the position is 8 s old, half is new: 8 s by inventory, 4 s by lots."""
    for basis, exits in (("inventory", True), ("lot", False)):
        d = losing_long(lots=30, **{"gates.age_exit.age_basis": basis})
        d.calm(7.9)
        d.fill(1, 30, ticks=9999).calm(0.2)
        assert (d.exit is not None) == exits


# ---------------------------------------------------------------------------------------------------------------------
# How


def test_the_order() -> None:
    d = losing_long()
    d.calm(8.1)
    assert d.exit.flags == TargetFlag.IOC | TargetFlag.REDUCE_ONLY
    assert (d.exit.side, d.exit.lots, d.exit.ticks) == (-1, 20, 9988 - 5), "down to max_slippage below the best bid"


def test_deep_and_thin_books() -> None:
    for depth, lots in ((1000, 20), (60, 15), (8, 2), (3, 0), (0, 0)):
        d = losing_long()
        d.depth[1] = depth
        d.calm(8.1)
        rows = d.triggers(Switch.AGE_EXIT)
        assert len(rows) == 1
        assert rows[0].n == depth
        if lots:
            assert d.exit.lots == lots
            assert rows[0].action == GateAction.EXIT
        else:
            assert d.exit is None
            assert (rows[0].action, rows[0].effect) == (GateAction.EXIT_SKIPPED, TOO_THIN)


def test_untradeable_remainder_closes_all_or_nothing() -> None:
    least = Instrument("X", 0.01, 0.1, min_size=1.0)  # 10 lots
    for held, depth, lots in ((14, 1000, 14), (14, 40, 0), (24, 1000, 24), (30, 1000, 10), (9, 1000, 0)):
        d = Driver(config(**{"strategy.order_size": 10.0, "risk.max_position": 100.0, "risk.flat_band": 0.0}), least)
        d.warm().fill(1, held, ticks=9999).book(9988, 9990)
        d.depth[1] = depth
        d.calm(8.1)
        assert (d.exit.lots if d.exit else 0) == lots, (held, depth)
        if not lots:
            assert d.triggers(Switch.AGE_EXIT)[0].action == GateAction.EXIT_SKIPPED


def test_heavy_side_is_confirmed_gone_first() -> None:
    d = Driver(config(), held=True).warm()
    d.ack()
    d.fill(1, 60, ticks=9999).calm(1.0)
    d.ack()
    d.book(9988, 9990).ack()
    assert d.s["side"][0, 0]["working_lots"] > 0
    d.calm(9.0)
    assert d.exit is None and d.bid is None and d.reasons(1) & Reason.AGE_EXIT, "cancelled, not yet gone"
    d.calm(3.0)
    assert d.exit is None, "and it waits as long as that takes"
    d.ack()
    assert d.exit is not None
    assert d.exit.lots == 20


def test_light_side_and_level_before_during_after() -> None:
    """Long 60 of 100 with light quotes of 50 lots: position, quote and exit never pass through zero together."""
    d = losing_long(**{"strategy.order_size": 5.0})
    assert (d.last.level, d.ask.lots) == (2, 50)
    d.calm(8.1)
    assert d.exit.lots == 20
    assert d.ask.lots == 40 and d.reasons(-1) & Reason.AGE_EXIT, "cut to what the exit leaves"
    assert d.bid is None
    assert d.reasons(1) & Reason.AGE_EXIT
    assert d.last.level == 2
    d.calm(0.5)
    assert d.bid is None and d.ask.lots == 40, "until the exit is terminal"
    d.fill_exit()
    assert d.position == 40
    assert d.last.level == 1, "recomputed after it"
    assert d.ask.lots == 50
    assert d.bid.lots == 50


def test_a_light_quote_in_the_way_is_cut_first() -> None:
    d = Driver(config(**{"strategy.order_size": 5.0}), held=True).warm()
    d.ack()
    d.fill(1, 60, ticks=9999).calm(1.0)
    d.book(9988, 9990).ack()
    d.held = False
    d.calm(6.0)
    d.held = True
    d.calm(1.5)
    assert d.exit is None
    assert d.s["side"][0, 1]["working_lots"] == 50
    d.ack()
    assert d.exit.lots == 20
    assert d.s["side"][0, 1]["working_lots"] == 40


@given(st.integers(20, 99), st.integers(0, 400), st.sampled_from([0.5, 1.0, 5.0]), st.sampled_from([0.2, 1 / 3, 1.0]))
def test_never_through_zero(lots, depth, order, fraction) -> None:
    d = losing_long(lots, **{"strategy.order_size": order, "gates.age_exit.fraction": fraction})
    d.depth[1] = depth
    for _ in range(60):
        d.calm(0.25)
        exit_lots = d.exit.lots if d.exit else 0
        light = sum(n for (side, _), n in d.working.items() if side < 0)
        assert exit_lots <= d.position
        if d.exit:
            assert exit_lots + light <= d.position
            assert not any(side > 0 for side, _ in d.working), "nothing of ours that the exit could hit"
            d.fill_exit(exit_lots // 2 if d.decisions[-1].t % 1 > 0.5 else None)
    assert d.position > 0 or fraction == 1.0 or d.position == 0


def test_cooldown_between_exits() -> None:
    d = losing_long()
    d.calm(8.1).fill_exit()
    sent = d.now_ns
    assert d.exit is None
    d.until_ns(sent + 1_990 * MS)
    assert d.exit is None
    d.until_ns(sent + 2_010 * MS)
    assert d.exit is not None and d.exit.lots == 13, "a third of the 40 that are left"


def test_skipped_when_the_position_has_fallen_by_itself() -> None:
    d = losing_long()
    d.calm(7.0)
    d.fill(-1, 20)  # a third, passively
    d.calm(1.5)
    assert d.exit is None, "age and adversity hold, but 20 of 60 left within 2 s"
    d.calm(0.6)
    assert d.exit is not None
    d = losing_long()
    d.calm(7.0)
    d.fill(-1, 19)
    d.calm(1.5)
    assert d.exit is not None, "19 of 60 is less than a third"


def test_hourly_budget_caps_the_cost() -> None:
    fees = Instrument("X", 0.01, 0.1, taker_fee_bps=10.0)
    d = Driver(config(**{"gates.age_exit.exit_budget_bps": 3.0}), fees).warm()
    d.fill(1, 60, ticks=9999).book(9988, 9990)
    cost = 0.0
    for _ in range(40):
        d.calm(2.1)
        if d.exit:
            before = d.position
            size = d.exit.lots
            price = d.best[0] * 0.01
            fee = 10e-4 * size * 0.1 * price
            exit_fill = d.exit
            d.exit = None
            d.fill(exit_fill.side, size, rung=-1, fee=fee)
            cost += fee + size * 0.1 * 0.01
            assert d.position == before - size
    budget = 3e-4 * 100 * 0.1 * 100.0
    assert 0.5 * budget < cost <= budget
    assert d.triggers(Switch.AGE_EXIT)[-1].effect == OVER_BUDGET
    held = d.position
    d.calm(3500.0)
    assert d.position == held
    assert d.exit is None
    d.calm(200.0)
    assert d.exit is not None, "an hour later there is budget again"


def test_a_lost_exit_is_given_up() -> None:
    d = losing_long()
    d.calm(8.1)
    sent = d.now_ns
    d.s["exit"]["seen_live"] = 0
    d.s["exit_live"] = 0
    d.exit, d.reported = None, (*d.reported[:4], 0)  # nobody ever hears of it
    d.until_ns(sent + 4_800 * MS)
    assert d.bid is None
    assert d.s["exit"]["phase"][0] == 2
    d.until_ns(sent + 5_100 * MS)
    assert d.s["exit"]["phase"][0] == 0
    assert d.bid is not None


def test_an_exit_that_lived_between_two_decisions_is_not_lost() -> None:
    d = losing_long()
    d.calm(8.1)
    order, d.exit = d.exit, None
    d.fill(order.side, order.lots, rung=-1)  # live and filled before the next decision
    assert d.s["exit"]["phase"][0] == 0


def test_not_under_a_global_trip() -> None:
    d = losing_long(**{"kill.stale.enabled": True})
    d.silence(9.0)
    assert d.exit is None
    assert d.reasons(1) & Reason.STALE
    d.calm(3.0)
    assert d.exit is not None


def test_gone_cause_ends_clearing() -> None:
    d = Driver(config(), held=True).warm()
    d.ack()
    d.fill(1, 60, ticks=9999).calm(1.0)
    d.ack()
    d.book(9988, 9990).ack()
    d.calm(9.0)
    assert d.s["exit"]["phase"][0] == 1
    d.book(10001, 10003)
    assert d.s["exit"]["phase"][0] == 0
    assert d.bid is not None


def test_runs_under_side_pauses_flip_gate_and_cooldown() -> None:
    d = losing_long()
    d.calm(7.9)
    until = d.now_ns + 10_000 * MS
    for pull in (d.s["side"][0, 0]["cooldown"]["pull"], d.s["side"][0, 1]["cooldown"]["pull"], d.s["flip"]["pull"][0]):
        pull["active"], pull["until_ns"] = 1, until
    d.calm(0.3)
    assert d.ask is None
    assert d.exit is not None


def test_portfolio_mode_exits_only_what_is_above_the_target() -> None:
    portfolio = {
        "risk.inventory": "portfolio", "risk.portfolio_total": 20.0, "risk.portfolio_start": 7.0,
        "risk.max_position": None,
    }  # fmt: skip
    d = Driver(config(**portfolio), MARKET_X).warm()  # 30 lots below the target of 100
    d.fill(1, 60, ticks=9999).book(9988, 9990)  # now 30 above it
    d.calm(8.1)
    assert d.exit.lots == 10, "a third of the 30 that are inventory, not of the 60 bought"
    assert d.bid is None
    d = Driver(config(**portfolio), MARKET_X).warm()
    d.fill(1, 20, ticks=9999).book(9988, 9990)  # bought at a loss, but still 10 below the target
    d.calm(20.0)
    assert d.exit is None
