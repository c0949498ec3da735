"""A queue whose reader goes on in the very turn of the event loop that put something in.

An `asyncio.Queue` has its reader scheduled, which costs a turn of the loop, and what else waits in that turn. Here the
reader awaits a `_Moment`, a future of its own kind: it lets the reader's task go on at once when nothing else is being
run, which is the case in the callback of a socket.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Generator
from contextvars import Context
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class _Moment:
    """What a task awaits: asyncio's protocol for futures, done at once."""

    _asyncio_future_blocking = False

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop, self._done, self._cancelled = loop, False, False
        self._waiting: tuple[Callable[[Any], object], Context | None] | None = None

    def __await__(self) -> Generator[Any, None, None]:
        if not self._done:
            self._asyncio_future_blocking = True
            yield self
        self.result()

    def get_loop(self) -> asyncio.AbstractEventLoop:
        return self._loop

    def done(self) -> bool:
        return self._done

    def cancelled(self) -> bool:
        return self._cancelled

    def result(self) -> None:
        if self._cancelled:
            raise asyncio.CancelledError

    def exception(self) -> None:
        self.result()

    def add_done_callback(self, callback: Callable[[Any], object], *, context: Context | None = None) -> None:
        self._waiting = callback, context

    def remove_done_callback(self, callback: Callable[[Any], object]) -> int:  # noqa: ARG002  there is one
        self._waiting = None
        return 1

    def cancel(self, msg: Any = None) -> bool:  # noqa: ARG002  as asyncio calls it
        if self._done:
            return False
        self._done = self._cancelled = True
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            self._loop.call_soon(waiting[0], self, context=waiting[1])
        return True

    def come(self) -> None:
        """Let the task go on: now, or in the next turn if another is at work."""
        if self._done:
            return
        self._done = True
        waiting, self._waiting = self._waiting, None
        if waiting is None:
            return
        callback, context = waiting
        if context is None or asyncio.current_task(self._loop) is not None:
            self._loop.call_soon(callback, self, context=context)
        else:
            context.run(callback, self)


class Pipe(Generic[T]):
    """A queue for one reader.

    Parameters
    ----------
    capacity : int
        `put` says when there is more; what to do then is the writer's choice.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._loop = asyncio.get_running_loop()
        self._items: deque[T] = deque()
        self._moment: _Moment | None = None
        self._closed = False

    def __len__(self) -> int:
        return len(self._items)

    def put(self, item: T) -> bool:
        """Add an item; the reader may have taken it when this returns. False if more wait than should."""
        self._items.append(item)
        self._wake()
        return len(self._items) <= self.capacity

    def clear(self) -> None:
        """Throw away what waits."""
        self._items.clear()

    def close(self) -> None:
        """The reader ends when it has taken what waits."""
        self._closed = True
        self._wake()

    def _wake(self) -> None:
        moment, self._moment = self._moment, None
        if moment is not None:
            moment.come()

    def __aiter__(self) -> Pipe[T]:
        return self

    async def __anext__(self) -> T:
        while not self._items:
            if self._closed:
                raise StopAsyncIteration
            self._moment = _Moment(self._loop)
            await self._moment
        return self._items.popleft()
