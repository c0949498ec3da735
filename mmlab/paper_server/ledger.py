"""What the server knows of an account: keys, money, position, quota. Pure, in whole numbers.

Money is in units of `Units.money`: price unit x size unit / 10**6, so fees in millionths are exact.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from mmlab.paper_server.frames import AssetView, PositionView, TradeView, TxView
from mmlab.paper_server.orders import Order
from mmlab.paper_server.tiers import Tier
from mmlab.paper_server.units import MICRO, Units
from mmlab.wire.lighter_terms import (
    MIN_ORDER_INDEX,
    QUOTA_CAP,
    QUOTA_FREE_NS,
    QUOTA_QUOTE_PER_UNIT,
    QUOTA_START,
    SIZE_OF_FRACTION,
)

USDC_ASSET = 3
REMEMBERED = 10_000
"""Orders that are over, trades and transactions kept, an account."""


@dataclass(slots=True)
class Key:
    """An API key: its public key (hex) and the nonce to come."""

    public_key: str
    nonce: int = 0
    maker_only: bool = False
    used_ns: int = 0


@dataclass(slots=True)
class Quota:
    """Volume quota; ``left`` never falls below 0."""

    on: bool
    left: int = QUOTA_START
    earned: int = 0
    """Money traded that has earned nothing yet."""
    free_ns: int = 0
    """When the next message is free."""

    def spend(self, units: int, now_ns: int) -> bool:
        """Pay for messages; false: too little is left."""
        if not self.on or units == 0:
            return True
        if units <= self.left:
            self.left -= units
            return True
        if units == 1 and now_ns >= self.free_ns:
            self.free_ns = now_ns + QUOTA_FREE_NS
            return True
        return False

    def earn(self, money: int, per_usd: int) -> None:
        """`money` was traded; `per_usd`: money units of a USD."""
        if self.on:
            units, self.earned = divmod(self.earned + money, QUOTA_QUOTE_PER_UNIT * per_usd)
            self.left = min(QUOTA_CAP, self.left + units)


@dataclass(slots=True)
class Position:
    """A position. ``cost``: ticks x lots paid for what is held, never negative."""

    lots: int = 0
    cost: int = 0
    realised: int = 0
    funding: int = 0
    """Money paid out (received if negative)."""

    def trade(self, side: int, ticks: int, lots: int) -> int:
        """Book a trade; money realised."""
        closed = min(lots, abs(self.lots)) if self.lots * side < 0 else 0
        gain = 0
        if closed:
            share = self.cost * closed // abs(self.lots)
            gain = (ticks * closed - share) * MICRO * (1 if self.lots > 0 else -1)
            self.cost -= share
        self.cost += ticks * (lots - closed)
        self.lots += side * lots
        self.realised += gain
        return gain

    def unrealised(self, mark: int) -> int:
        """Money that closing at the mark would realise."""
        return (self.lots * mark - (self.cost if self.lots >= 0 else -self.cost)) * MICRO


@dataclass(slots=True)
class Account:
    """An account in the one market.

    Attributes
    ----------
    orders : dict of int to Order
        Live ones, by index; `over` are the latest of the others, `over_clients` their client indices.
    pending_clients : set of int
        Client indices of orders that are accepted, but have not reached the book yet.
    by_client : dict of int to int
        Client index -> index of the live order.
    cancel_all_ns : int
        When the scheduled cancel-all is due; 0: none is scheduled.
    margin_fraction : int
        Initial margin, 1e-4.
    """

    index: int
    l1_address: str
    tier: Tier
    collateral: int
    margin_fraction: int
    keys: dict[int, Key] = field(default_factory=dict)
    position: Position = field(default_factory=Position)
    quota: Quota = field(default_factory=lambda: Quota(on=False))
    fees: int = 0
    volume: int = 0
    trades_made: int = 0
    orders: dict[int, Order] = field(default_factory=dict)
    by_client: dict[int, int] = field(default_factory=dict)
    over: dict[int, Order] = field(default_factory=dict)
    over_clients: dict[int, int] = field(default_factory=dict)
    pending_clients: set[int] = field(default_factory=set)
    trades: deque[TradeView] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    txs: deque[TxView] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    cancel_all_ns: int = 0
    orders_made: int = 0
    pending: int = 0
    """Orders accepted that have not reached the book yet."""
    trading_mode: int = 0
    margin_mode: int = 0
    allocated: int = 0
    """Money set aside for an isolated position; shown, and not available for anything else."""
    created_ns: int = 0

    def find(self, index: int) -> Order | None:
        """A live order by its index or client index."""
        return self.orders.get(index if index >= MIN_ORDER_INDEX else self.by_client.get(index, 0))

    def knows(self, index: int) -> bool:
        """Whether an order of this index or client index is live, on its way, or was live lately."""
        if index >= MIN_ORDER_INDEX:
            return index in self.orders or index in self.over
        return index in self.by_client or index in self.pending_clients or index in self.over_clients

    def add(self, order: Order) -> None:
        """A new order."""
        self.orders[order.index] = order
        self.orders_made += 1
        if order.client_index:
            self.by_client[order.client_index] = order.index

    def end(self, order: Order) -> None:
        """A live order is over."""
        self.orders.pop(order.index, None)
        self.over[order.index] = order
        if order.client_index:
            self.by_client.pop(order.client_index, None)
            self.over_clients[order.client_index] = order.index
        if len(self.over) > REMEMBERED:
            first = self.over.pop(next(iter(self.over)))
            if self.over_clients.get(first.client_index) == first.index:
                del self.over_clients[first.client_index]

    def book_trade(self, side: int, ticks: int, lots: int, fee_millionths: int, units: Units) -> int:
        """A trade: position, money, quota. Returns the money realised, before the fee."""
        gain = self.position.trade(side, ticks, lots)
        fee = ticks * lots * fee_millionths
        self.fees += fee
        self.collateral += gain - fee
        self.volume += ticks * lots * MICRO
        self.trades_made += 1
        self.quota.earn(ticks * lots * MICRO, units.money)
        return gain

    def book_funding(self, mark: int, rate_nano: int) -> int:
        """A funding: money paid (received if negative)."""
        paid = self.position.lots * mark * rate_nano * MICRO // 10**9
        self.position.funding += paid
        self.collateral -= paid
        return paid

    def value(self, mark: int) -> int:
        """Money with everything closed at the mark."""
        return self.collateral + self.position.unrealised(mark)

    def worst_lots(self, side: int = 0, lots: int = 0) -> int:
        """Largest position that live orders, and one more, may lead to."""
        working = {1: 0, -1: 0}
        for order in self.orders.values():
            if not order.reduce_only:
                working[order.side] += order.leaves_lots
        if side:
            working[side] += lots
        return max(abs(self.position.lots + working[1]), abs(self.position.lots - working[-1]))

    def margin(self, mark: int, worst_lots: int) -> int:
        """Initial margin of a position."""
        return worst_lots * mark * MICRO * self.margin_fraction // SIZE_OF_FRACTION

    def affords(self, mark: int, side: int, lots: int) -> bool:
        """Whether one more order is covered; one that can only reduce always is."""
        worst = self.worst_lots(side, lots)
        return worst <= self.worst_lots() or self.margin(mark, worst) <= self.value(mark)

    def covered(self, mark: int) -> bool:
        """Whether the margin of everything that live orders may lead to is there; reducing always is."""
        worst = self.worst_lots()
        return worst <= abs(self.position.lots) or self.margin(mark, worst) <= self.value(mark)

    def available(self, mark: int) -> int:
        """Money not bound by margin."""
        return max(0, self.value(mark) - self.margin(mark, self.worst_lots()) - self.allocated)

    def asset(self, units: Units) -> AssetView:
        """The USDC balance."""
        money = units.usd(self.collateral)
        return AssetView("USDC", USDC_ASSET, money, "0.000000", money)

    def position_view(self, units: Units, market_id: int, symbol: str, mark: int, maintenance: int) -> PositionView:
        """The position as the venue shows it."""
        p = self.position
        lots = abs(p.lots)
        entry = p.cost / lots / 10**units.price_decimals if lots else 0.0
        return PositionView(
            market_id=market_id, symbol=symbol, initial_margin_fraction=f"{self.margin_fraction / 100:.2f}",
            open_order_count=len(self.orders), pending_order_count=0, position_tied_order_count=0,
            sign=-1 if p.lots < 0 else 1, position=units.size(lots),
            avg_entry_price=f"{entry:.{units.price_decimals}f}", position_value=units.quote(lots * mark),
            unrealized_pnl=units.usd(p.unrealised(mark)), realized_pnl=units.usd(p.realised),
            liquidation_price=self._liquidation_price(units, maintenance), total_funding_paid_out=units.usd(p.funding),
            margin_mode=self.margin_mode, allocated_margin=units.usd(self.allocated),
        )  # fmt: skip

    def _liquidation_price(self, units: Units, maintenance: int) -> str:
        """Price at which the account's value is the maintenance margin."""
        lots, cost = self.position.lots, self.position.cost
        share = maintenance / SIZE_OF_FRACTION
        slope = lots - abs(lots) * share
        ticks = ((cost if lots > 0 else -cost) - self.collateral / MICRO) / slope if slope else 0.0
        return f"{max(0.0, ticks) / 10**units.price_decimals:.{units.price_decimals}f}"
