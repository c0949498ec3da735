"""Account frames, and the orders and trades of REST answers, in the engine's words. Pure."""

from __future__ import annotations

from collections import Counter
from typing import Literal

import msgspec

from mmlab.events import ASK, BID, OrderReason, TargetFlag
from mmlab.exchange import AccountMessage, Fill, FillUpdate, Liquidation, OrderUpdate, OrderView, PositionUpdate
from mmlab.wire import lighter_account as wire
from mmlab.wire.lighter import UNREADABLE
from mmlab.wire.lighter_numbers import nearest_units, units
from mmlab.wire.lighter_terms import TIME_IN_FORCE_WORDS, OrderStatus, TimeInForce

State = Literal["open", "filled", "canceled", "rejected", "expired"]
OPEN = frozenset({OrderStatus.OPEN, OrderStatus.IN_PROGRESS, OrderStatus.PENDING})
REASONS: dict[OrderStatus | None, OrderReason] = {
    OrderStatus.CANCELED_POST_ONLY: OrderReason.POST_ONLY_WOULD_CROSS,
    OrderStatus.CANCELED_REDUCE_ONLY: OrderReason.REDUCE_ONLY,
    OrderStatus.CANCELED_TOO_MUCH_SLIPPAGE: OrderReason.IOC_REMAINDER,
    OrderStatus.CANCELED_NOT_ENOUGH_LIQUIDITY: OrderReason.IOC_REMAINDER,
}
FAMILIES = (wire.ORDERS, wire.TRADES, wire.POSITIONS, wire.STATS)
REMEMBERED = 10_000
"""Orders whose last report is known."""


