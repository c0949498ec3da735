"""Named accidents that must not happen again."""

from __future__ import annotations

import pytest

from mmlab.exchange import TxKind
from mmlab.orders import Limits
from mmlab.orders import events as e
from mmlab.orders.commands import Anomaly, Filled, Trip
from tests.orders.helpers import (
    ASK,
    BID,
    MS,
    ORDERS,
    START_NS,
    Desk,
    S,
    full_queries,
    of,
    quote,
    sent,
    signed,
)  # fmt: skip


def test_six_accepted_orders_whose_status_poll_fails_stay_tracked():
    desk = Desk()
    quotes = [quote(side, 1000 - side * (1 + rung), rung=rung) for side in (BID, ASK) for rung in range(3)]
    placed = sent(desk.targets(*quotes), TxKind.PLACE, desk)
    assert len(placed) == 6
    for tx in placed:
        desk.ack(tx)
    said = desk.wait(3 * S)  # none shows on the feed: all are asked about
    assert full_queries(said)
    for _ in range(5):
        desk.tell(e.QueryFailed(0, desk.query()[0]))  # network error
    assert {desk.state(tx) for tx in placed} == {"UNKNOWN"}
    assert not sent(desk.targets(*quotes), TxKind.PLACE, desk)  # and no order is doubled
    desk.view(*[desk.live(tx) for tx in placed])
    assert {desk.state(tx) for tx in placed} == {"LIVE"}


def test_the_cancel_half_of_a_replace_seen_first_does_not_double_exposure():
    desk = Desk(replace="cancel_place", limits=Limits(8, 8, 32, collar_bps=1e4))
    (old,) = desk.accept(desk.targets(quote(BID, 999, 5)))
    said = desk.targets(quote(BID, 998, 5))  # 5 + 5 > 8: the old one has to go first
    assert not signed(said, TxKind.PLACE)
    (cancel,) = sent(said, TxKind.CANCEL, desk)
    desk.ack(cancel)
    assert not signed(desk.said, TxKind.PLACE)  # accepted is not canceled
    last = desk.live(desk.signs[desk.order(old).place.tx_id], filled_lots=3, status="canceled", seq=3)
    said = desk.report(last)  # three of its lots had traded: 3 + 5 fit
    assert desk.state(old) == "DRAINING"
    assert desk.om.position_lots == 3
    (new,) = signed(said, TxKind.PLACE)
    assert new.size_lots == 5
    desk.trade(old, 3)
    assert desk.state(old) == "CANCELED"
    assert desk.om.position_lots == 3


def test_a_pair_is_replaced_through_the_free_slot_and_never_beyond_the_limit():
    desk = Desk(replace="cancel_place", limits=Limits(10, 10, 32, collar_bps=1e4))
    (old,) = desk.accept(desk.targets(quote(BID, 999, 5)))
    said = desk.targets(quote(BID, 998, 5))
    (new,) = sent(said, TxKind.PLACE, desk)
    assert not signed(said, TxKind.CANCEL)
    assert not signed(desk.ack(new), TxKind.CANCEL)
    said = desk.report(desk.live(new))
    (cancel,) = sent(said, TxKind.CANCEL, desk)
    assert cancel.client_id == old.client_id


def test_a_late_report_for_an_old_version_does_not_close_the_new_order():
    desk = Desk()
    (old,) = desk.accept(desk.targets(quote(BID, 999, 5)))
    desk.targets()
    gone = e.OrderView(old.client_id, old.order_index, BID, 999, 5, 0, "canceled", 2)
    desk.report(gone)
    (new,) = desk.accept(desk.targets(quote(BID, 999, 5)))
    assert desk.order(new).slot == desk.order(old).slot
    assert new.client_id != old.client_id
    desk.report(gone)
    desk.report(old)
    assert (desk.state(old), desk.state(new)) == ("CANCELED", "LIVE")


def test_a_fill_arriving_before_its_ack():
    desk = Desk()
    (tx,) = sent(desk.targets(quote(ASK, 1001, 5)), TxKind.PLACE, desk)
    desk.trade(desk.live(tx), 2)
    assert (desk.state(tx), desk.om.position_lots) == ("PARTIALLY_FILLED", -2)
    desk.ack(tx)
    desk.report(desk.live(tx))  # from before the fill
    assert desk.state(tx) == "PARTIALLY_FILLED"
    assert desk.order(tx).left_lots == 3


def test_an_ack_for_an_order_already_filled():
    desk = Desk()
    (tx,) = sent(desk.targets(quote(ASK, 1001, 5)), TxKind.PLACE, desk)
    desk.trade(desk.live(tx), 5)
    assert desk.state(tx) == "FILLED"
    assert not of(desk.ack(tx), Anomaly)
    desk.report(desk.live(tx, filled_lots=5, status="filled", seq=2))
    assert (desk.state(tx), desk.om.position_lots) == ("FILLED", -5)


