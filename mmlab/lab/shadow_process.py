"""The worker's process of the shadow sets: ``python -m mmlab.lab.shadow_process RUN_DIR PARENT_PID``.

It runs at a low priority, reads what the session records, and writes ``shadows.csv``. It ends when the session or
the parent does.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from mmlab.errors import MMLabError
from mmlab.lab.recording import Recording
from mmlab.lab.shadow_sets import ShadowSets
from mmlab.lab.shadows import JOURNAL, REPORT_S, TABLE, append_line, read_journal
from mmlab.lab.verify import versions
from mmlab.telemetry.files import iso

STEP_S = 1.0
"""Seconds between two looks at what was recorded."""
BEFORE_S = 60.0
"""Of a session that has been going: what is read before the first set, besides the run-in."""
NICE = 10


class Reports:
    """Writes ``shadows.csv``, whole lines at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._columns: list[str] = []
        if path.exists():
            with path.open(encoding="utf-8") as file:
                self._columns = file.readline().strip().split(",")

    def write(self, rows: dict[str, dict[str, float]]) -> None:
        """One report."""
        lines = []
        for name, row in rows.items():
            start, end = (str(iso(np.array(int(row[key])))) for key in ("start_ns", "end_ns"))
            figures = {key: value for key, value in row.items() if not key.endswith("_ns")}
            if not self._columns:
                self._columns = ["time", "name", "start", *figures]
                lines.append(",".join(self._columns))
            quoted = '"' + name.replace('"', '""') + '"'
            values = {"time": end, "name": quoted, "start": start} | {k: text(v) for k, v in figures.items()}
            lines.append(",".join(values[column] for column in self._columns))
        file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            os.write(file, ("\n".join(lines) + "\n").encode())
        finally:
            os.close(file)


def text(value: float) -> str:
    """A number in a CSV file; nothing where it is undefined."""
    return "" if value != value else f"{value:.10g}"  # noqa: PLR0124  NaN


class Worker:
    """Follows one session.

    Parameters
    ----------
    run_dir : Path
    parent : int
        Process whose end is ours.
    """

    def __init__(self, run_dir: Path, parent: int) -> None:
        self.run_dir, self._parent = run_dir, parent
        self._recording = Recording(run_dir, BEFORE_S, whole=True)
        self.sets, self._reports = ShadowSets(self._recording), Reports(run_dir / TABLE)
        self._lines, self._written = 0, -1

    def run(self) -> None:
        """Until the session ends, or the parent."""
        report_s = time.monotonic()
        while os.getppid() == self._parent:
            started = time.monotonic()
            over = self.turn(report=started >= report_s)
            if over:
                return
            if started >= report_s:
                report_s = started + REPORT_S
            time.sleep(max(0.0, started + STEP_S - time.monotonic()))

    def turn(self, *, report: bool) -> bool:
        """Look at the journal, catch up, and report; whether the session is over."""
        self._look()
        ready = self.sets.step()
        over = self._recording.over
        if ready and (report or over):
            self._reports.write(self.sets.report())
        return over

    def _look(self) -> None:
        """Sets that were added or removed."""
        written = (self.run_dir / JOURNAL).stat().st_size
        if written == self._written:
            return
        self._written = written
        lines = read_journal(self.run_dir)
        configs = versions(self.run_dir, self._recording.first)
        for line in lines[self._lines :]:
            if line["what"] == "added":
                changes: dict[str, Any] = line["changes"]
                self.sets.add(line["name"], configs[line["version"]].with_(**changes))
            elif line["what"] == "removed":
                self.sets.remove(line["name"])
        self._lines = len(lines)


def main(arguments: list[str]) -> int:
    """Run the worker."""
    run_dir, parent = Path(arguments[0]), int(arguments[1])
    os.nice(NICE)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C is for the engine; when that ends, so do we
    try:
        Worker(run_dir, parent).run()
    except (MMLabError, OSError) as error:
        append_line(run_dir / JOURNAL, {"what": "failed", "why": str(error)})
        return 1
    except Exception as error:
        append_line(run_dir / JOURNAL, {"what": "failed", "why": f"{type(error).__name__}: {error}"})
        raise
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
