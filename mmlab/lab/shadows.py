"""Shadow sets of a going session: up to eight named parameter sets that run along without sending orders.

    engine's process                 worker's process (lowest priority)
    ShadowProcess.add, remove  -->  shadows.jsonl  -->  reads inputs.arrows, fills.csv, metrics.csv, decisions.arrows
    read_shadows  <--------------   shadows.csv   <--   a row a set every `REPORT_S`

``shadows.jsonl``, a line each: ``what`` is "added" (``name, changes, version``: of the parameters in force, on top of
which the changes are), "removed" (``name``) or "failed" (``why``: the worker has ended); ``time``, wall clock.

``shadows.csv``, appended to: ``time`` (session's time of the report), ``name``, ``start`` (since when the figures
count), ``live_net_pnl_quote, live_fills`` (the session's own since then), and the figures of
`mmlab.lab.window_figures`, times in gates and switches included. The session itself is the row ``live``; it counts
since the first set.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd

from mmlab.config import Config
from mmlab.engine.setup import params_of
from mmlab.errors import SessionError
from mmlab.instrument import Instrument
from mmlab.lab.recording import setting_of
from mmlab.lab.verify import versions
from mmlab.resolve import WarmUp
from mmlab.telemetry.files import json_line, whole_lines
from mmlab.telemetry.info import RunInfo, clean, utc_now
from mmlab.telemetry.run_directory import read_record

MOST = 8
LONGEST_NAME = 40
JOURNAL, TABLE = "shadows.jsonl", "shadows.csv"
LIVE = "live"
"""Name of the session's own row."""
REPORT_S = 5.0
"""Seconds between two reports."""
TAIL_BYTES = 1 << 16
"""Of the table's end: more than one report."""
PATIENCE_S = 10.0


class ShadowProcess:
    """The shadow sets of one session, and the worker's process that runs them.

    Parameters
    ----------
    run_dir : path
        The session's directory. The worker starts with the first set, and ends with the session, with this process, or
        at `stop`.

    Notes
    -----
    Calls take milliseconds and never wait for the worker.
    """

    def __init__(self, run_dir: str | Path) -> None:
        self.run_dir = Path(run_dir)
        self._sets: dict[str, dict[str, Any]] = {}
        self._worker: subprocess.Popen[bytes] | None = None

    def add(self, name: str, changes: dict[str, Any]) -> None:
        """Run a set from now on: the parameters in force, with `changes` on top.

        Raises
        ------
        ConfigError
            Every wrong field; then nothing is changed.
        SessionError
            There are eight sets already, or one of that name, or the name will not do.
        """
        self._check(name)
        version = check_changes(self.run_dir, changes)
        self._write({"what": "added", "name": name, "version": version, "changes": clean(changes)})
        self._sets[name] = {"changes": dict(changes), "version": version}
        if self._worker is None or self._worker.poll() is not None:
            self._worker = start_worker(self.run_dir)

    def _check(self, name: str) -> None:
        if not name or len(name) > LONGEST_NAME or not name.isprintable() or name == LIVE:
            raise SessionError(
                f"{name!r} will not do as a set's name: 1 to {LONGEST_NAME} printable characters, not {LIVE!r}"
            )
        if name in self._sets:
            raise SessionError(f"there is a shadow set {name!r} already: remove it first, or choose another name")
        if len(self._sets) >= MOST:
            raise SessionError(f"{MOST} shadow sets run already: remove one of {sorted(self._sets)} first")

    def remove(self, name: str) -> None:
        """Run a set no more; its rows in the table stay.

        Raises
        ------
        SessionError
            There is no such set.
        """
        if name not in self._sets:
            raise SessionError(f"there is no shadow set {name!r}: there are {sorted(self._sets)}")
        self._write({"what": "removed", "name": name})
        del self._sets[name]

    def sets(self) -> dict[str, dict[str, Any]]:
        """Name -> ``changes``, ``version`` (of the parameters below them), ``alive`` (whether the worker runs)."""
        alive = self._worker is not None and self._worker.poll() is None
        return {name: {**one, "alive": alive} for name, one in self._sets.items()}

    @property
    def pid(self) -> int | None:
        """The worker's process, if it runs."""
        return self._worker.pid if self._worker is not None and self._worker.poll() is None else None

    def _write(self, line: dict[str, Any]) -> None:
        append_line(self.run_dir / JOURNAL, line)

    def stop(self) -> None:
        """End the worker."""
        worker, self._worker = self._worker, None
        if worker is None or worker.poll() is not None:
            return
        worker.terminate()
        try:
            worker.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            worker.kill()
            worker.wait()


