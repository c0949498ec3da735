"""Every planted bug is found, by the invariant and the driver that are meant to find it."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.orders import mutants  # noqa: F401  plants them
from tests.orders.model_venue import Violation
from tests.orders.planting import MUTANTS
from tests.orders.swarm import run
from tests.orders.test_machine import OrdersMachine

SEEDS = 100
INVARIANTS = {
    "post_only", "exposure", "client_id_reuse", "nonce_reuse", "not_terminal", "orders", "position", "stray",
    "cancel_all", "self_cross", "replay", "raised",
}  # fmt: skip
"""What the order manager promises; each has to catch something."""


def by_swarm(first: int, name: str) -> list[str]:
    """Violations found by seeds from `first` on, until one of that name is."""
    found = []
    for seed in range(first, first + SEEDS):
        try:
            run(seed).replay()
        except Violation as violation:
            found.append(violation.name)
            if violation.name == name:
                break
    return found


def by_machine() -> list[str]:
    """The first violation that Hypothesis finds; not made smaller."""
    search = settings(
        max_examples=100, stateful_step_count=50, phases=[Phase.generate], derandomize=True, database=None,
        deadline=None, suppress_health_check=list(HealthCheck), report_multiple_bugs=False, print_blob=False,
    )  # fmt: skip
    try:
        run_state_machine_as_test(OrdersMachine, settings=search)
    except Violation as violation:
        return [violation.name]
    return []


@pytest.mark.parametrize("name", MUTANTS)
def test_a_planted_bug_is_found(name, monkeypatch):
    mutant = MUTANTS[name]
    mutant.apply(monkeypatch.setattr)
    found = by_machine() if mutant.driver == "machine" else by_swarm(mutant.first, mutant.catches)
    assert mutant.catches in found


def test_every_invariant_has_caught_a_planted_bug():
    assert {mutant.catches for mutant in MUTANTS.values()} >= INVARIANTS
    assert {mutant.driver for mutant in MUTANTS.values()} == {"swarm", "machine"}
