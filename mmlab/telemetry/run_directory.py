"""The run directory: everything a run left behind, in one folder with one schema.

    <UTC start>-<name>/
        run.json           what ran, on what, how it ended, its summary; row counts and hashes of the tables
        config.toml        effective config
        changes.jsonl      live parameter changes (none in a replay)
        inputs.parquet     a replay: the feed, where it is not a file of its own, else run.json names that file and its
                           hash; paper and live: every input of the decision kernel, in the order consumed
        decisions.parquet  time, inputs, target quotes, gate and kill bits
        orders.parquet     every order state transition
        fills.csv          one row a fill
        markouts.csv       one row a fill and horizon, when complete
        metrics.csv        one row a second
        gates.jsonl        every gate and kill-switch trigger
        log.jsonl          structured log

A replay's is written at its end, atomically: into a hidden folder beside the target, which is then renamed. Equal runs
give equal bytes in every table; only ``run.json`` and ``log.jsonl`` hold wall-clock times.

A paper or live run's is written while it goes (`mmlab.telemetry.live`), every second, and until its end differs so:

        run.json           ``ended`` is "running"; no row counts and hashes yet
        .lock              locked by the writer as long as its process lives
        inputs.arrows, decisions.arrows, orders.arrows
                           Arrow IPC streams in place of the Parquet files: the records' own fields
        fills.csv, gates.jsonl, changes.jsonl
                           appended to within a tenth of a second, metrics.csv and log.jsonl at the next flush

Files grow by whole batches and whole lines, so a ``kill -9`` costs what came since the last flush and no file; a batch
or line that was being written then is cut off. Closing the run turns it into the form above. Where the writer died, the
first `read_run` does so; ``ended`` is then "crashed", ``finished`` the time of the last write, and markouts are left to
be worked out from the inputs.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import structlog

from mmlab.config import Config
from mmlab.errors import SessionError
from mmlab.telemetry.files import FILES, READERS, WRITERS, replace_file, run_record, sha256, write_record
from mmlab.telemetry.finish import LOCK, has_writer, settle
from mmlab.telemetry.info import CRASHED, RUNNING, SCHEMA_VERSION, RunInfo, clean, folder_name
from mmlab.telemetry.streams import read_stream, to_decisions, to_rows
from mmlab.telemetry.tables import (
    MARKOUT,
    Array,
    Scale,
    Tables,
    edge_table,
    from_arrow,
    split_targets,
    with_targets,
)


@dataclass(frozen=True, eq=False)
class Stored:
    """A run as its directory tells it."""

    config: Config
    info: RunInfo
    instrument: dict[str, Any]
    inputs: dict[str, Any]
    tables: Tables
    markouts: Array | None
    """None where nobody has worked them out: of a run that is going, or crashed."""
    summary: dict[str, Any] | None = None
    """Figures of the whole run, where they have been worked out."""


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
        "markouts": np.zeros(0, MARKOUT) if run.markouts is None else run.markouts,
        "metrics": tables.metrics,
        "gates": tables.gates,
    }
    edge = {name: edge_table(name, array, scale) for name, array in rows.items()}
    edge["decisions"] = with_targets(edge["decisions"], tables.decisions, tables.targets)
    for name, table in edge.items():
        WRITERS[Path(FILES[name]).suffix](table, folder / FILES[name])
    (folder / "config.toml").write_text(run.config.to_toml(), encoding="utf-8")
    (folder / "changes.jsonl").touch()
    _write_log(folder / "log.jsonl", run.info)
    facts = {
        name: {"file": file, "rows": edge[name].num_rows, "sha256": sha256(folder / file)}
        for name, file in FILES.items()
    }
    record = run_record(run.info, run.config, run.instrument, run.inputs, facts)
    write_record(record | ({} if run.summary is None else {"summary": clean(run.summary)}), folder / "run.json")


def store_summary(path: Path, summary: dict[str, Any]) -> None:
    """Keep a run's summary in its ``run.json``, if it has ended, has none yet, and can be written to."""
    try:
        record = read_record(path)
        if record["ended"] == RUNNING or "summary" in record:
            return
        whole = {**record, "summary": clean(summary)}
        replace_file(path / "run.json", lambda file: write_record(whole, file))
    except (OSError, SessionError):  # a place that cannot be written to: it is worked out again next time
        return


