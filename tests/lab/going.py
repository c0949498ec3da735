"""A session's directory written again as far as the session had come, byte for byte as a session writes it."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from mmlab.telemetry.files import FILES, csv_header, csv_lines
from mmlab.telemetry.finish import LOCK, take_lock
from mmlab.telemetry.inputs import INPUTS, read_inputs
from mmlab.telemetry.run_directory import read_record, read_run
from mmlab.telemetry.streams import batch_message, schema_message, stream_file, stream_schema, to_batch
from mmlab.telemetry.tables import Scale, edge_table

TEXTS = ("fills", "metrics")


class Source:
    """What a finished session recorded."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.record, self.stored = folder, read_record(folder), read_run(folder)
        tables = self.stored.tables
        self.inputs = read_inputs(folder, self.record["inputs"])
        self.rows = {"inputs": self.inputs, "fills": tables.fills, "metrics": tables.metrics}
        self.decisions, self.targets = tables.decisions, tables.targets
        self.begin_ns, self.end_ns = (int(self.inputs["local_ns"][i]) for i in (0, -1))
        self.scale = Scale(self.record["instrument"]["tick_size"], self.record["instrument"]["lot_size"])


class Going:
    """The directory, growing."""

    def __init__(self, source: Source, folder: Path) -> None:
        self.source, self.folder = source, folder
        folder.mkdir()
        shutil.copy(source.folder / "config.toml", folder)
        (folder / "changes.jsonl").touch()
        self._write_record("running")
        self._lock = take_lock(folder)
        self._start = {name: schema_message(stream_schema(name)) for name in ("inputs", "decisions")}
        for name, start in self._start.items():
            (folder / stream_file(name)).write_bytes(start)
        for name in TEXTS:
            (folder / FILES[name]).write_bytes(csv_header(edge_table(name, source.rows[name][:0], source.scale)))
        self._at = dict.fromkeys((*source.rows, "decisions"), 0)

    def _write_record(self, ended: str) -> None:
        record = {**self.source.record, "ended": ended}
        record["inputs"] = {name: record["inputs"][name] for name in ("what", "file")}
        (self.folder / "run.json").write_text(json.dumps(record), encoding="utf-8")

    def write(self, until_ns: int) -> None:
        """Everything up to a time."""
        source = self.source
        for name, rows in source.rows.items():
            new = self._new(name, rows, until_ns)
            if name == "inputs":
                self._append(stream_file(name), batch_message(to_batch(name, new), self._start[name]))
            else:
                self._append(FILES[name], csv_lines(edge_table(name, new, source.scale)))
        new = self._new("decisions", source.decisions, until_ns)
        if new.size:
            first = int(new["first_target"][0])
            targets = source.targets[first : first + int(new["targets"].sum())]
            message = batch_message(to_batch("decisions", new, targets), self._start["decisions"])
            self._append(stream_file("decisions"), message)

    def _new(self, name: str, rows: Any, until_ns: int) -> Any:
        later = np.flatnonzero(rows["local_ns"] > until_ns)
        end = max(self._at[name], int(later[0]) if later.size else rows.size)
        new, self._at[name] = rows[self._at[name] : end], end
        return new

    def _append(self, name: str, data: bytes) -> None:
        with (self.folder / name).open("ab") as file:
            file.write(data)

    def end(self) -> None:
        """The session ends: streams become Parquet files."""
        self.write(self.source.end_ns)
        for name in (INPUTS, FILES["decisions"], FILES["orders"]):
            shutil.copy(self.source.folder / name, self.folder)
        self._write_record("end of feed")
        for name in ("inputs", "decisions"):
            (self.folder / stream_file(name)).unlink()
        self.close()

    def close(self) -> None:
        """Let the lock go, as a process does when it is gone."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
        (self.folder / LOCK).unlink(missing_ok=True)
