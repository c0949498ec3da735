"""Starting an engine in a process of its own."""

from __future__ import annotations

import atexit
import json
import os
import select
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import IO

from mmlab import errors
from mmlab.errors import MMLabError, SessionError
from mmlab.feeds.feed import Feed
from mmlab.lab.addresses import run_id, runtime_folder
from mmlab.lab.client import Client
from mmlab.lab.plan import Plan
from mmlab.telemetry.run_directory import require_new

START_S = 180.0
"""How long an engine may take to stand: its kernels may have to be compiled."""

_GUARDIANS: list[subprocess.Popen[bytes]] = []
"""Of this process: engines live on when nobody holds their session any more."""


@atexit.register
def _let_go() -> None:
    """Engines outlive this process on purpose, which `subprocess` would warn of."""
    for process in _GUARDIANS:
        if process.poll() is None:
            process.returncode = 0


class Launched:
    """An engine process on its way up.

    Parameters
    ----------
    plan : Plan
        What it is to do.
    run_dir : Path
        The run directory it is to make.
    duration_s : float, optional
        Of the session's time.

    Raises
    ------
    SessionError
        The run directory exists.
    ConfigError
        The plan cannot cross to another process.
    """

    def __init__(self, plan: Plan, run_dir: Path, duration_s: float | None) -> None:
        require_new(run_dir)
        self.run_dir = run_dir.resolve()
        file, ours = _feed_file(plan.feed)
        text = plan.to_json(
            file, run_dir=str(self.run_dir), duration_s=duration_s, remove_feed=ours,
            stderr=str(runtime_folder() / f"{run_id(self.run_dir)}.stderr"),
        )  # fmt: skip
        self._warmup_s = 0.0 if plan.live is None else plan.config.strategy.warmup_max_s
        self._guardian = subprocess.Popen(
            [sys.executable, "-m", "mmlab.lab.guardian"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, start_new_session=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )  # fmt: skip
        _GUARDIANS[:] = [process for process in _GUARDIANS if process.poll() is None] + [self._guardian]
        assert self._guardian.stdin is not None  # noqa: S101  both are pipes
        assert self._guardian.stdout is not None  # noqa: S101
        self._pipe: IO[bytes] = self._guardian.stdout
        with self._guardian.stdin as pipe:
            pipe.write(text.encode())
        self._waiting = threading.Lock()
        self._client: Client | None = None
        self._failed: MMLabError | None = None

    @property
    def pid(self) -> int:
        """Of the supervisor process."""
        return self._guardian.pid

    def client(self, patience_s: float = START_S) -> Client:
        """Wait until the engine stands.

        Raises
        ------
        MMLabError
            What the engine says went wrong.
        """
        with self._waiting:
            if self._failed is not None:
                raise self._failed
            if self._client is None:
                self._client = self._await(patience_s + self._warmup_s)
            return self._client

    def ended(self) -> bool:
        """Whether engine and supervisor are gone."""
        return self._guardian.poll() is not None

    def wait(self, timeout_s: float | None) -> bool:
        """Wait until they are gone; False if that takes longer."""
        try:
            self._guardian.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return False
        return True

    def _await(self, patience_s: float) -> Client:
        until, said = time.monotonic() + patience_s, b""
        while b"\n" not in said:
            ready, _, _ = select.select([self._pipe], [], [], max(0.0, until - time.monotonic()))
            if not ready:
                raise SessionError(f"{self.run_dir.name}: the engine is not up after {patience_s:g} s; it may still be")
            piece = os.read(self._pipe.fileno(), 1 << 16)
            if not piece:
                break
            said += piece
        self._pipe.close()
        unsaid = {"failed": "the engine died as it began", "kind": "SessionError"}
        values = json.loads(said.partition(b"\n")[0]) if said else unsaid
        if "failed" in values:
            self._failed = getattr(errors, values["kind"], SessionError)(values["failed"])
            raise self._failed
        return Client.of(self.run_dir)


def _feed_file(feed: Feed | None) -> tuple[Path | None, bool]:
    """A file that holds the feed, and whether it was made for this."""
    if feed is None:
        return None, False
    if feed.path is not None and feed.path.is_file():
        return feed.path, False
    descriptor, name = tempfile.mkstemp(".parquet", "feed-", runtime_folder())
    os.close(descriptor)
    path, kept = Path(name), feed.path
    feed.save(path)
    feed.path = kept
    return path, True