def check_changes(run_dir: Path, changes: dict[str, Any]) -> int:
    """Whether changes on top of the parameters in force would do (`ConfigError`); returns these parameters' version."""
    record = read_record(run_dir)
    info = RunInfo.from_json(record)
    setting_of(info, None)
    version, config = in_force(run_dir)
    params_of(config.with_(**changes), Instrument(**record["instrument"]), WarmUp(**info.warmup), None)
    return version


def in_force(run_dir: Path) -> tuple[int, Config]:
    """Version of the parameters in force, and they."""
    known = versions(run_dir, Config.load(run_dir / "config.toml"))
    version = max(known)
    return version, known[version]


def append_line(path: Path, line: dict[str, Any]) -> None:
    """Add a line to the journal, in one write."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        os.write(file, json_line({"time": utc_now(), **line}))
    finally:
        os.close(file)


def start_worker(run_dir: Path) -> subprocess.Popen[bytes]:
    """Start the worker for a run directory; what it has to say is in the journal."""
    command = [sys.executable, "-m", "mmlab.lab.shadow_process", str(run_dir), str(os.getpid())]
    return subprocess.Popen(  # noqa: S603  our own module
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def read_journal(run_dir: str | Path) -> list[dict[str, Any]]:
    """Lines of the journal, whole ones only; none if there was never a set."""
    with contextlib.suppress(FileNotFoundError):
        return [json.loads(line) for line in whole_lines(Path(run_dir) / JOURNAL).splitlines()]
    return []


def read_shadows(run_dir: str | Path) -> pd.DataFrame:
    """The newest report of a session's shadow sets.

    Returns
    -------
    DataFrame
        One row a set that has not been removed, and the session's own as ``live``, first; indexed by name. Columns as
        the file's: ``time, start, live_net_pnl_quote, live_fills``, and the figures of `mmlab.lab.window_figures`.
        Empty before the first report.

    Raises
    ------
    SessionError
        The table is damaged, or the worker has failed: why.
    """
    journal = read_journal(run_dir)
    active: dict[str, None] = {}
    for line in journal:
        if line["what"] == "failed" and line is journal[-1]:
            raise SessionError(f"{run_dir}: the shadow sets have ended: {line['why']}")
        if line["what"] == "added":
            active[line["name"]] = None
        elif line["what"] == "removed":
            active.pop(line["name"], None)
    table = _read(Path(run_dir) / TABLE, TAIL_BYTES)
    if table.empty or not active:
        return table.iloc[:0].set_index("name") if "name" in table else table
    newest = table[table["time"] == table["time"].iloc[-1]]
    return newest[newest["name"].isin([LIVE, *active])].drop_duplicates("name", keep="last").set_index("name")


def shadow_history(run_dir: str | Path) -> pd.DataFrame:
    """All reports: as `read_shadows`, indexed by ``time``, ``name`` a column."""
    table = _read(Path(run_dir) / TABLE, None)
    return table.set_index("time") if "time" in table else table


def _read(path: Path, tail: int | None) -> pd.DataFrame:
    """Whole lines of the table, or of its end."""
    try:
        with path.open("rb") as file:
            header, size = file.readline(), path.stat().st_size
            begin = len(header) if tail is None else max(len(header), size - tail)
            file.seek(begin)
            data = file.read()
        if begin > len(header):
            data = data[data.find(b"\n") + 1 :]
        data = data[: data.rfind(b"\n") + 1]
        table = pd.read_csv(io.BytesIO(header + data))
        for column in ("time", "start"):
            table[column] = pd.to_datetime(table[column], utc=True)
    except FileNotFoundError:
        return pd.DataFrame()
    except (ValueError, KeyError, OSError) as error:
        raise SessionError(f"{path}: cannot be read ({error}): the file is damaged") from None
    return table
