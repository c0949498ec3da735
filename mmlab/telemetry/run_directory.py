"""The run directory: everything a run left behind, in one folder with one schema.

    <UTC start>-<name>/
        run.json           what ran, on what, how it ended; row counts and hashes of the tables
        config.toml        effective config
        changes.jsonl      live parameter changes (none in a replay)
        inputs.parquet     the feed, where it is not a file of its own; else run.json names that file and its hash
        decisions.parquet  time, inputs, target quotes, gate and kill bits
        orders.parquet     every order state transition
        fills.csv          one row a fill
        markouts.csv       one row a fill and horizon, when complete
        metrics.csv        one row a second
        gates.jsonl        every gate and kill-switch trigger
        log.jsonl          structured log

Writing is atomic: into a hidden folder beside the target, which is then renamed. Equal runs give equal bytes in every
table; only ``run.json`` and ``log.jsonl`` hold wall-clock times.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import structlog

from mmlab.config import Config
from mmlab.errors import SessionError
from mmlab.events import GATE
from mmlab.telemetry.info import SCHEMA_VERSION, RunInfo, clean
from mmlab.telemetry.tables import (
    Array,
    Scale,
    Tables,
    csv_types,
    edge_table,
    from_arrow,
    split_targets,
    with_targets,
)

FILES = {
    "decisions": "decisions.parquet",
    "orders": "orders.parquet",
    "fills": "fills.csv",
    "markouts": "markouts.csv",
    "metrics": "metrics.csv",
    "gates": "gates.jsonl",
}


@dataclass(frozen=True, eq=False)
class Stored:
    """A run as its directory tells it."""

    config: Config
    info: RunInfo
    instrument: dict[str, Any]
    inputs: dict[str, Any]
    tables: Tables
    markouts: Array


def folder_name(info: RunInfo) -> str:
    """``<UTC start>-<name>``, safe as a folder's name."""
    start = datetime.fromisoformat(info.started)
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", info.name).strip("-.") or "run"
    return f"{start:%Y%m%dT%H%M%SZ}-{name}"


def require_new(path: Path) -> None:
    """Refuse (`SessionError`) a place for a run where there is something already; an empty folder will do."""
    if (path.is_dir() and any(path.iterdir())) or path.is_file():
        raise SessionError(f"{path} already exists: choose another name, or remove it first")


