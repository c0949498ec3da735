"""Rows on their way from the engine's thread to the writer's, without a lock.

One thread puts, one takes. Each counter is written by one side only and rows are in place before the counter says so,
which is all that CPython's one-at-a-time threads need. A row's place is free again only when it is on the disk: while
the disk is slow or full rows wait here, and once the queue is full further ones are dropped and counted.

Rows wait as bytes: to copy a few rows so costs a fraction of what it costs to put them into an array that is there.
"""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


class RowQueue:
    """A bounded queue of records.

    Parameters
    ----------
    dtype : dtype
        The record.
    size : int
        Places.

    Attributes
    ----------
    head, tail : int
        Rows put and rows taken since the start.
    """

    __slots__ = ("_dtype", "_looked_at", "_pieces", "head", "size", "tail")

    def __init__(self, dtype: np.dtype[Any], size: int) -> None:
        self._dtype = dtype
        self._pieces: deque[bytes] = deque()
        self._looked_at = b""  # by the taking thread, and not taken yet
        self.size, self.head, self.tail = size, 0, 0

    def put(self, rows: Any) -> int:
        """Add a row (tuple, or record) or an array of rows; returns how many had no place."""
        if getattr(rows, "dtype", None) is not self._dtype:
            rows = np.asarray(rows, self._dtype)
        n, room = rows.size, self.size - (self.head - self.tail)
        dropped = 0
        if n > room:
            n, dropped = room, n - room
            rows = rows.reshape(-1)[:room]
        if n:
            self._pieces.append(rows.tobytes())
            self.head += n
        return dropped

    @property
    def room(self) -> int:
        """Places that are free."""
        return self.size - (self.head - self.tail)

    @property
    def waiting(self) -> int:
        """Rows not taken yet."""
        return self.head - self.tail

    def peek(self, n: int) -> Array:
        """The `n` oldest rows, which stay; not to be changed. Seen by the taking thread."""
        return np.frombuffer(self._oldest(n), self._dtype) if n else np.zeros(0, self._dtype)

    def take(self, n: int) -> None:
        """Free the places of the `n` oldest rows."""
        taken = len(self._oldest(n))
        self._looked_at = self._looked_at[taken:]
        self.tail += n

    def _oldest(self, n: int) -> memoryview:
        wanted = n * self._dtype.itemsize
        pieces, held = [self._looked_at], len(self._looked_at)
        while held < wanted:
            pieces.append(self._pieces.popleft())
            held += len(pieces[-1])
        if len(pieces) > 1:
            self._looked_at = b"".join(pieces)
        return memoryview(self._looked_at)[:wanted]
