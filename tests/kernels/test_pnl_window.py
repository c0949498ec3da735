"""P&L, notional and risk over a trailing window, against a plain twin that keeps everything."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmlab.events import NS_PER_S
from mmlab.kernels.pnl_window import PNL, pnl_advance, pnl_epoch, pnl_mark, pnl_set, pnl_window
from mmlab.kernels.policy import one_row

T0 = 1_700_000_000 * NS_PER_S


class Twin:
    """Every step (time, net, volume, position) in a list; the window starts at the last whole second before it."""

    def __init__(self) -> None:
        self.steps = [(T0, 0.0, 0.0, 0.0)]
        self.start = (T0, 0.0, 0.0)

    def at(self, t_ns: int) -> tuple[float, float, float]:
        """The step that prevailed at `t_ns`."""
        return max((s for s in self.steps if s[0] <= t_ns), key=lambda s: s[0])[1:]

    def integral(self, begin: int, end: int) -> float:
        times = sorted({begin, end, *(s[0] for s in self.steps if begin < s[0] < end)})
        return sum(self.at(a)[2] ** 2 * (b - a) / NS_PER_S for a, b in itertools.pairwise(times))

    def window(self, now: int, window_ns: int) -> tuple[float, float, float, float]:
        begin = (now - window_ns) // NS_PER_S * NS_PER_S
        if now - window_ns <= self.start[0] or begin < T0 + NS_PER_S:
            begin, net, volume = self.start
        else:
            net, volume, _ = self.at(begin)
        length = (now - begin) / NS_PER_S
        rms = np.sqrt(self.integral(begin, now) / length) if length else 0.0
        last = self.at(now)
        return last[0] - net, last[1] - volume, rms, length


step = st.tuples(
    st.integers(1, 40 * 10).map(lambda i: i * NS_PER_S // 10 + 7), st.integers(-50, 50), st.integers(0, 30),
    st.integers(-20, 20), st.booleans(),
)  # fmt: skip


@given(steps=st.lists(step, min_size=1, max_size=40), window_s=st.sampled_from([5, 60, 1800, 3600]))
def test_twin(steps, window_s) -> None:
    w, twin, t, volume = one_row(PNL)[0], Twin(), T0, 0.0
    pnl_advance(w, t)
    pnl_epoch(w, t)
    for wait, net, traded, position, epoch in steps:
        t += wait
        volume += traded
        pnl_advance(w, t)
        pnl_set(w, float(net), volume, float(position))
        twin.steps.append((t, float(net), volume, float(position)))
        if epoch:
            pnl_epoch(w, t)
            twin.start = (t, float(net), volume)
        assert pnl_window(w, window_s * NS_PER_S) == pytest.approx(twin.window(t, window_s * NS_PER_S), abs=1e-9)


def test_a_window_starts_at_the_mark_not_at_the_last_fill() -> None:
    w = one_row(PNL)[0]
    pnl_advance(w, T0)
    pnl_epoch(w, T0)
    pnl_set(w, 0.0, 100.0, 100.0)
    for second in range(1, 11):
        pnl_mark(w, -float(second))  # the market moves against us by 1 a second
        pnl_advance(w, T0 + second * NS_PER_S)
    net, volume, rms, length = pnl_window(w, 4 * NS_PER_S)
    assert (net, volume, rms, length) == (-4.0, 0.0, pytest.approx(100.0), 4.0)
