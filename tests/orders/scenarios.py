"""Named scenarios, for golden replays."""

from __future__ import annotations

from mmlab.exchange import TxKind
from mmlab.orders import Limits
from mmlab.orders import events as e
from mmlab.orders.commands import Send, Sign
from tests.orders.helpers import ASK, BACKOFF, BID, FATAL, MS, NONCE, NOW, ORDERS, Desk, S, quote, sent, signed

LADDER = [quote(side, 1000 - side * (1 + rung), rung=rung) for side in (BID, ASK) for rung in range(3)]


def stack(mid: int, lots: int = 5) -> list[e.Quote]:
    return [quote(side, mid - side * (1 + rung), lots, rung) for side in (BID, ASK) for rung in range(3)]


def changed(desk: Desk, tx: Sign, seq: int) -> e.OrderView:
    """What the feed shows after a modify or cancel."""
    order = desk.order(tx)
    if tx.kind == TxKind.CANCEL:
        return e.OrderView(
            order.client_id, order.order_index, order.side, order.price_ticks, order.size_lots, order.filled_lots,
            "canceled", seq,
        )  # fmt: skip
    return e.OrderView(
        order.client_id, order.order_index, order.side, tx.price_ticks, tx.size_lots, order.filled_lots, "open", seq
    )


def settle(desk: Desk, said: list, seq: int = 10) -> None:
    """The venue does all that was sent, until nothing more is."""
    while said:
        desk.now_ns += 5 * MS
        transactions = [desk.signs[c.tx_id] for c in said if type(c).__name__ == "Send"]
        said = []
        for tx in transactions:
            said += desk.ack(tx)
            view = desk.live(tx) if tx.kind == TxKind.PLACE else changed(desk, tx, seq)
            said += desk.report(view)
        seq += 1


def answer(desk: Desk) -> list:
    """Answer what was asked; nothing rests."""
    said = []
    for query_id, (key, _) in list(desk.om.state.queries.items()):
        said += desk.tell(e.NonceReport(0, query_id, key, desk.nonces[key]))
    return said + (desk.view() if desk.om.state.query is not None else [])


def quiet_market() -> Desk:
    desk = Desk()
    settle(desk, desk.targets(*LADDER))
    for _ in range(3):
        desk.now_ns += 100 * MS
        desk.tell(e.Top(0, 999, 1001))
        settle(desk, desk.targets(*LADDER))
    desk.wait(31 * S)
    desk.view(*[desk.live(desk.signs[o.place.tx_id], o.order_index) for o in desk.om.orders])
    desk.wait(S)
    return desk


def trend() -> Desk:
    desk = Desk()
    settle(desk, desk.targets(*LADDER))
    for step in range(1, 6):
        desk.now_ns += 200 * MS
        desk.tell(e.Top(0, 999 + step, 1001 + step))
        settle(desk, desk.targets(*stack(1000 + step)), 10 + 10 * step)
    return desk


def trend_by_pairs() -> Desk:
    desk = Desk(replace="cancel_place")
    settle(desk, desk.targets(*LADDER))
    for step in range(1, 4):
        desk.now_ns += 200 * MS
        desk.tell(e.Top(0, 999 - step, 1001 - step))
        settle(desk, desk.targets(*stack(1000 - step)), 10 + 10 * step)
    return desk


def gap() -> Desk:
    desk = Desk()
    settle(desk, desk.targets(*LADDER))
    desk.tell(e.Top(0, valid=False))
    settle(desk, desk.targets())
    desk.targets(*LADDER)
    desk.wait(S)
    settle(desk, desk.tell(e.Top(0, 999, 1001)))
    return desk


def partial_fill_then_cancel() -> Desk:
    desk = Desk(limits=Limits(8, 8, 32, collar_bps=1e4))
    (view,) = desk.accept(desk.targets(quote(BID, 999, 5)))
    desk.trade(view, 2)
    (cancel,) = sent(desk.targets(), TxKind.CANCEL, desk)
    desk.report(e.OrderView(view.client_id, view.order_index, BID, 999, 5, 4, "canceled", 4))
    desk.ack(cancel)
    desk.targets(quote(BID, 998, 5), quote(ASK, 1002, 5))
    desk.trade(view, 2)
    desk.trade(view, 2, desk.last_trade)  # a duplicate
    return desk


