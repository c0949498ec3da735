"""The folder of a study: what is finished is written down as it comes, so that a second call takes up where one ended.

    <out>/
        study.json         what is studied (feed or notebook, by hash), with which code; configurations tried so far
        points.jsonl       one line a finished point, under the hash of all that determines it
        results.parquet    the table of the last call, and
        results.csv        the same as text

Points are known by their hash, so another grid on the same feed finds what an earlier one has done already.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from functools import cache
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd

import mmlab
from mmlab.errors import SessionError
from mmlab.telemetry.files import cut_partial_line, replace_file
from mmlab.telemetry.info import versions

SCHEMA = 1
HEADER, POINTS = "study.json", "points.jsonl"
INFINITIES = {"inf": np.inf, "-inf": -np.inf}


@cache
def code_hash() -> str:
    """Hash of mmlab's own code: figures of different code do not go into one table."""
    root = Path(mmlab.__file__).parent
    digest = hashlib.sha256()
    for file in sorted(root.rglob("*.py")):
        digest.update(file.relative_to(root).as_posix().encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()[:24]


class Journal:
    """A study's folder, open for one writer.

    Parameters
    ----------
    folder : Path
        Made if it is not there.
    what : str
        "sweep" or "batch".
    subject : dict
        What is studied; another subject is refused.

    Attributes
    ----------
    stored : dict
        Key -> what was written down under it.

    Raises
    ------
    SessionError
        The folder holds something else, another study, or is being written by another process.
    """

    def __init__(self, folder: str | Path, what: str, subject: dict[str, Any]) -> None:
        self.folder = Path(folder)
        self.header = {
            "schema": SCHEMA,
            "what": what,
            "subject": subject,
            "code": code_hash(),
            "versions": versions(),
        }
        self._lock = self._open()
        try:
            self._check()
            self.stored = self._read()
            self._file = (self.folder / POINTS).open("ab")
        except BaseException:
            os.close(self._lock)
            raise

    def _open(self) -> int:
        if self.folder.is_dir() and any(self.folder.iterdir()) and not (self.folder / HEADER).is_file():
            raise SessionError(f"{self.folder} already exists and holds no study: choose another name for it")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = os.open(self.folder / ".lock", os.O_RDONLY | os.O_CREAT, 0o644)
        except OSError as error:
            raise SessionError(f"{self.folder} cannot be written: {error.strerror}") from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            raise SessionError(
                f"{self.folder} is being written by another process: wait for it, or choose another name"
            ) from None
        return lock

    def _check(self) -> None:
        """Take up the study that is there, if it is the same."""
        file = self.folder / HEADER
        if not file.is_file():
            self._write_header({})
            return
        try:
            there = json.loads(file.read_text(encoding="utf-8"))
            differs = [name for name in self.header if there[name] != self.header[name]]
        except (ValueError, KeyError, TypeError, OSError) as error:
            raise SessionError(f"{file}: cannot be read ({error}): choose another folder") from None
        if differs:
            words = {"what": "is of another kind", "subject": "is about something else", "schema": "has another form"}
            why = " and ".join(words.get(name, f"was made with other {name}") for name in differs)
            raise SessionError(f"{self.folder}: the study in it {why}: choose another folder for this one")

    def _write_header(self, more: dict[str, Any]) -> None:
        text = json.dumps({**self.header, **more}, indent=1) + "\n"
        replace_file(self.folder / HEADER, lambda path: path.write_text(text, encoding="utf-8"))

    def _read(self) -> dict[str, dict[str, Any]]:
        file = self.folder / POINTS
        if not file.is_file():
            return {}
        cut_partial_line(file)
        stored = {}
        for number, line in enumerate(file.read_bytes().splitlines(), 1):
            try:
                row = json.loads(line)
                key = row.pop("key")
                stored[key] = decoded(row)
            except (ValueError, KeyError, AttributeError):
                raise SessionError(
                    f"{file}, line {number}: is damaged: remove the line, its point is done again"
                ) from None
        return stored

    def add(self, key: str, row: dict[str, Any]) -> None:
        """Write one finished point down."""
        line = json.dumps(encoded({"key": key, **row}), allow_nan=False)
        self._file.write(line.encode() + b"\n")
        self._file.flush()
        self.stored[key] = row

    def finish(self, table: pd.DataFrame, about: dict[str, Any]) -> None:
        """Write the table, and facts about it into the header."""
        replace_file(self.folder / "results.parquet", table.to_parquet)
        replace_file(self.folder / "results.csv", lambda path: table.to_csv(path, index=False))
        self._write_header(about)

    def close(self) -> None:
        """Let go of the folder."""
        self._file.close()
        os.close(self._lock)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def encoded(value: Any) -> Any:
    """The value as strict JSON: NaN is null, an infinity its name."""
    if isinstance(value, dict):
        return {name: encoded(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [encoded(item) for item in value]
    if isinstance(value, float) and not np.isfinite(value):
        return None if np.isnan(value) else str(value)
    return value


def decoded(value: Any) -> Any:
    """Back from `encoded`."""
    if isinstance(value, dict):
        return {name: decoded(item) for name, item in value.items()}
    if isinstance(value, list):
        return [decoded(item) for item in value]
    if value is None:
        return np.nan
    return INFINITIES.get(value, value) if isinstance(value, str) else value
