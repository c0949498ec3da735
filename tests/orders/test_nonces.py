"""Nonces: in order, none twice, none skipped, one key's trouble its own."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mmlab.exchange import TxKind
from mmlab.orders.nonces import Key, KeyRing
from mmlab.orders.order import Tx

FLIGHT = 10


def tx(tx_id: int = 0) -> Tx:
    return Tx(tx_id, TxKind.PLACE, 0, 0, 0, 0)


def known(nonce: int = 5) -> Key:
    key = Key(0)
    assert key.learn(nonce, 0, FLIGHT) == (True, [])
    return key


def leave(key: Key, at_ns: int) -> Tx:
    one = tx()
    key.assign(one)
    key.leave(one)
    one.sent_ns = at_ns
    return one


def test_nothing_before_the_venue_told():
    assert not Key(0).ready
    assert KeyRing([0], [1]).for_quote() is None


def test_an_accepted_one_is_consumed_a_refused_one_is_not():
    key = known(5)
    key.consumed(leave(key, 0))
    assert key.refused(leave(key, 0), 1, bad_nonce=False) == []
    assert (key.next, key.resync) == (6, False)


def test_one_given_up_before_it_left_gives_its_nonce_to_the_next():
    key = known(5)
    txs = [tx(n) for n in range(3)]
    for one in txs:
        key.assign(one)
    assert key.drop(txs[0]) == txs[1:]
    assert [one.nonce for one in txs[1:]] == [5, 6]
    assert key.next == 7


def test_a_refusal_below_others_that_left_rests_the_key():
    key = known(5)
    first, second = leave(key, 0), leave(key, 0)
    waiting = tx()
    key.assign(waiting)
    assert key.refused(first, 1, bad_nonce=False) == [waiting]  # it has no nonce any more
    assert not key.ready
    assert key.learn(5, 2, FLIGHT) == (False, [])  # the second may still arrive
    assert key.ask_ns == FLIGHT
    key.refused(second, 3, bad_nonce=True)
    assert key.learn(5, 4, FLIGHT) == (True, [])
    assert key.next == 5


def test_what_cannot_arrive_any_more_frees_its_nonce():
    key = known(5)
    leave(key, 0)
    key.lose(1)
    assert key.learn(5, FLIGHT - 1, FLIGHT)[0] is False
    assert key.learn(5, FLIGHT, FLIGHT)[0] is True
    assert key.next == 5


def test_an_answer_that_was_overtaken_does_not_turn_the_counter_back():
    key = known(5)
    leave(key, 0)
    assert key.learn(6, 1, FLIGHT)[0]
    assert key.learn(5, 0, FLIGHT)[0]
    assert key.next == 6


def test_an_acceptance_weighs_more_than_an_old_answer():
    key = known(5)
    key.consumed(leave(key, 3))
    key.learn(5, 2, FLIGHT)  # asked before it arrived
    assert key.next == 6


def test_a_late_refusal_of_what_was_settled_changes_nothing():
    key = known(5)
    lost = leave(key, 0)
    key.learn(5, FLIGHT, FLIGHT)
    again = leave(key, FLIGHT)
    key.consumed(again)
    assert key.refused(lost, FLIGHT + 1, bad_nonce=True) == []
    assert (key.next, key.resync) == (6, False)


def test_nothing_is_ready_while_an_earlier_life_may_still_speak():
    key = Key(0, calm_ns=100)
    assert key.learn(5, 99, FLIGHT) == (False, [])
    assert key.ask_ns == 100
    assert key.learn(5, 100, FLIGHT) == (True, [])


def test_cancels_have_a_key_and_borrow_another_only_in_need():
    ring = KeyRing([0, 1], [9])
    for key in ring.ring:
        key.learn(0, 0, FLIGHT)
    assert ring.for_cancel().index == 9
    ring.keys[0].assign(tx())
    assert ring.for_quote().index == 1
    ring.keys[9].lose(0)
    assert ring.for_cancel().index == 1
    assert ring.in_flight == 1


@given(
    st.lists(st.tuples(st.sampled_from(("assign", "send", "ok", "refuse", "lost", "drop", "learn")), st.integers(0, 5)))
)
def test_a_venue_that_counts_never_sees_a_gap_but_after_a_loss(moves):
    """A venue with one counter against a key: consecutive nonces, and after any trouble the key comes right again."""
    key, venue, now = known(0), 0, 0
    flying: list[Tx] = []
    trouble = False
    for move, which in moves:
        now += 1
        if move == "assign" and key.ready:
            key.assign(tx())
        elif move == "send" and key.unsent:
            one = key.unsent[0]
            key.leave(one)
            one.sent_ns = now
            flying.append(one)
        elif move == "drop" and key.unsent:
            key.drop(key.unsent[which % len(key.unsent)])
        elif move == "lost" and flying:
            flying.pop(which % len(flying))
            trouble = True
        elif move in ("ok", "refuse") and flying:
            one = flying.pop(0)
            if one.nonce != venue:
                assert trouble
                key.refused(one, now, bad_nonce=True)
            elif move == "ok":
                venue += 1
                key.consumed(one)
            else:
                trouble = trouble or bool(flying)
                key.refused(one, now, bad_nonce=False)
        elif move == "learn":
            key.learn(venue, now, FLIGHT)
        assert [one.nonce for one in key.unsent] == list(range(key.next - len(key.unsent), key.next))
    now += FLIGHT + 1
    for one in flying:  # all that is left is settled by one question after the last may have arrived
        assert one.nonce in key.sent or key.resync
    assert key.learn(venue, now + FLIGHT, FLIGHT)[0]
    assert key.next - len(key.unsent) == venue