def reject_storm() -> Desk:
    desk = Desk()
    for n, code in enumerate(
        (NOW, NOW, BACKOFF, FATAL, BACKOFF, ORDERS, BACKOFF, BACKOFF, BACKOFF, FATAL, BACKOFF, NOW)
    ):
        said = desk.targets(quote(BID, 999 - n % 3), quote(ASK, 1001 + n % 2))
        for _ in range(3):
            for tx in [desk.signs[c.tx_id] for c in said if type(c) is Send]:
                desk.tell(e.Refused(0, tx.tx_id, code))
            said = answer(desk) + desk.wait(300 * MS)
    desk.wait(20 * S)
    return desk


def nonce_gap() -> Desk:
    desk = Desk()
    said = desk.targets(*LADDER[:3])
    first, second, third = sent(said, TxKind.PLACE, desk)
    desk.tell(e.Refused(0, second.tx_id, NONCE))
    desk.tell(e.Refused(0, third.tx_id, NONCE))
    desk.wait(500 * MS)
    desk.ack(first)
    desk.report(desk.live(first))
    (query,) = desk.om.state.queries
    desk.tell(e.NonceReport(0, query, 0, first.nonce + 1))
    desk.wait(S)
    return desk


def reconnect_mid_flight() -> Desk:
    desk = Desk()
    views = desk.accept(desk.targets(*LADDER[:2]))
    said = desk.targets(quote(BID, 999), quote(BID, 997, rung=1), quote(ASK, 1001))
    assert {tx.kind for tx in signed(said)} == {TxKind.MODIFY, TxKind.PLACE}
    desk.tell(e.LinkDown(0, desk.epoch))
    desk.wait(500 * MS)
    desk.nonces[0] += 1
    desk.link_up()
    desk.view(views[0], e.OrderView(views[1].client_id, views[1].order_index, BID, 997, 5, 0, "open", 2))
    desk.wait(S)
    desk.view(views[0], e.OrderView(views[1].client_id, views[1].order_index, BID, 997, 5, 0, "open", 2))
    desk.wait(S)
    return desk


def kill_switch() -> Desk:
    desk = Desk()
    views = desk.accept(desk.targets(*LADDER))
    said = desk.tell(e.Kill(0, "drawdown"))
    (tx,) = signed(said, TxKind.CANCEL_ALL)
    desk.ack(tx)
    for view in views[:4]:
        desk.report(e.OrderView(view.client_id, view.order_index, view.side, view.price_ticks, 5, 0, "canceled", 2))
    desk.targets(*LADDER)
    desk.wait(3 * S)  # two reports are lost
    desk.view()
    desk.view()
    desk.tell(e.Rearm(0))
    desk.targets(*LADDER[:1])
    return desk


def crash_and_start() -> Desk:
    old = Desk()
    views = old.accept(old.targets(*LADDER))
    old.trade(views[0], 2)
    desk = Desk(start_ns=old.now_ns + S, ready=False, position=2)
    desk.nonces, desk.epoch, desk.last_trade = dict(old.nonces), 3, 1
    desk.tell(e.LinkUp(0, 3))
    desk.tell(e.Top(0, 999, 1001))
    desk.targets(*LADDER[:2])
    left = [e.OrderView(views[0].client_id, views[0].order_index, BID, 999, 5, 2, "open", 2), *views[1:]]
    desk.view(*left)
    desk.view(*left)
    desk.wait(35 * S)
    return desk


SCENARIOS = {
    scenario.__name__: scenario
    for scenario in (
        quiet_market, trend, trend_by_pairs, gap, partial_fill_then_cancel, reject_storm, nonce_gap,
        reconnect_mid_flight, kill_switch, crash_and_start,
    )
}  # fmt: skip
