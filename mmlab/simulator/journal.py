"""Rows a replay writes about decisions and gates."""

from __future__ import annotations

from typing import Any

from mmlab.kernels.flip_gate import flip_extra_ticks
from mmlab.kernels.policy import kernel
from mmlab.kernels.volatility import vol_sigma
from mmlab.simulator.state import decision_at, gate_at, target_at


@kernel
def same_target(a: Any, b: Any) -> bool:
    """Whether two targets are equal."""
    return (
        a.price_ticks == b.price_ticks and a.size_lots == b.size_lots and a.side == b.side and a.rung == b.rung
        and a["flags"] == b["flags"]
    )  # fmt: skip


@kernel
def same_outcome(st: Any, sim: Any, n: int) -> bool:
    """Whether targets and reasons are those of the decision written last."""
    if sim.decisions == 0 or n != sim.last_targets:
        return False
    if st.side[0].reasons != sim.reasons[0] or st.side[1].reasons != sim.reasons[1]:
        return False
    for j in range(n):  # noqa: SIM110  # kernels have no generators
        if not same_target(target_at(sim.wanted, j), target_at(sim.out.targets, sim.targets - n + j)):
            return False
    return True


@kernel
def log_decision(q: Any, st: Any, sim: Any, n: int, t_ns: int) -> None:
    """Write a `DECISION` row and its targets, if the outcome differs from the one before."""
    if same_outcome(st, sim, n):
        return
    r = decision_at(sim.out.decisions, sim.decisions)
    sim.decisions += 1
    m = st.market
    r.local_ns, r.bid_ticks, r.ask_ticks, r.bid_lots, r.ask_lots = (
        t_ns,
        m.bid_ticks,
        m.ask_ticks,
        m.bid_lots,
        m.ask_lots,
    )
    r.mid, r.sigma = m.mid, vol_sigma(st.vol, q.quoting.sigma_floor)
    r.position_lots, r.level = st.account.position_lots, st.ladder.level
    r.flip_extra_ticks = flip_extra_ticks(q.flip, st.flip, t_ns)
    r.bid_reasons, r.ask_reasons = st.side[0].reasons, st.side[1].reasons
    r.first_target, r.targets = sim.targets, n
    sim.reasons[0], sim.reasons[1], sim.last_targets = st.side[0].reasons, st.side[1].reasons, n
    for j in range(n):
        a, b = target_at(sim.wanted, j), target_at(sim.out.targets, sim.targets)
        b.side, b.rung, b.flags, b.price_ticks, b.size_lots = a.side, a.rung, a["flags"], a.price_ticks, a.size_lots
        sim.targets += 1


@kernel
def drain_gates(st: Any, sim: Any) -> None:
    """Move the triggers out of the decision kernel's log."""
    log = st.gates
    for j in range(log.n):
        a, b = log.rows[j], gate_at(sim.out.gates, sim.gates)
        b.local_ns, b.switch, b.action, b.side, b.value = a.local_ns, a.switch, a.action, a.side, a.value
        b.threshold, b.n, b.effect, b.until_ns = a.threshold, a.n, a.effect, a.until_ns
        sim.gates += 1
    log.n = 0
