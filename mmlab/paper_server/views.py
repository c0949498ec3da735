"""Answers to questions, as plain values in Lighter's field names. Pure; the desk is only looked at."""

from __future__ import annotations

from collections import deque
from typing import Any

from mmlab.events import NS_PER_MS
from mmlab.paper_server.candles import Candles
from mmlab.paper_server.desk import Desk
from mmlab.paper_server.frames import BookBody, Level, OrderView, TradeView
from mmlab.paper_server.judge import Rules
from mmlab.paper_server.ledger import USDC_ASSET, Account
from mmlab.paper_server.tiers import Tier
from mmlab.wire.lighter_terms import (
    CLOSEOUT_FRACTION,
    DEFAULT_MARGIN_FRACTION,
    MAINTENANCE_FRACTION,
    MIN_MARGIN_FRACTION,
    MIN_ORDER_INDEX,
    OrderStatus,
)

PUBLIC_TRADES = 1000


class Views:
    """Looks at a desk.

    Attributes
    ----------
    trades : deque of TradeView
        The latest public ones, oldest first.
    """

    def __init__(self, desk: Desk, rules: Rules, tier: Tier) -> None:
        self.desk, self.rules, self.tier = desk, rules, tier
        self.units, self.market_id, self.symbol = desk.units, desk.market_id, desk.symbol
        self.candles, self.trades = Candles(), deque[TradeView](maxlen=PUBLIC_TRADES)

    def add(self, trades: list[TradeView]) -> None:
        """Public trades happened."""
        self.trades.extend(trades)
        for one in trades:
            self.candles.add(one.timestamp, float(one.price), float(one.size), one.trade_id)

    # --- Market ------------------------------------------------------------------------------------------------------

    @property
    def last_price(self) -> float:
        """Of the last trade; the mark before there is one."""
        return float(self.trades[-1].price) if self.trades else float(self.units.price(self.desk.market.book.mark))

    def order_book(self) -> dict[str, Any]:
        """Metadata."""
        rate = self.tier
        return {
            "symbol": self.symbol, "market_id": self.market_id, "market_type": "perp", "base_asset_id": 0,
            "quote_asset_id": USDC_ASSET, "status": "active", "taker_fee": f"{rate.taker_fee / 10_000:.4f}",
            "maker_fee": f"{rate.maker_fee / 10_000:.4f}", "liquidation_fee": "1.0000",
            "min_base_amount": self.units.size(self.rules.min_lots),
            "min_quote_amount": self.units.quote(self.rules.min_quote),
            "supported_size_decimals": self.units.size_decimals,
            "supported_price_decimals": self.units.price_decimals,
            "supported_quote_decimals": 6, "order_quote_limit": "281474976.710655", "multiplier": "1",
            "is_maker_fee_enabled": rate.maker_fee > 0, "is_taker_fee_enabled": rate.taker_fee > 0,
            "created_at": "0", "start_timestamp": 0, "end_timestamp": 0, "settlement_type": 0, "settlement_price": 0,
            "settlement_cap": 0, "outcome": 0, "default_price": 0, "operator_account_index": 0, "is_frozen": False,
            "open_interest": self.units.size(0),
        }  # fmt: skip

    def order_book_detail(self, now_ns: int) -> dict[str, Any]:
        """Metadata with the day's figures."""
        mark = self.units.price(self.desk.market.book.mark)
        return self.order_book() | self.day(now_ns) | {
            "size_decimals": self.units.size_decimals, "price_decimals": self.units.price_decimals,
            "quote_multiplier": 1, "default_initial_margin_fraction": DEFAULT_MARGIN_FRACTION,
            "min_initial_margin_fraction": MIN_MARGIN_FRACTION, "maintenance_margin_fraction": MAINTENANCE_FRACTION,
            "closeout_margin_fraction": CLOSEOUT_FRACTION, "last_trade_price": self.last_price, "open_interest": 0.0,
            "daily_chart": {}, "strategy_index": 0, "funding_clamp_small": "0.0500", "funding_clamp_big": "4.0000",
            "base_interest_rate": "0.0100", "mark_price": mark, "index_price": mark, "market_flags": 0,
            "funding_premium_multiplier": 1, "market_config": {
                "market_margin_mode": 0, "insurance_fund_account_index": 0, "liquidation_mode": 0,
                "force_reduce_only": False, "trading_hours": "", "hidden": False, "rfq_enabled": False,
            },
        }  # fmt: skip

    def day(self, now_ns: int) -> dict[str, Any]:
        """Figures of the last 24 hours served."""
        day = self.candles.day(now_ns // NS_PER_MS)
        opened = 0.0 if day is None or not day.open else 100 * (day.close / day.open - 1)
        return {
            "daily_trades_count": 0 if day is None else day.trades,
            "daily_base_token_volume": 0.0 if day is None else day.volume,
            "daily_quote_token_volume": 0.0 if day is None else day.quote,
            "daily_price_low": 0.0 if day is None else day.low, "daily_price_high": 0.0 if day is None else day.high,
            "daily_price_change": opened,
        }  # fmt: skip

    def stats(self, now_ns: int) -> dict[str, Any]:
        """Market statistics, as streamed."""
        book = self.desk.market.book
        mark = self.units.price(book.mark)
        mid = book.mid_ticks
        day = self.day(now_ns)
        del day["daily_trades_count"]
        rate = "0.0000" if book.funding is None else f"{book.funding[1] / 1e7:.6f}"
        return {
            "symbol": self.symbol, "market_id": self.market_id, "index_price": mark, "mark_price": mark,
            "mid_price": mark if mid is None else self.units.price(round(mid)), "open_interest": "0.0",
            "open_interest_limit": "0.0", "funding_clamp_small": "0.0500", "funding_clamp_big": "4.0000",
            "base_interest_rate": "0.0100", "last_trade_price": f"{self.last_price:.{self.units.price_decimals}f}",
            "current_funding_rate": rate, "funding_rate": rate,
            "funding_timestamp": 0 if book.funding is None else book.funding[0] // NS_PER_MS, **day,
        }  # fmt: skip

    def levels(self, limit: int) -> dict[str, Any]:
        """Best levels, as one order each."""
        book = self.desk.market.book
        bids, asks = sorted(book.bids.items(), reverse=True)[:limit], sorted(book.asks.items())[:limit]
        return {
            "total_asks": len(book.asks), "asks": [self._simple(*one, MIN_ORDER_INDEX) for one in asks],
            "total_bids": len(book.bids), "bids": [self._simple(*one, 2 * MIN_ORDER_INDEX - 2**40) for one in bids],
        }  # fmt: skip

    def _simple(self, ticks: int, lots: int, first: int) -> dict[str, Any]:
        size = self.units.size(lots)
        return {
            "order_index": first + ticks, "order_id": str(first + ticks), "owner_account_index": 0,
            "initial_base_amount": size, "remaining_base_amount": size, "price": self.units.price(ticks),
            "order_expiry": 0, "transaction_time": 0,
        }  # fmt: skip

    def full_book(self, updated_us: int, nonce: int, offset: int) -> BookBody:
        """The whole book."""
        book = self.desk.market.book
        asks = [Level(self.units.price(t), self.units.size(n)) for t, n in sorted(book.asks.items())]
        bids = [Level(self.units.price(t), self.units.size(n)) for t, n in sorted(book.bids.items(), reverse=True)]
        return BookBody(0, asks, bids, offset, nonce, updated_us, 0)

    # --- Accounts ----------------------------------------------------------------------------------------------------

    def order(self, order: Any) -> OrderView:
        """An order."""
        view: OrderView = order.view(self.units, self.market_id, self.symbol)
        return view

    def position(self, account: Account) -> Any:
        """The position."""
        mark = self.desk.market.book.mark
        return account.position_view(self.units, self.market_id, self.symbol, mark, MAINTENANCE_FRACTION)

    def positions(self, account: Account) -> dict[str, Any]:
        """By market; empty before the first trade."""
        return {str(self.market_id): self.position(account)} if account.trades_made else {}

    def orders(self, account: Account) -> dict[str, list[OrderView]]:
        """Live ones by market."""
        live = [self.order(one) for one in account.orders.values()]
        return {str(self.market_id): live} if live else {}

    def assets(self, account: Account) -> dict[str, Any]:
        """Balances by asset."""
        return {str(USDC_ASSET): account.asset(self.units)}

    def volumes(self, account: Account, what: str) -> dict[str, Any]:
        """Counters since the server's start, whatever the period is called."""
        volume = account.volume / self.units.money
        return {f"{period}_{what}": volume for period in ("total", "monthly", "weekly", "daily")}

    def counters(self, account: Account) -> dict[str, Any]:
        """Counters of `account_all`."""
        counts = {f"{period}_trades_count": account.trades_made for period in ("total", "monthly", "weekly", "daily")}
        return counts | self.volumes(account, "volume")

    def user_stats(self, account: Account) -> dict[str, Any]:
        """Statistics of `user_stats`."""
        mark = self.desk.market.book.mark
        value, available = account.value(mark), account.available(mark)
        held = abs(account.position.lots) * mark * 10**6
        one = {
            "collateral": self.units.usd(account.collateral), "portfolio_value": self.units.usd(value),
            "leverage": f"{held / value:.2f}" if value > 0 else "0.00",
            "available_balance": self.units.usd(available),
            "margin_usage": f"{100 * (1 - available / value):.2f}" if value > 0 else "0.00",
            "buying_power": self.units.usd(available * 10_000 // account.margin_fraction),
        }  # fmt: skip
        return {"account_trading_mode": account.trading_mode, **one, "cross_stats": one, "total_stats": one}

    def account(self, account: Account, *, detailed: bool) -> dict[str, Any]:
        """An account."""
        mark = self.desk.market.book.mark
        brief = {
            "code": 0, "account_type": 0, "account_trading_mode": account.trading_mode, "index": account.index,
            "l1_address": account.l1_address, "cancel_all_time": account.cancel_all_ns // NS_PER_MS,
            "total_order_count": account.orders_made, "total_isolated_order_count": 0,
            "pending_order_count": sum(one.status == OrderStatus.PENDING for one in account.orders.values()),
            "available_balance": self.units.usd(account.available(mark)), "status": 1,
            "collateral": self.units.usd(account.collateral), "transaction_time": 0,
        }  # fmt: skip
        if not detailed:
            return brief
        worst = account.worst_lots()
        value = self.units.usd(account.value(mark))
        return brief | {
            "account_index": account.index, "name": "", "description": "", "can_invite": False,
            "referral_points_percentage": "", "positions": list(self.positions(account).values()),
            "assets": list(self.assets(account).values()), "total_asset_value": value, "cross_asset_value": value,
            "shares": [], "created_at": account.created_ns // NS_PER_MS, "can_rfq": False, "can_rfq_market_ids": [],
            "cross_initial_margin_requirement": self.units.usd(account.margin(mark, worst)),
            "cross_maintenance_margin_requirement": self.units.usd(
                abs(account.position.lots) * mark * MAINTENANCE_FRACTION * 100
            ),
            "agent_enabled": False, "metadata": {}, "pending_unlocks": [], "approved_integrators": [],
        }  # fmt: skip
