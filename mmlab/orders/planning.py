"""From targets to transactions: plan, weigh, pay, give a nonce, ask for the signature."""

from __future__ import annotations

from collections.abc import Container, Sequence

from mmlab.events import ASK, BID, OrderState
from mmlab.exchange import TxKind
from mmlab.orders.events import Quote
from mmlab.orders.exposure import Exposure
from mmlab.orders.ids import EXIT_RUNG, slot_code
from mmlab.orders.limits import Gate, count, growth, objection, shrinks, takes
from mmlab.orders.nonces import Key
from mmlab.orders.order import Order, Tx
from mmlab.orders.planner import Action, Cancel, Change, Place, Rules, changeable, plan
from mmlab.orders.quota import cost_of
from mmlab.orders.sending import gate_of
from mmlab.orders.state import State, advance
from mmlab.orders.states import MAY_REST, Step
from mmlab.orders.writing import sign_command

PLACE, MODIFY, CANCEL = TxKind.PLACE, TxKind.MODIFY, TxKind.CANCEL
CANCELING, MODIFYING = Step.CANCELING, Step.MODIFYING
BY_BOOK = ("book", "post_only", "collar")
"""Objections that another book may lift."""


def replan(s: State) -> None:
    """Take the orders to the targets, as far as limits and budgets allow."""
    if not (s.recovered or s.halted):
        return
    working = list(s.orders.working.values())
    rules = rules_of(s, working)
    for order in working:
        if order.retry_ns > s.now_ns:
            s.wake_ns = min(s.wake_ns, order.retry_ns)
    if s.exits:
        s.waits = True
        carry_out(s, exit_actions(s, working, rules))
    actions, waits = plan(free_quotes(s), [order for order in working if not takes(order.flags)], rules)
    s.waits = s.waits or waits
    carry_out(s, actions)


def free_quotes(s: State) -> Sequence[Quote]:
    """Targets that rest, but for those that an exit still to be sent would hit."""
    if not s.exits:
        return s.quotes
    return [
        q
        for q in s.quotes
        if not any(q.side == -x.side and x.side * (x.price_ticks - q.price_ticks) >= 0 for x in s.exits)
    ]


def carry_out(s: State, actions: list[Action]) -> None:
    """Submit what may be sent, most important first."""
    if not actions:
        return
    exposure, gate = Exposure(s.position_lots, s.orders.working.values()), gate_of(s)
    for action in actions:
        if isinstance(action, Change) and s.now_ns < action.order.modify_ns:
            s.wake_ns = min(s.wake_ns, action.order.modify_ns)
            continue
        if isinstance(action, Cancel) or shrinks(action):
            done = submit(s, action)
        elif may_send(s, action, exposure, gate):
            more_lots = growth(action)  # before the order itself remembers the change
            done = submit(s, action)
            if done:
                count(action, more_lots, exposure)
        else:
            continue
        s.starved = s.starved or not done


def rules_of(s: State, working: list[Order]) -> Rules:
    """What the planner may do now."""
    settings, venue = s.settings, s.settings.venue
    prefer_modify = venue.modify and modify_preferred(s)
    spare_lots = (0, 0)
    if not prefer_modify:  # only pairs of orders need room
        lots = Exposure(s.position_lots, working).lots
        spare_lots = settings.limits.max_long_lots - lots[BID], settings.limits.max_short_lots - lots[ASK]
    return Rules(  # by place, which is quicker
        venue.modify, venue.modify_keeps_queue, prefer_modify, settings.slots, settings.ack_mode == "optimistic",
        settings.tolerance_ticks, settings.size_tolerance, venue.min_lots, s.now_ns, s.halted, spare_lots,
    )  # fmt: skip


def modify_preferred(s: State) -> bool:
    """Modify or cancel and place, where both lose the queue: as set, unless budgets speak against it."""
    venue = s.settings.venue
    costs, weights = venue.quota.costs, venue.rate.weights
    modify = (costs.modify if venue.quota.on else 0, weights.modify)
    pair = (costs.cancel + costs.place if venue.quota.on else 0, weights.cancel + weights.place)
    if s.settings.replace == "modify":
        return modify <= pair
    return modify < pair and s.tokens.tokens(s.now_ns) < 2 * reserve(s)


def exit_actions(s: State, working: list[Order], rules: Rules) -> list[Action]:
    """Orders that take: one at a time a side, after every order of ours that it could hit is gone."""
    actions: list[Action] = []
    for quote in list(s.exits):
        in_way = [
            o for o in working if o.side == -quote.side and quote.side * (quote.price_ticks - o.nearest_ticks) >= 0
        ]
        in_way = [o for o in in_way if MAY_REST[o.state]]
        if any(takes(o.flags) and o.side == quote.side for o in working):
            continue
        if in_way:
            actions += [Cancel(o) for o in in_way if changeable(o, rules)]
        else:
            actions.append(Place(quote.side, EXIT_RUNG, quote.price_ticks, quote.size_lots, quote.flags))
    return actions


