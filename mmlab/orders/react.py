"""React: from what is believed to commands. Send what is signed, plan, ask."""

from __future__ import annotations

from mmlab.events import ASK, BID, NEVER_NS, OrderState
from mmlab.orders.commands import Query, Send, TxKind
from mmlab.orders.exposure import Exposure
from mmlab.orders.ids import EXIT_RUNG, slot_code
from mmlab.orders.limits import Gate, count, objection, shrinks, takes
from mmlab.orders.nonces import Key
from mmlab.orders.order import Order, Tx
from mmlab.orders.planner import Action, Cancel, Change, Place, Rules, changeable, plan
from mmlab.orders.quota import cost_of
from mmlab.orders.replies import held_back, withdraw
from mmlab.orders.state import State, advance, doubt
from mmlab.orders.states import MAY_REST, Step
from mmlab.orders.writing import sign_command

BY_BOOK = ("book", "post_only", "collar")
"""Objections that another book may lift."""


def react(s: State) -> None:
    """Everything that has to be said now."""
    if s.linked:
        send_signed(s)
        if s.dirty:
            s.dirty, s.guarded, s.wake_ns = False, False, NEVER_NS
            if s.sweep:
                sweep(s)
            replan(s)
    ask(s)


# --- Sending ---------------------------------------------------------------------------------------------------------


def send_signed(s: State) -> None:
    """Payloads leave in nonce order; one that has become wrong while it was signed is given up instead."""
    for key in s.keys.keys.values():
        while key.unsent and key.unsent[0].signed:
            tx = key.unsent[0]
            if still_right(s, tx):
                send(s, key, tx)
            else:
                withdraw(s, tx)


def send(s: State, key: Key, tx: Tx) -> None:
    """Hand over one payload."""
    key.leave(tx)
    tx.sent_ns = s.now_ns
    s.out.append(Send(s.now_ns, tx.tx_id, tx.round))
    times = s.settings.times
    strict = s.settings.ack_mode == "strict"
    tx.deadline_ns = s.now_ns + times.ack_ns
    if tx.kind in (TxKind.PLACE, TxKind.MODIFY):
        s.placed_ns = s.now_ns
    for client_id in tx.covers or (tx.client_id,):
        order = s.orders.working.get(client_id)
        if order is None:
            continue
        if tx.kind == TxKind.PLACE:
            advance(s, order, Step.SEND)
            order.sent_ns = s.now_ns
            order.deadline_ns = s.now_ns + (times.ack_ns if strict else times.open_ns)
        elif tx in (order.modify, order.cancel):
            order.deadline_ns = s.now_ns + times.change_ns


def still_right(s: State, tx: Tx) -> bool:
    """Whether a signed payload may still be sent."""
    if tx.kind == TxKind.CANCEL_ALL:
        return True
    order = s.orders.working.get(tx.client_id)
    if order is None:
        return False
    if tx.kind == TxKind.CANCEL:
        return order.cancel is tx
    if tx.kind == TxKind.MODIFY:
        if order.modify is not tx or order.cancel is not None or s.halted:
            return False
        if order.new_price_ticks == order.price_ticks and order.new_size_lots < order.size_lots:
            return order.new_size_lots > order.filled_lots
        return order.aim_lots > 0 and not objection_now(s, order, order.new_price_ticks, order.left_lots)
    return not objection_now(s, order, order.price_ticks, order.size_lots)


def objection_now(s: State, order: Order, price_ticks: int, lots: int) -> str:
    """Weigh an order that is about to leave once more, against the book and the worst case of all others."""
    others = [other for other in s.orders.working.values() if other is not order]
    exposure = Exposure(s.position_lots, others)
    return objection(Place(order.side, order.rung, price_ticks, lots, order.flags), exposure, gate_of(s))


# --- Planning --------------------------------------------------------------------------------------------------------


def gate_of(s: State) -> Gate:
    """What commands are weighed against now."""
    return Gate(s.settings.limits, s.top, s.settings.venue.min_lots, s.reduce_only, closed(s))


def closed(s: State) -> str:
    """Why nothing may be placed at all; "" if it may."""
    if s.halted:
        return "halted"
    if not (s.linked and s.recovered):
        return "not_recovered"
    if s.now_ns < s.ids.opens_ns:
        s.wake_ns = min(s.wake_ns, s.ids.opens_ns)
        return "session_opens"
    if s.now_ns < s.retries.open_until_ns:
        s.wake_ns = min(s.wake_ns, s.retries.open_until_ns)
        return "breaker"
    return ""


def replan(s: State) -> None:
    """Take the orders to the targets, as far as limits and budgets allow."""
    if not (s.recovered or s.halted):
        return
    working = list(s.orders.working.values())
    exposure = Exposure(s.position_lots, working)
    rules = rules_of(s, exposure)
    gate = gate_of(s)
    for planner in (exit_actions, quote_actions):
        actions = planner(s, working, rules)
        for action in actions:
            if isinstance(action, Cancel) or shrinks(action):
                submit(s, action)
            elif may_send(s, action, exposure, gate) and submit(s, action):
                count(action, exposure)


def quote_actions(s: State, working: list[Order], rules: Rules) -> list[Action]:
    """Orders that rest."""
    return plan(s.quotes, [order for order in working if not takes(order.flags)], rules)


