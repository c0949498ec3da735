"""What a session is to do, as plain values that cross to the engine's process."""

from __future__ import annotations

import importlib
import json
import math
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmlab.config import Config
from mmlab.errors import ConfigError
from mmlab.feeds.feed import Feed
from mmlab.feeds.store import load_feed
from mmlab.lab.access import Live
from mmlab.lab.backtesting import Queue, Setting
from mmlab.lab.quoters import Quoter
from mmlab.simulator import Latency
from mmlab.venues.paper import FaultPlan


@dataclass(frozen=True)
class Plan:
    """Arguments of `mmlab.Session`, checked. With `live`, the feed is no more than a warm-up, and may be missing."""

    feed: Feed | None
    config: Config
    speed: float
    name: str
    loop: bool
    faults: FaultPlan
    seed: int
    strategy: Quoter | None
    queue: Queue
    live: Live | None = None

    def __post_init__(self) -> None:
        if not self.speed > 0:
            raise ConfigError(f"speed = {self.speed!r}: must be > 0; math.inf is as fast as possible")
        if self.loop and self.speed == math.inf:
            raise ConfigError("loop = True needs a finite speed: as fast as possible it would never end")
        if self.live is not None and (self.speed != 1 or self.loop or self.faults != FaultPlan()):
            raise ConfigError("speed, loop and faults are the paper venue's: a live market has its own")

    @property
    def setting(self) -> Setting:
        """A replay's setting that comes closest; a replay has no faults."""
        latency = Latency(entry_ms=self.faults.entry_ms, response_ms=self.faults.response_ms)
        return Setting(latency=latency, queue=self.queue, seed=self.seed, strategy=self.strategy)

    def to_json(self, feed_file: Path | None, **more: Any) -> str:
        """As text; the feed goes by file. It may hold a paper server's keys: for a pipe, not for a file.

        Raises
        ------
        ConfigError
            The quoting function cannot be imported by another process.
        """
        return json.dumps({
            "feed": None if feed_file is None else str(feed_file), "config": self.config.to_toml(),
            "speed": self.speed, "name": self.name,
            "loop": self.loop, "faults": self.faults.model_dump(mode="json", exclude_defaults=True),
            "seed": self.seed, "strategy": None if self.strategy is None else place_of(self.strategy),
            "queue": self.queue, "live": None if self.live is None else self.live.to_json(), "path": sys.path, **more,
        })  # fmt: skip

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Plan:
        """Back from `to_json`."""
        strategy = values["strategy"]
        return cls(
            None if values["feed"] is None else load_feed(values["feed"]),
            Config(**tomllib.loads(values["config"])), values["speed"], values["name"], values["loop"],
            FaultPlan(**values["faults"]), values["seed"],
            None if strategy is None else quoter_at(strategy), values["queue"],
            None if values["live"] is None else Live(**values["live"]),
        )  # fmt: skip


def place_of(strategy: Quoter) -> dict[str, Any]:
    """Where another process imports a quoting function from."""
    function = strategy.function
    module, name = function.__module__, function.__qualname__
    if module == "__main__" or "<locals>" in name:
        raise ConfigError(
            f"quoter {name}: the engine's process cannot import it from a notebook or a function: put it into a module"
            " file beside the notebook and import it from there, or drive the session here with run()"
        )
    return {"module": module, "name": name, "numbers": strategy.numbers}


def quoter_at(place: dict[str, Any]) -> Quoter:
    """The quoting function at a place."""
    found = getattr(importlib.import_module(place["module"]), place["name"])
    return Quoter(found.function if isinstance(found, Quoter) else found, place["numbers"])
