"""Tasks that are watched: the death of one is reported, and it is started again or the session goes safe."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from mmlab.engine.setup import Log
from mmlab.events import NS_PER_S
from mmlab.venues.clock import Clock

Loop = Callable[[], Coroutine[Any, Any, None]]
RESTARTS = 100
"""In a row; then the session goes safe."""
HEALTHY_NS = 60 * NS_PER_S
"""A task that ran so long begins a new row."""
PAUSE_NS = 100_000_000
"""Before the first restart in a row; doubles up to 64 times as much."""


class Supervisor:
    """Runs the tasks of a session.

    Parameters
    ----------
    clock : Clock
        The session's.
    log : Log
        Hears of every death.
    give_up : callable
        ``give_up(why)``: a task died that is not started again.
    """

    def __init__(self, clock: Clock, log: Log, give_up: Callable[[str], object]) -> None:
        self._clock, self._log, self._give_up = clock, log, give_up
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._asides: set[asyncio.Task[None]] = set()
        self.deaths = 0

    def start(self, name: str, loop: Loop, *, restart: bool) -> None:
        """Run a task's loop until it returns."""
        self._tasks[name] = asyncio.create_task(self._watch(name, loop, restart=restart), name=f"mmlab-{name}")

    def aside(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run something short beside the tasks; it must not raise."""
        task = asyncio.create_task(work)
        self._asides.add(task)
        task.add_done_callback(self._asides.discard)
        return task

    def is_over(self, name: str) -> bool:
        """Whether a task has ended, or was never started."""
        return name not in self._tasks or self._tasks[name].done()

    async def end(self) -> None:
        """Cancel everything and wait for it."""
        tasks = [*self._tasks.values(), *self._asides]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _watch(self, name: str, loop: Loop, *, restart: bool) -> None:
        attempt = 0
        while attempt < RESTARTS:
            begun_ns = self._clock.now_ns()
            try:
                await loop()
                return
            except Exception as error:  # noqa: BLE001  whatever it was, the session must know
                self.deaths += 1
                self._log.error("task_died", ts_ns=self._clock.now_ns(), task=name, error=text_of(error))
            if not restart:
                break
            attempt = 1 if self._clock.now_ns() - begun_ns > HEALTHY_NS else attempt + 1
            await self._clock.sleep_until(self._clock.now_ns() + (PAUSE_NS << min(attempt - 1, 6)))
        self._give_up(f"task {name} died")


def text_of(error: BaseException) -> str:
    """An error in one line."""
    return f"{type(error).__name__}: {error}"


class Alarm:
    """One timer on a session's clock, set again and again."""

    def __init__(self, clock: Clock, ring: Callable[[], object]) -> None:
        self._clock, self._ring = clock, ring
        self._when_ns: int | None = None
        self._handle: asyncio.TimerHandle | None = None

    def set(self, when_ns: int | None) -> None:
        """Ring at `when_ns` (None: never) instead of at the time set before."""
        if when_ns == self._when_ns:
            return
        if self._handle is not None:
            self._handle.cancel()
        self._when_ns = when_ns
        self._handle = None if when_ns is None else self._clock.call_at(when_ns, self._fire)

    def _fire(self) -> None:
        self._when_ns = self._handle = None
        self._ring()
