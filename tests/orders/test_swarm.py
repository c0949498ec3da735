"""The seeded swarm: 200,000 events of trouble, and everything comes right."""

from __future__ import annotations

from tests.orders.swarm import run

EVENTS = 200_000


def test_swarm():
    events, seed = 0, 0
    while events < EVENTS:
        world = run(seed)
        events += world.events
        if seed % 10 == 0:
            world.replay()
        seed += 1
