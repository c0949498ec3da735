"""Where orders are found: by client id, by venue index, by slot; pending and live."""

from __future__ import annotations

from mmlab.orders.order import Order
from mmlab.orders.states import MAY_REST, PENDING, TERMINAL

REMEMBERED = 4096
"""Ended orders kept, so that late reports about them are recognised."""


class OrderMaps:
    """All orders of this life.

    Attributes
    ----------
    known : dict
        Client id -> order, ended ones among the last `REMEMBERED` too.
    working : dict
        Client id -> order that has not ended.
    pending : dict
        Client id -> working order that is not yet live or has something unsettled.
    live : dict
        Venue order index -> working order.
    slots : dict
        Slot -> order that may rest and was born there.
    """

    def __init__(self) -> None:
        self.known: dict[int, Order] = {}
        self.working: dict[int, Order] = {}
        self.pending: dict[int, Order] = {}
        self.live: dict[int, Order] = {}
        self.slots: dict[int, Order] = {}
        self._ended: list[int] = []

    def add(self, order: Order) -> None:
        """Take in a new order, or a new belief about one thought dead."""
        self.known[order.client_id] = order
        self.working[order.client_id] = order
        self.refile(order)

    def refile(self, order: Order) -> None:
        """Put `order` where its state says."""
        state = order.state
        if PENDING[state]:
            self.pending[order.client_id] = order
        else:
            self.pending.pop(order.client_id, None)
        if MAY_REST[state]:
            self.slots.setdefault(order.slot, order)
        elif self.slots.get(order.slot) is order:
            del self.slots[order.slot]
        if TERMINAL[state]:
            self._bury(order)
        elif order.order_index:
            self.live[order.order_index] = order

    def _bury(self, order: Order) -> None:
        self.working.pop(order.client_id, None)
        if self.live.get(order.order_index) is order:
            del self.live[order.order_index]
        self._ended.append(order.client_id)
        if len(self._ended) > 2 * REMEMBERED:
            for client_id in self._ended[:REMEMBERED]:
                if client_id not in self.working:
                    self.known.pop(client_id, None)
            del self._ended[:REMEMBERED]
