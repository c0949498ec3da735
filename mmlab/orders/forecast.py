"""Which transactions may well come next, with the nonces and ids they would have: what is worth signing ahead.

Nothing here changes the order manager. The planner itself is asked what it would do if targets moved, so the forecast
follows it in every mode: modify or pairs, one slot or two, strict or optimistic.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from mmlab.events import ASK, BID, OrderState
from mmlab.exchange import Transaction, TxKind
from mmlab.orders.events import Quote
from mmlab.orders.limits import takes
from mmlab.orders.nonces import Key
from mmlab.orders.order import Order
from mmlab.orders.planner import COMING, Action, Change, Place, Rules, is_plain_move, plan_side
from mmlab.orders.planning import free_slot, rules_of
from mmlab.orders.state import State
from mmlab.orders.states import MAY_REST

GONE = (OrderState.CANCEL_PENDING, OrderState.UNKNOWN)
"""Orders that no plan can count on."""
FIRST, LATER = -100_000, 100
"""Rank of the first cancel, and what each nonce after the next adds."""


class Draft(NamedTuple):
    """A transaction without key and nonce."""

    kind: TxKind
    client_id: int = 0
    order_index: int = 0
    side: int = 0
    price_ticks: int = 0
    size_lots: int = 0
    flags: int = 0


class Turn(NamedTuple):
    """A nonce that may be given next, and what it may be given to.

    ``drafts``: how unlikely each is, 0 for what would come if targets stood still. ``wait``: to be added, for bids and
    for asks; see `wait_of`. Turns share their drafts, so that a forecast costs little however many there are.
    """

    key: int
    nonce: int
    drafts: Mapping[Draft, int]
    wait: tuple[int, int] = (0, 0)


def draft_of(tx: Transaction) -> Draft:
    """A transaction's draft."""
    return Draft(tx.kind, tx.client_id, tx.order_index, tx.side, tx.price_ticks, tx.size_lots, tx.flags)


def with_nonce(draft: Draft, key: int, nonce: int) -> Transaction:
    """The transaction of a draft."""
    return Transaction(draft.kind, key, nonce, *draft[1:])


