"""A plain book of dictionaries, to set against feeds."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest

from mmlab.events import Kind
from mmlab.kernels.policy import INTERPRETED

compiled = pytest.mark.skipif(INTERPRETED, reason="a whole recording: minutes without the compiler")
BOOK_KINDS = (Kind.DEPTH, Kind.ADD, Kind.CANCEL, Kind.EXECUTE)


class DictBook:
    """Sizes by price, one dictionary a side; orders by id."""

    def __init__(self):
        self.levels = {1: defaultdict(int), -1: defaultdict(int)}
        self.orders = {}
        self.usable = True

    def apply(self, row):
        """Apply an EVENT row given as a tuple."""
        _, _, kind, side, price, size, order = row
        if kind == Kind.SNAPSHOT_BEGIN:
            self.__init__()
            self.usable = False
        elif kind == Kind.SNAPSHOT_END:
            self.usable = True
        elif kind == Kind.GAP:
            self.usable = False
        elif kind == Kind.DEPTH:
            self._set(side, price, size)
        elif kind in (Kind.ADD, Kind.CANCEL, Kind.EXECUTE):
            signed = size if kind == Kind.ADD else -size
            self.orders[order] = self.orders.get(order, 0) + signed
            assert self.orders[order] >= 0, f"more left order {order} than it held"
            if not self.orders[order]:
                del self.orders[order]
            self._set(side, price, self.levels[side][price] + signed)

    def _set(self, side, price, size):
        if size:
            self.levels[side][price] = size
        else:
            self.levels[side].pop(price, None)

    def best(self, side):
        """(price, size), or None."""
        levels = self.levels[side]
        price = (max if side > 0 else min)(levels, default=None)
        return None if price is None else (price, levels[price])

    def top(self, side, n):
        """The n best levels, best first."""
        return [(p, self.levels[side][p]) for p in sorted(self.levels[side], reverse=side > 0)[:n]]


def replay(events):
    """The book after all `events`."""
    book = DictBook()
    for row in events.tolist():
        book.apply(row)
    return book


def message_ends(events):
    """Whether each row is the last of its venue message (`mmlab.events`)."""
    ends = np.ones(events.size, bool)
    inside = np.cumsum(events["kind"] == Kind.SNAPSHOT_BEGIN) > np.cumsum(events["kind"] == Kind.SNAPSHOT_END)
    book = np.isin(events["kind"], BOOK_KINDS)
    depth = events["kind"] == Kind.DEPTH
    joined = book[:-1] & book[1:] & (events["exch_ns"][:-1] == events["exch_ns"][1:])
    joined &= ~(depth[:-1] & depth[1:]) | (events["order_id"][:-1] == events["order_id"][1:])
    ends[:-1] = ~(joined | inside[:-1])
    return ends


def check_events(events):
    """What `mmlab.events` promises of every feed."""
    kind = events["kind"]
    assert (np.diff(events["local_ns"]) >= 0).all()
    for stream in (np.isin(kind, (Kind.TRADE, Kind.EXECUTE)), ~np.isin(kind, (Kind.TRADE, Kind.MARK, Kind.FUNDING))):
        assert (np.diff(events["exch_ns"][stream]) >= 0).all()
    assert (events["local_ns"] >= events["exch_ns"])[np.isin(kind, (Kind.TRADE, *BOOK_KINDS))].all()
    assert (events["price_ticks"] > 0)[np.isin(kind, (Kind.TRADE, *BOOK_KINDS))].all()
    assert (events["size_lots"] >= 0)[kind != Kind.FUNDING].all()
    assert (np.abs(events["side"]) == np.isin(kind, (Kind.TRADE, *BOOK_KINDS))).all()
    begins, ends = (np.flatnonzero(kind == k) for k in (Kind.SNAPSHOT_BEGIN, Kind.SNAPSHOT_END))
    assert begins.size == ends.size
    assert (begins < ends).all()
    tied = (np.diff(events["local_ns"]) == 0) & (kind[1:] == Kind.TRADE)
    assert np.isin(kind[:-1][tied], (Kind.TRADE, Kind.MARK, Kind.FUNDING)).all(), (
        "a trade behind a book row of its time"
    )
