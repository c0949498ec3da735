"""The one mechanism behind every pause, pull and halt: durations, doubling, latching, epochs."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mmlab.events import NEVER_NS
from mmlab.kernels.policy import one_row
from mmlab.kernels.switch import SWITCH, switch_latch, switch_release, switch_running, switch_trip


@given(
    gaps=st.lists(st.tuples(st.integers(0, 100), st.integers(0, 100)), max_size=20), first=st.integers(0, 20),
    cap=st.integers(20, 90), memory=st.integers(0, 60),
)  # fmt: skip
def test_doubling_twin(gaps, first, cap, memory) -> None:
    """First trip a; a repeat within the memory of the last release twice the last duration, at most b."""
    sw, t, released, duration = one_row(SWITCH)[0], 1000, None, 0
    for wait, late in gaps:
        t += wait
        repeat = released is not None and t - released <= memory
        duration = min(cap, 2 * duration) if repeat else first
        assert switch_trip(sw, t, first, cap, memory) == duration
        assert (sw["active"], sw["until_ns"], sw["epoch_ns"]) == (1, t + duration, NEVER_NS)
        assert switch_running(sw, t + duration - 1) or duration == 0
        assert not switch_running(sw, t + duration)
        assert sw["active"] == 1, "its time is over, but nobody has released it"
        t += duration + late
        switch_release(sw, t)
        released = t
        assert (sw["active"], sw["epoch_ns"]) == (0, t)
    assert sw["trips"] == len(gaps)


def test_latched_runs_for_ever() -> None:
    sw = one_row(SWITCH)[0]
    switch_trip(sw, 5, 10, 10, 60)
    switch_latch(sw)
    assert switch_running(sw, NEVER_NS - 1)
    switch_release(sw, 100)
    assert not switch_running(sw, 100)
    assert sw["latched"] == 0
