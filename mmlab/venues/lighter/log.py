"""Where the adapter's words go: a structured log, or nowhere."""

from __future__ import annotations

from typing import Any, Protocol


class Log(Protocol):
    """A structured log: an event's name, and fields."""

    def info(self, event: str, **fields: Any) -> object:
        """Something happened."""


class Quiet:
    """Says nothing."""

    def info(self, event: str, **fields: Any) -> None:
        """Nothing."""
