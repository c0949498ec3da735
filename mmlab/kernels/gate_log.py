"""Triggers wait here, in the state, until the driver has written them down.

Drivers drain the log after every call of the decision kernel, in which far fewer than its capacity can trigger; what
does not fit is counted.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mmlab.events import GATE
from mmlab.kernels.policy import kernel

CAPACITY = 128
GATE_LOG = np.dtype([("rows", GATE, (CAPACITY,)), ("n", "i8"), ("lost", "i8"), ("total", "i8")], align=True)


@kernel
def log_gate(
    log: Any, t_ns: int, switch: int, action: int, side: int, value: float, threshold: float, n: int, effect: float,
    until_ns: int,
) -> None:  # fmt: skip
    """Append a `GATE` row."""
    log.total += 1
    if log.n == CAPACITY:
        log.lost += 1
        return
    row = log.rows[log.n]
    row.local_ns, row.switch, row.action, row.side = t_ns, switch, action, side
    row.value, row.threshold, row.n, row.effect, row.until_ns = value, threshold, n, effect, until_ns
    log.n += 1
