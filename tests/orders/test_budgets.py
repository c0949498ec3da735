"""Rate, quota, retries: budgets that are kept, in integers or by a seed."""

from __future__ import annotations

from collections import deque

from hypothesis import given
from hypothesis import strategies as st

from mmlab.events import NEVER_NS, NS_PER_S
from mmlab.exchange import TxKind
from mmlab.orders import Costs, QuotaRule, RateRule, RetryRule, VenueRules
from mmlab.orders import events as e
from mmlab.orders.commands import Query, Send, Trip
from mmlab.orders.quota import TokenBucket, VolumeQuota, cost_of
from mmlab.orders.retry import Retries, uniform
from tests.orders.helpers import ASK, BACKOFF, BID, ERRORS, FATAL, NOW, SESSION, Desk, S, of, quote, sent, signed

PLACE, MODIFY, CANCEL, CANCEL_ALL = TxKind


def test_costs_go_by_kind():
    costs = Costs(1, 2, 3, 4, 5)
    assert [cost_of(costs, kind) for kind in TxKind] == [1, 2, 3, 4]


@given(
    st.integers(1, 50), st.integers(1, 500), st.integers(1, 10**10),
    st.lists(st.tuples(st.integers(0, 10**9), st.integers(1, 10)), max_size=50),
)  # fmt: skip
def test_no_window_ever_holds_more_than_capacity_and_refill(capacity, refill, per_ns, tries):
    bucket = TokenBucket(RateRule(capacity, refill, per_ns))
    now, start, taken = 0, 0, 0
    for gap, amount in tries:
        now += gap
        if bucket.tokens(now) >= amount:
            bucket.take(amount, now)
            taken += amount
        assert taken * per_ns <= capacity * per_ns + (now - start) * refill


@given(st.integers(1, 50), st.integers(1, 500), st.integers(1, 10**10), st.integers(1, 50), st.integers(0, 10**9))
def test_when_is_the_first_moment(capacity, refill, per_ns, amount, now):
    bucket = TokenBucket(RateRule(capacity, refill, per_ns))
    bucket.take(capacity, now)
    due = bucket.when(amount, now)
    if amount > capacity:
        assert due == NEVER_NS
        return
    assert bucket.tokens(due - 1) < amount
    assert bucket.tokens(due) >= amount


def test_without_a_rule_there_is_no_limit():
    bucket = TokenBucket(RateRule())
    bucket.take(10**6, 0)
    assert bucket.when(10**6, 0) == 0


def test_quota_is_spent_earned_and_told():
    quota = VolumeQuota(QuotaRule(True, 2, 5, earn_tick_lots=100))
    quota.spend(PLACE, 0)
    quota.spend(MODIFY, 0)
    quota.spend(CANCEL, 0)
    assert quota.left == 0
    assert quota.when(PLACE, 7) == NEVER_NS
    assert quota.when(CANCEL, 7) == 7
    quota.earn(30, 8)
    quota.earn(30, 2)
    assert quota.left == 3
    quota.told(1)
    assert quota.when(PLACE, 7) == 7


def test_an_empty_quota_allows_one_message_now_and_then():
    quota = VolumeQuota(QuotaRule(True, 0, 5, free_ns=15))
    quota.spend(PLACE, 100)
    assert quota.when(PLACE, 101) == 115


def test_chance_is_even_and_repeats():
    draws = [uniform(7, n) for n in range(10_000)]
    assert draws == [uniform(7, n) for n in range(10_000)]
    assert draws != [uniform(8, n) for n in range(10_000)]
    assert abs(sum(draws) / len(draws) - 0.5) < 0.01
    assert min(draws) >= 0
    assert max(draws) < 1


@given(st.integers(1, 30), st.integers(0, 99))
def test_back_off_doubles_up_to_its_cap_less_the_jitter(attempt, seed):
    rule = RetryRule(base_ns=100, factor=2.0, max_ns=5000, jitter=0.25, per_order=20)
    delay = Retries(rule, seed).delay_ns(attempt)
    full = min(5000, 100 * 2 ** (attempt - 1))
    assert 0.75 * full - 1 <= delay <= full


def test_beyond_the_budget_of_an_order_the_wait_is_the_longest():
    rule = RetryRule(base_ns=1, max_ns=10**6, jitter=0.0, per_order=3)
    assert [Retries(rule, 0).delay_ns(n) for n in (1, 2, 3, 4)] == [1, 2, 4, 10**6]


def test_the_breaker_opens_on_a_share_and_decides_by_the_next_message():
    retries = Retries(RetryRule(breaker_n=10, breaker_min_n=5, breaker_share=0.3), 0)
    opened = [retries.note(refused=refused, now_ns=0) for refused in (False, False, True, False, True)]
    assert opened == [False, False, False, False, True]
    until = retries.open_until_ns
    assert not retries.note(refused=True, now_ns=until - 1)  # an answer to what had left before
    assert retries.note(refused=True, now_ns=until)
    assert retries.open_until_ns - until > until * 0.7


