"""A log in parts: `log.jsonl` is the newest, `log.0001.jsonl` the oldest."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from mmlab.telemetry.sinks import Appender, Write


def parts(path: Path) -> list[Path]:
    """Parts of a log that are full, oldest first."""
    return sorted(path.parent.glob(f"{path.stem}.[0-9]*{path.suffix}"), key=_number)


def whole_log(path: Path) -> Iterator[Path]:
    """Every part that is there, oldest first, the newest last."""
    yield from parts(path)
    if path.exists():
        yield path


def _number(path: Path) -> int:
    text = path.name.split(".")[-2]
    return int(text) if text.isdecimal() else 0


class RotatingAppender(Appender):
    """An appender that begins a new file when its own is full.

    The path names a file at every moment, whole lines only stand in a part, and nothing is lost by a kill in between.

    Parameters
    ----------
    path, start, write
        As of `Appender`.
    most_bytes : int
        A file that is longer becomes a part.
    keep : int
        Parts that stay; older ones are removed.
    """

    def __init__(self, path: Path, start: bytes, write: Write, most_bytes: int, keep: int) -> None:
        self._most, self._keep, self._next = most_bytes, keep, 1
        super().__init__(path, start, write)

    def append(self, data: bytes) -> None:
        """Add `data`, in a new file if the present one is full."""
        if self._end > self._most:
            try:
                self._turn()
            except OSError:
                self._most *= 2  # a file system without links, or a full one: go on in this file
        super().append(data)

    def _turn(self) -> None:
        part = self.path.with_name(f"{self.path.stem}.{self._next:04d}{self.path.suffix}")
        fresh = self.path.with_name(f".{self.path.name}.part")
        with suppress(FileNotFoundError):
            fresh.unlink()
        file = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        try:
            os.link(self.path, part)
            fresh.replace(self.path)
        except BaseException:
            os.close(file)
            raise
        os.close(self._file)
        self._file, self._end, self._next = file, 0, self._next + 1
        for old in parts(self.path)[: -self._keep]:
            with suppress(OSError):
                old.unlink()
