"""`mmlab.runs`: the run directories of a folder, one row each, without opening their tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mmlab.errors import SessionError
from mmlab.lab.study.journal import HEADER
from mmlab.telemetry.files import whole_lines
from mmlab.telemetry.info import RUNNING
from mmlab.telemetry.run_directory import how_it_stands, read_record

FACTS = {
    "name": str, "mode": str, "venue": str, "symbol": str, "started": "datetime64[ms, UTC]",
    "finished": "datetime64[ms, UTC]", "ended": str, "going": bool, "fault": str,
}  # fmt: skip
TAIL = 1 << 14
SO_FAR = ("net_pnl", "fees", "funding", "volume", "messages")
"""Figures of which the metrics table has a running total."""


def runs(dir: str | Path = "runs") -> pd.DataFrame:  # noqa: A002  the documented name
    """List run directories with their summaries, newest first.

    Parameters
    ----------
    dir : path
        The folder they are in; one that is not there (yet) has none.

    Returns
    -------
    DataFrame
        Index ``run``, the directory's name; ``name, mode, venue, symbol, started, finished`` (UTC), ``ended`` (how, for
        people; "running", "crashed"), ``going``, ``fault`` (what is wrong with the directory; "" if nothing), ``path``,
        then the figures of ``run.summary``. A run that has no summary yet, since it is going, crashed, or nobody has
        looked at it, has the figures that its last metrics row tells: ``net_pnl, fees, funding, volume, messages``, and
        ``fills``.

    Raises
    ------
    SessionError
        `dir` is a file.
    """
    folder = Path(dir)
    if folder.is_file():
        raise SessionError(f"{folder}: is a file: give the folder that holds the run directories")
    found = [path for path in folder.iterdir() if _is_one(path)] if folder.is_dir() else []
    rows = [_row(path) for path in found]
    table = pd.DataFrame(rows, index=pd.Index([path.name for path in found], name="run", dtype="str"))
    for name, kind in FACTS.items():
        if name not in table:
            table[name] = pd.Series(index=table.index, dtype=kind)
    table["path"] = pd.Series([str(path) for path in found], table.index, dtype="str")
    for name in ("started", "finished"):
        table[name] = pd.to_datetime(table[name], utc=True, errors="coerce", format="ISO8601")
    figures = [name for name in table if name not in FACTS and name != "path"]
    return table[[*FACTS, "path", *figures]].sort_values(["started"], ascending=False, kind="stable")


def _is_one(path: Path) -> bool:
    """Whether a path is meant to be a run directory: no file, nothing hidden, no study."""
    return path.is_dir() and not path.name.startswith(".") and not (path / HEADER).is_file()


def _row(path: Path) -> dict[str, Any]:
    empty = dict.fromkeys(FACTS, "") | {"started": None, "finished": None, "going": False}
    try:
        record = read_record(path)
        ended = how_it_stands(path, record)
        going = ended == RUNNING
        facts = {
            "name": str(record["name"]),
            "mode": str(record["mode"]),
            "venue": str(record["venue"]),
            "symbol": str(record["instrument"]["symbol"]),
            "started": record["started"],
            "finished": None if going else record["finished"],
            "ended": ended,
            "going": going,
        }
        summary = record.get("summary")
        figures = _so_far(path, record) if summary is None else dict(summary)
        return {**empty, **facts, **{name: np.nan if value is None else value for name, value in figures.items()}}
    except SessionError as error:
        return {**empty, "fault": str(error)}
    except Exception as error:  # noqa: BLE001  one damaged directory must not hide the others
        return {**empty, "fault": f"{path}: cannot be read ({type(error).__name__}: {error}): it is damaged"}


def _so_far(path: Path, record: dict[str, Any]) -> dict[str, Any]:
    """What the last row of the metrics table tells, and the number of fills."""
    metrics, fills = path / "metrics.csv", path / "fills.csv"
    if not metrics.is_file():
        return {}
    with metrics.open("rb") as file:
        names = file.readline().decode().rstrip("\n").split(",")
        file.seek(max(file.tell(), metrics.stat().st_size - TAIL))
        last = file.read().rpartition(b"\n")[0].rpartition(b"\n")[2].decode().split(",")
    if len(last) != len(names):
        return {}
    row = dict(zip(names, last, strict=True))
    figures: dict[str, Any] = {name: float(row[name] or "nan") for name in SO_FAR if name in row}
    figures["fills"] = max(0, whole_lines(fills).count(b"\n") - 1) if fills.is_file() else 0
    if record["instrument"].get("contract") == "linear" and figures.get("volume"):
        figures["pnl_per_million"] = figures["net_pnl"] / figures["volume"] * 1e6
    return figures