def may_send(s: State, action: Place | Change, exposure: Exposure, gate: Gate) -> bool:
    """Limits first, then back-off and budgets; says in `wake_ns` when to try again."""
    why = objection(action, exposure, gate)
    if why:
        s.counts[f"kept_{why}"] += 1
        s.guarded = s.guarded or why in BY_BOOK
        s.waits = True  # and other orders may lift the rest
        if why == "collar":
            s.collars += 1
            if s.collars == 3:
                s.trip("collar", "halted", f"price {action.price_ticks} ticks")
        return False
    s.collars = 0
    side = action.side if isinstance(action, Place) else action.order.side
    hold = s.holds.get((side, action.rung))
    if hold is not None and s.now_ns < hold.until_ns:
        s.wake_ns = min(s.wake_ns, hold.until_ns)
        return False
    if (s.quota.rule.on or s.tokens.rule.capacity) and not affordable(s, action):
        return False
    if s.keys.in_flight >= s.settings.venue.max_in_flight:
        s.starved = True
        return False
    return True


def affordable(s: State, action: Place | Change) -> bool:
    """Whether quota and rate allow it and leave what cancels need; says in `wake_ns` when they will."""
    kind = PLACE if isinstance(action, Place) else MODIFY
    free_ns = s.quota.when(kind, s.now_ns)
    if free_ns > s.now_ns:
        s.counts["kept_quota"] += 1
        s.wake_ns = min(s.wake_ns, free_ns)
        return False
    need = cost_of(s.settings.venue.rate.weights, kind) + reserve(s)
    if s.tokens.tokens(s.now_ns) < need:
        s.counts["kept_rate"] += 1
        s.wake_ns = min(s.wake_ns, s.tokens.when(need, s.now_ns))
        return False
    return True


def reserve(s: State) -> int:
    """Tokens that quotes leave alone: enough to cancel all that rests, one by one, and a full view."""
    rate = s.settings.venue.rate
    if rate.capacity == 0:
        return 0
    return min((len(s.orders.slots) + 1) * rate.weights.cancel + rate.weights.query, rate.capacity // 2)


# --- Transactions ----------------------------------------------------------------------------------------------------


def submit(s: State, action: Action) -> bool:
    """Make a transaction of an action and ask for its payload; False if it has to wait."""
    cancel = isinstance(action, Cancel)
    key = s.keys.for_cancel() if cancel else s.keys.for_quote()
    order = None if isinstance(action, Place) else action.order
    if order is not None and order.seen_ns > s.now_ns and order.place is not None:
        key = s.keys.keys[order.place.key]  # keys may overtake one another: follow the order on its own
    if key is None or not key.ready:
        return False
    if isinstance(action, Place):
        order = new_order(s, action)
        if order is None:
            return False
        tx = order.place = open_tx(s, PLACE, key, order.client_id)
    elif isinstance(action, Cancel):
        order = action.order
        tx = order.cancel = open_tx(s, CANCEL, key, order.client_id)
        advance(s, order, CANCELING)
    else:
        order = action.order
        tx = order.modify = open_tx(s, MODIFY, key, order.client_id)
        order.new_price_ticks, order.new_size_lots = action.price_ticks, action.lots + order.filled_lots
        advance(s, order, MODIFYING)
    s.out.append(sign_command(s, tx))
    return True


def open_tx(s: State, kind: TxKind, key: Key, client_id: int) -> Tx:
    """Pay for a transaction and give it a nonce."""
    if s.tokens.rule.capacity:
        s.tokens.take(cost_of(s.settings.venue.rate.weights, kind), s.now_ns)
    s.quota.spend(kind, s.now_ns)
    tx = Tx(s.number(), kind, key.index, 0, client_id, s.now_ns + s.settings.times.sign_ns, risk=s.risk)
    key.assign(tx)
    s.txs[tx.tx_id] = tx
    return tx


def new_order(s: State, place: Place) -> Order | None:
    """A planned order in a free slot; None if there is none."""
    slot = free_slot(s, place.side, place.rung, s.orders.slots)
    client_id = None if slot is None else s.ids.next(slot, s.now_ns)
    if slot is None or client_id is None:
        s.counts["kept_slot"] += 1
        return None
    order = Order(
        client_id, slot, place.side, place.rung, place.price_ticks, place.lots, place.flags, s.number(),
        replaces=place.replaces,
    )  # fmt: skip
    s.orders.add(order)
    if takes(place.flags):
        s.exits = [quote for quote in s.exits if quote.side != place.side]
    return order


def free_slot(s: State, side: int, rung: int, taken: Container[int]) -> int | None:
    """A free slot, of the rung if possible: orders that moved leave the slot of their birth taken."""
    halves = (0, 1) if s.settings.slots else (0,)
    rungs = (rung,) if rung == EXIT_RUNG else (rung, *(r for r in range(s.settings.rungs) if r != rung))
    for r in rungs:
        for half in halves:
            slot = slot_code(side, r, half)
            if slot not in taken:
                return slot
    return None


def sweep(s: State) -> None:
    """One transaction that cancels everything, where the venue has it and nobody else's orders are hit.

    The planner sees to what it leaves.
    """
    s.sweep = False
    targets = [
        o
        for o in s.orders.working.values()
        if MAY_REST[o.state] and o.cancel is None and max(o.seen_ns, o.retry_ns) <= s.now_ns
    ]
    if not s.settings.venue.cancel_all or s.foreign or len(targets) < 2:
        return
    key = s.keys.for_cancel()
    if key is None:
        s.sweep = True
        return
    tx = open_tx(s, TxKind.CANCEL_ALL, key, 0)
    for order in targets:
        if order.state != OrderState.UNKNOWN:
            order.cancel = tx
            tx.covers.append(order.client_id)
            advance(s, order, CANCELING)
    s.out.append(sign_command(s, tx))
