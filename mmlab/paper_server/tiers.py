"""Tiers of account: latency, fees and limits of each."""

from __future__ import annotations

from dataclasses import dataclass, replace

from mmlab.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Tier:
    """What a tier of account gets. Fees in millionths of the value; limits a rolling minute, 0: none."""

    name: str
    maker_ms: float
    cancel_ms: float
    taker_ms: float
    maker_fee: int
    taker_fee: int
    reads_per_min: int
    """Weight of reads (of requests, if `weighed` is false)."""
    sends_per_min: int
    weighed: bool = True
    quota: bool = False

    def with_latency(self, ms: float) -> Tier:
        """The same with one latency for all."""
        return replace(self, maker_ms=ms, cancel_ms=ms, taker_ms=ms)

    def unlimited(self) -> Tier:
        """The same without limits."""
        return replace(self, reads_per_min=0, sends_per_min=0, quota=False)


TIERS = {
    tier.name: tier
    for tier in (
        Tier("standard", 200, 200, 300, 0, 0, 60, 60, weighed=False),
        Tier("premium", 0, 0, 200, 40, 280, 24_000, 4_000, quota=True),
        Tier("plus", 200, 200, 300, 50, 50, 120_000, 8_000, quota=True),
        Tier("builder", 200, 200, 300, 0, 0, 240_000, 40_000),
    )
}


def tier_of(name: str) -> Tier:
    """A tier by name; raises `ConfigError`."""
    if name not in TIERS:
        raise ConfigError(f"tier {name!r}: must be one of {', '.join(TIERS)}")
    return TIERS[name]
