"""`LiveRun`: a run directory that is written while the run goes on.

    engine's thread  --put-->  queues in memory  --every second-->  writer's thread  -->  files
                     <--on_warning--

`put` never waits for the disk and never raises for its sake. While the disk is slow or full, rows wait in memory; once
their table's queue is full, further ones are missing from the file, counted, and warned of once a table. The session
goes on.
"""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import numpy as np
import pyarrow as pa

from mmlab.config import Config
from mmlab.errors import SessionError
from mmlab.events import FILL, GATE, INPUT, METRIC, ORDER, TARGET
from mmlab.telemetry.console import LEVELS, Console
from mmlab.telemetry.files import (
    FILES,
    csv_header,
    csv_lines,
    iso,
    json_line,
    json_lines,
    replace_file,
    run_record,
    write_csv,
    write_record,
)
from mmlab.telemetry.finish import LOCK, finish, take_lock, tidy
from mmlab.telemetry.info import RUNNING, RunInfo, clean, folder_name, utc_now
from mmlab.telemetry.inputs import INPUTS, KERNEL
from mmlab.telemetry.line_log import line_logger
from mmlab.telemetry.repeats import Repeats
from mmlab.telemetry.rotation import RotatingAppender
from mmlab.telemetry.row_queue import RowQueue
from mmlab.telemetry.run_directory import require_new
from mmlab.telemetry.sinks import Appender, DecisionSink, LineSink, RowSink, Sink, Write
from mmlab.telemetry.streams import batch_message, schema_message, stream_file, stream_schema, to_batch
from mmlab.telemetry.tables import MARKOUT, Scale, edge_table
from mmlab.telemetry.writer import Writer

Array = np.ndarray[Any, Any]

PLACES = {
    "inputs": 1 << 17,
    "decisions": 1 << 15,
    "orders": 1 << 16,
    "fills": 1 << 13,
    "metrics": 1 << 12,
    "gates": 1 << 12,
    "changes": 1 << 10,
    "log": 1 << 13,
}
"""Rows of each table that wait in memory at most: at 1,000 inputs a second, two minutes of a disk that hangs."""
PROMPT = ("fills", "gates", "changes")
"""Tables written when something happens, not only at the next flush."""
PATIENCE_S = 60.0
"""How long a patient `put` waits."""
BEHIND_S = 5.0
"""Files that are so far behind are warned of."""
_NO_TARGETS = np.zeros(0, TARGET)


