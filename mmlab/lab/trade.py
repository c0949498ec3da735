"""One session in this process: engine, venue and run directory, on the running event loop."""

from __future__ import annotations

import asyncio
import math
import os
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from mmlab.engine.control import ConflictError
from mmlab.engine.decider import QuoterAddress, load_kernels
from mmlab.engine.engine import Engine
from mmlab.engine.facts import engine_facts
from mmlab.engine.overview import overview
from mmlab.engine.owner import OwnerWatch
from mmlab.engine.setup import Setup
from mmlab.engine.stopwatch import STAGES
from mmlab.errors import ConfigError, SessionError
from mmlab.events import NS_PER_S
from mmlab.lab.live import LiveMarket
from mmlab.lab.market import Market, PaperMarket
from mmlab.lab.metrics import process_facts, serving
from mmlab.lab.plan import Plan
from mmlab.lab.shadows import ShadowProcess
from mmlab.telemetry.files import iso
from mmlab.telemetry.info import RunInfo, clean, utc_now
from mmlab.telemetry.live import LiveRun
from mmlab.telemetry.prometheus import exposition
from mmlab.telemetry.tables import record_to_dict

Progress = Callable[[float | None], object]
STEP_S = 5.0
"""Session time between two calls of a progress callback."""


class Trade:
    """A session on its own loop; its methods are called there.

    Parameters
    ----------
    plan : Plan
        What to do.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.market = market_of(plan)
        self.engine: Engine | None = None
        self.loop: asyncio.AbstractEventLoop | None = None
        self.owner: OwnerWatch | None = None
        self.history: list[dict[str, Any]] = []
        self.started_s = time.time()
        self.run_dir: Path | None = None
        self.files: LiveRun | None = None
        self._duration_s: float | None = None
        self._shadows: ShadowProcess | None = None

    async def run(
        self, path: Path, info: RunInfo, duration_s: float | None, progress: Progress | None = None,
        begun: Callable[[Engine], object] | None = None,
    ) -> None:  # fmt: skip
        """Trade until the feed ends, `duration_s` of the session's time have passed, or `stop`.

        Parameters
        ----------
        path : Path
            Run directory to make.
        info : RunInfo
            From `open`.
        duration_s : float, optional
        progress : callable, optional
            Takes the share that is done.
        begun : callable, optional
            Called once, when the engine stands and before it trades.
        """
        plan, market, self.run_dir, self._duration_s = self.plan, self.market, path, duration_s
        instrument = market.instrument
        files = self.files = LiveRun(path, plan.config, info, instrument.to_dict(), patient=plan.speed == math.inf)
        try:
            load_kernels()  # which may compile, so before the session's time begins
            fit = await market.warm_up(files.log)
            setup = Setup(
                plan.config, instrument, fit, files.put, files.log, lambda *change: self._changed(files, *change),
                plan.seed, None if plan.strategy is None else QuoterAddress(plan.strategy.function),
                {} if plan.strategy is None else plan.strategy.numbers,
            )  # fmt: skip
            params = setup.params()
            info.warmup, info.params = asdict(fit), record_to_dict(params[0])
            venue = market.venue(params)
            self.loop, self.engine = asyncio.get_running_loop(), Engine(venue, setup)
            if progress is not None:
                self.engine.supervisor.start("progress", lambda: self._tell(progress), restart=False)
            market.beside(self.engine)
            if begun is not None:
                begun(self.engine)
            async with serving(self, path):
                info.ended = await self.engine.run(duration_s)
        except asyncio.CancelledError:
            info.ended = "interrupted" if self.engine is None else self.engine.ended
            raise
        except Exception as error:
            info.ended = f"failed: {error}"
            raise
        finally:
            if self._shadows is not None:
                self._shadows.stop()
            try:
                await market.close()
            finally:
                files.close(replace(info, finished=utc_now(), counters=self._counters()))

    async def open(self) -> RunInfo:
        """Connect to the market; what ``run.json`` says at the start.

        Raises
        ------
        MMLabError
            Why there is no market to trade.
        """
        await self.market.open()
        return self.market.info()

    async def _tell(self, progress: Progress) -> None:
        engine = self._running()
        while True:
            progress(self.market.done(engine, self._duration_s))
            await engine.clock.sleep_until(engine.now() + round(STEP_S * NS_PER_S))

    def _changed(
        self, files: LiveRun, ts_ns: int, source: str, old: dict[str, Any], new: dict[str, Any], version: int
    ) -> None:
        files.change(ts_ns, source, old, new, version)
        when = str(iso(np.array(ts_ns)))
        self.history.append({"time": when, "source": source, "version": version, "old": old, "new": new})

    def _counters(self) -> dict[str, int]:
        engine = self.engine
        if engine is None:
            return {}
        counts = {f"sent_{kind}": n for kind, n in engine.courier.sent.items()}
        counts |= {f"orders_{kind}": n for kind, n in engine.manager.state.counts.items()}
        counts |= {f"bad {kind}": n for kind, n in engine.inbound.counts.items()}
        uptime, sides = engine.uptime, ("bid", "ask")
        counts |= {f"quoting_{side}_ns": uptime.quoting_ns[i] for i, side in enumerate(sides)}
        counts |= {f"at_touch_{side}_ns": uptime.touch_ns[i] for i, side in enumerate(sides)}
        counts |= {"messages": engine.courier.messages, "decides": engine.decider.decides, "valid_ns": uptime.valid_ns}
        counts |= {"position_left_lots": engine.manager.position_lots, "tasks_died": engine.supervisor.deaths}
        return dict(counts)

    # --- Looking -----------------------------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """What the session does now (`mmlab.engine.overview`), and what it is."""
        engine, files = self._running(), self.files
        return {
            "run_dir": str(self.run_dir), "pid": os.getpid(), "name": self.plan.name, "mode": self.market.mode,
            "speed": self.plan.speed, "started_s": self.started_s,
            "done": self.market.done(engine, self._duration_s), **overview(engine),
            "owner": self._owner(), "files": None if files is None else clean(files.health()),
        }  # fmt: skip

    def _owner(self) -> dict[str, Any] | None:
        owner = self.owner
        return None if owner is None else {
            "last_seen_s": time.monotonic() - owner.seen_s, "on_owner_lost": owner.on_lost, "grace_s": owner.grace_s,
        }  # fmt: skip

    def params(self) -> dict[str, Any]:
        """Version, config in force, and every change so far."""
        engine = self._running()
        config = engine.setup.config.model_dump(mode="json")
        return {"version": engine.version, "config": config, "history": self.history}

    def facts(self) -> dict[str, Any]:
        """Everything that becomes a metric (`mmlab.telemetry.metrics_registry`)."""
        engine, files = self._running(), self.files
        return {
            "session": self.plan.name,
            **engine_facts(engine),
            "files": {} if files is None else files.health(),
            "process": process_facts(),
            "owner": self._owner(),
        }

    def metrics_text(self) -> str:
        """The facts in Prometheus' text format."""
        return exposition(self.facts())

    def latencies_us(self, stage: str, newest: int) -> list[float]:
        """The newest latencies of a stage, microseconds."""
        if stage not in STAGES:
            raise ConfigError(f"stage = {stage}: must be one of {', '.join(STAGES)}")
        return self._running().stopwatch.newest_us(stage, newest)

    # --- Steering ----------------------------------------------------------------------------------------------------

    def update(self, changes: dict[str, Any], *, base_version: int | None = None, source: str = "session") -> int:
        """Change parameters between two decisions: all of them or, with an error, none; returns the version."""
        engine = self._running()
        if base_version is not None and base_version != engine.version:
            last = self.history[-1] if self.history else {"source": "somebody", "new": {}}
            raise ConflictError(
                f"nothing applied: parameters are at version {engine.version}, not {base_version} any more;"
                f" {last['source']} changed {', '.join(last['new']) or 'nothing'}: look at them, then apply again"
            )
        version = engine.update(changes, source)
        if self.owner is not None:
            now = engine.setup.config.owner
            self.owner.on_lost, self.owner.grace_s = now.on_owner_lost, now.grace_s
        return version

    def kill(self, reason: str = "operator") -> None:
        """Cancel all and halt, latched."""
        self._running().kill(reason)

    def rearm(self) -> None:
        """Quote again as soon as the conditions of a re-arm hold."""
        self._running().rearm()

    async def flatten(self) -> int:
        """Leave the position; the lots that are left."""
        return await self._running().flatten()

    def stop(self, reason: str = "stopped") -> None:
        """End the session."""
        self._running().stop(reason)

    def heartbeat(self) -> None:
        """A sign of life of the owner."""
        if self.owner is not None and self.owner.seen(time.monotonic()):
            self._running().log.info("owner_back", ts_ns=self._running().now())

    def shadows(self) -> dict[str, dict[str, Any]]:
        """Shadow sets: name -> ``changes``, ``version``, ``alive``."""
        return {} if self._shadows is None else self._shadows.sets()

    def add_shadow(self, name: str, changes: dict[str, Any]) -> None:
        """Let a parameter set run along."""
        self._along().add(name, changes)

    def remove_shadow(self, name: str) -> None:
        """Let a parameter set run along no more."""
        self._along().remove(name)

    def _along(self) -> ShadowProcess:
        if self.run_dir is None or self._running().ended:
            raise SessionError("the session is over: nothing can run along")
        if self._shadows is None:
            self._shadows = ShadowProcess(self.run_dir)
        return self._shadows

    def _running(self) -> Engine:
        if self.engine is None:
            raise SessionError("the session has not begun: run it first, in a notebook as a task beside other cells")
        return self.engine


def market_of(plan: Plan) -> Market:
    """Where a plan trades."""
    if plan.live is not None:
        return LiveMarket(plan, plan.live)
    if plan.feed is None:
        raise ConfigError("feed is missing: the paper venue needs a market to replay")
    return PaperMarket(plan, plan.feed)
