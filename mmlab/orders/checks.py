"""What an event must be before it is believed: right types, whole numbers, sane ranges. Looked at once, at the door.

A malformed event is counted and reported (`bad_...`), never raised and never applied. What is applied in its place is
what may safely be concluded from it: a bad book is no book, a bad answer an unclear one, a bad view no view.
"""

from __future__ import annotations

from collections.abc import Callable
from numbers import Integral
from typing import Any

import msgspec

from mmlab.events import MAX_RUNGS, NO_PRICE
from mmlab.exchange import Fill, OrderView
from mmlab.orders import events as e
from mmlab.orders.planner import IOC
from mmlab.orders.settings import OrderSettings
from mmlab.orders.state import State

FAR = 1 << 62
"""No price, size, id, nonce or time of sense is as large."""
STATUS = ("open", "filled", "canceled", "rejected", "expired")
LONGEST_NS = 24 * 3600 * 10**9
"""Longest wait that a venue may ask for."""


def whole(value: object, low: int = 0, high: int = FAR) -> bool:
    """Whether `value` is a whole number in [low, high)."""
    return (type(value) is int or isinstance(value, Integral)) and low <= value < high  # type: ignore[operator]


def a_side(value: object) -> bool:
    """Whether `value` is bid or ask."""
    return whole(value, -1, 2) and value != 0


def view_ok(view: object) -> bool:
    """Whether this can be an order."""
    return (
        isinstance(view, OrderView)
        and whole(view.client_id)
        and whole(view.order_index)
        and a_side(view.side)
        and whole(view.price_ticks)
        and whole(view.size_lots)
        and whole(view.filled_lots)
        and view.filled_lots <= view.size_lots
        and view.status in STATUS
        and whole(view.seq)
        and whole(view.reason)
        and whole(view.flags)
    )


def fill_ok(fill: object) -> bool:
    """Whether this can be a trade."""
    return (
        isinstance(fill, Fill)
        and whole(fill.trade_id, 1)
        and whole(fill.client_id)
        and a_side(fill.side)
        and whole(fill.price_ticks)
        and whole(fill.size_lots, 1)
        and whole(fill.order_index)
        and whole(fill.exch_ns)
    )


def quote_ok(quote: object) -> bool:
    """Whether this can be a target."""
    if type(quote) is e.Quote:  # the usual one, quickly
        side, rung, price, lots = quote.side, quote.rung, quote.price_ticks, quote.size_lots
        if (
            type(side) is type(rung) is type(price) is type(lots) is type(quote.flags) is int
            and side in (1, -1)
            and 0 <= rung < MAX_RUNGS
            and 0 < price < FAR
            and 0 <= lots < FAR
            and 0 <= quote.flags < 8
        ):
            return True
    return (
        isinstance(quote, e.Quote)
        and a_side(quote.side)
        and whole(quote.flags, 0, 8)
        and (whole(quote.rung, 0, MAX_RUNGS) or (quote.flags & IOC != 0 and whole(quote.rung, -FAR)))
        and whole(quote.price_ticks, 1)
        and whole(quote.size_lots)
    )


# --- What becomes of each kind: the event itself, what may be concluded from it, or None ------------------------------


def no_check(s: State, event: e.AnyEvent) -> e.AnyEvent:
    """Nothing in it can be wrong."""
    return event


def top(s: State, event: e.Top) -> e.Top:
    """A book that cannot be is none."""
    bid, ask = event.bid_ticks, event.ask_ticks
    if not event.valid or (type(bid) is type(ask) is int and 0 < bid < ask < FAR):
        return event
    if whole(bid, NO_PRICE) and whole(ask, NO_PRICE) and (NO_PRICE in (bid, ask) or 0 < bid < ask):
        return event
    s.anomaly("bad_book", 0, f"{bid} {ask}"[:80])
    return e.Top(s.now_ns, valid=False)


def targets(s: State, event: e.Targets) -> e.Targets:
    """Without the quotes that cannot be."""
    quotes = event.quotes
    if type(quotes) is not tuple:
        s.anomaly("bad_quote", 0, type(quotes).__name__)
        return e.Targets(s.now_ns)
    if quotes is s.quotes or all(map(quote_ok, quotes)):
        return event
    good = tuple(quote for quote in quotes if quote_ok(quote))
    s.anomaly("bad_quote", 0, f"{len(quotes) - len(good)} of {len(quotes)}")
    return e.Targets(s.now_ns, good)


def reduce_only(s: State, event: e.ReduceOnly) -> e.ReduceOnly:
    """In doubt, on."""
    if isinstance(event.on, bool):
        return event
    s.anomaly("bad_event", 0, "ReduceOnly")
    return e.ReduceOnly(s.now_ns)


def configure(s: State, event: e.Configure) -> e.Configure | None:
    """Settings or nothing."""
    if isinstance(event.settings, OrderSettings):
        return event
    bad(s, event)
    return None


def link_up(s: State, event: e.LinkUp) -> e.LinkUp | None:
    """A link without a number is none."""
    if whole(event.epoch):
        return event
    bad(s, event)
    return None


def link_down(s: State, event: e.LinkDown) -> e.LinkDown:
    """In doubt, the present link is gone."""
    if whole(event.epoch):
        return event
    bad(s, event)
    return e.LinkDown(s.now_ns, s.epoch)


