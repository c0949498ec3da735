"""Bounded mailboxes between tasks: many put, one takes all there is, in order. And stages: a mailbox with its work.

What happens when one is full is the sender's choice: market data waits for `room` (its socket then waits too);
everything about our own orders is put all the same, and `put` says that the mailbox is over its bound, which trips a
kill switch. Nothing is ever dropped here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Mailbox(Generic[T]):
    """A queue for one task.

    Parameters
    ----------
    name : str
        For logs and metrics.
    capacity : int
        Bound of what waits.
    """

    def __init__(self, name: str, capacity: int) -> None:
        self.name, self.capacity = name, capacity
        self.peak = self.overflows = 0
        self._items: list[T] = []
        self._poked = self._full = False
        self._taker: asyncio.Future[None] | None = None
        self._room = asyncio.Event()
        self._room.set()

    def __len__(self) -> int:
        return len(self._items)

    def put(self, item: T) -> bool:
        """Add an item and wake the taker; False if that is more than the bound."""
        self.poke()
        return self.lay(item)

    def lay(self, item: T) -> bool:
        """Add an item and let the taker sleep; False if that is more than the bound."""
        self._items.append(item)
        n = len(self._items)
        self.peak = max(self.peak, n)
        if n < self.capacity:
            return True
        self._full = True
        self._room.clear()
        self.overflows += n > self.capacity
        return n == self.capacity

    def poke(self) -> None:
        """Wake the taker, if there is something or not."""
        self._poked = True
        if self._taker is not None and not self._taker.done():
            self._taker.set_result(None)

    async def room(self) -> None:
        """Wait until something may be put within the bound."""
        if self._full:
            await self._room.wait()

    async def take(self) -> list[T]:
        """Wait for an item or a poke, then take all there is; may be empty."""
        while not self._poked:  # one taker, so one future does
            self._taker = asyncio.get_running_loop().create_future()
            try:
                await self._taker
            finally:
                self._taker = None
        return self.take_now()

    def take_now(self) -> list[T]:
        """Take all there is."""
        self._poked = False
        if self._full:
            self._full = False
            self._room.set()
        items, self._items = self._items, []
        return items

    def taken(self, work: Callable[[list[T]], object]) -> None:
        """Have `work` done with all there is, here and now; the taker sleeps on unless something is put meanwhile."""
        taker, self._taker = self._taker, None
        try:
            work(self.take_now())
        finally:
            self._taker = taker
            if self._poked:
                self.poke()


class Stage(Generic[T]):
    """A mailbox and the work of its task, which whoever brings something may have done at once.

    That saves a turn of the event loop. Order, bounds and supervision stay: all that waits is taken, in order; what the
    work raises is raised in the stage's task; a stage whose task has ended does nothing.

    Parameters
    ----------
    box : Mailbox
    work : callable
        Takes all there is; must not wait.
    """

    def __init__(self, box: Mailbox[T], work: Callable[[list[T]], object]) -> None:
        self._box, self._work = box, work
        self._idle = False
        self._error: Exception | None = None

    async def loop(self) -> None:
        """The task."""
        try:
            while True:
                self._idle = True
                items = await self._box.take()
                self._idle = False
                if self._error is not None:
                    raise self._error
                self._work(items)
        finally:
            self._idle = False

    def now(self) -> None:
        """Do the work in the present turn of the loop; in a later one if the stage is at work."""
        if not self._idle:
            self._box.poke()
            return
        self._idle = False
        try:
            self._box.taken(self._work)
            self._idle = True
        except Exception as error:  # noqa: BLE001  the task's to raise, for its supervisor
            self._error = error
            self._box.poke()
