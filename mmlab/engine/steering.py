"""Participation acting on a session: what the state machine says is told to order manager, kernel, files and log."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from mmlab.engine.decider import Decider
from mmlab.engine.participation import Order, Participation, Trading, Trigger
from mmlab.engine.setup import Setup
from mmlab.events import BID, GATE, NS_PER_S, GateAction, Switch
from mmlab.kernels.policy import one_row
from mmlab.orders import events as e
from mmlab.orders.commands import Halted, Trip

SWITCH_OF = {"rejects": Switch.REJECTS, "retries": Switch.REJECTS, "session": Switch.SESSION,
             "mismatch": Switch.MISMATCH, "collar": Switch.COLLAR}  # fmt: skip
ALARM_NS = 60 * NS_PER_S
LOGGED = (GateAction.TRIP, GateAction.LATCH, GateAction.REARM, GateAction.OBSERVE)
"""Actions of the kernel that are logged; the others, which gates take all the time, stand in the gates table only."""


class Steering:
    """Owns the participation of one session.

    Parameters
    ----------
    setup : Setup
        Rules, files, log.
    decider : Decider
        Has the kernel's own switches.
    now : callable
        The session's time, ns.
    report : callable
        Takes events for the order manager.
    do : callable
        Has something done between two decisions.
    """

    def __init__(
        self, setup: Setup, decider: Decider, now: Callable[[], int], report: Callable[[e.AnyEvent], object],
        do: Callable[[Callable[[], object]], object],
    ) -> None:  # fmt: skip
        self.state = Participation(setup.participation())
        self._setup, self._decider, self._now, self._report, self._do = setup, decider, now, report, do
        self._alarm_ns = 0
        self.acted: Counter[tuple[str, str]] = Counter()
        """What kill switches and gates did so far, by name and action."""

    def barred(self) -> str:
        """Why nothing that may open risk is to leave; "" if it may."""
        return (self.state.why or "halted") if self.state.blocked else ""

    def step(self) -> None:
        """Advance, and tell the order manager what follows."""
        before = self.state.trading
        for order in self.state.step(self._now()):
            now_ns = self._now()
            if order == Order.KILL:
                self._report(e.Kill(now_ns, self.state.why))
            else:
                self._report(e.ReduceOnly(now_ns, order == Order.REDUCE))
                self._report(e.Rearm(now_ns))
                self._do(self._decider.nudge)
        self.write_triggers()
        if self.state.trading != before:
            self._setup.log.info("trading", ts_ns=self._now(), state=self.state.trading.name.lower(),
                                 why=self.state.why)  # fmt: skip

    def step_soon(self) -> None:
        """Step once the present event is handled: the order manager is not called from within."""
        asyncio.get_running_loop().call_soon(self.step)

    def trip(self, switch: Switch, detail: str = "", *, cause: bool = False, value: float = np.nan) -> None:
        """A switch of the engine trips: blocked from now, told to the order manager soon."""
        self.state.trip(switch, self._now(), value, detail=detail, cause=cause)
        self.step_soon()

    def cleared(self, switch: Switch) -> None:
        """The cause of a switch is gone, if it was there."""
        if self.state.has_cause(switch):
            self.state.clear(switch)
            self.step_soon()

    def heavy_side(self, side: int, away_bps: float, least_bps: float) -> None:
        """The side that would add to the position goes off, near its liquidation; 0: none does any more."""
        now_ns = self._now()
        if not side:
            self._setup.log.warning("switch", ts_ns=now_ns, switch="margin", action="resume", detail="both sides again")
            return
        detail = f"{'bid' if side == BID else 'ask'} side off: liquidation is {away_bps:.0f} bps away"
        self.state.triggers.append(Trigger(now_ns, Switch.MARGIN, GateAction.PAUSE, away_bps, least_bps, detail=detail))
        self.write_triggers()

    def tripped(self, trip: Trip) -> None:
        """The order manager says that something is wrong."""
        self.trip(SWITCH_OF[trip.switch], trip.detail)

    def halted(self, halted: Halted) -> None:
        """The book is proven empty of ours."""
        self.state.proven = True
        self._setup.log.info("halted", ts_ns=halted.ts_ns, position_lots=halted.position_lots, why=self.state.why)
        self.step_soon()

    def status(self, *, trading: bool, reason: str) -> None:
        """Whether the venue trades."""
        self._setup.log.warning("venue_status", ts_ns=self._now(), trading=trading, reason=reason)
        if trading:
            self.cleared(Switch.STATUS)
        else:
            self.trip(Switch.STATUS, reason or "not trading", cause=True)

    def kill(self, reason: str) -> None:
        """An operator halts, latched."""
        self.state.trip(Switch.MANUAL, self._now(), detail=reason)
        self.step()
        self._do(partial(self._decider.halt, self._now()))

    def rearm(self) -> None:
        """An operator re-arms; the conditions of every re-arm still have to hold."""
        self.state.operator_rearm()
        self._do(partial(self._decider.rearm, self._now()))
        self.step()

    def alarm(self, position_lots: int) -> None:
        """Say again and again that a position is open while nothing may trade."""
        now_ns = self._now()
        if position_lots and self.state.trading == Trading.HALTED and now_ns >= self._alarm_ns:
            self._alarm_ns = now_ns + ALARM_NS
            self._setup.log.error("position_open_while_halted", ts_ns=now_ns, position_lots=position_lots,
                                  why=self.state.why)  # fmt: skip

    def write_triggers(self) -> None:
        """Trips and re-arms go to the gates table and the log."""
        triggers, self.state.triggers = self.state.triggers, []
        for trigger in triggers:
            self._setup.log.warning("switch", ts_ns=trigger.local_ns, switch=trigger.switch.name.lower(),
                                    action=trigger.action.name.lower(), detail=trigger.detail)  # fmt: skip
            self.acted[trigger.switch.name.lower(), trigger.action.name.lower()] += 1
            self._setup.record("gates", gate_row(trigger))

    def kernel_acted(self, rows: np.ndarray[Any, Any]) -> None:
        """Gates and kill switches of the kernel acted: counted, and its kill switches logged."""
        for local_ns, switch, action, side, value, threshold, n, effect, _ in rows.tolist():
            if switch == Switch.MANUAL:
                continue  # told by the engine's own
            name, done = Switch(switch).name.lower(), GateAction(action)
            self.acted[name, done.name.lower()] += 1
            if done in LOGGED:
                self._setup.log.warning("switch", ts_ns=local_ns, switch=name, action=done.name.lower(),
                                        side={1: "bid", -1: "ask"}.get(side, "both"), value=value,
                                        threshold=threshold, n=n, effect_s=effect)  # fmt: skip


def gate_row(trigger: Trigger) -> np.ndarray[Any, Any]:
    """A `GATE` row."""
    row = one_row(GATE)
    row[0] = (trigger.local_ns, trigger.switch, trigger.action, 0, trigger.value, trigger.threshold, trigger.n,
              trigger.effect_s, trigger.until_ns)  # fmt: skip
    return row
