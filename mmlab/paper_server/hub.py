"""Who listens to which channel. A frame is made once for all who listen, and not at all if nobody does."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence

from aiohttp import web

from mmlab.paper_server.channels import Channel
from mmlab.paper_server.frames import encode

MOST_WAITING = 20_000
"""Frames that may wait for one client before it is let go."""


class Client:
    """A WebSocket connection."""

    def __init__(self, socket: web.WebSocketResponse, transport: asyncio.Transport | None, number: int) -> None:
        self.socket, self.number, self._transport = socket, number, transport
        self.channels: dict[str, Channel] = {}
        self.in_flight = 0
        self.waiting: asyncio.Queue[str] = asyncio.Queue(MOST_WAITING)

    def send(self, text: str) -> None:
        """Send a frame, after those that wait."""
        try:
            self.waiting.put_nowait(text)
        except asyncio.QueueFull:
            self.abort()

    def abort(self) -> None:
        """Cut the connection."""
        if self._transport is not None:
            self._transport.abort()

    @property
    def public(self) -> bool:
        """Whether it listens to the market."""
        return any(channel.account < 0 for channel in self.channels.values())

    @property
    def only_public(self) -> bool:
        """Whether it listens to the market and to nothing else."""
        return self.public and all(channel.account < 0 for channel in self.channels.values())

    async def write(self) -> None:
        """Send what waits, for ever."""
        while not self.socket.closed:
            text = await self.waiting.get()
            try:
                await self.socket.send_str(text)
            except (ConnectionError, RuntimeError):
                return


Carry = Callable[[str, str, Sequence[Client]], None]
"""Takes a channel, a frame and who listens; sends it, sooner or later."""


class Hub:
    """Channels and their listeners."""

    def __init__(self, carry: Carry | None = None) -> None:
        self._carry = carry or _at_once
        self._listeners: dict[str, dict[int, Client]] = defaultdict(dict)
        self.clients: dict[int, Client] = {}

    def wanted(self, name: str) -> bool:
        """Whether anybody listens."""
        return name in self._listeners

    def names(self, family: str) -> list[str]:
        """Channels of a family that somebody listens to."""
        return [name for name in self._listeners if name.partition(":")[0] == family]

    def join(self, client: Client, channel: Channel) -> None:
        """Listen."""
        client.channels[channel.name] = channel
        self._listeners[channel.name][client.number] = client

    def leave(self, client: Client, name: str) -> None:
        """Listen no more."""
        del client.channels[name]
        listeners = self._listeners[name]
        del listeners[client.number]
        if not listeners:
            del self._listeners[name]

    def leave_all(self, client: Client) -> None:
        """The client is gone."""
        for name in list(client.channels):
            self.leave(client, name)
        self.clients.pop(client.number, None)

    def publish(self, name: str, frame: object) -> None:
        """Send a frame to all who listen."""
        listeners = self._listeners.get(name)
        if listeners:
            self._carry(name, encode(frame).decode(), list(listeners.values()))


def _at_once(_: str, text: str, clients: Sequence[Client]) -> None:
    for client in clients:
        client.send(text)
