"""An engine on a paper venue in virtual time, everything kept in memory; and a venue that watches what reaches it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

import mmlab
from mmlab.engine.engine import Engine
from mmlab.engine.rerun import rerun
from mmlab.engine.setup import Setup
from mmlab.events import ASK, BID, DECISION, NS_PER_S, TARGET, TargetFlag
from mmlab.exchange import AccountMessage, Payload, Reply, Transaction, TxKind
from mmlab.lab.warm_up import calibrate, warm_up
from mmlab.resolve import WarmUp
from mmlab.venues.paper import FaultPlan, PaperVenue, Truth
from mmlab.venues.virtual import run_virtual
from tests.engine.driving import Tables, same_bits

Array = np.ndarray[Any, Any]
SAMPLE = Path(__file__).parents[2] / "data" / "sample.parquet"
QUICK: dict[str, Any] = {"strategy.warmup_s": 0.0, "strategy.warmup_min_trades": 0}
"""Quotes from the first book on."""
RISKY = (TxKind.PLACE, TxKind.MODIFY)


@cache
def sample() -> tuple[mmlab.Feed, WarmUp]:
    """The synthetic sample, and what its whole warm-up measures."""
    feed = mmlab.load_feed(SAMPLE)
    return feed, warm_up(calibrate(feed, mmlab.Config(), feed.instrument))


@cache
def cut(begin_s: float, end_s: float) -> mmlab.Feed:
    """A part of the sample."""
    feed, _ = sample()
    start_ns = int(feed.events["local_ns"][0])
    return feed[start_ns + round(begin_s * NS_PER_S) : start_ns + round(end_s * NS_PER_S)]


class Log:
    """Keeps lines as (event, fields)."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, dict[str, Any]]] = []

    def info(self, event: str, **fields: Any) -> None:
        self.lines.append((event, fields))

    warning = error = info

    def of(self, event: str) -> list[dict[str, Any]]:
        """Fields of the lines of one event."""
        return [fields for name, fields in self.lines if name == event]


class Watched(PaperVenue):
    """A paper venue that keeps what was sent and weighs the worst case at each change. Overridden in tests to fail."""

    def __init__(self, feed: mmlab.Feed, params: Array, **options: Any) -> None:
        self.sent: list[tuple[int, Transaction]] = []
        self.worst = {BID: 0, ASK: 0}
        super().__init__(feed, params, **options)

    def send(self, payload: Payload) -> asyncio.Future[Reply]:
        self.sent.append((self.clock.now_ns(), payload.transaction))
        return super().send(payload)

    def _update(self, at_ns: int, message: AccountMessage) -> None:
        account = self._account
        for side in (BID, ASK):
            rest = sum(o.size_lots - o.filled_lots for o in account.orders.values() if o.side == side)
            self.worst[side] = max(self.worst[side], side * account.position_lots + rest)
        super()._update(at_ns, message)

    def risky_after(self, t_ns: int) -> list[Transaction]:
        """Places and modifies handed over after a time."""
        return [tx for at_ns, tx in self.sent if at_ns > t_ns and tx.kind in RISKY]


@dataclass
class Outcome:
    """What a session left."""

    engine: Engine
    venue: Watched
    tables: Tables
    log: Log
    ended: str
    truth: Truth
    params: dict[int, Array]
    changes: list[dict[str, Any]] = field(default_factory=list)

    def table(self, name: str, dtype: Any = None) -> Array:
        """A table, empty if nothing was recorded."""
        return self.tables[name] if self.tables.rows[name] else np.zeros(0, dtype)

    @property
    def kernel_lots(self) -> int:
        """Position as the kernel has it."""
        return int(self.engine.decider.state[0]["account"]["position_lots"])

    @property
    def deaths(self) -> list[str]:
        """Names of tasks that died."""
        return [line["task"] for line in self.log.of("task_died")]

    def check_empty(self) -> None:
        """The book has none of ours, and nothing was left running."""
        assert not self.truth.orders, self.truth.orders
        assert not self.truth.violations, self.truth.violations

    def check_settled(self) -> None:
        """Everybody agrees on the position, nobody died, nothing forbidden was done."""
        self.check_empty()
        assert self.engine.manager.position_lots == self.truth.position_lots
        assert self.kernel_lots == self.truth.position_lots
        assert not self.deaths, self.log.of("task_died")
        assert not self.log.of("order_manager_failed")
        risk = self.params[0]["risk"]
        assert self.venue.worst[BID] <= int(risk["max_long_lots"][0])
        assert self.venue.worst[ASK] <= int(risk["max_short_lots"][0])

    def check_reproduced(self) -> None:
        """Decisions made again from the recorded inputs are the same bit for bit."""
        again = rerun(self.tables["inputs"], self.params, self.engine.setup.mid_ticks, self.engine.setup.quoter)
        for name, dtype in (("decisions", DECISION), ("targets", TARGET)):
            assert same_bits(again[name], self.table(name, dtype)), name


