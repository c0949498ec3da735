"""What all sessions of a user hold together: one small file a session, in the runtime folder, under one lock.

A session reserves the worst case that it may reach before it may reach it, so that the sum over sessions stays below
``risk.max_total_notional``. Prices move held positions without anybody's order; the next reservation takes that in.
"""

from __future__ import annotations

import fcntl
import json
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mmlab.lab.addresses import is_alive, run_id, runtime_folder


def fair_level(wanted: list[float], total: float) -> float:
    """The level up to which everyone's wants can be met; infinite if all can."""
    left = total
    for i, want in enumerate(sorted(wanted)):
        level = left / (len(wanted) - i)
        if want > level:
            return level
        left -= want
    return math.inf


class Ledger:
    """One session's entry.

    Parameters
    ----------
    run_dir : path
        Names the session.
    """

    def __init__(self, run_dir: str | Path) -> None:
        self._folder = runtime_folder()
        self._file = self._folder / f"{run_id(run_dir)}.exposure"

    def reserve(self, wanted: float, least: float, total: float) -> float:
        """Reserve notional: as much of `wanted` as the others leave of `total`, and never less than `least`.

        What each wants is met up to one level for all (max-min fairness), so none that came first starves the rest.

        Parameters
        ----------
        wanted, least : float
            What the session may come to hold, and what it holds already (quote currency).
        total : float
            Most that all sessions may hold together.

        Returns
        -------
        float
            What is reserved.
        """
        with self._locked():
            others = self._others()
            left = total - sum(entry["quote"] for entry in others)
            granted = max(least, min(wanted, left, fair_level([wanted, *(entry["wanted"] for entry in others)], total)))
            entry = {"pid": os.getpid(), "quote": granted, "wanted": wanted}
            temporary = self._file.with_suffix(".new")
            temporary.write_text(json.dumps(entry), encoding="utf-8")
            temporary.replace(self._file)
        return granted

    def release(self) -> None:
        """Hold nothing any more."""
        with self._locked():
            self._file.unlink(missing_ok=True)

    def _others(self) -> list[dict[str, Any]]:
        entries = []
        for path in self._folder.glob("*.exposure"):
            if path == self._file:
                continue
            entry = json.loads(path.read_text(encoding="utf-8"))
            if is_alive(entry["pid"]):
                entries.append(entry)
            else:
                path.unlink(missing_ok=True)
        return entries

    @contextmanager
    def _locked(self) -> Iterator[None]:
        lock = os.open(self._folder / "exposure.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)
