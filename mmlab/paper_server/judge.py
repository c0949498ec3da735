"""Whether a transaction is accepted. An accepted one has used its nonce, whatever becomes of it. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from mmlab.events import NS_PER_MS
from mmlab.paper_server.book import Book
from mmlab.paper_server.ledger import Account, Key
from mmlab.paper_server.orders import Order
from mmlab.paper_server.transactions import (
    CancelAllOrders,
    CancelOrder,
    ChangePubKey,
    CreateGroupedOrders,
    CreateOrder,
    ModifyOrder,
    OrderInfo,
    Received,
    Refusal,
    Tx,
    UpdateLeverage,
    UpdateMargin,
)
from mmlab.wire.lighter_terms import (
    ALL_MARKETS,
    MAX_NONCE,
    MAX_ORDER_EXPIRY_NS,
    MAX_ORDERS,
    MAX_ORDERS_PER_MARKET,
    MAX_SCHEDULE_NS,
    MIN_MARGIN_FRACTION,
    MIN_ORDER_EXPIRY_NS,
    MIN_SCHEDULE_NS,
    NONCE_TEXT,
    QUOTA_TYPES,
    SIZE_OF_FRACTION,
    Attribute,
    CancelAll,
    Code,
    OrderType,
    TimeInForce,
)

TOO_MANY = 429


@dataclass(frozen=True, slots=True)
class Rules:
    """What the market and the server ask of orders."""

    market_id: int
    min_lots: int
    min_quote: int
    """Ticks x lots."""
    min_schedule_ns: int = MIN_SCHEDULE_NS
    min_expiry_ns: int = MIN_ORDER_EXPIRY_NS
    fat_finger: float = 0.05
    """Share of the price; 0: no check."""


class Judge:
    """Judges transactions against what the server knows."""

    def __init__(self, rules: Rules, accounts: dict[int, Account], book: Book) -> None:
        self.rules, self._accounts, self._book = rules, accounts, book

    def admit(self, batch: list[Received], now_ns: int) -> Account:
        """Check everything of a batch, then use its nonces and quota; all or nothing.

        Raises
        ------
        Refusal
            Nothing was changed.
        """
        first = batch[0].tx
        account = self._accounts.get(first.account_index)
        if account is None:
            raise Refusal(Code.ACCOUNT_NOT_FOUND, f"account not found: {first.account_index}")
        key = self._key(account, first)
        nonce = key.nonce
        clients: set[int] = set()
        for n, received in enumerate(batch):
            tx = received.tx
            if (tx.account_index, tx.api_key_index) != (first.account_index, first.api_key_index):
                raise Refusal(Code.MIXED_KEYS, "transactions of a batch must have one account and one api key")
            if tx.expired_at * NS_PER_MS <= now_ns:
                raise Refusal(Code.EXPIRY, "transaction expired: ExpiredAt has passed")
            nonce = _next_nonce(tx, nonce, first=n == 0)
            self._check(account, key, tx, now_ns, clients)
        if not account.quota.spend(sum(one.tx_type in QUOTA_TYPES for one in batch), now_ns):
            raise Refusal(Code.TOO_MANY_REQUESTS, "not enough volume quota", TOO_MANY)
        key.nonce, key.used_ns = nonce, now_ns
        account.pending_clients |= clients
        account.pending += sum(isinstance(one.tx, CreateOrder) for one in batch)
        return account

    def _key(self, account: Account, tx: Tx) -> Key:
        key = account.keys.get(tx.api_key_index)
        if key is None and isinstance(tx, ChangePubKey):
            return account.keys.setdefault(tx.api_key_index, Key(""))
        if key is None:
            raise Refusal(Code.KEY_NOT_FOUND, f"api key not found: {tx.api_key_index}")
        return key

    def _check(self, account: Account, key: Key, tx: Tx, now_ns: int, clients: set[int]) -> None:
        if isinstance(tx, CreateOrder):
            self._check_market(tx.market_index)
            self._check_new(account, key, tx, now_ns, clients)
        elif isinstance(tx, CreateGroupedOrders):
            for order in tx.orders:
                self._check_market(order.market_index)
                self._check_client(account, order.client_order_index, clients)
        elif isinstance(tx, CancelOrder):
            self._check_market(tx.market_index)
            if not account.knows(tx.index):
                raise Refusal(Code.CANCEL_OF_INACTIVE, "order to cancel does not exist")
        elif isinstance(tx, ModifyOrder):
            self._check_modify(account, key, tx)
        elif isinstance(tx, CancelAllOrders):
            self._check_cancel_all(account, tx, now_ns)
        elif isinstance(tx, UpdateLeverage):
            self._check_market(tx.market_index)
            if not MIN_MARGIN_FRACTION <= tx.initial_margin_fraction <= SIZE_OF_FRACTION:
                raise Refusal(Code.BAD_TX_INFO, "invalid initial margin fraction")
        elif isinstance(tx, UpdateMargin):
            self._check_market(tx.market_index)

    def _check_market(self, market_id: int) -> None:
        if market_id != self.rules.market_id:
            raise Refusal(Code.MARKET_INDEX, f"invalid market index: the paper server has {self.rules.market_id} only")

    def _check_client(self, account: Account, client: int, clients: set[int]) -> None:
        if client and (client in account.by_client or client in account.pending_clients or client in clients):
            raise Refusal(Code.CLIENT_INDEX_EXISTS, "client order index already exists")
        if client:
            clients.add(client)

    def _check_new(
        self, account: Account, key: Key, tx: CreateOrder | OrderInfo, now_ns: int, clients: set[int]
    ) -> None:
        self._check_client(account, tx.client_order_index, clients)
        if key.maker_only and tx.time_in_force != TimeInForce.POST_ONLY:
            raise Refusal(Code.MAKER_ONLY, "maker-only api key: post-only orders only")
        if tx.order_expiry:
            ahead_ns = tx.order_expiry * NS_PER_MS - now_ns
            if not self.rules.min_expiry_ns <= ahead_ns <= MAX_ORDER_EXPIRY_NS:
                raise Refusal(Code.EXPIRY, "invalid order expiry: too near or too far")
        live = len(account.orders) + account.pending + len(clients)
        if live > MAX_ORDERS:
            raise Refusal(Code.MAX_ORDERS, "maximum number of orders of the account")
        if live > MAX_ORDERS_PER_MARKET:
            raise Refusal(Code.MAX_ORDERS_MARKET, "maximum number of orders in the market")
        side = -1 if tx.is_ask else 1
        if tx.reduce_only and tx.type in (OrderType.LIMIT, OrderType.MARKET) and account.position.lots * side >= 0:
            raise Refusal(Code.REDUCE_ONLY, "reduce-only order would increase the position")
        self._check_value(tx.base_amount, tx.price, reduce_only=bool(tx.reduce_only))
        if tx.type == OrderType.LIMIT:
            self._check_finger(side, tx.price)
            maker = tx.time_in_force != TimeInForce.IOC
            if maker and not tx.reduce_only and not account.affords(self._book.mark, side, tx.base_amount):
                raise Refusal(Code.MARGIN, "not enough margin")

    def _check_value(self, lots: int, ticks: int, *, reduce_only: bool) -> None:
        if reduce_only:
            return
        if lots < self.rules.min_lots or lots * ticks < self.rules.min_quote:
            raise Refusal(Code.TOO_SMALL, "invalid order base or quote amount: below the market's least")

    def _check_finger(self, side: int, ticks: int) -> None:
        """Buys far above the market, or sells far below it."""
        share, mark = self.rules.fat_finger, self._book.mark
        if not share or not mark:
            return
        best = self._book.best_ask if side > 0 else self._book.best_bid
        near = mark if best is None else min(mark, best) if side > 0 else max(mark, best)
        if side * (ticks - near) > share * near:
            raise Refusal(Code.FAT_FINGER, "order price too far from the market (fat finger)")

    def _check_modify(self, account: Account, key: Key, tx: ModifyOrder) -> None:
        self._check_market(tx.market_index)
        if not account.knows(tx.index):
            raise Refusal(Code.INACTIVE_ORDER, "order to modify does not exist")
        order = account.find(tx.index)
        if order is None:
            return
        if key.maker_only and order.time_in_force != TimeInForce.POST_ONLY:
            raise Refusal(Code.MAKER_ONLY, "maker-only api key: post-only orders only")
        self._check_value(tx.base_amount, tx.price, reduce_only=order.reduce_only)
        self._check_finger(order.side, tx.price)
        self._check_bigger(account, order, tx.base_amount)

    def _check_bigger(self, account: Account, order: Order, lots: int) -> None:
        more = lots - order.lots
        if more > 0 and not order.reduce_only and not account.affords(self._book.mark, order.side, more):
            raise Refusal(Code.MARGIN, "not enough margin")

    def _check_cancel_all(self, account: Account, tx: CancelAllOrders, now_ns: int) -> None:
        if tx.time_in_force == CancelAll.IMMEDIATE:
            market_id = tx.attribute(Attribute.CANCEL_ALL_MARKET, ALL_MARKETS)
            if market_id != ALL_MARKETS:
                self._check_market(market_id)
        elif tx.time_in_force == CancelAll.SCHEDULED:
            if account.cancel_all_ns:
                raise Refusal(Code.SCHEDULED_EXISTS, "a scheduled cancel all exists: abort it first")
            ahead_ns = tx.time * NS_PER_MS - now_ns
            if not self.rules.min_schedule_ns <= ahead_ns <= MAX_SCHEDULE_NS:
                raise Refusal(Code.CANCEL_ALL_TIME, "invalid cancel all time: too near or too far")


def _next_nonce(tx: Tx, expected: int, *, first: bool) -> int:
    """The nonce after this transaction's."""
    skips = tx.attribute(Attribute.SKIP_NONCE)
    if tx.nonce == expected or (skips and expected < tx.nonce < MAX_NONCE):
        return tx.nonce + 1
    if first:
        raise Refusal(Code.INVALID_NONCE, f"{NONCE_TEXT}: expected {expected}, got {tx.nonce}")
    raise Refusal(Code.NONCE_NOT_INCREASING, f"{NONCE_TEXT}: not consecutive, expected {expected}, got {tx.nonce}")
