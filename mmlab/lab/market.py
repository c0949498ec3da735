"""Where a session trades: the paper venue on a feed, or a live venue; what either knows before the first decision."""

from __future__ import annotations

import asyncio
import math
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from mmlab.config import Config
from mmlab.engine.engine import Engine
from mmlab.engine.setup import Log
from mmlab.errors import VenueError
from mmlab.events import EVENT, NS_PER_S, Kind
from mmlab.feeds.feed import Feed
from mmlab.instrument import Instrument
from mmlab.lab.backtesting import setting_dict
from mmlab.lab.warm_up import calibrate, warm_up, warm_up_ns
from mmlab.resolve import WarmUp
from mmlab.telemetry.info import RunInfo
from mmlab.venues.clock import LoopClock
from mmlab.venues.paper import PaperVenue
from mmlab.venues.protocol import Venue

if TYPE_CHECKING:
    from mmlab.lab.plan import Plan

LOOK_S = 0.5
"""Between two looks at whether a live warm-up is over."""
SAID_S = 5.0
"""Between two lines in the log that say how far it is."""


class Market(Protocol):
    """A place to trade at."""

    @property
    def mode(self) -> str:
        """``paper`` or ``live``: whether orders are real."""

    @property
    def instrument(self) -> Instrument:
        """What is traded; known once it is open."""

    async def open(self) -> None:
        """Connect, as far as that is needed."""

    async def warm_up(self, log: Log, /) -> WarmUp:
        """Measure what parameters depend on."""

    def venue(self, params: np.ndarray[Any, Any], /) -> Venue:
        """The venue, for an engine that begins now."""

    def info(self) -> RunInfo:
        """What ``run.json`` says at the start."""

    def done(self, engine: Engine, duration_s: float | None) -> float | None:
        """Share of the session that is over; None if it has no set end."""

    def beside(self, engine: Engine) -> None:
        """Start what has to run beside the engine."""

    async def close(self) -> None:
        """Let go of the connection, if the engine has not; orders are left as they are."""


class PaperMarket:
    """The paper venue on the plan's feed."""

    mode = "paper"

    def __init__(self, plan: Plan, feed: Feed) -> None:
        self._plan, self._feed = plan, feed
        self._fit: WarmUp | None = None

    @property
    def instrument(self) -> Instrument:
        """The feed's."""
        return self._feed.instrument

    @property
    def fit(self) -> WarmUp:
        """What the feed's warm-up measured."""
        if self._fit is None:
            self._fit = fit_of(self._feed, self._plan.config)
        return self._fit

    async def open(self) -> None:
        """Nothing to connect to."""

    async def warm_up(self, _: Log) -> WarmUp:
        """The feed's own."""
        return self.fit

    def venue(self, params: np.ndarray[Any, Any]) -> Venue:
        """A simulated exchange whose time begins now."""
        plan = self._plan
        speed = 1.0 if plan.speed == math.inf else plan.speed
        return PaperVenue(self._feed, params, faults=plan.faults, speed=speed, loop=plan.loop, queue=plan.queue)

    def info(self) -> RunInfo:
        """Latencies by the fault plan."""
        plan, faults = self._plan, self._plan.faults
        latency = {"source": "fault plan", "faults": faults.model_dump(exclude_defaults=True)}
        for way in ("entry", "response"):
            constant, spread = getattr(faults, f"{way}_ms"), getattr(faults, f"{way}_spread_ms")
            for percentile, share in ((50, 0.5), (99, 0.01)):
                latency[f"{way}_p{percentile}_ms"] = constant - spread * math.log(share)
        return RunInfo(
            name=plan.name, mode="paper", venue="paper", seed=plan.seed, queue=plan.queue, latency=latency,
            warmup=asdict(self.fit), setting=setting_dict(plan.setting),
            market={"source": self._feed.source, "synthetic": self._feed.synthetic},
        )  # fmt: skip

    def done(self, engine: Engine, duration_s: float | None) -> float | None:
        """By the feed's time."""
        times = self._feed.events["local_ns"]
        begin, end = int(times[0]), int(times[-1])
        if duration_s is not None:
            until = begin + round(duration_s * NS_PER_S)
            end = until if self._plan.loop else min(end, until)
        elif self._plan.loop:
            return None
        return min(1.0, (engine.now() - begin) / max(1, end - begin))

    def beside(self, engine: Engine) -> None:
        """Nothing."""

    async def close(self) -> None:
        """Nothing to let go of."""


def fit_of(feed: Feed, config: Config) -> WarmUp:
    """What a feed's warm-up measures."""
    return warm_up(calibrate(feed, config, feed.instrument))


async def live_warm_up(venue: Venue, config: Config, log: Log) -> WarmUp:
    """Listen to a live market until the warm-up that `config` asks for is over, and fit on what was heard.

    Raises
    ------
    VenueError
        The market feed ended meanwhile, or no book with two sides was seen within ``strategy.warmup_max_s``.
    """
    heard: list[np.ndarray[Any, Any]] = []
    listening = asyncio.create_task(_listen(venue, heard))
    s, begun_s, said_s = config.strategy, time.monotonic(), -math.inf
    try:
        while True:
            await asyncio.wait((listening,), timeout=LOOK_S)
            if listening.done():
                listening.result()
                raise VenueError(f"{venue.name}: the market feed ended during the warm-up")
            rows = np.concatenate(heard) if heard else np.zeros(0, EVENT)
            elapsed_s, trades = time.monotonic() - begun_s, int((rows["kind"] == Kind.TRADE).sum())
            enough = elapsed_s >= s.warmup_s and trades >= s.warmup_min_trades
            if enough or elapsed_s >= s.warmup_max_s:
                feed = Feed(venue.instrument, rows.view(EVENT), source=venue.name)
                if feed.book()["valid"].any():
                    return _fit_all(feed, config)
                if elapsed_s >= s.warmup_max_s:
                    raise VenueError(f"{venue.name}: no book with two sides within {elapsed_s:.0f} s: is it trading?")
            if elapsed_s - said_s >= SAID_S:
                said_s = elapsed_s
                log.info("warming_up", ts_ns=venue.clock.now_ns(), elapsed_s=round(elapsed_s, 1), trades=trades,
                         of_s=s.warmup_s, of_trades=s.warmup_min_trades)  # fmt: skip
    finally:
        listening.cancel()
        await asyncio.wait((listening,))


async def _listen(venue: Venue, heard: list[np.ndarray[Any, Any]]) -> None:
    async for rows in venue.market():
        if isinstance(rows, np.ndarray):
            heard.append(np.array(rows))  # noqa: PERF401  the list is read meanwhile


def _fit_all(feed: Feed, config: Config) -> WarmUp:
    """The fit on all that was heard: its time is over, however long the feed's own clock says it was."""
    start_ns, end_ns = warm_up_ns(feed, config)
    last_ns = int(feed.events["local_ns"][-1])
    if end_ns > last_ns:
        s = config.strategy
        feed.cache["warm-up", s.warmup_s, s.warmup_min_trades, s.warmup_max_s] = (start_ns, last_ns)
    return fit_of(feed, config)


def live_clock() -> LoopClock:
    """Wall-clock time, on the running loop's clock."""
    return LoopClock(time.time_ns())
