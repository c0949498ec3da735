"""The metrics listener of one session: Prometheus scrapes it on loopback, without a token, since it tells no secrets.

The facts are taken between two turns of the engine; making text of them, which takes longer, is left to a thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from aiohttp import web

from mmlab.telemetry.prometheus import exposition

LOOPBACK = ("127.0.0.1", "localhost")
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Exporter:
    """Serves ``/metrics``.

    Parameters
    ----------
    facts : callable
        What a scrape shows; called on the running loop.
    """

    def __init__(self, facts: Callable[[], dict[str, Any]]) -> None:
        self._facts = facts
        self._runner: web.AppRunner | None = None
        self.target = ""
        """Host and port."""

    async def start(self, port: int = 0) -> str:
        """Listen; returns ``host:port``.

        Raises
        ------
        OSError
            The port is taken.
        """
        app = web.Application()
        app.add_routes([web.get("/metrics", self._metrics)])
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        await web.TCPSite(self._runner, LOOPBACK[0], port).start()
        self.target = f"{LOOPBACK[0]}:{self._runner.addresses[0][1]}"
        return self.target

    async def close(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _metrics(self, request: web.Request) -> web.Response:
        if request.host.rpartition(":")[0] not in LOOPBACK:  # a page of the web that had its name point here
            return web.Response(status=403, text="metrics are served on loopback only\n")
        text = await asyncio.to_thread(exposition, self._facts())
        return web.Response(body=text.encode(), headers={"Content-Type": CONTENT_TYPE})
