"""Orders that are refused: collar, order notional, order count, message rate. The third refusal halts (`terms.md`)."""

from __future__ import annotations

from typing import Any

from mmlab.events import Switch
from mmlab.kernels.kill import trip
from mmlab.kernels.policy import kernel

COLLAR, SIZE, ORDER_COUNT, MESSAGES = (
    int(Switch.COLLAR), int(Switch.SIZE), int(Switch.ORDER_COUNT), int(Switch.MESSAGES)
)  # fmt: skip
REFUSALS = 3
"""Refusals that halt."""


@kernel
def note_refusal(st: Any, which: int, value: float, limit: float) -> None:
    """Take note that this decision refused an order."""
    st.refused, st.refusing[which] = 1, 1
    st.refused_value[which], st.refused_limit[which] = value, limit


@kernel
def count_refusals(p: Any, st: Any, t_ns: int) -> bool:
    """After the quotes: count the refusals, and halt at the third within the memory; return whether one halted.

    A decision counts once, however many orders it refused. The message rate is backed off from until it has halved, so
    there an unbroken run of decisions counts once.
    """
    halted, st.refused = False, 0
    for which in range(COLLAR, MESSAGES + 1):
        if st.refusing[which] == 0:
            st.was_refusing[which] = 0
            continue
        st.refusing[which] = 0
        again = st.was_refusing[which] != 0 and (which == MESSAGES or t_ns == st.refused_ns[which])
        if not again:
            expired = t_ns - st.refused_ns[which] > p.kill.memory_ns
            st.refusals[which] = 1 if expired else st.refusals[which] + 1
        st.refused, st.was_refusing[which], st.refused_ns[which] = 1, 1, t_ns  # looked at again after the next quotes
        if not again and st.refusals[which] >= REFUSALS:
            n, halt = st.refusals[which], p.kill.halt_ns
            st.refusals[which] = 0
            value, limit = st.refused_value[which], st.refused_limit[which]
            trip(p, st, st.world[which], t_ns, which, 0, value, limit, n, halt, halt, False)
            halted = halted or st.world[which].active != 0
    return halted


@kernel
def messages_last_minute(st: Any) -> int:
    """Messages sent since the whole second 60 s ago, or a little longer."""
    return st.messages - st.message_ring[(st.message_second - 60) % st.message_ring.size]
