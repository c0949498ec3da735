"""Signs of life of a session's owner: a thread that tells the engine that this process is there."""

from __future__ import annotations

import threading
from contextlib import suppress

from mmlab.errors import SessionError
from mmlab.lab.client import Client

EVERY_S = 0.25
"""Well below the least grace of half a second."""


class Heartbeat(threading.Thread):
    """Beats until the engine has ended, `stop`, or the end of this process.

    Parameters
    ----------
    client : Client
        The engine.
    """

    def __init__(self, client: Client) -> None:
        super().__init__(name="mmlab-heartbeat", daemon=True)
        self._client, self._over = client, threading.Event()

    def stop(self) -> None:
        """Beat no more."""
        self._over.set()

    def run(self) -> None:
        """Beat."""
        missed = 0
        while missed < 20 and not self._over.wait(EVERY_S):  # an engine that is busy is asked again
            missed += 1
            with suppress(SessionError):
                self._client.heartbeat()
                missed = 0
