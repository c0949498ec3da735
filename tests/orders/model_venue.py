"""The truth: what really rests at the venue, what really traded, and what the venue was ever asked.

Executes what reaches it, keeps nonces, refuses and rejects as venues do, and raises `Violation` the moment it is asked
for something that must never happen.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from mmlab.exchange import Fill, OrderView, QuotaRule, RateRule, TxKind
from mmlab.orders.commands import Sign
from mmlab.orders.ids import unpack
from mmlab.orders.quota import TokenBucket, VolumeQuota, cost_of

NOW, BACKOFF, NONCE, ORDERS, FATAL_ORDER, FATAL_SESSION = range(1, 7)
"""Codes of the model venue."""


class Violation(AssertionError):
    """An invariant is broken; ``name`` says which."""

    def __init__(self, name: str, text: str = "") -> None:
        super().__init__(f"{name}: {text}")
        self.name = name


@dataclass(slots=True)
class VenueOrder:
    """An order as it truly is."""

    index: int
    client_id: int
    side: int
    price: int
    size: int
    post_only: bool
    priority: int
    filled: int = 0
    status: str = "open"
    seq: int = 1
    reason: int = 0

    @property
    def left(self) -> int:
        return self.size - self.filled

    def view(self) -> OrderView:
        return OrderView(
            self.client_id, self.index, self.side, self.price, self.size, self.filled, self.status, self.seq
        )


@dataclass(slots=True)
class Venue:
    """The model venue. What happens is appended to `feed`: order views and fills, in true order."""

    keys: tuple[int, ...]
    modify_keeps_queue: bool = True
    accepts_dead: bool = False  # a cancel of a dead order is accepted without effect
    bid: int = 1000
    ask: int = 1002
    orders: dict[int, VenueOrder] = field(default_factory=dict)  # by index
    position: int = 0
    trades: list[Fill] = field(default_factory=list)
    nonces: dict[int, int] = field(default_factory=dict)
    feed: list[OrderView | Fill] = field(default_factory=list)
    payloads: dict[tuple[int, int], tuple] = field(default_factory=dict)  # (key, nonce) -> bytes not refused
    placed: dict[int, tuple] = field(default_factory=dict)  # client id -> bytes
    counter: int = 1 << 48
    bucket: TokenBucket = field(default_factory=lambda: TokenBucket(RateRule()))
    quota: VolumeQuota = field(default_factory=lambda: VolumeQuota(QuotaRule()))
    now_ns: int = 0

    def __post_init__(self) -> None:
        self.nonces = dict.fromkeys(self.keys, 0)

    # --- the two doors ----------------------------------------------------------------------------------------------

    def receive(self, tx: Sign, inject: int = 0) -> int:
        """The API node: 0 if accepted, else a code. `inject`: refuse with this code if it is otherwise right."""
        payload = (tx.kind, tx.client_id, tx.side, tx.price_ticks, tx.size_lots, tx.flags)
        seen = self.payloads.get((tx.key, tx.nonce))
        if seen is not None and seen != payload:
            raise Violation("nonce_reuse", f"{(tx.key, tx.nonce)}: {seen} then {payload}")
        if tx.nonce != self.nonces[tx.key]:
            return NONCE
        if tx.kind == TxKind.PLACE and self.placed.get(tx.client_id, payload) != payload:
            raise Violation("client_id_reuse", f"{unpack(tx.client_id)}")
        if inject:
            return inject
        weight = cost_of(self.bucket.rule.weights, tx.kind)
        if self.bucket.tokens(self.now_ns) < weight or self.quota.when(tx.kind, self.now_ns) > self.now_ns:
            return BACKOFF
        if tx.kind in (TxKind.CANCEL, TxKind.MODIFY) and not self.accepts_dead and self.find(tx) is None:
            return ORDERS
        self.bucket.take(weight, self.now_ns)
        self.quota.spend(tx.kind, self.now_ns)
        self.nonces[tx.key] += 1
        self.payloads[tx.key, tx.nonce] = payload
        if tx.kind == TxKind.PLACE:
            self.placed[tx.client_id] = payload
        return 0

    def execute(self, tx: Sign, *, fail: bool = False, silent: bool = False) -> None:
        """The sequencer. `fail`: it fails there, with or without a word."""
        if tx.kind == TxKind.PLACE:
            self.place(tx, fail=fail, silent=silent)
        elif tx.kind == TxKind.CANCEL_ALL:
            for order in self.mine():
                self.end(order, "canceled")
        elif not fail:
            order = self.find(tx)
            if order is not None and tx.kind == TxKind.CANCEL:
                self.end(order, "canceled")
            elif order is not None:
                self.modify(order, tx)

    # --- book -------------------------------------------------------------------------------------------------------

    def mine(self) -> list[VenueOrder]:
        return [order for order in self.orders.values() if order.status == "open"]

    def find(self, tx: Sign) -> VenueOrder | None:
        for order in self.orders.values():
            if order.client_id == tx.client_id and order.status == "open":
                return order
        return None

    def crosses_market(self, side: int, price: int) -> bool:
        return side * price >= side * (self.ask if side > 0 else self.bid)

    def check_own(self, side: int, price: int) -> None:
        for other in self.mine():
            if other.side == -side and side * price >= side * other.price:
                raise Violation("self_cross", f"{side} at {price} against ours at {other.price}")

    def place(self, tx: Sign, *, fail: bool, silent: bool) -> None:
        self.counter += 1
        order = VenueOrder(
            self.counter, tx.client_id, tx.side, tx.price_ticks, tx.size_lots, bool(tx.flags & 1), self.counter
        )
        if fail:
            order.status = "rejected"
            if not silent:
                self.feed.append(order.view())
            return
        self.check_own(tx.side, tx.price_ticks)
        self.orders[order.index] = order
        if tx.flags & 2:  # IOC: the market gives it all or nothing
            if self.crosses_market(order.side, order.price):
                self.fill(order, order.size)
            else:
                self.end(order, "canceled")
        elif self.crosses_market(order.side, order.price):
            self.end(order, "canceled")
        else:
            self.feed.append(order.view())

    def modify(self, order: VenueOrder, tx: Sign) -> None:
        if tx.size_lots <= order.filled or self.crosses_market(order.side, tx.price_ticks):
            self.end(order, "canceled")
            return
        self.check_own(order.side, tx.price_ticks)
        keeps = self.modify_keeps_queue and tx.price_ticks == order.price and tx.size_lots <= order.size
        if not keeps:
            self.counter += 1
            order.priority = self.counter
        order.price, order.size = tx.price_ticks, tx.size_lots
        order.seq += 1
        self.feed.append(order.view())

    def end(self, order: VenueOrder, status: str) -> None:
        order.status = status
        order.seq += 1
        self.feed.append(order.view())

    def fill(self, order: VenueOrder, lots: int) -> None:
        lots = min(lots, order.left)
        order.filled += lots
        order.seq += 1
        if order.left == 0:
            order.status = "filled"
        self.position += order.side * lots
        fill = Fill(len(self.trades) + 1, order.client_id, order.side, order.price, lots, order.index)
        self.trades.append(fill)
        self.quota.earn(order.price, lots)
        self.feed.append(fill)
        self.feed.append(order.view())

    def take(self, side: int, lots: int) -> None:
        """A taker hits our `side` by price and time."""
        queue = sorted((o for o in self.mine() if o.side == side), key=lambda o: (-side * o.price, o.priority))
        for order in queue:
            if lots <= 0:
                return
            taken = min(lots, order.left)
            lots -= taken
            self.fill(order, taken)

    def market(self, bid: int, spread: int) -> None:
        """The rest of the market moves; what of ours stands in its way is filled."""
        self.bid, self.ask = bid, bid + spread
        for order in self.mine():
            if self.crosses_market(order.side, order.price):
                self.fill(order, order.left)

    def forget_ended(self) -> None:
        """Keep the model small."""
        if len(self.orders) > 200:
            self.orders = {index: order for index, order in self.orders.items() if order.status == "open"}
