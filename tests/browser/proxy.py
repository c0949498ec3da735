"""A reverse proxy as JupyterHub has one: another address, a path in front, WebSockets passed on."""

from __future__ import annotations

import asyncio
import threading
from contextlib import contextmanager

import aiohttp
from aiohttp import web
from multidict import CIMultiDict

HOP = {"connection", "keep-alive", "transfer-encoding", "upgrade", "host", "content-encoding", "content-length"}


async def _copy(source, target):
    async for message in source:
        if message.type == aiohttp.WSMsgType.TEXT:
            await target.send_str(message.data)
        elif message.type == aiohttp.WSMsgType.BINARY:
            await target.send_bytes(message.data)
    await target.close()


def _handler(backend, client):
    async def handle(request):
        url = f"{backend}{request.rel_url}"
        headers = {name: value for name, value in request.headers.items() if name.lower() not in HOP}
        if request.headers.get("Upgrade", "").lower() == "websocket":
            protocols = [p.strip() for p in request.headers.get("Sec-WebSocket-Protocol", "").split(",") if p.strip()]
            headers = {name: value for name, value in headers.items() if not name.lower().startswith("sec-websocket")}
            async with client.ws_connect(url, headers=headers, protocols=protocols, max_msg_size=0) as behind:
                front = web.WebSocketResponse(protocols=protocols, max_msg_size=0)
                await front.prepare(request)
                await asyncio.gather(_copy(front, behind), _copy(behind, front))
                return front
        body = await request.read()
        async with client.request(request.method, url, headers=headers, data=body, allow_redirects=False) as answer:
            kept = CIMultiDict((name, value) for name, value in answer.headers.items() if name.lower() not in HOP)
            return web.Response(status=answer.status, body=await answer.read(), headers=kept)

    return handle


@contextmanager
def proxy(backend):
    """Pass everything on to `backend`; gives the proxy's port. It runs on a thread of its own."""
    ready, over, found = threading.Event(), [], []

    async def serve():
        stop = asyncio.Event()
        over.append((asyncio.get_running_loop(), stop))
        async with aiohttp.ClientSession(auto_decompress=True) as client:
            application = web.Application(client_max_size=1 << 26)
            application.router.add_route("*", "/{path:.*}", _handler(backend, client))
            runner = web.AppRunner(application, shutdown_timeout=0.5)
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            found.append(site._server.sockets[0].getsockname()[1])
            ready.set()
            await stop.wait()
            await runner.cleanup()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    assert ready.wait(10)
    try:
        yield found[0]
    finally:
        loop, stop = over[0]
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
