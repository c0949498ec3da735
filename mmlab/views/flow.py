"""Flow: how fast we are hit, how the reference price flips, how large a part of the market we are."""

from __future__ import annotations

from typing import Any

from mmlab.lab.figure_style import INK
from mmlab.views.components import card, grid
from mmlab.views.derived import hits_per_min, participation
from mmlab.views.figures import lines, pane, sides
from mmlab.views.view import View


class Flow(View):
    """Flow over time."""

    name_, title = "flow", "Flow"

    def make(self) -> Any:
        """Build it."""
        fills = self.store.fills.since
        times = self.follow(
            {
                "rate_bid": "fill_rate_bid", "rate_ask": "fill_rate_ask",
                "p95_bid": "fill_rate_p95_bid", "p95_ask": "fill_rate_p95_ask",
                "flips": "flip_rate", "flips_10s": "flip_rate_10s", "part": participation(fills),
                "min_bid": hits_per_min(fills, 1), "min_ask": hits_per_min(fills, -1),
            }
        )  # fmt: skip
        follow = times.follows[0]
        rates = times.make("fill_rate", height=190, keep_zero=True)
        lines(rates, follow, sides("", "rate_bid", "rate_ask", 0.35) + sides("p95", "p95_bid", "p95_ask"), "/s")
        flips = times.make("flips", height=190, keep_zero=True)
        lines(flips, follow, [("flips", "gate's window", "#8b939e", 0.5), ("flips_10s", "10 s", INK, 1.0)], "/s")
        part = times.make("participation", height=170, keep_zero=True)
        lines(part, follow, [("part", "", INK, 1.0)], "%", step=False)
        minute = times.make("fills_min", height=170, keep_zero=True)
        lines(minute, follow, sides("", "min_bid", "min_ask"), "/min", step=False)
        return grid(
            self.windows(),
            card(pane(rates), title="Same-side fills a second", note="and p95 at each of the last 200 hits"),
            card(pane(flips), title="Flip rate", note="of the reference price, a second"),
            card(pane(part), title="Participation", note="our size by the market's, % of the last minute"),
            card(pane(minute), title="Fill rate", note="fills in the last minute"),
        )

    def refresh(self) -> None:
        """Show what is new."""
        self.advance()
