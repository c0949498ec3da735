"""What a worker of a sweep does: it loads the market once and keeps it, then runs one point after another.

All functions are importable and all kernels come from the cache on disk, so a task compiles nothing; it counts what was
compiled nevertheless.
"""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numba.core import event

from mmlab.errors import MMLabError
from mmlab.events import EVENT
from mmlab.feeds.feed import Feed
from mmlab.instrument import Instrument
from mmlab.lab.backtesting import run_once, tape_of
from mmlab.lab.study.folds import Blocks, block_sums
from mmlab.lab.study.points import Point
from mmlab.lab.summary import summarise

Array = np.ndarray[Any, Any]
RECORDED = {"telemetry.metrics": True, "telemetry.decisions": False}
"""A summary needs the one and not the other."""


class Outcome(NamedTuple):
    """What became of one point."""

    figures: dict[str, Any]
    """``summary`` and, with folds, ``blocks``; empty where the run was refused."""
    error: str = ""
    """Why it was refused."""
    cpu_s: float = 0.0
    compiled: int = 0
    """Functions that Numba compiled meanwhile; 0 but for a user's own quoter."""
    pid: int = 0


@dataclass(frozen=True, eq=False)
class Market:
    """A feed on its way to a worker.

    Attributes
    ----------
    key : str
        Hash of its events, and its instrument.
    events : ndarray of EVENT, or Path
        The rows; or a file that holds them as bytes, which workers of one machine share in memory.
    """

    key: str
    instrument: Instrument
    source: str
    report: dict[str, Any]
    events: Array | Path

    def feed(self) -> Feed:
        """The feed, made once in a process, with all that runs on it share."""
        with _ONE_AT_A_TIME:  # a dask worker may have several threads
            if self.key not in _FEEDS:
                _FEEDS.clear()  # a worker serves one market at a time
                rows = np.load(self.events, mmap_mode="r") if isinstance(self.events, Path) else self.events
                feed = Feed(self.instrument, np.asarray(rows).view(EVENT), self.source, self.report)
                tape_of(feed)
                _FEEDS[self.key] = feed
            return _FEEDS[self.key]


_FEEDS: dict[str, Feed] = {}
_ONE_AT_A_TIME = threading.Lock()


class _Compilations(event.Listener):
    """Counts what Numba compiles in this process."""

    def __init__(self) -> None:
        self.count = 0

    def on_start(self, _: Any) -> None:
        self.count += 1

    def on_end(self, _: Any) -> None:
        pass


COMPILATIONS = _Compilations()
event.register("numba:compile", COMPILATIONS)  # type: ignore[no-untyped-call]


def measure(feed: Feed, point: Point, blocks: Blocks | None) -> dict[str, Any]:
    """Run one point on the whole feed and, with folds, on each block.

    Returns
    -------
    dict
        ``summary``: as `mmlab.lab.summary.summarise`; ``blocks``: `block_sums` of each block, or none.
    """
    config = point.config.with_(**RECORDED)
    summary = summarise(run_once(feed, config, point.setting, point.instrument, "sweep"))
    figures: dict[str, Any] = {"summary": {str(name): plain_figure(value) for name, value in summary.items()}}
    if blocks is not None:
        parts = (blocks.part(feed, i, config.strategy.warmup_s) for i in range(blocks.folds + 1))
        figures["blocks"] = [
            block_sums(run_once(part, config, point.setting, point.instrument, "sweep")) for part in parts
        ]
    return figures


def plain_figure(value: Any) -> Any:
    """A figure as plain Python."""
    return value.item() if isinstance(value, np.generic) else value


def work(market: Market | Feed, point: Point, blocks: Blocks | None) -> Outcome:
    """Run one point, in a worker or here."""
    compiled, began = COMPILATIONS.count, time.process_time()
    try:
        outcome = Outcome(measure(market if isinstance(market, Feed) else market.feed(), point, blocks))
    except MMLabError as error:
        outcome = Outcome({}, str(error))
    return outcome._replace(cpu_s=time.process_time() - began, compiled=COMPILATIONS.count - compiled, pid=os.getpid())


def mapped(market: Market, folder: Path) -> Market:
    """The market with its events in a file, for workers on this machine."""
    file = folder / "events.npy"
    np.save(file, np.ascontiguousarray(market.events))
    return replace(market, events=file)
