"""One thread a run, whatever the number of viewers, that keeps its `Store` up to date; and the list of runs.

A hub is shared by all sessions of a server process. A run is followed while somebody watches it and `LINGER_S` after.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any
from weakref import WeakKeyDictionary

from mmlab.telemetry.info import RUNNING
from mmlab.telemetry.run_directory import how_it_stands
from mmlab.views.analysis import Analysis
from mmlab.views.store import Connect, Store, engine_of

PERIOD_S = 0.2
LINGER_S = 10.0
LIST_S = 2.0
"""Between two looks at the folder of runs."""


_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Listed:
    """A run directory, as the list of runs shows it."""

    path: Path
    started: str
    mode: str
    symbol: str
    ended: str

    @property
    def going(self) -> bool:
        """Whether it is being written."""
        return self.ended == RUNNING


class _Followed:
    """A store, the thread that keeps it, and who watches."""

    def __init__(self, store: Store) -> None:
        self.store, self.watchers, self.left = store, 0, monotonic()
        self.thread: threading.Thread | None = None


class Hub:
    """Stores by run directory.

    Parameters
    ----------
    connect : callable, optional
        As for `Store`.
    period_s : float
        Between two steps of a store.
    """

    def __init__(self, connect: Connect = engine_of, period_s: float = PERIOD_S) -> None:
        self._connect, self._period_s = connect, period_s
        self._lock = threading.Lock()
        self._followed: dict[Path, _Followed] = {}
        self._listed: dict[Path, tuple[float, list[Listed], dict[Path, tuple[int, dict[str, Any]]]]] = {}
        self._analyses: WeakKeyDictionary[Store, Analysis] = WeakKeyDictionary()
        self.pool = ThreadPoolExecutor(4, "mmlab-dashboard")
        """For what takes long: calls to engines, replays, whole runs."""

    def watch(self, run_dir: str | Path) -> Store:
        """The store of a run directory; to be given back by `leave`."""
        path = Path(run_dir).absolute()
        with self._lock:
            followed = self._followed.get(path)
            if followed is None:
                followed = self._followed[path] = _Followed(Store(path, self._connect))
            followed.watchers += 1
            if followed.thread is None:
                followed.store.step()  # so that the first picture shows something
                followed.thread = threading.Thread(
                    target=self._follow, args=(path, followed), name=f"follow {path.name}", daemon=True
                )
                followed.thread.start()
        return followed.store

    def leave(self, store: Store) -> None:
        """One watcher less."""
        with self._lock:
            followed = self._followed.get(store.run_dir)
            if followed is not None and followed.store is store:
                followed.watchers = max(0, followed.watchers - 1)
                followed.left = monotonic()

    def analysis(self, store: Store) -> Analysis:
        """What is worked out of a whole run, once for all who watch it."""
        with self._lock:
            if store not in self._analyses:
                self._analyses[store] = Analysis(store, self.pool)
            return self._analyses[store]

    def watchers(self, run_dir: str | Path) -> int:
        """How many watch a run."""
        followed = self._followed.get(Path(run_dir).absolute())
        return 0 if followed is None else followed.watchers

    def _follow(self, path: Path, followed: _Followed) -> None:
        pause = threading.Event()
        while True:
            started = monotonic()
            try:
                followed.store.step()
            except Exception as error:  # noqa: BLE001  whatever it was, viewers are told, and the thread goes on
                _log.exception("following %s failed", path)
                followed.store.trouble = f"{path}: cannot be followed: {type(error).__name__}: {error}"
            with self._lock:
                if not followed.watchers and monotonic() - followed.left > LINGER_S:
                    del self._followed[path]
                    return
            pause.wait(max(0.01, self._period_s - (monotonic() - started)))

    def runs(self, folder: str | Path) -> list[Listed]:
        """Run directories in a folder, newest first; at most every other second it is looked at anew."""
        folder = Path(folder)
        with self._lock:
            at, found, records = self._listed.get(folder, (-1e9, [], {}))
            if monotonic() - at < LIST_S:
                return found
            found = sorted(_list(folder, records), key=lambda run: (run.started, run.path.name), reverse=True)
            self._listed[folder] = (monotonic(), found, records)
        return found


def _list(folder: Path, records: dict[Path, tuple[int, dict[str, Any]]]) -> Iterator[Listed]:
    """Run directories of a folder; `records` keeps what was read of those that have not changed."""
    try:
        inside = [path for path in folder.iterdir() if not path.name.startswith(".")]
    except OSError:
        return
    for path in inside:
        file = path / "run.json"
        try:
            stamp = file.stat().st_mtime_ns
            if path not in records or records[path][0] != stamp:
                records[path] = (stamp, json.loads(file.read_text(encoding="utf-8")))
            record = records[path][1]
            ended = how_it_stands(path, record)
            yield Listed(path, str(record["started"]), str(record["mode"]), str(record["instrument"]["symbol"]), ended)
        except (OSError, ValueError, KeyError, TypeError):
            continue  # no run directory, or one that is being made


_SHARED: list[Hub] = []


def shared() -> Hub:
    """The hub of this process."""
    if not _SHARED:
        _SHARED.append(Hub())
    return _SHARED[0]
