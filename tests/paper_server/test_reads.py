"""The read APIs and `WsClient` of the official client parse every answer."""

from __future__ import annotations

import asyncio
import json
import time
import urllib.error
import urllib.request
import warnings

import lighter
import pytest
from lighter.exceptions import ApiException

from .client import trader
from .test_signer_client import ids, run


@run
async def test_every_read_of_the_surface(server):
    async with trader(server) as t:
        name, price = next(ids), await t.quiet_bid()
        await t.quote(name, price)
        _, ask = await t.best()
        taken = next(ids)
        _, sent, _ = await t.client.create_market_order(0, taken, 30, ask + 200, False, api_key_index=4)
        await t.until(taken, "filled")
        token, now_ms = t.token(), int(time.time() * 1000)
        api, account = t.client.api_client, {"account_index": 1, "authorization": token}
        candles, root = lighter.CandlestickApi(api), lighter.RootApi(api)
        assert (await root.status()).network_id == server.ready["chain_id"]
        assert (await root.info()).contract_address.startswith("0x")
        books = (await t.orders.order_books()).order_books
        assert [(one.market_id, one.status) for one in books] == [(0, "active")]
        (detail,) = (await t.orders.order_book_details(market_id=0)).order_book_details
        assert (detail.price_decimals, detail.size_decimals) == (0, 3)
        assert detail.default_initial_margin_fraction == 500
        book = await t.orders.order_book_orders(0, 250)
        asks = [int(one.price) for one in book.asks]
        assert asks == sorted(asks) and len(book.bids) == book.total_bids
        recent = (await t.orders.recent_trades(0, 100)).trades
        assert [one.trade_id for one in recent] == sorted((one.trade_id for one in recent), reverse=True)
        mine = await t.orders.trades(sort_by="timestamp", limit=1, **account)
        assert mine.trades[0].bid_client_id == taken and mine.trades[0].bid_client_id_str == str(taken)
        assert mine.trades[0].bid_account_id == 1 and mine.trades[0].is_maker_ask
        assert mine.trades[0].tx_hash == sent.tx_hash
        found = await candles.candles(0, "1m", now_ms - 3_600_000, now_ms, 100)
        assert found.r == "1m" and found.c and found.c[-1].l <= found.c[-1].c <= found.c[-1].h
        assert (await candles.fundings(0, "1h", now_ms - 3_600_000, now_ms, 10)).resolution == "1h"
        assert (await lighter.FundingApi(api).funding_rates()).funding_rates[0].market_id == 0
        assert (await t.orders.exchange_stats()).order_book_stats[0].symbol == books[0].symbol
        assert (await t.orders.asset_details()).asset_details[0].symbol == "USDC"
        (one,) = (await t.accounts.account(by="index", value="1")).accounts
        assert one.positions[0].market_id == 0 and float(one.available_balance) < float(one.collateral)
        assert (await t.accounts.accounts_by_l1_address(one.l1_address)).sub_accounts[0].index == 1
        assert (await t.accounts.apikeys(1, 4)).api_keys[0].api_key_index == 4
        assert (await t.accounts.account_limits(**account)).user_tier == "premium"
        assert (await t.orders.account_active_orders(market_id=255, **account)).orders[0].client_order_index == name
        gone = await t.orders.account_inactive_orders(limit=1, **account)
        assert gone.orders[0].client_order_index == taken
        assert (await t.txs.tx(by="hash", value=sent.tx_hash)).status == 2
        txs = (await t.txs.account_txs(limit=10, by="account_index", value="1", authorization=token)).txs
        assert sent.tx_hash in [tx.hash for tx in txs]
        assert json.loads(txs[0].info)["AccountIndex"] == 1
        assert (await lighter.InfoApi(api).transfer_fee_info(**account)).transfer_fee_usdc == 0
        assert (await t.accounts.get_maker_only_api_keys(**account)).api_key_indexes == []
        assert (await t.accounts.position_funding(limit=10, **account)).position_fundings == []
        await t.client.cancel_order(0, name, api_key_index=4)


