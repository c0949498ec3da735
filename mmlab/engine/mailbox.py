"""Bounded mailboxes between tasks: many put, one takes all there is, in order.

What happens when one is full is the sender's choice: market data waits for `room` (its socket then waits too);
everything about our own orders is put all the same, and `put` says that the mailbox is over its bound, which trips a
kill switch. Nothing is ever dropped here.
"""

from __future__ import annotations

import asyncio
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
        self._poked = False
        self._taker: asyncio.Future[None] | None = None
        self._room = asyncio.Event()
        self._room.set()

    def __len__(self) -> int:
        return len(self._items)

    def put(self, item: T) -> bool:
        """Add an item; False if that is more than the bound."""
        self._items.append(item)
        self.poke()
        n = len(self._items)
        self.peak = max(self.peak, n)
        if n < self.capacity:
            return True
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
        await self._room.wait()

    async def take(self) -> list[T]:
        """Wait for an item or a poke, then take all there is; may be empty."""
        if not self._poked:  # one taker, so one future does
            self._taker = asyncio.get_running_loop().create_future()
            try:
                await self._taker
            finally:
                self._taker = None
        return self.take_now()

    def take_now(self) -> list[T]:
        """Take all there is."""
        self._poked = False
        self._room.set()
        items, self._items = self._items, []
        return items
