"""Book and rows of the synthetic market: its state, its levels, and how a change becomes a message.

Levels live in an array ``lots[side row, index]``; index 0 is the window's lowest tick. Row 0 is the bid side (side +1),
row 1 the ask side (side -1), and ``side * price`` is larger for a better price on either side.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mmlab.events import Kind
from mmlab.kernels.policy import kernel

Array = np.ndarray[Any, Any]

DEPTH, BEGIN, END, GAP = int(Kind.DEPTH), int(Kind.SNAPSHOT_BEGIN), int(Kind.SNAPSHOT_END), int(Kind.GAP)
NS_PER_US = 1000
EPISODES = 6

SYNTHETIC_STATE = np.dtype(
    [
        ("t_s", "f8"),
        ("slow_ticks", "f8"),
        ("fast_ticks", "f8"),
        ("excitation", "f8", (2,)),
        ("excitation_then", "f8", (2,)),
        ("best", "i8", (2,)),
        ("levels", "i8", (2,)),
        ("rows", "i8"),
        ("exch_us", "i8"),
        ("local_us", "i8"),
        ("update_id", "i8"),
        ("match_id", "i8"),
        ("muted", "i8"),
        ("lost", "i8"),
        ("next_mark_s", "f8"),
        ("next_funding_s", "f8"),
        ("episode_start_s", "f8", (EPISODES,)),
        ("episode_end_s", "f8", (EPISODES,)),
        ("episode_count", "i8", (EPISODES,)),
        ("direction", "i8", (EPISODES,)),
        ("toggle_side", "i8"),
        ("toggle_index", "i8"),
        ("toggle_lots", "i8"),
    ],
    align=True,
)
"""The market between two events. ``muted`` is 1 while depth messages are lost."""


@kernel
def row_of(side: int) -> int:
    """Row of the level array: 0 for bid, 1 for ask."""
    return (1 - side) >> 1


@kernel
def scan(levels: Array, index: int, step: int) -> int:
    """First index from `index` on, in direction `step`, that holds size; -1 if none."""
    while 0 <= index < levels.size:
        if levels[index] > 0:
            return index
        index += step
    return -1


@kernel
def emit(st: Any, p: Any, out: Array, kind: int, side: int, price: int, size: int, number: int) -> None:
    """Write one row at the current message's times."""
    row = out[st.rows]
    row.exch_ns = p.start_ns + st.exch_us * NS_PER_US
    row.local_ns = p.start_ns + st.local_us * NS_PER_US
    row.kind, row.side, row.price_ticks, row.size_lots, row.order_id = kind, side, price, size, number
    st.rows += 1


@kernel
def stamp(st: Any, p: Any, rng: np.random.Generator, t_s: float) -> None:
    """Times of the next message. One connection delivers in order, so local time is strictly increasing too."""
    st.exch_us = max(st.exch_us + 1, int(t_s * 1e6))
    latency_ms = p.latency_ms + p.latency_jitter_ms * rng.standard_exponential()
    if rng.random() < p.latency_spike_share:
        latency_ms += p.latency_spike_ms * rng.standard_exponential()
    st.local_us = max(st.local_us + 1, st.exch_us + int(latency_ms * 1e3))


@kernel
def book_message(st: Any, p: Any, rng: np.random.Generator) -> None:
    """Open a depth message: times and update id; a lost one still uses its id."""
    stamp(st, p, rng, st.t_s)
    st.update_id += 1
    st.lost += st.muted


@kernel
def put(st: Any, p: Any, lots: Array, out: Array, side: int, index: int, size: int) -> None:
    """Set a level, move the best quote, and emit the DEPTH row unless it is lost. A side's last level stays."""
    row = row_of(side)
    levels = lots[row]
    if size == 0 and st.levels[row] == 1:
        size = 1
    st.levels[row] += int(size > 0) - int(levels[index] > 0)
    levels[index] = size
    best = st.best[row]
    if size > 0 and (index - best) * side > 0:
        st.best[row] = index
    elif size == 0 and index == best:
        st.best[row] = scan(levels, index - side, -side)
    if not st.muted:
        emit(st, p, out, DEPTH, side, p.low_ticks + index, size, st.update_id)


@kernel
def snapshot(st: Any, p: Any, lots: Array, rng: np.random.Generator, out: Array) -> None:
    """Emit the whole book as one message, best levels first, bids before asks."""
    book_message(st, p, rng)
    emit(st, p, out, BEGIN, 0, 0, 0, st.update_id)
    for row in range(2):
        side = 1 - 2 * row
        index = st.best[row]
        while index >= 0:
            emit(st, p, out, DEPTH, side, p.low_ticks + index, lots[row, index], st.update_id)
            index = scan(lots[row], index - side, -side)
    emit(st, p, out, END, 0, 0, 0, st.update_id)
    st.muted = 0


@kernel
def recover(st: Any, p: Any, lots: Array, rng: np.random.Generator, out: Array) -> None:
    """The lost messages are noticed: GAP, then a fresh snapshot."""
    stamp(st, p, rng, st.t_s)
    emit(st, p, out, GAP, 0, 0, st.lost, 0)
    st.muted = 0
    snapshot(st, p, lots, rng, out)
