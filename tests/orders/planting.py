"""The list of planted bugs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.orders import world

Patch = Callable[[object, str, object], None]


@dataclass(frozen=True)
class Mutant:
    """A planted bug.

    ``catches``: name of the violation. ``driver``: swarm or machine. ``first``: seed from which the swarm searches.
    ``blind``: what the order manager itself reports as contradictions is not looked at, so that something else has to
    find it.
    """

    plant: Callable[[Patch], None]
    catches: str
    driver: str = "swarm"
    first: int = 0
    blind: bool = False

    def apply(self, patch: Patch) -> None:
        if self.blind:
            patch(world, "CONTRADICTIONS", ())
        self.plant(patch)


MUTANTS: dict[str, Mutant] = {}


def mutant(catches: str, driver: str = "swarm", *, first: int = 0, blind: bool = False) -> Callable:
    """Register a planted bug."""

    def register(plant: Callable[[Patch], None]) -> Callable[[Patch], None]:
        MUTANTS[plant.__name__] = Mutant(plant, catches, driver, first, blind)
        return plant

    return register
