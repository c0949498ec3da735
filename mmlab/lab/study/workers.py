"""A pool of processes on this machine, of which the calling one may be one.

Each seat of the pool is an executor with one process, so a process that dies takes down its seat only: what it was
given is done again by a new one. Processes are spawned, not forked: a fork of a notebook's kernel, with its threads,
may hang. They do not run the caller's script again, so a script needs no ``if __name__ == "__main__"``.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from importlib import import_module
from multiprocessing.context import SpawnContext, SpawnProcess
from types import ModuleType
from typing import Any, TypeVar

from mmlab.errors import ConfigError, SessionError

T = TypeVar("T")
R = TypeVar("R")
DEPTH = 2
"""Items a process is given at a time: it starts the next without waiting for us."""
MOST_DEATHS = 3


def cores() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def check_workers(workers: Any) -> int | None:
    """Number of workers, at most one a core; None stays None. `ConfigError` if it is no number."""
    if workers is None:
        return None
    if isinstance(workers, bool) or not isinstance(workers, int) or workers < 1:
        raise ConfigError(f"workers = {workers!r}: must be a whole number, at least 1, or none")
    return min(workers, cores())


class _Process(SpawnProcess):
    """A spawned process that does not load the caller's main module, which tasks do not need."""

    def start(self) -> None:
        with _MAIN:
            main = sys.modules["__main__"]
            sys.modules["__main__"] = ModuleType("__main__")
            try:
                super().start()
            finally:
                sys.modules["__main__"] = main


class _Context(SpawnContext):
    """Makes such processes."""

    Process = _Process


_MAIN = threading.Lock()


def _settle_in(module: str) -> None:
    """First thing in a worker: leave Ctrl-C to the parent, do not outlive it, import what tasks need."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_leave_with, args=(parent,), daemon=True).start()
    import_module(module)


def _leave_with(parent: Any) -> None:
    parent.join()
    os._exit(1)


class Seat:
    """One process, started at once, and what it was given, oldest first."""

    def __init__(self, module: str) -> None:
        self.given: deque[tuple[Future[Any], int]] = deque()
        self._module, self._used = module, False
        self._open()

    def _open(self) -> None:
        self.pool = ProcessPoolExecutor(1, mp_context=_Context(), initializer=_settle_in, initargs=(self._module,))
        self.pool.submit(os.getpid)  # without anything to do it would not start

    def give(self, task: Callable[[Any], Any], number: int, item: Any) -> None:
        """Give the process an item."""
        self._used = True
        try:
            future = self.pool.submit(task, item)
        except BrokenProcessPool:  # it died a moment ago; what it had is still in `given`
            future = Future()
            future.set_exception(BrokenProcessPool())
        self.given.append((future, number))

    def take_back(self) -> list[int]:
        """After its death: a new process; what was not finished."""
        lost = [number for future, number in self.given if not future.done() or future.exception() is not None]
        self.given = deque(pair for pair in self.given if pair[1] not in lost)
        self.pool.shutdown(wait=False, cancel_futures=True)
        self._open()
        return lost

    def close(self, *, now: bool) -> None:
        """End the process: after its work, or at once."""
        if now or not self._used:
            for process in list((self.pool._processes or {}).values()):  # noqa: SLF001  Python 3.14 has a public way
                with suppress(OSError, ValueError):
                    process.terminate()
        self.pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def seats(processes: int, module: str) -> Iterator[list[Seat]]:
    """So many processes, which import `module` while the caller still prepares their work; they end with the block."""
    made = [Seat(module) for _ in range(processes)]
    finished = False
    try:
        yield made
        finished = True
    finally:
        for seat in made:
            seat.close(now=not finished)


def spread(
    task: Callable[[T], R], items: Sequence[T], pool: Sequence[Seat], here: Callable[[T], R] | None = None
) -> Generator[tuple[int, R], None, None]:
    """Do a task for each item in processes of this machine.

    Parameters
    ----------
    task : callable
        From an importable module.
    items : sequence
        What it is called with.
    pool : sequence of Seat
        The processes; see `seats`.
    here : callable, optional
        The same task in this process, which then is one of the workers and works while the others start. What has
        killed one of them goes to its successor, which has room for all of it, never here.

    Yields
    ------
    (int, result)
        Number of the item and what the task returned, as they come. What the task raises is raised.

    Raises
    ------
    SessionError
        One item has killed its process three times.
    """
    waiting = deque(range(len(items)))
    deaths: Counter[int] = Counter()
    while waiting or any(seat.given for seat in pool):
        for _ in range(DEPTH):  # one each, then the next
            for seat in pool:
                if waiting and len(seat.given) < DEPTH:
                    seat.give(task, number := waiting.popleft(), items[number])
        if here is not None and waiting:
            number = waiting.popleft()
            yield number, here(items[number])
        else:
            wait([future for seat in pool for future, _ in seat.given], return_when=FIRST_COMPLETED)
        for seat in pool:
            yield from _harvest(seat, waiting, deaths)


def _harvest(seat: Seat, waiting: deque[int], deaths: Counter[int]) -> Iterator[tuple[int, Any]]:
    """What a seat has finished; after its process' death, the rest goes back to the front of the queue."""
    while seat.given and seat.given[0][0].done():
        future, number = seat.given[0]
        if isinstance(future.exception(), BrokenProcessPool):
            deaths[number] += 1  # the oldest is the one it was at
            if deaths[number] >= MOST_DEATHS:
                raise SessionError(
                    f"a worker process died {MOST_DEATHS} times at the same point (number {number}): out of memory,"
                    " killed from outside, or unable to start (then its last words are on stderr); what was finished is"
                    " kept with out=, fewer workers need less memory"
                )
            waiting.extendleft(reversed(seat.take_back()))
            return
        seat.given.popleft()
        yield number, future.result()
