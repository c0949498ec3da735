"""Stop-loss and take-profit orders: when they wake, and as what. Pure."""

from __future__ import annotations

from mmlab.paper_server.orders import Order
from mmlab.wire.lighter_terms import OrderType

_EXECUTION = {
    OrderType.STOP_LOSS: OrderType.MARKET,
    OrderType.TAKE_PROFIT: OrderType.MARKET,
    OrderType.STOP_LOSS_LIMIT: OrderType.LIMIT,
    OrderType.TAKE_PROFIT_LIMIT: OrderType.LIMIT,
}
_STOPS = (OrderType.STOP_LOSS, OrderType.STOP_LOSS_LIMIT)


def due(order: Order, mark_ticks: int) -> bool:
    """Whether the mark price has reached the trigger. A stop sells below it or buys above it; a profit the reverse."""
    if order.trigger_status != "mark-price" or not order.trigger_ticks:
        return False
    beyond = order.side * (mark_ticks - order.trigger_ticks) >= 0
    touches = mark_ticks == order.trigger_ticks
    return touches or (beyond if order.type in _STOPS else not beyond)


def execution(kind: int) -> int:
    """The type as which a triggered order is carried out."""
    return int(_EXECUTION.get(OrderType(kind), OrderType(kind)))
