"""Tables of a run directory read as they grow: each `read` gives the rows that came since the one before.

A run that ends while it is followed turns its streams into Parquet files; what a tail has open it reads to the end.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from mmlab.errors import SessionError
from mmlab.telemetry.files import FILES
from mmlab.telemetry.inputs import INPUTS
from mmlab.telemetry.streams import STREAMS, stream_file, stream_schema
from mmlab.telemetry.tables import csv_types, from_arrow

Array = np.ndarray[Any, Any]

MARK = b"\xff\xff\xff\xff"
"""What an Arrow message begins with."""
BITE = 1 << 26
"""Bytes read at once."""
ROWS = 1 << 20
"""Rows of a Parquet file handed out at once."""


class StreamTail:
    """Follows ``inputs``, ``decisions`` or ``orders``.

    Parameters
    ----------
    folder : Path
        The run directory, of a run that is going or has ended.
    name : str
        Key of `mmlab.telemetry.streams.STREAMS`.
    dtype : dtype, optional
        What rows are given as; its fields are among the table's. Default: the table's own.
    """

    def __init__(self, folder: Path, name: str, dtype: np.dtype[Any] | None = None) -> None:
        self._stream, self._schema = folder / stream_file(name), stream_schema(name)
        self._parquet = folder / (INPUTS if name == "inputs" else FILES[name])
        self._dtype = STREAMS[name] if dtype is None else dtype
        self._columns = tuple(self._dtype.names or ())
        self._file: int | None = None
        self._at = 0
        self._done = False  # the Parquet file, which is whole, has been read

    def read(self) -> Iterator[Array]:
        """Rows that came since the last call, in portions.

        Raises
        ------
        SessionError
            The file is missing or damaged.
        """
        if self._done:
            return
        try:
            if self._file is None and self._stream.exists():
                self._file = os.open(self._stream, os.O_RDONLY)
            if self._file is None:
                yield from self._whole()
            else:
                yield from self._new()
        except FileNotFoundError:
            raise SessionError(f"{self._parquet}: missing: the directory is cut short or damaged") from None
        except (pa.ArrowException, OSError, KeyError) as error:
            raise SessionError(f"{self._parquet}: cannot be read ({error}): it is cut short or damaged") from None

    def _whole(self) -> Iterator[Array]:
        with pq.ParquetFile(self._parquet) as file:
            for batch in file.iter_batches(ROWS, columns=list(self._columns)):
                yield self._rows(batch)
        self._done = True

    def _new(self) -> Iterator[Array]:
        assert self._file is not None  # noqa: S101  opened by `read`
        while data := os.pread(self._file, max(BITE, self._lacking), self._at):
            took = 0
            for batch, end in self._batches(data):
                if batch is not None:
                    yield self._rows(batch)
                self._at, took = self._at + end - took, end
            if not took and len(data) < max(BITE, self._lacking):
                return  # the rest is still being written
            self._lacking = 0 if took else 2 * len(data)

    _lacking = 0
    """Bytes to read at once where a message is longer than `BITE`."""

    def _batches(self, data: bytes) -> Iterator[tuple[pa.RecordBatch | None, int]]:
        """Whole messages of `data`, and where each ends; the stream's first is its schema."""
        if data[:4] != MARK[: len(data)]:
            raise SessionError(f"{self._stream}: no Arrow message at byte {self._at}: the file is damaged")
        reader, first = pa.BufferReader(data), self._at == 0
        while reader.tell() < len(data):
            try:
                message = pa.ipc.read_message(reader)
            except (pa.ArrowInvalid, OSError, EOFError):
                return  # cut off
            if first:
                first = False
                if not pa.ipc.read_schema(message).equals(self._schema):
                    raise SessionError(f"{self._stream}: columns of another mmlab: read it with the one that wrote it")
                yield None, reader.tell()
            else:
                yield pa.ipc.read_record_batch(message, self._schema), reader.tell()

    def _rows(self, batch: pa.RecordBatch) -> Array:
        rows = np.empty(batch.num_rows, self._dtype)
        for column in self._columns:
            rows[column] = batch.column(column).to_numpy(zero_copy_only=False)
        return rows

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
            self._done = True


class CsvTail:
    """Follows ``fills`` or ``metrics``, whole lines only.

    Parameters
    ----------
    folder : Path
        The run directory.
    name : str
        Key of `mmlab.telemetry.tables.SCHEMAS`.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self._path, self._name, self._types = folder / FILES[name], name, csv_types(name)
        self._header, self._at = b"", 0

    def read(self) -> Array:
        """Rows that came since the last call.

        Raises
        ------
        SessionError
            The file is missing or damaged.
        """
        try:
            with self._path.open("rb") as file:
                file.seek(self._at)
                data = file.read()
            data = data[: data.rfind(b"\n") + 1]
            if not self._header:
                self._header = data[: data.find(b"\n") + 1]
                lines = data[len(self._header) :]
            else:
                lines = data
            self._at += len(data)
            return from_arrow(self._name, self._table(lines))
        except FileNotFoundError:
            raise SessionError(f"{self._path}: missing: the directory is cut short or damaged") from None
        except (pa.ArrowException, OSError, ValueError, KeyError) as error:
            raise SessionError(f"{self._path}: cannot be read ({error}): the file is damaged") from None

    def _table(self, lines: bytes) -> pa.Table:
        if not lines:
            return pa.table({name: pa.array([], kind) for name, kind in self._types.items()})
        options = pa_csv.ConvertOptions(
            column_types=self._types, include_columns=list(self._types), null_values=[""]
        )  # fmt: skip
        return pa_csv.read_csv(io.BytesIO(self._header + lines), convert_options=options)