def write_run(
    path: Path,
    run: Stored,
    save_inputs: Callable[[Path], object] | None = None,
) -> Path:
    """Write a run to `path`, whole or not at all.

    Parameters
    ----------
    path : Path
        The directory to make; it must not exist, or be empty.
    run : Stored
        The run. `run.inputs` says where its inputs are.
    save_inputs : callable, optional
        Writes ``inputs.parquet``, for a feed that is no file of its own.

    Returns
    -------
    Path
        `path`.

    Raises
    ------
    SessionError
        `path` exists and is not empty, or cannot be written.
    """
    require_new(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part"))
    except OSError as error:
        raise SessionError(f"{path} cannot be written: {error.strerror}") from None
    try:
        _write_files(temporary, run)
        if save_inputs is not None:
            save_inputs(temporary / "inputs.parquet")
        temporary.chmod(0o755)
        temporary.replace(path)
    except BaseException as error:
        shutil.rmtree(temporary, ignore_errors=True)
        if isinstance(error, OSError):
            raise SessionError(f"{path} cannot be written: {error.strerror}; nothing of it was kept") from None
        raise
    return path


def _write_files(folder: Path, run: Stored) -> None:
    scale = Scale(run.instrument["tick_size"], run.instrument["lot_size"])
    tables = run.tables
    rows = {
        "decisions": tables.decisions,
        "orders": tables.orders,
        "fills": tables.fills,
        "markouts": run.markouts,
        "metrics": tables.metrics,
        "gates": tables.gates,
    }
    edge = {name: edge_table(name, array, scale) for name, array in rows.items()}
    edge["decisions"] = with_targets(edge["decisions"], tables.decisions, tables.targets)
    for name, table in edge.items():
        _WRITERS[Path(FILES[name]).suffix](table, folder / FILES[name])
    (folder / "config.toml").write_text(run.config.to_toml(), encoding="utf-8")
    (folder / "changes.jsonl").touch()
    _write_log(folder / "log.jsonl", run.info)
    record = {
        "schema": SCHEMA_VERSION,
        "id": folder_name(run.info),
        **run.info.to_json(),
        "instrument": clean(run.instrument),
        "inputs": run.inputs,
        "config_hash": hashlib.sha256(run.config.to_toml().encode()).hexdigest(),
        "tables": {
            name: {"file": file, "rows": edge[name].num_rows, "sha256": _sha256(folder / file)}
            for name, file in FILES.items()
        },
    }
    (folder / "run.json").write_text(json.dumps(record, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write_parquet(table: pa.Table, path: Path) -> None:
    pq.write_table(table, path, compression="zstd", store_schema=False)


def _write_csv(table: pa.Table, path: Path) -> None:
    time = table.column_names.index("time")
    table = table.set_column(time, "time", _iso(table["time"]))
    with path.open("wb") as file:
        file.write((",".join(table.column_names) + "\n").encode())
        pa_csv.write_csv(table, file, pa_csv.WriteOptions(include_header=False, quoting_style="none"))


def _iso(times: pa.ChunkedArray) -> pa.Array:
    stamps = times.to_numpy().astype("datetime64[ns]")
    return pa.array(np.char.add(np.datetime_as_string(stamps, unit="ns"), "Z"), pa.string())


def _write_jsonl(table: pa.Table, path: Path) -> None:
    table = table.set_column(table.column_names.index("time"), "time", _iso(table["time"]))
    lines = [json.dumps(_finite(row), separators=(",", ":"), allow_nan=False) for row in table.to_pylist()]
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")


def _finite(row: dict[str, Any]) -> dict[str, Any]:
    """Infinities as text, since JSON has none; `_read_jsonl` turns them back."""
    return {name: str(value) if value in (np.inf, -np.inf) else value for name, value in row.items()}


_WRITERS: dict[str, Callable[[pa.Table, Path], None]] = {
    ".parquet": _write_parquet,
    ".csv": _write_csv,
    ".jsonl": _write_jsonl,
}


def _write_log(path: Path, info: RunInfo) -> None:
    with path.open("w", encoding="utf-8") as file:
        log = structlog.wrap_logger(
            structlog.PrintLogger(file),
            processors=[structlog.processors.add_log_level, structlog.processors.JSONRenderer()],
        ).bind(run=folder_name(info))
        log.info("run started", time=info.started, mode=info.mode, venue=info.venue, seed=info.seed)
        for note in info.notes:
            log.warning("note", text=note)
        log.info("run ended", time=info.finished, how=info.ended, **info.counters)


def read_run(path: str | Path) -> Stored:
    """Read a run directory.

    Parameters
    ----------
    path : str or Path
        The directory.

    Raises
    ------
    SessionError
        It is absent, no run directory, of a newer schema, cut short or damaged: which file, and what to do.
    """
    path = Path(path)
    record = _read_record(path)
    read = {name: _read_table(path, name, record["tables"][name]) for name in FILES}
    arrays = {name: _checked(path, name, table) for name, table in read.items()}
    decisions, targets = split_targets(arrays.pop("decisions"), read["decisions"])
    markouts = arrays.pop("markouts")
    return Stored(
        Config.load(path / "config.toml"),
        RunInfo.from_json(record),
        record["instrument"],
        record["inputs"],
        Tables(decisions=decisions, targets=targets, **arrays),
        markouts,
    )


def _read_record(path: Path) -> dict[str, Any]:
    if not path.is_dir():
        raise SessionError(f"{path}: there is no such run directory")
    file = path / "run.json"
    if not file.is_file():
        raise SessionError(
            f"{path}: no run.json in it, so it is no run directory, or one that was cut short: run again"
        )
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
        schema = record["schema"]
        missing = {"tables", "instrument", "inputs"} - set(record) or set(FILES) - set(record["tables"])
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise SessionError(
            f"{file}: cannot be read ({error}): the directory is cut short or damaged, run again"
        ) from None
    if schema != SCHEMA_VERSION:
        raise SessionError(
            f"{file}: schema {schema}, this mmlab reads {SCHEMA_VERSION}: read it with the mmlab it names"
        )
    if missing:
        raise SessionError(f"{file}: misses {sorted(missing)}: the directory is damaged, run again")
    return record


def _read_table(folder: Path, name: str, expected: dict[str, Any]) -> pa.Table:
    file = folder / expected["file"]
    if not file.is_file():
        raise SessionError(f"{file}: missing: the directory is cut short, run again")
    try:
        table = _READERS[file.suffix](file, name)
    except (pa.ArrowException, OSError, ValueError, KeyError) as error:
        raise SessionError(f"{file}: cannot be read ({error}): the file is cut short or damaged, run again") from None
    if table.num_rows != expected["rows"]:
        raise SessionError(f"{file}: {table.num_rows} rows, run.json says {expected['rows']}: cut short, run again")
    return table


def _checked(folder: Path, name: str, table: pa.Table) -> Array:
    try:
        return from_arrow(name, table)
    except (ValueError, pa.ArrowException) as error:
        raise SessionError(f"{folder / FILES[name]}: {error}: the file is damaged, run again") from None


def _read_parquet(path: Path, name: str) -> pa.Table:
    return pq.read_table(path)


def _read_csv(path: Path, name: str) -> pa.Table:
    types = csv_types(name)
    return pa_csv.read_csv(
        path,
        convert_options=pa_csv.ConvertOptions(column_types=types, include_columns=list(types), null_values=[""]),
    )


def _read_jsonl(path: Path, name: str) -> pa.Table:
    columns: dict[str, list[Any]] = {column: [] for column in csv_types(name)}
    with path.open(encoding="utf-8") as file:
        for line in file:
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


_READERS: dict[str, Callable[[Path, str], pa.Table]] = {
    ".parquet": _read_parquet,
    ".csv": _read_csv,
    ".jsonl": _read_jsonl,
}
