"""Each fill rule of `terms.md`, Replay fidelity, on a tape of a few rows whose outcome was worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mmlab.events import FillKind, Kind, OrderReason, OrderState
from mmlab.kernels.policy import records
from mmlab.simulator import Latency, build_tape
from mmlab.simulator.replay import _first_sim
from mmlab.simulator.requests import reducible_lots
from tests.simulator.tapes import (
    ASK,
    BID,
    INSTRUMENT,
    Feed,
    filled,
    life,
    makers,
    ms,
    parameters,
    run,
)

QUEUE, THROUGH, CROSS, TAKER = (int(k) for k in (FillKind.QUEUE, FillKind.THROUGH, FillKind.CROSS, FillKind.TAKER))
SENT, LIVE, PARTIAL = int(OrderState.SENT), int(OrderState.LIVE), int(OrderState.PARTIALLY_FILLED)
FILLED, CANCELED, REJECTED = int(OrderState.FILLED), int(OrderState.CANCELED), int(OrderState.REJECTED)
CANCELING, MODIFYING = int(OrderState.CANCEL_PENDING), int(OrderState.MODIFY_PENDING)
SELLER, BUYER = ASK, BID
BID_999 = [(0, BID, 999, 5)]
"""A bid at the best price: decided at 1 ms, at the exchange at 6 ms, known to rest at 11 ms."""


def test_joins_behind_the_size_displayed_when_it_arrives():
    # 10 at the decision, 14 at arrival
    feed = Feed().book().depth(5, (BID, 999, 14)).trade(20, SELLER, 999, 14).trade(21, SELLER, 999, 2).wait(60)
    assert filled(run(feed, BID_999)) == [(21, BID, 999, 2, QUEUE)]


def test_a_size_displayed_after_arrival_is_behind_us():
    feed = Feed().book().depth(7, (BID, 999, 30)).trade(20, SELLER, 999, 10).trade(21, SELLER, 999, 2).wait(60)
    assert filled(run(feed, BID_999)) == [(21, BID, 999, 2, QUEUE)]


def test_trades_at_the_price_reduce_what_is_ahead():
    feed = Feed().book().trade(20, SELLER, 999, 4).trade(21, SELLER, 999, 5).trade(22, SELLER, 999, 3).wait(60)
    assert filled(run(feed, BID_999)) == [(22, BID, 999, 2, QUEUE)]


def test_a_trade_before_arrival_does_not_count():
    feed = Feed().book().trade(5, SELLER, 999, 4).trade(20, SELLER, 999, 9).trade(21, SELLER, 999, 2).wait(60)
    assert filled(run(feed, BID_999)) == [(21, BID, 999, 1, QUEUE)]


def test_trades_of_buyers_do_not_reach_a_bid():
    feed = Feed().book().trade(20, BUYER, 999, 40).trade(21, BUYER, 990, 40).wait(60)
    assert filled(run(feed, BID_999)) == []


def test_ahead_is_capped_by_the_displayed_size():
    feed = Feed().book().depth(15, (BID, 999, 3)).trade(20, SELLER, 999, 3).trade(21, SELLER, 999, 1).wait(60)
    assert filled(run(feed, BID_999)) == [(21, BID, 999, 1, QUEUE)]


def test_nothing_ahead_is_filled_by_the_next_trade():
    feed = Feed().book().depth(15, (BID, 999, 0)).trade(20, SELLER, 999, 1).wait(60)
    assert filled(run(feed, BID_999)) == [(20, BID, 999, 1, QUEUE)]
    assert filled(run(feed, BID_999, partial_fills=False)) == [(20, BID, 999, 5, QUEUE)]


def test_depth_alone_never_fills():
    feed = Feed().book().depth(15, (BID, 999, 0)).depth(20, (BID, 999, 8)).depth(25, (BID, 999, 0)).wait(60)
    assert filled(run(feed, BID_999)) == []


def test_a_trade_through_the_price_fills_up_to_its_size_or_whole():
    feed = Feed().book().trade(20, SELLER, 998, 2).wait(60)
    assert filled(run(feed, BID_999)) == [(20, BID, 999, 2, THROUGH)]
    assert filled(run(feed, BID_999, partial_fills=False)) == [(20, BID, 999, 5, THROUGH)]


def test_after_a_trade_through_nothing_is_ahead():
    feed = Feed().book().trade(20, SELLER, 998, 2).trade(21, SELLER, 999, 1).wait(60)
    assert filled(run(feed, BID_999)) == [(20, BID, 999, 2, THROUGH), (21, BID, 999, 1, QUEUE)]


def test_only_trades_through_fill_with_through_only():
    feed = Feed().book().trade(20, SELLER, 999, 30).trade(22, SELLER, 998, 1).depth(24, (BID, 999, 0), (ASK, 999, 9))
    result = run(feed.wait(60), BID_999, through_only=True, fill_on_cross=True)
    assert filled(result) == [(22, BID, 999, 1, THROUGH)]


def test_our_rungs_share_a_trade_by_price():
    # 15 lots at 998: 3 for the better price, 10 were ahead at 998, 2 are left
    feed = Feed().book().trade(20, SELLER, 998, 15).wait(22)
    result = run(feed, [(0, BID, 999, 3), (0, BID, 998, 4)])
    assert filled(result) == [(20, BID, 999, 3, THROUGH), (20, BID, 998, 2, QUEUE)]
    assert set(result.fills["hit_id"]) == {1}


def test_our_orders_at_one_price_share_a_trade_by_time():
    # rung 1 rests at 997 from 6 ms; rung 0 comes there at 36 ms, behind 12
    feed = Feed().book().depth(25, (BID, 997, 12)).wait(30)
    feed.trade(50, SELLER, 997, 12).trade(51, SELLER, 997, 5).wait(53)
    phases = [(0, BID, 999, 3), (0, BID, 997, 4), (30, BID, 997, 3), (30, BID, 996, 4)]
    result = run(feed, phases, changes={"execution.refresh_tolerance_ticks": 2})
    assert filled(result) == [(50, BID, 997, 2, QUEUE), (51, BID, 997, 2, QUEUE), (51, BID, 997, 3, QUEUE)]
    assert result.fills["rung"].tolist() == [1, 1, 0]


def test_the_opposite_best_at_our_price_fills_only_with_fill_on_cross():
    feed = Feed().book().depth(20, (BID, 999, 0), (ASK, 999, 2)).wait(60)
    assert filled(run(feed, BID_999)) == []
    assert filled(run(feed, BID_999, fill_on_cross=True)) == [(20, BID, 999, 5, CROSS)]


def test_inside_the_spread_nothing_is_ahead():
    feed = Feed().book().trade(20, SELLER, 1000, 2).trade(21, BUYER, 1000, 50).wait(60)
    assert filled(run(feed, [(0, BID, 1000, 5)])) == [(20, BID, 1000, 2, QUEUE)]


@pytest.mark.parametrize("queue", ["risk_averse", "power", "log"])
def test_a_trade_and_its_depth_decrease_are_netted_once(queue):
    # 10 ahead and 10 behind; 4 trade and the level falls by 4: 6 are ahead
    feed = Feed().book().depth(10, (BID, 999, 20)).trade(20, SELLER, 999, 4).depth(20, (BID, 999, 16))
    assert filled(run(feed.trade(22, SELLER, 999, 8).wait(60), BID_999, queue=queue)) == [(22, BID, 999, 2, QUEUE)]


@pytest.mark.parametrize(
    ("queue", "exponent", "share"),
    [
        ("power", 1.0, 10 / 30),
        ("power", 2.0, 100 / 500),
        ("power", 3.0, 1000 / 9000),
        ("log", 3.0, math.log(11) / (math.log(11) + math.log(21))),
        ("risk_averse", 3.0, 0.0),
    ],
)
def test_a_share_of_cancellations_is_ahead(queue, exponent, share):
    # 10 ahead, 20 behind, 9 are canceled; then 12 trade
    feed = Feed().book().depth(10, (BID, 999, 30)).depth(12, (BID, 999, 21)).trade(20, SELLER, 999, 12).wait(60)
    result = run(feed, BID_999, queue=queue, queue_exponent=exponent)
    assert filled(result) == [(20, BID, 999, math.floor(2 + 9 * share + 1e-9), QUEUE)]


@pytest.mark.parametrize(("queue", "lots"), [("l3", 3), ("risk_averse", 1)])
def test_order_by_order_the_cancellations_of_who_was_there_before_are_ahead(queue, lots):
    feed = Feed()
    for order_id, (at, side, ticks, size) in enumerate(
        [(0, BID, 999, 6), (0, BID, 999, 4), (0, ASK, 1001, 10), (8, BID, 999, 5), (9, BID, 999, 20)], start=1
    ):
        feed.add(at, Kind.ADD, side, ticks, size, order_id)
    feed.add(10, Kind.CANCEL, BID, 999, 5, 4).add(12, Kind.CANCEL, BID, 999, 2, 1)
    feed.add(20, Kind.EXECUTE, BID, 999, 4, 1).add(21, Kind.EXECUTE, BID, 999, 4, 2)
    feed.add(22, Kind.EXECUTE, BID, 999, 3, 5).wait(60)
    assert filled(run(feed, BID_999, queue=queue)) == [(22, BID, 999, lots, QUEUE)]


def test_post_only_is_judged_when_the_order_arrives():
    feed = Feed().book().depth(3, (BID, 999, 0), (ASK, 999, 3)).wait(60)
    result = run(feed, BID_999)
    assert life(result, 0) == [(1, SENT, 0), (11, REJECTED, OrderReason.POST_ONLY_WOULD_CROSS)]
    assert filled(result) == []
    assert result.counters["rejects"] == 1


def test_without_post_only_it_takes_what_is_there_and_the_rest_rests():
    feed = Feed().book().depth(3, (BID, 999, 0), (ASK, 999, 3)).trade(10, SELLER, 999, 1).wait(12)
    result = run(feed, BID_999, changes={"execution.post_only": False})
    assert filled(result) == [(6, BID, 999, 3, TAKER), (10, BID, 999, 1, QUEUE)]
    size, price = 0.1, 999 * 0.5
    np.testing.assert_allclose(result.fills["fee"], [5e-4 * 3 * size * price, 2e-4 * size * price], rtol=1e-12)
    assert result.fills["liquidity"].tolist() == [1, 0]


def test_a_cancel_that_comes_too_late_is_refused():
    feed = Feed().book().depth(10, (BID, 999, 0)).wait(15).trade(20, SELLER, 999, 5).wait(60)
    result = run(feed, [*BID_999, (15, BID, 999, 0)])
    assert life(result, 0) == [
        (1, SENT, 0), (11, LIVE, 0), (16, CANCELING, 0), (25, FILLED, 0), (26, FILLED, OrderReason.TOO_LATE),
    ]  # fmt: skip
    assert result.counters["refused"] == 1
    assert result.position_lots == 5


def test_a_cancel_in_time_leaves_nothing_to_fill():
    feed = Feed().book().wait(15).trade(22, SELLER, 998, 5).wait(60)
    result = run(feed, [*BID_999, (15, BID, 999, 0)])
    assert life(result, 0) == [(1, SENT, 0), (11, LIVE, 0), (16, CANCELING, 0), (26, CANCELED, 0)]
    assert filled(result) == []


@pytest.mark.parametrize(
    ("ticks", "lots", "expected"),
    [
        (999, 3, [(40, BID, 999, 1, QUEUE), (41, BID, 999, 2, QUEUE)]),  # keeps its place: 10 ahead
        (999, 7, [(41, BID, 999, 2, QUEUE)]),  # larger: behind 30
        (1000, 5, [(40, BID, 1000, 5, THROUGH)]),  # moved
    ],
)
def test_a_modify_keeps_the_place_when_only_the_size_falls(ticks, lots, expected):
    feed = Feed().book().depth(10, (BID, 999, 30)).wait(15).trade(40, SELLER, 999, 11).trade(41, SELLER, 999, 21)
    result = run(feed.wait(43), [*BID_999, (15, BID, ticks, lots)])
    assert filled(result) == expected
    assert life(result, 0)[:4] == [(1, SENT, 0), (11, LIVE, 0), (16, MODIFYING, 0), (26, LIVE, 0)]
    assert result.counters["modifies"] == 1


def test_cancel_place_replaces_an_order_by_another():
    feed = Feed().book().wait(15).wait(30).wait(60)
    result = run(feed, [*BID_999, (15, BID, 999, 3)], changes={"execution.replace": "cancel_place"})
    assert life(result, 0) == [(1, SENT, 0), (11, LIVE, 0), (16, CANCELING, 0), (26, CANCELED, 0)]
    assert life(result, 1)[:2] == [(26, SENT, 0), (36, LIVE, 0)]


EXIT = {
    "gates.age_exit.enabled": True, "gates.age_exit.age_s": 0.02, "gates.age_exit.adverse_ticks": 0.0,
    "gates.age_exit.adverse_bps": 0.0, "gates.age_exit.fraction": 1.0, "gates.age_exit.depth_fraction": 1.0,
    "gates.age_exit.max_slippage_ticks": 2.0, "gates.age_exit.exit_budget_bps": 10_000.0, "risk.flat_band": 0.0,
}  # fmt: skip


def long_12() -> Feed:
    """12 lots bought at 999 at 12 ms, heard at 17; then the mid falls to 998.5."""
    return Feed().book().depth(10, (BID, 999, 0)).trade(12, SELLER, 999, 12).depth(30, (ASK, 999, 10))


def test_an_exit_walks_the_levels_and_pays_the_taker_fee():
    result = run(long_12().wait(60), [(0, BID, 999, 12), (15, BID, 999, 0)], changes=EXIT)
    exits = result.fills[1:]
    assert [fill[1:] for fill in filled(result)[1:]] == [(ASK, 998, 10, TAKER), (ASK, 997, 2, TAKER)]
    assert (exits["exch_ns"] == exits["exch_ns"][0]).all() and 42 <= ms(exits["exch_ns"][0]) < 50
    assert exits["rung"].tolist() == [-1, -1] and len(set(exits["hit_id"])) == 1
    np.testing.assert_allclose(exits["fee"], [5e-4 * 1.0 * 499.0, 5e-4 * 0.2 * 498.5], rtol=1e-12)
    assert result.position_lots == 0


def test_what_an_exit_does_not_get_at_once_is_canceled():
    feed = long_12().depth(40, (BID, 998, 3), (BID, 997, 0), (BID, 996, 0)).wait(60)
    result = run(feed, [(0, BID, 999, 12), (15, BID, 999, 0)], changes=EXIT)
    assert [fill[1:] for fill in filled(result)[1:]] == [(ASK, 998, 3, TAKER)]
    end = result.orders[result.orders["rung"] == -1][-1]
    assert (end["state"], end["reason"], end["filled_lots"]) == (CANCELED, OrderReason.IOC_REMAINDER, 3)
    assert result.position_lots == 9


def test_fees_of_makers_linear_and_inverse():
    feed = Feed().book().trade(20, SELLER, 998, 3).wait(60)
    assert run(feed, BID_999).fills["fee"][0] == pytest.approx(2e-4 * 0.3 * 499.5, rel=1e-12)
    inverse = INSTRUMENT.with_(contract="inverse", contract_size=100.0, lot_size=1.0, min_size=1.0, maker_fee_bps=-1.0)
    result = run(feed, BID_999, instrument=inverse)
    assert result.fills["fee"][0] == pytest.approx(-1e-4 * 3 * 100 / 499.5, rel=1e-12)
    assert makers(result)


@pytest.mark.parametrize(
    ("latency", "bid_ms", "ask_ms"),
    [
        (Latency((2, 8), (3, 11)), 1 + 2 + 3, 1 + 8 + 11),
        (Latency(5, 5, scale=2.0), 21, 21),
        (Latency(0, 0, resample=True), 3, 3),  # every row of the feed took 1 ms
        (Latency(4, 0, resample=True), 7, 7),
    ],
)
def test_latency_of_entry_and_response(latency, bid_ms, ask_ms):
    result = run(Feed().book().wait(60), [(0, BID, 998, 5), (0, ASK, 1002, 5)], latency=latency)
    assert life(result, 0)[:2] == [(1, SENT, 0), (bid_ms, LIVE, 0)]
    assert life(result, 1)[:2] == [(1, SENT, 0), (ask_ms, LIVE, 0)]


def test_mid_before_is_that_of_the_last_book_strictly_before_the_fill():
    feed = Feed().book().depth(20, (BID, 999, 0), (BID, 998, 0)).trade(20, SELLER, 998, 2).trade(21, SELLER, 998, 1)
    feed.rows.sort(key=lambda row: (row[1], row[2] != Kind.TRADE))
    result = run(feed.wait(60), BID_999)
    assert result.fills["mid"].tolist() == [500.0, (997 + 1001) / 2 * 0.5]


def test_mid_before_does_not_depend_on_what_is_heard_first():
    feed = Feed().book().depth(20, (BID, 999, 0), (BID, 998, 0)).add(20, Kind.TRADE, SELLER, 998, 2, heard_ms=4)
    assert run(feed.wait(60), BID_999).fills["mid"].tolist() == [500.0]


def test_mid_before_is_nan_while_the_book_is_unusable():
    feed = Feed().book().add(15, Kind.GAP).trade(17, SELLER, 998, 2).wait(60)
    assert np.isnan(run(feed, BID_999).fills["mid"]).all()


def test_a_hit_is_one_side_at_one_time():
    feed = Feed().book().trade(20, SELLER, 998, 1).trade(20, SELLER, 998, 1).trade(20, BUYER, 1002, 1)
    result = run(feed.trade(21, SELLER, 998, 1).wait(60), [*BID_999, (0, ASK, 1001, 5)])
    assert result.fills["hit_id"].tolist() == [1, 1, 2, 3]
    assert result.counters["hits"] == 3


def test_a_gap_pulls_the_quotes_until_the_snapshot_ends():
    feed = Feed().book().add(20, Kind.GAP).add(40, Kind.SNAPSHOT_BEGIN).depth(40, (BID, 999, 7), (ASK, 1001, 7))
    result = run(feed.add(40, Kind.SNAPSHOT_END).wait(60), BID_999)
    assert life(result, 0) == [(1, SENT, 0), (11, LIVE, 0), (21, CANCELING, 0), (31, CANCELED, 0)]
    assert life(result, 1)[0] == (41, SENT, 0)
    assert result.counters["gaps"] == 1


def test_a_level_that_a_snapshot_does_not_name_is_empty():
    feed = Feed().book().add(20, Kind.SNAPSHOT_BEGIN).depth(20, (BID, 998, 7), (ASK, 1001, 7))
    feed.add(20, Kind.SNAPSHOT_END).trade(22, SELLER, 999, 1).wait(60)
    assert filled(run(feed, BID_999)) == [(22, BID, 999, 1, QUEUE)]


def test_the_end_of_the_feed_cancels_what_works():
    result = run(Feed().book().wait(60), BID_999)
    assert life(result, 0) == [(1, SENT, 0), (11, LIVE, 0), (61, CANCELED, OrderReason.END_OF_FEED)]


def test_a_request_after_the_last_book_row():
    """The exchange looks for book rows where there are none; once it read past the end of its tables."""
    for extra in range(10):
        feed = Feed().book().trade(1, BUYER, 1900, 1)
        for _ in range(extra):
            feed.trade(3, BUYER, 1900, 1)
        assert life(run(feed, BID_999), 0)[-1][1] == CANCELED


def test_an_empty_feed_and_one_row():
    assert len(run(Feed(), BID_999).orders) == 0
    assert len(run(Feed().depth(0, (BID, 999, 1)), BID_999).orders) == 0


@pytest.mark.parametrize(("position", "resting", "room"), [(5, 0, 5), (5, 3, 2), (5, 7, -2), (0, 0, 0), (-5, 0, 0)])
def test_a_reduce_only_order_may_take_what_the_position_and_resting_orders_leave(position, resting, room):
    """No replay shows it: `decide` never wants more than that, so the exchange's own clip is asked directly."""
    tape = build_tape(Feed().book().events)
    sim, kept = _first_sim(tape, parameters([]), (np.zeros((2, 1), np.int64), np.zeros((2, 1), np.int64)))
    sim["position_lots"] = position
    for name, value in {"live": 1, "side": ASK, "leaves_lots": resting}.items():
        kept["places"][name][2] = value
    assert reducible_lots(records(sim)[0], ASK, 0) == room
