"""Limits: they may only remove commands.

Every place, and every modify that moves or grows, is weighed in order of importance against the worst case that the
ones before it leave. Cancels and shrinking always pass.
"""

from __future__ import annotations

from typing import NamedTuple

from mmlab.events import BID, NO_PRICE
from mmlab.orders.events import Top
from mmlab.orders.exposure import Exposure
from mmlab.orders.planner import IOC, POST_ONLY, REDUCE_ONLY, Action, Cancel, Change, Place
from mmlab.orders.settings import Limits


class Gate(NamedTuple):
    """What commands are weighed against. ``closed`` says why nothing may be placed at all, "" if it may."""

    limits: Limits
    top: Top
    min_lots: int
    reduce_only: bool
    closed: str


def shrinks(action: Action) -> bool:
    """Whether `action` can only lower every risk."""
    if isinstance(action, Cancel):
        return True
    return (
        isinstance(action, Change)
        and action.price_ticks == action.order.price_ticks
        and action.lots < action.order.left_lots
    )


def objection(action: Place | Change, exposure: Exposure, gate: Gate) -> str:
    """Why `action` must not be sent; "" if it may."""
    if gate.closed:
        return gate.closed
    if isinstance(action, Place):
        side, flags = action.side, action.flags
    else:
        side, flags = action.order.side, action.order.flags
    price, more = action.price_ticks, growth(action)
    if not gate.min_lots <= action.lots <= gate.limits.max_order_lots or price <= 0:
        return "size"
    if isinstance(action, Place) and exposure.orders >= gate.limits.max_live_orders:
        return "order_count"
    return (
        book_objection(side, price, flags, gate)
        or ("own_cross" if exposure.crosses_own(side, price) else "")
        or exposure_objection(side, more, flags, exposure, gate)
    )


def book_objection(side: int, price_ticks: int, flags: int, gate: Gate) -> str:
    """Post-only and collar, by the newest book."""
    top = gate.top
    if not top.valid or top.bid_ticks == NO_PRICE or top.ask_ticks == NO_PRICE:
        return "book"
    opposite = top.ask_ticks if side == BID else top.bid_ticks
    if flags & POST_ONLY and side * price_ticks >= side * opposite:
        return "post_only"
    twice_mid = top.bid_ticks + top.ask_ticks
    if abs(2 * price_ticks - twice_mid) * 1e4 > gate.limits.collar_bps * twice_mid:
        return "collar"
    return ""


def exposure_objection(side: int, more: int, flags: int, exposure: Exposure, gate: Gate) -> str:
    """Position limits, on the worst case of the side."""
    if gate.reduce_only or flags & REDUCE_ONLY:
        if exposure.resting_lots[side] + more > -side * exposure.position_lots:
            return "reduce_only"
        return ""
    most = gate.limits.max_long_lots if side == BID else gate.limits.max_short_lots
    return "exposure" if exposure.lots[side] + more > most else ""


def growth(action: Place | Change) -> int:
    """Lots that `action` adds to what may still trade."""
    return action.lots if isinstance(action, Place) else max(0, action.lots - action.order.left_lots)


def count(action: Place | Change, more_lots: int, exposure: Exposure) -> None:
    """Take a command that passed into the worst case; `more_lots` is its `growth`."""
    side = action.side if isinstance(action, Place) else action.order.side
    exposure.grow(side, action.price_ticks, more_lots, new=isinstance(action, Place))


def takes(flags: int) -> bool:
    """Whether the order takes instead of rests."""
    return bool(flags & IOC)
