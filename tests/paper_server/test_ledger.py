"""Money, nonces and quota of an account, against sums made another way."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmlab.events import NS_PER_S
from mmlab.paper_server.book import Book
from mmlab.paper_server.judge import Judge, Rules
from mmlab.paper_server.ledger import Account, Key, Position, Quota
from mmlab.paper_server.limits import Rolling
from mmlab.paper_server.tiers import TIERS
from mmlab.paper_server.transactions import CancelAllOrders, Received, Refusal
from mmlab.paper_server.units import MICRO, Units, decimals_of, text

UNITS = Units(2, 4)
TRADES = st.lists(st.tuples(st.sampled_from([1, -1]), st.integers(1, 10**6), st.integers(1, 10**5)), max_size=40)


def account(**more) -> Account:
    return Account(1, "0x1", TIERS["premium"], 10**18, 500, keys={4: Key("00"), 5: Key("11")}, **more)


@given(TRADES, st.integers(1, 10**6))
def test_money_is_conserved(trades, mark):
    one, cash, lots, fees = account(), Fraction(0), 0, Fraction(0)
    begin = one.collateral
    for side, ticks, size in trades:
        one.book_trade(side, ticks, size, 40, UNITS)
        cash -= side * ticks * size
        lots += side * size
        fees += Fraction(ticks * size * 40, 10**6)
    assert one.position.lots == lots and one.position.cost >= 0 and (lots or not one.position.cost)
    assert one.fees == fees * MICRO
    assert one.value(mark) - begin == (cash + lots * mark - fees) * MICRO  # cash and stock, whatever the entry
    assert one.volume == sum(ticks * size for _, ticks, size in trades) * MICRO


@given(TRADES)
def test_one_way_trades_realise_nothing(trades):
    position = Position()
    assert sum(position.trade(1, ticks, size) for _, ticks, size in trades) == 0
    assert position.cost == sum(ticks * size for _, ticks, size in trades)


@given(st.integers(-(10**6), 10**6), st.integers(1, 10**6), st.integers(-(10**6), 10**6))
def test_funding_is_paid_by_longs_at_a_positive_rate(lots, mark, rate):
    one = account()
    one.position.lots = lots
    before = one.collateral
    paid = one.book_funding(mark, rate)
    exact = Fraction(lots * mark * rate * MICRO, 10**9)
    assert 0 <= exact - paid < 1 and one.collateral == before - paid


@given(st.lists(st.one_of(st.integers(0, 15), st.just(-1)), max_size=200), st.integers(0, 20))
def test_quota_never_falls_below_zero(steps, start):
    quota, now_ns, spent, earned = Quota(on=True, left=start), 0, 0, 0
    for step in steps:
        now_ns += NS_PER_S
        if step < 0:
            quota.earn(4 * UNITS.money, UNITS.money)  # 4 USD earn a unit, and a third of the next
            earned += 4
        else:
            free = quota.free_ns
            spent += step if quota.spend(step, now_ns) and quota.free_ns == free else 0
        assert quota.left >= 0 and quota.left == start + earned // 3 - spent


@given(st.lists(st.tuples(st.sampled_from([4, 5]), st.integers(0, 30), st.booleans()), max_size=60))
def test_nonces_are_used_in_order_and_once(steps):
    one = account()
    judge = Judge(Rules(0, 1, 0), {1: one}, Book())
    used: dict[int, list[int]] = {4: [], 5: []}
    for key, nonce, skip in steps:
        expected = one.keys[key].nonce
        tx = CancelAllOrders(1, key, 10**15, nonce, "", {"4": 1} if skip else None, time_in_force=0, time=0)
        fits = nonce == expected or (skip and nonce > expected)
        if fits:
            judge.admit([Received(16, tx, "", "", 0)], 0)
            used[key].append(nonce)
        else:
            with pytest.raises(Refusal, match="invalid nonce"):
                judge.admit([Received(16, tx, "", "", 0)], 0)
        assert one.keys[key].nonce == (nonce + 1 if fits else expected)
    assert all(found == sorted(set(found)) for found in used.values())


@given(st.lists(st.tuples(st.integers(0, 20 * NS_PER_S), st.integers(1, 5)), max_size=60), st.integers(5, 20))
def test_a_rolling_minute_is_never_overspent(steps, most):
    limit, now_ns, taken = Rolling(most), 0, []
    for later_ns, weight in steps:
        now_ns += later_ns
        within = sum(w for at, w in taken if at > now_ns - 60 * NS_PER_S)
        assert limit.take(weight, now_ns) == (within + weight <= most)
        if within + weight <= most:
            taken.append((now_ns, weight))


@given(st.integers(-(10**18), 10**18), st.integers(0, 8))
def test_text_has_all_decimals(value, decimals):
    written = text(value, decimals)
    assert Fraction(written) == Fraction(value, 10**decimals)
    assert len(written.partition(".")[2]) == decimals


@pytest.mark.parametrize(
    ("step", "found"), [(0.5, (1, 5)), (1.0, (0, 1)), (10.0, (0, 10)), (0.01, (2, 1)), (1e-5, (5, 1)), (0.25, (2, 25))]
)
def test_decimals_of_steps(step, found):
    assert decimals_of(step) == found
