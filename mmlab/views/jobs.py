"""What takes long, on threads of the pool; its outcome is taken in the next tick, on the session's own thread."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any

Then = Callable[[Any, Exception | None], object]


class Jobs:
    """Work of one session.

    Parameters
    ----------
    pool : Executor
    """

    def __init__(self, pool: Executor) -> None:
        self._pool = pool
        self._going: dict[str, tuple[Future[Any], Then]] = {}

    def busy(self, name: str) -> bool:
        """Whether work of that name goes on."""
        return name in self._going

    def start(self, name: str, work: Callable[[], Any], then: Then) -> bool:
        """Start work, unless work of that name goes on; `then` takes its result, or what it raised."""
        if name in self._going:
            return False
        self._going[name] = (self._pool.submit(work), then)
        return True

    def collect(self) -> None:
        """Hand over what is done."""
        for name, (future, then) in list(self._going.items()):
            if not future.done():
                continue
            del self._going[name]
            error = future.exception()
            if error is None:
                then(future.result(), None)
            elif isinstance(error, Exception):
                then(None, error)
