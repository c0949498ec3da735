"""A paper server in a process of its own, for a notebook: ``mmlab.PaperServer``."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Self

from mmlab.errors import SessionError
from mmlab.feeds.feed import Feed
from mmlab.lab.demo import sample_feed
from mmlab.lab.live import ready_line

START_S, END_S = 120.0, 10.0
COMMAND = (sys.executable, "-c", "import sys; from mmlab.cli import main; sys.exit(main())", "paper-server")


class PaperServer:
    """An exchange of your own on Lighter's wire (``mmlab paper-server``), with throwaway keys.

    Parameters
    ----------
    feed : Feed or path, optional
        The market it shows; default: the synthetic sample.
    speed : float
        Times as fast as recorded.
    port : int
        0: any free one.
    **options
        Further options of the command, by name: ``loop=True, latency_ms=200, tier="premium", state="state.json"``.

    Attributes
    ----------
    ready : dict
        What it said when it was ready: ``url, ws, chain_id, accounts``. The keys in it open nothing but this server.

    Examples
    --------
    >>> with mmlab.PaperServer(speed=10, loop=True) as server:
    ...     session = mmlab.Session(config, venue="lighter", paper=server.ready).start()

    Raises
    ------
    SessionError
        It did not start.
    """

    def __init__(
        self, feed: Feed | str | Path | None = None, *, speed: float = 1.0, port: int = 0, **options: Any
    ) -> None:
        if feed is None or isinstance(feed, Feed):
            held = sample_feed() if feed is None else feed
            if held.path is None or not held.path.is_file():
                raise SessionError("the server reads its market from a file: save() the feed first, or give its path")
            feed = held.path
        words = ["--feed", str(feed), "--speed", str(speed), "--port", str(port)]
        for name, value in options.items():
            if value is not False and value is not None:
                words += [f"--{name.replace('_', '-')}", *([] if value is True else [str(value)])]
        self._words = tempfile.TemporaryFile()  # noqa: SIM115  its last words, should it not start
        self._process = subprocess.Popen(  # noqa: S603  our own program
            [*COMMAND, *words], stdout=subprocess.PIPE, stderr=self._words, start_new_session=True
        )
        self.ready: dict[str, Any] = ready_line(json.loads(self._first_line()))

    @property
    def pid(self) -> int:
        """Of its process."""
        return self._process.pid

    @property
    def url(self) -> str:
        """Where it answers."""
        return str(self.ready["url"])

    def stop(self) -> None:
        """End it, and wait until it is gone."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(END_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        assert self._process.stdout is not None  # noqa: S101  it is a pipe
        self._process.stdout.close()
        self._words.close()

    def _first_line(self) -> bytes:
        pipe, said, until = self._process.stdout, b"", time.monotonic() + START_S
        assert pipe is not None  # noqa: S101  it is a pipe
        while not said.endswith(b"\n"):
            if not select.select([pipe], [], [], max(0.0, until - time.monotonic()))[0]:
                self.stop()
                raise SessionError(f"the paper server was not ready within {START_S:g} s")
            piece = os.read(pipe.fileno(), 1 << 16)
            if not piece:
                self._process.wait()
                self._words.seek(0)
                words = self._words.read().decode(errors="replace").strip()
                self.stop()
                raise SessionError(f"the paper server did not start: {words}")
            said += piece
        return said

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def __repr__(self) -> str:
        state = "running" if self._process.poll() is None else "stopped"
        return f"PaperServer({self.url}, {len(self.ready['accounts'])} accounts, {state})"
