"""Every planted bug is found, by an invariant that was meant to find it."""

from __future__ import annotations

import pytest

from tests.orders.model_venue import Violation
from tests.orders.mutants import MUTANTS
from tests.orders.swarm import run

SEEDS = 400


def first_violation() -> str:
    for seed in range(SEEDS):
        try:
            run(seed).replay()
        except Violation as violation:
            return violation.name
    return ""


@pytest.mark.parametrize("name", MUTANTS)
def test_a_planted_bug_is_found(name, monkeypatch):
    plant, expected = MUTANTS[name]
    plant(monkeypatch.setattr)
    assert first_violation() in expected
