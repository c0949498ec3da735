"""The decision kernel: market events and fills in, target quotes and reasons out. INTERFACE STUB, bodies follow."""

from __future__ import annotations

from typing import Any

import numpy as np

from mmlab.events import NEVER_NS, TARGET
from mmlab.kernels.policy import kernel, one_row

STATE = np.dtype([("dirty", "i8"), ("gates", "i8")], align=True)
Array = np.ndarray[Any, Any]


def new_state(p: Array) -> Array:
    return one_row(STATE)


@kernel
def on_book(p: Array, s: Array, market: Any) -> None:
    """A venue message changed the best quotes (a MARKET record; valid = 0 while the book is unusable)."""


@kernel
def on_trade(p: Array, s: Array, exch_ns: int, local_ns: int, side: int, price_ticks: int, size_lots: int) -> None:
    """Somebody traded."""


@kernel
def on_mark(p: Array, s: Array, local_ns: int, price_ticks: int) -> None:
    """The venue's mark price."""


@kernel
def on_funding(p: Array, s: Array, exch_ns: int, local_ns: int, price_ticks: int, rate: float) -> None:
    """Funding is booked."""


@kernel
def on_fill(p: Array, s: Array, fill: Any) -> None:
    """We traded (a FILL record; rung -1 is the age exit)."""


@kernel
def on_orders(
    p: Array, s: Array, local_ns: int, working_bid_lots: int, working_ask_lots: int, live_orders: int, messages: int,
    exit_live: int,
) -> None:  # fmt: skip
    """Our own working orders changed: lots resting or in flight a side (worst case), orders not terminal, messages sent
    so far, and whether an age exit is not terminal yet."""


@kernel
def on_timer(p: Array, s: Array, local_ns: int) -> None:
    """Time has passed."""


@kernel
def decide(p: Array, s: Array, local_ns: int, out: Array, quoter: Any) -> int:
    """Write the target quotes (TARGET rows, best first; the age exit is a row with rung -1 and IOC | REDUCE_ONLY) and
    return their number."""
    return 0


@kernel
def next_deadline(p: Array, s: Array) -> int:
    """Local time at which `on_timer` and `decide` are due even if nothing happens."""
    return NEVER_NS


@kernel
def wants_depth(s: Array) -> int:
    """+1 / -1: before the next `decide`, `set_depth` must be given the visible lots on that side of the book within
    the exit's slippage of its best; 0: no."""
    return 0


@kernel
def set_depth(s: Array, lots: int) -> None:
    """Answer to `wants_depth`."""


@kernel
def metrics_row(p: Array, s: Array, local_ns: int, out: Any) -> None:
    """Fill in a METRIC record, except what only the driver knows (messages, quoting_*, at_touch_*)."""
