"""A scripted Lighter: one market, one account, on loopback. Says what it is told to say, in the shapes of the venue."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
from aiohttp import WSMsgType, web

from mmlab.venues.lighter.endpoint import Endpoint
from mmlab.wire.lighter_numbers import decimal_text

ACCOUNT, MARKET = 7, 0
PRICE_DECIMALS, SIZE_DECIMALS = 2, 4
FIRST_INDEX = 2**48 + 1


def price(ticks: int) -> str:
    return decimal_text(ticks, PRICE_DECIMALS)


def size(lots: int) -> str:
    return decimal_text(lots, SIZE_DECIMALS)


class Server:
    """State and scripts.

    Attributes
    ----------
    filters : dict
        Path or frame family -> function that changes the answer (bytes) before it leaves; None drops it.
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.txs: list[dict[str, Any]] = []
        self.batches: list[int] = []
        self.nonces: dict[int, int] = {}
        self.orders: dict[int, dict[str, Any]] = {}
        self.trades: list[dict[str, Any]] = []
        self.position = 0
        self.market_status = "active"
        self.tier = "premium"
        self.time_us = 1_795_700_000_000_000
        self.book: tuple[dict[int, int], dict[int, int]] = ({99_990: 500, 99_980: 700}, {100_010: 400, 100_020: 900})
        self.nonce = 1000
        self.index = FIRST_INDEX
        self.scheduled_ms = 0
        self.filters: dict[str, Callable[[bytes], bytes | web.Response | None]] = {}
        self.sockets: dict[web.WebSocketResponse, set[str]] = {}
        self.reply: Callable[[dict[str, Any]], dict[str, Any] | None] = self.accept
        self.echo_id = True
        self.greet = True
        self.refuse_ws = 0
        self.deaf = False
        self.endpoint = Endpoint("test", "", "", 300)
        self.tokens: set[str] = set()
        self.tasks: set[asyncio.Task[None]] = set()

    # --- REST --------------------------------------------------------------------------------------------------------

    async def rest(self, request: web.Request) -> web.StreamResponse:
        name = request.path.removeprefix("/api/v1/")
        query = dict(request.query) | dict(await request.post())
        self.requests.append((name, query))
        self.counts[name] += 1
        self.tokens.add(request.headers.get("authorization", ""))
        answer = self.posted(query) if name == "sendTx" else getattr(self, f"get_{name}")(query)
        status = 200 if answer.get("code", 200) == 200 else 400
        data = msgspec.json.encode(answer)
        if name in self.filters:
            changed = self.filters[name](data)
            if isinstance(changed, web.Response):
                return changed
            data = changed or b""
        return web.Response(body=data, status=status, content_type="application/json")

    def get_orderBooks(self, query: dict[str, str]) -> dict[str, Any]:
        market = {
            "symbol": "ETH", "market_id": MARKET, "market_type": "perp", "status": self.market_status,
            "taker_fee": "0.0000", "maker_fee": "0.0000", "liquidation_fee": "1.0000", "min_base_amount": "0.0050",
            "min_quote_amount": "10.000000", "supported_size_decimals": SIZE_DECIMALS,
            "supported_price_decimals": PRICE_DECIMALS, "supported_quote_decimals": 6, "news": {"to": "come"},
        }  # fmt: skip
        return {"code": 200, "order_books": [market]}

    def get_accountLimits(self, query: dict[str, str]) -> dict[str, Any]:
        return {
            "code": 200, "user_tier": self.tier, "current_maker_fee_tick": 40, "current_taker_fee_tick": 280,
            "effective_lit_stakes": "3500",
        }  # fmt: skip

    def get_nextNonce(self, query: dict[str, str]) -> dict[str, Any]:
        return {"code": 200, "nonce": self.nonces.setdefault(int(query["api_key_index"]), 5)}

    def get_accountActiveOrders(self, query: dict[str, str]) -> dict[str, Any]:
        return {"code": 200, "orders": list(self.orders.values())}

    def get_account(self, query: dict[str, str]) -> dict[str, Any]:
        return {"code": 200, "total": 1, "accounts": [
            {"code": 0, "index": ACCOUNT, "account_index": ACCOUNT, "positions": [self.position_of()], "status": 1,
             "collateral": "1000.0", "available_balance": "900.0", "cancel_all_time": self.scheduled_ms}
        ]}  # fmt: skip

    def get_trades(self, query: dict[str, str]) -> dict[str, Any]:
        newest = self.trades[::-1]
        start, limit = int(query.get("cursor", "0")), int(query["limit"])
        answer: dict[str, Any] = {"code": 200, "trades": newest[start : start + limit]}
        if start + limit < len(newest):
            answer["next_cursor"] = str(start + limit)
        return answer

    def get_apikeys(self, query: dict[str, str]) -> dict[str, Any]:
        keys = [{"api_key_index": k, "nonce": n, "public_key": "ab"} for k, n in self.nonces.items()]
        return {"code": 200, "api_keys": keys}

    def position_of(self) -> dict[str, Any]:
        sign = 1 if self.position > 0 else -1 if self.position < 0 else 0
        return {"market_id": MARKET, "symbol": "ETH", "position": size(abs(self.position)), "sign": sign}

    async def root(self, request: web.Request) -> web.Response:
        return web.json_response({"status": 200, "network_id": 1, "timestamp": self.time_us // 1_000_000})

    def posted(self, form: dict[str, str]) -> dict[str, Any]:
        tx = {"tx_type": int(form["tx_type"]), "tx_info": msgspec.json.decode(form["tx_info"])}
        return self.take(tx) or {"code": 200}

    # --- Transactions ------------------------------------------------------------------------------------------------

    def take(self, tx: dict[str, Any]) -> dict[str, Any] | None:
        self.txs.append(tx)
        return self.reply(tx)

    def accept(self, tx: dict[str, Any]) -> dict[str, Any]:
        info = tx["tx_info"]
        key, nonce = info["ApiKeyIndex"], info["Nonce"]
        if nonce != self.nonces.setdefault(key, 5):
            return {"code": 21104, "message": "invalid nonce"}
        if tx["tx_type"] == 16 and info["TimeInForce"] == 1 and self.scheduled_ms:
            return {"code": 21712, "message": "scheduled cancel-all exists"}
        self.nonces[key] += 1
        getattr(self, f"do_{tx['tx_type']}")(info)
        return {"code": 200, "tx_hash": tx.get("id", ""), "volume_quota_remaining": 900}

    def do_14(self, info: dict[str, Any]) -> None:
        self.index += 1
        self.time_us += 10
        self.orders[self.index] = self.order(
            self.index, info["ClientOrderIndex"], bool(info["IsAsk"]), info["Price"], info["BaseAmount"]
        )
        self.tell_orders(self.orders[self.index])

    def do_15(self, info: dict[str, Any]) -> None:
        self.end(self.found(info["Index"]), "canceled")

    def do_16(self, info: dict[str, Any]) -> None:
        if info["TimeInForce"]:
            self.scheduled_ms = info["Time"]
            return
        for order in list(self.orders.values()):
            self.end(order, "canceled")

    def do_17(self, info: dict[str, Any]) -> None:
        order = self.found(info["Index"])
        if order is not None:
            self.time_us += 10
            order |= {"price": price(info["Price"]), "initial_base_amount": size(info["BaseAmount"]),
                      "remaining_base_amount": size(info["BaseAmount"]), "transaction_time": self.time_us}  # fmt: skip
            self.tell_orders(order)

    def found(self, index: int) -> dict[str, Any] | None:
        return next((o for o in self.orders.values() if index in (o["client_order_index"], o["order_index"])), None)

    def end(self, order: dict[str, Any] | None, status: str) -> None:
        if order is None:
            return
        self.time_us += 10
        self.orders.pop(order["order_index"], None)
        order |= {"status": status, "transaction_time": self.time_us}
        self.tell_orders(order)

    def order(self, index: int, client: int, ask: bool, ticks: int, lots: int, filled: int = 0) -> dict[str, Any]:
        return {
            "order_index": index, "client_order_index": client, "order_id": str(index), "market_index": MARKET,
            "owner_account_index": ACCOUNT, "initial_base_amount": size(lots), "price": price(ticks), "nonce": 3,
            "remaining_base_amount": size(lots - filled), "is_ask": ask, "filled_base_amount": size(filled),
            "side": "sell" if ask else "buy", "type": "limit", "time_in_force": "post-only", "reduce_only": False,
            "status": "open", "timestamp": self.time_us // 1000, "transaction_time": self.time_us,
        }  # fmt: skip

    def fill(self, order: dict[str, Any], lots: int) -> dict[str, Any]:
        """One of ours trades: order, trade and position are told."""
        self.time_us += 10
        ask = order["is_ask"]
        filled = int(order["filled_base_amount"].replace(".", "")) + lots
        whole = int(order["initial_base_amount"].replace(".", ""))
        order |= {"filled_base_amount": size(filled), "remaining_base_amount": size(whole - filled),
                  "transaction_time": self.time_us}  # fmt: skip
        if filled == whole:
            self.orders.pop(order["order_index"])
            order["status"] = "filled"
        self.position += -lots if ask else lots
        ours, other = ("ask", "bid") if ask else ("bid", "ask")
        trade = {
            "trade_id": 5000 + len(self.trades), "market_id": MARKET, "size": size(lots), "price": order["price"],
            f"{ours}_id": order["order_index"], f"{other}_id": 3, f"{ours}_account_id": ACCOUNT,
            f"{other}_account_id": 12, f"{ours}_client_id": order["client_order_index"], f"{other}_client_id": 1,
            "is_maker_ask": ask, "timestamp": self.time_us // 1000, "transaction_time": self.time_us, "type": "trade",
        }  # fmt: skip
        self.trades.append(trade)
        self.tell("account_all_trades", {"trades": {str(MARKET): [trade]}})
        self.tell_orders(order)
        self.tell("account_all_positions", {"positions": {str(MARKET): self.position_of()}})
        return trade

    # --- WebSocket ---------------------------------------------------------------------------------------------------

    async def stream(self, request: web.Request) -> web.StreamResponse:
        if self.refuse_ws:
            return web.Response(status=self.refuse_ws)
        socket = web.WebSocketResponse(compress=True)
        await socket.prepare(request)
        self.counts["connections"] += 1
        self.sockets[socket] = set()
        if self.greet:
            await socket.send_str('{"type":"connected","session_id":"x"}')
        try:
            async for message in socket:
                if message.type == WSMsgType.TEXT and not self.deaf:
                    await self.asked(socket, msgspec.json.decode(message.data))
        finally:
            self.sockets.pop(socket, None)
        return socket

    async def asked(self, socket: web.WebSocketResponse, frame: dict[str, Any]) -> None:
        kind = frame["type"]
        self.counts[f"ws_{kind}"] += 1
        if kind == "ping":
            await socket.send_str('{"type":"pong"}')
        elif kind == "subscribe":
            family = frame["channel"].partition("/")[0]
            if frame["channel"] in self.sockets[socket]:
                await self.push(socket, "error", {"error": {"code": 30003, "message": "already subscribed"}})
                return
            if family.startswith("account") and not frame.get("auth"):
                await self.push(socket, "error", {"error": {"code": 30008, "message": "no auth"}})
                return
            self.tokens.add(frame.get("auth", ""))
            self.sockets[socket].add(frame["channel"])
            await self.push(socket, family, self.first(family), f"subscribed/{family}", frame["channel"])
        elif kind == "unsubscribe":
            self.sockets[socket].discard(frame["channel"])
            await self.push(socket, "unsubscribed", {}, "unsubscribed", frame["channel"])
        elif kind == "jsonapi/sendtx":
            data = frame["data"]
            answer = self.take(data)
            if answer is not None:
                named = {"id": data["id"]} if self.echo_id else {}
                if not self.echo_id:
                    answer.pop("tx_hash", None)
                await self.push(socket, "sendtx", {**named, **answer}, kind)
        elif kind == "jsonapi/sendtxbatch":
            data = frame["data"]
            types, infos = (msgspec.json.decode(data[name]) for name in ("tx_types", "tx_infos"))
            txs = [{"tx_type": t, "tx_info": msgspec.json.decode(i)} for t, i in zip(types, infos, strict=True)]
            self.batches.append(len(txs))
            answers = [self.take(tx) for tx in txs]
            answer = next((one for one in answers if one["code"] != 200), answers[0])
            await self.push(socket, "sendtxbatch", {"id": data["id"], **answer, "tx_hash": []}, kind)

    def first(self, family: str) -> dict[str, Any]:
        if family == "order_book":
            return self.full_book()
        if family == "account_orders":
            return {"orders": {str(MARKET): list(self.orders.values())}, "account": ACCOUNT, "nonce": 1}
        return {
            "ticker": {"nonce": self.nonce, "ticker": self.ticker()},
            "trade": {"trades": [], "liquidation_trades": None, "nonce": 1},
            "market_stats": {"market_stats": {"market_id": MARKET, "symbol": "ETH", "mark_price": "1000.005"},
                             "timestamp": self.time_us // 1000},
            "account_all_trades": {"trades": None, "total_volume": 1.5},
            "account_all_positions": {"positions": {str(MARKET): self.position_of()}, "shares": []},
            "user_stats": {"stats": {"collateral": "1000.0", "available_balance": "900.0"}},
        }[family]  # fmt: skip

    def full_book(self) -> dict[str, Any]:
        bids, asks = ([{"price": price(p), "size": size(s)} for p, s in side.items()] for side in self.book)
        book = {"code": 0, "asks": asks, "bids": bids, "offset": 1, "nonce": self.nonce, "begin_nonce": 0,
                "last_updated_at": self.time_us}  # fmt: skip
        return {"order_book": book, "offset": 1, "timestamp": self.time_us // 1000}

    def ticker(self) -> dict[str, Any]:
        bid, ask = max(self.book[0]), min(self.book[1])
        return {"s": "ETH", "b": {"price": price(bid), "size": size(self.book[0][bid])},
                "a": {"price": price(ask), "size": size(self.book[1][ask])}}  # fmt: skip

    def change(self, ask: bool, ticks: int, lots: int, *, skip: bool = False) -> dict[str, Any]:
        """A level of the book changes; `skip`: and its update is lost."""
        self.time_us += 50_000
        side = self.book[ask]
        side[ticks] = lots
        if not lots:
            del side[ticks]
        levels = [{"price": price(ticks), "size": size(lots)}]
        begin, self.nonce = self.nonce, self.nonce + 3
        book = {"code": 0, "asks": levels if ask else [], "bids": [] if ask else levels, "offset": 9,
                "nonce": self.nonce, "begin_nonce": begin, "last_updated_at": self.time_us}  # fmt: skip
        body = {"order_book": book, "offset": 9, "timestamp": self.time_us // 1000}
        if not skip:
            self.tell("order_book", body)
        return body

    def trade(self, trade_id: int, ticks: int, lots: int, *, maker_ask: bool = True) -> None:
        trade = {"trade_id": trade_id, "price": price(ticks), "size": size(lots), "is_maker_ask": maker_ask,
                 "transaction_time": self.time_us, "timestamp": self.time_us // 1000}  # fmt: skip
        self.tell("trade", {"trades": [trade], "liquidation_trades": None})

    def tell_orders(self, *orders: dict[str, Any]) -> None:
        self.tell("account_orders", {"orders": {str(MARKET): list(orders)}, "account": ACCOUNT, "nonce": 2})

    def tell(self, family: str, body: dict[str, Any]) -> None:
        """An update to all who have subscribed."""
        for socket, channels in self.sockets.items():
            for channel in channels:
                if channel.partition("/")[0] == family:
                    frame = self.encoded(body, f"update/{family}", channel)
                    self.later(socket, family, frame)

    def later(self, socket: web.WebSocketResponse, family: str, frame: bytes) -> None:
        if family in self.filters:
            changed = self.filters[family](frame)
            if changed is None:
                return
            assert isinstance(changed, bytes)
            frame = changed
        self.tasks.add(task := asyncio.get_running_loop().create_task(self.write(socket, frame)))
        task.add_done_callback(self.tasks.discard)

    async def write(self, socket: web.WebSocketResponse, frame: bytes) -> None:
        with contextlib.suppress(ConnectionError):
            await socket.send_frame(frame, WSMsgType.TEXT)

    async def push(
        self, socket: web.WebSocketResponse, family: str, body: dict[str, Any], kind: str = "", channel: str = ""
    ) -> None:
        frame = self.encoded(body, kind, channel)
        if family in self.filters:
            changed = self.filters[family](frame)
            if changed is None:
                return
            assert isinstance(changed, bytes)
            frame = changed
        await self.write(socket, frame)

    @staticmethod
    def encoded(body: dict[str, Any], kind: str, channel: str) -> bytes:
        head: dict[str, Any] = {"type": kind} if kind else {}
        return msgspec.json.encode(head | ({"channel": channel.replace("/", ":")} if channel else {}) | body)

    async def drop_all(self, code: int = 1001) -> None:
        """Close every connection."""
        for socket in list(self.sockets):
            await socket.close(code=code)

    def abort_all(self) -> None:
        """Cut every connection without a word."""
        for socket in list(self.sockets):
            transport = socket._req.transport if socket._req else None
            if transport is not None:
                transport.abort()


@contextlib.asynccontextmanager
async def running() -> AsyncIterator[Server]:
    """A server on a free port of loopback."""
    server = Server()
    app = web.Application()
    app.router.add_get("/", server.root)
    app.router.add_get("/stream", server.stream)
    app.router.add_route("*", "/api/v1/{name}", server.rest)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    server.endpoint = Endpoint("test", f"http://127.0.0.1:{port}", f"ws://127.0.0.1:{port}/stream", 300)
    try:
        yield server
    finally:
        await server.drop_all()
        await runner.cleanup()
