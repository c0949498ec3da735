"""The inventory ladder against terms.md: levels, hysteresis, dwell, sign change, heavy side."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmlab.events import GateAction, Reason, Switch
from mmlab.kernels.ladder import LADDER_STATE, ladder_deadline, ladder_update
from mmlab.kernels.policy import one_row
from mmlab.params import LADDER
from tests.kernels.driver import Driver, simple

MS = 1_000_000
THRESHOLDS = (0.25, 0.5, 0.75, 1.0)


def params(hysteresis: float = 0.05, dwell_ms: float = 500.0):
    p = one_row(LADDER)
    p["levels"], p["hysteresis"], p["dwell_ns"] = 4, hysteresis, round(dwell_ms * MS)
    p["threshold"][0, :4] = THRESHOLDS
    return p[0]


class Twin:
    """terms.md, word by word."""

    def __init__(self, hysteresis: float, dwell_ns: int) -> None:
        self.hysteresis, self.dwell_ns = hysteresis, dwell_ns
        self.level, self.since, self.sign = 0, 0, 0

    def update(self, t_ns: int, q: float) -> int:
        reached = sum(abs(q) >= threshold for threshold in THRESHOLDS)
        sign = int(np.sign(q))
        if self.sign and sign and sign != self.sign:
            self.level, self.since = reached, t_ns  # a sign change takes the level of the new |q_ratio|, no dwell
        elif reached > self.level:
            self.level, self.since = reached, t_ns  # up at once
        else:
            while (
                self.level > 0
                and abs(q) < THRESHOLDS[self.level - 1] - self.hysteresis
                and t_ns - self.since >= self.dwell_ns
            ):
                self.level, self.since = self.level - 1, t_ns  # the dwell restarts at each step
        self.sign = sign or self.sign
        return self.level


# ratios on a grid off the thresholds and their bands, so that rounding decides nothing
ratio = st.integers(-119, 119).map(lambda i: i / 100 + 0.003)


@given(
    steps=st.lists(st.tuples(st.integers(1, 800), ratio), max_size=60),
    hysteresis=st.sampled_from([0.0, 0.05, 0.2]),
    dwell_ms=st.sampled_from([0, 500]),
)
def test_twin(steps, hysteresis, dwell_ms) -> None:
    p, ladder = params(hysteresis, dwell_ms), one_row(LADDER_STATE)[0]
    twin, t_ns = Twin(hysteresis, dwell_ms * MS), 0
    for wait_ms, q in steps:
        t_ns += wait_ms * MS
        before = ladder["level"]
        moved = ladder_update(p, ladder, t_ns, q)
        assert ladder["level"] == twin.update(t_ns, q)
        assert moved == ladder["level"] - before


@pytest.mark.parametrize(("threshold", "level"), [(0.25, 1), (0.5, 2), (0.75, 3), (1.0, 4)])
def test_a_threshold_is_reached_at_once_and_exactly(threshold: float, level: int) -> None:
    ladder = one_row(LADDER_STATE)[0]
    ladder_update(params(), ladder, 0, threshold - 1e-9)
    assert ladder["level"] == level - 1
    ladder_update(params(), ladder, 1, threshold)
    assert ladder["level"] == level


def level_changes(hysteresis: float, dwell_ms: float) -> int:
    """q oscillates round 0.25 by 0.02 every 50 ms for 10 s."""
    p, ladder = params(hysteresis, dwell_ms), one_row(LADDER_STATE)[0]
    return sum(ladder_update(p, ladder, i * 50 * MS, 0.25 + (0.02 if i % 2 else -0.02)) != 0 for i in range(200))


def test_hysteresis_and_dwell_calm_an_oscillation() -> None:
    assert level_changes(0.0, 0.0) == 199, "every crossing moves the level"
    assert level_changes(0.05, 500.0) == 1, "up once, and never within the band down"
    assert level_changes(0.0, 500.0) < 40, "the dwell alone: at most two moves per half second"
    assert level_changes(0.05, 0.0) == 1


def test_down_one_level_at_a_time_with_a_dwell_each() -> None:
    p, ladder = params(), one_row(LADDER_STATE)[0]
    ladder_update(p, ladder, 0, 1.0)
    levels = []
    for k in range(1, 45):
        ladder_update(p, ladder, k * 50 * MS, 0.01)
        levels.append(int(ladder["level"]))
    assert [levels.index(level) * 50 + 50 for level in (3, 2, 1, 0)] == [500, 1000, 1500, 2000]
    ladder_update(p, ladder, 9_000 * MS, 0.8)
    ladder_update(p, ladder, 10_000 * MS, 0.01)
    assert ladder["level"] == 2, "one level, however long it was held"
    assert ladder_deadline(p, ladder, 0.01) == 10_500 * MS


def test_sign_change_takes_the_new_level_without_dwell() -> None:
    p, ladder = params(), one_row(LADDER_STATE)[0]
    ladder_update(p, ladder, 0, 0.9)
    ladder_update(p, ladder, 1, -0.3)
    assert ladder["level"] == 1
    ladder_update(p, ladder, 2, 0.0)
    assert ladder["level"] == 1, "flat is no sign change: the dwell holds"
    ladder_update(p, ladder, 3, 0.1)
    assert ladder["level"] == 0


# ---------------------------------------------------------------------------------------------------------------------
# In the decision


def long_by(lots: int, **changes) -> Driver:
    """A position of `lots` of at most 100, cooldown over."""
    d = Driver(simple(**changes)).warm()
    d.fill(1, lots)
    return d.calm(1.0)


@pytest.mark.parametrize(
    ("lots", "offset", "multiplier"), [(24, 0, 1.0), (25, 1, 1.0), (50, 3, 0.5), (75, 5, 0.25), (99, 5, 0.25)]
)
@pytest.mark.parametrize("side", [1, -1])
def test_heavy_side_steps_away_and_shrinks(lots: int, offset: int, multiplier: float, side: int) -> None:
    d = Driver(simple()).warm()
    d.fill(side, lots).calm(1.0)
    heavy, light = (d.bid, d.ask) if side > 0 else (d.ask, d.bid)
    assert light.ticks == 10000 + side and light.lots == 10, "the light side is left alone"
    room = 100 - lots
    assert heavy.ticks == 10000 - side * (1 + offset)
    assert heavy.lots == min(int(10 * multiplier), room)
    assert bool(d.reasons(side) & Reason.LADDER) == (lots >= 25)


def test_bps_twin_holds_when_larger() -> None:
    d = long_by(30, **{"ladder.offset_bps": (7.0, 7.0, 7.0, 7.0)})  # 7 bps of 100.00 are 7 ticks
    assert d.bid.ticks == 10000 - 1 - 7


def test_full_inventory_switches_the_heavy_side_off() -> None:
    d = long_by(100)
    assert d.bid is None
    assert d.reasons(1) & Reason.LADDER_FULL
    assert d.ask.lots == 10


def test_last_level_quotes_just_below_one() -> None:
    d = long_by(100)
    d.fill(-1, 3).calm(1.0)
    assert d.last.level == 4, "0.97 is above 1 - hysteresis"
    assert (d.bid.ticks, d.bid.lots) == (10000 - 1 - 8, 1), "offset and multiplier of the last level"
    d.fill(-1, 3)  # 0.94: the dwell of level 4 is long over
    assert (d.last.level == 3 and d.bid is None) or d.bid.ticks == 10000 - 1 - 5


def test_last_level_holds_for_its_dwell() -> None:
    d = Driver(simple(**{"gates.cooldown.enabled": False})).warm()
    d.fill(1, 100).fill(-1, 20, after=0.1)  # 0.8
    assert d.last.level == 4
    assert (d.bid.ticks, d.bid.lots) == (10000 - 1 - 8, 1)
    d.calm(0.5)
    assert d.last.level == 3
    assert (d.bid.ticks, d.bid.lots) == (10000 - 1 - 5, 2)


def test_heavy_size_is_cut_so_that_the_limit_holds() -> None:
    d = long_by(24 + 73)
    assert d.bid.lots == 2
    assert not d.reasons(1) & Reason.CUT
    d = long_by(99)
    assert d.bid.lots == 1
    assert d.reasons(1) & Reason.CUT


def test_a_size_below_the_minimum_is_not_quoted_and_never_rounded_up() -> None:
    d = Driver(simple(**{"strategy.order_size": 0.5})).warm()
    d.fill(1, 80).calm(1.0)  # a quarter of 5 lots is 1 lot
    assert d.bid.lots == 1
    d = Driver(simple(**{"strategy.order_size": 0.3})).warm()
    assert any("will not be quoted" in note for note in d.notes)
    d.fill(1, 80).calm(1.0)
    assert d.bid is None
    assert d.reasons(1) & Reason.MIN_SIZE


def test_every_move_is_logged() -> None:
    d = Driver(simple()).warm()
    d.fill(1, 60).fill(-1, 50, after=1.0).calm(2.0)
    rows = d.triggers(Switch.LADDER)
    assert [(r.action, r.effect) for r in rows] == [
        (GateAction.LEVEL_UP, 2), (GateAction.LEVEL_DOWN, 1), (GateAction.LEVEL_DOWN, 0)
    ]  # fmt: skip
    assert rows[0].value == pytest.approx(0.6)
    assert rows[2].t - rows[1].t == pytest.approx(0.5), "by its timer, not by the next event"
