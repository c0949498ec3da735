"""The thread that writes a run's files while the engine trades."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from time import monotonic

from mmlab.telemetry.sinks import Sink

PROMPT_S = 0.05
"""Least time between two appends that do not wait for the next flush."""


class Writer(threading.Thread):
    """Flushes sinks every `flush_s`, prompt ones soon after `hurry`.

    Parameters
    ----------
    sinks : mapping
        By name of the table.
    prompt : sequence of str
        Those that do not wait for the next flush.
    flush_s : float
        Seconds between flushes.
    warn : callable
        Takes kind and text of a trouble.

    Attributes
    ----------
    disk_errors : int
        Appends that failed. Their rows wait for the next flush.
    flushed_s : float
        When all sinks had last been written, on the monotonic clock.
    """

    def __init__(
        self, sinks: Mapping[str, Sink], prompt: tuple[str, ...], flush_s: float, warn: Callable[[str, str], None]
    ) -> None:
        super().__init__(name="mmlab-telemetry", daemon=True)  # never what keeps a process alive
        self._sinks, self._prompt, self._flush_s, self._warn = sinks, prompt, flush_s, warn
        self._wake, self._ending = threading.Event(), threading.Event()
        self.disk_errors, self.flushed_s = 0, monotonic()

    def hurry(self) -> None:
        """Let prompt sinks be flushed soon."""
        if not self._wake.is_set():
            self._wake.set()

    def stop(self, timeout_s: float) -> bool:
        """Flush everything and end; False if the disk has not let it within `timeout_s`."""
        self._ending.set()
        self._wake.set()
        self.join(timeout_s)
        return not self.is_alive()

    def run(self) -> None:
        """Write until told to stop, and once more then."""
        due_s = monotonic() + self._flush_s
        while not self._ending.is_set():
            woken = self._wake.wait(max(0.0, due_s - monotonic()))
            if woken and monotonic() < due_s:
                self._wake.clear()
                self._flush(self._prompt)
                self._ending.wait(min(PROMPT_S, self._flush_s))
            else:
                self._flush(tuple(self._sinks))
                due_s = monotonic() + self._flush_s
        self._flush(tuple(self._sinks))

    def _flush(self, names: tuple[str, ...]) -> None:
        began_s, errors = monotonic(), self.disk_errors
        for name in names:
            sink = self._sinks[name]
            try:
                sink.flush()
            except OSError as error:
                self.disk_errors += 1
                text = (
                    f"{sink.file.path}: cannot be written ({error.strerror}); rows wait in memory while there is room"
                )
                self._warn(f"disk {error.errno}", text)
            except Exception as error:  # noqa: BLE001 - whatever a row holds, the session goes on
                sink.skip()
                self._warn(f"encode {name}", f"{sink.file.path}: rows left out that cannot be written: {error!r}")
        if len(names) == len(self._sinks) and self.disk_errors == errors:
            self.flushed_s = began_s
