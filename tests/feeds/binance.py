"""Collector files of a made-up Binance: random messages that follow the venue's rules, and faults planted in them."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np

T0_MS = 1_723_161_255_000
TICK, LOT = "0.01", "0.001"


def price(ticks):
    """Ticks of 0.01 as text with Binance's padding."""
    return f"{ticks // 100}.{ticks % 100:02d}000000"


def size(lots):
    """Lots of 0.001 as text."""
    return f"{lots // 1000}.{lots % 1000:03d}00000"


class Exchange:
    """A venue with a random book; `step` is one depth diff and perhaps a trade."""

    def __init__(self, seed, *, futures=False, symbol="testusdt"):
        self.rng = np.random.default_rng(seed)
        self.futures, self.symbol = futures, symbol
        self.u, self.trade_id, self.ms = 1000, 1, T0_MS
        self.levels = {1: {}, -1: {}}
        for k in range(1, 6):
            self.levels[1][10_000 - k], self.levels[-1][10_000 + k] = k * 10, k * 7

    def stream(self, name, data):
        """The combined-stream envelope."""
        return {"stream": f"{self.symbol}@{name}", "data": data}

    def snapshot(self):
        """The REST snapshot of now."""
        levels = {
            name: [[price(p), size(q)] for p, q in sorted(self.levels[side].items(), reverse=side > 0)]
            for name, side in (("bids", 1), ("asks", -1))
        }
        times = {"E": self.ms, "T": self.ms} if self.futures else {}
        return {"lastUpdateId": self.u, **times, **levels}

    def diff(self):
        """Change some levels, and say so."""
        self.ms += int(self.rng.integers(1, 50))
        first, previous = self.u + 1, self.u
        if self.futures:
            first += int(self.rng.integers(0, 4))
        changes = {1: {}, -1: {}}
        for _ in range(int(self.rng.integers(1, 5))):
            side = int(self.rng.choice((1, -1)))
            at = 10_000 - side * int(self.rng.integers(1, 12))
            changes[side][at] = int(self.rng.integers(1, 50)) if self.rng.random() < 0.7 else 0
        for side, levels in changes.items():
            for at, lots in levels.items():
                if lots:
                    self.levels[side][at] = lots
                else:
                    self.levels[side].pop(at, None)
        self.u = first + int(self.rng.integers(0, 4))
        data = {"e": "depthUpdate", "E": self.ms, "s": self.symbol.upper(), "U": first, "u": self.u}
        if self.futures:
            data |= {"T": self.ms, "pu": previous}
        data |= {name: [[price(p), size(q)] for p, q in changes[side].items()] for name, side in (("b", 1), ("a", -1))}
        return self.stream("depth@0ms" if self.futures else "depth@100ms", data)

    def trade(self, **changes):
        """A trade at one of the best prices."""
        self.trade_id += 1
        sells = bool(self.rng.random() < 0.5)
        data = {
            "e": "trade", "E": self.ms, "T": self.ms, "s": self.symbol.upper(), "t": self.trade_id,
            "p": price(9_999 if sells else 10_001), "q": size(int(self.rng.integers(1, 20))), "m": sells,
        } | changes  # fmt: skip
        return self.stream("trade", data)

    def book_ticker(self):
        """Best quotes of now."""
        data = {"u": self.u, "s": self.symbol.upper()}
        return self.stream("bookTicker", data)


class Writer:
    """Messages as collector lines, with local times that run on."""

    def __init__(self, start_ns=T0_MS * 1_000_000 + 5_000_000, unit_ns=1):
        self.lines, self.ns, self.unit_ns = [], start_ns, unit_ns

    def __call__(self, message, at_ms=None):
        """Append a message, received at `at_ms` (default: 1 ms after the last)."""
        self.ns = self.ns + 1_000_000 if at_ms is None else at_ms * 1_000_000
        self.lines.append(f"{self.ns // self.unit_ns} {json.dumps(message, separators=(',', ':'))}")

    def save(self, path: Path) -> Path:
        """Write the file, gzipped."""
        with gzip.open(path, "wt") as file:
            file.write("\n".join(self.lines) + "\n")
        return path
