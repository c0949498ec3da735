"""The life cycle: one table, and what it promises."""

from __future__ import annotations

import pytest

from mmlab.events import OrderState as O
from mmlab.orders.states import MAY_REST, NEXT, PENDING, RESTING, TERMINAL, TRANSITIONS, UNSENT, Step


def test_every_state_of_the_terms_is_in_the_table():
    assert set(TRANSITIONS) == set(O)
    assert all(NEXT[state][step] == TRANSITIONS[state].get(step) for state in O for step in Step)


def test_every_state_is_reached_from_planned_and_leads_to_an_end():
    reached, todo = {O.PLANNED}, [O.PLANNED]
    while todo:
        for after in TRANSITIONS[todo.pop()].values():
            if after not in reached:
                reached.add(after)
                todo.append(after)
    assert reached == set(O)
    for state in O:
        ahead, todo = {state}, [state]
        while todo:
            new = set(TRANSITIONS[todo.pop()].values()) - ahead
            ahead |= new
            todo += new
        assert any(TERMINAL[s] for s in ahead)


def test_nothing_leaves_an_end():
    for state in O:
        if TERMINAL[state]:
            assert set(TRANSITIONS[state].values()) == {state}


def test_what_may_rest_ends_only_by_a_word_of_the_venue_or_before_it_left():
    ours = {Step.SIGN, Step.UNSIGN, Step.SEND, Step.MODIFYING, Step.CANCELING, Step.RELEASE, Step.DOUBT}
    for state in O:
        for step, after in TRANSITIONS[state].items():
            if step in ours:
                assert not TERMINAL[after], (state, step)


def test_doubt_leads_to_unknown_alone():
    assert {TRANSITIONS[state][Step.DOUBT] for state in O if Step.DOUBT in TRANSITIONS[state]} == {O.UNKNOWN}


@pytest.mark.parametrize("state", O)
def test_sets_of_states_agree(state):
    assert not (TERMINAL[state] and (MAY_REST[state] or PENDING[state]))
    assert not RESTING[state] or MAY_REST[state]
    assert not UNSENT[state] or PENDING[state]
