"""The wire between clients and venue when a fault plan is in force: what comes late, twice, or not at all."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from mmlab.paper_server.clock import ServerClock
from mmlab.paper_server.faulty import OUTAGES, Faults, Lost, sender_of
from mmlab.paper_server.frames import encode
from mmlab.paper_server.hub import Client, Hub
from mmlab.wire.lighter_terms import Code

PRIVATE = ("account_", "user_stats")


class Wire:
    """Carries messages by a plan.

    Attributes
    ----------
    faults : Faults
    """

    def __init__(self, faults: Faults, clock: ServerClock) -> None:
        self.faults, self._clock = faults, clock
        self._held: list[tuple[str, Sequence[Client]]] = []

    # --- Transactions ------------------------------------------------------------------------------------------------

    async def wait(self, until_ns: int) -> None:
        """Until a wall time; who waits for an earlier one goes on first."""
        if until_ns <= self._clock.now_ns():
            return
        loop = asyncio.get_running_loop()
        over = loop.create_future()
        timer = loop.call_at(self._clock.loop_s(until_ns), _finish, over)
        try:
            await over
        finally:
            timer.cancel()

    async def arrive(self, texts: list[tuple[int, str]]) -> None:
        """Until a transaction reaches the venue; raises `Lost`."""
        sender = sender_of(texts[0][1]) if texts else (0, 0)
        await self.wait(self.faults.arrival_ns(sender, self._clock.now_ns()))
        if "restart" in self.faults.down:
            raise Lost

    def reply_text(self, answer: dict[str, Any], now_ns: int) -> str:
        """The reply as it is heard."""
        if self.faults.unclear(now_ns):
            answer = answer | {"code": int(Code.INTERNAL), "message": "internal error"}
        junk = self.faults.junk_body("junk_reply", now_ns)
        return encode(answer).decode() if junk is None else junk.decode()

    # --- Frames ------------------------------------------------------------------------------------------------------

    def carry(self, name: str, text: str, clients: Sequence[Client]) -> None:
        """Send a frame to those who listen now, when it is due."""
        now_ns = self._clock.now_ns()
        if name.startswith(PRIVATE):
            for at_ns in self.faults.update_times(now_ns):
                self._later(at_ns, now_ns, text, clients)
            self._junk("junk_account", now_ns, clients)
        elif "stale" in self.faults.down:
            self._held.append((text, clients))
        else:
            self._later(self.faults.market_time(now_ns), now_ns, text, clients)
            self._junk("junk_market", now_ns, clients)

    def _junk(self, name: str, now_ns: int, clients: Sequence[Client]) -> None:
        text = self.faults.junk_frame(name, now_ns)
        if text is not None:
            _send(text, clients)

    def _later(self, at_ns: int, now_ns: int, text: str, clients: Sequence[Client]) -> None:
        if at_ns <= now_ns:
            _send(text, clients)
        else:
            asyncio.get_running_loop().call_at(self._clock.loop_s(at_ns), _send, text, clients)

    # --- Outages -----------------------------------------------------------------------------------------------------

    def outages(self, hub: Hub, cancel: Callable[[], None]) -> list[Coroutine[Any, Any, None]]:
        """The course of each kind; `cancel` cancels everybody's orders."""
        return [self._outages(kind, hub, cancel) for kind in OUTAGES]

    async def _outages(self, kind: str, hub: Hub, cancel: Callable[[], None]) -> None:
        end_ns = self._clock.now_ns()
        while (episode := self.faults.episode(kind, end_ns)) is not None:
            begin_ns, end_ns = episode
            await self.wait(begin_ns)
            self._begin(kind, hub, cancel)
            await self.wait(end_ns)
            self.faults.down.discard(kind)
            if kind == "stale":
                self._held, held = [], self._held
                for text, clients in held:
                    self._later(self.faults.market_time(self._clock.now_ns()), self._clock.now_ns(), text, clients)

    def _begin(self, kind: str, hub: Hub, cancel: Callable[[], None]) -> None:
        self.faults.counts[kind] += 1
        self.faults.down.add(kind)
        if kind == "restart" and self.faults.plan.restart_cancels:
            cancel()
        for client in list(hub.clients.values()):
            if (
                kind == "restart"
                or (kind == "market_disconnect" and client.public)
                or (kind == "disconnect" and not client.only_public)
            ):
                client.abort()


def _finish(over: asyncio.Future[None]) -> None:
    if not over.done():
        over.set_result(None)


def _send(text: str, clients: Sequence[Client]) -> None:
    for client in clients:
        client.send(text)


async def stopped(task: asyncio.Task[Any]) -> None:
    """End a task."""
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