@run
async def test_maker_only_keys(server):
    async with trader(server, 2) as t:
        account = {"account_index": 2, "authorization": t.token()}
        await t.accounts.set_maker_only_api_keys(api_key_indexes="[8]", **account)
        assert (await t.accounts.get_maker_only_api_keys(**account)).api_key_indexes == [8]
        _, ask = await t.best()
        assert "62007" in (await t.client.create_market_order(0, next(ids), 10, ask + 100, False, api_key_index=8))[2]
        await t.accounts.set_maker_only_api_keys(api_key_indexes="[]", **account)


@run
async def test_pages_of_trades_and_orders_leave_nothing_out(server):
    async with trader(server, 4) as t:
        bid, ask = await t.best()
        names = [next(ids) for _ in range(5)]
        for n, name in enumerate(names):
            await t.client.create_market_order(0, name, 5, (ask + 300, bid - 300)[n % 2], n % 2, api_key_index=4)
            await t.until(name, "filled")
        account = {"account_index": 4, "authorization": t.token()}
        trades, orders, cursor = [], [], None
        while True:
            page = await t.orders.trades(sort_by="trade_id", limit=2, cursor=cursor, **account)
            trades += page.trades
            cursor = page.next_cursor
            if not cursor:
                break
        assert set(names) <= {one.bid_client_id + one.ask_client_id for one in trades}
        assert len({one.trade_id for one in trades}) == len(trades)
        while True:
            page = await t.orders.account_inactive_orders(limit=2, cursor=cursor, **account)
            orders += page.orders
            cursor = page.next_cursor
            if not cursor:
                break
        assert set(names) <= {one.client_order_index for one in orders}


@run
async def test_tokens_are_asked_for(server):
    async with trader(server) as t, trader(server, 2) as other:
        for token in (
            None, "nonsense", other.token(), t.token(timestamp=int(time.time()) - 3600),
            t.token(deadline=3600, timestamp=int(time.time()) + 8 * 3600), t.token()[:-2],
        ):  # fmt: skip
            with pytest.raises(ApiException, match="invalid auth"):
                await t.orders.account_active_orders(account_index=1, market_id=0, authorization=token)
        path = f"/api/v1/accountActiveOrders?account_index=1&market_id=255&auth={t.token()}"
        answer = await asyncio.to_thread(urllib.request.urlopen, server.url + path)  # as older clients ask
        assert json.load(answer)["code"] == 200


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("orderBookOrders?market_id=0&limit=999", 20001), ("orderBookOrders?market_id=7&limit=1", 21602),
        ("nextNonce?account_index=77&api_key_index=4", 21100), ("nextNonce?account_index=1&api_key_index=99", 21109),
        ("candles?market_id=0&resolution=7m&start_timestamp=0&end_timestamp=1", 20001),
        ("account?by=index&value=x", 20001), ("tx?by=hash&value=00", 21500), ("trades?limit=x", 20001),
    ],
)  # fmt: skip
def test_wrong_questions_get_a_code(server, path, code):
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(f"{server.url}/api/v1/{path}")
    assert caught.value.code == 400 and caught.value.headers["Content-Type"].startswith("application/json")
    assert json.load(caught.value)["code"] == code


class Enough(Exception):
    """Everything was heard."""


def test_ws_client_follows_the_book_and_an_account(server):
    books, accounts = [], []

    def book(market_id, state):
        books.append((market_id, {side: list(state[side]) for side in ("bids", "asks")}))
        if len(books) > 20 and accounts:
            raise Enough

    client = lighter.WsClient(
        ws_url=server.ws, order_book_ids=[0], account_ids=[1], on_order_book_update=book,
        on_account_update=lambda *told: accounts.append(told),
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # how the client opens its socket
        with pytest.raises(Enough):
            client.run()
    client.ws.close()
    assert {market for market, _ in books} == {"0"} and accounts[0][0] == "1"
    last = books[-1][1]
    assert max(float(one["price"]) for one in last["bids"]) < min(float(one["price"]) for one in last["asks"])
