"""The WebSocket's own rules, frame by frame."""

from __future__ import annotations

import json
import time

from mmlab.wire import lighter as wire

from .client import socket, trader
from .test_signer_client import ids, run

PUBLIC = ("order_book/0", "ticker/0", "trade/0", "market_stats/0", "market_stats/all", "candle/0/1m", "height",
          "spot_market_stats/all", "mark_price_candle/0/5m", "account_all/1", "user_stats/1")  # fmt: skip
PRIVATE = ("account_market/0/1", "account_tx/1", "account_all_orders/1", "account_orders/0/1", "account_all_trades/1",
           "account_all_positions/1", "account_all_assets/1")  # fmt: skip


@run
async def test_every_channel_opens_once(server):
    async with trader(server) as t, socket(server) as s:
        for channel in PUBLIC + PRIVATE:
            frame = await s.join(channel, t.token() if channel in PRIVATE else None)
            assert frame["channel"] == channel.replace("/", ":")
            await s.say(type="subscribe", channel=channel, auth=t.token())
            assert (await s.next(lambda f: "error" in f))["error"]["code"] == 30003
        await s.say(type="unsubscribe", channel="trade/0")
        assert (await s.of("unsubscribed"))["channel"] == "trade:0"
        await s.say(type="unsubscribe", channel="trade/0")
        assert (await s.next(lambda f: "error" in f))["error"]["code"] == 30002


@run
async def test_private_channels_need_their_own_token(server):
    async with trader(server, 2) as other, socket(server) as s:
        for channel in PRIVATE:
            for token in (None, other.token()):
                await s.say(type="subscribe", channel=channel, **({} if token is None else {"auth": token}))
                assert (await s.next())["error"]["code"] == 20013


@run
async def test_nonsense_is_answered(server):
    async with socket(server) as s:
        for text, code in (
            ("{", 30000), ('{"type":"dance"}', 30001), ('{"type":"subscribe","channel":"bbo/0"}', 30005),
            ('{"type":"subscribe","channel":"order_book/9"}', 30005), ("[]", 30000),
            ('{"type":"subscribe","channel":"account_all/99"}', 21100), ('{"type":"jsonapi/sendtx"}', 30007),
        ):  # fmt: skip
            await s.socket.send_str(text)
            assert (await s.next())["error"]["code"] == code, text
        await s.say(type="ping")
        assert (await s.next())["type"] == "pong"


@run
async def test_book_frames_join_up(server):
    async with socket(server) as s:
        first = await s.join("order_book/0")
        assert first["order_book"]["begin_nonce"] == 0
        levels = {side: {one["price"]: one["size"] for one in first["order_book"][side]} for side in ("asks", "bids")}
        nonce, offset = first["order_book"]["nonce"], first["offset"]
        for _ in range(40):
            frame = await s.of("update/order_book")
            assert isinstance(wire.decode(json.dumps(frame)), wire.BookFrame)  # as our own reader reads it
            book = frame["order_book"]
            assert book["begin_nonce"] == nonce < book["nonce"] and frame["offset"] > offset
            assert abs(frame["timestamp"] - time.time() * 1000) < 5000
            assert abs(frame["last_updated_at"] / 1000 - frame["timestamp"]) < 5000
            nonce, offset = book["nonce"], frame["offset"]
            for side, held in levels.items():
                for one in book[side]:
                    held[one["price"]] = one["size"]
                    if float(one["size"]) == 0:
                        del held[one["price"]]
        await s.say(type="unsubscribe", channel="order_book/0")
        tail = await s.of("unsubscribed")
        assert tail["channel"] == "order_book:0"
        late = [f for f in s.heard if f.get("type") == "update/order_book"][40:]
        for frame in late:  # that came before the answer
            for side, held in levels.items():
                held.update({one["price"]: one["size"] for one in frame["order_book"][side]})
        bids, asks = ([float(p) for p, size in levels[side].items() if float(size)] for side in ("bids", "asks"))
        assert max(bids) < min(asks)


