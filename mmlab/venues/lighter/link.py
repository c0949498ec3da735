"""One WebSocket session kept alive: connect, subscribe, answer pings, notice silence, come back.

What frames say is the `Handler`'s business.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from mmlab.errors import MMLabError
from mmlab.venues.lighter.backoff import BLOCKED_S, FIRST_S, MOST_S, Backoff
from mmlab.venues.lighter.log import Log
from mmlab.venues.lighter.socket import RefusedError, Socket
from mmlab.venues.lighter.subscriptions import Subscriptions
from mmlab.wire.lighter import UNREADABLE
from mmlab.wire.lighter_session import PING, PONG, Head, decode_head
from mmlab.wire.lighter_terms import MAX_AUTH_AHEAD_S

LOOK_S = 0.25
STEADY_S = 10.0
"""A connection that held for so long was a success; the next attempt need not wait."""


@dataclass(frozen=True, slots=True)
class Timing:
    """How long a link waits for what, s.

    Parameters
    ----------
    ping_s : float
        Something is sent at least this often; the venue closes after two minutes.
    silent_s : float
        Nothing heard for so long, though pings must be answered: the connection is dead.
    greeting_s : float
        For the venue's first frame.
    retry_s, retry_most_s, blocked_s : float
        Before another connection: at first, at most, and after the firewall shut us out.
    subscription_s : float
        Life of the auth tokens of private channels; the link is made anew before it ends.
    """

    ping_s: float = 10.0
    silent_s: float = 25.0
    greeting_s: float = 10.0
    retry_s: float = FIRST_S
    retry_most_s: float = MOST_S
    blocked_s: float = BLOCKED_S
    subscription_s: float = MAX_AUTH_AHEAD_S - 3600


USUAL = Timing()


class Handler(Protocol):
    """What a link tells. Nothing here may raise."""

    def heard(self, head: Head, data: bytes) -> None:
        """A frame that is not the session's own."""

    def went_up(self) -> None:
        """All channels have begun."""

    def went_down(self, reason: str) -> None:
        """The connection is gone."""


