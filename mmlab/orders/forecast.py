"""Which transactions may well come next, with the nonces and ids they would have: what is worth signing ahead.

Nothing here changes the order manager. The planner itself is asked what it would do if targets moved, so the forecast
follows it in every mode: modify or pairs, one slot or two, strict or optimistic.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import copy
from typing import NamedTuple

import msgspec

from mmlab.events import ASK, BID, OrderState
from mmlab.exchange import Transaction, TxKind
from mmlab.orders.events import Quote
from mmlab.orders.limits import takes
from mmlab.orders.nonces import Key
from mmlab.orders.order import Order
from mmlab.orders.planner import COMING, Action, Change, Place, Rules, plan_side
from mmlab.orders.planning import free_slot, rules_of
from mmlab.orders.state import State
from mmlab.orders.states import MAY_REST

GONE = (OrderState.CANCEL_PENDING, OrderState.UNKNOWN)
"""Orders that no plan can count on."""


class Draft(NamedTuple):
    """A transaction without key and nonce. ``rank``: how unlikely, 0 for what would come if targets stood still."""

    rank: int
    kind: TxKind
    client_id: int
    side: int
    price_ticks: int
    size_lots: int
    flags: int
    own: Key | None = None


def forecast(s: State, centre: Sequence[Quote], ticks: int, cancels: int, nonces: int) -> list[Transaction]:
    """Transactions worth having, the most important first: cancels, then what is near in ticks and in turns of keys.

    Parameters
    ----------
    s : State
        The order manager's.
    centre : sequence of Quote
        The present targets; where a side has none, those it would have.
    ticks : int
        How far targets may move.
    cancels : int
        How many cancels one after the other a key should have.
    nonces : int
        The same for quotes.
    """
    if not s.linked:
        return []
    working = [order for order in s.orders.working.values() if MAY_REST[order.state]]
    orders = [settled(s, order) for order in working if order.state not in GONE]
    found = dict.fromkeys(cancels_of(s, orders, cancels))
    if s.recovered and not s.halted:
        rules = rules_of(s, working)._replace(now_ns=s.now_ns)
        drafts: list[Draft] = []
        for side in (BID, ASK):
            quotes = [quote for quote in centre if quote.side == side and not takes(quote.flags)]
            mine = [order for order in orders if order.side == side and not takes(order.flags)]
            if quotes:
                drafts += drafts_of(s, quotes, mine, rules, ticks)
        found |= dict.fromkeys(on_keys(s, drafts, nonces))
    return list(found)


def settled(s: State, order: Order) -> Order:
    """`order` as it will be when it may be changed next: in strict mode, when what is in flight about it is done."""
    twin = copy(order)
    if twin.modify is not None:
        twin.price_ticks, twin.size_lots, twin.modify = order.new_price_ticks, order.new_size_lots, None
    if twin.state not in COMING or s.settings.ack_mode == "strict":
        twin.state, twin.seen_ns = OrderState.LIVE, min(order.seen_ns, s.now_ns)
    twin.retry_ns = 0
    return twin


def drafts_of(s: State, quotes: list[Quote], mine: list[Order], rules: Rules, ticks: int) -> Iterator[Draft]:
    """What one side would ask for, were its targets moved by up to `ticks`, or its orders filled."""
    side, taken = quotes[0].side, set(s.orders.slots)
    for away in range(ticks + 1):
        for shift in (0,) if away == 0 else (away, -away):
            moved = [msgspec.structs.replace(q, price_ticks=q.price_ticks + shift) for q in quotes]
            yield from as_drafts(s, away, plan_side(side, moved, mine, rules)[0], set(taken))
            if mine and away == 0:  # filled: replaced at once, by the targets from before the fill
                free = taken - {order.slot for order in mine}
                yield from as_drafts(s, away, plan_side(side, moved, [], rules)[0], free)


def as_drafts(s: State, rank: int, actions: list[Action], taken: set[int]) -> Iterator[Draft]:
    """Transactions for `actions`; cancels are seen to elsewhere."""
    for action in actions:
        if isinstance(action, Place):
            slot = free_slot(s, action.side, action.rung, taken)
            client_id = None if slot is None else s.ids.peek(slot)
            if slot is None or client_id is None:
                continue
            taken.add(slot)
            yield Draft(rank, TxKind.PLACE, client_id, action.side, action.price_ticks, action.lots, action.flags)
        elif isinstance(action, Change):
            order = action.order
            yield Draft(
                rank, TxKind.MODIFY, order.client_id, order.side, action.price_ticks,
                action.lots + order.filled_lots, order.flags, own_key(s, order),
            )  # fmt: skip


def own_key(s: State, order: Order) -> Key | None:
    """The key that an order is bound to until it is seen at the venue."""
    return s.keys.keys[order.place.key] if order.seen_ns > s.now_ns and order.place is not None else None


def on_keys(s: State, drafts: list[Draft], deep: int) -> Iterator[Transaction]:
    """Each draft for each of the next `deep` nonces of each key that may carry it: by ticks away, plus `wait_of`."""
    keys = s.keys.quotes_in_turn()
    turns = [(key, ahead) for ahead in range(deep) for key in keys]
    ranked: list[tuple[int, Draft, Key, int]] = []
    for draft in drafts:
        if draft.own is None:
            ranked += [
                (draft.rank + wait_of(place, draft.side), draft, key, ahead) for place, (key, ahead) in enumerate(turns)
            ]
        elif draft.own.ready:
            ranked.append((draft.rank, draft, draft.own, 0))
    ranked.sort(key=lambda entry: entry[0])
    for _, draft, key, ahead in ranked:
        assert key.next is not None  # noqa: S101  it is ready
        yield Transaction(
            draft.kind, key.index, key.next + ahead, draft.client_id, 0, draft.side, draft.price_ticks,
            draft.size_lots, draft.flags,
        )  # fmt: skip


def wait_of(place: int, side: int) -> int:
    """How many ticks further away a draft might as well be, for the turn at which its key comes.

    Where both sides move, the bid takes the first turn and the ask the second; the ask alone takes the first. All later
    turns come only once these are used.
    """
    second = int(side == ASK)
    return second - place if place <= second else 2 + place - second


def cancels_of(s: State, orders: list[Order], deep: int) -> Iterator[Transaction]:
    """A cancel of every order, for each of the next `deep` nonces of the keys for cancels; and one of all together."""
    keys = s.keys.cancels_in_turn()
    free = [order for order in orders if own_key(s, order) is None]
    bound = [(order, key) for order in orders if (key := own_key(s, order)) is not None and key.ready]
    for ahead in range(min(deep, len(free))):
        for key in keys:
            for order in free:
                yield cancel_of(order, key, ahead)
    for order, key in bound:
        yield cancel_of(order, key, 0)
    if s.settings.venue.cancel_all and not s.foreign and len(orders) > 1:
        for key in keys[:1]:
            assert key.next is not None  # noqa: S101  it is ready
            yield Transaction(TxKind.CANCEL_ALL, key.index, key.next)


def cancel_of(order: Order, key: Key, ahead: int) -> Transaction:
    """A cancel as `mmlab.orders.writing` asks for it."""
    assert key.next is not None  # noqa: S101  it is ready
    return Transaction(TxKind.CANCEL, key.index, key.next + ahead, order.client_id, 0, order.side)
