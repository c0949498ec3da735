"""What is known of a run besides its tables: the content of ``run.json``."""

from __future__ import annotations

import math
import platform
import re
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

SCHEMA_VERSION = 1
RUNNING, CRASHED = "running", "crashed"
"""What `RunInfo.ended` says of a run that has not come to its end."""
_PACKAGES = ("mmlab", "numba", "numpy", "pandas", "pyarrow")


def utc_now() -> str:
    """Wall-clock time as ISO text, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that results may depend on."""
    return dict(_versions())


@cache
def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


@dataclass
class RunInfo:
    """Facts about a run; every value is plain JSON (NaN is written as null)."""

    name: str = "run"
    """Short name, part of the folder's name."""
    mode: str = "replay"
    """``replay``, ``paper`` or ``live``."""
    venue: str = "simulator"
    """Where orders went."""
    seed: int = 0
    """Of everything drawn."""
    queue: str = "risk_averse"
    """Queue model."""
    partial_fills: bool = True
    """Whether orders fill in parts."""
    latency: dict[str, Any] = field(default_factory=dict)
    """``source`` (text), ``entry_p50_ms, entry_p99_ms, response_p50_ms, response_p99_ms``, and what rebuilds it."""
    warmup: dict[str, Any] = field(default_factory=dict)
    """What the warm-up measured (fields of `mmlab.resolve.WarmUp`)."""
    params: dict[str, Any] = field(default_factory=dict)
    """The resolved `PARAMS` row as nested values (`telemetry.tables.record_to_dict`)."""
    setting: dict[str, Any] = field(default_factory=dict)
    """How the market was simulated, enough to run it again."""
    notes: list[str] = field(default_factory=list)
    """What a user should know, sentences."""
    counters: dict[str, int] = field(default_factory=dict)
    """Whatever the driver counted."""
    ended: str = "end of feed"
    """How the run ended."""
    configurations_tried: int = 1
    """How many configurations were run on this feed before this one was chosen, itself included."""
    feed: dict[str, Any] = field(default_factory=dict)
    """Facts about the feed (`mmlab.lab.feed_facts`); filled in by `Run`."""
    market: dict[str, Any] = field(default_factory=dict)
    """Of a paper run: ``source`` and ``synthetic`` of the feed that its venue replayed."""
    started: str = field(default_factory=utc_now)
    """Wall-clock start, UTC."""
    finished: str = field(default_factory=utc_now)
    """Wall-clock end, UTC."""
    versions: dict[str, str] = field(default_factory=versions)

    def to_json(self) -> dict[str, Any]:
        """Plain values, NaN as null."""
        return clean(asdict(self))

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> RunInfo:
        """Back from `to_json`; keys it does not know are left out."""
        known = {f.name for f in fields(cls)}
        return cls(**{name: value for name, value in values.items() if name in known})


def folder_name(info: RunInfo) -> str:
    """``<UTC start>-<name>``, safe as a folder's name."""
    start = datetime.fromisoformat(info.started)
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", info.name).strip("-.") or "run"
    return f"{start:%Y%m%dT%H%M%SZ}-{name}"


def clean(value: Any) -> Any:
    """The value as strict JSON: NaN and infinities become null, containers are copied."""
    if isinstance(value, dict):
        return {str(name): clean(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [clean(item) for item in value]
    if isinstance(value, np.generic):
        return clean(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
