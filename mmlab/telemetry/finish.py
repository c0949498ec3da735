"""From the files of a run that is going to those of one that has ended, at its close or after a crash.

A writer holds the kernel's lock on ``.lock`` in its run directory as long as it lives; `kill -9` releases it too. So
``ended = "running"`` in ``run.json`` with nobody holding the lock means that the writer died. Nothing is removed before
everything that replaces it is on the disk, so this may itself be killed anywhere, and done again.
"""

from __future__ import annotations

import fcntl
import json
import os
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mmlab.errors import SessionError
from mmlab.telemetry.files import (
    FILES,
    READERS,
    ROW_GROUP,
    cut_partial_line,
    replace_file,
    sha256,
    write_csv,
    write_record,
)
from mmlab.telemetry.info import CRASHED, RUNNING
from mmlab.telemetry.inputs import INPUTS, store_inputs
from mmlab.telemetry.streams import STREAMS, groups, read_batches, stream_file, stream_schema, to_decisions, to_rows
from mmlab.telemetry.tables import MARKOUT, Scale, edge_table, target_lists

Array = np.ndarray[Any, Any]

TEXTS = ("fills.csv", "metrics.csv", "gates.jsonl", "changes.jsonl", "log.jsonl")
"""Files that a run that is going appends lines to."""
LOCK = ".lock"


def take_lock(folder: Path) -> int | None:
    """Lock a run directory; None while another holds it. The lock goes with its descriptor, or with the process."""
    lock = os.open(folder / LOCK, os.O_RDONLY | os.O_CREAT, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    except BaseException:
        os.close(lock)
        raise
    return lock


def writer_lives(folder: Path) -> bool:
    """Whether somebody writes a run directory just now."""
    try:
        lock = os.open(folder / LOCK, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


def tidy(folder: Path) -> None:
    """Remove from a run directory that has ended what it needed only while it was going."""
    for name in (*map(stream_file, STREAMS), LOCK):
        (folder / name).unlink(missing_ok=True)


def finish(folder: Path, record: dict[str, Any], markouts: Array | None) -> None:
    """Write what a run directory holds in the end; what `tidy` removes is still there.

    Parameters
    ----------
    folder : Path
        The directory; nobody writes to it any more.
    record : dict
        Its ``run.json``, complete but for ``inputs`` and ``tables``, which are worked out here.
    markouts : ndarray of MARKOUT, optional
        Where they are known; else the file is empty and ``run.json`` says so.
    """
    scale = Scale(record["instrument"]["tick_size"], record["instrument"]["lot_size"])
    for name in TEXTS:
        cut_partial_line(folder / name)
    for name in ("decisions", "orders"):
        replace_file(folder / FILES[name], partial(_store, name, folder / stream_file(name), scale))
    known = np.zeros(0, MARKOUT) if markouts is None else markouts
    replace_file(folder / FILES["markouts"], partial(write_csv, edge_table("markouts", known, scale)))
    stored: dict[str, Any] = {}
    replace_file(folder / INPUTS, lambda path: stored.update(store_inputs(folder / stream_file("inputs"), path)))
    tables = {name: _facts(folder, name) for name in FILES}
    if markouts is None:
        tables["markouts"]["known"] = False
    whole = {**record, "inputs": stored, "tables": tables}
    replace_file(folder / "run.json", partial(write_record, whole))


def settle(folder: Path) -> str:
    """See to a run directory that says "running", or has a lock file still: finish it if its writer is gone.

    Returns
    -------
    str
        ``running`` while its writer lives; else ``crashed``, also where the directory cannot be written to and stays as
        it is.

    Raises
    ------
    SessionError
        A file is damaged, not only cut short.
    """
    try:
        lock = take_lock(folder)
    except OSError:  # a place that cannot be written to, and no lock file in it
        return CRASHED
    if lock is None:
        return RUNNING
    try:
        record = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        if record["ended"] == RUNNING:  # else its writer, or another reader, has just finished it
            finish(folder, {**record, "ended": CRASHED, "finished": _last_write(folder)}, None)
        tidy(folder)
    except OSError:
        return CRASHED
    except (pa.ArrowException, ValueError, KeyError) as error:
        raise SessionError(f"{folder}: cannot be put in order after a crash ({error}): a file is damaged") from None
    finally:
        os.close(lock)
    return CRASHED


def _last_write(folder: Path) -> str:
    """When the writer wrote last: what is known of the time of a crash."""
    files = [folder / name for name in (*TEXTS, *map(stream_file, STREAMS))]
    last_s = max(file.stat().st_mtime for file in files if file.exists())
    return datetime.fromtimestamp(last_s, UTC).isoformat(timespec="milliseconds")


def _facts(folder: Path, name: str) -> dict[str, Any]:
    file = folder / FILES[name]
    rows = pq.read_metadata(file).num_rows if file.suffix == ".parquet" else READERS[file.suffix](file, name).num_rows
    return {"file": file.name, "rows": rows, "sha256": sha256(file)}


def _store(name: str, stream: Path, scale: Scale, path: Path) -> None:
    """Turn a stream into the Parquet file that `write_run` makes of the same rows, a row group at a time."""
    before = 0
    with ExitStack() as stack:
        writer = None
        for table in groups(read_batches(stream), stream_schema(name), ROW_GROUP):
            if name == "decisions":
                rows, targets = to_decisions(table)
                rows["first_target"] += before
                before += targets.size
                edge = edge_table(name, rows, scale).append_column("target", target_lists(rows["targets"], targets))
            else:
                edge = edge_table(name, to_rows(name, table), scale)
            if writer is None:
                writer = stack.enter_context(
                    pq.ParquetWriter(path, edge.schema, compression="zstd", store_schema=False)
                )
            writer.write_table(edge, row_group_size=ROW_GROUP)
