"""A structlog logger that makes one line of JSON of each event and hands it on, without a clock of its own."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from time import monotonic_ns
from typing import Any

import numpy as np
import structlog

from mmlab.telemetry.files import iso
from mmlab.telemetry.info import clean
from mmlab.telemetry.log_events import EVENTS
from mmlab.telemetry.repeats import Repeats

Event = MutableMapping[str, Any]


class _Lines:
    """Where a logger's lines go; every level's method is the same."""

    def __init__(self, put: Callable[[bytes], object]) -> None:
        self._put = put

    def msg(self, line: str) -> None:
        self._put(line.encode() + b"\n")

    log = debug = info = warn = warning = error = critical = failure = fatal = exception = msg


def line_logger(
    put: Callable[[bytes], object],
    *,
    repeats: Repeats | None = None,
    context: Callable[[], dict[str, Any]] = dict,
    tee: Callable[[dict[str, Any]], object] | None = None,
    **bound: Any,
) -> structlog.typing.FilteringBoundLogger:
    """Logger whose events become lines of JSON, given to `put` with their newline.

    ``log.info("event", ts_ns=..., key=value)``: ``ts_ns`` becomes ``time`` (ISO text, UTC). Values that JSON does not
    know are written as their `repr`.

    Parameters
    ----------
    put : callable
        Takes each line.
    repeats : Repeats, optional
        Holds repeats back.
    context : callable
        Fields of every line, asked for at each.
    tee : callable, optional
        Takes each event as a dict too.
    **bound
        Fields of every line.
    """
    held = Repeats() if repeats is None else repeats

    def hold_back(_: Any, __: str, event: Event) -> Event:
        name = str(event.get("event"))
        about = EVENTS.get(name)
        kind = (name, *(str(event.get(field)) for field in (about.apart if about else ())))
        before = held.passes(kind, str(event["level"]), int(event.get("ts_ns") or monotonic_ns()))
        if before is None:
            raise structlog.DropEvent
        event.update(context())
        if before:
            event["held_back"] = before
        return event

    def show(_: Any, __: str, event: Event) -> Event:
        if tee is not None:
            tee(dict(event))
        return event

    logger: structlog.typing.FilteringBoundLogger = structlog.wrap_logger(
        _Lines(put),
        processors=[
            structlog.processors.add_log_level,
            hold_back,
            _time,
            structlog.processors.format_exc_info,
            _plain,
            show,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(0),
        context_class=dict,
    )
    return logger.bind(**bound)


def _time(_: Any, __: str, event: Event) -> Event:
    ts_ns = event.pop("ts_ns", None)
    if ts_ns is not None:
        event["time"] = str(iso(np.array(ts_ns)))
    return event


def _plain(_: Any, __: str, event: Event) -> Event:
    return clean(event)
