"""A server that serves what it hears from another one."""

from __future__ import annotations

import asyncio
import json
import urllib.request

from .client import trader
from .conftest import Server
from .test_signer_client import ids


def best(server) -> list[int]:
    book = json.load(urllib.request.urlopen(f"{server.url}/api/v1/orderBookOrders?market_id=0&limit=1"))
    return [int(book[side][0]["price"]) for side in ("bids", "asks")]


def test_a_live_market_is_heard_and_traded(server):
    below = Server("--no-limits", "--latency-ms", "0", "--accounts", "1", feed=server.ws)

    async def trade():
        async with trader(below) as t:  # one alone: the native signer knows one server for an account and key
            for _ in range(200):  # until its first full book is there
                if (await t.orders.order_book_orders(0, 1)).bids:
                    break
                await asyncio.sleep(0.05)
            bid, ask = await t.best()
            true_bid, true_ask = await asyncio.to_thread(best, server)
            assert abs(bid - true_bid) < 200 and abs(ask - true_ask) < 200 and bid < ask
            assert (await t.orders.order_books()).order_books[0].symbol == "SYNTHETIC-BTC-PERP"
            taken = next(ids)
            await t.client.create_market_order(0, taken, 20, ask + 200, False, api_key_index=4)
            assert (await t.until(taken, "filled")).filled_base_amount == "0.020"
            for _ in range(200):  # a maker is filled by what is heard
                bid, ask = await t.best()
                await t.client.cancel_all_orders(0, 0, api_key_index=4)
                names = [next(ids), next(ids)]
                errors = [
                    (await t.quote(name, price, size=20, ask=is_ask))[2]
                    for name, price, is_ask in zip(names, (bid, ask), (False, True), strict=True)
                ]
                assert errors == [None, None]
                await asyncio.sleep(0.1)
                if any([float((await t.one(name)).filled_base_amount) for name in names]):
                    break
            trades = (await t.orders.trades(
                sort_by="trade_id", limit=1, account_index=1, authorization=t.token()
            )).trades  # fmt: skip
            assert trades[0].maker_fee == 40

    try:
        asyncio.run(trade())
    finally:
        assert below.end() == 0
