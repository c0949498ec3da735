"""The official client, driven by tests."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager

import aiohttp
import lighter

TICK_AWAY = 20


class Trader:
    """A `SignerClient` with what tests ask often. Prices and sizes are in units."""

    def __init__(self, server, account: int = 1) -> None:
        self.account = account
        self.client = lighter.SignerClient(server.url, account, server.keys(account), chain_id=server.ready["chain_id"])
        api = self.client.api_client
        self.orders, self.txs, self.accounts = (
            lighter.OrderApi(api),
            lighter.TransactionApi(api),
            lighter.AccountApi(api),
        )

    def token(self, **options) -> str:
        token, error = self.client.create_auth_token_with_expiry(api_key_index=4, **options)
        assert error is None
        return token

    async def best(self) -> tuple[int, int]:
        book = await self.orders.order_book_orders(0, 1)
        return tuple(int(side[0].price.replace(".", "")) for side in (book.bids, book.asks))

    async def bid_from(self, price: int) -> int:
        """Lots bid at this price or a better one."""
        bids = (await self.orders.order_book_orders(0, 250)).bids
        return sum(
            round(1000 * float(one.remaining_base_amount)) for one in bids if int(one.price.replace(".", "")) >= price
        )

    async def quiet_bid(self) -> int:
        """A price that nothing reaches."""
        return (await self.best())[0] * 9 // 10

    async def live(self) -> list:
        return (
            await self.orders.account_active_orders(account_index=self.account, market_id=0, authorization=self.token())
        ).orders

    async def one(self, client_index: int):
        """An order, live or over, once it is known."""
        for _ in range(100):
            found = await self.orders.account_orders(
                account_index=self.account, client_order_indexes=str(client_index), authorization=self.token()
            )
            if found.orders and found.orders[0].status != "pending":
                return found.orders[0]
            await asyncio.sleep(0.02)
        raise AssertionError(f"order {client_index} never came")

    async def until(self, client_index: int, status: str):
        for _ in range(100):
            order = await self.one(client_index)
            if order.status == status:
                return order
            await asyncio.sleep(0.02)
        raise AssertionError(f"order {client_index} is {order.status}, not {status}")

    async def over(self, client_index: int):
        """An order that has ended."""
        for _ in range(500):
            order = await self.one(client_index)
            if order.status not in ("open", "in-progress"):
                return order
            await asyncio.sleep(0.02)
        raise AssertionError(f"order {client_index} is {order.status} still")

    async def position(self) -> int:
        found = (await self.accounts.account(by="index", value=str(self.account))).accounts[0].positions
        return found[0].sign * int(found[0].position.replace(".", "")) if found else 0

    async def quote(self, client_index: int, price: int, size: int = 100, *, ask: bool = False, tif: int = 2, **more):
        """A limit order; what the client returns."""
        expiry = 0 if tif == 0 else -1
        return await self.client.create_order(
            0, client_index, size, price, ask, 0, tif, order_expiry=expiry, api_key_index=more.pop("key", 4), **more
        )


@asynccontextmanager
async def trader(server, account: int = 1):
    one = Trader(server, account)
    try:
        yield one
    finally:
        await one.client.close()


class Socket:
    """A WebSocket that remembers what it heard."""

    def __init__(self, socket) -> None:
        self.socket, self.heard = socket, []

    async def say(self, **message) -> None:
        await self.socket.send_str(json.dumps(message))

    async def next(self, wanted=lambda frame: True, timeout_s: float = 10.0):
        """The next frame that is wanted; others are remembered only."""
        async with asyncio.timeout(timeout_s):
            while True:
                frame = json.loads((await self.socket.receive()).data)
                self.heard.append(frame)
                if wanted(frame):
                    return frame

    async def of(self, kind: str):
        return await self.next(lambda frame: frame.get("type") == kind)

    async def join(self, channel: str, auth: str | None = None):
        await self.say(type="subscribe", channel=channel, **({} if auth is None else {"auth": auth}))
        return await self.of(f"subscribed/{channel.partition('/')[0]}")


@asynccontextmanager
async def socket(server, query: str = ""):
    async with aiohttp.ClientSession() as session, session.ws_connect(server.ws + query) as found:
        one = Socket(found)
        assert (await one.next())["type"] == "connected"
        yield one
