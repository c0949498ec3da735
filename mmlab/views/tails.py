"""Files that grow, read from where the last look ended."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv

from mmlab.telemetry.rotation import parts

Array = np.ndarray[Any, Any]

MOST_ROWS = 1 << 17
"""Rows of a table that are held; of more, the newer half stays. A day and a half at one a second."""
_PIECE = 1 << 24
"""Most bytes taken in one look."""


class Tail:
    """Whole lines that a file gained since the last look.

    Parameters
    ----------
    path : Path
        The file; it may not be there yet.
    """

    def __init__(self, path: Path) -> None:
        self.path, self._offset, self._file = path, 0, 0

    def read(self) -> bytes | None:
        """New whole lines, at most 16 MB of them; None if the file was cut or replaced, and begins anew.

        A log that goes on in a new file (`mmlab.telemetry.rotation`) has not begun anew: its rest is read from the part
        that it has become.
        """
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return b""
        if found.st_ino != self._file or found.st_size < self._offset:
            known, offset, self._file, self._offset = self._file, self._offset, found.st_ino, 0
            if known:
                return self._rest_of(known, offset)
        if found.st_size == self._offset:
            return b""
        return self._piece(found.st_size)

    def _piece(self, size: int) -> bytes:
        with self.path.open("rb") as file:
            file.seek(self._offset)
            content = file.read(min(_PIECE, size - self._offset))
        whole = content[: content.rfind(b"\n") + 1]
        self._offset += len(whole)
        return whole

    def _rest_of(self, file: int, offset: int) -> bytes | None:
        """What the parts of a log hold from a place of one of them on; None if there is no such part any more."""
        known, rest = parts(self.path), []
        numbers = [part.stat().st_ino for part in known]
        if file not in numbers:
            return None
        for part in known[numbers.index(file) :]:
            with part.open("rb") as content:
                content.seek(offset)
                rest.append(content.read())
            offset = 0
        return b"".join(rest)


class Columns:
    """Columns of numbers that grow; one thread adds, any reads.

    Rows have a number for ever: `total` counts all that came, `first` those that are no longer held.

    Parameters
    ----------
    names : sequence of str
    most : int
        Rows held.
    """

    def __init__(self, names: Sequence[str], most: int = MOST_ROWS) -> None:
        self.names, self._most = tuple(names), most
        # One tuple, replaced as a whole, so that a reader never sees half a change.
        self._held: tuple[Array, int, int] = (np.empty((len(self.names), 256)), 0, 0)

    @property
    def total(self) -> int:
        """Rows that came so far."""
        _, first, n = self._held
        return first + n

    def add(self, rows: Mapping[str, Array]) -> None:
        """Add rows, given by column."""
        buffer, first, n = self._held
        new = np.array([rows[name] for name in self.names], np.float64)
        too_many = n + new.shape[1] > self._most
        if too_many or n + new.shape[1] > buffer.shape[1]:
            kept = buffer[:, max(0, n - self._most // 2) if too_many else 0 : n]
            first, n = first + n - kept.shape[1], kept.shape[1]
            buffer = np.empty((len(self.names), max(256, 2 * (n + new.shape[1]))))
            buffer[:, :n] = kept
        buffer[:, n : n + new.shape[1]] = new
        self._held = (buffer, first, n + new.shape[1])

    def since(self, row: int = 0) -> dict[str, Array]:
        """Rows from number `row` on that are still held; views, not to be written to."""
        buffer, first, n = self._held
        return {name: buffer[i, max(0, row - first) : n] for i, name in enumerate(self.names)}

    def last(self, name: str) -> float:
        """Newest value of a column; NaN if there is none."""
        buffer, _, n = self._held
        return float(buffer[self.names.index(name), n - 1]) if n else np.nan


class CsvTail:
    """Rows that a CSV table gained, as arrays by column.

    Parameters
    ----------
    path : Path
    types : dict
        Arrow type of each column wanted.
    """

    def __init__(self, path: Path, types: Mapping[str, pa.DataType]) -> None:
        self._tail, self._types, self._names = Tail(path), dict(types), []  # type: tuple[Tail, dict[str, Any], list[str]]

    def read(self) -> dict[str, Array] | None:
        """New rows; empty if there are none, None if the file begins anew.

        Raises
        ------
        ValueError
            A line that is no row of the table.
        """
        lines = self._tail.read()
        if lines is None:
            self._names = []
            return None
        if not self._names and lines:
            head, _, lines = lines.partition(b"\n")
            self._names = head.decode().split(",")
        if not lines:
            return {}
        table = pa_csv.read_csv(
            io.BytesIO(lines),
            read_options=pa_csv.ReadOptions(column_names=self._names, use_threads=False),
            convert_options=pa_csv.ConvertOptions(
                column_types=self._types, include_columns=list(self._types), null_values=[""]
            ),
        )
        return {name: table[name].to_numpy() for name in self._types}


def exists(folder: Path) -> bool:
    """Whether a folder is there; unlike `Path.is_dir`, False also where it may not be looked at."""
    return os.access(folder, os.R_OK | os.X_OK)
