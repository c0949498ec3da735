"""What the writer's thread does with a table: take the rows that wait, make bytes of them, append these to a file."""

from __future__ import annotations

import errno
import os
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from mmlab.events import DECISION, TARGET
from mmlab.telemetry.row_queue import RowQueue

Array = np.ndarray[Any, Any]
Write = Callable[[int, memoryview, int], int]
"""As `os.pwrite`: descriptor, bytes, offset; returns how many bytes were written."""

BATCH = 1 << 16
"""Most rows of one append."""


class Appender:
    """A file that grows by whole pieces: after an append that failed it holds what it held before.

    Parameters
    ----------
    path : Path
        The file; it must not exist.
    start : bytes
        What it begins with.
    write : callable
        `os.pwrite`, or what stands for it in a test.
    """

    def __init__(self, path: Path, start: bytes, write: Write) -> None:
        self.path, self._write = path, write
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        self._end = 0
        self.append(start)

    def append(self, data: bytes) -> None:
        """Add `data`, in one call where the system takes it all."""
        rest, at = memoryview(data), self._end
        try:
            while rest:
                written = self._write(self._file, rest, at)
                if written <= 0:
                    raise OSError(errno.EIO, os.strerror(errno.EIO), str(self.path))
                rest, at = rest[written:], at + written
        except BaseException:
            with suppress(OSError):
                os.ftruncate(self._file, self._end)
            raise
        self._end = at

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


class RowSink:
    """A table of one record.

    Parameters
    ----------
    queue : RowQueue
        Where rows wait.
    encode : callable
        Bytes of rows.
    file : Appender
    """

    def __init__(self, queue: RowQueue, encode: Callable[[Array], bytes], file: Appender) -> None:
        self.queue, self.encode, self.file = queue, encode, file
        self.dropped = self.skipped = 0

    def put(self, rows: Any) -> int:
        """Add rows; returns how many had to be dropped."""
        dropped = self.queue.put(rows)
        if dropped:
            self.dropped += dropped
        return dropped

    def flush(self) -> None:
        """Append what waits now."""
        until = self.queue.head
        while n := min(until - self.queue.tail, BATCH):
            self.file.append(self.encode(self.queue.peek(n)))
            self.queue.take(n)

    def skip(self) -> None:
        """Leave out what waits: it cannot be encoded."""
        n = self.queue.waiting
        self.skipped += n
        self.queue.take(n)

    @property
    def lost(self) -> int:
        """Rows that are not in the file, nor will be."""
        return self.dropped + self.skipped


class DecisionSink:
    """Decisions with their targets, which are put and taken together.

    Parameters
    ----------
    size : int
        Places for decisions; there are eight times as many for targets.
    encode : callable
        Bytes of decisions and their targets.
    file : Appender
    """

    def __init__(self, size: int, encode: Callable[[Array, Array], bytes], file: Appender) -> None:
        self.queue, self.targets = RowQueue(DECISION, size), RowQueue(TARGET, 8 * size)
        self.encode, self.file = encode, file
        self.dropped = self.skipped = 0

    def put(self, rows: Any, targets: Array) -> int:
        """Add decisions, all or none; returns how many had to be dropped."""
        rows = np.asarray(rows, DECISION)
        n, counts = rows.size, rows["targets"]
        wanted = int(counts.item() if n == 1 else counts.sum())
        if wanted != len(targets):
            raise ValueError(f"{len(targets)} targets with decisions that say {wanted}")
        if self.queue.room < n or self.targets.room < len(targets):
            self.dropped += n
            return n
        self.targets.put(targets)
        self.queue.put(rows)
        return 0

    def flush(self) -> None:
        """Append what waits now."""
        until = self.queue.head
        while n := min(until - self.queue.tail, BATCH):
            decisions = self.queue.peek(n)
            targets = self.targets.peek(int(decisions["targets"].sum()))
            self.file.append(self.encode(decisions, targets))
            self.queue.take(n)
            self.targets.take(targets.size)

    def skip(self) -> None:
        """Leave out what waits: it cannot be encoded."""
        n = self.queue.waiting
        targets = int(self.queue.peek(n)["targets"].sum())
        self.skipped += n
        self.queue.take(n)
        self.targets.take(targets)

    @property
    def lost(self) -> int:
        """Decisions that are not in the file, nor will be."""
        return self.dropped + self.skipped


class LineSink:
    """Lines of text, such as a log's; several threads may put.

    Parameters
    ----------
    size : int
        Most lines that wait.
    file : Appender
    """

    def __init__(self, size: int, file: Appender) -> None:
        self.file, self._size = file, size
        self._lines: deque[bytes] = deque()
        self._held: list[bytes] = []
        self.dropped = 0

    def put(self, line: bytes) -> int:
        """Add a line; returns 1 if it had to be dropped."""
        if len(self._lines) + len(self._held) >= self._size:
            self.dropped += 1
            return 1
        self._lines.append(line)
        return 0

    def flush(self) -> None:
        """Append what waits now."""
        self._held += [self._lines.popleft() for _ in range(len(self._lines))]
        if self._held:
            self.file.append(b"".join(self._held))
            self._held = []

    def skip(self) -> None:
        """Leave out what waits."""
        self.dropped += len(self._held)
        self._held = []

    @property
    def lost(self) -> int:
        """Lines that are not in the file, nor will be."""
        return self.dropped


Sink = RowSink | DecisionSink | LineSink
