"""Wrong kernels, and whether the properties of `scenarios` find them. Works only without the compiler."""

from __future__ import annotations

import json
from typing import Any

from mmlab.kernels import decide, exit_step, rearm, targets
from tests.kernels import scenarios
from tests.kernels.driver import Driver

SEEDS = (400, 401, 410)
"""Tapes that between them find every bug below; without the compiler each takes a second."""
STEPS = 40


def properties(seed: int) -> None:
    """Every property, on one tape."""
    d: Driver = scenarios.play(*scenarios.random_tape(seed, STEPS), watch=scenarios.check_decision)
    scenarios.check_gates(d)
    first, second = scenarios.again(d)
    assert first == second, "the same decision twice differs"
    scenarios.heal(d)
    assert scenarios.quotes_again_s(d, scenarios.bound_s(d)) < float("inf"), "dead-lock"


def swing(p: Any, state: Any, t_ns: int, q_ratio: float) -> int:
    """A ladder that remembers how often it was asked."""
    state.level = 1 - min(state.level, 1)
    return 1


distance, sized = targets.distance_ticks, targets.target_lots
WRONG: dict[str, tuple[Any, str, Any]] = {
    "clamp forgotten": (targets, "worse_tick", lambda side, a, b: a),
    "limit forgotten": (targets, "room_lots", lambda risk, lots, side: 10**6),
    "exit larger than the position": (exit_step, "exit_size", lambda p, held, *rest: 2 * held),
    "offset towards the mid": (targets, "distance_ticks", lambda *a: -distance(*a)),
    "multiplier upside down": (targets, "target_lots", lambda q, st, k, lots: 2 * lots - sized(q, st, k, lots)),
    "cause never gone": (rearm, "cause_gone", lambda *a: False),
    "not a function of its inputs": (decide, "ladder_update", swing),
}


def hunt() -> str | None:
    """The first complaint of the properties, if any."""
    for seed in SEEDS:
        try:
            properties(seed)
        except AssertionError as error:
            return f"seed {seed}: {error}"
    return None


def main() -> None:
    """Print what was found for each planted bug, as JSON; "nothing" is the kernel as it is, on a few tapes."""
    found: dict[str, str | None] = {"nothing": None}
    for seed in SEEDS:
        properties(seed)
    for name, (module, function, wrong) in WRONG.items():
        right = getattr(module, function)
        setattr(module, function, wrong)
        found[name] = hunt()
        setattr(module, function, right)
    print(json.dumps(found))
