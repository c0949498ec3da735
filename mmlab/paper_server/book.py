"""The recorded book, level by level, and which levels changed. Pure."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from mmlab.events import ASK, BID, Kind

Array = np.ndarray[Any, Any]
_COLUMNS = ("kind", "side", "price_ticks", "size_lots", "exch_ns")


class Print(NamedTuple):
    """A trade of the recording; ``side``: the aggressor's."""

    exch_ns: int
    side: int
    ticks: int
    lots: int


class Book:
    """Levels of both sides.

    Attributes
    ----------
    bids, asks : dict of int to int
        Ticks -> lots, > 0.
    changed : set of (int, int)
        (side, ticks) since the last `take_changes`.
    nonce : int
        Rises with every row.
    updated_ns : int
        Market time of the last row.
    """

    def __init__(self) -> None:
        self.bids: dict[int, int] = {}
        self.asks: dict[int, int] = {}
        self._sides = {BID: self.bids, ASK: self.asks}
        self.changed: set[tuple[int, int]] = set()
        self.nonce = self.updated_ns = 0
        self._best_nonce = 0
        self._bests: tuple[int | None, int | None] = (None, None)
        self.mark_ticks: int | None = None
        self.funding: tuple[int, int] | None = None

    def apply(self, rows: Array) -> tuple[list[Print], list[tuple[int, int, int]]]:
        """Take rows; the trades among them, and fundings (market time, mark ticks, rate in 1e-9)."""
        prints: list[Print] = []
        fundings: list[tuple[int, int, int]] = []
        sides, changed = self._sides, self.changed
        columns = [rows[name].tolist() for name in _COLUMNS]
        for kind, side, ticks, lots, exch_ns in zip(*columns, strict=True):
            if kind == Kind.DEPTH:
                self._set(side, ticks, lots)
            elif kind == Kind.TRADE:
                prints.append(Print(exch_ns, side, ticks, lots))
                continue
            elif kind >= Kind.ADD:
                before = sides[side].get(ticks, 0)
                self._set(side, ticks, before + lots if kind == Kind.ADD else max(0, before - lots))
                if kind == Kind.EXECUTE:
                    prints.append(Print(exch_ns, -side, ticks, lots))
            elif kind == Kind.SNAPSHOT_BEGIN:
                for s, levels in sides.items():
                    changed.update((s, at) for at in levels)
                    levels.clear()
            elif kind == Kind.MARK:
                self.mark_ticks = ticks
                continue
            elif kind == Kind.FUNDING:
                fundings.append((exch_ns, ticks, lots))
                continue
            self.nonce += 1
            self.updated_ns = exch_ns
        return prints, fundings

    def _set(self, side: int, ticks: int, lots: int) -> None:
        if lots > 0:
            self._sides[side][ticks] = lots
        else:
            self._sides[side].pop(ticks, None)
        self.changed.add((side, ticks))

    def clear(self) -> None:
        """No level is left."""
        for side, levels in self._sides.items():
            self.changed.update((side, ticks) for ticks in levels)
            levels.clear()
        self.nonce += 1

    def take_changes(self) -> list[tuple[int, int, int]]:
        """(side, ticks, lots) of the levels that changed since the last call; lots 0: gone."""
        found = [(side, ticks, self._sides[side].get(ticks, 0)) for side, ticks in self.changed]
        self.changed.clear()
        return found

    @property
    def best_bid(self) -> int | None:
        """Ticks; None: no bid."""
        return self._best()[0]

    @property
    def best_ask(self) -> int | None:
        """Ticks; None: no ask."""
        return self._best()[1]

    def _best(self) -> tuple[int | None, int | None]:
        """Both, looked for once a change."""
        if self._best_nonce != self.nonce:
            self._best_nonce = self.nonce
            self._bests = (max(self.bids, default=None), min(self.asks, default=None))
        return self._bests

    @property
    def mid_ticks(self) -> float | None:
        """Mid, in ticks; None: a side is empty."""
        bid, ask = self.best_bid, self.best_ask
        return None if bid is None or ask is None else (bid + ask) / 2

    @property
    def mark(self) -> int:
        """Mark price in ticks: the recording's if it has one, else the mid; 0 if there is none."""
        if self.mark_ticks is not None:
            return self.mark_ticks
        mid = self.mid_ticks
        return 0 if mid is None else round(mid)

    def lots_before(self, side: int, ticks: int) -> int:
        """Lots of ``side``'s levels strictly better than ``ticks``."""
        levels = self._sides[side]
        return sum(lots for at, lots in levels.items() if side * (at - ticks) > 0)
