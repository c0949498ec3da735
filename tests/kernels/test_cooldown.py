"""The refill cooldown and the pull after too many hits, against terms.md."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmlab.events import GateAction, Reason, Switch
from mmlab.kernels.cooldown import COOLDOWN_STATE, cooldown_hit, cooldown_ns, toxicity
from mmlab.kernels.markout import MARKOUT, markout_advance, markout_fill
from mmlab.kernels.policy import one_row
from mmlab.params import COOLDOWN
from tests.kernels.driver import Driver, simple

MS, S = 1_000_000, 1_000_000_000


def params(**changes):
    p = one_row(COOLDOWN)
    values = {"enabled": 1, "min_ns": 300 * MS, "max_ns": 800 * MS, "max_fills_per_s": 3, "pause_ns": 500 * MS,
              "pause_max_ns": 1000 * MS}  # fmt: skip
    for name, value in (values | changes).items():
        p[name] = value
    return p[0]


def markouts(moves):
    """A side's record with these completed 1-s markouts (sign of the mid's move after each buy)."""
    m, t = one_row(MARKOUT)[0], 10 * S
    for move in moves:
        markout_fill(m, t, 100.0, 1.0)
        markout_advance(m, 1, t + S + 1, 100.0 + move, t, S, 60 * S)
        t += 2 * S
    return m


@given(st.lists(st.sampled_from([-0.01, 0.0, 0.01]), max_size=80))
def test_toxicity_is_the_share_below_zero(moves) -> None:
    last = np.sign(moves[-50:])
    expected = (np.sum(last < 0) + 0.5 * np.sum(last == 0)) / len(last) if len(last) >= 20 else 0.0
    assert toxicity(markouts(moves)) == pytest.approx(expected)


@pytest.mark.parametrize(("tox", "ms"), [(0.0, 300), (0.5, 300), (0.6, 400), (0.75, 550), (1.0, 800)])
def test_duration(tox: float, ms: int) -> None:
    assert cooldown_ns(params(), tox) == pytest.approx(ms * MS)


def test_pull_doubles_and_is_not_prolonged() -> None:
    p, c = params(), one_row(COOLDOWN_STATE)[0]
    memory = 60 * S
    assert not cooldown_hit(p, c, 1 * S, 3, 0.0, memory)
    assert cooldown_hit(p, c, 2 * S, 4, 0.0, memory)
    assert c["pull"]["until_ns"] == 2 * S + 500 * MS
    assert not cooldown_hit(p, c, 2 * S + 100 * MS, 5, 0.0, memory), "pulled already"
    assert cooldown_hit(p, c, 3 * S, 4, 0.0, memory)
    assert c["pull"]["until_ns"] == 4 * S
    assert cooldown_hit(p, c, 5 * S, 4, 0.0, memory)
    assert c["pull"]["until_ns"] == 6 * S, "the cap"
    assert cooldown_hit(p, c, 67 * S, 4, 0.0, memory)
    assert c["pull"]["until_ns"] == 67 * S + 500 * MS, "forgotten after a minute"


# ---------------------------------------------------------------------------------------------------------------------
# In the decision


def calm_config(**changes):
    return simple(**({"ladder.enabled": False, "kill.burst.enabled": False} | changes))


def test_a_filled_quote_returns_after_the_cooldown() -> None:
    d = Driver(calm_config()).warm()
    d.fill(1, 10)
    assert d.bid is None
    assert d.reasons(1) & Reason.COOLDOWN
    assert d.ask.ticks == 10001 and not d.reasons(-1) & Reason.COOLDOWN, "the other side goes on"
    d.until_ns(d.now_ns + 299 * MS)
    assert d.bid is None
    d.until_ns(d.now_ns + 2 * MS)
    assert d.bid.lots == 10, "by its timer"


def test_the_remainder_stays_and_is_not_refilled() -> None:
    d = Driver(calm_config()).warm()
    d.fill(1, 4)
    assert (d.bid.ticks, d.bid.lots) == (9999, 6)
    d.calm(0.31)
    assert d.bid.lots == 10


def test_no_move_towards_mid_but_worsening() -> None:
    d = Driver(calm_config()).warm()
    d.fill(1, 4)
    d.book(10001, 10003)
    assert (d.bid.ticks, d.bid.lots) == (9999, 6), "the mid went up: the bid may not follow"
    d.book(9995, 9997)
    assert (d.bid.ticks, d.bid.lots) == (9995, 6), "down it may"
    d.book(9999, 10001)
    assert d.bid.ticks == 9995, "and then not back"
    d.calm(0.31)
    assert d.bid.ticks == 9999


def test_other_rungs_stay() -> None:
    d = Driver(calm_config(**{"strategy.rungs": 3})).warm()
    before = d.last.side(1)
    d.fill(1, 10)
    assert d.last.side(1) == before[1:]
    d.calm(0.31)
    assert d.last.side(1) == before


def test_a_new_hit_restarts_it() -> None:
    d = Driver(calm_config()).warm()
    d.fill(1, 4).fill(1, 2, after=0.2)
    d.until_ns(d.now_ns + 200 * MS)
    assert d.bid.lots == 4
    d.until_ns(d.now_ns + 101 * MS)
    assert d.bid.lots == 10


def test_fills_of_one_hit_are_one_hit() -> None:
    d = Driver(calm_config(**{"gates.cooldown.max_fills_per_s": 1, "strategy.rungs": 3})).warm()
    at = d.now_ns
    d.fill(1, 10, exch_ns=at).fill(1, 10, rung=1, exch_ns=at).fill(1, 10, rung=2, exch_ns=at, after=0.1)
    assert not d.triggers(Switch.PULL)
    assert d.s["side"][0, 0]["cooldown"]["until_ns"] == at + 300 * MS, "the third fill is no new hit"
    d.fill(1, 1, after=0.3)
    assert d.triggers(Switch.PULL)


def test_too_many_hits_in_a_second_pull_the_side() -> None:
    d = Driver(calm_config()).warm()
    for i in range(4):
        assert not d.triggers(Switch.PULL)
        d.fill(1, 1, after=0.1 if i else 0.0)
    (row,) = d.triggers(Switch.PULL)
    assert (row.action, row.side, row.value, row.threshold, row.effect) == (GateAction.PAUSE, 1, 4, 3, 0.5)
    assert d.bid is None
    assert d.reasons(1) & Reason.PULL
    assert d.ask is not None
    d.until_ns(d.now_ns + 499 * MS)
    assert d.bid is None
    d.until_ns(d.now_ns + 2 * MS)
    assert d.bid.lots == 10


def test_three_hits_in_a_second_and_a_fourth_later_do_not() -> None:
    d = Driver(calm_config()).warm()
    for _ in range(3):
        d.fill(1, 1, after=0.1)
    d.fill(1, 1, after=0.81)  # the first is more than a second ago
    assert not d.triggers(Switch.PULL)


def test_toxic_flow_lengthens_it() -> None:
    d = Driver(calm_config(**{"kill.toxic.enabled": False, "risk.max_position": 1000.0})).warm()
    ticks = 9999
    for _ in range(25):
        d.book(ticks, ticks + 2)
        d.fill(1, 1)
        ticks -= 5
        d.book(ticks, ticks + 2, after=0.5).calm(1.5)
    d.fill(1, 1)
    left = int(d.s["side"][0, 0]["cooldown"]["until_ns"]) - d.now_ns
    assert left == 800 * MS


def test_disabled() -> None:
    d = Driver(calm_config(**{"gates.cooldown.enabled": False})).warm()
    for _ in range(5):
        d.fill(1, 10, after=0.05)
        assert d.bid.lots == 10
    assert not d.triggers(Switch.PULL)
