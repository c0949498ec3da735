"""`Session`: trade a market on the paper venue, with the engine's tasks, order manager and run directory."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import asdict, replace
from functools import partial
from html import escape
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd

from mmlab.config import Config
from mmlab.engine.decider import QuoterAddress, load_kernels
from mmlab.engine.engine import Engine
from mmlab.engine.setup import Setup
from mmlab.errors import ConfigError, MMLabError, SessionError
from mmlab.events import NS_PER_S
from mmlab.feeds.feed import Feed
from mmlab.feeds.store import load_feed
from mmlab.lab.backtesting import Queue, Setting, rerun, setting_dict
from mmlab.lab.demo import sample_feed
from mmlab.lab.order_table import order_table
from mmlab.lab.quoters import Quoter
from mmlab.lab.run import Run, load_run
from mmlab.lab.session_html import session_html
from mmlab.lab.warm_up import calibrate, warm_up
from mmlab.simulator import Latency
from mmlab.telemetry.info import RunInfo, folder_name, utc_now
from mmlab.telemetry.live import LiveRun
from mmlab.telemetry.tables import record_to_dict
from mmlab.venues.paper import FaultPlan, PaperVenue
from mmlab.venues.virtual import run_virtual

T = TypeVar("T")
Progress = Callable[[float], object]
PATIENCE_S = 10.0
"""How long a call from another thread waits for the session's loop."""
STEP_S = 5.0
"""Session time between two calls of a progress callback."""


