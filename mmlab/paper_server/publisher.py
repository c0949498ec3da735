"""Frames of every channel: the first one of a subscription, and updates. No sockets: a `Hub` sends them."""

from __future__ import annotations

from typing import Any

from mmlab.events import NS_PER_MS
from mmlab.paper_server.candles import RESOLUTIONS_MS
from mmlab.paper_server.changes import Change, News
from mmlab.paper_server.channels import Channel
from mmlab.paper_server.frames import BookBody, BookFrame, Level
from mmlab.paper_server.hub import Hub
from mmlab.paper_server.orders import block_at
from mmlab.paper_server.views import Views
from mmlab.wire.lighter_terms import ALL_MARKETS

RECENT = 50
"""Trades in the first frame of a trade channel."""


class Publisher:
    """Tells what happens.

    Attributes
    ----------
    offset : int
        Of the order book frame last told.
    """

    def __init__(self, views: Views, hub: Hub) -> None:
        self._views, self._hub = views, hub
        self._desk, self._book = views.desk, views.desk.market.book
        self._market_id, self._key = views.market_id, str(views.market_id)
        self.nonce, self.offset = 0, 1
        self._best: tuple[Any, ...] = ()

    # --- Market ------------------------------------------------------------------------------------------------------

    def book(self, now_ns: int) -> None:
        """Tell the levels that changed."""
        name = f"order_book:{self._key}"
        changes = self._book.take_changes()
        if not changes:
            return
        begin, self.nonce, self.offset = self.nonce, self._book.nonce, self.offset + 1
        if not self._hub.wanted(name):
            return
        units = self._views.units
        sides: dict[int, list[Level]] = {1: [], -1: []}
        for side, ticks, lots in changes:
            sides[side].append(Level(units.price(ticks), units.size(lots)))
        body = BookBody(0, sides[-1], sides[1], self.offset, self.nonce, self._updated_us(), begin)
        self._hub.publish(name, self._book_frame("update/order_book", name, body, now_ns))

    def _book_frame(self, kind: str, name: str, body: BookBody, now_ns: int) -> BookFrame:
        return BookFrame(kind, name, body.offset, body, body.last_updated_at, now_ns // NS_PER_MS)

    def _updated_us(self) -> int:
        return self._desk.clock.wall_ns(self._book.updated_ns) // 1000 if self._book.updated_ns else 0

    def ticker(self, now_ns: int) -> None:
        """Tell the best quotes, if they changed."""
        book, name = self._book, f"ticker:{self._key}"
        bid, ask = book.best_bid, book.best_ask
        best = (bid, ask, book.bids.get(bid or 0), book.asks.get(ask or 0))
        if best == self._best:
            return
        self._best = best
        if self._hub.wanted(name):
            self._hub.publish(name, self._ticker("update/ticker", name, now_ns))

    def _ticker(self, kind: str, name: str, now_ns: int) -> dict[str, Any]:
        units, updated = self._views.units, self._updated_us()
        bid, ask = self._book.best_bid, self._book.best_ask
        none = Level("", "")
        return {
            "type": kind, "channel": name, "nonce": self._book.nonce, "last_updated_at": updated,
            "timestamp": now_ns // NS_PER_MS, "ticker": {
                "s": self._views.symbol,
                "a": none if ask is None else Level(units.price(ask), units.size(self._book.asks[ask])),
                "b": none if bid is None else Level(units.price(bid), units.size(self._book.bids[bid])),
                "last_updated_at": updated,
            },
        }  # fmt: skip

    def stats(self, now_ns: int) -> None:
        """Tell the market's statistics."""
        for index in (self._key, "all"):
            name = f"market_stats:{index}"
            if self._hub.wanted(name):
                self._hub.publish(name, self._stats("update/market_stats", name, now_ns))

    def _stats(self, kind: str, name: str, now_ns: int) -> dict[str, Any]:
        one: dict[str, Any] = self._views.stats(now_ns)
        body = {self._key: one} if name.endswith(":all") else one
        return {"type": kind, "channel": name, "market_stats": body, "timestamp": now_ns // NS_PER_MS}

    def candles(self, now_ns: int) -> None:
        """Tell the candles that are being made."""
        for family in ("candle", "mark_price_candle"):
            for name in self._hub.names(family):
                self._hub.publish(name, self._candle(f"update/{family}", name, now_ns))

    def _candle(self, kind: str, name: str, now_ns: int) -> dict[str, Any]:
        resolution = name.rpartition(":")[2]
        now_ms = now_ns // NS_PER_MS
        length_ms = RESOLUTIONS_MS[resolution] * 60_000
        found = self._views.candles.get(resolution, now_ms - now_ms % length_ms, now_ms, 1)
        return {"type": kind, "channel": name, "candles": [one.view() for one in found], "timestamp": now_ms}

    def height(self, now_ns: int) -> None:
        """Tell the block height."""
        if self._hub.wanted("height"):
            self._hub.publish("height", self._height("update/height", now_ns))

    def _height(self, kind: str, now_ns: int) -> dict[str, Any]:
        return {"type": kind, "channel": "height", "height": block_at(now_ns), "timestamp": now_ns // NS_PER_MS}

    # --- News --------------------------------------------------------------------------------------------------------

    def news(self, news: News, now_ns: int) -> None:
        """Tell what happened."""
        if news.trades:
            name = f"trade:{self._key}"
            news.trades.sort(key=lambda one: one.transaction_time)
            self._views.add(news.trades)
            if self._hub.wanted(name):
                self._hub.publish(name, {
                    "type": "update/trade", "channel": name, "trades": news.trades, "liquidation_trades": None,
                    "nonce": self._book.nonce,
                })  # fmt: skip
        for index, change in news.accounts.items():
            for family in _UPDATES:
                for name in self._names(family, index):
                    body = self._update(family, index, change, now_ns)
                    if body is not None:
                        self._hub.publish(name, {"type": f"update/{family}", "channel": name, **body})

    def _names(self, family: str, account: int) -> list[str]:
        by_market = family in ("account_market", "account_orders")
        name = f"{family}:{self._key}:{account}" if by_market else f"{family}:{account}"
        return [name] if self._hub.wanted(name) else []

    def _update(self, family: str, index: int, change: Change, now_ns: int) -> dict[str, Any] | None:
        views, account, key = self._views, self._desk.accounts[index], self._key
        orders, trades = list(change.orders.values()), change.trades
        by_market = {key: trades} if trades else {}
        if family == "account_all_orders":
            return {"orders": {key: orders}} if orders else None
        if family == "account_orders":
            body = {"account": index, "nonce": self._book.nonce, "orders": {key: orders}}
            return body if orders else None
        if family == "account_all_trades":
            return {"trades": by_market, **views.volumes(account, "volume")} if trades else None
        if family == "account_tx":
            return {"txs": change.txs} if change.txs else None
        if not change.money and not orders and not trades:
            return None
        if family == "user_stats":
            return {"stats": views.user_stats(account), "timestamp": now_ns // NS_PER_MS}
        if family == "account_market":
            return {
                "account": index, "assets": views.assets(account), "funding_history": None, "orders": orders,
                "position": views.position(account), "trades": trades,
            }  # fmt: skip
        if not change.money and not trades:
            return None
        if family == "account_all_positions":
            return self._positions(index)
        if family == "account_all_assets":
            return {"assets": views.assets(account), "account_id": index, "timestamp": now_ns // NS_PER_MS}
        return self._all(index, by_market)

    def _positions(self, index: int) -> dict[str, Any]:
        account = self._desk.accounts[index]
        return {
            "positions": self._views.positions(account), "shares": [], "last_funding_round": None,
            "last_funding_discount": None,
        }  # fmt: skip

    def _all(self, index: int, trades: dict[str, Any]) -> dict[str, Any]:
        account = self._desk.accounts[index]
        return {
            "account": index, "assets": self._views.assets(account), "positions": self._views.positions(account),
            "trades": trades, "funding_histories": {}, "shares": [], **self._views.counters(account),
        }  # fmt: skip

    # --- First frames ------------------------------------------------------------------------------------------------

    def first(self, channel: Channel, now_ns: int) -> object:
        """The frame that opens a subscription."""
        kind, name, views = f"subscribed/{channel.family}", channel.name, self._views
        if channel.family == "order_book":
            self.book(now_ns)
            body = views.full_book(self._updated_us(), self.nonce, self.offset)
            return self._book_frame(kind, name, body, now_ns)
        if channel.family == "ticker":
            return self._ticker(kind, name, now_ns)
        if channel.family == "trade":
            recent = list(views.trades)[-RECENT:][::-1]
            nonce = self._book.nonce
            return {"type": kind, "channel": name, "trades": recent, "liquidation_trades": None, "nonce": nonce}
        if channel.family == "market_stats":
            return self._stats(kind, name, now_ns)
        if channel.family == "spot_market_stats":
            return {
                "type": kind, "channel": name, "spot_market_stats": {} if channel.market == ALL_MARKETS else None,
                "timestamp": now_ns // NS_PER_MS,
            }  # fmt: skip
        if channel.family in ("candle", "mark_price_candle"):
            return self._candle(kind, name, now_ns)
        if channel.family == "height":
            return self._height(kind, now_ns)
        return {"type": kind, "channel": name, **self._state(channel, now_ns)}

    def _state(self, channel: Channel, now_ns: int) -> dict[str, Any]:
        views, account, family = self._views, self._desk.accounts[channel.account], channel.family
        recent = list(account.trades)[-RECENT:][::-1]
        if family == "account_all_orders":
            return {"orders": views.orders(account)}
        if family == "account_orders":
            return {"account": account.index, "nonce": self._book.nonce, "orders": views.orders(account)}
        if family == "account_all_trades":
            return {"trades": {self._key: recent} if recent else {}, **views.volumes(account, "volume")}
        if family == "account_tx":
            return {"txs": list(account.txs)[-RECENT:]}
        if family == "user_stats":
            return {"stats": views.user_stats(account), "timestamp": now_ns // NS_PER_MS}
        if family == "account_market":
            orders = [order for found in views.orders(account).values() for order in found]
            return {
                "account": account.index, "assets": views.assets(account), "funding_history": None, "orders": orders,
                "position": views.position(account), "trades": recent,
            }  # fmt: skip
        if family == "account_all_positions":
            return self._positions(account.index)
        if family == "account_all_assets":
            return {"assets": views.assets(account), "account_id": account.index, "timestamp": now_ns // NS_PER_MS}
        return self._all(account.index, {self._key: recent} if recent else {})


_UPDATES = (
    "account_tx", "account_all_orders", "account_orders", "account_all_trades", "account_all_positions", "account_all",
    "account_market", "user_stats", "account_all_assets",
)  # fmt: skip
