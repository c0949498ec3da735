"""Where Prometheus finds running sessions: a file each, for its file-based service discovery.

    $XDG_RUNTIME_DIR/mmlab/prometheus/<run id>.json     or telemetry.targets_dir

A session that ends withdraws its file. One that dies leaves it, so that ``up == 0`` says so until the file is old.
"""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from pathlib import Path

from mmlab.lab.addresses import run_id, runtime_folder

STALE_S = 3600.0
"""So long after its session's death a file is removed by the next session that starts."""


def targets_folder(targets_dir: str | None) -> Path:
    """The folder, made if need be."""
    folder = runtime_folder() / "prometheus" if targets_dir is None else Path(targets_dir)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def publish_target(folder: Path, run_dir: Path, target: str, session: str) -> Path:
    """Write a session's file, whole or not at all; returns its path."""
    tidy(folder)
    path = folder / f"{run_id(run_dir)}.json"
    labels = {"session": session, "run": run_dir.name, "pid": str(os.getpid())}
    part = path.with_suffix(f".{os.getpid()}")  # Prometheus reads *.json
    part.write_text(json.dumps([{"targets": [target], "labels": labels}]) + "\n", encoding="utf-8")
    part.replace(path)
    return path


def tidy(folder: Path) -> None:
    """Remove old files of dead processes."""
    for path in folder.glob("*.json"):
        with suppress(OSError, ValueError, KeyError, IndexError, TypeError):
            pid = int(json.loads(path.read_text(encoding="utf-8"))[0]["labels"]["pid"])
            if time.time() - path.stat().st_mtime > STALE_S and not _runs(pid):
                path.unlink()


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
