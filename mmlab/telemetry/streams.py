"""Record tables as Arrow IPC streams, the form in which a run that is going keeps its large tables.

A stream is a schema message and then one message a batch, each whole in itself; what follows the last whole message (a
writer was killed while writing it) is left out on reading. Columns are the record's own fields, names and prices come
with the Parquet file; a decision carries its target quotes.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from mmlab.events import DECISION, INPUT, ORDER, TARGET
from mmlab.telemetry.tables import split_targets, target_lists

Array = np.ndarray[Any, Any]

STREAMS = {"inputs": INPUT, "decisions": DECISION, "orders": ORDER}
_OPTIONS = pa.ipc.IpcWriteOptions(compression="lz4", use_threads=False)
"""Cheap for the engine: a stream lives only as long as its run, and to wake Arrow's threads costs more than a batch."""
_END = 8
"""Bytes of the message that ends a stream; a stream that goes on has none."""


def stream_file(name: str) -> str:
    """Name of a table's stream."""
    return f"{name}.arrows"


def to_batch(name: str, rows: Array, targets: Array | None = None) -> pa.RecordBatch:
    """Rows as a batch of their stream; `targets` of decisions, one after the other in their order."""
    names = list(STREAMS[name].names or ())
    columns = [pa.array(np.ascontiguousarray(rows[column])) for column in names]
    if targets is not None:
        names.append("target")
        columns.append(target_lists(rows["targets"], targets))
    return pa.RecordBatch.from_arrays(columns, names=names)


def schema_message(schema: pa.Schema) -> bytes:
    """Start of a stream."""
    return _encode(schema, None)


def batch_message(batch: pa.RecordBatch, start: bytes) -> bytes:
    """What a batch adds to a stream that starts with `start`."""
    return _encode(batch.schema, batch)[len(start) :]


def _encode(schema: pa.Schema, batch: pa.RecordBatch | None) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema, options=_OPTIONS) as writer:
        if batch is not None:
            writer.write_batch(batch)
    return sink.getvalue().to_pybytes()[:-_END]


def read_batches(path: Path) -> Iterator[pa.RecordBatch]:
    """Whole batches of a stream, which may be growing, or cut short anywhere."""
    path.stat()  # Arrow's own error names no file where there is none
    with pa.OSFile(str(path)) as file:
        try:
            reader = pa.ipc.open_stream(file)
            while True:
                yield reader.read_next_batch()
        except (StopIteration, pa.ArrowInvalid):
            return
        except OSError as error:
            if error.errno is not None:  # the disk's own error, not Arrow's word for a message that is cut short
                raise


def groups(batches: Iterator[pa.RecordBatch], schema: pa.Schema, size: int) -> Iterator[pa.Table]:
    """The rows of `batches` in tables of `size` rows, the last one shorter; at least one table."""
    held: list[pa.RecordBatch] = []
    rows = given = 0
    for batch in batches:
        held.append(batch)
        rows += batch.num_rows
        while rows >= size:
            table = pa.Table.from_batches(held, schema)
            yield table.slice(0, size)
            held, rows, given = table.slice(size).to_batches(), rows - size, given + 1
    if rows or not given:
        yield pa.Table.from_batches(held, schema)


def to_rows(name: str, table: pa.Table) -> Array:
    """Record array of a stream's table."""
    rows = np.zeros(table.num_rows, STREAMS[name])
    for column in STREAMS[name].names or ():
        rows[column] = table[column].to_numpy()
    return rows


def to_decisions(table: pa.Table) -> tuple[Array, Array]:
    """`DECISION` and `TARGET` arrays of a stream's table."""
    return split_targets(to_rows("decisions", table), table)


def read_stream(folder: Path, name: str) -> pa.Table:
    """What is in a run directory's stream so far."""
    return pa.Table.from_batches(read_batches(folder / stream_file(name)), stream_schema(name))


def stream_schema(name: str) -> pa.Schema:
    """Schema of a table's stream."""
    return to_batch(name, np.zeros(0, STREAMS[name]), np.zeros(0, TARGET) if name == "decisions" else None).schema
