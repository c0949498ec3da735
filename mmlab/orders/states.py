"""The life cycle of an order, as one table.

Two rules: everything that moves an order from state to state is a `Step` and goes through `TRANSITIONS`; this file
knows neither venues nor commands. A step that a state does not list is illegal: it is refused, counted and reported as
data by `mmlab.orders.moves`, and never raised, since venues do send such things. Steps that lead back to the same state
are what may rightly come late or twice.

Filled and canceled are reached only when every lot is accounted for by trades; until then a dead order is `draining`.
`docs/orders.md` draws this table.
"""

from __future__ import annotations

from enum import IntEnum

from mmlab.events import OrderState as S


class Step(IntEnum):
    """What happens to an order."""

    SIGN = 0  # its payload is signed
    UNSIGN = 1  # the payload is void: another nonce is needed
    WITHDRAW = 2  # given up before it was sent, or surely never sent
    SEND = 3  # handed to the sender
    ACCEPT = 4  # the venue accepted the transaction
    OPEN = 5  # seen in the book, nothing filled
    PARTIAL = 6  # seen in the book or in a trade, some lots filled
    MODIFYING = 7  # a modify was asked for
    CANCELING = 8  # a cancel was asked for
    RELEASE = 9  # the change that was in flight is over, the order rests
    DOUBT = 10  # no answer in time, an unclear one, a lost link, a refused cancel
    DRAIN = 11  # the venue says it is over, but trades are still missing
    FILL = 12  # all lots filled
    CANCEL = 13  # over, the rest canceled
    REJECT = 14  # the venue never let it in
    EXPIRE = 15


_ENDS = {Step.DRAIN: S.DRAINING, Step.FILL: S.FILLED, Step.CANCEL: S.CANCELED, Step.EXPIRE: S.EXPIRED}
_IN_FLIGHT = {
    Step.OPEN: S.LIVE, Step.PARTIAL: S.PARTIALLY_FILLED, Step.MODIFYING: S.MODIFY_PENDING,
    Step.CANCELING: S.CANCEL_PENDING, Step.DOUBT: S.UNKNOWN, Step.REJECT: S.REJECTED, **_ENDS,
}  # fmt: skip


def _late(state: S, *steps: Step) -> dict[Step, S]:
    """Steps that may come late or twice and change nothing."""
    return dict.fromkeys(steps, state)


TRANSITIONS: dict[S, dict[Step, S]] = {
    S.PLANNED: {Step.SIGN: S.SIGNED, Step.WITHDRAW: S.CANCELED, **_late(S.PLANNED, Step.UNSIGN)},
    S.SIGNED: {Step.SEND: S.SENT, Step.UNSIGN: S.PLANNED, Step.WITHDRAW: S.CANCELED},
    S.SENT: {**_IN_FLIGHT, Step.ACCEPT: S.ACCEPTED, Step.WITHDRAW: S.CANCELED},
    S.ACCEPTED: {**_IN_FLIGHT, **_late(S.ACCEPTED, Step.ACCEPT)},
    S.LIVE: {
        Step.PARTIAL: S.PARTIALLY_FILLED, Step.MODIFYING: S.MODIFY_PENDING, Step.CANCELING: S.CANCEL_PENDING,
        Step.DOUBT: S.UNKNOWN, **_ENDS, **_late(S.LIVE, Step.ACCEPT, Step.OPEN, Step.RELEASE),
    },
    S.PARTIALLY_FILLED: {
        Step.MODIFYING: S.MODIFY_PENDING, Step.CANCELING: S.CANCEL_PENDING, Step.DOUBT: S.UNKNOWN, **_ENDS,
        **_late(S.PARTIALLY_FILLED, Step.ACCEPT, Step.OPEN, Step.PARTIAL, Step.RELEASE),
    },
    S.MODIFY_PENDING: {
        Step.RELEASE: S.LIVE, Step.CANCELING: S.CANCEL_PENDING, Step.DOUBT: S.UNKNOWN, Step.REJECT: S.REJECTED,
        Step.WITHDRAW: S.CANCELED, **_ENDS,
        **_late(S.MODIFY_PENDING, Step.ACCEPT, Step.OPEN, Step.PARTIAL),
    },
    S.CANCEL_PENDING: {
        Step.RELEASE: S.LIVE, Step.DOUBT: S.UNKNOWN, Step.REJECT: S.REJECTED, Step.WITHDRAW: S.CANCELED, **_ENDS,
        **_late(S.CANCEL_PENDING, Step.ACCEPT, Step.OPEN, Step.PARTIAL, Step.CANCELING),
    },
    S.UNKNOWN: {
        Step.ACCEPT: S.ACCEPTED, Step.OPEN: S.LIVE, Step.PARTIAL: S.PARTIALLY_FILLED, Step.RELEASE: S.LIVE,
        Step.CANCELING: S.CANCEL_PENDING, Step.REJECT: S.REJECTED, Step.WITHDRAW: S.CANCELED, **_ENDS,
        **_late(S.UNKNOWN, Step.DOUBT),
    },
    S.DRAINING: {
        Step.FILL: S.FILLED, Step.CANCEL: S.CANCELED, Step.EXPIRE: S.EXPIRED,
        **_late(S.DRAINING, Step.ACCEPT, Step.OPEN, Step.PARTIAL, Step.DRAIN),
    },
    S.FILLED: _late(S.FILLED, Step.ACCEPT, Step.OPEN, Step.PARTIAL, Step.FILL),
    S.CANCELED: _late(S.CANCELED, Step.ACCEPT, Step.OPEN, Step.PARTIAL, Step.CANCEL),
    S.REJECTED: _late(S.REJECTED, Step.REJECT),
    S.EXPIRED: _late(S.EXPIRED, Step.ACCEPT, Step.OPEN, Step.PARTIAL, Step.EXPIRE),
}  # fmt: skip
"""State -> step -> next state; what is absent is illegal."""

NEXT: list[list[S | None]] = [[TRANSITIONS[state].get(step) for step in Step] for state in S]
"""The same, dense: ``NEXT[state][step]``."""


def _flags(*states: S) -> list[bool]:
    return [state in states for state in S]


TERMINAL = _flags(S.FILLED, S.CANCELED, S.REJECTED, S.EXPIRED)
"""By state: nothing more will happen."""
MAY_REST = [not (end or state == S.DRAINING) for end, state in zip(TERMINAL, S, strict=True)]
"""By state: in the worst case the order rests in the book, now or soon."""
UNSENT = _flags(S.PLANNED, S.SIGNED)
"""By state: surely not at the venue."""
PENDING = _flags(
    S.PLANNED, S.SIGNED, S.SENT, S.ACCEPTED, S.CANCEL_PENDING, S.MODIFY_PENDING, S.UNKNOWN, S.DRAINING
)  # fmt: skip
"""By state: not yet live, or with something unsettled."""
REPLAN = _flags(S.CANCEL_PENDING, S.UNKNOWN, S.DRAINING, S.FILLED, S.CANCELED, S.REJECTED, S.EXPIRED)
"""By state: to come here or to leave is not part of any plan. (That an order goes live is.)"""
RESTING = _flags(S.LIVE, S.PARTIALLY_FILLED)
"""By state: in the book, with nothing in flight."""
