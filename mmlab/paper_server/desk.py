"""What accepted transactions do, and what the market does to orders. Pure: time is an argument.

Order of things at an instant: orders meet the recording (fills), then the recording's trades are told, then fundings,
expiries, scheduled cancel-alls and triggers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from mmlab.events import NEVER_NS, NS_PER_MS, OrderReason, TargetFlag
from mmlab.paper_server.changes import News
from mmlab.paper_server.clock import ServerClock
from mmlab.paper_server.exchange import AccountExchange
from mmlab.paper_server.frames import TxView
from mmlab.paper_server.ledger import Account
from mmlab.paper_server.market import Market
from mmlab.paper_server.orders import Order, block_at
from mmlab.paper_server.selftrade import Collision, collide
from mmlab.paper_server.trades import Tape
from mmlab.paper_server.transactions import (
    CancelAllOrders,
    CancelOrder,
    ChangePubKey,
    CreateGroupedOrders,
    CreateOrder,
    ModifyOrder,
    OrderInfo,
    Received,
    UpdateAccountConfig,
    UpdateLeverage,
    UpdateMargin,
    public_key_hex,
)
from mmlab.paper_server.triggers import due, execution
from mmlab.paper_server.units import MICRO, Units
from mmlab.simulator.exchange import Answer, AnswerKind
from mmlab.wire.lighter_terms import MIN_ORDER_INDEX, Attribute, CancelAll, OrderStatus, OrderType, TimeInForce

Pieces = Callable[[int], list[int]]


class Desk:
    """Accounts at the recorded market.

    Parameters
    ----------
    market : Market
    accounts : dict of int to Account
    units : Units
    clock : ServerClock
        Turns market time into wall time; it is not read here.
    market_id : int
    first_id : int
        Of trades and orders; every later one is larger.
    queue : str
        Queue model of the exchanges.

    Attributes
    ----------
    news : News
        To be told; the server empties it.
    pieces : callable
        Cuts a fill into trades.
    """

    def __init__(
        self,
        market: Market,
        accounts: dict[int, Account],
        units: Units,
        clock: ServerClock,
        market_id: int,
        first_id: int,
        queue: str,
    ) -> None:
        self.market, self.accounts, self.units, self.clock = market, accounts, units, clock
        self.market_id, self.symbol, self.news = market_id, market.instrument.symbol, News()
        self.tape = Tape(units, market_id, self.symbol, first_id)
        self.next_order, self._queue = first_id, queue
        self.sequence = 0
        self.pieces: Pieces = lambda lots: [lots]
        self._exchanges: dict[int, AccountExchange] = {}
        self._expires_ns = NEVER_NS
        self._touched_at: dict[int, Collision] = {}

    # --- Time --------------------------------------------------------------------------------------------------------

    def advance(self, now_ns: int) -> None:
        """Take everything up to a wall time."""
        market_ns = self.clock.market_ns(now_ns)
        while self.market.lap_over(market_ns):
            self._take(self.market.end_ns)
            for account in self.accounts.values():
                self.cancel_all(account, self.clock.wall_ns(self.market.end_ns))
            self.market.begin_again()
            for exchange in self._exchanges.values():
                exchange.rewind(self.market.shift_ns)
        self._take(market_ns)
        self._by_the_clock(now_ns)

    def _take(self, market_ns: int) -> None:
        for index, exchange in self._exchanges.items():
            if not exchange.idle:
                self._settle(self.accounts[index], exchange.advance(market_ns))
        prints, fundings = self.market.take(market_ns)
        for one in prints:
            trade = self.tape.recorded(one, self.clock.wall_ns(one.exch_ns))
            if trade is not None:
                self.news.trades.append(trade)
        if prints:
            self.tape.forget(prints[-1].exch_ns)
        for _, mark, rate in fundings:
            for account in self.accounts.values():
                if account.book_funding(mark, rate):
                    self.news.of(account.index).money = True

    def _by_the_clock(self, now_ns: int) -> None:
        """Expiries, scheduled cancel-alls, triggers."""
        for account in self.accounts.values():
            if account.cancel_all_ns and now_ns >= account.cancel_all_ns:
                account.cancel_all_ns = 0
                self.cancel_all(account, now_ns)
        if now_ns >= self._expires_ns:
            self._expire(now_ns)
        mark = self.market.book.mark
        for account in self.accounts.values():
            for order in [o for o in account.orders.values() if due(o, mark)] if mark else ():
                order.type, order.trigger_status, order.status = execution(order.type), "na", OrderStatus.OPEN
                self._enter(account, order, now_ns)

    def _expire(self, now_ns: int) -> None:
        self._expires_ns = NEVER_NS
        for account in self.accounts.values():
            for order in list(account.orders.values()):
                if order.expiry_ns and now_ns >= order.expiry_ns:
                    self._remove(account, order, now_ns, OrderStatus.CANCELED_EXPIRED)
                elif order.expiry_ns:
                    self._expires_ns = min(self._expires_ns, order.expiry_ns)

    # --- Transactions ------------------------------------------------------------------------------------------------

    def execute(self, received: Received, now_ns: int, *, fails: bool = False) -> None:
        """What an accepted transaction does; with `fails` nothing, but that it is told so."""
        tx = received.tx
        account = self.accounts[tx.account_index]
        if isinstance(tx, CreateOrder):
            account.pending -= 1
            self._create(account, tx, received, now_ns, fails=fails)
        elif isinstance(tx, CreateGroupedOrders):
            self._group(account, tx, received, now_ns, fails=fails)
        elif fails:
            pass
        elif isinstance(tx, CancelOrder):
            order = account.find(tx.index)
            if order is not None:
                self._remove(account, order, now_ns, OrderStatus.CANCELED)
        elif isinstance(tx, ModifyOrder):
            self._modify(account, tx, now_ns)
        elif isinstance(tx, CancelAllOrders):
            self._cancel_all(account, tx, now_ns)
        else:
            self._configure(account, tx)
        self._told(account, received, now_ns, fails=fails)

    def _told(self, account: Account, received: Received, now_ns: int, *, fails: bool) -> None:
        tx = received.tx
        self.sequence += 1
        view = TxView(
            hash=received.hash, type=received.tx_type, info=received.info, event_info="{}", status=0 if fails else 2,
            transaction_index=0, l1_address=account.l1_address, account_index=account.index, nonce=tx.nonce,
            expire_at=tx.expired_at, block_height=block_at(now_ns), queued_at=received.at_ns // NS_PER_MS,
            executed_at=now_ns // NS_PER_MS, sequence_index=self.sequence, parent_hash="",
            api_key_index=tx.api_key_index, transaction_time=now_ns // 1000,
        )  # fmt: skip
        account.txs.append(view)
        self.news.of(account.index).txs.append(view)

    def _configure(
        self, account: Account, tx: UpdateLeverage | UpdateMargin | UpdateAccountConfig | ChangePubKey | object
    ) -> None:
        if isinstance(tx, UpdateLeverage):
            account.margin_fraction, account.margin_mode = tx.initial_margin_fraction, tx.margin_mode
        elif isinstance(tx, UpdateMargin):
            money = tx.usdc_amount * self.units.money // MICRO * (1 if tx.direction else -1)
            account.allocated = max(0, account.allocated + money)
        elif isinstance(tx, UpdateAccountConfig):
            account.trading_mode = tx.account_trading_mode
        elif isinstance(tx, ChangePubKey):
            account.keys[tx.api_key_index].public_key = public_key_hex(tx.pub_key)
        self.news.of(account.index).money = True

    def _new_order(self, account: Account, info: CreateOrder | OrderInfo, received: Received, now_ns: int) -> Order:
        side = -1 if info.is_ask else 1
        number, self.next_order = self.next_order, self.next_order + 1
        lots = info.base_amount or abs(account.position.lots)  # 0: the whole position, reduce-only
        order = Order(
            index=MIN_ORDER_INDEX + number if side < 0 else 2 * MIN_ORDER_INDEX - number, account=account.index,
            client_index=info.client_order_index, side=side, ticks=info.price, lots=lots, type=info.type,
            time_in_force=info.time_in_force, reduce_only=bool(info.reduce_only),
            expiry_ns=info.order_expiry * NS_PER_MS, created_ns=now_ns, tx_hash=received.hash,
            trigger_ticks=info.trigger_price, updated_ns=now_ns,
            self_trade=received.tx.attribute(Attribute.SELF_TRADE_BEHAVIOUR),
        )  # fmt: skip
        account.add(order)
        account.pending_clients.discard(order.client_index)
        if order.expiry_ns:
            self._expires_ns = min(self._expires_ns, order.expiry_ns)
        return order

    def _create(self, account: Account, tx: CreateOrder, received: Received, now_ns: int, *, fails: bool) -> None:
        order = self._new_order(account, tx, received, now_ns)
        if fails:
            self._end(account, order, now_ns, OrderStatus.CANCELED_INVALID_BALANCE)
        elif order.trigger_ticks:
            order.trigger_status = "mark-price"
            self._told_order(account, order, now_ns)
        elif order.flags & TargetFlag.IOC and not account.covered(self.market.book.mark):
            self._end(account, order, now_ns, OrderStatus.CANCELED_MARGIN_NOT_ALLOWED)
        else:
            self._enter(account, order, now_ns)

    def _group(
        self, account: Account, tx: CreateGroupedOrders, received: Received, now_ns: int, *, fails: bool
    ) -> None:
        """1: the first triggers the second; 2: one cancels the other; 3: the first triggers a pair."""
        orders = [self._new_order(account, info, received, now_ns) for info in tx.orders]
        parent, rest = (orders[0], orders[1:]) if tx.grouping_type in (1, 3) else (None, orders)
        for order in rest:
            order.trigger_status = "mark-price" if parent is None else "parent-order"
            order.group = tuple(one.index for one in rest if one is not order)
        if parent is not None:
            parent.children = tuple(one.index for one in rest)
        for order in rest:
            order.parent = 0 if parent is None else parent.index
            self._told_order(account, order, now_ns)
        if fails:
            for order in orders:
                self._end(account, order, now_ns, OrderStatus.CANCELED_INVALID_BALANCE)
            return
        for order in orders:
            if order.trigger_status == "na" or (not order.trigger_ticks and parent is None):
                self._enter(account, order, now_ns)

    def _modify(self, account: Account, tx: ModifyOrder, now_ns: int) -> None:
        order = account.find(tx.index)
        version = tx.attribute(Attribute.ORDER_VERSION)
        if order is None or (version and version <= order.version):
            return
        order.version = version or order.version
        lots = tx.base_amount or abs(account.position.lots)
        if order.status == OrderStatus.PENDING and order.trigger_status != "na":
            order.ticks, order.lots, order.trigger_ticks = tx.price, lots, tx.trigger_price or order.trigger_ticks
            self._told_order(account, order, now_ns)
            return
        exchange = self._exchanges[account.index]
        if not exchange.is_live(order.index):
            return
        order.self_trade = tx.attribute(Attribute.SELF_TRADE_BEHAVIOUR)
        moved = replace(order, ticks=tx.price, lots=lots)
        if self._collides(account, moved, now_ns):
            self._remove(account, order, now_ns, OrderStatus.CANCELED_SELF_TRADE)
            return
        self._settle(account, exchange.modify(self.clock.market_ns(now_ns), order.index, tx.price, lots))

    def _cancel_all(self, account: Account, tx: CancelAllOrders, now_ns: int) -> None:
        if tx.time_in_force == CancelAll.SCHEDULED:
            account.cancel_all_ns = tx.time * NS_PER_MS
        elif tx.time_in_force == CancelAll.ABORT:
            account.cancel_all_ns = 0
        else:
            self.cancel_all(account, now_ns)

    def cancel_all(self, account: Account, now_ns: int) -> None:
        """Cancel every live order."""
        for order in list(account.orders.values()):
            self._remove(account, order, now_ns, OrderStatus.CANCELED)

    # --- Orders ------------------------------------------------------------------------------------------------------

    def exchange_of(self, account: Account) -> AccountExchange:
        """The account's exchange, made when it is first needed."""
        exchange = self._exchanges.get(account.index)
        if exchange is None:
            exchange = self._exchanges[account.index] = AccountExchange(
                self.market.tape, self.market.instrument, self._queue, account.position.lots, self.market.shift_ns
            )
        return exchange

    def _enter(self, account: Account, order: Order, now_ns: int) -> None:
        """An order meets the account's own orders, then the market."""
        exchange = self.exchange_of(account)
        if self._collides(account, order, now_ns):
            post_only = order.time_in_force == TimeInForce.POST_ONLY
            status = OrderStatus.CANCELED_POST_ONLY if post_only else OrderStatus.CANCELED_SELF_TRADE
            self._end(account, order, now_ns, status)
            return
        if exchange.full:
            self._end(account, order, now_ns, OrderStatus.CANCELED)
            return
        stop = self._touched_at.pop(order.index, None)
        at_ns = self.clock.market_ns(now_ns)
        if stop is None:
            self._settle(
                account, exchange.place(at_ns, order.index, order.side, order.ticks, order.leaves_lots, order.flags)
            )
        else:  # what stands before our own order is taken, and there it ends
            lots = order.lots
            order.lots = stop.before_lots
            flags = order.flags | TargetFlag.IOC
            self._settle(account, exchange.place(at_ns, order.index, order.side, order.ticks, order.lots, flags))
            order.lots = lots
            if order.index in account.orders:
                self._remove(account, order, now_ns, OrderStatus.CANCELED_SELF_TRADE)
            else:
                order.status = OrderStatus.CANCELED_SELF_TRADE
                self._told_order(account, order, now_ns)

    def _collides(self, account: Account, order: Order, now_ns: int) -> bool:
        """Do to the account's own orders what the self-trade mode says; whether the order must not go on."""
        exchange = self.exchange_of(account)
        found = collide(order, account.orders, lambda: exchange.live, self.market.book)
        if found is None:
            return False
        if order.time_in_force == TimeInForce.POST_ONLY:
            return True
        for index, lots in found.reduced.items():
            self._settle(
                account, exchange.modify(self.clock.market_ns(now_ns), index, account.orders[index].ticks, lots)
            )
        for index in found.expired:
            self._remove(account, account.orders[index], now_ns, OrderStatus.CANCELED_SELF_TRADE)
        order.lots -= found.less_lots
        if found.stops and found.before_lots > 0:
            self._touched_at[order.index] = found
            return False
        return found.stops or order.leaves_lots <= 0

    def _remove(self, account: Account, order: Order, now_ns: int, status: OrderStatus) -> None:
        """A live order goes."""
        exchange = self._exchanges.get(account.index)
        if exchange is not None and exchange.is_live(order.index):
            self._settle(account, exchange.cancel(self.clock.market_ns(now_ns), order.index), status)
        if order.index in account.orders:
            self._end(account, order, now_ns, status)

    def _end(self, account: Account, order: Order, now_ns: int, status: OrderStatus) -> None:
        order.status = status
        account.end(order)
        self._told_order(account, order, now_ns)
        for index in order.children:
            child = account.orders.get(index)
            if child is None:
                continue
            if status == OrderStatus.FILLED:
                child.trigger_status = "mark-price"
                self._told_order(account, child, now_ns)
            else:
                self._end(account, child, now_ns, OrderStatus.CANCELED_CHILD)
        for index in order.group if order.children == () else ():
            other = account.orders.get(index)
            if other is not None and status != OrderStatus.CANCELED_CHILD:
                self._remove(account, other, now_ns, OrderStatus.CANCELED_OCO)

    def _told_order(self, account: Account, order: Order, now_ns: int) -> None:
        order.updated_ns, order.nonce = max(order.updated_ns, now_ns), self.market.book.nonce
        self.news.of(account.index).orders[order.index] = order.view(self.units, self.market_id, self.symbol)

    # --- What the exchange answers -----------------------------------------------------------------------------------

    def _settle(self, account: Account, answers: list[Answer], status: OrderStatus = OrderStatus.CANCELED) -> None:
        for answer in answers:
            order = account.orders.get(answer.order_id)
            if order is None:
                continue
            wall_ns = self.clock.wall_ns(answer.exch_ns)
            if answer.kind == AnswerKind.FILLED:
                for lots in self.pieces(answer.size_lots):
                    self._fill(account, order, answer, lots)
                if order.leaves_lots <= 0:
                    self._end(account, order, wall_ns, OrderStatus.FILLED)
            elif answer.kind in (AnswerKind.ACCEPTED, AnswerKind.MODIFIED):
                if order.time_in_force != TimeInForce.IOC:
                    order.lots = answer.size_lots if answer.kind == AnswerKind.MODIFIED else order.lots
                order.ticks, order.status = answer.price_ticks, OrderStatus.OPEN
                self._told_order(account, order, wall_ns)
            else:
                self._end(account, order, wall_ns, self._why(order, answer, status))

    def _why(self, order: Order, answer: Answer, status: OrderStatus) -> OrderStatus:
        if answer.reason == OrderReason.POST_ONLY_WOULD_CROSS:
            return OrderStatus.CANCELED_POST_ONLY
        if answer.reason == OrderReason.REDUCE_ONLY:
            return OrderStatus.CANCELED_REDUCE_ONLY
        if answer.reason == OrderReason.IOC_REMAINDER and order.type != OrderType.LIMIT:
            empty = (self.market.book.best_ask if order.side > 0 else self.market.book.best_bid) is None
            return OrderStatus.CANCELED_NOT_ENOUGH_LIQUIDITY if empty else OrderStatus.CANCELED_TOO_MUCH_SLIPPAGE
        return status

    def _fill(self, account: Account, order: Order, answer: Answer, lots: int) -> None:
        wall_ns = self.clock.wall_ns(answer.exch_ns)
        tier, role = account.tier, "taker" if answer.taker else "maker"
        fee = tier.taker_fee if answer.taker else tier.maker_fee
        trade = self.tape.ours(
            order, answer.price_ticks, lots, taker=answer.taker, market_ns=answer.exch_ns, wall_ns=wall_ns
        )
        held, cost = account.position.lots, account.position.cost
        gain = account.book_trade(order.side, answer.price_ticks, lots, fee, self.units)
        setattr(trade, f"{role}_fee", fee)
        setattr(trade, f"{role}_position_size_before", self.units.size(held))
        setattr(trade, f"{role}_entry_quote_before", self.units.quote(cost))
        setattr(trade, f"{role}_initial_margin_fraction_before", account.margin_fraction)
        setattr(trade, f"{role}_position_sign_changed", held * account.position.lots < 0)
        setattr(trade, "bid_account_pnl" if order.side > 0 else "ask_account_pnl", self.units.usd(gain))
        order.filled_lots += lots
        order.filled_quote += answer.price_ticks * lots
        account.trades.append(trade)
        change = self.news.of(account.index)
        change.trades.append(trade)
        change.money = True
        self.news.trades.append(trade)
        self._told_order(account, order, wall_ns)
