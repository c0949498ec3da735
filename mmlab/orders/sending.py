"""Signed payloads leave in nonce order, each after a last look."""

from __future__ import annotations

from mmlab.exchange import TxKind
from mmlab.orders.commands import Send
from mmlab.orders.exposure import Exposure
from mmlab.orders.limits import Gate, book_objection, objection
from mmlab.orders.nonces import Key
from mmlab.orders.order import Order, Tx
from mmlab.orders.planner import Place
from mmlab.orders.replies import withdraw
from mmlab.orders.state import State, advance
from mmlab.orders.states import Step


def send_signed(s: State) -> None:
    """Send what is signed and next in line; one that has become wrong while it was signed is given up instead."""
    for key in s.keys.ring:
        while key.unsent and key.unsent[0].signed:
            tx = key.unsent[0]
            if still_right(s, tx):
                send(s, key, tx)
            else:
                s.counts["withdrawn"] += 1
                withdraw(s, tx)


def send(s: State, key: Key, tx: Tx) -> None:
    """Hand over one payload."""
    key.leave(tx)
    tx.sent_ns = s.now_ns
    s.out.append(Send(s.now_ns, tx.tx_id, tx.round))
    times = s.settings.times
    if tx.kind in (TxKind.PLACE, TxKind.MODIFY):
        s.placed_ns = s.now_ns
    for client_id in tx.covers or (tx.client_id,):
        order = s.orders.working.get(client_id)
        if order is None:
            continue
        if tx.kind == TxKind.PLACE:
            advance(s, order, Step.SEND)
            order.sent_ns = s.now_ns
            order.deadline_ns = s.now_ns + (times.ack_ns if s.settings.ack_mode == "strict" else times.open_ns)
        elif order.modify is tx or order.cancel is tx:
            order.deadline_ns = s.now_ns + times.change_ns


def still_right(s: State, tx: Tx) -> bool:
    """Whether a signed payload may still be sent."""
    if tx.kind == TxKind.CANCEL_ALL:
        return True
    order = s.orders.working.get(tx.client_id)
    if order is None:
        return False
    if tx.kind == TxKind.CANCEL:
        return order.cancel is tx
    if tx.kind == TxKind.PLACE:
        return not objection_now(s, tx, order, order.price_ticks, order.size_lots)
    if order.modify is not tx or order.cancel is not None or s.halted:
        return False
    if order.new_price_ticks == order.price_ticks and order.new_size_lots < order.size_lots:
        return order.new_size_lots > order.filled_lots
    return order.aim_lots > 0 and not objection_now(s, tx, order, order.new_price_ticks, order.left_lots)


def objection_now(s: State, tx: Tx, order: Order, price_ticks: int, lots: int) -> str:
    """Weigh an order that is about to leave once more: what changed since it was planned may forbid it.

    Our own other orders can only have become fewer, so they are looked at again only when `risk` says that the rules,
    the position or the list of orders changed.
    """
    gate = gate_of(s)
    if tx.risk == s.risk:
        return gate.closed or book_objection(order.side, price_ticks, order.flags, gate)
    others = [other for other in s.orders.working.values() if other is not order]
    exposure = Exposure(s.position_lots, others)
    return objection(Place(order.side, order.rung, price_ticks, lots, order.flags), exposure, gate)


def gate_of(s: State) -> Gate:
    """What commands are weighed against now."""
    return Gate(s.settings.limits, s.top, s.settings.venue.min_lots, s.reduce_only, closed(s))


def closed(s: State) -> str:
    """Why nothing may be placed at all; "" if it may."""
    if s.halted:
        return "halted"
    if not (s.linked and s.recovered):
        return "not_recovered"
    if s.now_ns < s.ids.opens_ns:
        s.wake_ns = min(s.wake_ns, s.ids.opens_ns)
        return "session_opens"
    if s.now_ns < s.retries.open_until_ns:
        s.wake_ns = min(s.wake_ns, s.retries.open_until_ns)
        return "breaker"
    return ""
