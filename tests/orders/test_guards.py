"""Kill, guards, exits, lost nonces: what must never leave us, and what must."""

from __future__ import annotations

import pytest

from mmlab.exchange import TxKind
from mmlab.orders import Limits, OrderManager, VenueRules
from mmlab.orders import events as e
from mmlab.orders.commands import Anomaly, Halted, Query, Trip
from tests.orders.helpers import (
    ASK,
    BACKOFF,
    BID,
    ERRORS,
    FATAL,
    NONCE,
    SESSION,
    START_NS,
    VENUE,
    Desk,
    S,
    full_queries,
    of,
    quote,
    sent,
    signed,
)  # fmt: skip


@pytest.mark.parametrize("cancel_all", [True, False])
def test_kill_cancels_and_waits_for_proof(cancel_all):
    desk = Desk(VenueRules(flight_ns=S, errors=ERRORS, cancel_keys=(9,), cancel_all=cancel_all))
    views = desk.accept(desk.targets(quote(BID, 999), quote(ASK, 1001)))
    said = desk.tell(e.Kill(0, "test"))
    kinds = [tx.kind for tx in signed(said)]
    assert kinds == ([TxKind.CANCEL_ALL] if cancel_all else [TxKind.CANCEL, TxKind.CANCEL])
    assert all(tx.key == 9 for tx in signed(said))
    for view in views:
        desk.report(e.OrderView(view.client_id, view.order_index, view.side, view.price_ticks, 5, 0, "canceled", 2))
    assert not of(desk.view(), Halted)  # asked for before all that had left must have arrived
    assert of(desk.view(), Halted)


def test_kill_blocks_new_orders_even_when_its_cancels_fail():
    desk = Desk()
    (view,) = desk.accept(desk.targets(quote(BID, 999)))
    (cancel,) = sent(desk.tell(e.Kill(0, "test")), TxKind.CANCEL, desk)
    desk.tell(e.Refused(0, cancel.tx_id, BACKOFF))
    assert not signed(desk.targets(quote(ASK, 1001)), TxKind.PLACE)
    said = desk.wait(5 * S)
    assert sent(said, TxKind.CANCEL, desk)  # tried again
    assert not signed(said, TxKind.PLACE)
    assert desk.state(view) in ("CANCEL_PENDING", "UNKNOWN")


def test_an_order_in_flight_at_a_kill_is_cancelled_when_it_arrives():
    desk = Desk()
    (tx,) = sent(desk.targets(quote(BID, 999)), TxKind.PLACE, desk)
    assert not signed(desk.tell(e.Kill(0, "test")))
    assert sent(desk.report(desk.live(tx)), TxKind.CANCEL, desk)


def test_an_order_being_signed_at_a_kill_never_leaves():
    desk = Desk()
    (tx,) = signed(desk.targets(quote(BID, 999), sign=False))
    desk.tell(e.Kill(0, "test"))
    desk.tell(e.Signed(0, tx.tx_id, tx.round))
    assert desk.state(tx) == "CANCELED"
    desk.tell(e.Rearm(0))
    (again,) = signed(desk.targets(quote(BID, 999)))
    assert again.nonce == tx.nonce  # it never left, so its nonce is free
    assert again.client_id != tx.client_id


def test_cancel_all_clears_the_book_and_the_next_targets_quote_again():
    desk = Desk()
    desk.accept(desk.targets(quote(BID, 999), quote(ASK, 1001)))
    (tx,) = signed(desk.tell(e.CancelAll(0)))
    assert tx.kind == TxKind.CANCEL_ALL
    assert signed(desk.targets(quote(BID, 998)), TxKind.PLACE)


def test_a_refused_cancel_all_is_followed_by_single_cancels():
    desk = Desk()
    desk.accept(desk.targets(quote(BID, 999), quote(ASK, 1001)))
    (tx,) = signed(desk.tell(e.Kill(0)))
    said = desk.tell(e.Refused(0, tx.tx_id, BACKOFF)) + desk.wait(S)
    assert [c.kind for c in sent(said, TxKind.CANCEL, desk)] == [TxKind.CANCEL, TxKind.CANCEL]


def test_a_fatal_code_halts_the_session():
    desk = Desk()
    (tx,) = sent(desk.targets(quote(BID, 999)), TxKind.PLACE, desk)
    said = desk.tell(e.Refused(0, tx.tx_id, SESSION, "bad key"))
    assert [(c.switch, c.effect) for c in of(said, Trip)] == [("session", "halted")]
    assert not signed(desk.targets(quote(BID, 999)))


# --- guards ----------------------------------------------------------------------------------------------------------


def test_a_quote_that_became_crossing_while_signed_does_not_leave():
    desk = Desk()
    first, second = signed(desk.targets(quote(BID, 1000), quote(BID, 998, rung=1), sign=False))
    desk.tell(e.Top(0, 997, 1000))
    said = desk.tell(e.Signed(0, first.tx_id, 0))
    assert desk.state(first) == "CANCELED"
    (anew,) = signed(said, TxKind.PLACE)
    assert (anew.tx_id, anew.nonce, anew.round) == (second.tx_id, first.nonce, 1)  # the nonce moved up
    desk.tell(e.Signed(0, second.tx_id, 0))
    assert desk.state(second) == "SENT"


