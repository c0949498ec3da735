"""The error tree.

    MMLabError
    ├── ConfigError     a parameter is wrong (lists every wrong field, its value and its allowed range)
    ├── FeedError       market data is wrong (names file, line and reason)
    ├── VenueError      the venue broke its own rules, or refuses service
    ├── SigningError    a payload could not be signed
    ├── SessionError    a session cannot do what was asked in the state it is in
    └── SafetyError     refused because it would be unsafe

A message says what was wrong, where, and what to do. What a venue does in the ordinary course (a refusal, a lost
socket) is an event, not an exception.
"""

from __future__ import annotations


class MMLabError(Exception):
    """Root of every error raised by mmlab."""


class ConfigError(MMLabError):
    """A configuration value, or a combination of values, is not allowed."""


class FeedError(MMLabError):
    """Market data cannot be read, or contradicts itself."""

    def __init__(self, reason: str, *, path: object = None, line: int | None = None) -> None:
        place = "" if path is None else f"{path}" + ("" if line is None else f":{line}") + ": "
        super().__init__(place + reason)
        self.reason, self.path, self.line = reason, path, line


class VenueError(MMLabError):
    """The venue broke its own protocol, or cannot be used."""


class SigningError(MMLabError):
    """A payload could not be signed."""


class SessionError(MMLabError):
    """A session was asked for something it cannot do in its present state."""


class SafetyError(MMLabError):
    """Refused because it would be unsafe."""
