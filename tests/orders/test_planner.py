"""The planner and the limits: tables of cases, and what holds for any case."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmlab.events import NEVER_NS, NO_PRICE, OrderState
from mmlab.exchange import TxKind
from mmlab.orders import planner
from mmlab.orders.events import Quote, Top
from mmlab.orders.exposure import Exposure
from mmlab.orders.ids import slot_code
from mmlab.orders.limits import Gate, count, growth, objection, shrinks
from mmlab.orders.order import Order, Tx
from mmlab.orders.planner import Cancel, Change, Place, Rules, plan
from mmlab.orders.settings import Limits
from mmlab.orders.states import MAY_REST

BID, ASK = 1, -1
LIVE, SENT, PENDING = OrderState.LIVE, OrderState.SENT, OrderState.CANCEL_PENDING
BORN = iter(range(10**9))


def order(price: int, lots: int = 5, side: int = BID, state: OrderState = LIVE, **changes) -> Order:
    n = next(BORN)
    made = Order(1000 + n, slot_code(side, 0, 0), side, 0, price, lots, 1, n, state)
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def moving(price: int, to: int) -> Order:
    return order(price, modify=Tx(0, TxKind.MODIFY, 0, 0, 0, 0), new_price_ticks=to, new_size_lots=5)


def quotes(*prices: int, lots: int = 5, side: int = BID) -> list[Quote]:
    return [Quote(side, rung, price, lots) for rung, price in enumerate(prices)]


def short(actions: list) -> list:
    """Actions in few words: P price lots, M from to lots, C price."""
    words = []
    for action in actions:
        if isinstance(action, Cancel):
            words.append(("C", action.order.price_ticks))
        elif isinstance(action, Change):
            words.append(("M", action.order.price_ticks, action.price_ticks, action.lots))
        else:
            words.append(("P", action.price_ticks, action.lots))
    return words


PAIRS = {"prefer_modify": False}
NO_MODIFY = {"modify": False, "prefer_modify": False}
CASES = {
    "nothing to do": ([99, 98], [order(99), order(98)], {}, []),
    "from nothing": ([99, 98], [], {}, [("P", 99, 5), ("P", 98, 5)]),
    "to nothing": ([], [order(99), order(98)], {}, [("C", 99), ("C", 98)]),
    "a stack that falls by a tick keeps all but one": (
        [98, 97, 96, 95], [order(99), order(98), order(97), order(96)], {}, [("M", 99, 95, 5)],
    ),
    "and by pairs": (
        [98, 97, 96, 95], [order(99), order(98), order(97), order(96)], PAIRS, [("P", 95, 5)],
    ),
    "without room for both: by modify all the same": (
        [98], [order(99)], {**PAIRS, "spare_lots": (4, 4)}, [("M", 99, 98, 5)],
    ),
    "without room for both, or modify: cancel first": (
        [98], [order(99)], {**NO_MODIFY, "spare_lots": (4, 4)}, [("C", 99)],
    ),
    "slots off": ([98], [order(99)], {**PAIRS, "slots": False}, [("C", 99)]),
    "a move within tolerance is no move": ([98, 90], [order(99), order(91)], {"tolerance_ticks": 2}, []),
    "a move of the tolerance is one": ([97], [order(99)], {"tolerance_ticks": 2}, [("M", 99, 97, 5)]),
    "the exact price wins over the near one": (
        [99], [order(100), order(99)], {"tolerance_ticks": 2}, [("C", 100)],
    ),
    "a smaller size shrinks in place": (quotes(99, lots=3), [order(99)], {}, [("M", 99, 99, 3)]),
    "even where orders are moved by pairs": (quotes(99, lots=3), [order(99)], PAIRS, [("M", 99, 99, 3)]),
    "without modify: a smaller one beside it": (quotes(99, lots=3), [order(99)], NO_MODIFY, [("P", 99, 3)]),
    "a larger size is added behind": (quotes(99, lots=9), [order(99)], {}, [("P", 99, 4)]),
    "or grows the order if there is no slot": (quotes(99, lots=9), [order(99)], {"slots": False}, [("M", 99, 99, 9)]),
    "a little missing is not refilled": (
        quotes(99, lots=6), [order(99)], {"size_tolerance": 0.5}, [],
    ),
    "less than the smallest order is not placed": (quotes(99, lots=6), [order(99)], {"min_lots": 2}, []),
    "what is filled is not left": (quotes(99), [order(99, traded_lots=2)], {}, [("P", 99, 2)]),
    "of two at a price the younger shrinks": (
        quotes(99, lots=7), [order(99, born=5), order(99, born=9)], {}, [("M", 99, 99, 2)],
    ),
    "or goes": (quotes(99, lots=5), [order(99, born=5), order(99, born=9)], {}, [("C", 99)]),
    "two targets of one price are one": (
        [*quotes(99, lots=2), Quote(BID, 1, 99, 3)], [order(99)], {}, [],
    ),
    "an order not live yet is waited for": ([98], [order(99, state=SENT)], {}, []),
    "but not in optimistic mode": ([98], [order(99, state=SENT, sent_ns=0)], {"optimistic": True}, [("M", 99, 98, 5)]),
    "an order in doubt is waited for": ([98], [order(99, state=OrderState.UNKNOWN)], {}, []),
    "a refused cancel is not repeated": ([], [order(99, in_doubt=True)], {}, []),
    "nor one that has to wait": ([], [order(99, retry_ns=5)], {"now_ns": 4}, []),
    "until it has waited": ([], [order(99, retry_ns=5)], {"now_ns": 5}, [("C", 99)]),
    "what is being cancelled serves nobody": ([99], [order(99, state=PENDING)], {}, [("P", 99, 5)]),
    "a kind cannot be changed": (
        [Quote(BID, 0, 99, 5, 5)], [order(99)], {}, [("P", 99, 5)],
    ),
}  # fmt: skip


@pytest.mark.parametrize("side", [BID, ASK])
@pytest.mark.parametrize("name", CASES)
def test_cases(name, side):
    """Both sides alike: the ask side is the same case mirrored at 200."""
    wanted, orders, changes, expected = CASES[name]
    wanted = quotes(*wanted) if wanted and isinstance(wanted[0], int) else list(wanted)

    def mirror(price):
        return price if side == BID else 200 - price

    wanted = [q if side == BID else Quote(ASK, q.rung, 200 - q.price_ticks, q.size_lots, q.flags) for q in wanted]
    copies = []
    for o in orders:
        copies.append(Order(**{f: getattr(o, f) for f in o.__dataclass_fields__}))
        copies[-1].side, copies[-1].price_ticks = side, mirror(o.price_ticks)
    actions, _ = plan(wanted, copies, Rules(**changes))
    assert short(actions) == [(word[0], *(mirror(n) if n > 50 else n for n in word[1:])) for word in expected]


def test_the_stale_half_waits_for_the_new_one_to_be_live():
    old, new = order(99), order(98, state=SENT)
    new.replaces = old.client_id
    assert plan(quotes(98), [old, new], Rules()) == ([], True)
    new.state = LIVE
    actions, _ = plan(quotes(98), [old, new], Rules())
    assert short(actions) == [("C", 99)]


def test_and_a_smaller_one_beside_it_takes_its_place():
    old, new = order(99), order(99, 3, state=SENT)
    new.replaces = old.client_id
    rules = Rules(**NO_MODIFY)
    assert plan(quotes(99, lots=3), [old, new], rules)[0] == []
    new.state = LIVE
    (cancel,) = plan(quotes(99, lots=3), [old, new], rules)[0]
    assert cancel.order is old


def test_to_nothing_leaves_no_pair_waiting():
    old, new = order(99), order(98, state=SENT)
    new.replaces = old.client_id
    actions, waits = plan([], [old, new], Rules())
    assert short(actions) == [("C", 99)]
    assert waits


def test_the_order_of_importance():
    bids = [order(99), order(90, born=-1), order(80)]
    asks = [order(price, side=ASK) for price in (101, 105, 106, 107)]
    wanted = [*quotes(99, 91, lots=4), *quotes(101, 102, 120, side=ASK)]
    actions, _ = plan(wanted, bids + asks, Rules())
    assert short(actions) == [
        ("C", 80), ("C", 106), ("M", 99, 99, 4), ("M", 105, 102, 5), ("M", 90, 91, 4), ("M", 107, 120, 5),
    ]  # fmt: skip


# --- what always holds -----------------------------------------------------------------------------------------------

states = st.sampled_from(
    (LIVE, LIVE, LIVE, OrderState.PARTIALLY_FILLED, SENT, PENDING, OrderState.UNKNOWN, OrderState.PLANNED)
)
an_order = st.builds(
    lambda side, distance, lots, state, filled: order(
        1000 - side * distance, lots, side, state, traded_lots=min(filled, lots - 1),
        sent_ns=0 if state != OrderState.PLANNED else NEVER_NS,
    ),
    st.sampled_from((BID, ASK)), st.integers(1, 8), st.integers(1, 9), states, st.integers(0, 3),
)  # fmt: skip
some_quotes = st.lists(
    st.builds(
        lambda side, rung, distance, lots: Quote(side, rung, 1000 - side * distance, lots),
        st.sampled_from((BID, ASK)), st.integers(0, 3), st.integers(1, 8), st.integers(1, 9),
    ),
    max_size=8, unique_by=lambda q: (q.side, q.rung),
)  # fmt: skip
some_rules = st.tuples(
    st.booleans(), st.booleans(), st.just(False), st.booleans(), st.booleans(), st.integers(0, 3),
    st.sampled_from((0.0, 0.5)),
).map(lambda fields: Rules(*fields))  # fmt: skip


@given(some_quotes, st.lists(an_order, max_size=8), some_rules, st.booleans())
def test_no_order_is_touched_twice_and_none_that_must_not_be(wanted, orders, rules, modify):
    rules = rules._replace(prefer_modify=modify and rules.modify)
    actions, _ = plan(wanted, orders, rules)
    touched = Counter(a.order.client_id for a in actions if not isinstance(a, Place))
    assert all(n == 1 for n in touched.values())
    free = {LIVE, OrderState.PARTIALLY_FILLED} | ({SENT} if rules.optimistic else set())
    for action in actions:
        if isinstance(action, Place):
            assert action.lots >= 1
        else:
            assert action.order.state in free
        if isinstance(action, Change):
            assert rules.modify
            assert (action.price_ticks, action.lots) != (action.order.price_ticks, action.order.left_lots)


def carry_out(actions: list, orders: list[Order]) -> list[Order]:
    """A venue that does everything at once."""
    left = [o for o in orders if not any(isinstance(a, Cancel) and a.order is o for a in actions)]
    for action in actions:
        if isinstance(action, Change):
            action.order.price_ticks, action.order.size_lots = (
                action.price_ticks,
                action.lots + action.order.filled_lots,
            )
        elif isinstance(action, Place):
            left.append(order(action.price_ticks, action.lots, action.side, replaces=action.replaces))
    return left


@given(some_quotes, st.lists(an_order, max_size=8), some_rules, st.booleans())
def test_it_gets_there_and_then_says_nothing(wanted, orders, rules, modify):
    rules = rules._replace(prefer_modify=modify and rules.modify, tolerance_ticks=1, size_tolerance=0.0)
    for o in orders:
        o.state = LIVE
    for _ in range(6):
        actions, waits = plan(wanted, orders, rules)
        if not actions:
            break
        orders = carry_out(actions, orders)
    assert not actions
    assert not waits
    have: Counter = Counter()
    for o in orders:
        have[o.side, o.price_ticks] += o.left_lots
    want: Counter = Counter()
    for q in wanted:
        want[q.side, q.price_ticks] += q.size_lots
    assert have == want


@given(st.integers(1, 8), st.integers(-8, 8), st.booleans())
def test_a_shift_costs_one_message_an_order_that_lost_its_place(rungs, shift, modify):
    orders = [order(1000 - k) for k in range(rungs)]
    wanted = quotes(*[1000 + shift - k for k in range(rungs)])
    actions, _ = plan(wanted, orders, Rules(prefer_modify=modify))
    assert len(actions) == min(abs(shift), rungs)


# --- limits ----------------------------------------------------------------------------------------------------------

TOP = Top(0, 99, 101)
GATE = Gate(Limits(20, 20, 4, max_order_lots=50, collar_bps=1000.0), TOP, 2, reduce_only=False, closed="")


def place(price: int, lots: int = 5, side: int = BID, flags: int = 1) -> Place:
    return Place(side, 0, price, lots, flags)


@pytest.mark.parametrize(
    ("action", "orders", "position", "changes", "why"),
    [
        (place(99), [], 0, {}, ""),
        (place(100), [], 0, {}, ""),
        (place(101), [], 0, {}, "post_only"),
        (place(101, flags=2), [], 0, {}, ""),
        (place(99, side=ASK), [], 0, {}, "post_only"),
        (place(100, side=ASK), [order(100)], 0, {}, "own_cross"),
        (place(100, side=ASK), [order(99)], 0, {}, ""),
        (place(100, side=ASK), [order(100, state=PENDING)], 0, {}, "own_cross"),
        (place(100, side=ASK), [order(100, state=OrderState.UNKNOWN)], 0, {}, "own_cross"),
        (place(100, side=ASK), [moving(98, 100)], 0, {}, "own_cross"),
        (place(100, side=ASK), [moving(100, 98)], 0, {}, "own_cross"),
        (place(99, 1), [], 0, {}, "size"),
        (place(99, 51), [], 0, {}, "size"),
        (place(-3), [], 0, {}, "size"),
        (place(80), [], 0, {}, "collar"),
        (place(99, 20), [], 0, {}, ""),
        (place(99, 20), [], 1, {}, "exposure"),
        (place(99, 15), [order(98, 6)], 0, {}, "exposure"),
        (place(99, 15), [order(98, 6, state=PENDING)], 0, {}, "exposure"),
        (place(99, 15), [order(98, 6, traded_lots=1)], 0, {}, ""),
        (place(99, 15), [order(98, 6, state=OrderState.DRAINING)], 0, {}, ""),
        (place(101, 25, ASK), [], 5, {}, ""),
        (place(101, 26, ASK), [], 5, {}, "exposure"),
        (place(99), [order(90), order(91), order(92), order(93)], -20, {}, "order_count"),
        (place(101, 5, ASK), [], 5, {"reduce_only": True}, ""),
        (place(101, 6, ASK), [], 5, {"reduce_only": True}, "reduce_only"),
        (place(99, 2), [], 5, {"reduce_only": True}, "reduce_only"),
        (place(101, 3, ASK, 5), [order(101, 3, ASK)], 5, {}, "reduce_only"),
        (place(99), [], 0, {"closed": "halted"}, "halted"),
        (place(99), [], 0, {"top": Top(0, valid=False)}, "book"),
        (place(99), [], 0, {"top": Top(0, 99, NO_PRICE)}, "book"),
    ],
)  # fmt: skip
def test_objections(action, orders, position, changes, why):
    assert objection(action, Exposure(position, orders), GATE._replace(**changes)) == why


def test_a_modify_is_weighed_by_what_it_adds():
    mine = order(99, 18)
    worst = Exposure(0, [mine])
    assert objection(Change(mine, 0, 98, 20), worst, GATE) == ""
    assert objection(Change(mine, 0, 98, 21), worst, GATE) == "exposure"
    assert objection(Change(mine, 0, 101, 18), worst, GATE) == "post_only"
    assert shrinks(Change(mine, 0, 99, 17))
    assert not shrinks(Change(mine, 0, 98, 17))


@given(
    st.lists(st.tuples(st.sampled_from((BID, ASK)), st.integers(90, 110), st.integers(1, 12)), max_size=12),
    st.integers(-20, 20),
)
def test_what_passes_keeps_every_limit(tries, position):
    """However commands come, the worst case stays within the limits, and none of ours can meet another."""
    resting: list[Order] = []
    worst = Exposure(position, resting)
    for side, price, lots in tries:
        action = place(price, lots, side)
        if not objection(action, worst, GATE):
            count(action, growth(action), worst)
            resting.append(order(price, lots, side))
        again = Exposure(position, resting)
        assert (again.lots, again.nearest, again.orders) == (worst.lots, worst.nearest, worst.orders)
    assert len(resting) <= GATE.limits.max_live_orders
    for side in (BID, ASK):
        added = sum(o.size_lots for o in resting if o.side == side)
        assert not added or side * position + added <= 20
    bids, asks = ([o.price_ticks for o in resting if o.side == side] for side in (BID, ASK))
    assert not bids or not asks or max(bids) < min(asks)


def test_exposure_counts_what_may_rest():
    for state in OrderState:
        lots = Exposure(3, [order(99, 5, state=state)]).lots
        assert lots == {BID: 3 + 5 * MAY_REST[state], ASK: -3}


@given(
    to=st.integers(95, 105), lots=st.integers(1, 9), state=st.sampled_from(list(OrderState)),
    modify=st.booleans(), prefer=st.booleans(), tolerance=st.integers(0, 3), doubt=st.booleans(),
    retry_ns=st.integers(0, 2), filled=st.integers(0, 4), flags=st.sampled_from([1, 5]), moves=st.booleans(),
)  # fmt: skip
def test_the_short_way_of_a_plain_move_is_the_long_way(
    to, lots, state, modify, prefer, tolerance, doubt, retry_ns, filled, flags, moves
) -> None:
    one = moving(100, 101) if moves else order(100)
    one.state, one.in_doubt, one.retry_ns, one.reported_lots, one.flags = state, doubt, retry_ns, filled, flags
    rules = Rules(modify=modify, prefer_modify=prefer and modify, tolerance_ticks=tolerance, now_ns=1)
    short_way = plan(quotes(to, lots=lots), [one], rules)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(planner, "is_plain_move", lambda *_: False)
        assert plan(quotes(to, lots=lots), [one], rules) == short_way
