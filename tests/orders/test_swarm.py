"""The seeded swarm: 200,000 events of trouble, every kind of it, and everything comes right."""

from __future__ import annotations

from collections import Counter

from tests.orders.faults import EVERY
from tests.orders.swarm import run

EVENTS = 200_000
OFTEN = 20
"""Times that each kind of fault has to occur."""


def test_swarm():
    events, seed, orders = 0, 0, 0
    faults: Counter[str] = Counter()
    while events < EVENTS:
        world = run(seed)
        events += world.events
        orders += len(world.venue.placed)
        faults += world.faults
        if seed % 10 == 0:
            world.replay()
        seed += 1
    assert events >= EVENTS
    assert orders > 5 * seed, "a swarm without orders tests nothing"
    assert {name: faults[name] for name in EVERY if faults[name] < OFTEN} == {}
