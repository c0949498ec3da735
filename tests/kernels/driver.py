"""A Python driver around the decision kernel's entry points, with ideal order handling: scripted tapes in few lines.

Time is in seconds since the start of the tape, prices in ticks, sizes in lots. Every entry point is called as the
replay calls it: events in order, timers at the deadlines the kernel asks for, `decide` whenever it is dirty. Orders are
acknowledged at once, unless ``held`` is set: then what rests stays as it was until `ack`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mmlab.config import Config
from mmlab.events import (
    FILL,
    MARKET,
    MAX_RUNGS,
    NEVER_NS,
    NO_PRICE,
    NS_PER_S,
    TARGET,
    FillKind,
    GateAction,
    Liquidity,
    Reason,
    Switch,
    TargetFlag,
)
from mmlab.instrument import Instrument
from mmlab.kernels import decide as kernel
from mmlab.kernels.policy import one_row, records
from mmlab.kernels.quoter import compile_quoter, no_quotes
from mmlab.params import QUOTER
from mmlab.resolve import WarmUp, resolve

START_NS = 1_700_000_000 * NS_PER_S
MARKET_X = Instrument("X", tick_size=0.01, lot_size=0.1)
NO_QUOTER = compile_quoter(no_quotes)


def measured(**changes: Any) -> WarmUp:
    """What a warm-up on a market at 100.00, two ticks wide, might have measured."""
    values: dict[str, Any] = {
        "start_ns": START_NS - 60 * NS_PER_S, "end_ns": START_NS, "mid": 100.0, "A": 0.9, "kappa": 30.0, "sigma": 0.02,
        "gamma": 0.01, "median_spread_ticks": 2.0, "median_interval_ns": 10e6, "p99_interval_ns": 50e6,
        "has_mark": True,
    }  # fmt: skip
    return WarmUp(**(values | changes))


def simple(**changes: Any) -> Config:
    """A fixed quote one tick from mid, 10 lots a quote, at most 100 lots; `changes` by dotted name."""
    plain: dict[str, Any] = {
        "strategy.model": "fixed", "strategy.order_size": 1.0, "risk.max_position": 10.0,
        "gates.age_exit.enabled": False,
    }  # fmt: skip
    return Config().with_(**(plain | changes))


@dataclass(frozen=True)
class Order:
    """A target: price in ticks, size in lots."""

    side: int
    rung: int
    ticks: int
    lots: int
    flags: int = int(TargetFlag.POST_ONLY)


@dataclass(frozen=True)
class Trigger:
    """A row of the gate log."""

    t: float
    switch: Switch
    action: GateAction
    side: int
    value: float
    threshold: float
    n: int
    effect: float
    until: float


@dataclass(frozen=True)
class Decision:
    """An outcome of `decide`."""

    t: float
    orders: tuple[Order, ...]
    reasons: tuple[Reason, Reason]
    position: int
    level: int

    def side(self, side: int) -> tuple[Order, ...]:
        """Quotes of one side, best first."""
        return tuple(o for o in self.orders if o.side == side and o.rung >= 0)


@dataclass
class Driver:
    """The kernel, its state, and an ideal exchange."""

    config: Config = field(default_factory=simple)
    instrument: Instrument = MARKET_X
    warmup: WarmUp = field(default_factory=measured)
    quoter: Callable[..., int] | None = None
    held: bool = False
    start: float = 0.0
    watch: Callable[[Driver, Decision], None] | None = None
    """Called after every decision."""

    def __post_init__(self) -> None:
        params, self.notes = resolve(self.config, self.instrument, self.warmup)
        self.p = one_row(params.dtype)
        self.p[:] = params
        self.s = kernel.new_state()
        self.call = NO_QUOTER
        if self.quoter is not None:
            self.p["quoting"]["model"] = QUOTER
            self.call = compile_quoter(self.quoter)
        self.out = records(np.zeros(2 * MAX_RUNGS + 1, TARGET))
        self.now_ns = START_NS + round(self.start * NS_PER_S)
        self.log: list[Trigger] = []
        self.decisions: list[Decision] = []
        self.working: dict[tuple[int, int], int] = {}
        self.prices: dict[tuple[int, int], int] = {}
        self.messages = 0
        self.exit: Order | None = None
        self.depth = {1: 1_000_000, -1: 1_000_000}
        self.best = (9999, 10001)
        self.reported: tuple[int, ...] = ()
        self.books: list[tuple[float, int, int, int, int]] = []
        """Time, best prices and sizes of every book."""
        self.fills: list[tuple[float, int, int, int, int]] = []
        """Time, side, ticks, lots and rung of every fill."""

    # -- time ---------------------------------------------------------------------------------------------------------

    @property
    def t(self) -> float:
        """Seconds since the start."""
        return (self.now_ns - START_NS) / NS_PER_S

    def warm(self, seconds: float = 30.0) -> Driver:
        """Let a calm market pass before the start, so that sigma is defined (at its floor)."""
        self.now_ns = START_NS - round(seconds * NS_PER_S)
        self.book(*self.best)
        while self.t < 0.0:
            self.calm(min(0.5, -self.t))
        return self

    def calm(self, seconds: float) -> Driver:
        """Time passes, and the feed says every half second that nothing has changed."""
        end_ns = self.now_ns + round(seconds * NS_PER_S)
        while self.now_ns < end_ns:
            self.until_ns(min(end_ns, self.now_ns + NS_PER_S // 2))
            kernel.on_alive(self.s, self.now_ns)
            self.settle()
        return self

    def silence(self, seconds: float) -> Driver:
        """Time passes and the feed says nothing."""
        return self.until_ns(self.now_ns + round(seconds * NS_PER_S))

    def until_ns(self, t_ns: int) -> Driver:
        """Serve every deadline up to `t_ns`."""
        while (due_ns := int(kernel.next_deadline(self.p, self.s))) <= t_ns:
            assert due_ns > self.now_ns or self.s["dirty"][0], "a deadline that never moves"
            self.now_ns = max(due_ns, self.now_ns)
            self.decide()
        self.now_ns = t_ns
        return self

    # -- market -------------------------------------------------------------------------------------------------------

    def book(
        self, bid: int, ask: int, bid_lots: int = 100, ask_lots: int = 100, after: float = 0.0, **kw: Any
    ) -> Driver:
        """New best quotes, `after` seconds from now."""
        self.until_ns(self.now_ns + round(after * NS_PER_S))
        self.best = (bid, ask)
        return self._book(bid, ask, bid_lots, ask_lots, 1, **kw)

    def lose_book(self, after: float = 0.0) -> Driver:
        """A GAP: the book is unusable."""
        self.until_ns(self.now_ns + round(after * NS_PER_S))
        return self._book(NO_PRICE, NO_PRICE, 0, 0, 0)

    def _book(self, bid: int, ask: int, bid_lots: int, ask_lots: int, valid: int, settle: bool = True) -> Driver:
        self.books.append((self.t, bid, ask, bid_lots, ask_lots))
        row = one_row(MARKET)
        for name, value in (
            ("exch_ns", self.now_ns), ("local_ns", self.now_ns), ("bid_ticks", bid), ("ask_ticks", ask),
            ("bid_lots", bid_lots), ("ask_lots", ask_lots), ("valid", valid),
        ):  # fmt: skip
            row[name] = value
        kernel.on_book(self.p, self.s, row[0])
        return self.settle() if settle else self

    def mark(self, ticks: int) -> Driver:
        """A mark price."""
        kernel.on_mark(self.p, self.s, self.now_ns, ticks)
        return self.settle()

    # -- orders and fills ---------------------------------------------------------------------------------------------

    def fill(
        self, side: int, lots: int, ticks: int | None = None, rung: int = 0, after: float = 0.0, fee: float = 0.0,
        exch_ns: int | None = None, settle: bool = True,
    ) -> Driver:  # fmt: skip
        """Our quote is hit (rung -1: the age exit trades), after a calm while."""
        self.calm(after)
        taker = rung < 0
        row, before = one_row(FILL), self.position
        price = (self.best[0 if (side > 0) != taker else 1]) if ticks is None else ticks
        valid = bool(self.s["market"]["valid"][0])
        for name, value in (
            ("exch_ns", self.now_ns if exch_ns is None else exch_ns), ("local_ns", self.now_ns), ("side", side),
            ("rung", rung), ("liquidity", Liquidity.TAKER if taker else Liquidity.MAKER),
            ("fill_kind", FillKind.TAKER if taker else FillKind.QUEUE), ("price_ticks", price), ("size_lots", lots),
            ("fee", fee), ("mid", 0.5 * sum(self.best) * self.instrument.tick_size if valid else np.nan),
            ("position_before_lots", before), ("position_after_lots", before + side * lots),
        ):  # fmt: skip
            row[name] = value
        self.fills.append((self.t, side, price, lots, rung))
        left = self.working.get((side, rung), 0) - lots
        self.working.pop((side, rung), None)
        if left > 0:
            self.working[side, rung] = left
        kernel.on_fill(self.p, self.s, row[0])
        self.report()
        return self.settle() if settle else self

    def fill_exit(self, lots: int | None = None) -> Driver:
        """The exit trades (`lots`, or all of it) and is over."""
        assert self.exit is not None, "no exit was sent"
        order, self.exit = self.exit, None
        lots = order.lots if lots is None else lots
        return self.fill(order.side, lots, rung=-1) if lots else self.report().settle()

    def lose_exit(self) -> Driver:
        """The exit is never heard of again."""
        self.exit, self.reported = None, ()
        return self

    def ack(self) -> Driver:
        """What was decided last now rests (with ``held``)."""
        self._rest(self.decisions[-1].orders)
        return self.report().settle()

    def _rest(self, orders: tuple[Order, ...]) -> None:
        working = {(o.side, o.rung): o.lots for o in orders if o.rung >= 0}
        prices = {(o.side, o.rung): o.ticks for o in orders if o.rung >= 0}
        for key in working.keys() | self.working.keys():
            same = working.get(key) == self.working.get(key) and prices.get(key) == self.prices.get(key)
            self.messages += not same
        self.working, self.prices = working, prices

    def report(self) -> Driver:
        """Tell the kernel what rests, if that has changed."""
        lots = [sum(v for (side, _), v in self.working.items() if side == k) for k in (1, -1)]
        report = (*lots, len(self.working), self.messages, int(self.exit is not None))
        if report != self.reported:
            self.reported = report
            kernel.on_orders(self.p, self.s, self.now_ns, *report)
            self.drain()
        return self

    # -- decisions ----------------------------------------------------------------------------------------------------

    def settle(self) -> Driver:
        """Decide until nothing changes any more."""
        for _ in range(20):
            self.drain()
            if not self.s["dirty"][0]:
                return self
            self.decide()
        raise AssertionError("the kernel never comes to rest")

    def decide(self) -> Decision:
        """One decision; its quotes rest at once."""
        wanted = int(kernel.wants_depth(self.s))
        if wanted:
            kernel.set_depth(self.s, self.depth[wanted])
        n = int(kernel.decide(self.p, self.s, self.now_ns, self.out, self.call))
        orders = tuple(
            Order(int(r["side"]), int(r["rung"]), int(r["price_ticks"]), int(r["size_lots"]), int(r["flags"]))
            for r in np.asarray(self.out[:n])
        )
        reasons = (Reason(int(self.s["side"][0, 0]["reasons"])), Reason(int(self.s["side"][0, 1]["reasons"])))
        level = int(self.s["ladder"]["level"][0])
        decision = Decision(self.t, orders, reasons, self.position, level)
        self.decisions.append(decision)
        if self.watch is not None:
            self.watch(self, decision)
        for order in orders:
            if order.rung < 0:
                self.exit = order
        if not self.held:
            self._rest(orders)
        self.report()
        self.drain()
        return decision

    def drain(self) -> None:
        """Read the gate log."""
        gates = self.s["gates"]
        for row in np.asarray(gates["rows"][0])[: int(gates["n"][0])]:
            until = float("inf") if row["until_ns"] == NEVER_NS else (int(row["until_ns"]) - START_NS) / NS_PER_S
            self.log.append(
                Trigger(
                    (int(row["local_ns"]) - START_NS) / NS_PER_S, Switch(int(row["switch"])),
                    GateAction(int(row["action"])), int(row["side"]), float(row["value"]), float(row["threshold"]),
                    int(row["n"]), float(row["effect"]), until,
                )
            )  # fmt: skip
        gates["n"] = 0

    # -- what one looks at --------------------------------------------------------------------------------------------

    @property
    def position(self) -> int:
        """Lots held."""
        return int(self.s["account"]["position_lots"][0])

    @property
    def last(self) -> Decision:
        """The latest decision."""
        return self.decisions[-1]

    @property
    def bid(self) -> Order | None:
        """Our best bid."""
        return next(iter(self.last.side(1)), None)

    @property
    def ask(self) -> Order | None:
        """Our best ask."""
        return next(iter(self.last.side(-1)), None)

    def reasons(self, side: int) -> Reason:
        """Why `side` is not at the model's quote."""
        return self.last.reasons[0 if side > 0 else 1]

    def triggers(self, *switches: Switch) -> list[Trigger]:
        """Log rows of these switches."""
        return [row for row in self.log if row.switch in switches]
