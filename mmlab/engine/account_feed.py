"""The account feed as events of the order manager. Pure."""

from __future__ import annotations

from mmlab.exchange import FillUpdate, Linked, Message, OrderUpdate, PositionUpdate, Unlinked
from mmlab.orders import events as e


def event_of(message: Message, now_ns: int) -> e.AnyEvent | None:
    """What the order manager hears of a message; None if it is not about orders."""
    if isinstance(message, OrderUpdate):
        return e.OrderReport(now_ns, message.order, message.exch_ns)
    if isinstance(message, FillUpdate):
        return e.Trade(now_ns, message.fill)
    if isinstance(message, PositionUpdate):
        return e.PositionReport(now_ns, message.position_lots)
    if isinstance(message, Linked):
        return e.LinkUp(now_ns, message.epoch)
    if isinstance(message, Unlinked):
        return e.LinkDown(now_ns, message.epoch)
    return None
