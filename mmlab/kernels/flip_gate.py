"""Flip gate: pull or widen while the reference price flips to and fro (`terms.md`, Flip gate).

In `adaptive` mode the widening jumps at each trigger (first `widen_ticks`, then times `growth`, capped) and halves per
half-life of calm, that is of time in which the window holds fewer flips than the threshold; below half a tick it is 0.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mmlab.events import NEVER_NS, NS_PER_MS, GateAction
from mmlab.kernels.flow import FLIP, flip_count, flip_update
from mmlab.kernels.policy import kernel
from mmlab.kernels.switch import SWITCH, switch_running, switch_trip
from mmlab.params import FLIP_ADAPTIVE, FLIP_OFF, FLIP_SKIP

KEEP_NS = 10_000_000_000
"""Flips are remembered for the 10 s rate that is shown beside the gate's."""
REDECIDE_NS = 25 * NS_PER_MS
"""While the widening decays, quotes are looked at again this often."""
NOTHING, SKIP, WIDEN = -1, int(GateAction.SKIP), int(GateAction.WIDEN)

FLIP_GATE_STATE = np.dtype(
    [
        ("flips", FLIP),
        ("pull", SWITCH),
        ("extra_ticks", "f8"),
        ("since_ns", "i8"),
        ("calm_ns", "i8"),
        ("triggers", "i8"),
    ],
    align=True,
)
"""``since_ns``: the last trigger; ``extra_ticks``: the widening at ``calm_ns``, when the flips that are known now will
have left the window far enough for calm."""


@kernel
def distance_ticks(ticks: float, bps: float, mid_ticks: float) -> float:
    """The larger of a distance's two twins, in ticks."""
    return max(ticks, bps * 1e-4 * mid_ticks)


@kernel
def flip_extra_ticks(p: Any, g: Any, t_ns: int) -> float:
    """What is added to both half-spreads at `t_ns`, in ticks."""
    if g.extra_ticks == 0.0:
        return 0.0
    if p.mode != FLIP_ADAPTIVE:
        return g.extra_ticks if t_ns < g.since_ns + p.hold_ns else 0.0
    extra = g.extra_ticks * 0.5 ** (max(0, t_ns - g.calm_ns) / p.half_life_ns)
    return extra if extra >= 0.5 else 0.0


@kernel
def flip_unrest(p: Any, g: Any, t_ns: int) -> None:
    """The window holds at least `threshold` flips: the widening is as the calm until now has left it, and stays so."""
    g.extra_ticks = flip_extra_ticks(p, g, t_ns)
    f = g.flips.flips
    g.calm_ns = f.t_ns[(f.head + f.n - p.threshold) & (f.t_ns.size - 1)] + p.window_ns


@kernel
def flip_pull(p: Any, g: Any, t_ns: int, memory_ns: int) -> bool:
    """Pull both sides; False if that was done within the window, or still holds."""
    began_ns = g.pull.until_ns - g.pull.duration_ns
    if switch_running(g.pull, t_ns) or (g.pull.trips > 0 and t_ns - began_ns < p.window_ns):
        return False
    switch_trip(g.pull, t_ns, p.pause_ns, p.pause_max_ns, memory_ns)
    g.pull.released_ns = g.pull.until_ns
    return True


@kernel
def flip_trigger(p: Any, g: Any, t_ns: int, pull: bool, mid_ticks: float, memory_ns: int) -> int:
    """Act on a trigger; return the `GateAction`."""
    action = WIDEN
    if pull:
        flip_pull(p, g, t_ns, memory_ns)
        action = SKIP
    if p.mode != FLIP_SKIP:
        widen = distance_ticks(p.widen_ticks, p.widen_bps, mid_ticks)
        if p.mode == FLIP_ADAPTIVE:
            most = max(widen, distance_ticks(p.max_ticks, p.max_bps, mid_ticks))
            widen = min(most, max(widen, g.extra_ticks * p.growth))
        g.extra_ticks = widen
    g.since_ns = t_ns
    g.triggers += 1
    return action


@kernel
def flip_gate_book(p: Any, g: Any, t_ns: int, reference_ticks: float, mid_ticks: float, memory_ns: int) -> int:
    """Take the reference after a batch; return the `GateAction` of a trigger, or NOTHING.

    Triggers at a new flip, when the window holds `threshold` of them, at most once a window. The pull at
    `hard_threshold` does not wait for the next trigger: flips that come that fast are over by then.
    """
    keep_ns = max(KEEP_NS, p.window_ns)
    if not flip_update(g.flips, t_ns, reference_ticks, p.min_move, keep_ns) or p.mode == FLIP_OFF:
        return NOTHING
    count = flip_count(g.flips, t_ns, p.window_ns)
    if count < p.threshold:
        return NOTHING
    if p.mode == FLIP_ADAPTIVE:
        flip_unrest(p, g, t_ns)
    hard = p.mode == FLIP_ADAPTIVE and count >= p.hard_threshold
    if g.triggers > 0 and t_ns - g.since_ns < p.window_ns:
        return SKIP if hard and flip_pull(p, g, t_ns, memory_ns) else NOTHING
    return flip_trigger(p, g, t_ns, hard or p.mode == FLIP_SKIP, mid_ticks, memory_ns)


@kernel
def flip_deadline(p: Any, g: Any, t_ns: int) -> int:
    """When quotes may change because of this gate; NEVER_NS while it is at rest."""
    deadline = NEVER_NS
    if switch_running(g.pull, t_ns):
        deadline = g.pull.until_ns
    if flip_extra_ticks(p, g, t_ns) > 0.0:
        widening = max(t_ns, g.calm_ns) + REDECIDE_NS if p.mode == FLIP_ADAPTIVE else g.since_ns + p.hold_ns
        deadline = min(deadline, widening)
    return deadline
