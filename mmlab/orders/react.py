"""React: from what is believed to commands. Send what is signed, plan, ask."""

from __future__ import annotations

from mmlab.events import NEVER_NS
from mmlab.orders.planning import replan, sweep
from mmlab.orders.sending import send_signed
from mmlab.orders.state import State
from mmlab.orders.timers import ask, look_ahead


def react(s: State, *, quiet: bool) -> None:
    """Say everything that has to be said now. `quiet`: the event itself changed nothing about orders."""
    said = len(s.out)
    if s.linked:
        if not quiet:
            send_signed(s)
        if s.dirty:
            s.dirty = s.guarded = s.starved = s.waits = False
            s.wake_ns = NEVER_NS
            if s.sweep:
                sweep(s)
            replan(s)
            send_signed(s)
    if not quiet or len(s.out) > said:
        look_ahead(s)
    ask(s)
