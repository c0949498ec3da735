"""Our position: the venue's at the last full view, plus what traded since.

A full view replaces the base with the venue's own figure, so errors cannot pile up; that the two agree before the
replacement is the check for a mismatch. Trades are told apart by their ids, which rise at the venue: one at or below
the watermark is in the base already, whenever it arrives.
"""

from __future__ import annotations

from collections.abc import Iterable

from mmlab.orders.order import Order


class Account:
    """Position in lots, and which trades it contains."""

    def __init__(self) -> None:
        self.base_lots = 0
        self.watermark = 0
        self.known = False  # a full view was seen
        self._later: dict[int, tuple[int, int]] = {}  # trade id -> client id, signed lots
        self._later_lots = 0

    def has(self, trade_id: int) -> bool:
        """Whether this trade is counted already."""
        return trade_id <= self.watermark or trade_id in self._later

    def book(self, trade_id: int, client_id: int, signed_lots: int) -> None:
        """Count a trade not counted yet."""
        self._later[trade_id] = client_id, signed_lots
        self._later_lots += signed_lots

    def rebase(self, last_trade_id: int, position_lots: int) -> int:
        """Take the venue's position after trade `last_trade_id`; returns venue minus ours, 0 the first time."""
        if last_trade_id < self.watermark:
            return 0
        covered = [trade_id for trade_id in self._later if trade_id <= last_trade_id]
        lots = sum(self._later.pop(trade_id)[1] for trade_id in covered)
        off = position_lots - self.base_lots - lots if self.known else 0
        self._later_lots -= lots
        self.base_lots, self.watermark, self.known = position_lots, last_trade_id, True
        return off

    def later_lots(self, client_id: int) -> int:
        """Lots of one order that traded after the last full view."""
        return sum(abs(lots) for owner, lots in self._later.values() if owner == client_id)

    @property
    def traded_lots(self) -> int:
        """Position by trades."""
        return self.base_lots + self._later_lots


def position_of(account: Account, orders: Iterable[Order]) -> int:
    """Position in lots: by trades, and by what orders report filled whose trades are still to come."""
    lots = account.traded_lots
    for order in orders:
        if order.reported_lots > order.traded_lots:
            lots += order.side * (order.reported_lots - order.traded_lots)
    return lots
