"""Trades: recorded ones and our accounts', as the public feed and the accounts see them. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from mmlab.events import NS_PER_MS
from mmlab.paper_server.book import Print
from mmlab.paper_server.frames import TradeView
from mmlab.paper_server.orders import Order, block_at
from mmlab.paper_server.units import Units
from mmlab.wire.lighter_terms import MIN_ORDER_INDEX


@dataclass(slots=True)
class Before:
    """An account's position before a trade, as the trade shows it."""

    size: str = "0"
    quote: str = "0"
    fraction: int = 0
    sign_changed: bool = False


class Tape:
    """Numbers trades and writes them down.

    Attributes
    ----------
    next_id : int
        Of the next trade.
    """

    def __init__(self, units: Units, market_id: int, symbol: str, first_id: int) -> None:
        self._units, self._market_id, self._symbol = units, market_id, symbol
        self.next_id = first_id
        self._taken: Counter[tuple[int, int]] = Counter()

    def recorded(self, one: Print, wall_ns: int) -> TradeView | None:
        """A trade of the recording, less what of it our accounts got; None if that was all."""
        lots = one.lots - self._taken.pop((one.exch_ns, one.side), 0)
        if lots <= 0:
            return None
        return self._trade(one.side < 0, one.ticks, lots, wall_ns)

    def ours(self, order: Order, ticks: int, lots: int, *, taker: bool, market_ns: int, wall_ns: int) -> TradeView:
        """A trade of an account with the recorded market."""
        if not taker:
            self._taken[market_ns, -order.side] += lots
        buys = (order.side > 0) == taker  # whether the aggressor bought
        trade = self._trade(not buys, ticks, lots, wall_ns)
        side = "bid" if order.side > 0 else "ask"
        values = {"id": order.index, "id_str": str(order.index), "client_id": order.client_index,
                  "client_id_str": str(order.client_index), "account_id": order.account}  # fmt: skip
        for name, value in values.items():
            setattr(trade, f"{side}_{name}", value)
        trade.tx_hash = order.tx_hash
        return trade

    def forget(self, market_ns: int) -> None:
        """Trades up to then have all been written down."""
        for key in [key for key in self._taken if key[0] <= market_ns]:
            del self._taken[key]

    def _trade(self, aggressor_sells: bool, ticks: int, lots: int, wall_ns: int) -> TradeView:
        trade_id, self.next_id = self.next_id, self.next_id + 1
        ask, bid = MIN_ORDER_INDEX + trade_id, 2 * MIN_ORDER_INDEX - trade_id
        return TradeView(
            trade_id=trade_id, trade_id_str=str(trade_id), tx_hash="", type="trade", market_id=self._market_id,
            market_symbol=self._symbol, market_kind="perp", size=self._units.size(lots),
            price=self._units.price(ticks), usd_amount=self._units.quote(ticks * lots), ask_id=ask, bid_id=bid,
            ask_id_str=str(ask), bid_id_str=str(bid), ask_client_id=0, bid_client_id=0, ask_client_id_str="0",
            bid_client_id_str="0", ask_account_id=0, bid_account_id=0, is_maker_ask=not aggressor_sells,
            block_height=block_at(wall_ns), timestamp=wall_ns // NS_PER_MS, transaction_time=wall_ns // 1000,
        )  # fmt: skip
