"""The official `SignerClient`, unmodified, against the server."""

from __future__ import annotations

import asyncio
import time

import pytest
from lighter.exceptions import ApiException
from lighter.signer_client import CreateOrderTxReq

from .client import trader

ids = iter(range(1, 10**6))


def run(test):
    """An async test, on a loop of its own."""

    def wrapped(server):
        asyncio.run(test(server))

    wrapped.__name__, wrapped.__doc__ = test.__name__, test.__doc__
    return wrapped


@run
async def test_check_client_knows_every_key(server):
    async with trader(server) as t:
        assert await asyncio.to_thread(t.client.check_client) is None


@run
async def test_a_stranger_is_not_known(server):
    async with trader(server) as t:
        t.client.account_index = 99
        t.client.create_client(4)
        assert "account not found" in await asyncio.to_thread(t.client.check_client)


@run
async def test_create_modify_cancel(server):
    async with trader(server) as t:
        name, price = next(ids), await t.quiet_bid()
        _, reply, error = await t.quote(name, price)
        assert error is None and reply.code == 200 and len(reply.tx_hash) == 80
        order = await t.one(name)
        assert order.status == "open" and order.price == str(price) and order.initial_base_amount == "0.100"
        assert order.order_index > 2**48 and not order.is_ask and order.time_in_force == "post-only"
        assert (await t.client.modify_order(0, order.order_index, 80, price - 1, api_key_index=4))[2] is None
        order = await t.one(name)
        assert (order.price, order.remaining_base_amount) == (str(price - 1), "0.080")
        assert (await t.client.cancel_order(0, name, api_key_index=5))[2] is None  # by another key
        assert (await t.until(name, "canceled")).remaining_base_amount == "0.000"


@run
async def test_bids_count_down_and_asks_count_up(server):
    async with trader(server) as t:
        names, (bid, ask) = [next(ids) for _ in range(4)], await t.best()
        for name, (price, is_ask) in zip(names, [(bid - 500, False), (ask + 500, True)] * 2, strict=True):
            await t.quote(name, price, ask=is_ask)
        first_bid, first_ask, second_bid, second_ask = [(await t.one(name)).order_index for name in names]
        assert 2**48 < first_ask < second_ask < second_bid < first_bid < 2**49
        await t.client.cancel_all_orders(0, 0, api_key_index=4)


@run
async def test_order_version_guards_against_reordering(server):
    async with trader(server) as t:
        name, price = next(ids), await t.quiet_bid()
        await t.quote(name, price)
        await t.one(name)
        for version, at in ((5, price - 1), (4, price - 2), (6, price - 3)):
            await t.client.modify_order(0, name, 100, at, order_version=version, api_key_index=4)
            order = await t.one(name)
            assert order.price == str(price - 3 if version == 6 else price - 1)
        assert order.order_version == 6
        await t.client.cancel_order(0, name, api_key_index=4)


@run
async def test_cancel_all_at_once_and_by_market(server):
    async with trader(server) as t:
        price = await t.quiet_bid()
        for market in (255, 0):
            for n in range(3):
                await t.quote(next(ids), price - n)
            assert len(await t.live()) == 3
            _, reply, error = await t.client.cancel_all_orders(0, 0, cancel_all_market_index=market, api_key_index=4)
            assert error is None and reply.code == 200
            await asyncio.sleep(0.05)
            assert await t.live() == []


@run
async def test_scheduled_cancel_all(server):
    async with trader(server) as t:
        name = next(ids)
        await t.quote(name, await t.quiet_bid())
        due_ms = int(time.time() * 1000) + 1500
        assert (await t.client.cancel_all_orders(1, due_ms, api_key_index=4))[2] is None
        account = (await t.accounts.account(by="index", value="1")).accounts[0]
        assert account.cancel_all_time == due_ms
        assert "21712" in (await t.client.cancel_all_orders(1, due_ms + 5000, api_key_index=5))[2]  # one at a time
        assert (await t.one(name)).status == "open"
        assert (await t.until(name, "canceled")).updated_at >= due_ms


@run
async def test_scheduled_cancel_all_aborted(server):
    async with trader(server) as t:
        name = next(ids)
        await t.quote(name, await t.quiet_bid())
        due_ms = int(time.time() * 1000) + 1200
        await t.client.cancel_all_orders(1, due_ms, api_key_index=4)
        await t.client.cancel_all_orders(2, 0, api_key_index=4)
        await asyncio.sleep(1.5)
        assert (await t.one(name)).status == "open"
        soon_ms = int(time.time() * 1000) + 500  # nearer than --min-schedule-s
        assert "21714" in (await t.client.cancel_all_orders(1, soon_ms, api_key_index=4))[2]
        await t.client.cancel_order(0, name, api_key_index=4)


