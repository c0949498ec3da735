"""What becomes of the position: flatten, `risk.on_halt`, `risk.on_stop`; and what a halt says meanwhile."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

import mmlab
from mmlab.engine.engine import Engine
from mmlab.engine.flatten import flatten_slice
from mmlab.engine.live_watch import LiveWatch
from mmlab.engine.participation import Trading
from mmlab.events import ASK, BID, TargetFlag
from mmlab.exchange import Transaction, TxKind
from mmlab.orders.ids import EXIT_RUNG, unpack
from mmlab.venues.paper import FaultPlan
from tests.engine.driving import make_decider
from tests.engine.rig import Outcome, at, cut, holding, play, quick, sample

STOP_S = 45.0
EXIT_FLAGS = int(TargetFlag.IOC | TargetFlag.REDUCE_ONLY)


def exits(outcome: Outcome, after_ns: int) -> list[Transaction]:
    """What was placed after a time, all of which must be exits."""
    risky = outcome.venue.risky_after(after_ns)
    assert all(tx.kind == TxKind.PLACE and tx.flags == EXIT_FLAGS for tx in risky), risky
    for tx in risky:
        parts = unpack(tx.client_id)
        assert parts is not None
        assert parts.rung == EXIT_RUNG
    return risky


def positions(outcome: Outcome) -> np.ndarray[Any, Any]:
    """Position after each trade of the account."""
    return np.cumsum([fill.side * fill.size_lots for fill in outcome.truth.trades])


def origin_ns(outcome: Outcome) -> int:
    return int(outcome.engine.clock.origin_ns)  # type: ignore[attr-defined]


@pytest.mark.parametrize("side", [BID, ASK])
def test_on_stop_flatten_leaves_nothing(side: int) -> None:
    outcome = play(
        cut(300, 360), quick(risk__on_stop="flatten"), make=holding(side),
        duration_s=STOP_S, faults=FaultPlan(entry_ms=1.0),
    )  # fmt: skip
    outcome.check_settled()
    assert outcome.truth.position_lots == 0
    stop_ns = origin_ns(outcome) + round(STOP_S * 1e9) - 1
    slices = exits(outcome, stop_ns)
    assert slices
    assert all(tx.side == -side for tx in slices)
    held = np.abs(positions(outcome))
    late = np.array([fill.exch_ns for fill in outcome.truth.trades]) > stop_ns
    assert (np.diff(held[late]) <= 0).all()
    assert outcome.log.of("engine_ended")[0]["position_lots"] == 0
    outcome.check_reproduced()


def test_on_stop_keep_says_what_is_left() -> None:
    outcome = play(cut(300, 360), quick(), make=holding(BID), duration_s=STOP_S)
    outcome.check_settled()
    assert outcome.truth.position_lots != 0
    assert outcome.log.of("engine_ended")[0]["position_lots"] == outcome.truth.position_lots
    assert outcome.venue.risky_after(origin_ns(outcome) + round(STOP_S * 1e9)) == []


def test_flatten_by_hand_then_quotes_again() -> None:
    left: list[int] = []

    async def script(engine: Engine) -> None:
        await at(engine, 40)
        assert engine.manager.position_lots != 0
        left.append(await engine.flatten())
        left.append(engine.now())

    outcome = play(cut(300, 380), quick(), make=holding(BID), script=script)
    outcome.check_settled()
    assert left[0] == 0
    slices = [tx for _, tx in outcome.venue.sent if tx.flags == EXIT_FLAGS and tx.kind == TxKind.PLACE]
    assert slices
    assert all(tx.side == ASK for tx in slices)
    assert any(tx.flags != EXIT_FLAGS for tx in outcome.venue.risky_after(left[1])), "it does not quote again"
    outcome.check_reproduced()


LOSING = {"kill__loss__max_loss_quote": 0.01}
"""A long position that the market moves against trips `loss`, latched."""


def kernel_halt(on_halt: str, side: int) -> Outcome:
    return play(cut(300, 400), quick(risk__on_halt=on_halt, **LOSING), make=holding(side))


@pytest.mark.parametrize("side", [BID, ASK])
def test_hold_keeps_the_position_and_says_so(side: int) -> None:
    outcome = kernel_halt("hold", side)
    outcome.check_settled()
    halted = outcome.log.of("halted")
    assert "loss" in halted[0]["why"]
    assert halted[0]["position_lots"] == outcome.truth.position_lots != 0
    assert outcome.venue.risky_after(halted[0]["ts_ns"]) == []
    alarms = [line["ts_ns"] for line in outcome.log.of("position_open_while_halted")]
    assert alarms
    assert all(b - a >= 59 * 10**9 for a, b in pairwise(alarms))
    assert outcome.engine.participation.trading == Trading.HALTED


@pytest.mark.parametrize("side", [BID, ASK])
def test_reduce_never_adds_to_the_position(side: int) -> None:
    outcome = kernel_halt("reduce", side)
    outcome.check_settled()
    states = [line["state"] for line in outcome.log.of("trading")]
    assert "reducing" in states
    halting_ns = next(line["ts_ns"] for line in outcome.log.of("trading") if line["state"] == "halting")
    reducing = outcome.venue.risky_after(halting_ns)
    assert reducing
    assert all(tx.side == -side for tx in reducing if tx.kind == TxKind.PLACE)
    held = np.abs(positions(outcome))
    late = np.array([fill.exch_ns for fill in outcome.truth.trades]) > halting_ns
    assert late.any(), "nothing was reduced: the test proves nothing"
    first = int(np.flatnonzero(late)[0])
    assert (np.diff(held[max(first - 1, 0) :]) <= 0).all()
    assert (np.sign(positions(outcome)[first:]) * side >= 0).all()
    outcome.check_reproduced()


def test_an_operator_may_flatten_in_spite_of_a_halt() -> None:
    """The halt stands meanwhile: nothing but reduce-only IOCs leaves."""
    left: list[int] = []

    async def script(engine: Engine) -> None:
        await at(engine, 36)
        assert engine.manager.position_lots
        engine.kill("by hand")
        left.append(await engine.flatten())
        await at(engine, 70)
        assert engine.participation.trading == Trading.HALTED
        assert engine.participation.latched

    outcome = play(cut(300, 380), quick(), make=holding(BID), script=script)
    outcome.check_settled()
    assert left == [0]
    sent = outcome.venue.risky_after(origin_ns(outcome) + 36 * 10**9)
    assert sent
    exits = int(TargetFlag.IOC | TargetFlag.REDUCE_ONLY)
    assert all(tx.kind == TxKind.PLACE and tx.flags == exits for tx in sent)


def test_killed_by_hand_and_rearmed() -> None:
    async def script(engine: Engine) -> None:
        await at(engine, 40)
        engine.kill("by hand")
        await at(engine, 50)
        assert engine.participation.latched
        assert engine.participation.trading == Trading.HALTED
        assert not engine.manager.orders
        engine.rearm()
        await at(engine, 60)
        assert engine.participation.trading == Trading.QUOTING
        assert engine.manager.orders

    outcome = play(cut(300, 370), script=script)
    outcome.check_settled()
    quiet = [t for t, tx in outcome.venue.sent if 40e9 < t - origin_ns(outcome) < 50e9 and tx.kind != TxKind.CANCEL]
    assert all(t - origin_ns(outcome) < 40.1e9 for t in quiet)
    outcome.check_reproduced()


# --- Slices ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def book() -> tuple[Any, Any]:
    feed = cut(300, 310)
    decider, _, _ = make_decider(sample()[0], mmlab.Config())
    decider.hear(feed.events[:400].copy())
    assert decider.book[0]["valid"]
    return decider.book, decider.levels


@pytest.mark.parametrize("lots", [1, 7, 500, 10**6, -1, -7, -500, -(10**6)])
@pytest.mark.parametrize("least", [1, 5])
def test_slices_reduce_and_fit_the_book(book: tuple[Any, Any], lots: int, least: int) -> None:
    row, levels = book
    quotes = flatten_slice(lots, row, levels, 5, least)
    if abs(lots) < least:
        assert quotes == ()
        return
    (quote,) = quotes
    assert quote.side * lots < 0
    assert quote.flags == EXIT_FLAGS
    assert least <= quote.size_lots <= abs(lots)
    assert not 0 < abs(lots) - quote.size_lots < least
    best = int(row[0]["bid_ticks"] if lots > 0 else row[0]["ask_ticks"])
    assert quote.price_ticks == best + quote.side * 5
    k = 0 if lots > 0 else 1
    first = int(row[0]["best"][k])
    visible = int(levels[k, first : first + 6].sum())
    assert quote.size_lots <= max(visible, least) or quote.size_lots == abs(lots) < visible + least


def test_no_slice_without_a_book(book: tuple[Any, Any]) -> None:
    row = book[0].copy()
    row["valid"] = 0
    assert flatten_slice(100, row, book[1], 5, 1) == ()


@pytest.mark.parametrize("side", [BID, ASK])
def test_near_liquidation_the_side_that_adds_to_the_position_is_off(side: int) -> None:
    begin_s, end_s = 20.0, 40.0

    async def script(engine: Engine) -> None:
        live = engine.live = LiveWatch()
        await at(engine, begin_s)
        mid = int(engine.decider.book[0]["bid_ticks"])
        live.liquidation_ticks = round(mid * (1 - 0.04 * side))
        await at(engine, end_s)
        live.liquidation_ticks = 0

    config = quick(gates__age_exit__enabled=False, strategy__min_spread_bps=20.0)  # keeps the position
    outcome = play(cut(300, 360), config, make=holding(side), script=script)
    outcome.check_settled()
    origin = origin_ns(outcome)
    placed = {
        (begin_s < (t - origin) / 1e9 < end_s, tx.side) for t, tx in outcome.venue.sent if tx.kind == TxKind.PLACE
    }
    assert {(False, side), (False, -side), (True, side)} - placed == {(True, side)}
    assert [line["action"] for line in outcome.log.of("switch")] == ["pause", "resume"]
    later = {tx.side for t, tx in outcome.venue.sent if (t - origin) / 1e9 > end_s and tx.kind == TxKind.PLACE}
    assert side in later, "it does not come back"
