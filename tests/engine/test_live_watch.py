"""What only a live venue can show."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmlab.config import Kill
from mmlab.engine.live_watch import LiveWatch
from mmlab.events import ASK, BID, NS_PER_MS, Switch

KILL = Kill()


@given(st.lists(st.integers(-5000, 5000), min_size=1, max_size=20))
def test_the_least_delay_of_a_look_is_the_difference_of_the_clocks(delays_ms):
    watch = LiveWatch()
    for look in range(2):
        for i, delay in enumerate(delays_ms):
            watch.heard(10**18 + i, 10**18 + i + delay * NS_PER_MS)
        bad, good = watch.look(KILL, 100.0, 0)
        assert look or not bad, "one look proves nothing"
    assert (Switch.CLOCK in good) == (abs(min(delays_ms)) <= 500)
    assert [(switch, value) for switch, value, _ in bad] == (
        [] if abs(min(delays_ms)) <= 500 else [(Switch.CLOCK, float(min(delays_ms)))]
    )


def test_nothing_heard_says_nothing_of_the_clock_and_a_look_begins_anew():
    watch = LiveWatch()
    assert watch.look(KILL, 100.0, 0) == ([], [Switch.MARGIN])
    watch.heard(0, 900 * NS_PER_MS)
    assert watch.look(KILL, 100.0, 0) == ([], [Switch.MARGIN])
    assert watch.skew_s == 0.9
    assert watch.look(KILL, 100.0, 0) == ([], [Switch.MARGIN])  # nothing heard
    watch.heard(0, 901 * NS_PER_MS)
    assert watch.look(KILL, 100.0, 0)[0][0][:2] == (Switch.CLOCK, 901.0)
    watch.heard(0, 10 * NS_PER_MS)
    assert watch.look(KILL, 100.0, 0) == ([], [Switch.CLOCK, Switch.MARGIN])
    watch.heard(0, 900 * NS_PER_MS)
    assert watch.look(KILL, 100.0, 0) == ([], [Switch.MARGIN])


CASES = [
    (98, 5, BID, True), (96, 5, BID, False), (94, 5, 0, False), (0, 5, 0, False), (98, 0, 0, False),
    (104, -5, ASK, False), (102, -5, ASK, True),
]  # fmt: skip


@pytest.mark.parametrize(("liquidation", "lots", "heavy", "trips"), CASES)
def test_liquidation_near(liquidation, lots, heavy, trips):
    watch = LiveWatch(liquidation_ticks=liquidation)
    bad, good = watch.look(KILL, 100.0, lots)
    assert watch.heavy_side == heavy
    assert ([switch for switch, _, _ in bad], good) == (([Switch.MARGIN], []) if trips else ([], [Switch.MARGIN]))


def test_without_a_price_nothing_is_known_of_the_margin():
    assert LiveWatch(liquidation_ticks=96).look(KILL, math.nan, 5) == ([], [])
