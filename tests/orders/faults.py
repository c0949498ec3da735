"""What network, venue and chance did to us, counted a kind: a swarm that never loses an answer tests nothing."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import zip_longest

from mmlab.events import NS_PER_MS
from mmlab.exchange import TxKind
from mmlab.orders import events as e
from mmlab.orders.commands import Query, Sign
from tests.orders.model_venue import BACKOFF, FATAL_ORDER, FATAL_SESSION, NONCE, NOW, ORDERS

REPLIES = (e.Ack, e.Refused, e.Unclear, e.SendFailed)
FEED = (e.OrderReport, e.Trade, e.PositionReport)
CODES = {
    NOW: "retryable_now", BACKOFF: "retryable_backoff", NONCE: "resync_nonce", ORDERS: "resync_orders",
    FATAL_ORDER: "fatal_order", FATAL_SESSION: "fatal_session",
}  # fmt: skip
OWN_REFUSALS = {NONCE: "nonce_gap", BACKOFF: "rate_limit", ORDERS: "order_is_dead"}
"""What the venue refuses by its own rules."""
DELAYS_MS = (1, 10, 100, 1000, 10_000)

EVERY = (
    *(f"{what}_{kind}" for kind in ("ack", "update", "view") for what in ("dropped", "duplicated", "reordered")),
    *(f"took_{ms}_ms" for ms in DELAYS_MS[:-1]),
    "reordered_send", "dropped_send", "failed_send", "unclear_send", "dropped_signature", "failed_signature",
    "dropped_query", "failed_query", "partial_view", "lost_after_flight",
    *(f"refused_{name}" for name in (*CODES.values(), "unknown")), *OWN_REFUSALS.values(),
    "rejected_later", "vanished_later", "partial_fill", "fill", "cancel_fill_race", "expiry", "update_while_down",
    "unheard_book", "stale_book", "disconnect", "crash", "venue_restart_cancels", "venue_restart_keeps", "nonsense",
)  # fmt: skip
"""Every kind of trouble that a long run must have met."""


@dataclass(slots=True, eq=False)
class Message:
    """Something on its way. ``to``: signer, venue, core (accepted, not executed yet) or us."""

    to: str
    body: object
    born_ns: int
    epoch: int
    life: int
    by: int  # flight ends


def kind_of(message: Message) -> str:
    """What a message is to the one who waits for it."""
    if message.to == "us":
        return "ack" if isinstance(message.body, REPLIES) else "update" if isinstance(message.body, FEED) else "view"
    if message.to == "signer":
        return "signature"
    if message.to == "core":
        return "execution"
    return "query" if type(message.body) is Query else "send"


NAMES = {
    "lost": "dropped", "twice": "duplicated", "failed": "failed", "unclear": "unclear", "fail": "rejected_later",
    "silent": "vanished_later",
}  # fmt: skip
FATES = {
    "ack": ("lost", "twice"), "update": ("lost", "twice"), "view": ("lost", "twice"),
    "signature": ("lost", "failed"), "execution": ("fail", "silent"), "query": ("lost", "failed", "unclear"),
    "send": ("lost", "failed", "unclear", "fail", "silent"),
}  # fmt: skip
"""Fates that mean something to a kind of message; any other is none."""


def count_fate(faults: Counter[str], wire: list[Message], i: int, fate: str, now_ns: int) -> None:
    """Message `i` is about to meet `fate`."""
    message = wire[i]
    kind = kind_of(message)
    if fate in FATES[kind]:
        name = NAMES[fate]
        if kind == "query" and fate == "unclear":
            name = "failed"
        faults[name if name.endswith("later") else f"{name}_{kind}"] += 1
    elif kind == "query" and fate != "ok":
        faults["partial_view"] += message.body.what == "full"
    if any(kind_of(other) == kind for other in wire[:i]):
        faults[f"reordered_{kind}"] += 1
    took = now_ns - message.born_ns
    faults[f"took_{next((ms for ms in DELAYS_MS if took <= ms * NS_PER_MS), DELAYS_MS[-1])}_ms"] += 1


def count_feed(faults: Counter[str], feed: list, wire: list[Message], *, linked: bool) -> None:
    """What the venue is about to report."""
    for item, after in zip_longest(feed, feed[1:]):
        faults["update_while_down"] += not linked
        if not isinstance(item, e.Fill):
            continue
        faults["fill"] += 1
        faults["partial_fill"] += isinstance(after, e.OrderView) and after.status == "open"
        faults["cancel_fill_race"] += any(
            type(m.body) is Sign
            and m.to in ("venue", "core")
            and (
                m.body.kind == TxKind.CANCEL_ALL
                or (m.body.kind == TxKind.CANCEL and m.body.client_id == item.client_id)
            )
            for m in wire
        )


def refusal_name(code: int, injected: int) -> str:
    """Name of a refusal: the venue's own, or one for no reason."""
    return f"refused_{CODES.get(code, 'unknown')}" if injected else OWN_REFUSALS[code]
