"""The participation machine: every switch, its back-off and latch; and what must hold whatever happens.

`MUTANTS` are planted bugs that the property tests must see.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmlab.engine.participation import BROKEN, Order, Participation, ParticipationRules, SideState, Trading
from mmlab.events import NEVER_NS, NS_PER_S, GateAction, Reason, Switch

RULES = ParticipationRules(
    fresh_ns=2 * NS_PER_S, memory_ns=60 * NS_PER_S, halt_ns=60 * NS_PER_S, max_rearms=2, reconnects_per_min=5
)
ENGINE = (Switch.STATUS, Switch.LINK, Switch.REJECTS, Switch.QUEUE, Switch.COLLAR, Switch.MISMATCH, Switch.SESSION,
          Switch.TASK, Switch.MANUAL)  # fmt: skip
LATCHING = (Switch.MISMATCH, Switch.SESSION, Switch.TASK, Switch.MANUAL)
NONE = 0
Machine = Callable[[ParticipationRules], Participation]


def quoting(rules: ParticipationRules = RULES, machine: Machine = Participation) -> Participation:
    """A machine that quotes, at 10 s."""
    p = machine(rules)
    p.link(up=True, now_ns=0)
    p.reconciled = True
    p.book(valid=True, now_ns=0)
    assert p.step(10 * NS_PER_S) == []
    assert p.trading == Trading.QUOTING
    assert not p.blocked
    return p


def settle(p: Participation, now_ns: int) -> None:
    """The order manager proves the book empty, if asked to."""
    p.step(now_ns)
    p.proven = True
    p.step(now_ns)


def test_nothing_before_link_and_view() -> None:
    p = Participation(RULES)
    assert p.blocked
    assert p.step(1) == []
    p.link(up=True, now_ns=1)
    assert p.step(2) == []
    assert p.trading == Trading.STARTING
    p.reconciled = True
    assert p.step(3) == []
    assert p.trading == Trading.QUOTING


@pytest.mark.parametrize("switch", ENGINE)
def test_every_switch_blocks_at_once(switch: Switch) -> None:
    p = quoting()
    t = 20 * NS_PER_S
    if switch == Switch.REJECTS:  # the first within memory only backs off
        assert not p.trip(switch, t)
        assert not p.blocked
        assert p.triggers[-1].action == GateAction.PAUSE
    assert p.trip(switch, t + 1)
    assert p.blocked
    assert p.trading == Trading.QUOTING  # nobody was asked yet
    assert p.step(t + 2) == [Order.KILL]
    assert p.trading == Trading.HALTING
    assert p.step(t + 3) == []
    p.proven = True
    p.step(t + 4)
    assert p.trading == Trading.HALTED
    assert switch.name.lower() in p.why
    assert p.latched == (switch in LATCHING)


@pytest.mark.parametrize("switch", [Switch.STATUS, Switch.LINK, Switch.REJECTS, Switch.QUEUE, Switch.COLLAR])
def test_durations_double_and_latch(switch: Switch) -> None:
    p, t, seen = quoting(), 20 * NS_PER_S, []
    for _ in range(6):
        while not p.trip(switch, t):
            pass
        seen.append(p.switches[switch].duration_ns)
        settle(p, t)
        if p.latched:
            break
        t = p.switches[switch].until_ns
        p.step(t - 1)
        assert p.trading == Trading.HALTED
        assert p.step(t) == [Order.REARM]
        t += NS_PER_S
    rule = RULES.of(switch)
    want = [min(rule.cap_ns, rule.first_ns << n) for n in range(len(seen))]
    assert seen == want
    limited = switch in (Switch.REJECTS, Switch.QUEUE, Switch.COLLAR)
    assert p.latched == limited
    assert len(seen) == (RULES.max_rearms + 1 if limited else 6)


def test_a_late_repeat_begins_anew() -> None:
    p, t = quoting(), 20 * NS_PER_S
    for _ in range(2):
        p.trip(Switch.STATUS, t)
        settle(p, t)
        t = p.switches[Switch.STATUS].until_ns
        p.step(t)
    assert p.switches[Switch.STATUS].duration_ns == 2 * RULES.fresh_ns
    t += 200 * NS_PER_S
    p.trip(Switch.STATUS, t)
    assert p.switches[Switch.STATUS].duration_ns == RULES.fresh_ns


@pytest.mark.parametrize("lack", ["book", "link", "reconciled", "cause", "time"])
def test_rearm_needs_everything(lack: str) -> None:
    p, t = quoting(), 20 * NS_PER_S
    p.trip(Switch.STATUS, t, cause=True)
    settle(p, t)
    late = t + 1000 * NS_PER_S
    if lack != "cause":
        p.clear(Switch.STATUS)
    if lack == "book":
        p.book(valid=False, now_ns=late)
        p.book(valid=True, now_ns=late)
    elif lack == "link":
        p.linked = False
    elif lack == "reconciled":
        p.reconciled = False
    at_ns = t + 1 if lack == "time" else late
    assert p.step(at_ns) == []
    assert p.blocked
    p.clear(Switch.STATUS)
    p.linked = p.reconciled = True
    assert p.step(late + RULES.fresh_ns) == [Order.REARM]
    assert not p.blocked


@pytest.mark.parametrize("switch", LATCHING)
def test_latched_needs_an_operator(switch: Switch) -> None:
    p, t = quoting(), 20 * NS_PER_S
    p.trip(switch, t)
    settle(p, t)
    assert p.step(t + 10**6 * NS_PER_S) == []
    assert p.next_deadline(t + 10**6 * NS_PER_S) == NEVER_NS
    p.reconciled = False
    p.operator_rearm()
    assert p.step(t + 10**6 * NS_PER_S) == []
    p.reconciled = True
    assert p.step(t + 10**6 * NS_PER_S) == [Order.REARM]


def test_too_many_reconnects_halt_long() -> None:
    p, t = quoting(), 20 * NS_PER_S
    for _ in range(RULES.reconnects_per_min + 1):
        p.link(up=False, now_ns=t)
        settle(p, t)
        t += 100_000_000
        p.link(up=True, now_ns=t)
        p.reconciled = True
    assert p.switches[Switch.LINK].until_ns == t + RULES.halt_ns
    assert p.triggers[-1].detail == "reconnects a minute"
    assert p.step(t + RULES.halt_ns - 1) == []
    assert p.step(t + RULES.halt_ns) == [Order.REARM]


def test_reduce_lets_the_position_out() -> None:
    p, t = quoting(ParticipationRules(reduce=True)), 20 * NS_PER_S
    p.flat = False
    p.decided(int(Reason.LOSS), int(Reason.LOSS), quoting=(False, True))
    assert p.step(t) == [Order.KILL]
    p.proven = True
    assert p.step(t) == [Order.REDUCE]
    assert not p.blocked
    p.trip(Switch.MANUAL, t)
    assert p.blocked
    assert p.step(t) == [Order.KILL]
    p.proven = True
    assert p.step(t) == [Order.REDUCE]
    p.trip(Switch.MISMATCH, t)  # who knows what there is to reduce
    assert p.step(t) == [Order.KILL]
    p.proven = True
    assert p.step(t) == []
    assert p.trading == Trading.HALTED
    assert p.blocked


@pytest.mark.parametrize("switch", ENGINE)
def test_flatten_leaves_in_spite_of_most_halts(switch: Switch) -> None:
    p, t = quoting(), 20 * NS_PER_S
    p.flat = False
    p.trip(switch, t)
    p.trip(switch, t + 1)
    settle(p, t + 2)
    p.flattening = True
    assert p.step(t + 3) == ([] if switch in BROKEN else [Order.REDUCE])
    assert p.blocked == (switch in BROKEN)
    p.flattening = False
    p.step(t + 4)
    assert p.blocked


def test_what_is_broken_ends_a_flatten() -> None:
    p, t = quoting(), 20 * NS_PER_S
    p.flat, p.flattening = False, True
    p.trip(Switch.MANUAL, t)
    settle(p, t)
    assert p.trading == Trading.REDUCING
    p.trip(Switch.TASK, t + 1)
    assert p.blocked
    assert p.step(t + 1) == [Order.KILL]
    p.proven = True
    assert p.step(t + 2) == []
    assert p.blocked


def test_sides_say_what_they_do() -> None:
    p = quoting()
    p.decided(int(Reason.TOXIC), int(Reason.LADDER), quoting=(False, True))
    assert p.sides == [SideState.PAUSED, SideState.WORSENED]
    p.decided(NONE, NONE, quoting=(True, False))
    assert p.sides == [SideState.QUOTING, SideState.OFF]
    p.trip(Switch.TASK, 20 * NS_PER_S)
    p.decided(NONE, NONE, quoting=(True, True))
    assert p.sides == [SideState.HALTED, SideState.HALTED]


# --- Whatever happens ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Event:
    """One thing that happens, some time after the one before."""

    wait_ns: int
    what: str
    argument: Any = None


EVENTS = st.builds(
    lambda wait_ms, pair: Event(wait_ms * 1_000_000, *pair),
    st.sampled_from((0, 1, 100, 1999, 2000, 5000, 61_000, 200_000)),
    st.one_of(
        st.tuples(st.just("trip"), st.sampled_from([(s, c) for s in ENGINE for c in (False, True)])),
        st.tuples(st.just("clear"), st.sampled_from(ENGINE)),
        st.tuples(st.sampled_from(("link", "reconciled", "book", "kernel", "flat", "flattening")), st.booleans()),
        st.tuples(st.sampled_from(("proven", "step", "operator")), st.none()),
    ),
)


def happen(p: Participation, event: Event, t: int) -> None:
    """Tell the machine."""
    if event.what == "trip":
        p.trip(event.argument[0], t, cause=event.argument[1])
    elif event.what == "clear":
        p.clear(event.argument)
    elif event.what == "link":
        p.link(up=event.argument, now_ns=t)
    elif event.what == "reconciled":
        p.reconciled = event.argument and p.linked
    elif event.what == "book":
        p.book(valid=event.argument, now_ns=t)
    elif event.what in ("kernel", "flat"):
        reasons = int(Reason.LOSS) if event.what == "kernel" and event.argument else 0
        flat = event.argument if event.what == "flat" else p.flat
        p.flat = flat
        p.decided(reasons, reasons, quoting=(not reasons, not reasons))
    elif event.what == "flattening":
        p.flattening = event.argument
    elif event.what == "proven" and p.trading == Trading.HALTING:
        p.proven = True
    elif event.what == "operator":
        p.operator_rearm()


def check_course(machine: Machine, events: list[Event], *, reduce: bool, fresh: bool) -> None:
    """Every property, along one course of events and after it. `fresh`: from the start, else from quoting."""
    rules, t = ParticipationRules(reduce=reduce), 10 * NS_PER_S
    p = machine(rules) if fresh else quoting(rules, machine)
    told: list[Order] = []
    for event in events:
        t += event.wait_ns
        happen(p, event, t)
        check_blocked(p)
        orders = p.step(t)
        told += orders
        assert len(orders) <= 1
        assert p.trading == Trading.HALTING or Order.KILL not in orders
        check_blocked(p)
        assert p.next_deadline(t) > t
        assert p.blocked == (p.trading not in (Trading.QUOTING, Trading.REDUCING))
        if Order.REARM in orders:
            assert p.linked
            assert p.reconciled
            assert t - p.valid_since_ns >= p.rules.fresh_ns
    assert (Order.KILL, Order.KILL) not in set(pairwise(told)), "killed twice without a re-arm"
    check_resumes(p, t)


def check_blocked(p: Participation) -> None:
    """An active switch blocks, but for what only reduces; the order manager halts before anything opens again."""
    active = [sw.switch for sw in p.switches.values() if sw.active]
    if active:
        assert p.blocked or (p.trading == Trading.REDUCING and not set(BROKEN) & set(active))
    if p.trading in (Trading.HALTING, Trading.HALTED, Trading.STARTING):
        assert p.blocked


def check_resumes(p: Participation, t: int) -> None:
    """With causes gone and no latch it quotes again in bounded time, woken by its own deadlines alone."""
    if p.latched:
        p.operator_rearm()
    for switch in ENGINE:
        p.clear(switch)
    if not p.linked:
        p.link(up=True, now_ns=t)
    p.reconciled, p.flattening, p.flat = True, False, True
    p.book(valid=True, now_ns=t)
    p.decided(0, 0, quoting=(True, True))
    limit = t + 3 * p.rules.halt_ns + p.rules.fresh_ns
    for _ in range(20):
        p.step(t)
        if p.trading == Trading.HALTING:
            p.proven = True
            p.step(t)
        if p.trading == Trading.QUOTING:
            break
        t = p.next_deadline(t)
        assert t <= limit, f"asleep until {t}, {p.trading!r}"
    assert p.trading == Trading.QUOTING
    assert not p.blocked


@settings(max_examples=300)
@given(events=st.lists(EVENTS, max_size=30), reduce=st.booleans(), fresh=st.booleans())
def test_whatever_happens(events: list[Event], reduce: bool, fresh: bool) -> None:
    check_course(Participation, events, reduce=reduce, fresh=fresh)


class BlocksLate(Participation):
    """A trip does not block before the next step."""

    def trip(self, *args: Any, **options: Any) -> bool:
        was = self.blocked
        done = super().trip(*args, **options)
        self.blocked = was
        return done


class OldBook(Participation):
    """Takes any book for fresh."""

    def step(self, now_ns: int) -> list[Order]:
        since, self.valid_since_ns = self.valid_since_ns, -NEVER_NS
        orders = super().step(now_ns)
        self.valid_since_ns = since
        return orders


class KillsAgain(Participation):
    """Asks for the same kill twice."""

    def _down(self, *, may_reduce: bool) -> list[Order]:
        orders = super()._down(may_reduce=may_reduce)
        return orders or ([Order.KILL] if self.trading == Trading.HALTING else [])


class Sleeps(Participation):
    """Has no deadlines."""

    def next_deadline(self, now_ns: int) -> int:
        return NEVER_NS


class OpensEarly(Participation):
    """Does not wait for proof, and opens."""

    def step(self, now_ns: int) -> list[Order]:
        orders = super().step(now_ns)
        if self.trading == Trading.HALTING and not orders:
            self.blocked = False
        return orders


MUTANTS = [BlocksLate, OldBook, KillsAgain, Sleeps, OpensEarly]


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.__name__)
def test_planted_bugs_are_seen(mutant: type[Participation]) -> None:
    @settings(max_examples=400, database=None, derandomize=True)
    @given(events=st.lists(EVENTS, max_size=30), reduce=st.booleans(), fresh=st.booleans())
    def course(events: list[Event], reduce: bool, fresh: bool) -> None:
        check_course(mutant, events, reduce=reduce, fresh=fresh)

    with pytest.raises(AssertionError):
        course()
