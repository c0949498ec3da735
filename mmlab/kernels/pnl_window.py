"""Net P&L, traded notional and carried risk over a trailing window, to the second, in bounded memory."""

from __future__ import annotations

from typing import Any

import numpy as np

from mmlab.events import NS_PER_S
from mmlab.kernels.policy import kernel

SECONDS = 3600 + 1
S_PER_NS = 1e-9

PNL = np.dtype(
    [
        ("net", "f8", (SECONDS,)), ("volume", "f8", (SECONDS,)), ("square_s", "f8", (SECONDS,)), ("first_s", "i8"),
        ("second", "i8"), ("next_second_ns", "i8"), ("now_ns", "i8"), ("last_net", "f8"), ("last_volume", "f8"),
        ("position", "f8"), ("square_total_s", "f8"), ("start_ns", "i8"), ("start_net", "f8"), ("start_volume", "f8"),
        ("start_square_s", "f8"),
    ],
    align=True,
)  # fmt: skip
"""Values at each whole second of the last hour: net P&L and volume (quote), and the time integral of the squared
position notional. ``start_*`` are those at the start of the present epoch."""


@kernel
def pnl_advance(w: Any, t_ns: int) -> None:
    """Let time pass: write the seconds up to `t_ns` with what has prevailed."""
    if w.now_ns == 0:
        w.now_ns, w.second = t_ns, t_ns // NS_PER_S
        w.first_s = w.second + 1
        w.next_second_ns = w.first_s * NS_PER_S
        return
    square = w.position * w.position
    if t_ns >= w.next_second_ns:
        second = t_ns // NS_PER_S
        for k in range(max(w.second + 1, second - SECONDS + 1), second + 1):
            i = k % SECONDS
            w.net[i], w.volume[i] = w.last_net, w.last_volume
            w.square_s[i] = w.square_total_s + square * ((k * NS_PER_S - w.now_ns) / NS_PER_S)
        w.second, w.next_second_ns = second, (second + 1) * NS_PER_S
    w.square_total_s += square * ((t_ns - w.now_ns) * S_PER_NS)
    w.now_ns = t_ns


@kernel
def pnl_set(w: Any, net: float, volume: float, position: float) -> None:
    """New values from now on: net P&L and volume so far, and the notional of the position held (quote)."""
    w.last_net, w.last_volume, w.position = net, volume, position


@kernel
def pnl_mark(w: Any, net: float) -> None:
    """Net P&L has moved with the market: to be called before a second is over, so that windows start marked."""
    w.last_net = net


@kernel
def pnl_epoch(w: Any, t_ns: int) -> None:
    """Start a new epoch: windows do not reach behind it."""
    w.start_ns, w.start_net, w.start_volume, w.start_square_s = t_ns, w.last_net, w.last_volume, w.square_total_s


@kernel
def pnl_window(w: Any, window_ns: int) -> tuple[float, float, float, float]:
    """Change of net P&L, traded notional, rms position notional and length (s) of the trailing window."""
    begin = w.now_ns - window_ns
    second = begin // NS_PER_S
    if begin <= w.start_ns or second < w.first_s:
        begin, net, volume, square = w.start_ns, w.start_net, w.start_volume, w.start_square_s
    else:
        i = second % SECONDS
        begin, net, volume, square = second * NS_PER_S, w.net[i], w.volume[i], w.square_s[i]
    length_s = (w.now_ns - begin) / NS_PER_S
    rms = np.sqrt(max(0.0, w.square_total_s - square) / length_s) if length_s > 0.0 else 0.0
    return w.last_net - net, w.last_volume - volume, rms, length_s
