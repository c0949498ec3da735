"""Events and commands as JSON lines. Pure: bytes in, bytes out.

The first line is ``{"settings": ..., "start_ns": ...}``, each further one ``{"event": ..., "commands": [...]}``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

import msgspec

from mmlab.errors import SessionError
from mmlab.orders.commands import AnyCommand
from mmlab.orders.events import AnyEvent
from mmlab.orders.settings import OrderSettings

T = TypeVar("T")


class Head(msgspec.Struct, frozen=True):
    """How the manager was made."""

    settings: OrderSettings
    start_ns: int


class Entry(msgspec.Struct, frozen=True):
    """An event and what it led to."""

    event: AnyEvent
    commands: list[AnyCommand] = []


_encoder = msgspec.json.Encoder()
_head = msgspec.json.Decoder(Head)
_entry = msgspec.json.Decoder(Entry)


def head_line(settings: OrderSettings, start_ns: int) -> bytes:
    """First line of a journal."""
    return _encoder.encode(Head(settings, start_ns)) + b"\n"


def entry_line(event: AnyEvent, commands: list[AnyCommand]) -> bytes:
    """One further line."""
    return _encoder.encode(Entry(event, commands)) + b"\n"


def read(lines: Iterable[bytes]) -> tuple[Head, Iterator[Entry]]:
    """Parse a journal.

    Raises
    ------
    SessionError
        A line is not what it should be; says which.
    """
    numbered = enumerate(lines, 1)
    first = next(numbered, None)
    if first is None:
        raise SessionError("journal line 1: the journal is empty")
    return _parse(_head, *first), (_parse(_entry, number, line) for number, line in numbered)


def _parse(decoder: msgspec.json.Decoder[T], number: int, line: bytes) -> T:
    try:
        return decoder.decode(line)
    except msgspec.MsgspecError as error:
        raise SessionError(f"journal line {number}: {error}") from error