class Link:
    """A session that comes back.

    Parameters
    ----------
    name : str
        For the log.
    address : str
        Of the WebSocket.
    channels : callable
        ``await channels()``: channels to subscribe to, each with its auth token ("" if public).
    handler : Handler
    counters : Counter
    log : Log
    timing : Timing
    """

    def __init__(
        self, name: str, address: str, channels: Callable[[], Awaitable[dict[str, str]]], handler: Handler,
        counters: Counter[str], log: Log, timing: Timing = USUAL,
    ) -> None:  # fmt: skip
        self.name, self.address, self.up = name, address, False
        self._channels, self._handler, self._counters, self._log = channels, handler, counters, log
        self._timing, self._backoff = timing, Backoff(timing.retry_s, timing.retry_most_s, timing.blocked_s)
        self._loop = asyncio.get_running_loop()
        self._socket: Socket | None = None
        self._task: asyncio.Task[None] | None = None
        self._over: asyncio.Future[str] | None = None
        self._subscriptions = Subscriptions({})
        self._greeted = False
        self._heard_s = self._sent_s = 0.0

    @property
    def socket(self) -> Socket | None:
        """The open socket; None while there is none."""
        socket = self._socket
        return socket if socket is not None and socket.is_open else None

    def start(self) -> None:
        """Connect, and stay connected."""
        if self._task is None:
            self._task = self._loop.create_task(self._run(), name=f"lighter-{self.name}")

    async def close(self) -> None:
        """Disconnect for good."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def restart(self, reason: str) -> None:
        """Give the connection up and make another."""
        if self._over is not None and not self._over.done():
            self._over.set_result(reason)

    def resubscribe(self, family: str) -> None:
        """Have the first frame of a channel sent again."""
        self._counters["resubscribes"] += 1
        self._send_all(self._subscriptions.again(family, self._loop.time()))

    def send(self, frame: bytes) -> bool:
        """Write a frame now; False without a connection."""
        socket = self.socket
        if socket is None:
            return False
        socket.send(frame)
        self._sent_s = self._loop.time()
        return True

    # --- Life --------------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        while True:
            wait_s = await self._once()
            await asyncio.sleep(wait_s)

    async def _once(self) -> float:
        """One connection from beginning to end; returns how long to wait before the next, s."""
        try:
            self._subscriptions = Subscriptions(await self._channels())
            self._over, self._greeted = self._loop.create_future(), False
            self._socket = Socket(self.address, self._heard, self.restart)
            await self._socket.open()
        except MMLabError as error:
            self._socket = None
            status = error.status if isinstance(error, RefusedError) else 0
            wait_s = self._backoff.failed(status)
            self._counters["connect_errors"] += 1
            self._counters["rate_limited"] += status == 429
            self._log.info("link_failed", link=self.name, error=str(error), wait_s=round(wait_s, 3))
            return wait_s
        reason, since_s = "closed", self._loop.time()
        try:
            reason = await self._stay()
        finally:
            self._hang_up(reason)
        self._counters["reconnects"] += 1
        self._log.info("link_lost", link=self.name, reason=reason)
        if self._loop.time() - since_s >= STEADY_S:
            self._backoff.succeeded()
        return self._backoff.failed()

    async def _stay(self) -> str:
        """Keep it alive; returns why it is over."""
        over = self._over
        assert over is not None  # noqa: S101  made with the connection
        self._heard_s = self._sent_s = opened_s = self._loop.time()
        while not over.done():
            await asyncio.wait((over,), timeout=LOOK_S)
            now_s = self._loop.time()
            if not over.done() and (why := self._wrong(now_s, opened_s)):
                return why
            if self._greeted:
                self._send_all(self._subscriptions.due(now_s))
            if now_s - self._sent_s >= self._timing.ping_s:
                self.send(PING)
        return over.result()

    def _wrong(self, now_s: float, opened_s: float) -> str:
        if now_s - self._heard_s >= self._timing.silent_s:
            self._counters["silent_drops"] += 1
            return f"nothing heard for {self._timing.silent_s:g} s"
        if not self._greeted and now_s - opened_s >= self._timing.greeting_s:
            return "no greeting"
        return "a channel does not begin" if self._subscriptions.hopeless else ""

    def _hang_up(self, reason: str) -> None:
        socket, self._socket = self._socket, None
        was_up, self.up = self.up, False
        if socket is not None:
            socket.drop()
        if was_up:
            self._handler.went_down(reason)

    # --- Frames ------------------------------------------------------------------------------------------------------

    def _send_all(self, frames: list[bytes]) -> None:
        for frame in frames:
            self.send(frame)

    def _heard(self, data: bytes) -> None:
        """A frame, in the turn of the loop that read it."""
        self._heard_s = self._loop.time()
        try:
            head = decode_head(data)
        except UNREADABLE:
            self._counters["bad_frames"] += 1
            self._handler.heard(Head(), data)
            return
        if head.family:
            self._handler.heard(head, data)
            if head.is_first:
                self._began(head)
        elif not self._own(head):
            self._handler.heard(head, data)

    def _began(self, head: Head) -> None:
        self._subscriptions.began(head)
        if not self.up and self._greeted and self._subscriptions.complete:
            self.up = True
            self._handler.went_up()

    def _own(self, head: Head) -> bool:
        """Whether a frame was the session's own business."""
        if head.type == "ping":
            self.send(PONG)
        elif head.type == "connected" and not self._greeted:
            self._greeted = True
            self._send_all(self._subscriptions.begin(self._loop.time()))
            if self._subscriptions.complete:  # there are none
                self.up = True
                self._handler.went_up()
        elif head.type == "shutdown":
            self._counters["shutdowns"] += 1
            self.restart("the server shuts down")
        elif head.is_error:
            self._counters["error_frames"] += 1
            self._subscriptions.refused(self._loop.time())
            return False
        else:
            return head.type in ("pong", "connected", "unsubscribed")
        return True
