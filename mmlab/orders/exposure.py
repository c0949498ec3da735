"""The worst case: what the position could become on each side if everything that may rest were filled."""

from __future__ import annotations

from collections.abc import Iterable

from mmlab.events import ASK, BID
from mmlab.orders.order import Order
from mmlab.orders.states import MAY_REST

FAR = 1 << 62
"""A price nobody quotes, in ticks."""


class Exposure:
    """Running worst case while commands are weighed, one entry a side.

    Attributes
    ----------
    lots : dict
        Side -> side * position + lots of that side that may still trade.
    resting_lots : dict
        Side -> lots of that side that may still trade.
    nearest : dict
        Side -> price of ours nearest to the other side, as ``side * ticks``; ``-FAR`` if none.
    orders : int
        Orders that may rest.
    """

    __slots__ = ("lots", "nearest", "orders", "position_lots", "resting_lots")

    def __init__(self, position_lots: int, orders: Iterable[Order]) -> None:
        self.position_lots = position_lots
        self.resting_lots = {BID: 0, ASK: 0}
        self.nearest = {BID: -FAR, ASK: -FAR}
        self.orders = 0
        for order in orders:
            if MAY_REST[order.state]:
                self.add(order.side, order.nearest_ticks, order.left_lots)
        resting = self.resting_lots
        self.lots = {BID: position_lots + resting[BID], ASK: resting[ASK] - position_lots}

    def add(self, side: int, price_ticks: int, lots: int) -> None:
        """Count one more order (before `lots` exists, only while building)."""
        self.resting_lots[side] += lots
        self.orders += 1
        self.nearest[side] = max(self.nearest[side], side * price_ticks)

    def grow(self, side: int, price_ticks: int, lots: int, *, new: bool) -> None:
        """Count a command let through: `lots` more on `side`, at `price_ticks`."""
        self.add(side, price_ticks, lots)
        self.orders -= not new
        self.lots[side] += lots

    def crosses_own(self, side: int, price_ticks: int) -> bool:
        """Whether an order would cross or lock one of ours on the other side."""
        return side * price_ticks >= -self.nearest[-side]
