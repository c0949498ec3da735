"""Signs of life of a session's owner: a thread that tells the engine that this process is there."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress

from mmlab.errors import MMLabError, SessionError
from mmlab.lab.client import Client

EVERY_S = 0.25
"""Well below the least grace of half a second."""


class Heartbeat(threading.Thread):
    """Beats until the engine has ended, `stop`, or the end of this process.

    Parameters
    ----------
    client : callable
        Gives the engine's `Client`, once it stands.
    """

    def __init__(self, client: Callable[[], Client]) -> None:
        super().__init__(name="mmlab-heartbeat", daemon=True)
        self._client, self._over = client, threading.Event()

    def stop(self) -> None:
        """Beat no more."""
        self._over.set()

    def run(self) -> None:
        """Beat."""
        try:
            client = self._client()
        except MMLabError:
            return  # it never stood, which whoever asks next is told
        missed = 0
        while missed < 20 and not self._over.wait(EVERY_S):  # an engine that is busy is asked again
            missed += 1
            with suppress(SessionError):
                client.heartbeat()
                missed = 0
