"""Client order ids: 48 bits, ours at sight, never twice."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mmlab.events import NS_PER_S
from mmlab.orders.ids import (
    EXIT_RUNG,
    INSTANCES,
    ORIGIN_NS,
    SESSION_NS,
    SLOTS,
    VERSIONS,
    IdSource,
    pack,
    session_at,
    slot_code,
    unpack,
)  # fmt: skip

NOW = ORIGIN_NS + 80_000_000 * NS_PER_S
sides, rungs, halves = st.sampled_from((1, -1)), st.integers(0, EXIT_RUNG), st.integers(0, 1)


@given(st.integers(0, INSTANCES - 1), st.integers(0, 2**27 - 1), sides, rungs, halves, st.integers(0, VERSIONS - 1))
def test_round_trip(instance, session, side, rung, half, version):
    client_id = pack(instance, session, slot_code(side, rung, half), version)
    assert 0 < client_id < 2**48
    assert unpack(client_id) == (instance, session, side, rung, half, version)


@given(st.integers(-10, 2**50))
def test_anything_else_is_not_ours_or_packs_to_itself(number):
    parts = unpack(number)
    if parts is None:
        return
    assert pack(parts[0], parts[1], slot_code(*parts[2:5]), parts[5]) == number


def test_counters_and_times_are_not_ours():
    assert all(unpack(n) is None for n in (0, 1, 10**6, NOW // 10**6, NOW // 10**3 % 2**47))


def test_versions_count_a_slot():
    ids = IdSource(3, NOW)
    made = [ids.next(5, NOW) for _ in range(3)] + [ids.next(6, NOW)]
    assert [unpack(i).version for i in made] == [0, 1, 2, 0]
    assert all(ids.owns(i) and ids.made(i) for i in made)
    assert not IdSource(4, NOW).owns(made[0])
    assert not ids.made(pack(3, ids.session, 6, 1))


@given(st.lists(st.integers(0, 200 * NS_PER_S), min_size=1, max_size=6))
def test_no_two_lives_share_an_id_however_often_it_crashes(lifetimes):
    seen: set[int] = set()
    now = NOW
    for life_ns in lifetimes:
        ids = IdSource(0, now)
        assert now < ids.opens_ns <= now + SESSION_NS
        assert session_at(ids.opens_ns) == ids.session
        if now + life_ns >= ids.opens_ns:  # it lives long enough to place orders
            made = {ids.next(slot, now + life_ns) for slot in range(SLOTS) for _ in range(2)}
            assert not made & seen
            seen |= made
        now += life_ns


def test_a_slot_out_of_versions_moves_to_the_present_session():
    ids = IdSource(0, NOW)
    for _ in range(VERSIONS):
        last = ids.next(0, ids.opens_ns)
    assert ids.next(0, ids.opens_ns) is None
    later = ids.opens_ns + SESSION_NS
    fresh = ids.next(0, later)
    assert unpack(fresh).session == session_at(later) > unpack(last).session
    assert ids.owns(last)
