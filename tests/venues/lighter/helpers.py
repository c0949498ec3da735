"""What the tests of the Lighter venue share."""

from __future__ import annotations

import asyncio
import ctypes
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import cache
from typing import Any

import numpy as np

from mmlab.venues.lighter import Credentials, LighterVenue, Secret
from mmlab.venues.lighter.native import library
from tests.venues.lighter.server import ACCOUNT, Server, running


@cache
def private_key() -> str:
    """A key made by the venue's own library."""

    class Made(ctypes.Structure):
        _fields_ = (("private", ctypes.c_void_p), ("public", ctypes.c_void_p), ("error", ctypes.c_void_p))

    make = library().GenerateAPIKey
    make.argtypes, make.restype = [], Made
    return ctypes.string_at(make().private).decode().removeprefix("0x")


def credentials(account: int = ACCOUNT) -> Credentials:
    """Keys 4 and 5 quote, 6 cancels."""
    return Credentials(account, {index: Secret(private_key()) for index in (4, 5, 6)}, (6,))


def run(coroutine: Coroutine[Any, Any, None], timeout_s: float = 20.0) -> None:
    """Run a test's coroutine to its end."""

    async def bounded() -> None:
        async with asyncio.timeout(timeout_s):
            await coroutine

    asyncio.run(bounded())


async def until(true: Callable[[], Any], timeout_s: float = 10.0) -> None:
    """Wait until something holds."""
    async with asyncio.timeout(timeout_s):
        while not true():  # noqa: ASYNC110  many things are waited for
            await asyncio.sleep(0.005)


class Heard:
    """Reads both feeds of a venue."""

    def __init__(self, venue: LighterVenue) -> None:
        self.venue = venue
        self.market: list[Any] = []
        self.account: list[Any] = []
        self.tasks = [asyncio.create_task(self._market()), asyncio.create_task(self._account())]

    async def _market(self) -> None:
        async for rows in self.venue.market():
            self.market.append(rows)

    async def _account(self) -> None:
        async for message in self.venue.account():
            self.account.append(message)

    @property
    def rows(self) -> np.ndarray[Any, Any]:
        return np.concatenate([rows for rows in self.market if isinstance(rows, np.ndarray)])

    def kinds(self) -> list[int]:
        return [int(kind) for kind in self.rows["kind"]] if self.market else []

    async def linked(self) -> None:
        await until(lambda: self.account and len(self.kinds()) >= 6)

    async def close(self) -> None:
        await self.venue.close()
        await asyncio.gather(*(task for task in self.tasks if not task.cancelled()))


@asynccontextmanager
async def market_and_account(prepare: Callable[[Server], Awaitable[None] | None] | None = None, **options: Any) -> Any:
    """Server, venue, and what is heard, linked."""
    async with running() as server:
        if prepare is not None:
            prepare(server)
        venue = await LighterVenue.open(server.endpoint, credentials(), "ETH", **options)
        heard = Heard(venue)
        try:
            await heard.linked()
            yield server, venue, heard
        finally:
            await heard.close()
