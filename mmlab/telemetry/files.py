"""The files of a run directory, one by one: how each kind is written, appended to and read.

Text tables (CSV, JSON lines) take whole lines only, and everything that reads one while it grows leaves out a last line
without an end, so a writer that died half-way through a line costs that line and no more.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from mmlab.config import Config
from mmlab.events import GATE
from mmlab.telemetry.info import SCHEMA_VERSION, RunInfo, clean, folder_name
from mmlab.telemetry.tables import csv_types

FILES = {
    "decisions": "decisions.parquet",
    "orders": "orders.parquet",
    "fills": "fills.csv",
    "markouts": "markouts.csv",
    "metrics": "metrics.csv",
    "gates": "gates.jsonl",
}
_BLOCK = 1 << 16
ROW_GROUP = 1 << 20
"""Rows of a Parquet row group: Arrow's own default, so that a file written by parts equals one written at once."""


def run_record(
    info: RunInfo, config: Config, instrument: dict[str, Any], inputs: dict[str, Any], tables: dict[str, dict[str, Any]]
) -> dict[str, Any]:
    """Content of ``run.json``."""
    return {
        "schema": SCHEMA_VERSION,
        "id": folder_name(info),
        **info.to_json(),
        "instrument": clean(instrument),
        "inputs": inputs,
        "config_hash": hashlib.sha256(config.to_toml().encode()).hexdigest(),
        "tables": tables,
    }


def write_record(record: dict[str, Any], path: Path) -> None:
    """Write ``run.json``."""
    path.write_text(json.dumps(record, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def sha256(path: Path) -> str:
    """Hash of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def replace_file(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` make the file under another name, then put it in place: `path` is the old file, or the whole new one.

    The disk has it before it has the name, so what it replaces may be removed.
    """
    part = path.with_name(f".{path.name}.part")
    try:
        write(part)
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def iso(times: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """ISO text, UTC, of times in nanoseconds."""
    return np.char.add(np.datetime_as_string(times.astype("datetime64[ns]"), unit="ns"), "Z")


def write_parquet(table: pa.Table, path: Path) -> None:
    """Write a whole table as Parquet."""
    pq.write_table(table, path, compression="zstd", store_schema=False)


def write_csv(table: pa.Table, path: Path) -> None:
    """Write a whole table as CSV, times as ISO text."""
    path.write_bytes(csv_header(table) + csv_lines(table))


def csv_header(table: pa.Table) -> bytes:
    """First line of a table's CSV file."""
    return (",".join(table.column_names) + "\n").encode()


def csv_lines(table: pa.Table) -> bytes:
    """Rows of a table as lines of CSV."""
    sink = pa.BufferOutputStream()
    pa_csv.write_csv(_time_as_text(table), sink, pa_csv.WriteOptions(include_header=False, quoting_style="none"))
    return sink.getvalue().to_pybytes()


def write_jsonl(table: pa.Table, path: Path) -> None:
    """Write a whole table as JSON lines, times as ISO text."""
    path.write_bytes(json_lines(table))


def json_lines(table: pa.Table) -> bytes:
    """Rows of a table as lines of JSON."""
    return b"".join(json_line(_finite(row)) for row in _time_as_text(table).to_pylist())


def json_line(values: dict[str, Any]) -> bytes:
    """One line of strict JSON."""
    return (json.dumps(values, separators=(",", ":"), allow_nan=False) + "\n").encode()


def _time_as_text(table: pa.Table) -> pa.Table:
    text = pa.array(iso(table["time"].to_numpy()), pa.string())
    return table.set_column(table.column_names.index("time"), "time", text)


def _finite(row: dict[str, Any]) -> dict[str, Any]:
    """Infinities as text, since JSON has none; `read_jsonl` turns them back."""
    return {name: str(value) if value in (np.inf, -np.inf) else value for name, value in row.items()}


def read_parquet(path: Path, name: str) -> pa.Table:
    """Read a Parquet table."""
    return pq.read_table(path)


def read_csv(path: Path, name: str) -> pa.Table:
    """Read the record's own fields of a CSV table, whole lines only."""
    types = csv_types(name)
    return pa_csv.read_csv(
        io.BytesIO(whole_lines(path)),
        convert_options=pa_csv.ConvertOptions(column_types=types, include_columns=list(types), null_values=[""]),
    )


def read_jsonl(path: Path, name: str) -> pa.Table:
    """Read the record's own fields of a table of JSON lines, whole lines only."""
    columns: dict[str, list[Any]] = {column: [] for column in csv_types(name)}
    for line in whole_lines(path).splitlines():
        row = json.loads(line)
        for column, values in columns.items():
            values.append(row[column])
    floats = {column for column in columns if GATE[column].kind == "f"}
    arrays = {
        column: pa.array([float(v) if isinstance(v, str) else v for v in values], pa.float64())
        if column in floats
        else pa.array(values, csv_types(name)[column])
        for column, values in columns.items()
    }
    return pa.table(arrays)


def whole_lines(path: Path) -> bytes:
    """Content of a text file up to the end of its last whole line."""
    content = path.read_bytes()
    return content[: content.rfind(b"\n") + 1]


def cut_partial_line(path: Path) -> None:
    """Shorten a text file to its whole lines."""
    with path.open("rb+") as file:
        end = file.seek(0, os.SEEK_END)
        while end:
            start = max(0, end - _BLOCK)
            file.seek(start)
            found = file.read(end - start).rfind(b"\n")
            if found >= 0:
                end = start + found + 1
                break
            end = start
        file.truncate(end)


WRITERS: dict[str, Callable[[pa.Table, Path], None]] = {
    ".parquet": write_parquet,
    ".csv": write_csv,
    ".jsonl": write_jsonl,
}
READERS: dict[str, Callable[[Path, str], pa.Table]] = {
    ".parquet": read_parquet,
    ".csv": read_csv,
    ".jsonl": read_jsonl,
}
