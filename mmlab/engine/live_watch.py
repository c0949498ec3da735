"""What only a live venue can show: its clock against ours, and how near liquidation is. Pure; facts are arguments."""

from __future__ import annotations

import math
from dataclasses import dataclass

from mmlab.config import Kill
from mmlab.events import ASK, BID, NEVER_NS, NS_PER_MS, Switch

HALT_SHARE = 0.5
"""Nearer to liquidation than this share of the distance at which the heavy side goes off, all is halted."""
Verdict = tuple[Switch, float, str]
"""A switch whose cause is there, its value, and the detail."""


@dataclass
class LiveWatch:
    """Looks once a second.

    A message is late by its way and by the difference of the clocks; the least delay of a second is the difference,
    unless all of them were held up, which is as bad. Two looks in a row must see it: in a quiet second the only message
    may be an old one, told again after a gap.
    """

    least_ns: int = NEVER_NS
    skew_s: float = math.nan
    """As of the last look that heard something, seconds; our clock minus the venue's."""
    skewed: bool = False
    """Whether that was too much."""
    liquidation_ticks: int = 0
    """Price at which the venue would liquidate us; 0: none."""
    liquidation_bps: float = math.inf
    """As of the last look: how far from the mid that is."""
    heavy_side: int = 0
    """Side that would add to a position near its liquidation, and so must not be quoted; 0: none."""

    def heard(self, exch_ns: int, local_ns: int) -> None:
        """A change of the best quotes at `exch_ns` was heard of at `local_ns`."""
        self.least_ns = min(self.least_ns, local_ns - exch_ns)

    def look(self, kill: Kill, mid_ticks: float, position_lots: int) -> tuple[list[Verdict], list[Switch]]:
        """Switches that have cause to trip, and those that have none; what cannot be known is in neither."""
        bad: list[Verdict] = []
        good: list[Switch] = []
        if self.least_ns != NEVER_NS:
            skew_ms, self.least_ns = self.least_ns / NS_PER_MS, NEVER_NS
            self.skew_s = skew_ms / 1e3
            seen_before, self.skewed = self.skewed, kill.clock.enabled and abs(skew_ms) > kill.clock.max_skew_ms
            if self.skewed and seen_before:
                bad.append((Switch.CLOCK, skew_ms, f"our clock is {skew_ms:+.0f} ms from the venue's"))
            elif not self.skewed:
                good.append(Switch.CLOCK)
        if not position_lots or not self.liquidation_ticks:
            self.liquidation_bps, self.heavy_side = math.inf, 0
            good.append(Switch.MARGIN)
        elif math.isfinite(mid_ticks) and mid_ticks > 0:
            away_bps = self.liquidation_bps = 1e4 * abs(mid_ticks - self.liquidation_ticks) / mid_ticks
            least_bps = kill.margin.min_distance_bps if kill.margin.enabled else 0.0
            self.heavy_side = (BID if position_lots > 0 else ASK) if away_bps < least_bps else 0
            if away_bps < HALT_SHARE * least_bps:
                bad.append((Switch.MARGIN, away_bps, f"liquidation is {away_bps:.0f} bps away"))
            else:
                good.append(Switch.MARGIN)
        return bad, good
