"""Who listens to which channel. A frame is made once for all who listen, and not at all if nobody does."""

from __future__ import annotations

import asyncio
from collections import defaultdict

from aiohttp import web

from mmlab.paper_server.channels import Channel
from mmlab.paper_server.frames import encode

MOST_WAITING = 20_000
"""Frames that may wait for one client before it is let go."""


class Client:
    """A WebSocket connection."""

    def __init__(self, socket: web.WebSocketResponse, number: int) -> None:
        self.socket, self.number = socket, number
        self.channels: dict[str, Channel] = {}
        self.in_flight = 0
        self.waiting: asyncio.Queue[str] = asyncio.Queue(MOST_WAITING)
        self.too_slow = False

    def send(self, text: str) -> None:
        """Send a frame, after those that wait."""
        try:
            self.waiting.put_nowait(text)
        except asyncio.QueueFull:
            self.too_slow = True
            if self.socket._req is not None and self.socket._req.transport is not None:  # noqa: SLF001
                self.socket._req.transport.abort()  # noqa: SLF001

    async def write(self) -> None:
        """Send what waits, for ever."""
        while not self.socket.closed:
            text = await self.waiting.get()
            try:
                await self.socket.send_str(text)
            except (ConnectionError, RuntimeError):
                return


class Hub:
    """Channels and their listeners."""

    def __init__(self) -> None:
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
        text = encode(frame).decode()
        for client in list(self._listeners.get(name, {}).values()):
            client.send(text)