def signature(s: State, event: e.Signed | e.SignFailed) -> e.AnyEvent | None:
    """It must name its transaction."""
    if whole(event.tx_id) and whole(event.round):
        return event
    bad(s, event)
    return None


def named(s: State, event: e.SendFailed | e.Unclear) -> e.AnyEvent | None:
    """It must name its transaction."""
    if whole(event.tx_id):
        return event
    bad(s, event)
    return None


def ack(s: State, event: e.Ack) -> e.AnyEvent | None:
    """Half an answer is an unclear one."""
    return event if whole(event.tx_id) and whole(event.quota_left, -1) else unclear(s, event)


def refused(s: State, event: e.Refused) -> e.AnyEvent | None:
    """A refusal without a code is an unclear answer; one with an absurd wait is only a refusal."""
    if not (whole(event.tx_id) and whole(event.code, -FAR)):
        return unclear(s, event)
    if whole(event.retry_after_ns, 0, LONGEST_NS):
        return event
    s.anomaly("bad_reply", 0, "retry_after_ns")
    return msgspec.structs.replace(event, retry_after_ns=0)


def unclear(s: State, event: e.Ack | e.Refused) -> e.Unclear | None:
    """Something was answered, nobody knows what."""
    s.anomaly("bad_reply", 0, type(event).__name__)
    return e.Unclear(s.now_ns, event.tx_id, "malformed") if whole(event.tx_id) else None


def report(s: State, event: e.OrderReport) -> e.OrderReport | None:
    """An order, or a reason to look."""
    if view_ok(event.order) and whole(event.exch_ns):
        return event
    look(s, "bad_report")
    return None


def trade(s: State, event: e.Trade) -> e.Trade | None:
    """A trade, or a reason to look."""
    if fill_ok(event.fill):
        return event
    look(s, "bad_trade")
    return None


def position(s: State, event: e.PositionReport) -> e.PositionReport | None:
    """A position, or a reason to look."""
    if whole(event.position_lots, -FAR):
        return event
    look(s, "bad_position")
    return None


def look(s: State, kind: str) -> None:
    """The feed said something, we do not know what: a full view will tell."""
    s.anomaly(kind)
    s.ask(s.now_ns + s.settings.times.open_ns)


def snapshot(s: State, event: e.Snapshot) -> e.AnyEvent | None:
    """A view with a hole is none; orders of others may look as they like."""
    try:
        orders = [view for view in event.orders if view_ok(view) or concerns_us(s, view)]
        good = (
            all(isinstance(part, tuple) for part in (event.orders, event.fills, event.nonces))
            and all(map(view_ok, orders))
            and all(map(fill_ok, event.fills))
            and all(whole(key) and whole(nonce) for key, nonce in event.nonces)
            and whole(event.epoch)
            and whole(event.last_trade_id)
            and whole(event.position_lots, -FAR)
            and whole(event.quota_left, -1)
            and isinstance(event.complete, bool)
        )
    except (TypeError, ValueError):  # not even sequences, or not of pairs
        good = False
    if good and whole(event.query_id):
        return event if len(orders) == len(event.orders) else msgspec.structs.replace(event, orders=tuple(orders))
    s.anomaly("bad_view")
    return e.QueryFailed(s.now_ns, event.query_id) if whole(event.query_id) else None


def concerns_us(s: State, view: object) -> bool:
    """Whether a malformed order may be ours."""
    client_id = getattr(view, "client_id", None)
    return not whole(client_id) or s.ids.owns(client_id)  # type: ignore[arg-type]


def nonce(s: State, event: e.NonceReport) -> e.AnyEvent | None:
    """A number or no answer."""
    if whole(event.query_id) and whole(event.key) and whole(event.nonce):
        return event
    s.anomaly("bad_nonce")
    return e.QueryFailed(s.now_ns, event.query_id) if whole(event.query_id) else None


def query_failed(s: State, event: e.QueryFailed) -> e.QueryFailed | None:
    """It must name its query."""
    if whole(event.query_id):
        return event
    bad(s, event)
    return None


def bad(s: State, event: object) -> None:
    """Nothing can be made of it."""
    s.anomaly("bad_event", 0, type(event).__name__)


CHECKS: dict[type, Callable[[State, Any], e.AnyEvent | None]] = {
    e.Top: top, e.Targets: targets, e.Timer: no_check, e.Kill: no_check, e.Rearm: no_check, e.CancelAll: no_check,
    e.ReduceOnly: reduce_only, e.Configure: configure, e.LinkUp: link_up, e.LinkDown: link_down, e.Signed: signature,
    e.SignFailed: signature, e.SendFailed: named, e.Ack: ack, e.Refused: refused, e.Unclear: named,
    e.OrderReport: report, e.Trade: trade, e.PositionReport: position, e.Snapshot: snapshot, e.NonceReport: nonce,
    e.QueryFailed: query_failed,
}  # fmt: skip
"""Event type -> its check."""


def admit(s: State, event: object) -> e.AnyEvent | None:
    """The event if it is sound, what may be concluded from it if not, None if that is nothing. Sets the time."""
    check = CHECKS.get(type(event))
    if check is None:
        bad(s, event)
        return None
    ts_ns = event.ts_ns  # type: ignore[attr-defined]
    if not whole(ts_ns):
        s.anomaly("bad_time", 0, str(ts_ns)[:80])  # an operator's Kill counts whatever its time is
    elif ts_ns > s.now_ns:
        s.now_ns = ts_ns
    return check(s, event)
