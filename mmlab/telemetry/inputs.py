"""``inputs.parquet``: what went into the decision kernel.

A replay's is a feed file (`mmlab.feeds.store`) with the market's events alone; fills and timers follow from them, from
latency and seed. A paper or live run's holds every `INPUT` row in the order consumed. ``run.json`` says in
``inputs.what`` which it is. `INPUT` rows are stored as they are, without prices and names beside the numbers: the table
is by far the largest, and what a column means depends on the row's kind.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mmlab.errors import SessionError
from mmlab.events import EVENT, INPUT, InputKind
from mmlab.telemetry.files import ROW_GROUP, sha256
from mmlab.telemetry.streams import groups, read_batches, read_stream, stream_schema, to_rows

Array = np.ndarray[Any, Any]

INPUTS = "inputs.parquet"
FEED = "market events of the feed; all other inputs follow from them, config, latency and seed"
MARKET = "market events of the run; its fills, order reports and parameter changes are not in them"
KERNEL = "every input of the decision kernel, in the order consumed"
# As feeds are stored (`mmlab.feeds.store`): times hardly move from row to row, high bytes of numbers hardly change.
_ENCODINGS = {
    name: "DELTA_BINARY_PACKED" if name.endswith("_ns") else "BYTE_STREAM_SPLIT"
    for name in INPUT.names or ()
    if INPUT[name].itemsize == 8
}
_SMALL = [name for name in INPUT.names or () if INPUT[name].itemsize == 1]


def market_events(inputs: Array) -> Array:
    """Market rows of `INPUT` rows, in their order: ndarray of EVENT."""
    market = inputs[inputs["kind"] < min(InputKind)]
    events = np.zeros(market.size, EVENT)
    for name in EVENT.names or ():
        events[name] = market[name]
    return events


def store_inputs(stream: Path, path: Path) -> dict[str, Any]:
    """Turn a stream of `INPUT` rows into ``inputs.parquet``; returns what ``run.json`` says of it."""
    schema = stream_schema("inputs")
    rows = events = 0
    with pq.ParquetWriter(
        path, schema, compression="zstd", store_schema=False, use_dictionary=_SMALL, column_encoding=_ENCODINGS
    ) as writer:
        for table in groups(read_batches(stream), schema, ROW_GROUP):
            writer.write_table(table.combine_chunks(), row_group_size=ROW_GROUP)
            rows += table.num_rows
            events += int(np.count_nonzero(table["kind"].to_numpy() < min(InputKind)))
    return {"what": KERNEL, "file": INPUTS, "rows": rows, "events": events, "sha256": sha256(path)}


def read_inputs(folder: Path, inputs: dict[str, Any]) -> Array:
    """`INPUT` rows of a paper or live run; of one that is going, those written so far.

    Parameters
    ----------
    folder : Path
        The run directory.
    inputs : dict
        ``inputs`` of its ``run.json``.

    Raises
    ------
    SessionError
        The file is absent, damaged, or not the one that the run wrote.
    """
    file = folder / inputs["file"]
    try:
        if "rows" not in inputs and not file.is_file():
            return to_rows("inputs", read_stream(folder, "inputs"))
        if "sha256" in inputs and sha256(file) != inputs["sha256"]:
            raise SessionError(f"{file}: no longer holds the inputs that this run wrote: the file is damaged")
        return to_rows("inputs", pq.read_table(file))
    except (pa.ArrowException, OSError, KeyError) as error:
        raise SessionError(f"{file}: cannot be read ({error}): the file is cut short or damaged") from None
