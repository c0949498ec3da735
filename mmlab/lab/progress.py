"""A progress bar on a terminal or in a notebook, nothing elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")
Advance = Callable[[int], object]


def track(items: Sequence[T], what: str) -> Iterator[T]:
    """Go through `items`; on a terminal show how far."""
    if not sys.stderr.isatty():
        yield from items
        return
    from rich.console import Console
    from rich.progress import track as rich_track

    shown: Iterable[T] = rich_track(items, description=what, console=Console(stderr=True), transient=True)
    yield from shown


def in_notebook() -> bool:
    """Whether this is the kernel of a notebook."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    return type(shell).__name__ == "ZMQInteractiveShell"


@contextmanager
def counter(what: str, total: int, progress: bool | Callable[[int, int], object] | None = None) -> Iterator[Advance]:
    """Show how many of a number of things are done, with the time that is left.

    Parameters
    ----------
    what : str
    total : int
    progress : bool or callable, optional
        None: a bar on a terminal and in a notebook, nothing elsewhere; True and False: always, never; a callable is
        told ``(done, total)`` instead.

    Yields
    ------
    callable
        To be told the number done.
    """
    if callable(progress):
        yield lambda done: progress(done, total)
        return
    if not (sys.stderr.isatty() or in_notebook() if progress is None else progress):
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True, force_terminal=progress or None), transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done: bar.update(task, completed=done)