class AccountTracker:
    """One account in one market.

    Parameters
    ----------
    account, market : int
        The venue's numbers of them.
    price_decimals, size_decimals : int
        Of the market's ticks and lots.
    counters : Counter
        What was wrong, by name.

    Attributes
    ----------
    doubt : bool
        Something about our orders could not be read: only a full view can tell. Whoever acts on it takes it back.
    stats : Stats or None
        Collateral and margin, as told last.
    """

    def __init__(
        self, account: int, market: int, price_decimals: int, size_decimals: int, counters: Counter[str]
    ) -> None:
        self.account, self.market, self.counters = account, market, counters
        self.doubt = False
        self.stats: wire.Stats | None = None
        self._price_decimals, self._size_decimals = price_decimals, size_decimals
        self._last: dict[int, OrderView] = {}  # order index -> its last report

    def frame(self, family: str, data: bytes) -> list[AccountMessage]:
        """What a frame says."""
        try:
            frame = wire.decode(family, data)
            if isinstance(frame, wire.OrdersFrame):
                return self._orders(frame)
            if isinstance(frame, wire.TradesFrame):
                return self._trades(frame)
            if isinstance(frame, wire.PositionsFrame):
                return self._positions(frame)
            if isinstance(frame, wire.StatsFrame):
                self.stats = frame.stats
        except UNREADABLE:
            self.counters["bad_frames"] += 1
            self.counters[f"bad_{family}"] += 1
            self.doubt = self.doubt or family != wire.STATS
        return []

    def _orders(self, frame: wire.OrdersFrame) -> list[AccountMessage]:
        messages: list[AccountMessage] = []
        for order in (order for some in frame.orders.values() for order in some):
            if order.market_index != self.market:
                continue
            view = self._heard(self.order(order))
            messages.append(OrderUpdate(view, order.transaction_time * 1000))
        return messages

    def _heard(self, view: OrderView) -> OrderView:
        """A report of the feed: its number rises when it says something new, though the venue's time stood still."""
        last = self._last.pop(view.order_index, None)
        if last is not None and view.seq <= last.seq:
            same = msgspec.structs.replace(view, seq=last.seq) == last
            view = msgspec.structs.replace(view, seq=last.seq + (not same))
        self._last[view.order_index] = view
        if len(self._last) > REMEMBERED:
            del self._last[next(iter(self._last))]
        return view

    def _trades(self, frame: wire.TradesFrame) -> list[AccountMessage]:
        """Trades from now on: what a first frame repeats is for a full view to tell."""
        if frame.is_snapshot:
            return []
        fills = [self.fill(trade) for trade in frame.all() if trade.market_id == self.market]
        return [FillUpdate(fill) for fill in sorted_fills(fills)]

    def _positions(self, frame: wire.PositionsFrame) -> list[AccountMessage]:
        found = [p for p in (frame.positions or {}).values() if p.market_id == self.market]
        messages: list[AccountMessage] = []
        for position in found:
            messages += [PositionUpdate(self.position(position)), Liquidation(self.liquidation(position))]
        return messages

    # --- Single things, as REST has them too -------------------------------------------------------------------------

    def order(self, order: wire.Order) -> OrderView:
        """An order; raises ValueError if it says what no order could."""
        filled = units(order.filled_base_amount, self._size_decimals)
        left = units(order.remaining_base_amount, self._size_decimals)
        size = units(order.initial_base_amount, self._size_decimals)
        price = units(order.price, self._price_decimals)
        status = self._status(order.status)
        if status == "open":
            size = filled + left  # the first size may be that of before a modify
        if not 0 <= filled <= size or not price:
            raise ValueError(f"order {order.order_index}: {filled} of {size} filled, at {price}")
        return OrderView(
            order.client_order_index, order.order_index, ASK if order.is_ask else BID, price, size, filled, status,
            _seq(order), int(REASONS.get(_word(order.status), OrderReason.NONE)), flags_of(order),
        )  # fmt: skip

    def _status(self, word: str) -> State:
        if word in OPEN:
            return "open"
        if word == OrderStatus.FILLED:
            return "filled"
        if word == OrderStatus.CANCELED_EXPIRED:
            return "expired"
        if not word.startswith("canceled"):
            raise ValueError(f"unknown status {word[:40]!r}")
        return "canceled"

    def fill(self, trade: wire.AccountTrade) -> Fill | None:
        """Our side of a trade; None if it is no such trade, or both sides are ours: then position and orders tell."""
        ask, bid = trade.ask_account_id == self.account, trade.bid_account_id == self.account
        if ask == bid:
            self.counters["self_trades" if ask else "foreign_trades"] += 1
            return None
        client_id, index = (trade.ask_client_id, trade.ask_id) if ask else (trade.bid_client_id, trade.bid_id)
        price, lots = units(trade.price, self._price_decimals), units(trade.size, self._size_decimals)
        if not price or not lots:
            raise ValueError(f"trade {trade.trade_id} of {lots} at {price}")
        return Fill(
            trade.trade_id, client_id, ASK if ask else BID, price, lots, index, ask != trade.is_maker_ask, trade.exch_ns
        )

    def position(self, position: wire.Position) -> int:
        """Lots, > 0 if long; raises ValueError for a size without direction."""
        lots = units(position.position, self._size_decimals)
        if lots and position.sign not in (1, -1):
            raise ValueError(f"position {position.position} with sign {position.sign}")
        return lots * position.sign if lots else 0

    def liquidation(self, position: wire.Position) -> int:
        """Price at which it would be liquidated, ticks; 0: none, or the venue tells nonsense."""
        try:
            return max(0, nearest_units(position.liquidation_price or "0", self._price_decimals))
        except ValueError:
            self.counters["bad_liquidation_prices"] += 1
            return 0


def sorted_fills(fills: list[Fill | None]) -> list[Fill]:
    """Those that there are, in the order in which they happened."""
    return sorted((fill for fill in fills if fill is not None), key=lambda fill: fill.trade_id)


def flags_of(order: wire.Order) -> int:
    """`TargetFlag` of an order."""
    flags = TargetFlag.REDUCE_ONLY if order.reduce_only else TargetFlag(0)
    if order.time_in_force == TIME_IN_FORCE_WORDS[TimeInForce.POST_ONLY]:
        flags |= TargetFlag.POST_ONLY
    elif order.time_in_force == TIME_IN_FORCE_WORDS[TimeInForce.IOC]:
        flags |= TargetFlag.IOC
    return int(flags)


def _seq(order: wire.Order) -> int:
    """When it changed last, µs."""
    return order.transaction_time or order.updated_at * 1000 or order.timestamp * 1000


def _word(status: str) -> OrderStatus | None:
    return OrderStatus(status) if status in OrderStatus._value2member_map_ else None