def how_it_stands(path: Path, record: dict[str, Any]) -> str:
    """How a run ended, from its ``run.json`` and lock alone: "running" while its writer lives, "crashed" if it died."""
    ended = str(record["ended"])
    return CRASHED if ended == RUNNING and not has_writer(path) else ended


def _write_log(path: Path, info: RunInfo) -> None:
    with path.open("w", encoding="utf-8") as file:
        log = structlog.wrap_logger(
            structlog.PrintLogger(file),
            processors=[structlog.processors.add_log_level, structlog.processors.JSONRenderer()],
        ).bind(run=folder_name(info))
        log.info("run_started", time=info.started, mode=info.mode, venue=info.venue, seed=info.seed)
        for note in info.notes:
            log.warning("note", text=note)
        log.info("run_ended", time=info.finished, how=info.ended, **info.counters)


def read_run(path: str | Path) -> Stored:
    """Read a run directory.

    Parameters
    ----------
    path : str or Path
        The directory. Of a run that is going, what is there so far is read, and ``info.ended`` is "running"; one that
        crashed is put in order first, and ``info.ended`` is "crashed".

    Raises
    ------
    SessionError
        It is absent, no run directory, of a newer schema, cut short or damaged: which file, and what to do.
    """
    path = Path(path)
    record = read_record(path)
    if record.get("ended") == RUNNING or (path / LOCK).exists():
        state = settle(path)
        record = read_record(path)
        if record["ended"] == RUNNING:
            try:
                return _read_going(path, {**record, "ended": state})
            except FileNotFoundError as error:  # closed in the meantime, or a file is missing
                record = read_record(path)
                if record["ended"] == RUNNING:
                    raise SessionError(f"{error.filename}: missing: the directory is damaged") from None
    return _read_ended(path, record)


def _read_ended(path: Path, record: dict[str, Any]) -> Stored:
    read = {name: _read_table(path, name, record["tables"][name]) for name in FILES}
    arrays = {name: _checked(path, name, table) for name, table in read.items()}
    decisions, targets = split_targets(arrays.pop("decisions"), read["decisions"])
    markouts = arrays.pop("markouts")
    known = record["tables"]["markouts"].get("known", True)
    tables = Tables(decisions=decisions, targets=targets, **arrays)
    return _stored(path, record, tables, markouts if known else None)


def _read_going(path: Path, record: dict[str, Any]) -> Stored:
    """What a writer, alive or dead, has written so far."""
    decisions, targets = to_decisions(read_stream(path, "decisions"))
    orders = to_rows("orders", read_stream(path, "orders"))
    texts = {name: _checked(path, name, _read_file(path / FILES[name], name)) for name in ("fills", "metrics", "gates")}
    tables = Tables(decisions=decisions, targets=targets, orders=orders, **texts)
    return _stored(path, record, tables, None)


def _stored(path: Path, record: dict[str, Any], tables: Tables, markouts: Array | None) -> Stored:
    config, info = Config.load(path / "config.toml"), RunInfo.from_json(record)
    return Stored(config, info, record["instrument"], record["inputs"], tables, markouts, record.get("summary"))


def read_record(path: Path) -> dict[str, Any]:
    """Content of a directory's ``run.json``; raises `SessionError` as `read_run` does."""
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
    table = _read_file(file, name)
    if table.num_rows != expected["rows"]:
        raise SessionError(f"{file}: {table.num_rows} rows, run.json says {expected['rows']}: cut short, run again")
    return table


def _read_file(file: Path, name: str) -> pa.Table:
    try:
        return READERS[file.suffix](file, name)
    except FileNotFoundError:
        raise
    except (pa.ArrowException, OSError, ValueError, KeyError) as error:
        raise SessionError(f"{file}: cannot be read ({error}): the file is cut short or damaged, run again") from None


def _checked(folder: Path, name: str, table: pa.Table) -> Array:
    try:
        return from_arrow(name, table)
    except (ValueError, pa.ArrowException) as error:
        raise SessionError(f"{folder / FILES[name]}: {error}: the file is damaged, run again") from None