@run
async def test_an_order_from_creation_to_fill(server):
    async with trader(server, 3) as t, socket(server) as s:
        for channel in ("account_all_orders/3", "account_all_trades/3", "account_all_positions/3", "account_tx/3",
                        "user_stats/3", "trade/0"):  # fmt: skip
            await s.join(channel, t.token())
        name, position = next(ids), await t.position()
        _, ask = await t.best()
        _, sent, _ = await t.client.create_market_order(0, name, 20, ask + 200, False, api_key_index=4)
        tx = await s.of("update/account_tx")
        assert tx["txs"][0]["hash"] == sent.tx_hash and tx["txs"][0]["status"] == 2
        orders = await s.next(lambda f: f.get("type") == "update/account_all_orders" or f in s.heard[:-1])
        (order,) = orders["orders"]["0"]
        assert (order["client_order_index"], order["status"], order["side"]) == (name, "filled", "buy")
        trades = (await s.of("update/account_all_trades"))["trades"]["0"]
        assert {one["bid_client_id"] for one in trades} == {name} and all(one["taker_fee"] == 280 for one in trades)
        assert sum(float(one["size"]) for one in trades) == 0.02
        held = (await s.of("update/account_all_positions"))["positions"]["0"]
        assert held["sign"] * round(float(held["position"]) * 1000) == position + 20
        told = [one for f in s.heard if f.get("type") == "update/trade" for one in f["trades"]]
        mine = [one for one in told if one["bid_account_id"] == 3]
        assert [one["trade_id"] for one in mine] == [one["trade_id"] for one in trades]  # the public sees it too
        assert not any(one["is_maker_ask"] is False for one in mine)


@run
async def test_transactions_by_websocket(server):
    async with trader(server) as t, socket(server) as s:
        nonce, price, name = (await t.txs.next_nonce(1, 6)).nonce, await t.quiet_bid(), next(ids)
        tx_type, info, _, _ = t.client.sign_create_order(0, name, 100, price, 0, 0, 2, nonce=nonce, api_key_index=6)
        await s.say(type="jsonapi/sendtx", data={"id": "a1", "tx_type": tx_type, "tx_info": json.loads(info)})
        reply = await s.next()
        assert (reply["type"], reply["code"], reply["id"]) == ("jsonapi/sendtx", 200, "a1") and len(
            reply["tx_hash"]
        ) == 80
        await t.one(name)
        await s.say(type="jsonapi/sendtx", data={"tx_type": tx_type, "tx_info": json.loads(info)})
        reply = await s.next()
        assert reply["code"] == 21104 and "invalid nonce" in reply["message"]
        signed = [
            t.client.sign_modify_order(0, name, 90, price - 1, nonce=nonce + 1, api_key_index=6),
            t.client.sign_cancel_order(0, name, nonce=nonce + 2, api_key_index=6),
        ]
        types, infos = [one[0] for one in signed], [one[1] for one in signed]
        await s.say(type="jsonapi/sendtxbatch", data={"tx_types": json.dumps(types), "tx_infos": json.dumps(infos)})
        reply = await s.next()
        assert reply["code"] == 200 and len(reply["tx_hash"]) == 2
        assert (await t.until(name, "canceled")).price == str(price - 1)


@run
async def test_a_read_only_connection_takes_no_transactions(server):
    async with socket(server, "?readonly=true&encoding=json") as s:
        await s.say(type="jsonapi/sendtx", data={"tx_type": 14, "tx_info": {}})
        assert (await s.next())["error"]["code"] == 30006


@run
async def test_too_many_messages(server):
    async with socket(server) as s:
        for _ in range(201):
            await s.say(type="ping")
        assert (await s.next(lambda f: "error" in f))["error"]["code"] == 30009
        assert sum(frame["type"] == "pong" for frame in s.heard if "type" in frame) == 200


@run
async def test_a_maker_is_filled_by_the_recording(server):
    """Its trade is public with its ids, and comes instead of that part of the recorded one."""
    async with trader(server, 1) as t, socket(server) as s:
        await s.join("account_all_trades/1", t.token())
        await s.join("trade/0")
        names = []
        for _ in range(60):
            bid, ask = await t.best()
            await t.client.cancel_all_orders(0, 0, api_key_index=4)
            for price, is_ask in ((bid, False), (ask, True)):
                names.append(next(ids))
                await t.quote(names[-1], price, size=50, ask=is_ask)
            try:
                frame = await s.next(lambda f: f.get("type") == "update/account_all_trades", timeout_s=0.5)
            except TimeoutError:
                continue
            break
        trade = frame["trades"]["0"][0]
        side = "bid" if trade["bid_account_id"] == 1 else "ask"
        assert trade[f"{side}_client_id"] in names and trade["maker_fee"] == 40
        assert trade["is_maker_ask"] == (side == "ask")
        await t.client.cancel_all_orders(0, 0, api_key_index=4)
