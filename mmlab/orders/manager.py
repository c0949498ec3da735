"""The order manager: `handle(event) -> list[Command]`.

Pure: no clock, no chance, no I/O. An event is applied (state only), then the manager reacts (commands only). It never
raises for what a venue, a network or a strategy does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mmlab.events import NEVER_NS
from mmlab.orders import events as e
from mmlab.orders.checks import admit
from mmlab.orders.commands import AnyCommand
from mmlab.orders.feed import on_position, on_report, on_trade
from mmlab.orders.order import Order
from mmlab.orders.planner import IOC
from mmlab.orders.react import react
from mmlab.orders.reconcile import on_link_down, on_link_up, on_query_failed, on_snapshot
from mmlab.orders.replies import (
    on_ack,
    on_nonce,
    on_refused,
    on_send_failed,
    on_sign_failed,
    on_signed,
    on_unclear,
)
from mmlab.orders.settings import OrderSettings
from mmlab.orders.state import State
from mmlab.orders.timers import expire, next_deadline


class OrderManager:
    """Takes our orders at the venue to where the strategy wants them, and knows what they are meanwhile.

    Parameters
    ----------
    settings : OrderSettings
        Limits, times, habits, the venue's rules.
    start_ns : int
        When this life begins.
    """

    def __init__(self, settings: OrderSettings, start_ns: int) -> None:
        self.state = State(settings, start_ns)

    def handle(self, event: e.AnyEvent) -> list[AnyCommand]:
        """Apply `event`, then say what is to be done. Something malformed is reported and otherwise no event."""
        s = self.state
        s.out = []
        sound = admit(s, event)
        expire(s)
        if sound is not None:
            APPLY[type(sound)](s, sound)
        react(s, quiet=type(event) in QUIET and not s.out)
        return s.out

    def next_deadline(self) -> int | None:
        """When a `Timer` is due, ns; None if nothing waits for time."""
        due = next_deadline(self.state)
        return None if due >= NEVER_NS else max(due, self.state.now_ns)

    @property
    def position_lots(self) -> int:
        """Our position as far as is known."""
        return self.state.position_lots

    @property
    def orders(self) -> list[Order]:
        """Working orders."""
        return list(self.state.orders.working.values())


QUIET = (e.Top, e.Targets)
"""Events that touch no order."""


def on_top(s: State, event: e.Top) -> None:
    """The newest book. Plans depend on it only where it forbids something."""
    s.top = event
    if s.guarded:
        s.dirty = True


def on_targets(s: State, event: e.Targets) -> None:
    """The newest decision."""
    if s.halted:
        return
    s.exits = [quote for quote in event.quotes if quote.flags & IOC]
    quotes = tuple(quote for quote in event.quotes if not quote.flags & IOC) if s.exits else event.quotes
    if quotes != s.quotes or s.exits:
        s.quotes, s.dirty = quotes, True


def on_timer(s: State, event: e.Timer) -> None:
    """Time alone: `expire` has done it."""


def on_kill(s: State, event: e.Kill) -> None:
    """Cancel all, and no new order."""
    s.counts["kill"] += 1
    s.halt()


def on_rearm(s: State, event: e.Rearm) -> None:
    """Quote again."""
    s.halted, s.proven, s.sweep, s.dirty = False, True, False, True


def on_cancel_all(s: State, event: e.CancelAll) -> None:
    """Cancel all; the next targets quote again."""
    s.quotes, s.exits, s.sweep, s.dirty = (), [], True, True


def on_reduce_only(s: State, event: e.ReduceOnly) -> None:
    """Only orders that reduce the position, or no longer."""
    s.reduce_only, s.dirty = event.on, True
    s.risk += 1


def on_configure(s: State, event: e.Configure) -> None:
    """New settings."""
    s.settings = event.settings
    s.tokens.rule, s.quota.rule, s.retries.rule = (
        event.settings.venue.rate,
        event.settings.venue.quota,
        event.settings.retry,
    )
    s.dirty = True
    s.risk += 1


APPLY: dict[type, Callable[[State, Any], None]] = {
    e.Top: on_top, e.Targets: on_targets, e.Timer: on_timer, e.Kill: on_kill, e.Rearm: on_rearm,
    e.CancelAll: on_cancel_all, e.ReduceOnly: on_reduce_only, e.Configure: on_configure, e.LinkUp: on_link_up,
    e.LinkDown: on_link_down, e.Signed: on_signed, e.SignFailed: on_sign_failed, e.SendFailed: on_send_failed,
    e.Ack: on_ack, e.Refused: on_refused, e.Unclear: on_unclear, e.OrderReport: on_report, e.Trade: on_trade,
    e.PositionReport: on_position, e.Snapshot: on_snapshot, e.NonceReport: on_nonce, e.QueryFailed: on_query_failed,
}  # fmt: skip
"""Event type -> what it changes."""
