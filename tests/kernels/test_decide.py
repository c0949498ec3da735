"""What holds for the decision kernel as a whole, on random tapes: limits, no dead-lock, monotone gates, determinism."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmlab.events import Reason, Switch
from tests.kernels import scenarios
from tests.kernels.driver import Driver, simple
from tests.kernels.scenarios import (
    CHOICES,
    STEPS,
    again,
    bound_s,
    check_decision,
    check_gates,
    heal,
    play,
    quotes_again_s,
)

choices = st.fixed_dictionaries({name: st.sampled_from(values) for name, values in CHOICES.items()})
step = st.tuples(st.integers(0, STEPS - 1), st.integers(-5, 5), st.integers(0, 19))
steps = st.lists(step, max_size=60)
ROOT = Path(__file__).parents[2]


@settings(max_examples=60)
@given(choices, steps)
def test_every_decision_is_within_the_limits(chosen, tape) -> None:
    play(chosen, tape, watch=check_decision)


@pytest.mark.parametrize("seed", range(40))
def test_every_decision_is_within_the_limits_on_long_tapes(seed: int) -> None:
    play(*scenarios.random_tape(seed, 150), watch=check_decision)


@settings(max_examples=60)
@given(choices, steps)
def test_no_dead_lock(chosen, tape) -> None:
    """With healthy data, calm flow and no latched trip both sides quote again within the sum of the durations."""
    d = play(chosen, tape)
    heal(d)
    assert quotes_again_s(d, bound_s(d)) < float("inf"), d.last


def test_no_dead_lock_from_every_switch() -> None:
    """Long tapes, which between them trip everything there is."""
    tripped: set[Switch] = set()
    for seed in range(60):
        d = play(*scenarios.random_tape(1000 + seed, 120))
        tripped |= {row.switch for row in d.log}
        heal(d)
        assert quotes_again_s(d, bound_s(d)) < float("inf"), (seed, d.last)
    assert tripped >= {
        Switch.TOXIC, Switch.BURST, Switch.LOSING, Switch.LOSS, Switch.DRAWDOWN, Switch.VOLATILITY, Switch.STALE,
        Switch.MARK, Switch.MANUAL, Switch.FLIP, Switch.PULL, Switch.AGE_EXIT, Switch.LADDER, Switch.HARD_LIMIT,
        Switch.MESSAGES,
    }  # fmt: skip


@settings(max_examples=40)
@given(choices, steps)
def test_a_gate_only_removes_or_worsens(chosen, tape) -> None:
    d = play(chosen, [])
    for what, a, b in tape:
        scenarios.step(d, what, a, b)
        check_gates(d)


@settings(max_examples=40)
@given(choices, steps)
def test_the_same_decision_twice(chosen, tape) -> None:
    """No new input, no new answer."""
    d = play(chosen, [])
    for what, a, b in tape:
        scenarios.step(d, what, a, b)
        first, second = again(d)
        assert first == second


@settings(max_examples=20)
@given(choices, steps)
def test_equal_inputs_equal_bytes(chosen, tape) -> None:
    one, two = play(chosen, tape), play(chosen, tape)
    assert one.s.tobytes() == two.s.tobytes()
    assert one.decisions == two.decisions
    assert [repr(row) for row in one.log] == [repr(row) for row in two.log]


# ---------------------------------------------------------------------------------------------------------------------
# Single rules


def test_nothing_is_quoted_before_the_warm_up_is_over() -> None:
    d = Driver(simple()).warm(30.0)
    assert all(not decision.orders for decision in d.decisions if decision.t < 0)
    assert d.decisions[0].reasons[0] & Reason.WARMUP
    assert d.bid is not None, "and both sides at its end, by its timer"


def test_no_book_no_quotes() -> None:
    d = Driver(simple()).warm()
    d.lose_book()
    assert d.bid is None and d.ask is None and d.reasons(1) & d.reasons(-1) & Reason.BOOK
    d.book(9999, 10001)
    assert d.bid is not None and d.ask is not None


def test_precedence_a_halt_hides_everything_below() -> None:
    d = Driver(simple()).warm()
    d.fill(1, 60)
    scenarios.kernel.trip_manual(d.p, d.s, d.now_ns)
    d.settle()
    assert d.last.orders == ()
    assert d.reasons(1) == d.reasons(-1) == Reason.MANUAL


def test_timers_are_asked_for_and_no_later_than_the_next_second() -> None:
    d = Driver(simple()).warm()
    for seconds in (0.3, 1.7, 20.0):
        d.calm(seconds)
        due = int(scenarios.kernel.next_deadline(d.p, d.s)) - d.now_ns
        assert 0 < due <= 1_000_000_000


# ---------------------------------------------------------------------------------------------------------------------
# Without the compiler


def outcome(seed: int, n: int) -> list[object]:
    """A tape's decisions and log, as JSON has them."""
    d = play(*scenarios.random_tape(seed, n))
    rows = [
        [decision.t, [(o.side, o.rung, o.ticks, o.lots, o.flags) for o in decision.orders], decision.reasons]
        for decision in d.decisions
    ]
    return json.loads(json.dumps([rows, [repr(row) for row in d.log]]))


def interpreted(code: str) -> str:
    """What `code` prints in a process without the compiler."""
    env = os.environ | {"NUMBA_DISABLE_JIT": "1"}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_the_interpreted_kernel_decides_the_same() -> None:
    code = "import json; from tests.kernels.test_decide import outcome; print(json.dumps(outcome(7, 25)))"
    assert json.loads(interpreted(code)) == outcome(7, 25)


def test_planted_bugs_are_caught() -> None:
    """The properties are no empty words: without the compiler a function can be replaced by a wrong one."""
    found = json.loads(interpreted("from tests.kernels import planted; planted.main()"))
    assert found.pop("nothing") is None
    assert all(found.values()), found


def test_targets_are_plain_data() -> None:
    """Targets carry what the planner needs and nothing else changes them afterwards."""
    d = Driver(simple()).warm()
    before = np.asarray(d.out[:2]).copy()
    d.calm(1.0)
    assert np.array_equal(before, np.asarray(d.out[:2]))
