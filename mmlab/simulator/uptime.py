"""How long we quoted and stood at the best price, on the local clock, as we believed it; and the row of each second."""

from __future__ import annotations

from typing import Any

from mmlab.events import NO_PRICE, NS_PER_S
from mmlab.kernels.metric_row import take_metric
from mmlab.kernels.policy import kernel
from mmlab.simulator.state import NO_ASK, metric_at


@kernel
def touching(sim: Any, market: Any, s: int) -> int:
    """Whether side `s` (0 bid, 1 ask) has a quote at the best price of a book, or ahead of it."""
    if market.valid == 0 or not quoting(sim, s):
        return 0
    ahead = sim.shown_ticks[0] - market.bid_ticks if s == 0 else market.ask_ticks - sim.shown_ticks[1]
    return 1 if ahead >= 0 else 0


@kernel
def quoting(sim: Any, s: int) -> bool:
    """Whether side `s` has a quote."""
    return sim.shown_ticks[s] != (NO_PRICE if s == 0 else NO_ASK)


@kernel
def find_touching(st: Any, sim: Any) -> None:
    """Note which sides stand at the best price."""
    for i in range(2):
        sim.touching[i] = touching(sim, st.market, i)


@kernel
def count_uptime(st: Any, sim: Any, t_ns: int) -> None:
    """Add the time since the last count to the uptime of each side."""
    passed_ns = t_ns - sim.since_ns
    sim.since_ns = t_ns
    sim.valid_ns += passed_ns if st.market.valid else 0
    for i in range(2):
        sim.quoting_ns[i] += passed_ns if quoting(sim, i) else 0
        sim.touch_ns[i] += passed_ns if sim.touching[i] else 0


@kernel
def share(sim: Any, i: int, total_ns: int) -> float:
    """Share of a second that a running total has gained since it was last asked for."""
    gained = total_ns - sim.counted_ns[i]
    sim.counted_ns[i] = total_ns
    return gained / NS_PER_S


@kernel
def write_metrics(q: Any, st: Any, sim: Any) -> None:
    """Write the `METRIC` row of the second that has passed."""
    t_ns = sim.metric_ns
    sim.metric_ns += NS_PER_S
    count_uptime(st, sim, t_ns)
    r = metric_at(sim.out.metrics, sim.metrics)
    sim.metrics += 1
    take_metric(q, st, t_ns, r)
    r.messages = sim.messages
    r.quoting_bid, r.quoting_ask = share(sim, 0, sim.quoting_ns[0]), share(sim, 1, sim.quoting_ns[1])
    r.at_touch_bid, r.at_touch_ask = share(sim, 2, sim.touch_ns[0]), share(sim, 3, sim.touch_ns[1])
