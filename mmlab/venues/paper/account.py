"""What the paper venue knows of us: nonces, client ids, orders, trades, position. Pure.

A refused transaction burns no nonce; an accepted one does, whatever becomes of it. An order has an index, and a ``seq``
that rises with every change. A cancel or modify of an order that is over is accepted and has no effect; one of an order
never seen is refused. A post-only order that would cross is accepted, then reported rejected.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Literal

from mmlab.exchange import (
    AccountMessage,
    AccountView,
    Fill,
    FillUpdate,
    OrderUpdate,
    OrderView,
    PositionUpdate,
    Transaction,
    TxKind,
)
from mmlab.simulator.exchange import Answer, AnswerKind
from mmlab.venues.paper.codes import Code
from mmlab.venues.paper.limits import Bucket, Quota

FIRST_INDEX = 1 << 48
REMEMBERED = 10_000
"""Payloads remembered a key, to notice nonces used twice."""


@dataclass(slots=True)
class VenueOrder:
    """An order as it truly is."""

    index: int
    client_id: int
    side: int
    price_ticks: int
    size_lots: int
    flags: int
    filled_lots: int = 0
    status: Literal["open", "filled", "canceled", "rejected"] = "open"
    seq: int = 0
    reason: int = 0

    def view(self) -> OrderView:
        """As we show it."""
        return OrderView(
            self.client_id, self.index, self.side, self.price_ticks, self.size_lots, self.filled_lots, self.status,
            self.seq, self.reason, self.flags,
        )  # fmt: skip


class Account:
    """One account in one market.

    Attributes
    ----------
    orders : dict of int to VenueOrder
        Open orders, by index.
    trades : list of Fill
        All trades; ``trade_id`` is the place, from 1.
    nonces : dict
        Key -> next nonce.
    fees : float
        Paid so far, settle currency.
    violations : list of str
        What a correct client never does: a client id or a (key, nonce) used twice.
    """

    def __init__(self, keys: tuple[int, ...], min_lots: int, bucket: Bucket, quota: Quota) -> None:
        self.orders: dict[int, VenueOrder] = {}
        self.trades: list[Fill] = []
        self.nonces = dict.fromkeys(keys, 0)
        self.position_lots, self.fees = 0, 0.0
        self.violations: list[str] = []
        self.counts: Counter[str] = Counter()
        self.quota = quota
        self._bucket, self._min_lots = bucket, min_lots
        self._indices: dict[int, int] = {}  # client id -> order index, of all times
        self._payloads: dict[tuple[int, int], bytes] = {}

    def check(
        self, tx: Transaction, data: bytes, now_ns: int, *, inject: int = 0, full: bool = False
    ) -> tuple[int, int]:
        """Code of the refusal (0: accepted, and the nonce is burned) and how long to wait.

        `inject`: refuse with this code what is otherwise right. `full`: no more orders fit.
        """
        code = self._wrong(tx, data) or inject
        if code:
            return code, 0
        if tx.kind == TxKind.PLACE and full:
            return Code.TOO_MANY_ORDERS, 0
        wait_ns = self._bucket.wait_ns(tx.kind, now_ns)
        if wait_ns:
            return Code.RATE_LIMITED, wait_ns
        if not self.quota.spend(tx.kind):
            return Code.NO_QUOTA, 0
        self._burn(tx, data)
        return 0, 0

    def _wrong(self, tx: Transaction, data: bytes) -> int:
        if tx.key not in self.nonces:
            return Code.UNKNOWN_KEY
        if self._payloads.get((tx.key, tx.nonce), data) != data:
            self.violations.append(f"nonce {tx.nonce} of key {tx.key} with other content: {tx}")
        if tx.nonce != self.nonces[tx.key]:
            return Code.BAD_NONCE
        if not self._possible(tx):
            return Code.BAD_REQUEST
        if tx.kind == TxKind.PLACE and tx.client_id in self._indices:
            self.violations.append(f"client id {tx.client_id} again: {tx}")
            return Code.CLIENT_ID_USED
        if tx.kind in (TxKind.MODIFY, TxKind.CANCEL) and self.index_of(tx) is None:
            return Code.UNKNOWN_ORDER
        return 0

    def _possible(self, tx: Transaction) -> bool:
        if tx.kind in (TxKind.CANCEL, TxKind.CANCEL_ALL):
            return True
        right = tx.price_ticks > 0 and tx.size_lots > 0
        return right and (tx.kind == TxKind.MODIFY or (abs(tx.side) == 1 and tx.size_lots >= self._min_lots))

    def _burn(self, tx: Transaction, data: bytes) -> None:
        self.nonces[tx.key] += 1
        self._payloads[tx.key, tx.nonce] = data
        self._payloads.pop((tx.key, tx.nonce - REMEMBERED), None)

    def skip_nonce(self, key: int) -> None:
        """The counter jumps."""
        self.nonces[key] += 1

    def index_of(self, tx: Transaction) -> int | None:
        """Index of the order that a transaction means, open or over; None: never seen."""
        if tx.order_index:
            return tx.order_index if FIRST_INDEX < tx.order_index <= FIRST_INDEX + len(self._indices) else None
        return self._indices.get(tx.client_id)

    def open(self, tx: Transaction) -> VenueOrder:
        """A new order gets its index."""
        order = VenueOrder(
            FIRST_INDEX + 1 + len(self._indices), tx.client_id, tx.side, tx.price_ticks, tx.size_lots, tx.flags
        )
        self._indices[tx.client_id] = order.index
        self.orders[order.index] = order
        return order

    def fail(self, order: VenueOrder, exch_ns: int) -> AccountMessage:
        """An accepted order fails before it reached the book."""
        return self._changed(order, exch_ns, "rejected")

    def apply(self, answer: Answer, pieces: list[int] | None = None) -> list[AccountMessage]:
        """Something happened to an order; what the account feed says of it. `pieces`: a fill in several trades."""
        order = self.orders[answer.order_id]
        if answer.kind == AnswerKind.FILLED:
            messages: list[AccountMessage] = []
            for lots in pieces or [answer.size_lots]:
                messages += self._fill(order, answer, lots)
            return messages
        order.reason = answer.reason
        if answer.kind in (AnswerKind.ACCEPTED, AnswerKind.MODIFIED):
            order.price_ticks, order.size_lots = answer.price_ticks, answer.size_lots
            return [self._changed(order, answer.exch_ns)]
        new = answer.kind == AnswerKind.REJECTED and order.seq == 0
        return [self._changed(order, answer.exch_ns, "rejected" if new else "canceled")]

    def _changed(
        self, order: VenueOrder, exch_ns: int, status: Literal["open", "filled", "canceled", "rejected"] = "open"
    ) -> OrderUpdate:
        order.seq += 1
        order.status = status
        if status != "open":
            del self.orders[order.index]
            self.counts[status] += 1
        return OrderUpdate(order.view(), exch_ns)

    def _fill(self, order: VenueOrder, answer: Answer, lots: int) -> list[AccountMessage]:
        order.filled_lots += lots
        order.reason = 0
        self.position_lots += order.side * lots
        self.fees += answer.fee * lots / answer.size_lots
        self.quota.earn(answer.price_ticks, lots)
        fill = Fill(
            len(self.trades) + 1, order.client_id, order.side, answer.price_ticks, lots, order.index, answer.taker,
            answer.exch_ns,
        )  # fmt: skip
        self.trades.append(fill)
        whole = order.filled_lots >= order.size_lots
        update = self._changed(order, answer.exch_ns, "filled" if whole else "open")
        return [FillUpdate(fill), update, PositionUpdate(self.position_lots)]

    def view(self, since_trade_id: int) -> AccountView:
        """The account as it is."""
        return AccountView(
            tuple(order.view() for order in self.orders.values()), tuple(self.trades[max(0, since_trade_id) :]),
            len(self.trades), self.position_lots, tuple(self.nonces.items()), quota_left=self.quota.left,
        )  # fmt: skip

    def crosses_own(self, side: int, price_ticks: int) -> bool:
        """Whether an order would cross one of ours. The exchange lets it: it knows recorded orders, not whose."""
        return any(
            order.side == -side and side * (price_ticks - order.price_ticks) >= 0 for order in self.orders.values()
        )
