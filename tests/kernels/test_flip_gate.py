"""The flip gate against terms.md: triggers, skip, widen, adaptive growth and decay, hard threshold, slow feeds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmlab.events import GateAction, Reason, Switch
from mmlab.kernels.flip_gate import FLIP_GATE_STATE, flip_extra_ticks, flip_gate_book
from mmlab.kernels.policy import one_row
from mmlab.params import FLIP_ADAPTIVE, FLIP_GATE, FLIP_SKIP, FLIP_WIDEN
from tests.kernels.driver import Driver, measured, simple

MS = 1_000_000
MEMORY = 60_000 * MS
ACTIONS = {-1: None, int(GateAction.SKIP): "skip", int(GateAction.WIDEN): "widen"}


def params(mode: int, **changes):
    p = one_row(FLIP_GATE)
    values = {
        "mode": mode, "threshold": 8, "hard_threshold": 16, "window_ns": 200 * MS, "min_move": 0.1,
        "pause_ns": 500 * MS,
        "pause_max_ns": 1000 * MS, "hold_ns": 600 * MS, "widen_ticks": 2.0, "growth": 1.5, "max_ticks": 8.0,
        "half_life_ns": 400.0 * MS,
    }  # fmt: skip
    for name, value in (values | changes).items():
        p[name] = value
    return p[0]


def run(p, times_ms, start=10_000):
    """Reference jumps to and fro at these times; the actions by time."""
    gate, actions = one_row(FLIP_GATE_STATE)[0], {}
    flip_gate_book(p, gate, start * MS - 1, 100.0, 100.0, MEMORY)
    flip_gate_book(p, gate, start * MS - 1, 101.0, 100.0, MEMORY)  # a first move: nothing to flip from
    for i, ms in enumerate(times_ms):
        t_ns = (start + ms) * MS
        action = ACTIONS[flip_gate_book(p, gate, t_ns, 100.0 + i % 2, 100.0, MEMORY)]
        if action:
            actions[ms] = action
    return gate, actions


def test_triggers_at_the_flip_that_reaches_the_threshold_and_at_most_once_a_window() -> None:
    gate, actions = run(params(FLIP_WIDEN), range(0, 1000, 20))  # 10 flips in 200 ms
    assert list(actions) == [140, 340, 540, 740, 940], "the 8th flip, then once a window"
    assert gate["triggers"] == 5


def test_no_trigger_just_below_the_threshold() -> None:
    _, actions = run(params(FLIP_WIDEN), range(0, 3000, 29))  # 200/29: 7 flips in a window, now and then 6
    assert not actions


def test_trigger_needs_a_new_flip() -> None:
    p = params(FLIP_WIDEN)
    gate, actions = run(p, range(0, 160, 20))
    assert actions == {140: "widen"}
    # the count is still 8, but the reference only drifts on the same way
    for i in range(1, 20):
        assert flip_gate_book(p, gate, (10_140 + i) * MS, 101.0 + i, 100.0, MEMORY) == -1


def test_skip_pulls_for_the_pause_and_doubles_to_the_cap() -> None:
    gate, actions = run(params(FLIP_SKIP), [*range(0, 160, 20), *range(1000, 1160, 20), *range(2500, 2660, 20)])
    assert list(actions.values()) == ["skip"] * 3
    pull = gate["pull"]
    assert pull["trips"] == 3
    assert pull["duration_ns"] == 1000 * MS, "500, 1000, and no more than the cap"
    assert pull["until_ns"] == (10_000 + 2640 + 1000) * MS
    assert gate["extra_ticks"] == 0.0


def test_a_pull_is_not_prolonged_by_triggers_during_it() -> None:
    gate, actions = run(params(FLIP_SKIP), range(0, 600, 20))
    assert list(actions) == [140, 340, 540]
    assert gate["pull"]["until_ns"] == (10_000 + 640) * MS


def test_widen_holds_from_the_last_trigger() -> None:
    p = params(FLIP_WIDEN)
    gate, actions = run(p, range(0, 400, 20))
    last = max(actions)
    assert flip_extra_ticks(p, gate, (10_000 + last + 599) * MS) == 2.0
    assert flip_extra_ticks(p, gate, (10_000 + last + 600) * MS) == 0.0


def test_adaptive_grows_caps_halves_and_ends() -> None:
    p = params(FLIP_ADAPTIVE, hard_threshold=500)
    gate, _ = run(p, range(0, 160, 20))  # the first of the 8 leaves the window at 200 ms: then there is calm
    begin = 10_200
    for ms, extra in ((-60, 2.0), (0, 2.0), (400, 1.0), (800, 0.5), (801, 0.0)):
        assert flip_extra_ticks(p, gate, (begin + ms) * MS) == pytest.approx(extra)
    # flips that go on: a trigger every 200 ms, no calm between
    gate = one_row(FLIP_GATE_STATE)[0]
    seen = [
        float(gate["extra_ticks"])
        for i in range(100)
        if flip_gate_book(p, gate, (10_000 + 20 * i) * MS, 100.0 + i % 2, 100.0, MEMORY) >= 0
    ]
    assert seen == [2.0, 3.0, 4.5, 6.75, 8.0, 8.0, 8.0, 8.0, 8.0, 8.0]


def test_calm_between_triggers_counts() -> None:
    p = params(FLIP_ADAPTIVE)
    gate, actions = run(p, [*range(0, 160, 20), *range(400, 560, 20)])  # calm from 200 to 540 ms
    assert list(actions) == [140, 540]
    assert gate["extra_ticks"] == pytest.approx(2.0), "0.55 of it is left; times 1.5 is less than the first widening"
    gate, _ = run(p, [*range(0, 360, 20), *range(500, 660, 20)])  # 3.0 until 400 ms, calm from there to 640 ms
    assert gate["extra_ticks"] == pytest.approx(3.0 * 0.5 ** (240 / 400) * 1.5)
    gate, _ = run(p, [*range(0, 160, 20), *range(5000, 5160, 20)])
    assert gate["extra_ticks"] == 2.0


def test_hard_threshold_pulls_at_once() -> None:
    gate, actions = run(params(FLIP_ADAPTIVE), range(0, 160, 5))
    assert actions == {35: "widen", 75: "skip"}, "the 8th flip widens, the 16th pulls without waiting for a window"
    assert gate["pull"]["until_ns"] == (10_000 + 75 + 500) * MS
    assert gate["triggers"] == 1, "an escalation is no trigger"
    assert gate["extra_ticks"] == 2.0
    _, actions = run(params(FLIP_WIDEN), range(0, 160, 5))
    assert actions == {35: "widen"}, "only adaptive has a hard threshold"


def test_pulls_come_at_most_once_a_window() -> None:
    gate, actions = run(params(FLIP_ADAPTIVE, pause_ns=10 * MS, pause_max_ns=10 * MS), range(0, 1000, 5))
    skips = [ms for ms, action in actions.items() if action == "skip"]
    assert len(skips) >= 4
    pulls = gate["pull"]["trips"]
    assert pulls <= 5


def test_windows_longer_than_the_shown_rate_fill_up() -> None:
    _, actions = run(params(FLIP_WIDEN, window_ns=60_000 * MS, threshold=20), range(0, 40_000, 2000))
    assert list(actions) == [38_000], "20 flips in 40 s"


def test_a_move_below_min_move_accumulates() -> None:
    p, gate = params(FLIP_WIDEN, min_move=0.5, threshold=2), one_row(FLIP_GATE_STATE)[0]
    out = []
    for i, reference in enumerate((100.0, 100.3, 100.6, 100.4, 100.2, 100.05, 100.5, 100.7)):
        out.append(flip_gate_book(p, gate, (1000 + i) * MS, reference, 100.0, MEMORY))
    # up at 100.6, down at 100.05 (flip), up at 100.7 (flip: the second)
    assert [i for i, action in enumerate(out) if action >= 0] == [7]


@given(
    waits=st.lists(st.integers(1, 120), min_size=1, max_size=150),
    mode=st.sampled_from([FLIP_SKIP, FLIP_WIDEN, FLIP_ADAPTIVE]),
    growth=st.sampled_from([1.0, 1.5, 3.0]),
)
def test_twin(waits, mode, growth) -> None:
    """Every batch is a flip: the gate, word by word from terms.md."""
    p = params(mode, growth=growth)
    times, t = [], 0
    for wait in waits:
        t += wait
        times.append(t)
    gate, actions = run(p, times)
    flips, trigger, extra, calm, pulled, duration, ends = [], None, 0.0, 0, None, 0, None
    expected = {}
    for t in times:
        flips.append(t)
        count = sum(t - 200 < f <= t for f in flips)
        if count < 8:
            continue
        left = extra * 0.5 ** (max(0, t - calm) / 400)
        extra = left if left >= 0.5 or mode == FLIP_WIDEN else 0.0
        calm = flips[-8] + 200  # from there on the window holds fewer than 8 of the flips so far
        hard = mode == FLIP_ADAPTIVE and count >= 16
        new = trigger is None or t - trigger >= 200
        pull = (new and mode == FLIP_SKIP) or hard
        can = pulled is None or (t >= ends and t - pulled >= 200)
        if pull and can:
            duration = min(1000, 2 * duration) if pulled is not None and t - ends <= 60_000 else 500
            pulled, ends = t, t + duration
        if new:
            extra = 2.0 if mode == FLIP_WIDEN else min(8.0, max(2.0, extra * growth))
            trigger = t
            expected[t] = "skip" if pull else "widen"
        elif hard and can:
            expected[t] = "skip"
    assert actions == expected
    if mode == FLIP_ADAPTIVE:
        assert gate["extra_ticks"] == pytest.approx(extra)
        assert gate["calm_ns"] == (10_000 + calm) * MS or not expected
    if ends is not None:
        assert gate["pull"]["until_ns"] == (10_000 + ends) * MS


# ---------------------------------------------------------------------------------------------------------------------
# In the decision


def flapping(mode: str, every: float = 0.02, n: int = 8, **changes) -> Driver:
    """The microprice moves once, then flips n times, `every` seconds apart, while the best prices stay."""
    d = Driver(simple(**{"gates.flip.mode": mode, **changes})).warm()
    d.book(9999, 10001, 100, 300, after=0.5)
    for i in range(n):
        d.book(9999, 10001, 300 if i % 2 == 0 else 100, 100 if i % 2 == 0 else 300, after=every)
    return d


def test_skip_pulls_both_sides_and_gives_them_back() -> None:
    d = flapping("skip")
    assert d.bid is None
    assert d.ask is None
    assert d.reasons(1) & d.reasons(-1) & Reason.FLIP_SKIP
    (row,) = d.triggers(Switch.FLIP)
    assert (row.action, row.value, row.threshold, row.effect) == (GateAction.SKIP, 8, 8, 0.5)
    d.until_ns(d.now_ns + 499 * MS)
    assert d.bid is None
    d.until_ns(d.now_ns + 2 * MS)
    assert d.bid.ticks == 9999 and d.ask.ticks == 10001, "by its timer"


def test_widen_moves_both_sides_and_returns() -> None:
    d = flapping("widen")
    assert (d.bid.ticks, d.ask.ticks) == (9997, 10003)
    assert d.reasons(1) & d.reasons(-1) & Reason.FLIP_WIDEN
    d.until_ns(d.now_ns + 601 * MS)
    assert (d.bid.ticks, d.ask.ticks) == (9999, 10001)


def test_adaptive_comes_back_in_steps() -> None:
    d = flapping("adaptive")
    begin, seen = d.now_ns, {}
    for _ in range(60):
        d.calm(0.025)
        seen.setdefault(d.bid.ticks, (d.now_ns - begin) // MS)
    assert list(seen) == [9997, 9998, 9999], "rounded outward: 2, then up to 1, then nothing"
    assert 460 <= seen[9998] <= 500, "60 ms until the window is calm, then a half-life"
    assert 860 <= seen[9999] <= 910


def test_widening_in_bps_holds_when_larger() -> None:
    d = flapping("widen", **{"gates.flip.widen_bps": 5.0})  # 5 bps of 100.00 are 5 ticks
    assert (d.bid.ticks, d.ask.ticks) == (9994, 10006)


def test_off_does_nothing() -> None:
    d = flapping("off", n=40, every=0.01)
    assert (d.bid.ticks, d.ask.ticks) == (9999, 10001)
    assert not d.triggers(Switch.FLIP)


def test_a_gap_resets_the_direction() -> None:
    d = Driver(simple(**{"gates.flip.threshold": 2})).warm()
    for i in range(10):
        d.book(9999, 10001, 300 if i % 2 == 0 else 100, 100, after=0.01).lose_book(after=0.001)
    assert not d.triggers(Switch.FLIP), "no two moves without a gap between"


@pytest.mark.parametrize(("interval_ms", "inactive"), [(24.9, False), (25.1, True)])
def test_inactive_on_slow_feeds(interval_ms: float, inactive: bool) -> None:
    """200 ms / 8 flips = 25 ms a batch."""
    d = Driver(simple(), warmup=measured(median_interval_ns=interval_ms * MS))
    assert any("flip gate inactive" in note for note in d.notes) == inactive
    assert (d.p["flip"]["mode"][0] == 0) == inactive