Script = Callable[[Engine], Awaitable[object]]
MakeVenue = Callable[..., Watched]


def holding(side: int, lots: int = 60) -> MakeVenue:
    """Makes venues where we hold `lots` from the first instant on."""

    def make(*args: Any, **options: Any) -> Watched:
        venue = Watched(*args, **options)
        price = round(venue.instrument.to_ticks(sample()[1].mid) * (1 + 0.01 * side))
        tx = Transaction(TxKind.PLACE, 0, 0, 77, 0, side, price, lots, int(TargetFlag.IOC))
        venue.clock.call_at(venue.clock.now_ns(), lambda: venue.send(venue.signer.sign(tx)))
        return venue

    return make


async def trade(
    feed: mmlab.Feed,
    config: mmlab.Config,
    *,
    faults: FaultPlan | None = None,
    make: MakeVenue = Watched,
    script: Script | None = None,
    duration_s: float | None = None,
    venue: Watched | None = None,
    seed: int = 0,
    speed: float = 1.0,
    **options: Any,
) -> Outcome:
    """One session on the running loop. `script` runs beside it; its exceptions are raised."""
    tables, log, changes = Tables(), Log(), list[dict[str, Any]]()
    params: dict[int, Array] = {}
    setup = Setup(
        config, feed.instrument, sample()[1], tables.record, log,
        lambda *change: changes.append(dict(zip(("ts_ns", "source", "old", "new", "version"), change, strict=True))),
        seed,
    )  # fmt: skip
    params[0] = setup.params()
    venue = venue or make(feed, params[0], faults=faults, speed=speed, **options)
    engine = Engine(venue, setup)
    beside = None if script is None else asyncio.ensure_future(script(engine))
    ended = await engine.run(duration_s)
    if beside is not None:
        await beside
    for change in changes:
        params[change["version"]] = Setup(
            config := config.with_(**change["new"]), feed.instrument, sample()[1], tables.record, log
        ).params()
    return Outcome(engine, venue, tables, log, ended, venue.truth(), params, changes)


def play(feed: mmlab.Feed, config: mmlab.Config | None = None, **options: Any) -> Outcome:
    """`trade` in virtual time; the event loop must not have met an exception that nobody took."""
    unheard: list[dict[str, Any]] = []

    async def main() -> Outcome:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: unheard.append(context))
        return await trade(feed, config or quick(), **options)

    outcome = run_virtual(main())
    assert not unheard, unheard
    return outcome


def quick(**changes: Any) -> mmlab.Config:
    """A config that quotes at once; changes by dotted name, with two underscores for the dot."""
    return mmlab.Config().with_(**QUICK, **{name.replace("__", "."): value for name, value in changes.items()})


async def at(engine: Engine, seconds: float) -> None:
    """Wait until so long after the engine's first instant."""
    await engine.clock.sleep_until(engine.clock.origin_ns + round(seconds * NS_PER_S))  # type: ignore[attr-defined]


def kinds(venue: Watched) -> Counter[str]:
    """Transactions sent by kind."""
    return Counter(tx.kind.name.lower() for _, tx in venue.sent)
