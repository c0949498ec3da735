"""Latency histograms by stage, brought up to date when somebody looks: nothing is added to the way of an order."""

from __future__ import annotations

from typing import Any

import numpy as np

from mmlab.engine.stopwatch import SAMPLES, STAGES, Stopwatch

BOUNDS_S = (25e-6, 50e-6, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)


class StageHistograms:
    """Cumulative buckets of a stopwatch's samples.

    Parameters
    ----------
    stopwatch : Stopwatch
        Keeps the newest samples; should more than it keeps come between two looks, the older ones are not counted.
    """

    def __init__(self, stopwatch: Stopwatch) -> None:
        self._stopwatch = stopwatch
        self._seen = dict.fromkeys(STAGES, 0)
        self._counts = {stage: np.zeros(len(BOUNDS_S) + 1, np.int64) for stage in STAGES}
        self._sum_s = dict.fromkeys(STAGES, 0.0)

    def keep_up(self) -> None:
        """Take in what came before the stopwatch forgets it; else that is left to who looks."""
        counts = self._stopwatch.counts
        if any(n - self._seen.get(stage, 0) > SAMPLES // 2 for stage, n in counts.items()):
            self.update()

    def update(self) -> None:
        """Take in what came since the last look."""
        for stage, n in self._stopwatch.counts.items():
            new = min(n - self._seen.get(stage, 0), SAMPLES)
            self._seen[stage] = n
            if new <= 0:
                continue
            seconds = self._stopwatch.newest_ns(stage, new) * 1e-9
            places = np.searchsorted(BOUNDS_S, seconds)
            counts = np.bincount(places, minlength=len(BOUNDS_S) + 1)
            self._counts[stage] = self._counts.get(stage, 0) + counts
            self._sum_s[stage] = self._sum_s.get(stage, 0.0) + float(seconds.sum())

    def table(self) -> dict[str, dict[str, Any]]:
        """Stage -> ``buckets`` (upper bound in seconds as text, count up to it) and ``sum``, seconds."""
        self.update()
        names = [*(f"{bound:g}" for bound in BOUNDS_S), "+Inf"]
        return {
            stage: {
                "buckets": [(name, int(n)) for name, n in zip(names, np.cumsum(counts), strict=True)],
                "sum": self._sum_s[stage],
            }
            for stage, counts in self._counts.items()
        }
