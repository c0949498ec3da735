"""`Store`: one run as its directory and its engine tell it. Data only: no Panel, no thread of its own.

    run directory --step()--> tables that grow --+
    engine        --step()--> state, parameters --+--> views read

Whoever owns a store calls `step` some times a second, from one thread (`mmlab.views.hub`); any thread reads. Nothing
here raises for what a run directory or an engine does: what is wrong is said in `trouble`.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from mmlab.config import Config
from mmlab.errors import ConfigError, MMLabError, SessionError
from mmlab.telemetry.finish import has_writer
from mmlab.telemetry.info import CRASHED, RUNNING
from mmlab.views.tails import Columns, CsvTail, Tail, exists
from mmlab.views.triggers import Triggers

Array = np.ndarray[Any, Any]

METRICS = (
    "mid", "position", "q_ratio", "level", "net_pnl", "fees", "volume", "sigma", "flip_rate", "flip_rate_10s",
    "markout_bid_bps", "markout_ask_bps", "n_bid", "n_ask", "fill_rate_bid", "fill_rate_ask", "fill_rate_p95_bid",
    "fill_rate_p95_ask", "inventory_age_s", "lot_age_s", "market_volume", "messages", "quoting_bid", "quoting_ask",
    "bid_reasons", "ask_reasons",
)  # fmt: skip
FILLS = ("price", "size", "fee", "mid", "inventory_after")
LOG_LINES = 300
RETRY_S = 1.0
"""Between attempts to reach an engine that does not answer, and looks at what changes rarely."""
LOST_S = 3.0
"""An engine that has been silent this long is said to be."""


class Engine(Protocol):
    """What a store and its views use of `mmlab.lab.client.Client`."""

    run_dir: Path

    def state(self) -> dict[str, Any]:
        """What the session does now."""

    def params(self) -> dict[str, Any]:
        """Version, config and history of the parameters."""

    def update(self, changes: dict[str, Any], *, base_version: int | None = None, source: str = "api") -> int:
        """Change parameters; returns the version."""

    def kill(self, reason: str = "operator") -> None:
        """Cancel all and halt."""

    def rearm(self) -> None:
        """Quote again."""


Connect = Callable[[Path], Engine]


def engine_of(run_dir: Path) -> Engine:
    """The engine that runs in a run directory.

    Raises
    ------
    SessionError
        None answers.
    """
    from mmlab.lab.client import Client

    return Client.of(run_dir)


class Store:
    """One run directory, and its engine while there is one.

    Parameters
    ----------
    run_dir : Path
    connect : callable, optional
        Gives the engine of a run directory, or raises `SessionError`.

    Attributes
    ----------
    record : dict
        ``run.json``; empty while it cannot be read.
    metrics, fills : Columns
        ``t`` (ms, session time, UTC) and what `METRICS` and `FILLS` name; of fills also ``side`` (+1 bid), ``taker``.
    triggers : Triggers
    changes, log : deque of dict
        Lines of ``changes.jsonl`` and ``log.jsonl``.
    state : dict
        The engine's last answer; empty if there was none.
    params : dict
        ``version, config, history`` of the parameters in force.
    trouble : str
        What is wrong with the directory, in words; empty if nothing is.
    silence : str
        Why no engine answers; empty while one does.
    """

    def __init__(self, run_dir: str | Path, connect: Connect = engine_of) -> None:
        self.run_dir, self._connect = Path(run_dir), connect
        self._engine: Engine | None = None
        self._looked = self._tried = self._heard = self._grew = -np.inf
        self._stamp: tuple[int, int] | None = None
        self.silence, self.has_writer = "no engine was asked yet", False
        self._anew()

    def _anew(self) -> None:
        self.record: dict[str, Any] = {}
        self.metrics, self.fills = Columns(("t", *METRICS)), Columns(("t", "side", "taker", *FILLS))
        self.triggers = Triggers()
        self.changes: deque[dict[str, Any]] = deque(maxlen=1000)
        self.log: deque[dict[str, Any]] = deque(maxlen=LOG_LINES)
        self.lines = {"changes": 0, "log": 0}
        self.state: dict[str, Any] = {}
        self.params: dict[str, Any] = {}
        self.trouble = ""
        floats, text = dict.fromkeys, pa.string()
        self._tails = {
            "metrics": CsvTail(self.run_dir / "metrics.csv", {"local_ns": pa.int64()} | floats(METRICS, pa.float64())),
            "fills": CsvTail(
                self.run_dir / "fills.csv",
                {"local_ns": pa.int64(), "side": text, "liquidity": text} | floats(FILLS, pa.float64()),
            ),
        }
        self._lines = {name: Tail(self.run_dir / f"{name}.jsonl") for name in ("gates", "changes", "log")}

    # --- what views ask ----------------------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """Name of the run directory."""
        return self.run_dir.name

    @property
    def ended(self) -> str:
        """How the run ended: "running" while its writer lives, "crashed" where it died."""
        ended = str(self.record.get("ended", ""))
        return CRASHED if ended == RUNNING and not self.has_writer else ended

    @property
    def going(self) -> bool:
        """Whether somebody writes to the directory."""
        return self.ended == RUNNING

    @property
    def live(self) -> bool:
        """Whether an engine answers."""
        return self.going and not self.silence and bool(self.state)

    @property
    def age_s(self) -> float:
        """Seconds since the newest data came, from engine or files; NaN before any and for a run that has ended."""
        newest = max(self._heard, self._grew)
        return monotonic() - newest if self.going and newest > -np.inf else np.nan

    @property
    def inverse(self) -> bool:
        """Whether the contract is inverse."""
        return self.record.get("instrument", {}).get("contract") == "inverse"

    def engine(self) -> Engine:
        """The engine, to steer it.

        Raises
        ------
        SessionError
            None answers.
        """
        engine = self._engine
        if engine is None:
            if self.record and not self.going:
                raise SessionError(f"{self.name}: the run is over ({self.ended}), there is nothing to steer")
            engine = self._engine = self._connect(self.run_dir)
        return engine

    # --- taking in ---------------------------------------------------------------------------------------------------

    def step(self) -> None:
        """Take in what is new, from the files and the engine."""
        now = monotonic()
        try:
            self._look(now)
            if self._read():
                self._grew = now
        except (OSError, ValueError, KeyError, TypeError) as error:
            self.trouble = f"{self.run_dir}: cannot be read on: {error}; a file is damaged"
        self._ask(now)

    def _look(self, now: float) -> None:
        """``run.json`` and the writer's lock, once a second."""
        if now - self._looked < RETRY_S:
            return
        self._looked = now
        if not exists(self.run_dir):
            self.trouble, self.has_writer = f"{self.run_dir}: the directory has vanished, or may not be read", False
            return
        try:
            found = (self.run_dir / "run.json").stat()
        except FileNotFoundError:
            self.trouble = f"{self.run_dir}: no run.json in it, so it is no run directory, or one that was cut short"
            return
        if self.trouble and self._stamp is not None and "vanished" in self.trouble:
            self._anew()
        stamp = (found.st_ino, found.st_mtime_ns)
        if stamp != self._stamp:
            try:
                record = json.loads((self.run_dir / "run.json").read_text(encoding="utf-8"))
                record["instrument"]["tick_size"], record["ended"]
            except (ValueError, KeyError, TypeError) as error:
                self.trouble = f"{self.run_dir / 'run.json'}: cannot be read ({error}): cut short or damaged"
                return
            self.record, self._stamp, self.trouble = record, stamp, ""
        self.has_writer = self.record.get("ended") == RUNNING and has_writer(self.run_dir)
        if not self.params:
            self._params_of_files()

    def _read(self) -> bool:
        """New rows of the tables; whether there were any."""
        grew = False
        for name, take in (("metrics", self._take_metrics), ("fills", self._take_fills)):
            rows = self._tails[name].read()
            if rows is None:
                self._anew()
                return True
            if rows:
                take(rows)
                grew = True
        for name, tail in self._lines.items():
            lines = tail.read()
            if lines is None:
                self._anew()
                return True
            if lines:
                self._take_lines(name, lines)
                grew = True
        return grew

    def _take_metrics(self, rows: dict[str, Array]) -> None:
        self.metrics.add({**rows, "t": rows["local_ns"] / 1e6})

    def _take_fills(self, rows: dict[str, Array]) -> None:
        side = np.where(rows["side"] == "bid", 1.0, -1.0)
        self.fills.add(
            {**rows, "t": rows["local_ns"] / 1e6, "side": side, "taker": (rows["liquidity"] == "taker").astype(float)}
        )  # fmt: skip

    def _take_lines(self, name: str, lines: bytes) -> None:
        if name == "gates":
            self.triggers.add(lines)
            return
        parsed = [json.loads(line) for line in lines.splitlines()]
        (self.changes if name == "changes" else self.log).extend(parsed)
        self.lines[name] += len(parsed)
        if name == "changes" and not self.live:
            self.params = {}
            self._params_of_files()

    def _params_of_files(self) -> None:
        """Parameters in force as the files tell them: the config at the start, and every change since."""
        changes = list(self.changes)
        try:
            config = Config.load(self.run_dir / "config.toml")
            for change in changes:
                config = config.with_(**change["new"])
        except (ConfigError, KeyError, TypeError):
            return  # written by another mmlab: nothing can be tuned, everything else is shown
        version = int(changes[-1]["version"]) if changes else 0
        self.params = {"version": version, "config": config.model_dump(mode="json"), "history": changes}

    def _ask(self, now: float) -> None:
        """State of the engine; its parameters when their version is new."""
        if not self.going:
            self._engine, self.silence = None, f"the run is over: {self.ended}" if self.record else "no run"
            return
        if self._engine is None and now - self._tried < RETRY_S:
            return
        self._tried = now
        try:
            engine = self._engine or self._connect(self.run_dir)
            state = engine.state()
            if state.get("parameter_version") != self.params.get("version") or not self.state:
                self.params = engine.params()
        except MMLabError as error:
            self._engine, self.silence = None, str(error)
            return
        self._engine, self.silence, self.state, self._heard = engine, "", state, monotonic()