class LiveRun:
    """A run that is going, in its directory.

    Parameters
    ----------
    path : Path
        The directory to make; it must not exist, or be empty.
    config : Config
        Effective configuration.
    info : RunInfo
        What is known at the start; ``ended`` is "running" in the file, whatever it says.
    instrument : dict
        Fields of the instrument, ``tick_size`` and ``lot_size`` among them.
    flush_s : float
        Seconds between writes: what a ``kill -9`` may lose.
    on_warning : callable, optional
        Takes a sentence, once for each kind of trouble. Called on the engine's thread (rows dropped) or the writer's
        (the disk), so it must not wait.
    patient : bool
        `put` waits for the disk instead of dropping rows: for sessions that run faster than real time.
    places : dict, optional
        Other numbers of rows that may wait, by table (`PLACES`).
    write : callable, optional
        Stands for `os.pwrite` in a test.

    Attributes
    ----------
    log : structlog logger
        Writes lines of ``log.jsonl``; give times as ``ts_ns``, from the session's clock.

    Raises
    ------
    SessionError
        `path` exists and is not empty, or cannot be written.

    Notes
    -----
    `put`, `change` and `close` are called by one thread; `log` by any.
    """

    def __init__(
        self,
        path: str | Path,
        config: Config,
        info: RunInfo,
        instrument: dict[str, Any],
        *,
        flush_s: float = 1.0,
        on_warning: Callable[[str], object] | None = None,
        patient: bool = False,
        places: dict[str, int] | None = None,
        write: Write = os.pwrite,
    ) -> None:
        self.path, self.config, self.info, self.instrument = Path(path), config, info, instrument
        self._on_warning, self._warned = on_warning, set[str]()
        self._scale = Scale(instrument["tick_size"], instrument["lot_size"])
        self._closed, self._patient, self._behind = False, patient, False
        self._rows: dict[str, RowSink] = {}
        self._lines: dict[str, LineSink] = {}
        require_new(self.path)
        made = not self.path.exists()
        with ExitStack() as undo:
            try:
                self.path.mkdir(parents=True, exist_ok=True)
                self._lock = _own(self.path)
                undo.callback(os.close, self._lock)
                undo.callback(_clear, self.path, made)
                self._open({**PLACES, **(places or {})}, write, undo)
                self._begin()
            except OSError as error:
                raise SessionError(f"{path} cannot be written: {error.strerror}") from None
            undo.pop_all()
        self._sinks: dict[str, Sink] = {**self._rows, "decisions": self._decisions, **self._lines}
        self._writer = Writer(self._sinks, PROMPT, flush_s, self._warn)
        self.repeats = Repeats()
        level = config.telemetry.console
        self._console = None if level == "off" else Console(level)
        self.log = line_logger(
            partial(self._put_line, "log"), repeats=self.repeats, context=self._context,
            tee=None if self._console is None else self._console.show, run=folder_name(info),
        )  # fmt: skip
        if self._console is not None:
            self._console.start()
        self.log.info("run_started", time=info.started, mode=info.mode, venue=info.venue, seed=info.seed)
        self._writer.start()

    def put(self, table: str, rows: Any, targets: Array | None = None) -> None:
        """Add rows to a table.

        Parameters
        ----------
        table : str
            ``inputs`` (`INPUT`), ``decisions`` (`DECISION`), ``orders`` (`ORDER`), ``fills`` (`FILL`), ``metrics``
            (`METRIC`) or ``gates`` (`GATE`).
        rows : record, tuple or ndarray
            One row or many; copied. Fastest is a 0-d array of the table's dtype.
        targets : ndarray of TARGET, optional
            Of decisions: their target quotes, as many as ``rows["targets"]`` says, in their order.
            ``first_target`` is worked out when the run is closed.
        """
        if self._patient:
            self._wait_for_room(table, rows)
        if table == "decisions":
            dropped = self._decisions.put(rows, _NO_TARGETS if targets is None else targets)
        else:
            dropped = self._rows[table].put(rows)
        if dropped:
            self._warn(f"drop {table}", f"the disk does not keep up: rows of {table} are missing from {self.path}")
        if table in PROMPT:
            self._writer.hurry()
        elif table == "metrics":
            self._look()

    def _wait_for_room(self, table: str, rows: Any) -> None:
        """Wait until the writer has made room for rows, at most `PATIENCE_S`; a disk that fails is not waited for."""
        queue = self._decisions.queue if table == "decisions" else self._rows[table].queue
        n = rows.size if isinstance(rows, np.ndarray) else 1
        until_s = monotonic() + PATIENCE_S
        while queue.room < n <= queue.size and not self._writer.disk_errors and monotonic() < until_s:
            sleep(0.001)

    def change(self, ts_ns: int, source: str, old: dict[str, Any], new: dict[str, Any], version: int) -> None:
        """Note a change of parameters in ``changes.jsonl``.

        Parameters
        ----------
        ts_ns : int
            When it took effect, local clock.
        source : str
            Who asked for it.
        old, new : dict
            The changed parameters, plain values.
        version : int
            Of the parameters from now on.
        """
        values = {"time": str(iso(np.array(ts_ns))), "source": source, "version": version, "old": old, "new": new}
        self._put_line("changes", json_line(clean(values)))
        self._writer.hurry()

    def _context(self) -> dict[str, Any]:
        """What every line of the log says."""
        return {"decision": self._decisions.queue.head - 1}

    def _look(self) -> None:
        """Once a second of the session: say that the files are far behind, or have caught up."""
        behind_s = self.behind_s
        if behind_s > BEHIND_S and not self._behind:
            self._behind = True
            self._warn(
                "slow", f"{self.path}: the disk has not taken anything for {behind_s:.0f} s; rows wait in memory"
            )
        elif self._behind and behind_s < BEHIND_S / 2:
            self._behind = False
            self._warned.discard("slow")
            self.log.info("disk_recovered", time=utc_now(), behind_s=behind_s)

    @property
    def behind_s(self) -> float:
        """Seconds since the files were last up to date."""
        return monotonic() - self._writer.flushed_s

    def health(self) -> dict[str, Any]:
        """How the files are: how far behind, errors, free bytes, rows dropped by table; lines of the log by level."""
        try:
            free = float(shutil.disk_usage(self.path).free)
        except OSError:
            free = math.nan
        return {
            "behind_s": self.behind_s,
            "disk_errors": self._writer.disk_errors,
            "free_bytes": free,
            "dropped": {name: sink.lost for name, sink in self._sinks.items()},
            "log_lines": {level: self.repeats.seen[level] for level in LEVELS},
            "log_held": self.repeats.held,
            "warnings": sorted(self._warned),
        }

    @property
    def counters(self) -> dict[str, int]:
        """``dropped_<table>``, rows missing from the files, and ``disk_errors``; only those that are not zero."""
        counts = {f"dropped_{name}": sink.lost for name, sink in self._sinks.items()}
        return {name: n for name, n in {**counts, "disk_errors": self._writer.disk_errors}.items() if n}

    def close(self, info: RunInfo | None = None, markouts: Array | None = None, timeout_s: float = 60.0) -> None:
        """End the run: write what waits, and turn the directory into that of a run that has ended.

        It waits for the disk, and reads the streams once more: from a running loop, call it in a thread.

        Parameters
        ----------
        info : RunInfo, optional
            What is known in the end; `counters` are added to its own.
        markouts : ndarray of MARKOUT, optional
            Where they are known; else a reader works them out.
        timeout_s : float
            How long to wait for the writer's last flush.

        Raises
        ------
        SessionError
            The disk fails. Everything written so far stays, and `read_run` finishes it later, as after a crash.
        """
        if self._closed:
            return
        self._closed = True
        info = self.info if info is None else info
        for event, n in self.repeats.rest().items():
            self.log.info("lines_held_back", time=utc_now(), of=event, n=n)
        if self._console is not None:
            self._console.close()
        self.log.info("run_ended", time=info.finished, how=info.ended, **{**info.counters, **self.counters})
        if not self._writer.stop(timeout_s):
            raise SessionError(f"{self.path}: the disk has not taken the last rows within {timeout_s:g} s")
        for sink in self._sinks.values():
            sink.skip()
            sink.file.close()
        info = replace(info, counters={**info.counters, **self.counters})
        try:
            finish(self.path, self._record(info), markouts)
            tidy(self.path)
        except (OSError, pa.ArrowException) as error:
            raise SessionError(f"{self.path}: cannot be finished ({error}); read_run will, once it can") from None
        finally:
            os.close(self._lock)

    def _open(self, places: dict[str, int], write: Write, undo: ExitStack) -> None:
        def new_file(name: str, start: bytes) -> Appender:
            file = Appender(self.path / name, start, write)
            undo.callback(file.close)
            return file

        def new_log(name: str) -> Appender:
            about = self.config.telemetry
            most = round(about.log_part_mb * 1e6)
            file = RotatingAppender(self.path / name, b"", write, most, about.log_parts)
            undo.callback(file.close)
            return file

        for name, dtype in (("inputs", INPUT), ("orders", ORDER)):
            start = schema_message(stream_schema(name))
            encode = partial(_stream_bytes, name, start)
            self._rows[name] = RowSink(RowQueue(dtype, places[name]), encode, new_file(stream_file(name), start))
        start = schema_message(stream_schema("decisions"))
        self._decisions = DecisionSink(
            places["decisions"], partial(_decision_bytes, start), new_file(stream_file("decisions"), start)
        )
        for name, dtype, lines in (
            ("fills", FILL, csv_lines),
            ("metrics", METRIC, csv_lines),
            ("gates", GATE, json_lines),
        ):
            header = b"" if name == "gates" else csv_header(edge_table(name, np.zeros(0, dtype), self._scale))
            encode = partial(_text_bytes, name, self._scale, lines)
            self._rows[name] = RowSink(RowQueue(dtype, places[name]), encode, new_file(FILES[name], header))
        for name in ("changes", "log"):
            self._lines[name] = LineSink(
                places[name], new_log(f"{name}.jsonl") if name == "log" else new_file(f"{name}.jsonl", b"")
            )

    def _begin(self) -> None:
        (self.path / "config.toml").write_text(self.config.to_toml(), encoding="utf-8")
        write_csv(edge_table("markouts", np.zeros(0, MARKOUT), self._scale), self.path / FILES["markouts"])
        record = self._record(replace(self.info, ended=RUNNING))
        replace_file(self.path / "run.json", lambda path: write_record(record, path))

    def _record(self, info: RunInfo) -> dict[str, Any]:
        tables = {name: {"file": file} for name, file in FILES.items()}
        return run_record(info, self.config, self.instrument, {"what": KERNEL, "file": INPUTS}, tables)

    def _put_line(self, name: str, line: bytes) -> None:
        if self._lines[name].put(line):
            self._warn(f"drop {name}", f"the disk does not keep up: lines are missing from {self.path / name}.jsonl")

    def _warn(self, kind: str, text: str) -> None:
        if kind not in self._warned:
            self._warned.add(kind)
            self.log.error("disk_trouble", time=utc_now(), what=kind, text=text)
            if self._on_warning is not None:
                with suppress(Exception):  # a loop that is closed already, say
                    self._on_warning(text)


def _own(path: Path) -> int:
    """Lock the new directory, which another session may just have taken too."""
    lock = take_lock(path)
    if lock is None or any(file.name != LOCK for file in path.iterdir()):
        if lock is not None:
            os.close(lock)
        raise SessionError(f"{path} has just been taken by another session: choose another name")
    return lock


def _clear(path: Path, made: bool) -> None:
    """Undo a start that failed: `path` was empty, or was not there (`made`)."""
    if made:
        shutil.rmtree(path, ignore_errors=True)
    else:
        for file in path.iterdir():
            file.unlink()


def _stream_bytes(name: str, start: bytes, rows: Array) -> bytes:
    return batch_message(to_batch(name, rows), start)


def _decision_bytes(start: bytes, rows: Array, targets: Array) -> bytes:
    return batch_message(to_batch("decisions", rows, targets), start)


def _text_bytes(name: str, scale: Scale, lines: Callable[[pa.Table], bytes], rows: Array) -> bytes:
    return lines(edge_table(name, rows, scale))
