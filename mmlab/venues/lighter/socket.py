"""A WebSocket client whose frames come and go in one turn of the event loop.

`websockets` has the protocol as a pure state machine; here it sits directly on an asyncio transport. A frame is handed
on in the callback that read it, and `send` has written when it returns (the transport gives the bytes to the kernel at
once, unless it is backed up). A stream of coroutines would cost a task's turn for each.
"""

from __future__ import annotations

import asyncio
import socket as sockets
import ssl
import struct
from collections.abc import Callable
from typing import Any

from websockets.client import ClientProtocol
from websockets.exceptions import InvalidStatus
from websockets.frames import Frame, Opcode
from websockets.http11 import Response
from websockets.protocol import State
from websockets.uri import parse_uri

from mmlab.errors import VenueError

OPEN_S = 10.0
"""For connecting and the handshake."""
CLOSE_S = 2.0
MAX_FRAME = 32 << 20
UNACKNOWLEDGED_MS = 3000
"""Bytes that the peer's machine does not acknowledge for so long end the connection: so nothing arrives much later."""
STUFFED = 1 << 20
"""Bytes that wait to be written, beyond which the peer is taken for gone."""


class RefusedError(VenueError):
    """The server answered the handshake with an HTTP error."""

    def __init__(self, status: int, address: str) -> None:
        super().__init__(f"{address} refuses the WebSocket: HTTP {status}")
        self.status = status


class Socket(asyncio.Protocol):
    """One connection, from `open` until `closed` is called.

    Parameters
    ----------
    address : str
        ``ws://`` or ``wss://``.
    heard : callable
        ``heard(data)``: each text frame, in the turn of the loop that read it. Must not raise.
    closed : callable
        ``closed(reason)``: once, when an open connection is gone.
    """

    def __init__(self, address: str, heard: Callable[[bytes], object], closed: Callable[[str], object]) -> None:
        self.address, self._heard, self._closed = address, heard, closed
        self._protocol = ClientProtocol(parse_uri(address), max_size=MAX_FRAME)  # compression would cost 0.1 ms a frame
        self._transport: asyncio.Transport | None = None
        self._loop = asyncio.get_running_loop()
        self._opened: asyncio.Future[None] = self._loop.create_future()
        self._parts: list[bytes] = []
        self._stuffed = self._over = False

    async def open(self) -> None:
        """Connect. Frames may be heard before it returns.

        Raises
        ------
        VenueError
            No connection; `RefusedError` if the server said so.
        """
        uri = parse_uri(self.address)
        context = ssl.create_default_context() if uri.secure else None
        try:
            async with asyncio.timeout(OPEN_S):
                await self._loop.create_connection(lambda: self, uri.host, uri.port, ssl=context)
                await self._opened
        except (OSError, TimeoutError) as error:
            self.drop()
            raise VenueError(f"no connection to {self.address}: {error or 'timed out'}") from None
        except BaseException:
            self.drop()
            raise

    @property
    def is_open(self) -> bool:
        """Whether frames can be sent."""
        return self._protocol.state is State.OPEN and not self._over and not self._stuffed

    def send(self, data: bytes) -> None:
        """Write a text frame now. The connection must be open."""
        self._protocol.send_text(data)
        self._flush()

    def close(self) -> None:
        """Say good-bye, and drop the connection soon."""
        if self._protocol.state is State.OPEN and not self._over:
            self._protocol.send_close(1000)
            self._flush()
            self._loop.call_later(CLOSE_S, self.drop)
        else:
            self.drop()

    def drop(self) -> None:
        """Cut the connection; what has not left the machine yet never will."""
        if self._transport is not None:
            _discard_unsent(self._transport)
            self._transport.abort()
        if not self._opened.done():
            self._opened.cancel()

    # --- asyncio calls these -----------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the upgrade."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101  a stream
        self._transport = transport
        transport.set_write_buffer_limits(high=STUFFED)
        _end_when_stalled(transport)
        self._protocol.send_request(self._protocol.connect())
        self._flush()

    def data_received(self, data: bytes) -> None:
        """Take in what came."""
        self._protocol.receive_data(data)
        self._flush()
        for event in self._protocol.events_received():
            self._event(event)

    def eof_received(self) -> None:
        """The server is done."""
        self._protocol.receive_eof()
        self._flush()

    def pause_writing(self) -> None:
        """Nothing gets through."""
        self._stuffed = True

    def resume_writing(self) -> None:
        """It does again."""
        self._stuffed = False

    def connection_lost(self, error: Exception | None) -> None:
        """It is over."""
        self._over = True
        if not self._opened.done():
            self._opened.set_exception(self._handshake_error(error))
        elif not self._opened.cancelled() and self._opened.exception() is None:
            self._closed(self._reason(error))

    # --- Inside ------------------------------------------------------------------------------------------------------

    def _event(self, event: Any) -> None:
        if isinstance(event, Response):
            if self._protocol.handshake_exc is None and not self._opened.done():
                self._opened.set_result(None)
            return
        frame: Frame = event
        if frame.opcode not in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
            return
        if frame.fin and not self._parts:
            self._heard(bytes(frame.data))
            return
        self._parts.append(bytes(frame.data))
        if frame.fin:
            data, self._parts = b"".join(self._parts), []
            self._heard(data)

    def _flush(self) -> None:
        transport = self._transport
        if transport is None or self._over:
            self._protocol.data_to_send()
            return
        for data in self._protocol.data_to_send():
            if data:
                transport.write(data)
            else:  # the protocol's sign for: no more
                transport.close()

    def _handshake_error(self, error: Exception | None) -> VenueError:
        cause = self._protocol.handshake_exc
        if isinstance(cause, InvalidStatus):
            return RefusedError(cause.response.status_code, self.address)
        return VenueError(f"no connection to {self.address}: {cause or error or 'closed during the handshake'}")

    def _reason(self, error: Exception | None) -> str:
        received = self._protocol.close_rcvd
        if received is not None:
            return f"closed by the server: {received.code} {received.reason}".strip()
        return f"lost: {error or 'end of stream'}"


def _end_when_stalled(transport: asyncio.Transport) -> None:
    raw = transport.get_extra_info("socket")
    option = getattr(sockets, "TCP_USER_TIMEOUT", None)  # Linux
    if raw is not None and option is not None and raw.family != getattr(sockets, "AF_UNIX", None):
        raw.setsockopt(sockets.IPPROTO_TCP, option, UNACKNOWLEDGED_MS)


def _discard_unsent(transport: asyncio.Transport) -> None:
    """Closing then resets the connection; the kernel would go on sending otherwise."""
    raw = transport.get_extra_info("socket")
    if raw is not None and raw.fileno() >= 0:
        raw.setsockopt(sockets.SOL_SOCKET, sockets.SO_LINGER, struct.pack("ii", 1, 0))
