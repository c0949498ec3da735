"""The engine: tasks joined by mailboxes, from market rows to payloads, and back.

    venue.market ─► market ─► [news] ─► decide ─► newest targets ─► order ─► signer thread
                                 ▲                                   │ ▲         │
                                 └────── fills, orders ──────────────┘ └[reports]┴◄─ replies, account, views
                                                                     └─► [outbox] ─► send ─► venue.send

Market rows wait for room; decisions are conflated to the newest; what concerns our orders is never dropped, and a
mailbox of it that overflows trips a kill switch. Rows that come alone are decided on, ordered for and sent in the very
turn of the event loop that brought them; those of a burst wait for the next turn and are decided on together.

A task that reads from outside is started again when it fails; when one of the inner tasks fails the session goes safe:
nothing more is placed, everything is cancelled, the session ends.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from functools import partial
from time import perf_counter_ns
from typing import Any

import msgspec
import numpy as np

from mmlab.config import reloads
from mmlab.engine.account_feed import event_of
from mmlab.engine.courier import Courier
from mmlab.engine.decider import Decider
from mmlab.engine.desk import Desk, Outlets
from mmlab.engine.emergency import Emergency
from mmlab.engine.flatten import PAUSE_NS, flatten_slice
from mmlab.engine.histogram import StageHistograms
from mmlab.engine.inbound import Inbound
from mmlab.engine.live_watch import LiveWatch
from mmlab.engine.mailbox import Mailbox, Stage
from mmlab.engine.participation import Trading
from mmlab.engine.presign import Presigner
from mmlab.engine.rolling import Rolling
from mmlab.engine.setup import Setup
from mmlab.engine.steering import Steering
from mmlab.engine.supervisor import Alarm, Supervisor, text_of
from mmlab.engine.uptime import Uptime
from mmlab.errors import ConfigError
from mmlab.events import ASK, BID, NEVER_NS, NS_PER_S, Switch
from mmlab.exchange import Linked, Liquidation, Status, Unlinked
from mmlab.orders import OrderManager, OrderSettings
from mmlab.orders import events as e
from mmlab.orders.commands import Anomaly, Query
from mmlab.orders.settings import settings_of
from mmlab.venues.protocol import Venue

Array = np.ndarray[Any, Any]
NEWS, REPORTS = 20_000, 10_000
"""Bounds of the mailboxes: market batches and own news; what concerns our orders."""
STOP_S = 30.0
"""How long a stop waits for the book to be proven empty, beyond the venue's `flight_ns`, in the session's time."""
FLATTEN_S = 30.0
LOOK_NS = 10_000_000
BURST_S = 0.001
"""Market rows that come so soon after the last wait for the next turn of the event loop."""
SWITCH_S = 0.00005
"""While a session runs the signer's thread need not wait longer for its turn (Python's default is 5 ms)."""
News = tuple[int, Array | None, Callable[[], object] | None]
"""When it was in hand (`perf_counter_ns`), and market rows or something to do."""


class Engine:
    """One market, one session.

    Parameters
    ----------
    venue : Venue
        Where we trade.
    setup : Setup
        How.
    """

    def __init__(self, venue: Venue, setup: Setup) -> None:
        self.venue, self.setup, self.clock, self.log = venue, setup, venue.clock, setup.log
        self.ended, self.version, self.flattening, self.market_batches = "", 0, False, 0
        self.began_ns = self._last_ns = self.clock.now_ns()
        self._heard_ns = perf_counter_ns()
        params = setup.params()
        self.cap_lots: int | None = None
        self.news: Mailbox[News] = Mailbox("news", NEWS)
        self.reports: Mailbox[e.AnyEvent] = Mailbox("reports", REPORTS)
        self.decider = Decider(params, setup.mid_ticks, setup.record, setup.quoter)
        self.steering = Steering(setup, self.decider, self.now, self._report, self._do)
        self.participation = self.steering.state
        self.decider.heard_gates = self.steering.kernel_acted
        self.inbound = Inbound(self._bad_input)
        self.deciding, self.ordering = Stage(self.news, self._decide_on), Stage(self.reports, self._order)
        self.courier = Courier(
            venue, self.inbound, self.now, self._report, self.steering.barred, self.log, self.ordering.now
        )
        self.presigner = Presigner(self.courier.signer, setup.config.execution.presign, venue.rules, self.now, self.log)
        self.manager = OrderManager(self._settings(params), self._last_ns)
        outlets = Outlets(
            self.courier.sign, self.courier.send, self._ask, self.steering.tripped, self.steering.halted, self._filled,
            self._anomaly, setup.record,
        )  # fmt: skip
        self.desk = Desk(self.manager, setup.instrument, outlets)
        self.supervisor = Supervisor(self.clock, self.log, self._go_safe)
        self.emergency = Emergency(venue, self.manager.state.ids.owns, self.supervisor.aside, self.log)
        self.uptime, self.stopwatch = Uptime(), self.courier.stopwatch
        self.live = LiveWatch() if venue.rules.wall_clock else None
        self.rolling, self.histograms = Rolling(), StageHistograms(self.stopwatch)
        self.second: Array | None = None  # the newest metrics row
        self._decide_alarm = Alarm(self.clock, self._woken)
        self._order_alarm = Alarm(self.clock, self.reports.poke)
        self._over = asyncio.Event()
        self._top: e.Top | None = None
        self._targets: tuple[int, e.Targets] | None = None
        self._outcome: tuple[Any, ...] = ((), None, None, 0)  # of the decision handed on last
        self._known_lots = 0  # position by the fills that the kernel has
        self._adopts = False  # there are others, and no price yet to value them at
        self._told: tuple[Any, ...] = ()  # what the kernel knows of our orders
        self._slice_ns = self._grid_ns = 0
        self._heavy_side = 0  # not quoted, for it would bring liquidation nearer
        self._loop_s, self._decided_s = asyncio.get_running_loop().time, -1.0
        self._put_off = False
        self._seen: list[tuple[int, tuple[int, int], bool]] = []  # best quotes that `uptime` is yet to hear of
        self._anomalies: set[str] = set()

    def now(self) -> int:
        """The session's time, ns; never falls."""
        now_ns = self.clock.now_ns()
        self._last_ns = max(self._last_ns, now_ns)
        return self._last_ns

    def market_age_s(self) -> float:
        """Real seconds since the last market message."""
        return (perf_counter_ns() - self._heard_ns) / NS_PER_S

    def _settings(self, params: Array) -> OrderSettings:
        settings = settings_of(self.setup.config, params[0]["risk"], self.venue.rules, self.setup.seed)
        if self.cap_lots is None:
            return settings
        limits = settings.limits
        most = {f: min(self.cap_lots, getattr(limits, f)) for f in ("max_long_lots", "max_short_lots")}
        return msgspec.structs.replace(settings, limits=msgspec.structs.replace(limits, **most))

    def _do(self, work: Callable[[], object]) -> None:
        """Have something done between two decisions, in order with the market."""
        self.news.put((perf_counter_ns(), None, work))

    def _report(self, event: e.AnyEvent) -> None:
        """Something for the order manager: never dropped."""
        if not self.reports.put(event):
            self.steering.trip(Switch.QUEUE, "reports", value=float(len(self.reports)))

    # --- Life --------------------------------------------------------------------------------------------------------

    async def run(self, duration_s: float | None = None) -> str:
        """Trade until the feed ends, `duration_s` of the session's time have passed, or `stop`; returns how it ended.

        Orders are cancelled, and proven to be gone, before it returns.
        """
        self.log.info("engine_started", ts_ns=self.now(), venue=self.venue.name)
        for name, loop in (("decide", self.deciding.loop), ("order", self.ordering.loop),
                           ("send", self.courier.sender.loop)):  # fmt: skip
            self.supervisor.start(name, loop, restart=False)
        for name, loop in (("market", self._market_loop), ("account", self._account_loop),
                           ("watch", self._watch_loop)):  # fmt: skip
            self.supervisor.start(name, loop, restart=True)
        if duration_s is not None:
            self.clock.call_at(self.now() + round(duration_s * NS_PER_S), self.stop, "duration over")
        switch_s = sys.getswitchinterval()
        sys.setswitchinterval(min(switch_s, SWITCH_S))
        try:
            await self._over.wait()
        finally:
            await self._shut_down()
            sys.setswitchinterval(switch_s)
        return self.ended

    def stop(self, reason: str = "stopped") -> None:
        """End the session: leave the position if `risk.on_stop` says so, cancel all, wait for proof."""
        if not self.ended:
            self.ended = reason
            self._over.set()

    async def _shut_down(self) -> None:
        self.ended = self.ended or "interrupted"
        able = self.participation.reconciled and not self.participation.broken
        if able and self.setup.config.risk.on_stop == "flatten":
            await self.flatten()
        self.participation.stopping = True
        self.steering.step()
        patience_s = STOP_S + self.venue.rules.flight_ns / NS_PER_S
        if not await self._wait(self._is_empty, patience_s):
            self.log.error("not_proven_empty", ts_ns=self.now(), working=len(self.manager.orders))
            await self.emergency.start()
            self.ended += str(self.emergency)
        await self.supervisor.end()
        for _, _, do in self.news.take_now():  # the kernel hears of the last fills
            if do is not None:
                do()
        self.desk.write()
        self._write_metrics()  # how it ended
        for alarm in (self._decide_alarm, self._order_alarm):
            alarm.set(None)
        self.courier.signer.close()
        await self.venue.close()
        self.log.info("engine_ended", ts_ns=self.now(), how=self.ended, position_lots=self.manager.position_lots)

    async def _wait(self, done: Callable[[], bool], patience_s: float) -> bool:
        """Wait until `done`, at most so long in the session's time, and no longer than orders are looked after."""
        until_ns = self.now() + round(patience_s * NS_PER_S)
        while not done() and self.now() < until_ns and not self.supervisor.is_over("order"):
            await self.clock.sleep_until(self.now() + LOOK_NS)
        return done()

    @property
    def emptied(self) -> bool:
        """Whether the session has ended with a book that is proven to hold none of ours."""
        return bool(self.ended) and self._is_empty()

    def _is_empty(self) -> bool:
        """Whether the book is proven to hold none of ours, by the order manager or by the emergency's last view."""
        return self.participation.trading == Trading.HALTED or self.emergency.emptied

    def _go_safe(self, why: str) -> None:
        """Nothing more is placed; everything is cancelled by a path of its own; the session ends."""
        self.steering.trip(Switch.TASK, why)
        self.emergency.start()
        self.stop(why)

    # --- Market to decision ------------------------------------------------------------------------------------------

    async def _market_loop(self) -> None:
        async for message in self.venue.market():
            stamp = self._heard_ns = perf_counter_ns()
            rows = self.inbound.market(message, self.now())
            if isinstance(rows, Status):
                self.steering.status(trading=rows.trading, reason=rows.reason)
            elif rows is not None:
                await self.news.room()
                self.news.lay((stamp, rows, None))
                self._decide_soon()
        self.stop("end of feed")

    def _decide_soon(self) -> None:
        """At once, unless rows come in a burst: then on all of them together."""
        before_s, self._decided_s = self._decided_s, self._loop_s()
        if self._decided_s - before_s >= BURST_S:
            self.deciding.now()
        else:
            self.news.poke()

    def _decide_on(self, news: list[News]) -> None:
        stamp = news[0][0] if news else perf_counter_ns()
        for _, rows, do in news:
            if rows is not None:
                self._hear(rows)
            elif do is not None:
                do()
        self._decide(stamp)
        self.decider.settle()

    def _hear(self, rows: Array) -> None:
        self.market_batches += 1
        if not self.decider.hear(rows):
            return
        exch_ns, local_ns, bid, ask, _, _, usable = self.decider.best
        if self.live is not None:
            self.live.heard(exch_ns, local_ns)
        valid, now_ns = usable != 0, self.now()
        self.desk.mid(exch_ns, 0.5 * (bid + ask) * self.setup.instrument.tick_size if valid else np.nan)
        self.participation.book(valid=valid, now_ns=now_ns)
        self._seen.append((now_ns, (bid, ask), valid))
        self._top = e.Top(now_ns, bid, ask, valid)

    def _decide(self, stamp: int) -> None:
        now_ns = self.now()
        if self.decider.due(now_ns) and self._on_grid(now_ns):
            quotes = self.decider.decide(now_ns)
            trading, flattening = self.participation.trading, self.flattening
            before, was, flattened, heavy = self._outcome
            if quotes is not before or trading is not was or flattening is not flattened or heavy != self._heavy_side:
                self._outcome = (quotes, trading, flattening, self._heavy_side)
                self._decided(quotes, now_ns, stamp)
            self.stopwatch.add("decide", perf_counter_ns() - stamp)
            if not self.participation.calm:
                self.steering.step()
        if self.flattening:
            self._flatten_on(now_ns)
        if self._top is not None or self._targets is not None:
            self.ordering.now()
        wake_ns = min(self.decider.next_deadline(), self.participation.next_deadline(now_ns))
        wake_ns = max(min(wake_ns, self._slice_ns) if self.flattening else wake_ns, self._grid_ns)
        self._decide_alarm.set(wake_ns if wake_ns < NEVER_NS else None)

    def _decided(self, quotes: tuple[e.Quote, ...], now_ns: int, stamp: int) -> None:
        """A decision that differs from the one before, or comes after a change of what we may do."""
        if self._heavy_side:
            quotes = tuple([quote for quote in quotes if quote.side != self._heavy_side])
        sides = [quote.side for quote in quotes]
        self.participation.decided(*self.decider.reasons, quoting=(BID in sides, ASK in sides))
        if not self.flattening:
            self._targets = (stamp, e.Targets(now_ns, quotes))

    def _woken(self) -> None:
        self.steering.step()
        self.news.poke()

    def _on_grid(self, now_ns: int) -> bool:
        """With `strategy.step_ms`, decisions are that far apart."""
        step_ns = self.decider.step_ns
        if now_ns < self._grid_ns:
            return False
        if step_ns:
            self._grid_ns = now_ns + step_ns
        return True

    def _flatten_on(self, now_ns: int) -> None:
        """The next slice, when the one before is over."""
        if now_ns < self._slice_ns or self.desk.working()[2]:
            return
        self._slice_ns, d = now_ns + PAUSE_NS, self.decider
        least, slippage = self.setup.instrument.min_size_lots, d.slippage_ticks()
        quotes = flatten_slice(self.manager.position_lots, d.book, d.levels, slippage, least)
        self._targets = (perf_counter_ns(), e.Targets(now_ns, quotes))

    # --- Orders ------------------------------------------------------------------------------------------------------

    async def _account_loop(self) -> None:
        try:
            await self._hear_account()
        except Exception:
            self._link(Unlinked(self.courier.epoch, "account feed failed"), self.now())  # blind until it is back
            raise
        self.stop("end of account feed")

    async def _hear_account(self) -> None:
        async for message in self.venue.account():
            checked, now_ns = self.inbound.account(message), self.now()
            if isinstance(checked, Status):
                self.steering.status(trading=checked.trading, reason=checked.reason)
            elif isinstance(checked, Linked | Unlinked):
                self._link(checked, now_ns)
            elif isinstance(checked, Liquidation):
                if self.live is not None:
                    self.live.liquidation_ticks = checked.price_ticks
            elif checked is not None and (event := event_of(checked, now_ns)) is not None:
                self._report(event)

    def _link(self, message: Linked | Unlinked, now_ns: int) -> None:
        up = isinstance(message, Linked)
        if message.epoch < self.courier.epoch:
            return  # old news of a link before this one
        self.log.info("link", ts_ns=now_ns, up=up, epoch=message.epoch, reason=getattr(message, "reason", ""))
        self.participation.link(up=up, now_ns=now_ns)
        if up:
            self.courier.epoch = message.epoch
        event = event_of(message, now_ns)
        if event is not None:
            self._report(event)
        self.steering.step()

    def _order(self, events: list[e.AnyEvent]) -> None:
        for event in events:
            self._tell(event)
        top, self._top = self._top, None
        if top is not None:
            self._tell(top)
        targets, self._targets = self._targets, None
        if targets is not None:
            started = perf_counter_ns()
            self.courier.stamp_ns, event = targets
            self._tell(event)
            self.courier.stamp_ns = 0
            self.stopwatch.add("order", perf_counter_ns() - started)
        for event in self.reports.take_now():  # signed at once
            self._tell(event)
        self.courier.flush()
        if self.courier.busy and not self._put_off:
            self._put_off = True  # signer and sender first
            self.reports.poke()
        else:
            self._put_off = False
            self._settle()

    def _settle(self) -> None:
        """What may wait until orders are on their way."""
        self.presigner.look(self.manager.state)
        self.desk.write()
        self._tell_uptime()
        deadline_ns = self.manager.next_deadline()
        if deadline_ns is not None and deadline_ns <= self.now():
            self._tell(e.Timer(self.now()))
            deadline_ns = self.manager.next_deadline()
        self._tell_kernel()
        self._order_alarm.set(deadline_ns)

    def _tell_uptime(self) -> None:
        for now_ns, best_ticks, valid in self._seen:
            self.uptime.book(now_ns, best_ticks, valid=valid)
        self._seen.clear()

    def _tell(self, event: e.AnyEvent) -> None:
        """The order manager hears `event`. It never raises; should it, the session goes safe."""
        try:
            self.desk.handle(event)
        except Exception as error:  # noqa: BLE001  a bug of ours must not leave orders behind
            self.log.error("order_manager_failed", ts_ns=self.now(), on=type(event).__name__, error=text_of(error))
            self._go_safe(f"order manager failed on {type(event).__name__}")
            return
        reconciled = self.manager.state.linked and self.manager.state.recovered
        if reconciled != self.participation.reconciled:
            self.participation.reconciled = reconciled
            self.steering.step_soon()
        if isinstance(event, e.Snapshot) or self._adopts:
            self._adopt()

    def _adopt(self) -> None:
        """Lots of the position that no fill explains: from an earlier life, or missed for good.

        They are valued at the mid, so before the first book they wait.
        """
        lots = self.manager.state.account.traded_lots - self._known_lots
        self._adopts = lots != 0 and not self.desk.priced
        if lots and not self._adopts:
            self._known_lots += lots
            self.log.warning("position_adopted", ts_ns=self.now(), lots=lots)
            self._do(partial(self.decider.fill, self.desk.adoption(self.now(), lots)))

    def _tell_kernel(self) -> None:
        """Our working orders as they are now, if that is news."""
        messages = self.courier.messages
        if not self.desk.moved and self._told[3:] == (messages,):
            return
        self.desk.moved = False
        self.participation.flat = self.manager.position_lots == 0
        lots, working, exit_live = self.desk.working()
        self.uptime.shown(self.now(), self.desk.shown_ticks())
        if (lots, working, exit_live, messages) != self._told:
            self._told = (lots, working, exit_live, messages)
            self._do(partial(self.decider.orders, self.now(), lots, working, messages, exit_live))

    def _filled(self, row: Array) -> None:
        self._known_lots += int(row["side"][0]) * int(row["size_lots"][0])
        self._do(partial(self.decider.fill, row))

    def _ask(self, query: Query) -> None:
        self.supervisor.aside(self.courier.ask(query))

    def _anomaly(self, anomaly: Anomaly) -> None:
        if anomaly.kind not in self._anomalies:
            self._anomalies.add(anomaly.kind)
            self.log.warning("anomaly", ts_ns=anomaly.ts_ns, kind=anomaly.kind, client_id=anomaly.client_id,
                             detail=anomaly.detail)  # fmt: skip

    def _bad_input(self, kind: str, detail: str) -> None:
        self.log.warning("bad_input", ts_ns=self.now(), kind=kind, detail=detail)

    # --- Operator ----------------------------------------------------------------------------------------------------

    def kill(self, reason: str = "operator") -> None:
        """Cancel all and halt, latched."""
        self.steering.kill(reason)

    def rearm(self) -> None:
        """Quote again, as soon as the conditions of a re-arm hold."""
        self.steering.rearm()

    async def flatten(self) -> int:
        """Leave the position by reduce-only IOC slices, quotes withdrawn meanwhile; returns the lots that are left.

        A halt does not hinder it, but a lost link or an account that is not reconciled does.
        """
        self.flattening = self.participation.flattening = True
        self._slice_ns = self.now()
        self._woken()
        try:
            least = self.setup.instrument.min_size_lots  # less than that cannot be traded
            await self._wait(lambda: abs(self.manager.position_lots) < least, FLATTEN_S)
        finally:
            self.flattening = self.participation.flattening = False
            self._do(self.decider.nudge)
            self.steering.step()
        lots = self.manager.position_lots
        self.log.info("flattened", ts_ns=self.now(), position_lots=lots)
        return lots

    def update(self, changes: dict[str, Any], source: str = "session") -> int:
        """Change parameters as a whole, between two decisions; returns the new version.

        Raises
        ------
        ConfigError
            Every wrong field; then nothing is changed.
        """
        if fixed := [name for name in changes if not reloads(name)]:
            raise ConfigError(f"{', '.join(fixed)}: cannot be changed while the session runs: set it and start another")
        was = self.setup.config.flat()
        setup = self.setup.with_config(self.setup.config.with_(**changes))
        params = setup.params()
        new = {name: value for name, value in setup.config.flat().items() if value != was[name]}
        self.setup, self.version = setup, self.version + 1
        self._do(partial(self.decider.change, self.now(), params, self.version))
        self.participation.rules = setup.participation()
        self._report(e.Configure(self.now(), self._settings(params)))
        self.presigner.configure(setup.config.execution.presign)
        setup.change(self.now(), source, {name: was[name] for name in new}, new, self.version)
        return self.version

    def cap(self, lots: int | None) -> None:
        """Most lots either way, in the worst case, besides the config's limits; None: no other limit."""
        if lots != self.cap_lots:
            self.cap_lots = lots
            self._report(e.Configure(self.now(), self._settings(self.decider.params)))

    def worst_lots(self) -> int:
        """Position in the worst case: everything of one side that may rest is filled."""
        position = self.manager.position_lots
        resting, _, _ = self.desk.working()
        return max(position + resting[0], resting[1] - position, 0)

    # --- Watching ----------------------------------------------------------------------------------------------------

    async def _watch_loop(self) -> None:
        """Once a second: the metrics row, and an alarm while a position is open and nothing may trade."""
        while True:
            await self.clock.sleep_until((self.now() // NS_PER_S + 1) * NS_PER_S)
            self._do(self._write_metrics)
            self.presigner.look(self.manager.state)  # payloads age, whatever the market does
            self.steering.alarm(self.manager.position_lots)
            if self.live is not None:
                self._look_at_venue(self.live)

    def _look_at_venue(self, live: LiveWatch) -> None:
        book = self.decider.book[0]
        mid = 0.5 * (int(book["bid_ticks"]) + int(book["ask_ticks"])) if book["valid"] else np.nan
        bad, good = live.look(self.setup.config.kill, mid, self.manager.position_lots)
        for switch, value, detail in bad:
            self.steering.trip(switch, detail, cause=True, value=value)
        for switch in good:
            self.steering.cleared(switch)
        if live.heavy_side != self._heavy_side:
            self._heavy_side = live.heavy_side
            self.steering.heavy_side(
                live.heavy_side, live.liquidation_bps, self.setup.config.kill.margin.min_distance_bps
            )
            self._do(self.decider.nudge)

    def _write_metrics(self) -> None:
        now_ns = self.now()
        self._tell_uptime()
        row = self.decider.metrics(now_ns)
        row["messages"] = self.courier.messages
        row["quoting_bid"], row["quoting_ask"], row["at_touch_bid"], row["at_touch_ask"] = self.uptime.shares(now_ns)
        self.second = row
        self.rolling.second(row, self.desk.tally.size)
        self.histograms.keep_up()
        self.setup.record("metrics", row)
