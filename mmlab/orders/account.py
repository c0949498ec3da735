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
        self._later: dict[int, tuple[int, int, int]] = {}  # trade id -> client id, signed lots, when we heard of it
        self._later_lots = 0

    def has(self, trade_id: int) -> bool:
        """Whether this trade is counted already."""
        return trade_id <= self.watermark or trade_id in self._later

    def book(self, trade_id: int, client_id: int, signed_lots: int, now_ns: int) -> None:
        """Count a trade not counted yet."""
        self._later[trade_id] = client_id, signed_lots, now_ns
        self._later_lots += signed_lots

    def rebase(self, last_trade_id: int, position_lots: int) -> int:
        """Take the venue's position after trade `last_trade_id`; returns venue minus ours, 0 the first time."""
        covered = [trade_id for trade_id in self._later if trade_id <= last_trade_id]
        lots = sum(self._later.pop(trade_id)[1] for trade_id in covered)
        off = position_lots - self.base_lots - lots if self.known else 0
        self._later_lots -= lots
        self.base_lots, self.watermark, self.known = position_lots, last_trade_id, True
        return off

    def drop_heard_before(self, asked_ns: int) -> list[int]:
        """Forget trades heard of before a view was asked for that it does not cover: there never were such."""
        bogus = [trade_id for trade_id, (_, _, heard_ns) in self._later.items() if heard_ns < asked_ns]
        self._later_lots -= sum(self._later.pop(trade_id)[1] for trade_id in bogus)
        return bogus

    def forget(self) -> None:
        """What we counted cannot be true: the next view tells all."""
        self.watermark, self.known = 0, False
        self._later.clear()
        self._later_lots = 0

    def later_lots(self, client_id: int) -> int:
        """Lots of one order that traded after the last full view."""
        return sum(abs(lots) for owner, lots, _ in self._later.values() if owner == client_id)

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
