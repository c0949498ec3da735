"""The control server of an engine: HTTP and WebSocket on loopback, for notebook, dashboard, command line and curl.

Every request carries the token. Requests are answered between two turns of the engine, from plain values; a picture of
the state is made at most every `FRESH_S`, however many look. ``docs/control_api.md`` has every route with a curl line.
"""

from __future__ import annotations

import asyncio
import hmac
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Protocol

import msgspec
from aiohttp import WSCloseCode, web

from mmlab.errors import ConfigError, MMLabError, SafetyError, SessionError

FRESH_S = 0.1
MOST_HZ = 10.0
MOST_BYTES = 1 << 20
MOST_SAMPLES = 10_000
LOOPBACK = ("127.0.0.1", "localhost")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class ConflictError(SessionError):
    """Somebody else was quicker."""


class Controlled(Protocol):
    """What the server steers: a session on its own loop."""

    def state(self) -> dict[str, Any]:
        """What it does now."""

    def params(self) -> dict[str, Any]:
        """Version, config in force, history of changes."""

    def update(self, changes: dict[str, Any], *, base_version: int | None, source: str) -> int:
        """Change parameters; the new version."""

    def kill(self, reason: str) -> None:
        """Cancel all and halt, latched."""

    def rearm(self) -> None:
        """Quote again as soon as the conditions of a re-arm hold."""

    async def flatten(self) -> int:
        """Leave the position; the lots that are left."""

    def stop(self, reason: str) -> None:
        """End the session."""

    def heartbeat(self) -> None:
        """A sign of life of the owner."""

    def metrics_text(self) -> str:
        """The state in Prometheus' text format."""

    def latencies_us(self, stage: str, newest: int) -> list[float]:
        """The newest latencies of a stage."""

    def shadows(self) -> dict[str, dict[str, Any]]:
        """Shadow sets: name -> ``changes``, ``version``, ``alive``."""

    def add_shadow(self, name: str, changes: dict[str, Any]) -> None:
        """Let a parameter set run along."""

    def remove_shadow(self, name: str) -> None:
        """Let a parameter set run along no more."""


class Changes(msgspec.Struct, forbid_unknown_fields=True):
    """Body of ``POST /params``."""

    changes: dict[str, Any]
    base_version: int | None = None
    source: str = "api"


class Reason(msgspec.Struct, forbid_unknown_fields=True):
    """Body of ``POST /kill`` and ``POST /stop``."""

    reason: str = "operator"


class Shadow(msgspec.Struct, forbid_unknown_fields=True):
    """Body of ``POST /shadows``."""

    name: str
    changes: dict[str, Any]


