"""What an engine is made of besides its venue."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np

from mmlab.config import Config
from mmlab.engine.decider import QuoterAddress, Record
from mmlab.engine.participation import ParticipationRules
from mmlab.events import NS_PER_S
from mmlab.instrument import Instrument
from mmlab.params import QUOTER
from mmlab.resolve import WarmUp, resolve


class Log(Protocol):
    """A structured log: an event's name, and fields."""

    def info(self, event: str, **fields: Any) -> object:
        """Something happened."""

    def warning(self, event: str, **fields: Any) -> object:
        """Something somebody should know."""

    def error(self, event: str, **fields: Any) -> object:
        """Something is broken."""


@dataclass(frozen=True)
class Setup:
    """Config, market and what the warm-up measured; where rows and words go.

    ``change(ts_ns, source, old, new, version)`` is told of every change of parameters.
    """

    config: Config
    instrument: Instrument
    warmup: WarmUp
    record: Record
    log: Log
    change: Callable[[int, str, dict[str, Any], dict[str, Any], int], object] = lambda *_: None
    seed: int = 0
    quoter: QuoterAddress | None = None
    user: dict[str, float] = field(default_factory=dict)
    """Numbers of the quoter."""

    def params(self) -> np.ndarray[Any, Any]:
        """The resolved `PARAMS` row.

        Raises
        ------
        ConfigError
            The config contradicts itself or the market.
        """
        return params_of(self.config, self.instrument, self.warmup, None if self.quoter is None else self.user)

    def with_config(self, config: Config) -> Setup:
        """The same with another config."""
        return replace(self, config=config)

    @property
    def mid_ticks(self) -> int:
        """A price of the market."""
        return self.instrument.to_ticks(self.warmup.mid)

    def participation(self) -> ParticipationRules:
        """Rules of the engine's own switches."""
        kill = self.config.kill
        return ParticipationRules(
            fresh_ns=round(kill.fresh_s * NS_PER_S),
            memory_ns=round(kill.memory_s * NS_PER_S),
            halt_ns=round(kill.losing.halt_s * NS_PER_S),
            max_rearms=kill.losing.max_rearms,
            reduce=self.config.risk.on_halt == "reduce",
        )


def params_of(
    config: Config, instrument: Instrument, warmup: WarmUp, user: dict[str, float] | None
) -> np.ndarray[Any, Any]:
    """The resolved `PARAMS` row; with `user`, the numbers of a user's quoting function, for that function."""
    params, _ = resolve(config, instrument, warmup)
    if user is not None:
        params["quoting"]["model"] = QUOTER
        params["watch_sigma"] = params["watch_sizes"] = 1
        params["user"][0, : len(user)] = list(user.values())
    return params
