"""One instant of the account out of several answers.

The newest trade is asked for before and after everything else. If it is the same one, no trade of ours happened in
between, so orders, position and trades belong together: whenever the orders were looked at, their fills are those
trades. Orders that came or went without trading meanwhile do no harm, as a view may be of any moment since it was asked
for. If there was a trade, it is all asked again; after the third time the view says that it is not complete.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence

from mmlab.errors import VenueError
from mmlab.exchange import AccountView, Fill, OrderView
from mmlab.venues.lighter.account import AccountTracker, sorted_fills
from mmlab.venues.lighter.rest import Rest
from mmlab.wire import lighter_rest as wire
from mmlab.wire.lighter_account import AccountTrade
from mmlab.wire.lighter_terms import AGGREGATE

ATTEMPTS = 3
PAGE = 100
MOST_PAGES = 20


class Views:
    """Asks for views of one account in one market."""

    def __init__(self, rest: Rest, tracker: AccountTracker, keys: Sequence[int], counters: Counter[str]) -> None:
        self._rest, self._tracker, self._keys, self._counters = rest, tracker, tuple(keys), counters

    async def view(self, since_trade_id: int) -> AccountView:
        """The account, with all trades after `since_trade_id`; raises `VenueError`."""
        for attempt in range(ATTEMPTS):
            trades, all_there = await self._trades(since_trade_id)
            (orders, readable), position, nonces = await asyncio.gather(
                self._orders(), self._position(), asyncio.gather(*(self._key(key) for key in self._keys))
            )
            same = await self._newest() == (trades[0].trade_id if trades else 0)
            if same or attempt == ATTEMPTS - 1:
                break
            self._counters["views_overtaken"] += 1
        newest = trades[0].trade_id if trades else 0
        fills = self._fills(trades, since_trade_id)
        complete = same and readable and all_there
        self._counters["views_incomplete"] += not complete
        return AccountView(orders, fills, newest or since_trade_id, position, tuple(nonces), complete)

    async def nonce(self, key: int) -> int:
        """Next nonce of a key; raises `VenueError`."""
        answer = await self._rest.get(
            "nextNonce", wire.NextNonce, account_index=self._tracker.account, api_key_index=key
        )
        if answer.nonce < 0:
            raise VenueError(f"nextNonce: no nonce of key {key} in the answer")
        return answer.nonce

    async def _key(self, key: int) -> tuple[int, int]:
        return key, await self.nonce(key)

    async def _orders(self) -> tuple[tuple[OrderView, ...], bool]:
        """Open orders, and whether all of them could be read."""
        answer = await self._rest.get(
            "accountActiveOrders", wire.Orders, private=True, account_index=self._tracker.account,
            market_id=self._tracker.market,
        )  # fmt: skip
        if answer.orders is None:
            raise VenueError("accountActiveOrders: no orders in the answer")
        orders, readable = [], not answer.next_cursor
        for order in answer.orders:
            if order.market_index != self._tracker.market:
                continue
            try:
                orders.append(self._tracker.order(order))
            except ValueError:
                self._counters["bad_orders"] += 1
                readable = False
        return tuple(orders), readable

    async def _position(self) -> int:
        account, market = self._tracker.account, self._tracker.market
        answer = await self._rest.get("account", wire.Accounts, by="index", value=account)
        mine = [found for found in answer.accounts if account in (found.index, found.account_index)]
        if not mine or mine[0].positions is None:
            raise VenueError(f"account: account {account} or its positions are not in the answer")
        try:
            return sum(self._tracker.position(p) for p in mine[0].positions if p.market_id == market)
        except ValueError as error:
            raise VenueError(f"account: {error}") from None

    async def _trades(self, since: int) -> tuple[list[AccountTrade], bool]:
        """Trades from the newest back to `since`, and whether they are all; only the newest page if `since` is 0."""
        found: list[AccountTrade] = []
        cursor = ""
        for _ in range(MOST_PAGES):
            answer = await self._page(PAGE, cursor)
            trades = self._checked(answer)
            found += trades
            cursor = answer.next_cursor or ""
            if not trades or not cursor or not since or trades[-1].trade_id <= since:
                return found, True
        self._counters["trades_truncated"] += 1
        return found, False

    async def _newest(self) -> int:
        trades = self._checked(await self._page(1, ""))
        return trades[0].trade_id if trades else 0

    async def _page(self, limit: int, cursor: str) -> wire.Trades:
        more = {"cursor": cursor} if cursor else {}
        return await self._rest.get(
            "trades", wire.Trades, private=True, sort_by="trade_id", sort_dir="desc", limit=limit,
            account_index=self._tracker.account, market_id=self._tracker.market, aggregate=AGGREGATE, **more,
        )  # fmt: skip

    def _checked(self, answer: wire.Trades) -> list[AccountTrade]:
        if answer.trades is None:
            raise VenueError("trades: no trades in the answer")
        trades = [trade for trade in answer.trades if trade.market_id == self._tracker.market]
        return sorted(trades, key=lambda trade: -trade.trade_id)

    def _fills(self, trades: list[AccountTrade], since: int) -> tuple[Fill, ...]:
        try:
            return tuple(sorted_fills([self._tracker.fill(trade) for trade in trades if trade.trade_id > since]))
        except ValueError as error:
            self._counters["bad_trades"] += 1
            raise VenueError(f"trades: {error}") from None
