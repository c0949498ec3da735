"""`mmlab batch`: one notebook for every point of a grid, through papermill.

A notebook takes about a second to start, so a batch is for reports one wants to look at; for figures alone,
`mmlab.sweep` does hundreds of points in that time.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from mmlab.errors import ConfigError
from mmlab.explain import nearest
from mmlab.lab.progress import counter
from mmlab.lab.study.grid import Grid, cell, combinations
from mmlab.lab.study.journal import Journal
from mmlab.lab.study.record import recorded
from mmlab.lab.study.workers import check_workers, seats, spread

RETRIES = 2
KERNEL = "python3"
LONGEST_NAME = 80


class Executed(NamedTuple):
    """What became of one notebook."""

    figures: dict[str, Any]
    error: str
    seconds: float
    attempts: int


def batch(
    notebook: str | Path,
    grid: Grid,
    out: str | Path,
    *,
    workers: int | None = None,
    retries: int = RETRIES,
    progress: bool | Callable[[int, int], object] | None = None,
) -> pd.DataFrame:
    """Execute a notebook for every point of a grid.

    Parameters
    ----------
    notebook : path
        An ``.ipynb`` with one cell tagged "parameters". What it hands to `mmlab.record` becomes columns of the table.
    grid : dict or sequence of dict
        Parameter -> list of values, of which all combinations are run; or the points themselves.
    out : path
        A folder for the executed notebooks and ``results.csv``, ``results.parquet``. The same call takes up what is
        there; notebooks that failed are done again.
    workers : int, optional
        Notebooks at a time, at most one a core; default 1.
    retries : int
        How often a notebook is begun again whose kernel did not start, or died. A notebook that raises is not.
    progress : bool or callable, optional
        As for `mmlab.sweep`.

    Returns
    -------
    DataFrame
        One row a point: its parameters, recorded figures, ``seconds``, ``notebook`` (the executed file) and ``error``
        (what the notebook raised; "" if nothing).

    Raises
    ------
    ConfigError
        No such notebook, it has no parameters, or not those of the grid: nothing was run.
    SessionError
        `out` holds something else.
    """
    path, chosen = Path(notebook), check_workers(workers) or 1
    if isinstance(retries, bool) or not isinstance(retries, int) or retries < 0:
        raise ConfigError(f"retries = {retries!r}: must be a whole number, at least 0")
    points = combinations(grid)
    check_parameters(path, list(points[0]))
    source = hashlib.sha256(path.read_bytes()).hexdigest()
    keys = [_key(point) for point in points]
    with Journal(out, "batch", {"notebook": path.name, "sha256": source}) as journal:
        files = {
            key: journal.folder / file_name(path.stem, point, key) for key, point in zip(keys, points, strict=True)
        }
        done = {
            key for key in files if key in journal.stored and not journal.stored[key]["error"] and files[key].is_file()
        }
        todo = {key: point for key, point in zip(keys, points, strict=True) if key not in done}
        jobs = [(str(path), point, str(files[key])) for key, point in todo.items()]
        with (
            counter(f"Notebooks of {path.stem}", len(files), progress) as advance,
            seats(min(chosen, len(jobs)), execute.__module__) as pool,
        ):
            advance(len(done))
            finished = len(done)
            for number, one in spread(partial(execute, retries=retries), jobs, pool):
                key = list(todo)[number]
                row = {"parameters": todo[key], "figures": one.figures, "seconds": one.seconds, "error": one.error}
                journal.add(key, {**row, "attempts": one.attempts, "notebook": files[key].name})
                finished += 1
                advance(finished)
        table = _table(points, [journal.stored[key] for key in keys])
        journal.finish(table, {"points": len(table), "failed": int((table["error"] != "").sum())})
    return table


def check_parameters(path: Path, names: list[str]) -> None:
    """Refuse what papermill would only warn of."""
    import nbformat
    import papermill

    if path.suffix != ".ipynb":
        raise ConfigError(f"{path}: must be an .ipynb notebook (jupytext --to ipynb makes one of a .py file)")
    try:
        cells = nbformat.read(path, as_version=4).cells  # type: ignore[no-untyped-call]
    except FileNotFoundError:
        raise ConfigError(f"{path}: there is no such notebook") from None
    except Exception as error:  # noqa: BLE001  nbformat raises half a dozen kinds
        raise ConfigError(f"{path}: is no notebook ({error})") from None
    if not any("parameters" in one.get("metadata", {}).get("tags", []) for one in cells):
        raise ConfigError(f"{path}: has no cell tagged 'parameters': tag the one that assigns them")
    known = list(papermill.inspect_notebook(str(path)))
    wrong = [f"{name}: no such parameter{nearest(name, known)}" for name in names if name not in known]
    if wrong:
        raise ConfigError(f"{path}: " + "; ".join(wrong))


def _key(point: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(point, sort_keys=True, default=str).encode()).hexdigest()[:24]


def file_name(stem: str, point: dict[str, Any], key: str) -> str:
    """Name of an executed notebook: what was set, as far as it fits, and enough of the key to be its own."""
    text = "-".join(f"{name}={value}" for name, value in point.items())
    safe = "".join(c if c.isalnum() or c in "=.-_" else "_" for c in text)[:LONGEST_NAME]
    return f"{stem}-{safe}-{key[:8]}.ipynb"


def execute(job: tuple[str, dict[str, Any], str], retries: int) -> Executed:
    """Execute one notebook, in a worker: papermill changes the process' folder meanwhile.

    Its kernel is spoken to through files, since a port may be taken by another process between being chosen and used;
    where that fails, since a path is too long for a socket, through ports.
    """
    import papermill
    from papermill.exceptions import PapermillExecutionError
    from traitlets.config import Config as Traits
    from zmq.error import ZMQError

    source, point, target = job
    began = time.monotonic()
    for attempt in range(1, retries + 2):
        try:
            executed = papermill.execute_notebook(
                source, str(Path(target).resolve()), point, progress_bar=False, kernel_name=KERNEL,
                cwd=str(Path(source).resolve().parent),
                config=Traits({"KernelManager": {"transport": "ipc" if attempt == 1 else "tcp"}}),
            )  # fmt: skip
            return Executed(recorded(executed), "", time.monotonic() - began, attempt)
        except PapermillExecutionError as error:
            words = f"{error.ename}: {error.evalue} (cell {error.exec_count})"
            return Executed({}, words, time.monotonic() - began, attempt)
        except (RuntimeError, OSError, ZMQError) as error:
            trouble = f"its kernel: {type(error).__name__}: {error}"
    return Executed({}, trouble, time.monotonic() - began, retries + 1)


def _table(points: list[dict[str, Any]], rows: list[dict[str, Any]]) -> pd.DataFrame:
    lines = []
    for point, row in zip(points, rows, strict=True):
        line = {name: cell(value) for name, value in point.items()}
        line |= {name: cell(value) for name, value in row["figures"].items() if name not in line}
        lines.append(line | {"seconds": row["seconds"], "notebook": row["notebook"], "error": row["error"]})
    table = pd.DataFrame(lines)
    last = ["seconds", "notebook", "error"]
    return table[[name for name in table.columns if name not in last] + last]