@run
async def test_market_orders_and_their_helpers(server):
    async with trader(server, 2) as t:
        before = await t.position()
        bid, ask = await t.best()
        name = next(ids)
        assert (await t.client.create_market_order(0, name, 30, ask + 200, False, api_key_index=4))[2] is None
        assert (await t.until(name, "filled")).filled_base_amount == "0.030"
        _, _, error = await t.client.create_market_order_limited_slippage(0, next(ids), 20, 0.01, True, api_key_index=4)
        assert error is None
        _, _, error = await t.client.create_market_order_quote_amount(0, next(ids), 3.0, 0.01, False, api_key_index=4)
        assert error is None
        name = next(ids)
        await t.client.create_market_order(0, name, 10, bid * 4 // 5, False, api_key_index=4)  # far too little
        assert (await t.until(name, "canceled-too-much-slippage")).filled_base_amount == "0.000"
        assert await t.position() > before


@run
async def test_ioc_and_post_only_and_reduce_only(server):
    async with trader(server, 3) as t:
        bid, ask = await t.best()
        post, ioc, gtt, close = (next(ids) for _ in range(4))
        await t.quote(post, ask + 100)
        await t.until(post, "canceled-post-only")
        assert "21732" in (await t.quote(next(ids), ask + 100, ask=True, reduce_only=True))[2]  # nothing to reduce
        await t.quote(ioc, ask + 100, size=20, tif=0)
        await t.until(ioc, "filled")
        await t.quote(gtt, ask + 100, size=20, tif=1)
        await t.until(gtt, "filled")
        position = await t.position()
        await t.quote(close, bid - 100, size=1000, ask=True, tif=0, reduce_only=True)
        await t.one(close)
        await asyncio.sleep(0.05)
        assert position == 40 and await t.position() == 0


@run
async def test_batches_by_rest(server):
    async with trader(server) as t:
        key, nonce = 6, (await t.txs.next_nonce(1, 6)).nonce
        price, names = await t.quiet_bid(), [next(ids) for _ in range(3)]
        signed = [
            t.client.sign_create_order(0, name, 100, price - n, 0, 0, 2, nonce=nonce + n, api_key_index=key)
            for n, name in enumerate(names)
        ]
        signed.append(t.client.sign_cancel_order(0, names[0], nonce=nonce + 3, api_key_index=key))
        reply = await t.client.send_tx_batch([one[0] for one in signed[:3]], [one[1] for one in signed[:3]])
        assert reply.code == 200 and len(reply.tx_hash) == 3
        assert [(await t.one(name)).status for name in names] == ["open"] * 3
        assert (await t.client.send_tx_batch([signed[3][0]], [signed[3][1]])).code == 200
        await t.until(names[0], "canceled")
        with pytest.raises(ApiException, match="21104"):  # nothing of a batch counts if one is wrong
            await t.client.send_tx_batch([one[0] for one in signed[:2]], [one[1] for one in signed[:2]])
        assert (await t.txs.next_nonce(1, 6)).nonce == nonce + 4
        await t.client.cancel_all_orders(0, 0, api_key_index=key, nonce=nonce + 4)


@run
async def test_nonces_by_key_and_skipped(server):
    async with trader(server) as t:
        price = await t.quiet_bid()
        before = {key: (await t.txs.next_nonce(1, key)).nonce for key in (7, 8)}
        name, other = next(ids), next(ids)
        await t.quote(name, price, key=7)
        assert (await t.txs.next_nonce(1, 8)).nonce == before[8]
        tx_type, info, _, _ = t.client.sign_create_order(
            0, other, 100, price, 0, 0, 2, nonce=before[7] + 50, api_key_index=7
        )
        with pytest.raises(ApiException, match="invalid nonce"):
            await t.client.send_tx(tx_type, info)
        tx_type, info, _, _ = t.client.sign_create_order(
            0, other, 100, price, 0, 0, 2, nonce=before[7] + 50, skip_nonce=1, api_key_index=7
        )
        assert (await t.client.send_tx(tx_type, info)).code == 200
        assert (await t.txs.next_nonce(1, 7)).nonce == before[7] + 51
        with pytest.raises(ApiException, match="21104"):
            await t.client.send_tx(tx_type, info)
        keys = (await t.accounts.apikeys(1, 255)).api_keys
        assert sorted(key.api_key_index for key in keys) == [4, 5, 6, 7, 8]
        await t.client.cancel_all_orders(0, 0, api_key_index=8)


@run
async def test_the_clients_own_nonces_recover(server):
    async with trader(server) as t:
        name, price = next(ids), await t.quiet_bid()
        await t.quote(name, price, key=255)  # the client chooses keys, and keeps their nonces
        for key in t.client.nonce_manager.nonce:
            t.client.nonce_manager.nonce[key] += 5
        t.client.nonce_manager.current -= 1  # the same key again
        _, reply, error = await t.quote(next(ids), price, key=255)
        assert reply is None and "invalid nonce" in str(error)
        assert (await t.client.cancel_order(0, name, api_key_index=4))[2] is None


@run
async def test_self_trade_modes(server):
    async with trader(server, 4) as t:
        gone = "canceled-self-trade"
        for mode, maker, taker in ((0, gone, "filled"), (1, "open", gone), (2, gone, gone), (3, gone, "filled")):
            for _ in range(10):
                resting, crossing, price = next(ids), next(ids), (await t.best())[0] - 4
                await t.quote(resting, price, size=200)
                assert (await t.one(resting)).status == "open"
                size = await t.bid_from(price) + 200  # all that is bid before ours, ours, and a little more
                await t.quote(crossing, price, size=size, ask=True, tif=1, self_trade_behavior_mode=mode)
                over = await t.over(crossing)
                if over.status != "filled" or (await t.one(resting)).status != "open":
                    break
                await t.client.cancel_all_orders(0, 0, api_key_index=4)  # others bid more meanwhile: once more
                await t.until(resting, "canceled")
            assert over.status == taker, mode
            assert (await t.one(resting)).status == maker, mode
            sold = await t.one(crossing)
            assert round(1000 * float(sold.initial_base_amount)) == size - 200 * (mode == 3)
            assert float(sold.filled_base_amount) > 0
            await t.client.cancel_all_orders(0, 0, api_key_index=4)
            await t.until(resting, maker if maker == gone else "canceled")


@run
async def test_grouped_orders_and_triggers(server):
    async with trader(server, 2) as t:
        bid, ask = await t.best()
        profit, stop = (
            CreateOrderTxReq(
                MarketIndex=0, ClientOrderIndex=0, BaseAmount=0, Price=price, IsAsk=1, Type=kind,
                TimeInForce=0, ReduceOnly=1, TriggerPrice=trigger, OrderExpiry=-1,
            )
            for kind, price, trigger in ((4, bid - 1000, ask + 30_000), (2, bid - 1000, bid - 30_000))
        )  # fmt: skip
        entry = CreateOrderTxReq(
            MarketIndex=0, ClientOrderIndex=0, BaseAmount=50, Price=ask + 100, IsAsk=0, Type=0, TimeInForce=0,
            ReduceOnly=0, TriggerPrice=0, OrderExpiry=0,
        )  # fmt: skip
        _, reply, error = await t.client.create_grouped_orders(3, [entry, profit, stop], api_key_index=4)
        assert error is None and reply.code == 200
        await asyncio.sleep(0.1)
        waiting = await t.live()
        assert sorted(one.type for one in waiting) == ["stop-loss", "take-profit"]
        assert {one.trigger_status for one in waiting} == {"mark-price"}
        await t.client.cancel_order(0, waiting[0].order_index, api_key_index=4)
        await asyncio.sleep(0.05)
        assert await t.live() == []  # one cancels the other
        name = next(ids)
        await t.client.create_sl_order(0, name, 10, ask + 20_000, bid - 2000, True, reduce_only=True, api_key_index=4)
        assert (await t.until(name, "filled")).filled_base_amount == "0.010"  # the mark is below already


@run
async def test_leverage_margin_and_configuration(server):
    async with trader(server, 3) as t:
        for coroutine in (
            t.client.update_leverage(0, 0, 10, api_key_index=4),
            t.client.update_margin(0, 10.0, 1, api_key_index=4),
            t.client.update_account_config(1, api_key_index=4),
            t.client.update_account_asset_config(3, 1, api_key_index=4),
        ):
            _, reply, error = await coroutine
            assert error is None and reply.code == 200
        await asyncio.sleep(0.05)
        account = (await t.accounts.account(by="index", value="3")).accounts[0]
        assert account.account_trading_mode == 1


@run
async def test_refusals_burn_no_nonce(server):
    async with trader(server) as t:
        price = await t.quiet_bid()
        nonce = (await t.txs.next_nonce(1, 8)).nonce
        taken = next(ids)
        await t.quote(taken, price)
        await t.one(taken)
        expiry = int(time.time() * 1000) + 60_000
        sign, wrong = t.client.sign_create_order, next(ids)
        for code, signed in (
            (21728, sign(0, taken, 100, price, 0, 0, 2, nonce=nonce, api_key_index=8)),
            (21602, sign(1, wrong, 100, price, 0, 0, 2, nonce=nonce, api_key_index=8)),
            (21706, sign(0, wrong, 100, 1, 0, 0, 2, nonce=nonce, api_key_index=8)),
            (21711, sign(0, wrong, 100, price, 0, 0, 2, order_expiry=expiry, nonce=nonce, api_key_index=8)),
            (21733, sign(0, wrong, 100, price * 2, 0, 0, 2, nonce=nonce, api_key_index=8)),
            (21739, sign(0, wrong, 10**9, price, 0, 0, 2, nonce=nonce, api_key_index=8)),
            (21600, t.client.sign_cancel_order(0, wrong, nonce=nonce, api_key_index=8)),
            (21709, t.client.sign_modify_order(0, wrong, 100, price, nonce=nonce, api_key_index=8)),
        ):
            with pytest.raises(ApiException, match=str(code)):
                await t.client.send_tx(signed[0], signed[1])
        assert (await t.txs.next_nonce(1, 8)).nonce == nonce
        await t.client.cancel_order(0, taken, api_key_index=4)