@pytest.mark.parametrize("at", range(5))
def test_a_restart_in_the_middle_of_all_of_these(at):
    """A life ends at one of five moments; the next one finds the orders by their ids alone and trades on."""
    desk = Desk()
    views: list[e.OrderView] = []
    quotes = [quote(side, 1000 - side * (1 + rung), rung=rung) for side in (BID, ASK) for rung in range(2)]
    placed = sent(desk.targets(*quotes), TxKind.PLACE, desk)
    if at >= 1:
        views = [desk.live(tx) for tx in placed]
        desk.report(views[0])
    if at >= 2:
        views[0] = desk.live(placed[0], filled_lots=2, seq=2)
        desk.trade(views[0], 2)
    if at >= 3:
        desk.targets(*quotes[1:])
    if at >= 4:
        views[0] = desk.live(placed[0], filled_lots=2, status="canceled", seq=3)
    again = Desk(start_ns=desk.now_ns + S, ready=False)
    again.nonces = {0: 4, 9: 1}
    again.position, again.last_trade = desk.position, desk.last_trade
    again.epoch = 5
    again.tell(e.LinkUp(0, 5))
    again.tell(e.Top(0, 999, 1001))
    again.targets(*quotes)
    again.view(*[v for v in views if v.status == "open"])
    again.wait(40 * S)
    said = again.view(*[v for v in views if v.status == "open"])
    again.wait(S)
    open_now = {v.client_id for v in views if v.status == "open"}
    ids = {tx.client_id for tx in signed(said + again.said, TxKind.PLACE)}
    assert not ids & {tx.client_id for tx in placed}
    assert open_now <= set(again.om.state.orders.working)
    assert again.om.position_lots == desk.position
    wanted = sum(q.size_lots for q in quotes)
    assert sum(order.left_lots for order in again.om.orders) == wanted


# --- links, doubts ---------------------------------------------------------------------------------------------------


def test_orders_sent_into_a_link_that_drops_are_settled_by_a_view_of_the_next_epoch():
    desk = Desk()
    (tx,) = sent(desk.targets(quote(BID, 999)), TxKind.PLACE, desk)
    desk.tell(e.LinkDown(0, desk.epoch))
    assert desk.state(tx) == "UNKNOWN"
    assert not signed(desk.targets(quote(BID, 998)))  # nothing before a full view
    desk.wait(100 * MS)
    desk.link_up()  # the view does not show it, but it may still be on its way
    assert desk.state(tx) == "UNKNOWN"
    desk.wait(2 * S)
    desk.view()
    assert desk.state(tx) == "CANCELED"


def test_an_answer_of_an_older_link_is_not_a_view():
    desk = Desk()
    query = desk.query()
    desk.tell(e.LinkDown(0, desk.epoch))
    desk.tell(e.LinkUp(0, desk.epoch + 1))
    before = desk.om.state.counts["late_reply"]
    desk.tell(e.Snapshot(0, query[0], desk.epoch, (), (), 0, 7, ()))
    assert desk.om.position_lots == 0
    assert desk.om.state.counts["late_reply"] == before + 1


def test_part_of_a_view_ends_no_order():
    desk = Desk()
    views = desk.accept(desk.targets(quote(BID, 999), quote(ASK, 1001)))
    desk.wait(31 * S)
    desk.view(views[0], complete=False)
    assert {desk.state(view) for view in views} == {"LIVE"}
    desk.wait(S)
    desk.view(views[0])
    assert (desk.state(views[0]), desk.state(views[1])) == ("LIVE", "CANCELED")


def test_a_timeout_ends_no_order():
    desk = Desk()
    (tx,) = sent(desk.targets(quote(BID, 999)), TxKind.PLACE, desk)
    desk.wait(60 * S)
    assert desk.state(tx) == "UNKNOWN"
    assert not signed(desk.targets(quote(BID, 999), quote(ASK, 1001)), TxKind.PLACE)[1:]  # not placed again
    desk.report(desk.live(tx))
    assert desk.state(tx) == "LIVE"


def test_an_unclear_answer_is_not_a_refusal():
    desk = Desk()
    (tx,) = sent(desk.targets(quote(BID, 999)), TxKind.PLACE, desk)
    desk.tell(e.Unclear(0, tx.tx_id, "502"))
    assert desk.state(tx) == "UNKNOWN"
    assert full_queries(desk.wait(S))


def test_a_refused_cancel_is_in_doubt_and_not_repeated_before_news():
    desk = Desk()
    (view,) = desk.accept(desk.targets(quote(BID, 999)))
    (cancel,) = sent(desk.targets(), TxKind.CANCEL, desk)
    said = desk.tell(e.Refused(0, cancel.tx_id, ORDERS))
    assert desk.state(view) == "UNKNOWN"
    assert not signed(said + desk.wait(1 * S))
    desk.view(view)  # it does rest
    said = desk.said + desk.wait(S)
    assert len(sent(said, TxKind.CANCEL, desk)) == 1


