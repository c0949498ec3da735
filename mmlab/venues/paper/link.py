"""The connection of account feed and sender: its epochs, who waits for an answer on it, the account feed's queue."""

from __future__ import annotations

import asyncio
from typing import Any

from mmlab.errors import VenueError
from mmlab.exchange import Linked, Reply, Unanswered, Unlinked

MOST_WAITING = 100_000
"""Account messages that may wait for their reader; then they are thrown away with the connection, as venues do."""


class Link:
    """Up or down, and what that means for those who wait.

    Attributes
    ----------
    epoch : int
        Counts connections, from 1.
    up : bool
        Whether it is there.
    """

    def __init__(self) -> None:
        self.epoch, self.up = 1, True
        self._reasons: set[str] = set()
        self._replies: dict[asyncio.Future[Reply], None] = {}  # in order, as a set is not
        self._answers: dict[asyncio.Future[Any], None] = {}
        self._queue: asyncio.Queue[Any] | None = None

    def listen(self) -> asyncio.Queue[Any]:
        """The queue of a new reader of the account feed."""
        self._queue = asyncio.Queue()
        if self.up:
            self._queue.put_nowait(Linked(self.epoch))
        return self._queue

    def tell(self, message: Any) -> None:
        """Put a message on the account feed, if anybody reads it; if he is too slow, a new connection instead."""
        if self._queue is None:
            return
        if self._queue.qsize() < MOST_WAITING:
            self._queue.put_nowait(message)
            return
        while not self._queue.empty():
            self._queue.get_nowait()
        self.fail("the reader is too slow")
        self.mend("the reader is too slow")

    def reply_to(self) -> asyncio.Future[Reply]:
        """A reply to wait for; it becomes `Unanswered` if the connection is lost before."""
        return self._wait_in(self._replies)

    def answer_to(self) -> asyncio.Future[Any]:
        """An answer to a question to wait for; it becomes a `VenueError` if the connection is lost before."""
        return self._wait_in(self._answers)

    def _wait_in(self, waiting: dict[asyncio.Future[Any], None]) -> asyncio.Future[Any]:
        future = asyncio.get_running_loop().create_future()
        waiting[future] = None
        future.add_done_callback(waiting.pop)
        return future

    def fail(self, reason: str) -> None:
        """One more reason to be down."""
        self._reasons.add(reason)
        if not self.up:
            return
        self.tell(Unlinked(self.epoch, reason))
        self.let_go(f"connection lost: {reason}")

    def let_go(self, reason: str) -> None:
        """Down, and nobody waits any more."""
        self.up = False
        for reply in list(self._replies):
            if not reply.done():
                reply.set_result(Unanswered(reason))
        for answer in list(self._answers):
            if not answer.done():
                answer.set_exception(VenueError(reason))

    def mend(self, reason: str) -> None:
        """One reason less; without any a new connection is made."""
        self._reasons.discard(reason)
        if not self.up and not self._reasons:
            self.up = True
            self.epoch += 1
            self.tell(Linked(self.epoch))
