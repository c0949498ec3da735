"""What happens where an order would trade with the account's own. Pure.

An own order is reached when the newcomer is larger than all that stands before it: the recorded levels at better
prices, and what is ahead of it at its own. Own orders are not part of the recorded book, so nothing is traded with
them; the mode decides which of the two goes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from mmlab.paper_server.book import Book
from mmlab.paper_server.orders import Order
from mmlab.simulator.exchange import Resting
from mmlab.wire.lighter_terms import SelfTrade, TimeInForce


@dataclass(slots=True)
class Collision:
    """What must be done. ``reduced``: own order -> its new total size; ``less_lots``: what the newcomer loses."""

    expired: list[int] = field(default_factory=list)
    reduced: dict[int, int] = field(default_factory=dict)
    less_lots: int = 0
    stops: bool = False
    """The newcomer ends there, having taken `before_lots`."""
    before_lots: int = 0


def collide(
    order: Order, own: Mapping[int, Order], live: Callable[[], Mapping[int, Resting]], book: Book
) -> Collision | None:
    """What `order` does to the account's resting orders; None: it reaches none of them."""
    crossed = [one for index, one in own.items() if index != order.index and _crosses(order, one)]
    if not crossed:
        return None
    resting = live()
    crossed = sorted((one for one in crossed if one.index in resting), key=lambda one: order.side * one.ticks)
    found = Collision()
    for one in crossed:
        before = book.lots_before(one.side, one.ticks) + int(resting[one.index].ahead_lots)
        left = order.leaves_lots - found.less_lots
        if left <= before and order.time_in_force != TimeInForce.POST_ONLY:
            break
        if order.self_trade == SelfTrade.REDUCE:
            lots = min(left - before, one.leaves_lots)
            found.less_lots += lots
            if lots == one.leaves_lots:
                found.expired.append(one.index)
            else:
                found.reduced[one.index] = one.lots - lots
            continue
        if order.self_trade != SelfTrade.EXPIRE_TAKER:
            found.expired.append(one.index)
        if order.self_trade in (SelfTrade.EXPIRE_TAKER, SelfTrade.EXPIRE_BOTH):
            found.stops, found.before_lots = True, before
            break
        if order.time_in_force == TimeInForce.POST_ONLY:
            break
    return found if found.expired or found.reduced or found.stops else None


def _crosses(order: Order, one: Order) -> bool:
    return one.side == -order.side and order.side * (order.ticks - one.ticks) >= 0
