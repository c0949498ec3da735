"""Whether and how we take part in the market: one state for the session, one a side. Pure; time is an argument.

    STARTING ─► QUOTING ─► HALTING ─proof─► HALTED ─cause gone, conditions hold─► QUOTING
                             ▲                 └─on_halt = "reduce"─► REDUCING ─► HALTED
                             └── kernel's kill switches, the engine's own, an operator

The decision kernel has the switches that market and fills feed (`mmlab.kernels.kill`); here are those that only an
engine can see: link, rejects, mismatch, session, status, queue, task, clock, dead-man, margin, and the operator.
`blocked` is set the moment one trips, before anybody is asked to cancel anything, and holds whatever becomes of the
cancels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import IntEnum

from mmlab.events import NEVER_NS, NS_PER_S, GateAction, Reason, Switch

HALTS = int(
    Reason.LOSING | Reason.LOSS | Reason.DRAWDOWN | Reason.VOLATILITY | Reason.STALE | Reason.HARD_LIMIT | Reason.COLLAR
    | Reason.SIZE | Reason.ORDER_COUNT | Reason.MESSAGES | Reason.MARK | Reason.MANUAL
)  # fmt: skip
"""Reasons of the kernel that cancel everything."""
PAUSES = int(
    Reason.TOXIC | Reason.BURST | Reason.PULL | Reason.FLIP_SKIP | Reason.LADDER_FULL | Reason.AGE_EXIT
    | Reason.POSITION | Reason.MIN_SIZE
)  # fmt: skip
WORSENS = int(
    Reason.LADDER | Reason.COOLDOWN | Reason.FLIP_WIDEN | Reason.LIGHT_WIDEN | Reason.CUT | Reason.CLAMP
)  # fmt: skip
BROKEN = (Switch.TASK, Switch.SESSION, Switch.STATUS)
"""Switches after which nothing may be placed at all, not even to leave the position."""
NAMES = {int(reason): str(reason.name).lower() for reason in Reason}
WINDOW_NS = 60 * NS_PER_S


class Trading(IntEnum):
    """What the session does."""

    STARTING = 0
    QUOTING = 1
    HALTING = 2
    HALTED = 3
    REDUCING = 4


class SideState(IntEnum):
    """What one side does."""

    OFF = 0
    QUOTING = 1
    WORSENED = 2
    PAUSED = 3
    HALTED = 4


class Order(IntEnum):
    """What the order manager is to be told."""

    KILL = 0
    REARM = 1
    REDUCE = 2
    """Re-arm, for orders that reduce only."""


OFF, HALTED, PAUSED, WORSENED, QUOTING = (
    SideState.OFF, SideState.HALTED, SideState.PAUSED, SideState.WORSENED, SideState.QUOTING,
)  # fmt: skip
TRADING = Trading.QUOTING


@dataclass(frozen=True)
class SwitchRule:
    """How a switch trips.

    ``first_ns``: first duration, doubling to ``cap_ns`` by repeats within ``memory_ns``; ``max_rearms``: after as many
    the next trip latches; ``latch``: only an operator re-arms; ``free_first``: the first trip within memory only backs
    off, which the order manager has done.
    """

    first_ns: int = 0
    cap_ns: int = 0
    max_rearms: int = 1 << 30
    latch: bool = False
    free_first: bool = False


@dataclass(frozen=True)
class ParticipationRules:
    """Rules of all switches, and what a re-arm needs."""

    fresh_ns: int = 2 * NS_PER_S
    memory_ns: int = 60 * NS_PER_S
    halt_ns: int = 60 * NS_PER_S
    max_rearms: int = 2
    reconnects_per_min: int = 5
    reduce: bool = False

    def of(self, switch: Switch) -> SwitchRule:
        """Rule of one switch."""
        if switch in (Switch.STATUS, Switch.LINK, Switch.DEAD_MAN):
            return SwitchRule(self.fresh_ns, self.halt_ns)
        if switch == Switch.REJECTS:
            return SwitchRule(self.halt_ns, self.halt_ns, self.max_rearms, free_first=True)
        if switch in (Switch.QUEUE, Switch.COLLAR, Switch.CLOCK, Switch.MARGIN):
            return SwitchRule(self.halt_ns, self.halt_ns, self.max_rearms)
        return SwitchRule(latch=True)


@dataclass
class EngineSwitch:
    """One switch of the engine."""

    switch: Switch
    active: bool = False
    cause: bool = False
    latched: bool = False
    until_ns: int = 0
    tripped_ns: int = -NEVER_NS
    duration_ns: int = 0
    trips: int = 0
    detail: str = ""


@dataclass(frozen=True)
class Trigger:
    """A trip or re-arm, for the gates table."""

    local_ns: int
    switch: Switch
    action: GateAction
    value: float = math.nan
    threshold: float = math.nan
    n: int = 0
    effect_s: float = 0.0
    until_ns: int = 0
    detail: str = ""


@dataclass
class Participation:
    """The state machine. Facts come in by methods, `step` says what follows."""

    rules: ParticipationRules
    trading: Trading = Trading.STARTING
    blocked: bool = True
    sides: list[SideState] = field(default_factory=lambda: [SideState.OFF, SideState.OFF])
    switches: dict[Switch, EngineSwitch] = field(default_factory=dict)
    triggers: list[Trigger] = field(default_factory=list)
    why: str = "starting"
    linked: bool = False
    reconciled: bool = False
    proven: bool = True
    flat: bool = True
    stopping: bool = False
    flattening: bool = False
    """An operator, or the stop, wants the position left, halted or not."""
    valid_since_ns: int = NEVER_NS
    _kernel: int = 0
    _links: list[int] = field(default_factory=list)
    _free: dict[Switch, int] = field(default_factory=dict)

    # --- Facts -------------------------------------------------------------------------------------------------------

    def book(self, *, valid: bool, now_ns: int) -> None:
        """The newest book."""
        if not valid:
            self.valid_since_ns = NEVER_NS
        elif self.valid_since_ns == NEVER_NS:
            self.valid_since_ns = now_ns

    def link(self, *, up: bool, now_ns: int) -> None:
        """The link to the venue came or went."""
        if up:
            self._links = [t for t in self._links if t > now_ns - WINDOW_NS] + [now_ns]
            self.clear(Switch.LINK)
            n, limit = len(self._links) - 1, self.rules.reconnects_per_min
            if n > limit:
                self._reconnects(now_ns, n, limit)
        elif self.linked:
            self.trip(Switch.LINK, now_ns, detail="link lost", cause=True)
        self.linked, self.reconciled = up, False

    def _reconnects(self, now_ns: int, n: int, limit: int) -> None:
        """Too many of them: halt for longer than one lost link does."""
        detail, known = "reconnects a minute", len(self.triggers)
        self.trip(Switch.LINK, now_ns, float(n), float(limit), n, detail)
        sw = self.switches[Switch.LINK]
        sw.until_ns, sw.detail = now_ns + self.rules.halt_ns, detail
        seconds = self.rules.halt_ns / NS_PER_S
        self.triggers[known:] = [
            Trigger(now_ns, Switch.LINK, GateAction.TRIP, float(n), float(limit), n, seconds, sw.until_ns, detail)
        ]

    def decided(self, bid_reasons: int, ask_reasons: int, *, quoting: tuple[bool, bool]) -> None:
        """A decision of the kernel."""
        self._kernel = bid_reasons & ask_reasons & HALTS
        for k, reasons in enumerate((bid_reasons, ask_reasons)):
            self.sides[k] = self._side(reasons, quoting=quoting[k])

    def _side(self, reasons: int, *, quoting: bool) -> SideState:
        if self.blocked or reasons & HALTS:
            return HALTED if self.trading != Trading.STARTING else OFF
        if not quoting:
            return PAUSED if reasons & PAUSES else OFF
        return WORSENED if reasons & WORSENS else QUOTING

    def trip(
        self, switch: Switch, now_ns: int, value: float = math.nan, threshold: float = math.nan, n: int = 0,
        detail: str = "", *, cause: bool = False,
    ) -> bool:  # fmt: skip
        """A switch of the engine trips; False if this time it only backs off. ``cause``: holds until `clear`."""
        rule, sw = self.rules.of(switch), self.switches.setdefault(switch, EngineSwitch(switch))
        if rule.free_first and now_ns - self._free.get(switch, -NEVER_NS) > self.rules.memory_ns:
            self._free[switch] = now_ns
            self.triggers.append(Trigger(now_ns, switch, GateAction.PAUSE, value, threshold, n, detail=detail))
            return False
        self.blocked = True
        if sw.active:
            sw.cause = sw.cause or cause
            return True
        repeated = now_ns - sw.tripped_ns <= self.rules.memory_ns + sw.duration_ns
        sw.duration_ns = min(rule.cap_ns, 2 * sw.duration_ns) if repeated and sw.duration_ns else rule.first_ns
        sw.active, sw.cause, sw.tripped_ns, sw.detail = True, cause, now_ns, detail
        sw.latched = rule.latch or sw.trips >= rule.max_rearms
        sw.trips += 1
        sw.until_ns = now_ns + sw.duration_ns
        action = GateAction.LATCH if sw.latched else GateAction.TRIP
        seconds = sw.duration_ns / NS_PER_S
        self.triggers.append(Trigger(now_ns, switch, action, value, threshold, n, seconds, sw.until_ns, detail))
        return True

    def clear(self, switch: Switch) -> None:
        """The cause of a switch is gone; its time still runs."""
        if switch in self.switches:
            self.switches[switch].cause = False

    def has_cause(self, switch: Switch) -> bool:
        """Whether what tripped a switch is there still."""
        return switch in self.switches and self.switches[switch].cause

    def operator_rearm(self) -> None:
        """Unlatch everything; the conditions of a re-arm still have to hold."""
        for sw in self.switches.values():
            sw.latched, sw.until_ns = False, 0

    @property
    def calm(self) -> bool:
        """Whether `step` has nothing to say."""
        return self.trading == TRADING and not (self.blocked or self._kernel or self.stopping)

    # --- What follows ------------------------------------------------------------------------------------------------

    def step(self, now_ns: int) -> list[Order]:
        """Advance; returns what the order manager is to be told."""
        self._release(now_ns)
        active = [sw for sw in self.switches.values() if sw.active]
        if active or self._kernel or self.stopping or self.trading != Trading.QUOTING:
            self.why = self._explain(active)
        if active or self._kernel or self.stopping:
            return self._down(may_reduce=not self.flat and self._may_reduce(active))
        return self._up(now_ns)

    def _may_reduce(self, active: list[EngineSwitch]) -> bool:
        """Whether orders that only reduce the position may leave in spite of a halt."""
        if self.broken or self.stopping or not (self.linked and self.reconciled):
            return False
        by_kernel = self._kernel != 0 and all(sw.switch == Switch.MANUAL for sw in active)
        return self.flattening or (self.rules.reduce and by_kernel)

    def _down(self, *, may_reduce: bool) -> list[Order]:
        going_on = self.trading == Trading.REDUCING and may_reduce and not self.blocked  # blocked: a new trip
        if going_on:
            return []
        if self.trading not in (Trading.HALTING, Trading.HALTED):
            self.trading, self.blocked, self.proven = Trading.HALTING, True, False
            return [Order.KILL]
        self.blocked = True
        if self.trading == Trading.HALTING and self.proven:
            self.trading = Trading.HALTED
        if self.trading == Trading.HALTED and may_reduce:
            self.trading, self.blocked = Trading.REDUCING, False
            return [Order.REDUCE]
        return []

    def _up(self, now_ns: int) -> list[Order]:
        if self.trading == Trading.QUOTING or not (self.linked and self.reconciled):
            return []
        if self.trading != Trading.STARTING and now_ns - self.valid_since_ns < self.rules.fresh_ns:
            return []
        first, self.trading, self.blocked, self.why = self.trading == Trading.STARTING, Trading.QUOTING, False, ""
        return [] if first else [Order.REARM]

    def _release(self, now_ns: int) -> None:
        """Re-arm the engine's switches, all at once, when none is running."""
        active = [sw for sw in self.switches.values() if sw.active]
        if not active or any(sw.latched or sw.cause or now_ns < sw.until_ns for sw in active):
            return
        if not (self.linked and self.reconciled) or now_ns - self.valid_since_ns < self.rules.fresh_ns:
            return
        for sw in active:
            sw.active = False
            self.triggers.append(Trigger(now_ns, sw.switch, GateAction.REARM))

    def _explain(self, active: list[EngineSwitch]) -> str:
        names = [sw.switch.name.lower() + (f": {sw.detail}" if sw.detail else "") for sw in active]
        known = {sw.switch.name.lower() for sw in active}  # the kernel has an operator's halt too
        names += [name for bit, name in NAMES.items() if bit & self._kernel and name not in known]
        if self.stopping:
            names.append("stopping")
        if not names and self.trading == Trading.STARTING:
            names = ["starting"]
        return ", ".join(names)

    def next_deadline(self, now_ns: int) -> int:
        """When, after now, `step` may say something by the passing of time alone, ns."""
        if self.trading == Trading.QUOTING:
            return NEVER_NS
        times = [sw.until_ns for sw in self.switches.values() if sw.active and not sw.latched]
        if self.valid_since_ns != NEVER_NS:
            times.append(self.valid_since_ns + self.rules.fresh_ns)
        return min((t for t in times if t > now_ns), default=NEVER_NS)

    @property
    def broken(self) -> bool:
        """Whether not even an exit may be placed."""
        return any(sw.switch in BROKEN for sw in self.switches.values() if sw.active)

    @property
    def latched(self) -> bool:
        """Whether only an operator can bring us back."""
        return any(sw.latched for sw in self.switches.values() if sw.active)