def rules_of(s: State, exposure: Exposure) -> Rules:
    """What the planner may do now."""
    settings, venue = s.settings, s.settings.venue
    limits = settings.limits
    return Rules(
        modify=venue.modify,
        keeps_queue=venue.modify_keeps_queue,
        prefer_modify=venue.modify and modify_preferred(s),
        slots=settings.slots,
        optimistic=settings.ack_mode == "optimistic",
        tolerance_ticks=settings.tolerance_ticks,
        size_tolerance=settings.size_tolerance,
        min_lots=venue.min_lots,
        now_ns=s.now_ns,
        urgent=s.halted,
        spare_lots=(limits.max_long_lots - exposure.lots[BID], limits.max_short_lots - exposure.lots[ASK]),
    )


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
    kind = TxKind.PLACE if isinstance(action, Place) else TxKind.MODIFY
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
    return s.keys.in_flight < s.settings.venue.max_in_flight


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
        tx = order.place = open_tx(s, TxKind.PLACE, key, order.client_id)
    elif isinstance(action, Cancel):
        order = action.order
        tx = order.cancel = open_tx(s, TxKind.CANCEL, key, order.client_id)
        advance(s, order, Step.CANCELING)
    else:
        order = action.order
        tx = order.modify = open_tx(s, TxKind.MODIFY, key, order.client_id)
        order.new_price_ticks, order.new_size_lots = action.price_ticks, action.lots + order.filled_lots
        advance(s, order, Step.MODIFYING)
    s.out.append(sign_command(s, tx))
    return True


def open_tx(s: State, kind: TxKind, key: Key, client_id: int) -> Tx:
    """Pay for a transaction and give it a nonce."""
    s.tokens.take(cost_of(s.settings.venue.rate.weights, kind), s.now_ns)
    s.quota.spend(kind, s.now_ns)
    tx = Tx(s.number(), kind, key.index, 0, client_id, s.now_ns + s.settings.times.sign_ns)
    key.assign(tx)
    s.txs[tx.tx_id] = tx
    return tx


def new_order(s: State, place: Place) -> Order | None:
    """A planned order in a free slot; None if there is none."""
    slot = free_slot(s, place.side, place.rung)
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


def free_slot(s: State, side: int, rung: int) -> int | None:
    """A free slot, of the rung if possible: orders that moved leave the slot of their birth taken."""
    halves = (0, 1) if s.settings.slots else (0,)
    rungs = (rung,) if rung == EXIT_RUNG else (rung, *(r for r in range(s.settings.rungs) if r != rung))
    for r in rungs:
        for half in halves:
            slot = slot_code(side, r, half)
            if slot not in s.orders.slots:
                return slot
    return None


def sweep(s: State) -> None:
    """One transaction that cancels everything, where the venue has it; the planner sees to what it leaves."""
    s.sweep = False
    targets = [o for o in s.orders.working.values() if MAY_REST[o.state] and o.cancel is None and o.seen_ns <= s.now_ns]
    if not s.settings.venue.cancel_all or len(targets) < 2:
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
            advance(s, order, Step.CANCELING)
    s.out.append(sign_command(s, tx))


# --- Asking and deadlines --------------------------------------------------------------------------------------------


def ask(s: State) -> None:
    """Queries that are due."""
    if not s.linked:
        return
    if query_due_ns(s) <= s.now_ns:
        query_id = s.number()
        s.query, s.last_query_ns = (query_id, s.now_ns), s.now_ns
        s.tokens.take(s.settings.venue.rate.weights.query, s.now_ns)
        s.out.append(Query(s.now_ns, query_id, "full", 0, s.account.watermark))
    for key in s.keys.keys.values():
        if key.resync and key.ask_ns <= s.now_ns:
            key.ask_ns = s.now_ns + s.settings.times.query_ns
            query_id = s.number()
            s.queries[query_id] = (key.index, s.now_ns)
            s.tokens.take(s.settings.venue.rate.weights.query, s.now_ns)
            s.out.append(Query(s.now_ns, query_id, "nonce", key.index))


def query_due_ns(s: State) -> int:
    """When the next full view is to be asked for; `NEVER_NS` while one is under way or there is no link."""
    if s.query is not None or not s.linked:
        return NEVER_NS
    due = min(s.ask_ns, s.viewed_ns + s.settings.times.reconcile_ns)
    for order in s.orders.working.values():
        due = min(due, order.ask_ns)
    gap_ns = s.settings.times.query_gap_ns << min(s.query_fails, 5)
    return max(due, s.last_query_ns + gap_ns)


def next_deadline(s: State) -> int:
    """Time of the next event that comes from time alone."""
    due = min(s.wake_ns, query_due_ns(s))
    if s.query is not None:
        due = min(due, s.query[1] + s.settings.times.query_ns)
    for order in s.orders.working.values():
        due = min(due, order.deadline_ns)
    for key in s.keys.keys.values():
        if key.unsent:
            due = min(due, key.unsent[0].deadline_ns)
        if key.resync and s.linked:
            due = min(due, key.ask_ns)
    return due


def expire(s: State) -> None:
    """Apply the passing of time."""
    if s.now_ns >= s.wake_ns:
        s.dirty, s.wake_ns = True, NEVER_NS
    if s.query is not None and s.now_ns >= s.query[1] + s.settings.times.query_ns:
        s.counts["query_timeout"] += 1
        s.query = None
        s.query_fails += 1
        s.ask(s.now_ns)
    for order in list(s.orders.working.values()):
        if order.deadline_ns <= s.now_ns:
            s.counts["timeout"] += 1
            if order.state == OrderState.DRAINING:
                order.deadline_ns, order.ask_ns = NEVER_NS, s.now_ns
            else:
                doubt(s, order)
    for key in s.keys.keys.values():
        while key.unsent and key.unsent[0].deadline_ns <= s.now_ns:
            tx = key.unsent[0]
            s.anomaly("sign_timeout", tx.client_id)
            withdraw(s, tx)
            held_back(s, tx, 0)
