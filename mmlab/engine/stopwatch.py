"""Latencies by stage, in real time: the newest samples of each, and their percentiles. Pure."""

from __future__ import annotations

from array import array
from typing import Any

import numpy as np

SAMPLES = 1 << 16
STAGES = ("decide", "order", "sign", "send", "total", "cancel", "lag")
"""Market rows in hand -> decision; decision -> commands; commands -> payload; payload -> sender; rows -> sender;
cancel decided -> its payload to the sender. And how late the event loop comes to what is due."""


class Stopwatch:
    """Ring buffers of `SAMPLES` durations a stage, ns."""

    def __init__(self) -> None:
        self.counts = dict.fromkeys(STAGES, 0)
        self._rings = {stage: array("q", bytes(8 * SAMPLES)) for stage in STAGES}  # quicker one by one

    def add(self, stage: str, duration_ns: int) -> None:
        """One more sample."""
        n = self.counts[stage]
        self._rings[stage][n % SAMPLES] = duration_ns
        self.counts[stage] = n + 1

    def reset(self) -> None:
        """Forget all samples."""
        self.counts = dict.fromkeys(STAGES, 0)

    def samples(self, stage: str) -> np.ndarray[Any, Any]:
        """Durations in ns, in no order."""
        return np.frombuffer(self._rings[stage], np.int64)[: self.counts[stage]]

    def newest_us(self, stage: str, n: int) -> list[float]:
        """The newest `n` durations, oldest first, microseconds."""
        return [float(ns) / 1e3 for ns in self.newest_ns(stage, n)]

    def newest_ns(self, stage: str, most: int) -> np.ndarray[Any, Any]:
        """The newest durations, at most so many, oldest first."""
        n = self.counts[stage]
        ring = np.frombuffer(self._rings[stage], np.int64)
        return ring.take(np.arange(max(0, n - min(most, SAMPLES)), n), mode="wrap")

    def percentiles_us(self, newest: int = SAMPLES) -> dict[str, dict[str, float]]:
        """Stage -> n, p50, p90, p99, max in microseconds, of the newest samples; stages without any are left out."""
        table = {}
        for stage, n in self.counts.items():
            if n:
                p50, p90, p99, most = np.percentile(self.newest_ns(stage, newest), (50, 90, 99, 100)) / 1e3
                table[stage] = {"n": n, "p50": float(p50), "p90": float(p90), "p99": float(p99), "max": float(most)}
        return table
