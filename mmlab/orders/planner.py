"""Targets minus orders: the smallest set of place, modify and cancel that takes one to the other, a side at a time.

A pure function; both sides by sign. In this order:

1. Orders are matched to targets by price alone, so that a stack shifted by a tick keeps all but one of its places. The
   rung of an order's birth does not matter. Several orders may share a price: what counts is their sum.
2. Targets still without an order take one within `tolerance_ticks`: its place in the queue is worth more than the
   move.
3. At each matched price, too much is taken from the youngest order first (shrunk where that keeps the queue), too
   little is added behind as a new order, or by growing the youngest if no slot is free.
4. Orders and targets left over are paired: moved by modify, or replaced through the free half of a slot (the stale
   order is cancelled once the new one is live), or cancelled to make room. What is left over after that is cancelled,
   or placed.

Orders that nobody may touch yet (not live in strict mode, or unknown) take a target's place and wait.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from mmlab.events import ASK, BID, OrderState, TargetFlag
from mmlab.orders.events import Quote
from mmlab.orders.order import Order
from mmlab.orders.states import MAY_REST, RESTING

POST_ONLY, IOC, REDUCE_ONLY = int(TargetFlag.POST_ONLY), int(TargetFlag.IOC), int(TargetFlag.REDUCE_ONLY)


class Rules(NamedTuple):
    """What the planner may do.

    ``spare_lots``: how much more may rest, bid and ask. ``urgent``: cancels do not wait for a modify in flight.
    """

    modify: bool = True
    keeps_queue: bool = True
    prefer_modify: bool = True
    slots: bool = True
    optimistic: bool = False
    tolerance_ticks: int = 1
    size_tolerance: float = 0.0
    min_lots: int = 1
    now_ns: int = 0
    urgent: bool = False
    spare_lots: tuple[int, int] = (1 << 60, 1 << 60)  # bid, ask


class Place(NamedTuple):
    """A new order. ``replaces``: client id of the order to be cancelled when this one is live, or 0."""

    side: int
    rung: int
    price_ticks: int
    lots: int
    flags: int
    replaces: int = 0
    distance_ticks: int = 1 << 60


class Change(NamedTuple):
    """A modify: `lots` are to be left at `price_ticks`."""

    order: Order
    rung: int
    price_ticks: int
    lots: int


class Cancel(NamedTuple):
    """A cancel."""

    order: Order


Action = Place | Change | Cancel
COMING = (OrderState.PLANNED, OrderState.SIGNED, OrderState.SENT, OrderState.ACCEPTED)
MODIFY_PENDING, CANCEL_PENDING = OrderState.MODIFY_PENDING, OrderState.CANCEL_PENDING


class Level:
    """All targets of one price, and the orders that serve it."""

    __slots__ = ("flags", "lots", "orders", "price_ticks", "rung")

    def __init__(self, quote: Quote) -> None:
        self.rung, self.price_ticks, self.flags = quote.rung, quote.price_ticks, quote.flags
        self.lots = quote.size_lots
        self.orders: list[Order] = []


def changeable(order: Order, rules: Rules) -> bool:
    """Whether a modify or cancel of `order` may be sent now."""
    if RESTING[order.state]:
        return not order.in_doubt and order.retry_ns <= rules.now_ns
    if order.state == MODIFY_PENDING:
        return rules.urgent and order.retry_ns <= rules.now_ns
    return rules.optimistic and order.state in COMING and order.sent_ns <= rules.now_ns


def plan(quotes: Iterable[Quote], orders: Iterable[Order], rules: Rules) -> tuple[list[Action], bool]:
    """Commands that take `orders` to `quotes`, most important first; and whether more waits for orders to go live.

    Parameters
    ----------
    quotes : iterable of Quote
        Resting targets, at most one a side and rung.
    orders : iterable of Order
        Working orders, in any state.
    rules : Rules
        What may be done.
    """
    quotes, orders = list(quotes), [order for order in orders if MAY_REST[order.state]]
    actions: list[Action] = []
    waits = False
    for side in (BID, ASK):
        mine = [order for order in orders if order.side == side]
        wanted = [quote for quote in quotes if quote.side == side]
        if mine or wanted:
            found, more = plan_side(side, wanted, mine, rules)
            actions += found
            waits = waits or more
    if len(actions) > 1:
        actions.sort(key=priority)
    return actions, waits


def priority(action: Action) -> tuple[int, int, int]:
    """Cancels first, then shrinking, then near rungs before far ones and large moves before small ones."""
    if isinstance(action, Cancel):
        return (0, 0, 0)
    if isinstance(action, Change):
        if action.price_ticks == action.order.price_ticks and action.lots < action.order.left_lots:
            return (1, 0, 0)
        return (2, action.rung, -abs(action.price_ticks - action.order.price_ticks))
    return (2, action.rung, -action.distance_ticks)


def plan_side(side: int, quotes: Sequence[Quote], orders: Sequence[Order], rules: Rules) -> tuple[list[Action], bool]:
    """`plan` for one side."""
    if len(quotes) == len(orders) == 1 and is_plain_move(quotes[0], orders[0], rules):
        quote = quotes[0]
        return [Change(orders[0], quote.rung, quote.price_ticks, quote.size_lots)], False
    levels = levels_of(quotes)
    counted = [order for order in orders if order.state != CANCEL_PENDING]
    if len(counted) > 1:
        counted.sort(key=lambda o: o.born)
    loose: list[Order] = []
    for order in counted:
        level = levels.get(order.aim_ticks)
        (loose if level is None or level.flags != order.flags else level.orders).append(order)
    unmet = [level for level in levels.values() if not level.orders]
    if rules.tolerance_ticks > 1:
        unmet = [level for level in unmet if not keep_near(level, loose, rules.tolerance_ticks)]
    replaced = {order.replaces: order for order in counted if order.replaces} if levels else {}
    actions: list[Action] = []
    waits = False
    for level in levels.values():
        if level.orders and (excess := sum([order.aim_lots for order in level.orders]) - level.lots):
            changes = fit_size(side, level, excess, replaced, rules)
            actions += changes
            waits = waits or not changes
    if not loose and not unmet:
        return actions, waits
    waits = waits or any(not changeable(order, rules) for order in loose)
    stale = [o for o in loose if o.client_id not in replaced or replaced[o.client_id].state not in COMING]
    actions += pair_rest(side, unmet, stale, rules)
    waits = waits or len(stale) < len(loose) or any(type(a) is Place and a.replaces for a in actions)
    return actions, waits


def is_plain_move(quote: Quote, order: Order, rules: Rules) -> bool:
    """Whether one order has one target at another price and a modify takes it there: most of all plans, found at once.

    The long way comes to the same.
    """
    return (
        order.price_ticks != quote.price_ticks
        and order.flags == quote.flags
        and RESTING[order.state]
        and order.modify is None
        and rules.modify
        and rules.prefer_modify
        and rules.tolerance_ticks <= 1
        and not order.in_doubt
        and order.retry_ns <= rules.now_ns
    )


def levels_of(quotes: Sequence[Quote]) -> dict[int, Level]:
    """Targets by price, near rungs first."""
    levels: dict[int, Level] = {}
    for quote in sorted(quotes, key=lambda q: q.rung) if len(quotes) > 1 else quotes:
        level = levels.get(quote.price_ticks)
        if level is None:
            levels[quote.price_ticks] = Level(quote)
        else:
            level.lots += quote.size_lots
    return levels


def keep_near(level: Level, loose: list[Order], tolerance_ticks: int) -> bool:
    """Let the nearest loose order within tolerance, and what rests with it, serve `level`."""
    alike = [order for order in loose if order.flags == level.flags]
    near = min(alike, key=lambda o: abs(o.aim_ticks - level.price_ticks), default=None)
    if near is None or abs(near.aim_ticks - level.price_ticks) >= tolerance_ticks:
        return False
    level.price_ticks = near.aim_ticks
    level.orders = [order for order in alike if order.aim_ticks == near.aim_ticks]
    for order in level.orders:
        loose.remove(order)
    return True


def fit_size(side: int, level: Level, excess: int, replaced: dict[int, Order], rules: Rules) -> list[Action]:
    """Make the orders at one price add up to what is wanted."""
    if excess < 0:
        return add_size(side, level, -excess, rules)
    actions: list[Action] = []
    for order in sorted(level.orders, key=lambda o: (o.client_id not in replaced, -o.born)):
        if order.client_id in replaced and replaced[order.client_id].state in COMING:
            break
        if excess <= 0 or not changeable(order, rules):
            break
        if order.aim_lots <= excess:
            actions.append(Cancel(order))
            excess -= order.aim_lots
        elif order.aim_lots - excess < rules.min_lots:
            actions.append(Cancel(order))
            break
        elif rules.modify and (rules.keeps_queue or rules.prefer_modify):
            actions.append(Change(order, level.rung, order.price_ticks, order.aim_lots - excess))
            break
        else:
            smaller = Quote(side, level.rung, order.price_ticks, order.aim_lots - excess, level.flags)
            actions.append(replace(side, Level(smaller), order, rules))
            break
    return actions


def add_size(side: int, level: Level, lots: int, rules: Rules) -> list[Action]:
    """Add `lots` at a price where orders of ours rest: behind them, so that they keep their place."""
    if lots < rules.min_lots or lots < rules.size_tolerance * level.lots:
        return []
    youngest = level.orders[-1]
    if not changeable(youngest, rules):
        return []
    if rules.slots and len(level.orders) == 1:
        return [Place(side, level.rung, level.price_ticks, lots, level.flags)]
    if rules.modify:
        return [Change(youngest, level.rung, youngest.price_ticks, youngest.aim_lots + lots)]
    return [Cancel(youngest)]


def pair_rest(side: int, unmet: list[Level], stale: list[Order], rules: Rules) -> list[Action]:
    """Move, replace, place or cancel what no price joins."""
    actions: list[Action] = []
    free = [order for order in stale if changeable(order, rules)]
    waiting = len(stale) - len(free)
    for level in unmet:
        if free:
            order = min(free, key=lambda o: (o.flags != level.flags, abs(o.price_ticks - level.price_ticks)))
            free.remove(order)
            actions.append(replace(side, level, order, rules))
        elif waiting > 0:
            waiting -= 1
        else:
            actions.append(Place(side, level.rung, level.price_ticks, level.lots, level.flags))
    return actions + [Cancel(order) for order in free]


def replace(side: int, level: Level, order: Order, rules: Rules) -> Action:
    """Take `order` to `level` in the cheapest way that is allowed."""
    if rules.modify and rules.prefer_modify and order.flags == level.flags:
        return Change(order, level.rung, level.price_ticks, level.lots)
    spare = rules.spare_lots[0 if side == BID else 1]
    if rules.slots and level.lots <= spare:
        distance = abs(level.price_ticks - order.price_ticks)
        return Place(side, level.rung, level.price_ticks, level.lots, level.flags, order.client_id, distance)
    if rules.slots and rules.modify and order.flags == level.flags:  # no room for both: better than no quote meanwhile
        return Change(order, level.rung, level.price_ticks, level.lots)
    return Cancel(order)