class ControlServer:
    """Serves one session.

    Parameters
    ----------
    session : Controlled
        What is steered; called on the running loop.
    token : str
        What every request must carry.
    """

    def __init__(self, session: Controlled, token: str) -> None:
        self._session, self._token = session, token.encode()
        self._runner: web.AppRunner | None = None
        self._picture: tuple[float, bytes] = (-1.0, b"")
        self._streams: set[web.WebSocketResponse] = set()
        self.url = ""

    async def start(self, port: int = 0) -> str:
        """Listen on loopback; returns the address."""
        app = web.Application(middlewares=[self._guard], client_max_size=MOST_BYTES)
        app.add_routes([
            web.get("/state", self._state), web.get("/params", self._params), web.post("/params", self._update),
            web.post("/kill", self._kill), web.post("/rearm", self._rearm), web.post("/flatten", self._flatten),
            web.post("/stop", self._stop), web.post("/heartbeat", self._heartbeat), web.get("/metrics", self._metrics),
            web.get("/latency/{stage}", self._latency),
            web.get("/stream", self._stream), web.get("/shadows", self._shadows),
            web.post("/shadows", self._add_shadow), web.delete("/shadows/{name}", self._remove_shadow),
        ])  # fmt: skip
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, LOOPBACK[0], port)
        await site.start()
        bound = self._runner.addresses[0][1]
        self.url = f"http://{LOOPBACK[0]}:{bound}"
        return self.url

    async def close(self) -> None:
        """Stop listening; streams are told."""
        for stream in tuple(self._streams):
            with suppress(ConnectionError):
                await stream.close(code=WSCloseCode.GOING_AWAY, message=b"the session has ended")
        if self._runner is not None:
            await self._runner.cleanup()

    # --- Who may ---------------------------------------------------------------------------------------------------

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        given = request.headers.get("Authorization", "").removeprefix("Bearer ").encode()
        if request.host.rpartition(":")[0] not in LOOPBACK:  # a page of the web that had its name point here
            return _error(403, SafetyError("the control server answers on loopback only"))
        if not hmac.compare_digest(given, self._token):
            return _error(401, SafetyError("wrong or missing token: send 'Authorization: Bearer TOKEN'"))
        try:
            return await handler(request)
        except ConflictError as error:
            return _error(409, error)
        except (MMLabError, msgspec.DecodeError) as error:
            return _error(400, error)

    # --- Looking -----------------------------------------------------------------------------------------------------

    def _now(self) -> bytes:
        taken_s, picture = self._picture
        now_s = time.monotonic()
        if now_s - taken_s >= FRESH_S:
            picture = msgspec.json.encode(self._session.state())
            self._picture = (now_s, picture)
        return picture

    async def _state(self, _: web.Request) -> web.Response:
        return _json(self._now())

    async def _params(self, _: web.Request) -> web.Response:
        return _json(msgspec.json.encode(self._session.params()))

    async def _metrics(self, _: web.Request) -> web.Response:
        return web.Response(text=self._session.metrics_text(), content_type="text/plain")

    async def _latency(self, request: web.Request) -> web.Response:
        text = request.query.get("newest", "1000")
        if not text.isdecimal() or not 0 < int(text) <= MOST_SAMPLES:
            raise ConfigError(f"newest = {text}: must be a whole number from 1 to {MOST_SAMPLES}")
        samples = self._session.latencies_us(request.match_info["stage"], int(text))
        return _json(msgspec.json.encode(samples))

    async def _shadows(self, _: web.Request) -> web.Response:
        return _json(msgspec.json.encode(self._session.shadows()))

    async def _stream(self, request: web.Request) -> web.WebSocketResponse:
        """The state, again and again."""
        try:
            hz = float(request.query.get("hz", "2"))
        except ValueError:
            hz = 0.0
        if not 0 < hz <= MOST_HZ:
            raise ConfigError(f"hz = {request.query['hz']}: must be > 0 and at most {MOST_HZ:g}")
        stream = web.WebSocketResponse(heartbeat=20.0)
        await stream.prepare(request)
        self._streams.add(stream)
        hearing = asyncio.ensure_future(_hear(stream))
        try:
            while not stream.closed and not hearing.done():
                await stream.send_str(self._now().decode())
                await asyncio.wait((hearing,), timeout=1 / hz)
        except ConnectionError:
            pass  # the viewer has gone
        finally:
            hearing.cancel()
            self._streams.discard(stream)
        return stream

    # --- Steering ----------------------------------------------------------------------------------------------------

    async def _update(self, request: web.Request) -> web.Response:
        body = msgspec.json.decode(await request.read(), type=Changes)
        version = self._session.update(body.changes, base_version=body.base_version, source=body.source)
        self._picture = (-1.0, b"")
        return _json(msgspec.json.encode({"version": version}))

    async def _kill(self, request: web.Request) -> web.Response:
        self._session.kill((await _reason(request)).reason)
        return self._done()

    async def _rearm(self, _: web.Request) -> web.Response:
        self._session.rearm()
        return self._done()

    async def _stop(self, request: web.Request) -> web.Response:
        self._session.stop((await _reason(request)).reason)
        return self._done()

    async def _flatten(self, _: web.Request) -> web.Response:
        lots = await asyncio.shield(asyncio.ensure_future(self._session.flatten()))  # even if the asker goes away
        return _json(msgspec.json.encode({"position_lots": lots}))

    async def _heartbeat(self, _: web.Request) -> web.Response:
        self._session.heartbeat()
        return web.Response(status=204)

    async def _add_shadow(self, request: web.Request) -> web.Response:
        body = msgspec.json.decode(await request.read(), type=Shadow)
        self._session.add_shadow(body.name, body.changes)
        return self._done()

    async def _remove_shadow(self, request: web.Request) -> web.Response:
        self._session.remove_shadow(request.match_info["name"])
        return self._done()

    def _done(self) -> web.Response:
        self._picture = (-1.0, b"")  # the asker's next look shows it
        return _json(b"{}")


async def _hear(stream: web.WebSocketResponse) -> None:
    """Read what the viewer says, which is nothing, until it is gone."""
    async for _ in stream:
        pass


async def _reason(request: web.Request) -> Reason:
    body = await request.read()
    return msgspec.json.decode(body, type=Reason) if body else Reason()


def _json(body: bytes) -> web.Response:
    return web.Response(body=body, content_type="application/json")


def _error(status: int, error: Exception) -> web.Response:
    kind = type(error).__name__ if isinstance(error, MMLabError) else ConfigError.__name__
    return web.json_response({"error": str(error), "kind": kind}, status=status)