def test_refusals_wait_longer_and_longer_and_success_forgets():
    desk = Desk()
    gaps, last = [], desk.now_ns
    said = desk.targets(quote(BID, 999))
    for _ in range(4):
        (tx,) = sent(said, PLACE, desk)
        desk.tell(e.Refused(0, tx.tx_id, BACKOFF))
        last, said = desk.now_ns, []
        while not said:
            desk.now_ns = desk.om.next_deadline()
            said = sent(desk.tell(e.Timer(0)), PLACE, desk) and desk.said
        gaps.append(desk.now_ns - last)
    assert gaps == [gaps[0] * 2**n for n in range(4)]
    (view,) = desk.accept(desk.said)
    assert desk.om.state.holds[BID, 0].attempts == 0
    assert desk.state(view) == "LIVE"


def test_retryable_now_is_tried_at_once_and_only_once():
    desk = Desk()
    (tx,) = sent(desk.targets(quote(BID, 999)), PLACE, desk)
    (again,) = sent(desk.tell(e.Refused(0, tx.tx_id, NOW)), PLACE, desk)
    assert (again.nonce, again.client_id != tx.client_id) == (tx.nonce, True)
    assert not signed(desk.tell(e.Refused(0, again.tx_id, NOW)))


def test_too_many_retries_pause_the_session_but_not_its_cancels():
    desk = Desk(retry=RetryRule(jitter=0.0, base_ns=1, max_ns=1, per_session=3, breaker_share=1.0))
    desk.accept(desk.targets(quote(ASK, 1001)))
    said = desk.targets(quote(ASK, 1001), quote(BID, 999))
    trips = []
    for _ in range(8):
        for tx in sent(said, PLACE, desk):
            trips += of(desk.tell(e.Refused(0, tx.tx_id, NOW)), Trip)
        said = desk.said + desk.wait(10)
    assert {(trip.switch, trip.effect) for trip in trips} == {("retries", "paused")}
    assert sent(desk.targets(), CANCEL, desk)


def test_when_tokens_are_short_near_rungs_come_first_and_cancels_always():
    venue = VenueRules(
        flight_ns=S, errors=ERRORS, cancel_keys=(9,), cancel_all=False, modify=False,
        rate=RateRule(12, 12, 60 * NS_PER_S, Costs(query=0)),
    )  # fmt: skip
    desk = Desk(venue)
    quotes = [quote(side, 1000 - side * (1 + rung), rung=rung) for side in (BID, ASK) for rung in range(4)]
    views = desk.accept(desk.targets(*quotes))
    assert sorted(v.price_ticks for v in views) == [997, 998, 999, 1001, 1002, 1003]  # a token is kept to cancel each
    assert len(sent(desk.tell(e.Kill(0)), CANCEL, desk)) == len(views)


def test_a_small_move_waits_for_tokens_and_then_goes():
    venue = VenueRules(flight_ns=S, errors=ERRORS, cancel_keys=(9,), rate=RateRule(4, 4, 4 * NS_PER_S, Costs(query=0)))
    desk = Desk(venue)
    desk.accept(desk.targets(quote(BID, 999)))
    said = desk.targets(quote(BID, 998))
    while signed(said):
        (tx,) = signed(said)
        order = desk.order(tx)
        desk.ack(tx)
        desk.report(e.OrderView(order.client_id, order.order_index, BID, tx.price_ticks, 5, 0, "open", tx.nonce + 2))
        said = desk.targets(quote(BID, order.price_ticks - 1))
    assert desk.om.next_deadline() <= desk.now_ns + 2 * S
    assert signed(desk.wait(2 * S))


def test_a_session_that_sends_too_much_is_told_to_wait():
    desk = Desk()
    (tx,) = sent(desk.targets(quote(BID, 999)), PLACE, desk)
    desk.tell(e.Refused(0, tx.tx_id, BACKOFF, retry_after_ns=5 * S))
    assert not signed(desk.wait(4 * S))
    assert signed(desk.wait(2 * S))


def test_an_order_the_venue_never_wants_is_not_offered_for_ever():
    desk = Desk()
    said, tries = desk.targets(quote(BID, 999)), 0
    for _ in range(600):  # a minute
        for tx in sent(said, PLACE, desk):
            tries += 1
            desk.tell(e.Refused(0, tx.tx_id, FATAL))
        said = desk.wait(S // 10)
    assert tries < 20


@given(st.sampled_from((NOW, BACKOFF, SESSION)), st.booleans())
def test_cancels_that_are_refused_are_tried_on_but_not_at_every_answer(code, cancel_all):
    """At a venue that answers at once, so that nothing but the back-off stands between two tries."""
    desk = Desk(VenueRules(flight_ns=S, errors=ERRORS, cancel_keys=(9,), cancel_all=cancel_all))
    desk.accept(desk.targets(quote(BID, 999), quote(ASK, 1001)))
    todo, tries = deque(desk.tell(e.Kill(0))), 0
    for _ in range(600):  # a minute
        while todo:
            command = todo.popleft()
            if isinstance(command, Send) and desk.signs[command.tx_id].kind in (CANCEL, CANCEL_ALL):
                tries += 1
                assert tries < 80
                todo += desk.tell(e.Refused(0, command.tx_id, code))
            elif isinstance(command, Query) and command.what == "nonce":
                todo += desk.tell(e.NonceReport(0, command.query_id, command.key, 0))
        todo += desk.wait(S // 10)
    assert tries > 8