def test_a_refused_cancel_of_an_order_that_is_gone():
    desk = Desk()
    (view,) = desk.accept(desk.targets(quote(BID, 999, 5)))
    (cancel,) = sent(desk.targets(), TxKind.CANCEL, desk)
    desk.tell(e.Refused(0, cancel.tx_id, ORDERS))
    desk.wait(S)
    said = desk.view(
        fills=(e.Fill(1, view.client_id, BID, 999, 5, view.order_index),)
    )  # it was filled, and we missed it
    assert desk.state(view) == "FILLED"
    (fill,) = of(said, Filled)
    assert (fill.size_lots, fill.position_lots, desk.om.position_lots) == (5, 5, 5)


def test_canceled_overtakes_its_fill():
    desk = Desk(limits=Limits(8, 8, 32, collar_bps=1e4))
    (view,) = desk.accept(desk.targets(quote(BID, 999, 5)))
    desk.report(e.OrderView(view.client_id, view.order_index, BID, 999, 5, 4, "canceled", 3))
    assert desk.state(view) == "DRAINING"
    assert desk.om.position_lots == 4
    assert not signed(desk.targets(quote(BID, 998, 5)), TxKind.PLACE)  # 4 + 5 > 8
    desk.trade(view, 4)
    assert (desk.state(view), desk.om.position_lots) == ("CANCELED", 4)


def test_a_lost_last_fill_is_found_by_the_periodic_view():
    desk = Desk()
    (view,) = desk.accept(desk.targets(quote(BID, 999, 5)))
    assert full_queries(desk.wait(31 * S))
    desk.view(fills=(e.Fill(1, view.client_id, BID, 999, 5, view.order_index),))
    assert (desk.state(view), desk.om.position_lots) == ("FILLED", 5)


def test_lots_for_which_no_trade_is_ever_shown_are_inferred():
    desk = Desk()
    (view,) = desk.accept(desk.targets(quote(BID, 999, 5)))
    desk.report(e.OrderView(view.client_id, view.order_index, BID, 999, 5, 5, "filled", 3))
    assert desk.state(view) == "DRAINING"
    desk.wait(3 * S)
    desk.position = 5
    said = desk.view()
    assert desk.state(view) == "FILLED"
    assert [(c.trade_id, c.size_lots) for c in of(said, Filled)] == [(0, 5)]
    assert desk.om.position_lots == 5


def test_a_position_that_is_not_ours_halts():
    desk = Desk()
    desk.wait(31 * S)
    desk.position = 3
    said = desk.view()
    assert [(c.switch, c.effect) for c in of(said, Trip)] == [("mismatch", "halted")]
    assert desk.om.position_lots == 3  # the venue is right
    assert not signed(desk.targets(quote(ASK, 1001)))


def test_a_hint_of_another_position_is_looked_into():
    desk = Desk()
    desk.tell(e.PositionReport(0, 4))
    assert full_queries(desk.wait(3 * S))


def test_a_stray_is_adopted_where_it_serves_and_cancelled_where_not():
    old = Desk()
    views = old.accept(old.targets(quote(BID, 999), quote(ASK, 1001)))
    desk = Desk(start_ns=old.now_ns + S, ready=False)
    desk.nonces = dict(old.nonces)
    desk.tell(e.LinkUp(0, 7))
    desk.epoch = 7
    desk.tell(e.Top(0, 999, 1001))
    desk.targets(quote(BID, 999))
    desk.view(*views)
    said = desk.wait(40 * S)
    said += desk.view(*views)
    assert [tx.client_id for tx in sent(said, TxKind.CANCEL, desk)] == [views[1].client_id]
    assert desk.state(views[0]) == "LIVE"
    assert not signed(said, TxKind.PLACE)


def test_a_stray_on_the_feed_stops_placing_until_a_full_view():
    desk = Desk()
    stray = e.OrderView(Desk(ready=False).om.state.ids.next(3, START_NS), 77, ASK, 1005, 5)
    said = desk.report(stray)
    assert [c.kind for c in of(said, Anomaly)] == ["stray"]
    assert full_queries(said + desk.wait(S))
    assert not signed(desk.targets(quote(BID, 999)))
    said = desk.view(stray)
    assert {tx.kind for tx in signed(said)} == {TxKind.PLACE, TxKind.CANCEL}


def test_orders_of_others_are_left_alone():
    desk = Desk()
    desk.wait(31 * S)
    said = desk.view(e.OrderView(4711, 5, ASK, 1001, 5))
    assert not signed(said)
    assert not desk.om.orders
