"""A session's log for people, on stderr, written by a thread of its own: a terminal that hangs holds up nothing."""

from __future__ import annotations

import sys
import threading
from collections import deque
from typing import Any, TextIO

import structlog

LEVELS = ("info", "warning", "error")
MOST = 1000
"""Lines that wait; then the oldest are left out."""


class Console(threading.Thread):
    """Writes events as readable lines.

    Parameters
    ----------
    level : str
        Least level that is shown.
    stream : file
        Where to; default: stderr.
    """

    def __init__(self, level: str, stream: TextIO | None = None) -> None:
        super().__init__(name="mmlab-console", daemon=True)
        self._stream = sys.stderr if stream is None else stream
        self._levels = LEVELS[LEVELS.index(level) :]
        self._render = structlog.dev.ConsoleRenderer(colors=self._stream.isatty(), pad_event_to=0)
        self._events: deque[dict[str, Any]] = deque(maxlen=MOST)
        self._wake, self._ending = threading.Event(), False

    def show(self, event: dict[str, Any]) -> None:
        """Show an event soon; from any thread."""
        if event["level"] in self._levels:
            self._events.append(event)
            self._wake.set()

    def close(self, timeout_s: float = 1.0) -> None:
        """Write what waits, if that does not take long."""
        self._ending = True
        self._wake.set()
        self.join(timeout_s)

    def run(self) -> None:
        """Write until closed."""
        while not self._ending or self._events:
            self._wake.wait()
            self._wake.clear()
            while self._events:
                self._write(self._events.popleft())

    def _write(self, event: dict[str, Any]) -> None:
        rest = {name: value for name, value in event.items() if name not in ("time", "run", "decision")}
        line = self._render(None, "", {**rest, "timestamp": str(event.get("time", ""))[11:23]})
        try:
            self._stream.write(f"{line}\n")
            self._stream.flush()
        except (OSError, ValueError):
            self._events.clear()  # it is gone