def forecast(s: State, centre: Sequence[Quote], ticks: int, cancels: int, nonces: int) -> list[Turn]:
    """What is worth having: cancels before all, then what is near in ticks and in turns of keys.

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
    turns = list(cancels_of(s, orders, cancels))
    if not s.recovered or s.halted:
        return turns
    rules = rules_of(s, working)._replace(now_ns=s.now_ns)
    drafts: dict[Draft, int] = {}
    for side in (BID, ASK):
        quotes = [quote for quote in centre if quote.side == side and not takes(quote.flags)]
        mine = [order for order in orders if order.side == side and not takes(order.flags)]
        if quotes:
            for rank, draft in drafts_of(s, quotes, mine, rules, ticks):
                drafts.setdefault(draft, rank)
    if drafts:
        turns += on_keys(s, drafts, {order.client_id: key for order in orders if (key := own_key(s, order))}, nonces)
    return turns


def settled(s: State, order: Order) -> Order:
    """`order` as it will be when it may be changed next: in strict mode, when what is in flight about it is done."""
    twin = object.__new__(Order)  # `copy` takes ten times as long
    for name in Order.__slots__:
        setattr(twin, name, getattr(order, name))
    if twin.modify is not None:
        twin.price_ticks, twin.size_lots, twin.modify = order.new_price_ticks, order.new_size_lots, None
    if twin.state not in COMING or s.settings.ack_mode == "strict":
        twin.state, twin.seen_ns = OrderState.LIVE, min(order.seen_ns, s.now_ns)
    twin.retry_ns = 0
    return twin


def drafts_of(
    s: State, quotes: list[Quote], mine: list[Order], rules: Rules, ticks: int
) -> Iterator[tuple[int, Draft]]:
    """What one side would ask for, were its targets moved by up to `ticks`, or its orders filled."""
    side, taken = quotes[0].side, set(s.orders.slots)
    for away in range(ticks + 1):
        for shift in (0,) if away == 0 else (away, -away):
            moved = [Quote(q.side, q.rung, q.price_ticks + shift, q.size_lots, q.flags) for q in quotes]
            if len(moved) == len(mine) == 1 and is_plain_move(moved[0], mine[0], rules):  # the planner's own short way
                yield away, modify_of(mine[0], moved[0].price_ticks, moved[0].size_lots)
            else:
                for draft in as_drafts(s, plan_side(side, moved, mine, rules)[0], taken):
                    yield away, draft
            if mine and away == 0:  # filled: replaced at once, by the targets from before the fill
                free = taken - {order.slot for order in mine}
                for draft in as_drafts(s, plan_side(side, moved, [], rules)[0], free):
                    yield away, draft


def as_drafts(s: State, actions: list[Action], taken: set[int]) -> Iterator[Draft]:
    """Drafts of `actions`; cancels are seen to elsewhere."""
    for action in actions:
        if isinstance(action, Change):
            yield modify_of(action.order, action.price_ticks, action.lots)
        elif isinstance(action, Place):
            slot = free_slot(s, action.side, action.rung, taken)
            client_id = None if slot is None else s.ids.peek(slot)
            if slot is None or client_id is None:
                continue
            taken = taken | {slot}
            yield Draft(TxKind.PLACE, client_id, 0, action.side, action.price_ticks, action.lots, action.flags)


def modify_of(order: Order, price_ticks: int, lots: int) -> Draft:
    """Leave so many lots of an order at a price."""
    total_lots = lots + order.filled_lots
    return Draft(TxKind.MODIFY, order.client_id, 0, order.side, price_ticks, total_lots, order.flags)


def own_key(s: State, order: Order) -> Key | None:
    """The key that an order is bound to until it is seen at the venue."""
    return s.keys.keys[order.place.key] if order.seen_ns > s.now_ns and order.place is not None else None


def on_keys(s: State, drafts: dict[Draft, int], bound: dict[int, Key], deep: int) -> Iterator[Turn]:
    """The next `deep` nonces of each key for quotes; orders in `bound` have a key of their own."""
    free = {draft: rank for draft, rank in drafts.items() if draft.client_id not in bound} if bound else drafts
    turns = [(key, ahead) for ahead in range(deep) for key in s.keys.quotes_in_turn()]
    for place, (key, ahead) in enumerate(turns):
        assert key.next is not None  # noqa: S101  it is ready
        yield Turn(key.index, key.next + ahead, free, (wait_of(place, BID), wait_of(place, ASK)))
    for client_id, key in bound.items():
        if key.ready and key.next is not None:
            own = {draft: rank for draft, rank in drafts.items() if draft.client_id == client_id}
            yield Turn(key.index, key.next, own)


def wait_of(place: int, side: int) -> int:
    """How many ticks further away a draft might as well be, for the turn at which its key comes.

    Where both sides move, the bid takes the first turn and the ask the second; the ask alone takes the first. All later
    turns come only once these are used.
    """
    second = int(side == ASK)
    return second - place if place <= second else 2 + place - second


def cancels_of(s: State, orders: list[Order], deep: int) -> Iterator[Turn]:
    """A cancel of every order, for each of the next `deep` nonces of the keys for cancels; and one of all together."""
    keys = [(key, key.next) for key in s.keys.cancels_in_turn() if key.next is not None]
    free = {cancel_of(order): FIRST + n for n, order in enumerate(orders) if own_key(s, order) is None}
    for ahead in range(min(deep, len(free))):
        for key, following in keys:
            yield Turn(key.index, following + ahead, free, (LATER * ahead, LATER * ahead))
    for order in orders:
        own = own_key(s, order)
        if own is not None and own.ready and own.next is not None:
            yield Turn(own.index, own.next, {cancel_of(order): FIRST + LATER * deep})
    if s.settings.venue.cancel_all and not s.foreign and len(orders) > 1:
        for key, following in keys[:1]:
            yield Turn(key.index, following, {Draft(TxKind.CANCEL_ALL): FIRST + LATER * deep})


def cancel_of(order: Order) -> Draft:
    """A cancel as `mmlab.orders.writing` asks for it."""
    return Draft(TxKind.CANCEL, order.client_id, 0, order.side)
