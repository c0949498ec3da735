"""Rows on their way from the engine's thread to the writer's, without a lock.

One thread puts, one takes. Each counter is written by one side only and rows are in place before the counter says so,
which is all that CPython's one-at-a-time threads need. A row's place is free again only when it is on the disk: while
the disk is slow or full rows wait here, and once the ring is full further ones are dropped and counted.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


class Ring:
    """A preallocated queue of records.

    Parameters
    ----------
    dtype : dtype
        The record.
    size : int
        Places; a power of two.

    Attributes
    ----------
    head, tail : int
        Rows put and rows taken since the start.
    """

    __slots__ = ("_bytes", "_mask", "_rows", "head", "size", "tail")

    def __init__(self, dtype: np.dtype[Any], size: int) -> None:
        if size < 1 or size & (size - 1):
            raise ValueError(f"size = {size}: must be a power of two")
        self._rows, self._mask = np.zeros(size, dtype), size - 1
        self._bytes = self._rows.view(f"V{dtype.itemsize}")  # copied as one piece, not field by field
        self.size, self.head, self.tail = size, 0, 0

    def put(self, rows: Any) -> int:
        """Add a row (tuple, or record) or an array of rows; returns how many had no place."""
        head = self.head
        room = self.size - (head - self.tail)
        if isinstance(rows, np.ndarray) and rows.ndim:
            n = min(rows.size, room)
            at = head & self._mask
            first = min(n, self.size - at)
            whole = np.asarray(rows, self._rows.dtype).view(self._bytes.dtype)
            self._bytes[at : at + first] = whole[:first]
            self._bytes[: n - first] = whole[first:n]
            self.head = head + n
            return rows.size - n
        if room < 1:
            return 1
        self._rows[head & self._mask] = rows
        self.head = head + 1
        return 0

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
        at = self.tail & self._mask
        if at + n <= self.size:
            return self._rows[at : at + n]
        return np.concatenate((self._rows[at:], self._rows[: at + n - self.size]))

    def take(self, n: int) -> None:
        """Free the places of the `n` oldest rows."""
        self.tail += n
