"""Cut a feed in time without losing its book: the part begins with a snapshot of the state before it."""

from __future__ import annotations

from typing import Any

import numpy as np

from mmlab.events import EVENT, Kind

Array = np.ndarray[Any, Any]


def last_of(events: Array, kinds: tuple[Kind, ...]) -> int:
    """Index of the last row of one of `kinds`, -1 if there is none."""
    found = np.flatnonzero(np.isin(events["kind"], kinds))
    return int(found[-1]) if found.size else -1


def levels_after(events: Array) -> Array:
    """DEPTH rows of the levels that hold size after all `events`, best bid first, then best ask first."""
    rows = events[last_of(events, (Kind.SNAPSHOT_BEGIN,)) + 1 :]
    rows = rows[rows["kind"] == Kind.DEPTH][::-1]
    key = np.lexsort((rows["price_ticks"], rows["side"]))  # stable: among equals the newest row stands first
    rows = rows[key]
    newest = np.ones(rows.size, bool)
    newest[1:] = (rows["side"][1:] != rows["side"][:-1]) | (rows["price_ticks"][1:] != rows["price_ticks"][:-1])
    rows = rows[newest & (rows["size_lots"] > 0)]
    return rows[np.lexsort((-rows["side"] * rows["price_ticks"], -rows["side"]))]


def orders_after(events: Array) -> Array:
    """ADD rows of the orders that rest after all `events`, with what is left of them, in order of arrival."""
    rows = events[last_of(events, (Kind.SNAPSHOT_BEGIN,)) + 1 :]
    rows = rows[np.isin(rows["kind"], (Kind.ADD, Kind.CANCEL, Kind.EXECUTE))]
    added = rows["kind"] == Kind.ADD
    ids, order = np.unique(rows["order_id"], return_inverse=True)
    left = np.zeros(ids.size, np.int64)
    np.add.at(left, order, np.where(added, rows["size_lots"], -rows["size_lots"]))
    newest = np.full(ids.size, -1)
    np.maximum.at(newest, order[added], np.flatnonzero(added))  # an order that was modified is added again
    alive = np.sort(newest[left > 0])
    resting = rows[alive].copy()
    resting["size_lots"] = left[order[alive]]
    return resting


def cut(events: Array, first: int, stop: int, start_ns: int | None) -> Array:
    """Rows ``first:stop``, after a snapshot (or a GAP) at `start_ns` that stands for all rows before `first`.

    Returns
    -------
    ndarray of EVENT
        With ``start_ns=None`` or nothing before `first`, the rows alone.
    """
    before, part = events[:first], events[first:stop]
    book_rows = np.flatnonzero(~np.isin(before["kind"], (Kind.TRADE, Kind.MARK, Kind.FUNDING)))
    if start_ns is None or book_rows.size == 0:
        opening = np.zeros(0, EVENT)
    else:
        opening = _opening(before, before[book_rows[-1]], start_ns)
    out = np.zeros(opening.size + part.size, EVENT)
    out[: opening.size], out[opening.size :] = opening, part
    return out


def _opening(before: Array, last: Any, start_ns: int) -> Array:
    """The rows that stand for all rows `before`, the last of the book being `last`."""
    if last_of(before, (Kind.GAP,)) > last_of(before, (Kind.SNAPSHOT_END,)):
        opening = np.zeros(1, EVENT)
        opening["kind"] = Kind.GAP
    else:
        by_order = np.isin(before["kind"], (Kind.ADD, Kind.CANCEL, Kind.EXECUTE)).any()
        state = orders_after(before) if by_order else levels_after(before)
        opening = np.zeros(state.size + 2, EVENT)
        opening[1:-1] = state
        opening["kind"][[0, -1]] = Kind.SNAPSHOT_BEGIN, Kind.SNAPSHOT_END
        if not by_order:
            opening["order_id"] = last["order_id"]
    opening["local_ns"] = start_ns
    opening["exch_ns"] = last["exch_ns"]
    return opening