class Session:
    """One market maker on one market.

    Parameters
    ----------
    config : Config, optional
        Default ``Config()``, which works on any feed.
    venue : {"paper"}
        Where to trade: a simulated exchange on a recorded or synthetic market.
    feed : Feed or path, optional
        The market; "synthetic" or none: the synthetic sample.
    speed : float
        1: as it was recorded; 10: ten times as fast; ``math.inf``: as fast as this machine can, always the same way.
    name : str
        Short name of the run.
    out : path, optional
        Run directory to make; default ``runs/<UTC start>-<name>``.
    loop : bool
        Repeat the feed until stopped.
    faults : FaultPlan, optional
        What goes wrong at the venue and on the way (`mmlab.venues.paper.FaultPlan`). Default: 5 ms each way, no faults.
    seed : int
        Of everything the session itself draws.
    strategy : Quoter, optional
        A quoting function of your own (`mmlab.quoter`).
    queue : {"risk_averse", "power", "log", "l3"}
        Queue position model.

    Examples
    --------
    >>> session = mmlab.Session(mmlab.Config(), feed="data/sample.parquet", speed=math.inf, out="runs/paper")
    >>> run = session.run()  # in a notebook cell: `run = await session.run()`

    Raises
    ------
    ConfigError, FeedError
        What is wrong with config, faults or feed.
    """

    def __init__(
        self,
        config: Config | None = None,
        *,
        venue: str = "paper",
        feed: Feed | str | Path | None = None,
        speed: float = 1.0,
        name: str = "paper",
        out: str | Path | None = None,
        loop: bool = False,
        faults: FaultPlan | None = None,
        seed: int = 0,
        strategy: Quoter | None = None,
        queue: Queue = "risk_averse",
    ) -> None:
        if venue != "paper":
            raise ConfigError(f"venue = {venue!r}: must be 'paper'")
        if not speed > 0:
            raise ConfigError(f"speed = {speed!r}: must be > 0; math.inf is as fast as possible")
        if loop and speed == math.inf:
            raise ConfigError("loop = True needs a finite speed: as fast as possible it would never end")
        self.feed = _feed_of(feed)
        self.config, self.name, self.speed, self.loop, self.seed = config or Config(), name, speed, loop, seed
        self.faults, self.queue, self.strategy = faults or FaultPlan(), queue, strategy
        self.run_dir: Path | None = None if out is None else Path(out)
        self._engine: Engine | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._fit = warm_up(calibrate(self.feed, self.config, self.feed.instrument))

    # --- Driving -----------------------------------------------------------------------------------------------------

    def run(self, duration_s: float | None = None, progress: Progress | None = None) -> Any:
        """Trade until the feed ends, or for `duration_s` of the session's time; leaves the run directory.

        Where an event loop is running, as in a notebook, it returns an awaitable: ``run = await session.run()``.
        Elsewhere it returns when the session is over. Either way orders are cancelled, and proven gone, at the end.

        Parameters
        ----------
        duration_s : float, optional
            Default: to the end of the feed.
        progress : callable, optional
            Takes the share that is done.

        Returns
        -------
        Run, or an awaitable of it

        Raises
        ------
        SessionError
            The run directory cannot be made, or the session was run before.
        """
        if self._engine is not None:
            raise SessionError("this session has been run: make another one")
        if duration_s is not None and not duration_s > 0:
            raise ConfigError(f"duration_s = {duration_s!r}: must be > 0 (s)")
        trade = self._trade(duration_s, progress)
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return self._load(run_virtual(trade) if self.speed == math.inf else asyncio.run(trade))
        return self._run_beside(trade)

    async def _run_beside(self, trade: Any) -> Run:
        return self._load(await (asyncio.to_thread(run_virtual, trade) if self.speed == math.inf else trade))

    def _load(self, path: Path) -> Run:
        return load_run(path, partial(rerun, self._setting()))

    async def _trade(self, duration_s: float | None, progress: Progress | None) -> Path:
        """The whole session, on the running loop."""
        info = self._info()
        path = self.run_dir = self.run_dir or Path("runs") / folder_name(info)
        files = LiveRun(path, self.config, info, self.feed.instrument.to_dict(), patient=self.speed == math.inf)
        setup = Setup(
            self.config, self.feed.instrument, self._fit, files.put, files.log, files.change, self.seed,
            None if self.strategy is None else QuoterAddress(self.strategy.function),
            {} if self.strategy is None else self.strategy.numbers,
        )  # fmt: skip
        try:
            load_kernels()  # which may compile, so before the session's time begins
            params = setup.params()
            info.params = record_to_dict(params[0])
            speed = 1.0 if self.speed == math.inf else self.speed
            venue = PaperVenue(
                self.feed, params, faults=self.faults, speed=speed, loop=self.loop, queue=self.queue
            )  # fmt: skip
            self._loop, self._engine = asyncio.get_running_loop(), Engine(venue, setup)
            if progress is not None:
                self._engine.supervisor.start("progress", lambda: self._tell(progress, duration_s), restart=False)
            info.ended = await self._engine.run(duration_s)
        except asyncio.CancelledError:
            info.ended = "interrupted" if self._engine is None else self._engine.ended
            raise
        except Exception as error:
            info.ended = f"failed: {error}"
            raise
        finally:
            files.close(replace(info, finished=utc_now(), counters=self._counters()))
        return path

    async def _tell(self, progress: Progress, duration_s: float | None) -> None:
        engine, events = self._engine, self.feed.events
        assert engine is not None  # noqa: S101  started after it was made
        begin, end = int(events["local_ns"][0]), int(events["local_ns"][-1])
        if duration_s is not None:
            until = begin + round(duration_s * NS_PER_S)
            end = until if self.loop else min(end, until)
        while True:
            progress(min(1.0, (engine.now() - begin) / max(1, end - begin)))
            await engine.clock.sleep_until(engine.now() + round(STEP_S * NS_PER_S))

    def _setting(self) -> Setting:
        """A replay's setting that comes closest; a replay has no faults."""
        latency = Latency(entry_ms=self.faults.entry_ms, response_ms=self.faults.response_ms)
        return Setting(latency=latency, queue=self.queue, seed=self.seed, strategy=self.strategy)

    def _info(self) -> RunInfo:
        plan = self.faults
        latency = {"source": "fault plan", "faults": plan.model_dump(exclude_defaults=True)}
        for way in ("entry", "response"):
            constant, spread = getattr(plan, f"{way}_ms"), getattr(plan, f"{way}_spread_ms")
            for percentile, share in ((50, 0.5), (99, 0.01)):
                latency[f"{way}_p{percentile}_ms"] = constant - spread * math.log(share)
        return RunInfo(
            name=self.name, mode="paper", venue="paper", seed=self.seed, queue=self.queue, latency=latency,
            warmup=asdict(self._fit), setting=setting_dict(self._setting()),
            market={"source": self.feed.source, "synthetic": self.feed.synthetic},
        )  # fmt: skip

    def _counters(self) -> dict[str, int]:
        engine = self._engine
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

    @property
    def began(self) -> bool:
        """Whether it has begun to trade; it may be over."""
        return self._engine is not None

    def status(self) -> dict[str, Any]:
        """What the session does now: state, why, sides, time, position, P&L, orders, parameter version, latencies."""
        engine = self._running()
        state, participation = engine.decider.state[0], engine.participation
        return {
            "trading": participation.trading.name.lower(),
            "why": participation.why,
            "bid": participation.sides[0].name.lower(),
            "ask": participation.sides[1].name.lower(),
            "latched": participation.latched,
            "ended": engine.ended,
            "time": pd.Timestamp(engine.now(), unit="ns", tz="UTC"),
            "position": engine.manager.position_lots * self.feed.instrument.lot_size,
            "net_pnl": float(state["net"]),
            "orders": len(engine.manager.orders),
            "messages": engine.courier.messages,
            "fills": engine.desk.counts["fills"],
            "parameter_version": engine.version,
            "latency_us": engine.stopwatch.percentiles_us(),
        }

    def orders(self) -> pd.DataFrame:
        """Working orders: one row an order, with its state and the maps that hold it."""
        return order_table(self._running().manager, self.feed.instrument)

    def anomalies(self) -> pd.Series:
        """What the order manager met and settled: late and lost replies, strays, missed fills, doubts, by count."""
        counts = self._running().manager.state.counts
        return pd.Series(dict(sorted(counts.items())), name="count", dtype="int64")

    # --- Steering ----------------------------------------------------------------------------------------------------

    def kill(self, reason: str = "operator") -> None:
        """Cancel all and halt, until `rearm`."""
        self._on_loop(self._running().kill, reason)

    def rearm(self) -> None:
        """Quote again as soon as the conditions of a re-arm hold."""
        self._on_loop(self._running().rearm)

    async def flatten(self) -> int:
        """Leave the position by reduce-only slices; returns the lots that are left."""
        work, loop = self._running().flatten(), self._loop
        if loop is None or asyncio.get_running_loop() is loop:
            return await work
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, loop))

    def stop(self, reason: str = "stopped") -> None:
        """End the session; orders are cancelled, the position is kept or left as ``risk.on_stop`` says."""
        self._on_loop(self._running().stop, reason)

    def update(self, changes: dict[str, Any]) -> int:
        """Change parameters between two decisions: all of them, or with a `ConfigError` none; returns the version."""
        version = self._on_loop(self._running().update, changes)
        self.config = self._running().setup.config
        return version

    def _running(self) -> Engine:
        if self._engine is None:
            raise SessionError("the session has not begun: run it first, in a notebook as a task beside other cells")
        return self._engine

    def _on_loop(self, work: Callable[..., T], *args: Any) -> T:
        """Call `work` on the session's loop, from whatever thread."""
        loop = self._loop
        assert loop is not None  # noqa: S101  set together with the engine
        try:
            here = asyncio.get_running_loop() is loop
        except RuntimeError:
            here = False
        if here:
            return work(*args)
        done: Future[T] = Future()

        def call() -> None:
            try:
                done.set_result(work(*args))
            except MMLabError as error:
                done.set_exception(error)

        try:
            loop.call_soon_threadsafe(call)
            return done.result(PATIENCE_S)
        except (RuntimeError, TimeoutError):
            raise SessionError("the session does not answer: it has ended, or its loop is busy") from None

    def __repr__(self) -> str:
        state = "not started" if self._engine is None else self._engine.participation.trading.name.lower()
        return f"Session({self.name!r}, paper, {self.feed.instrument.symbol!r}, speed {self.speed:g}, {state})"

    def _repr_html_(self) -> str:
        return session_html(repr(self), self.status(), self.orders()) if self.began else f"<p>{escape(repr(self))}</p>"


def _feed_of(feed: Feed | str | Path | None) -> Feed:
    if isinstance(feed, Feed):
        return feed
    return sample_feed() if feed is None or feed == "synthetic" else load_feed(feed)
