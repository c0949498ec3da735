"""Order latency: how long a request takes to the exchange, and its answer back."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from mmlab.errors import ConfigError
from mmlab.events import NS_PER_MS

Array = np.ndarray[Any, Any]
DRAWS = 1 << 16
MAX_MS = 60_000.0


@dataclass(frozen=True, slots=True)
class Latency:
    """Latency of order entry (us to exchange) and of responses (exchange to us).

    Parameters
    ----------
    entry_ms, response_ms : float or (float, float)
        Constant latency in ms; a pair gives the bid's and the ask's. With `resample` it is added to the drawn one.
    resample : bool
        Draw each latency from the feed's recorded `local_ns - exch_ns`, with the run's seed.
    scale : float
        Multiplies every latency, drawn ones too.

    Notes
    -----
    Messages of one side and direction never overtake each other.

    Raises
    ------
    ConfigError
        A value is not a finite number in its range.
    """

    entry_ms: float | tuple[float, float] = 5.0
    response_ms: float | tuple[float, float] = 5.0
    resample: bool = False
    scale: float = 1.0

    def __post_init__(self) -> None:
        wrong = []
        for name in ("entry_ms", "response_ms"):
            values = _pair(getattr(self, name))
            if len(values) != 2 or not all(_is_number(v) and 0 <= v <= MAX_MS for v in values):
                wrong.append(
                    f"{name} = {getattr(self, name)!r}: must be a number, or a pair (bid, ask), 0 to {MAX_MS:g}"
                )
        if not (_is_number(self.scale) and 0 <= self.scale <= 1000):
            wrong.append(f"scale = {self.scale!r}: must be a number from 0 to 1000")
        if not isinstance(self.resample, bool):
            wrong.append(f"resample = {self.resample!r}: must be True or False")
        if wrong:
            raise ConfigError("Latency: " + "; ".join(wrong))

    def draw(self, feed_latency_ns: Array, seed: int) -> tuple[Array, Array]:
        """Latencies of entry and response in the order they are used up, per side, repeating at their end.

        Parameters
        ----------
        feed_latency_ns : ndarray of int64
            Recorded `local_ns - exch_ns`; read only with `resample`.
        seed : int
            The run's seed.

        Returns
        -------
        entry_ns, response_ns : ndarray of int64, shape (2, k)
            Bid in row 0; k = 1 unless resampled.
        """
        rng = np.random.Generator(np.random.PCG64(seed))
        both = []
        for constant in (self.entry_ms, self.response_ms):
            base = np.array(_pair(constant), np.float64)[:, None] * NS_PER_MS
            if self.resample and feed_latency_ns.size:
                base = base + rng.choice(feed_latency_ns, (2, DRAWS))
            both.append(np.rint(base * self.scale).astype(np.int64))
        return both[0], both[1]


def _pair(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, tuple | list) else (value, value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
