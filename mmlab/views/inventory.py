"""Inventory: position, its age, the ladder's level, and what it earned for what was traded."""

from __future__ import annotations

from typing import Any

from mmlab.lab.figure_style import INK, MUTED, WARN
from mmlab.views.components import card, grid
from mmlab.views.derived import pnl_per_million
from mmlab.views.figures import lines, pane
from mmlab.views.view import View


class Inventory(View):
    """Inventory over time."""

    name_, title = "inventory", "Inventory"

    def make(self) -> Any:
        """Build it."""
        inverse = self.store.inverse
        times = self.follow(
            {
                "position": "position", "age": "inventory_age_s", "lots": "lot_age_s", "level": "level",
                "m30": pnl_per_million(30.0, inverse=inverse), "m60": pnl_per_million(60.0, inverse=inverse),
            }
        )  # fmt: skip
        follow = times.follows[0]
        position = times.make("position", height=180, keep_zero=True)
        position.varea_step("x", 0, "position", source=follow.source, step_mode="after", color=MUTED, alpha=0.25)
        lines(position, follow, [("position", "", INK, 1.0)])
        age = times.make("age", height=180, keep_zero=True)
        lines(age, follow, [("lots", "lots (FIFO)", WARN, 0.8), ("age", "inventory", INK, 1.0)], "s")
        level = times.make("level", height=140, keep_zero=True)
        level.yaxis.ticker = list(range(9))
        lines(level, follow, [("level", "", INK, 1.0)])
        million = times.make("million", height=180, keep_zero=True)
        lines(million, follow, [("m60", "60 min", MUTED, 0.9), ("m30", "30 min", INK, 1.0)], step=False)
        return grid(
            self.windows(),
            card(pane(position), title="Position", note="base currency (contracts for inverse)"),
            card(pane(age), title="Age", note="seconds"),
            card(pane(level), title="Ladder level", note="0: no heavy side"),
            card(pane(million), title="P&amp;L per 1M traded", note="quote currency; 100 is 1 bp"),
        )

    def refresh(self) -> None:
        """Show what is new."""
        self.advance()
