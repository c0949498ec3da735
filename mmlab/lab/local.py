"""A handle on a session in this process, from whatever thread; the same calls as `mmlab.lab.client.Client`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from mmlab.errors import MMLabError, SessionError
from mmlab.lab.trade import Trade

T = TypeVar("T")
PATIENCE_S = 10.0
"""How long a call from another thread waits for the session's loop."""


class Local:
    """Calls into a `Trade` on its own loop."""

    def __init__(self, trade: Trade) -> None:
        self.trade = trade

    def state(self) -> dict[str, Any]:
        """What the session does now, also once it is over."""
        return self.trade.state()

    def params(self) -> dict[str, Any]:
        """``version``, ``config`` in force, ``history`` of changes."""
        return self.trade.params()

    def update(self, changes: dict[str, Any], *, base_version: int | None = None, source: str = "session") -> int:
        """Change parameters; returns the new version."""
        return self._there(lambda: self.trade.update(changes, base_version=base_version, source=source))

    def kill(self, reason: str = "operator") -> None:
        """Cancel all and halt, latched."""
        self._there(lambda: self.trade.kill(reason))

    def rearm(self) -> None:
        """Quote again as soon as the conditions of a re-arm hold."""
        self._there(self.trade.rearm)

    def stop(self, reason: str = "stopped") -> None:
        """End the session."""
        self._there(lambda: self.trade.stop(reason))

    async def flatten(self) -> int:
        """Leave the position; returns the lots that are left."""
        work, loop = self.trade.flatten(), self.trade.loop
        if loop is None or asyncio.get_running_loop() is loop:
            return await work
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, loop))

    def shadows(self) -> dict[str, dict[str, Any]]:
        """Shadow sets: name -> ``changes``, ``version``, ``alive``."""
        return self.trade.shadows()

    def add_shadow(self, name: str, changes: dict[str, Any]) -> None:
        """Let a parameter set run along."""
        self._there(lambda: self.trade.add_shadow(name, changes))

    def remove_shadow(self, name: str) -> None:
        """Let a parameter set run along no more."""
        self._there(lambda: self.trade.remove_shadow(name))

    def _there(self, work: Callable[[], T]) -> T:
        """Call `work` on the session's loop, from whatever thread."""
        loop = self.trade.loop
        if loop is None:
            raise SessionError("the session has not begun")
        try:
            here = asyncio.get_running_loop() is loop
        except RuntimeError:
            here = False
        if here:
            return work()
        done: Future[T] = Future()

        def call() -> None:
            try:
                done.set_result(work())
            except MMLabError as error:
                done.set_exception(error)

        try:
            loop.call_soon_threadsafe(call)
            return done.result(PATIENCE_S)
        except (RuntimeError, TimeoutError):
            raise SessionError("the session does not answer: it has ended, or its loop is busy") from None
