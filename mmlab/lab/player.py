"""`Player`: one parameter set played on a session's recorded events, as far as they are known."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

import numpy as np

from mmlab.config import Config
from mmlab.engine.setup import params_of
from mmlab.events import NS_PER_S
from mmlab.lab.recording import Recording
from mmlab.simulator import Tape
from mmlab.simulator.playback import Playback
from mmlab.simulator.replay import Replay

Array = np.ndarray[Any, Any]


def resolved(recording: Recording, config: Config) -> Array:
    """The `PARAMS` row of a config in the session's market; raises `ConfigError` where it contradicts that."""
    strategy = recording.setting.strategy
    user = None if strategy is None else strategy.numbers
    return params_of(config, recording.instrument, recording.warmup, user)


def key_of(recording: Recording) -> tuple[int, int, int]:
    """What a replay depends on besides new rows."""
    return recording.anchors, recording.late, recording.version


class Player:
    """One parameter set played on a recording.

    Parameters
    ----------
    recording : Recording
    config : Config
    params : ndarray of PARAMS, shape (1,)
        The config, resolved.
    start_ns : int
        When quotes begin; the tape's rows before it are the run-in.

    Attributes
    ----------
    config, params
        As given.
    adopted : bool
        Whether it began with the session's position; False: the book was unusable.
    began_ns, start_ns : int
        Start of the run-in and of the quotes.
    """

    def __init__(self, recording: Recording, config: Config, params: Array, start_ns: int) -> None:
        assert recording.tape is not None  # noqa: S101  asked before
        self.config, self.params, self._recording = config, params.copy(), recording
        self.start_ns, self._key = start_ns, key_of(recording)
        self.params["quoting"]["start_ns"] = self.start_ns
        setting = recording.setting
        options = asdict(setting) | {"latency": setting.latency, "strategy": None}
        quoter = options.pop("strategy")
        if setting.strategy is not None:
            quoter = setting.strategy.compiled
        tape = recording.tape.tape()
        self._playback = Playback(tape, recording.instrument, self.params, quoter=quoter, **options)
        self.began_ns = int(tape.events["local_ns"][0])
        self._playback.advance(tape, self.start_ns - 1)
        self.adopted = self._adopt()

    def _adopt(self) -> bool:
        row = self._recording.second(self.start_ns)
        lots = int(row["position_lots"].sum())
        if not lots:
            return True
        age_s = float(row["inventory_age_s"][0])
        since_ns = self.start_ns - round((0.0 if math.isnan(age_s) else age_s) * NS_PER_S)
        return self._playback.adopt(lots, since_ns)

    def fits(self, recording: Recording) -> bool:
        """Whether it can go on as the replay with the parameters in force from the window's start."""
        return self._key == key_of(recording) and self.start_ns == recording.start_ns

    def advance(self, tape: Tape) -> None:
        """Go on to the recording's end."""
        self._playback.advance(tape, self._recording.end_ns)
        self._recording.replayed(self._recording.end_ns)

    def move(self, old: Tape, new: Tape, first: int, opening: int) -> None:
        """Go on upon a tape that begins later (`Playback.move`)."""
        self._playback.move(old, new, first, opening)

    def result(self) -> Replay:
        """What has happened so far."""
        return self._playback.result()

    def forget(self) -> None:
        """Drop what only a table of orders or decisions needs."""
        self._playback.forget()
