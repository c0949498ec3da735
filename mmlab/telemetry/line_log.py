"""A structlog logger that makes one line of JSON of each event and hands it on, without a clock of its own."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from typing import Any

import numpy as np
import structlog

from mmlab.telemetry.files import iso
from mmlab.telemetry.info import clean


class _Lines:
    """Where a logger's lines go; every level's method is the same."""

    def __init__(self, put: Callable[[bytes], object]) -> None:
        self._put = put

    def msg(self, line: str) -> None:
        self._put(line.encode() + b"\n")

    log = debug = info = warn = warning = error = critical = failure = fatal = exception = msg


def line_logger(put: Callable[[bytes], object], **bound: Any) -> structlog.typing.FilteringBoundLogger:
    """Logger whose events become lines of JSON, given to `put` with their newline.

    ``log.info("event", ts_ns=..., key=value)``: ``ts_ns`` becomes ``time`` (ISO text, UTC). Values that JSON does not
    know are written as their `repr`.
    """
    logger: structlog.typing.FilteringBoundLogger = structlog.wrap_logger(
        _Lines(put),
        processors=[
            structlog.processors.add_log_level,
            _time,
            structlog.processors.format_exc_info,
            _plain,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(0),
        context_class=dict,
    )
    return logger.bind(**bound)


def _time(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    ts_ns = event.pop("ts_ns", None)
    if ts_ns is not None:
        event["time"] = str(iso(np.array(ts_ns)))
    return event


def _plain(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    return clean(event)
