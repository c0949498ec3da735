"""The WebSocket endpoint: greeting, pings, subscriptions, transactions."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from aiohttp import WSMsgType, web

from mmlab.paper_server.auth import check_token
from mmlab.paper_server.channels import parse
from mmlab.paper_server.core import Core, stopped
from mmlab.paper_server.frames import encode
from mmlab.paper_server.hub import Client
from mmlab.paper_server.limits import Rolling
from mmlab.paper_server.transactions import Refusal
from mmlab.wire.lighter_terms import (
    IDLE_S,
    MAX_CONNECTIONS,
    MAX_CONNECTIONS_PER_MIN,
    MAX_IN_FLIGHT,
    MAX_MESSAGES_PER_MIN,
    MAX_SUBSCRIPTIONS,
    PING_S,
    SEND_TX,
    SEND_TX_BATCH,
    Code,
)

NO_PONG, LARGEST = 1008, 1 << 20


class _Message(msgspec.Struct):
    type: str = ""
    channel: str = ""
    auth: str | None = None
    data: msgspec.Raw = msgspec.Raw(b"null")


class _Sent(msgspec.Struct):
    tx_type: int
    tx_info: msgspec.Raw
    id: str | None = None


class _SentBatch(msgspec.Struct):
    tx_types: msgspec.Raw
    tx_infos: msgspec.Raw
    id: str | None = None


_message = msgspec.json.Decoder(_Message).decode
_sent = msgspec.json.Decoder(_Sent).decode
_sent_batch = msgspec.json.Decoder(_SentBatch).decode


class Stream:
    """Serves ``/stream``."""

    def __init__(self, core: Core) -> None:
        self._core, self._number = core, 0
        self._new = Rolling(MAX_CONNECTIONS_PER_MIN)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """One connection, from greeting to end."""
        hub = self._core.hub
        if len(hub.clients) >= MAX_CONNECTIONS or not self._new.take(1, self._core.now_ns):
            return web.json_response({"code": int(Code.TOO_MANY_CONNECTIONS), "message": "too many connections"},
                                     status=429)  # fmt: skip
        socket = web.WebSocketResponse(compress=False, max_msg_size=LARGEST, autoping=True)
        await socket.prepare(request)
        self._number += 1
        client = Client(socket, self._number)
        hub.clients[client.number] = client
        connection = _Connection(self._core, client, read_only=request.query.get("readonly") == "true")
        writer = asyncio.create_task(client.write())
        keeper = asyncio.create_task(connection.keep_alive())
        client.send(encode({"type": "connected", "session_id": f"paper-{client.number}"}).decode())
        try:
            async for message in socket:
                if message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
                    connection.hear(message.data)
        finally:
            hub.leave_all(client)
            await stopped(keeper)
            await stopped(writer)
        return socket


class _Connection:
    def __init__(self, core: Core, client: Client, *, read_only: bool) -> None:
        self._core, self._client, self._read_only = core, client, read_only
        self._messages = Rolling(MAX_MESSAGES_PER_MIN)
        self._heard = asyncio.get_running_loop().time()

    async def keep_alive(self) -> None:
        """Ping; close when nothing is heard."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(PING_S)
            if loop.time() - self._heard > IDLE_S:
                await self._client.socket.close(code=NO_PONG, message=b"no pong")
                return
            self._client.send('{"type":"ping"}')

    def hear(self, data: str | bytes) -> None:
        """A message of the client."""
        self._heard = asyncio.get_running_loop().time()
        try:
            message = _message(data)
        except (msgspec.DecodeError, UnicodeEncodeError):
            self._fail(Refusal(Code.BAD_JSON, "invalid json"))
            return
        try:
            self._act(message)
        except Refusal as refusal:
            self._fail(refusal)

    def _act(self, message: _Message) -> None:
        if message.type in (SEND_TX, SEND_TX_BATCH):
            self._transact(message)
            return
        if not self._messages.take(1, self._core.now_ns):
            raise Refusal(Code.TOO_MANY_MESSAGES, "too many websocket messages")
        if message.type == "ping":
            self._client.send('{"type":"pong"}')
        elif message.type == "subscribe":
            self._subscribe(message)
        elif message.type == "unsubscribe":
            self._unsubscribe(message)
        elif message.type != "pong":
            raise Refusal(Code.BAD_TYPE, f"invalid type: {message.type[:40]}")

    # --- Subscriptions -----------------------------------------------------------------------------------------------

    def _subscribe(self, message: _Message) -> None:
        core, client = self._core, self._client
        channel = parse(message.channel, core.views.market_id, core.desk.accounts)
        if channel.name in client.channels:
            raise Refusal(Code.ALREADY_SUBSCRIBED, f"already subscribed: {message.channel}")
        if len(client.channels) >= MAX_SUBSCRIPTIONS:
            raise Refusal(Code.TOO_MANY_SUBSCRIPTIONS, "too many subscriptions")
        now_ns = core.now_ns
        if channel.private:
            check_token(message.auth or "", channel.account, core.desk.accounts, now_ns / 1e9)
        core.pump()  # so that the first frame is of now, and updates follow it
        client.send(encode(core.publisher.first(channel, now_ns)).decode())
        core.hub.join(client, channel)

    def _unsubscribe(self, message: _Message) -> None:
        core, client = self._core, self._client
        channel = parse(message.channel, core.views.market_id, core.desk.accounts)
        if channel.name not in client.channels:
            raise Refusal(Code.NOT_SUBSCRIBED, f"not subscribed: {message.channel}")
        core.hub.leave(client, channel.name)
        client.send(encode({"type": "unsubscribed", "channel": channel.name}).decode())

    # --- Transactions ------------------------------------------------------------------------------------------------

    def _transact(self, message: _Message) -> None:
        if self._read_only:
            raise Refusal(Code.UNSUPPORTED, "read-only connection")
        single = message.type == SEND_TX
        try:
            name, texts = _texts(message)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Refusal(Code.BAD_DATA, f"invalid data: {error}") from None
        answer: dict[str, Any] = {"type": message.type}
        if name is not None:
            answer["id"] = name
        if self._client.in_flight >= MAX_IN_FLIGHT:
            refusal = Refusal(Code.TOO_MANY_IN_FLIGHT, "too many messages in flight")
            self._client.send(encode(answer | {"code": int(refusal.code), "message": refusal.message}).decode())
            return
        self._core.carry(self._client, texts, answer, single=single)

    def _fail(self, refusal: Refusal) -> None:
        error = {"code": int(refusal.code), "message": refusal.message}
        self._client.send(encode({"error": error}).decode())


def _texts(message: _Message) -> tuple[str | None, list[tuple[int, str]]]:
    if message.type == SEND_TX:
        sent = _sent(message.data)
        return sent.id, [(sent.tx_type, _text(sent.tx_info))]
    batch = _sent_batch(message.data)
    types = msgspec.json.decode(_text(batch.tx_types), type=list[int])
    infos = [_text(one) for one in msgspec.json.decode(_text(batch.tx_infos), type=list[msgspec.Raw])]
    if len(types) != len(infos):
        raise Refusal(Code.BATCH_LENGTHS, "tx_types and tx_infos differ in length")
    return batch.id, list(zip(types, infos, strict=True))


def _text(raw: msgspec.Raw) -> str:
    """JSON text, or the JSON text inside a string."""
    data = bytes(raw)
    if data.lstrip()[:1] == b'"':
        return msgspec.json.decode(data, type=str)
    return data.decode()