def test_no_quote_crosses_our_own_other_side():
    desk = Desk()
    desk.accept(desk.targets(quote(BID, 999), quote(ASK, 1001)))
    desk.tell(e.Top(0, 1003, 1005))
    said = desk.targets(quote(BID, 1002), quote(ASK, 1004))
    assert [tx.side for tx in signed(said)] == [ASK]  # the ask has to leave 1001 first
    (modify,) = signed(said)
    ask = desk.order(modify)
    said = desk.report(e.OrderView(ask.client_id, ask.order_index, ASK, 1004, 5, 0, "open", 2))
    assert [tx.side for tx in signed(said)] == [BID]


def test_nothing_is_placed_without_a_book():
    desk = Desk()
    desk.tell(e.Top(0, valid=False))
    assert not signed(desk.targets(quote(BID, 999)))
    assert signed(desk.tell(e.Top(0, 999, 1001)))  # and at once when it is back


def test_three_prices_beyond_the_collar_halt():
    desk = Desk(limits=Limits(100, 100, 32, collar_bps=100.0))
    for price in (900, 901):
        assert not of(desk.targets(quote(BID, price)), Trip)
    assert [c.switch for c in of(desk.targets(quote(BID, 902)), Trip)] == ["collar"]


def test_reduce_only_lets_nothing_grow():
    desk = Desk()
    (view,) = desk.accept(desk.targets(quote(BID, 999, 5)))
    desk.trade(view, 5)
    desk.tell(e.ReduceOnly(0, on=True))
    said = desk.targets(quote(BID, 999, 1), quote(ASK, 1001, 6))
    assert not signed(said)
    (tx,) = signed(desk.targets(quote(ASK, 1001, 5)))
    assert tx.side == ASK


def test_an_exit_waits_until_nothing_of_ours_is_in_its_way_and_goes_once():
    desk = Desk(position=5)
    near, far = desk.accept(desk.targets(quote(BID, 999, 5), quote(BID, 990, 5, rung=1)))
    take = quote(ASK, 998, 3, rung=-1, flags=6)
    said = desk.targets(quote(BID, 990, 5, rung=1), take)
    assert [tx.client_id for tx in signed(said)] == [near.client_id]
    said = desk.report(e.OrderView(near.client_id, near.order_index, BID, 999, 5, 0, "canceled", 2))
    (leave,) = signed(said)
    assert (leave.kind, leave.side, leave.price_ticks, leave.size_lots, leave.flags) == (TxKind.PLACE, ASK, 998, 3, 6)
    desk.report(desk.live(leave, status="canceled", seq=2))
    assert not signed(desk.wait(10 * S))
    assert desk.state(far) == "LIVE"


def test_lost_nonces_rest_one_key_and_not_the_other():
    desk = Desk()
    (view,) = desk.accept(desk.targets(quote(BID, 999)))
    (tx,) = sent(desk.targets(quote(BID, 999), quote(ASK, 1001)), TxKind.PLACE, desk)
    said = desk.tell(e.Refused(0, tx.tx_id, NONCE))
    assert [c.key for c in of(said, Query) if c.what == "nonce"] == [0]
    assert not signed(desk.wait(S), TxKind.PLACE)
    (cancel,) = sent(desk.targets(), TxKind.CANCEL, desk)
    assert cancel.key == 9
    assert cancel.client_id == view.client_id


def test_what_is_not_an_order_of_sense_is_counted_and_ignored():
    desk = Desk()
    (view,) = desk.accept(desk.targets(quote(BID, 999)))
    for bad in (
        e.OrderView(view.client_id, view.order_index, BID, 999, 5, 6),
        e.OrderView(view.client_id, view.order_index, 0, 999, 5),
        e.OrderView(view.client_id, view.order_index, BID, 999, 5, -1),
    ):
        assert [c.kind for c in of(desk.report(bad), Anomaly)] == ["bad_report"]
    desk.tell(e.Trade(0, e.Fill(1, view.client_id, BID, 999, 0)))
    assert desk.om.position_lots == 0
    assert desk.state(view) == "LIVE"


def test_illegal_transitions_are_reported_not_raised():
    desk = Desk()
    (tx,) = sent(desk.targets(quote(BID, 999)), TxKind.PLACE, desk)
    desk.tell(e.Refused(0, tx.tx_id, FATAL))
    said = desk.report(desk.live(tx))
    assert [c.kind for c in of(said, Anomaly)] == ["illegal_transition"]
    assert desk.state(tx) == "REJECTED"
    assert full_queries(said + desk.wait(S))
    said = desk.view(desk.live(tx))  # it does rest: taken on the list and cancelled or kept by plan
    assert desk.state(tx) == "LIVE"


def test_time_never_goes_back():
    desk = Desk()
    om = OrderManager(desk.settings, START_NS)
    om.handle(e.Top(START_NS + S, 999, 1001))
    om.handle(e.Top(START_NS, 999, 1001))
    assert om.state.now_ns == START_NS + S


def test_rules_of_the_venue_are_data():
    assert VENUE.classify(NONCE) == "resync_nonce"
    assert VENUE.classify(12345) == "fatal_order"
