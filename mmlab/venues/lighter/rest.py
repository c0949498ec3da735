"""Questions and transactions over REST: times-out, backs off, counts, and never hands on what it cannot read."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import aiohttp
import msgspec

from mmlab.errors import VenueError
from mmlab.events import NS_PER_S
from mmlab.exchange import Accepted, NotSent, Reply, Unanswered
from mmlab.venues.lighter.backoff import BLOCKED_S, BLOCKING
from mmlab.venues.lighter.endpoint import Endpoint
from mmlab.venues.lighter.replies import meaning, reply_of
from mmlab.wire import lighter_rest as wire
from mmlab.wire.lighter import UNREADABLE
from mmlab.wire.lighter_session import TxReply, decode_reply
from mmlab.wire.lighter_terms import API, Code

TIMEOUT_S = 5.0
LIMITED_S = 2.0
"""Questions wait so long after HTTP 429, if the venue does not say."""
MOST_BYTES = 32 << 20
T = TypeVar("T", bound=msgspec.Struct)


class RateLimitedError(VenueError):
    """The venue wants fewer requests; no question is put before the wait is over."""


class Rest:
    """One client of the REST service. Made inside a running event loop.

    Parameters
    ----------
    endpoint : Endpoint
    counters : Counter
    token : callable, optional
        Auth token for private answers.
    """

    def __init__(
        self, endpoint: Endpoint, counters: Counter[str], token: Callable[[], Awaitable[str]] | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> None:  # fmt: skip
        self.counters = counters
        self._base, self._token = endpoint.rest.rstrip("/"), token
        self._loop = asyncio.get_running_loop()
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=timeout_s), headers={"User-Agent": "mmlab"}
        )
        self._closed_until_s = 0.0

    async def close(self) -> None:
        """Let go of the connections."""
        await self._session.close()

    # --- Questions ---------------------------------------------------------------------------------------------------

    async def get(self, path: str, kind: type[T], *, private: bool = False, **parameters: Any) -> T:
        """Ask, and read the answer as `kind`.

        Raises
        ------
        VenueError
            No usable answer; `RateLimitedError` if it is too early to ask.
        """
        wait_s = self._closed_until_s - self._loop.time()
        if wait_s > 0:
            raise RateLimitedError(f"{path}: the venue wants fewer requests; wait {wait_s:.1f} s")
        path, url = path or "status", f"{self._base}{API}/{path}" if path else f"{self._base}/"
        headers = {"authorization": await self._token()} if private and self._token is not None else {}
        try:
            async with self._session.get(url, params=parameters, headers=headers) as response:
                data = await self._read(response)
                self._see(path, response, data)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            self.counters["rest_errors"] += 1
            raise VenueError(f"{path}: {type(error).__name__}: {error}") from None
        return self._decoded(path, kind, data)

    def _see(self, path: str, response: aiohttp.ClientResponse, data: bytes) -> None:
        """Raise if the answer is an error."""
        status = response.status
        if status == 200:
            return
        self.counters["rest_errors"] += 1
        if status == 429 or status in BLOCKING:
            wait_s = BLOCKED_S if status in BLOCKING else _retry_after_s(response)
            self.counters["rate_limited" if status == 429 else "blocked"] += 1
            self._closed_until_s = self._loop.time() + wait_s
            raise RateLimitedError(f"{path}: HTTP {status}; wait {wait_s:g} s")
        raise VenueError(f"{path}: HTTP {status}: {_words(data)}")

    def _decoded(self, path: str, kind: type[T], data: bytes) -> T:
        try:
            answer = msgspec.json.decode(data, type=kind)
        except UNREADABLE as error:
            self.counters["rest_errors"] += 1
            self.counters["bad_answers"] += 1
            raise VenueError(f"{path}: the answer cannot be read: {error}") from None
        if isinstance(answer, wire.Answer) and answer.code != Code.OK:
            self.counters["rest_errors"] += 1
            raise VenueError(f"{path}: code {answer.code}: {answer.message}")
        return answer

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        data = await response.content.read(MOST_BYTES + 1)
        while len(data) <= MOST_BYTES and (more := await response.content.read(MOST_BYTES + 1 - len(data))):
            data += more
        if len(data) > MOST_BYTES:
            raise aiohttp.ClientPayloadError("giant answer")
        return data

    # --- Transactions ------------------------------------------------------------------------------------------------

    async def send_tx(self, tx_type: int, tx_info: bytes, *, with_quota: bool = False) -> Reply:
        """Hand in a signed transaction."""
        form = {"tx_type": str(tx_type), "tx_info": tx_info.decode()}
        try:
            async with self._session.post(f"{self._base}{API}/sendTx", data=form) as response:
                data = await self._read(response)
                status, wait_s = response.status, _retry_after_s(response)
        except aiohttp.ClientConnectorError as error:
            return NotSent(f"no connection: {error}")
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            self.counters["rest_errors"] += 1
            return Unanswered(f"{type(error).__name__}: {error}")
        if status == 429 or status in BLOCKING:
            self.counters["rate_limited" if status == 429 else "blocked"] += 1
            wait_s = BLOCKED_S if status in BLOCKING else wait_s
            code = Code.TOO_MANY_REQUESTS if status == 429 else status
            return meaning(int(code), f"HTTP {status}", wait_ns=round(wait_s * NS_PER_S))
        return self._tx_reply(status, data, with_quota=with_quota)

    def _tx_reply(self, status: int, data: bytes, *, with_quota: bool) -> Reply:
        try:
            answer: TxReply = decode_reply(data)
        except UNREADABLE:
            self.counters["bad_answers"] += 1
            return Unanswered(f"HTTP {status}: the answer cannot be read")
        reply = reply_of(answer, with_quota=with_quota)
        if status == 200 or (status == 400 and not isinstance(reply, Accepted)):
            return reply
        return Unanswered(f"HTTP {status}, code {answer.code}: {answer.message}")


def _retry_after_s(response: aiohttp.ClientResponse) -> float:
    text = response.headers.get("Retry-After", "")
    return min(float(text), BLOCKED_S) if text.isdecimal() and text.isascii() else LIMITED_S


def _words(data: bytes) -> str:
    """Code and message of an error answer, if it has them."""
    try:
        answer = msgspec.json.decode(data, type=wire.Answer)
    except UNREADABLE:
        return data[:100].decode(errors="replace")
    return f"code {answer.code}: {answer.message}"
