"""Figures over windows of minutes, from the metrics row of each second (`terms.md`: P&L per million, participation)."""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from typing import Any

import numpy as np

from mmlab.events import NS_PER_S

Array = np.ndarray[Any, Any]
COLUMNS = ("net_pnl", "volume", "market_volume", "messages")
OWN = "own_size"
LONGEST_S = 3600
WINDOWS_S = {"30m": 1800, "60m": 3600}
"""Of P&L per million."""


class Rolling:
    """Running totals of the last hour, one row a second."""

    def __init__(self) -> None:
        self._times: deque[int] = deque(maxlen=LONGEST_S + 1)
        self._rows: deque[tuple[float, ...]] = deque(maxlen=LONGEST_S + 1)

    def second(self, row: Array, own_size: float) -> None:
        """One `METRIC` row, and what we filled so far, base units."""
        self._times.append(int(row["local_ns"][0]))
        self._rows.append((*(float(row[name][0]) for name in COLUMNS), own_size))

    def gained(self, window_s: float) -> dict[str, float]:
        """Growth of each total within the last `window_s` seconds, or since the first row."""
        if not self._times:
            return dict.fromkeys((*COLUMNS, OWN), 0.0)
        at = min(bisect_left(self._times, self._times[-1] - round(window_s * NS_PER_S)), len(self._times) - 1)
        return {name: self._rows[-1][i] - self._rows[at][i] for i, name in enumerate((*COLUMNS, OWN))}

    def pnl_per_million(self) -> dict[str, float]:
        """Change of net P&L over traded notional, times 1e6, by window; windows without trades are left out."""
        found = {}
        for name, window_s in WINDOWS_S.items():
            gained = self.gained(window_s)
            if gained["volume"] > 0:
                found[name] = gained["net_pnl"] / gained["volume"] * 1e6
        return found
