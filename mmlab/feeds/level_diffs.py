"""Book snapshots as level diffs.

A table of snapshots shows the best levels of each side, again and again. The first becomes a SNAPSHOT; from then on
only what changed is written, as DEPTH. A level that is better than the worst one shown, and not shown, is gone. A level
worse than the worst one shown is out of view, not gone: it keeps its last known size until it comes into view again. A
side that shows fewer levels than the table has room for is shown whole.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from mmlab.events import ASK, BID, Kind
from mmlab.feeds.decimals import Decimals, zeros
from mmlab.feeds.rows import Rows, Sources, stack
from mmlab.kernels.policy import kernel

Array = np.ndarray[Any, Any]
FAR = np.iinfo(np.int64).max


@dataclass(slots=True)
class SideViews:
    """The shown levels of one side, message after message, in one flat column; in any order within a message.

    Attributes
    ----------
    counts : ndarray of int64, shape (messages,)
        Levels shown.
    price, size : Decimals, length ``counts.sum()``
    room : int
        Most levels a message can show.
    """

    counts: Array
    price: Decimals
    size: Decimals
    room: int


@kernel
def diff_levels(
    counts: Array, keys: Array, sizes: Array, room: int, out_key: Array, out_size: Array, out_n: Array
) -> int:
    """Write the level changes of every message; return their number.

    `keys` are prices times -side, so that the best comes first, ascending within a message. `out_n[i]` is the number of
    changes of message i. The tracked book is a pair of buffers of ascending keys, rewritten by a merge each time.
    """
    most = out_key.size
    book, held = np.empty(most, np.int64), np.empty(most, np.int64)
    new_book, new_held = np.empty(most, np.int64), np.empty(most, np.int64)
    tracked, start, n = 0, 0, 0
    for message in range(counts.size):
        stop = start + counts[message]
        reach = keys[stop - 1] if stop - start >= room else FAR
        first, i, m = n, 0, 0
        for j in range(start, stop):
            key = keys[j]
            while i < tracked and book[i] < key:
                out_key[n], out_size[n] = book[i], 0
                n += 1
                i += 1
            before = 0
            if i < tracked and book[i] == key:
                before = held[i]
                i += 1
            if before != sizes[j]:
                out_key[n], out_size[n] = key, sizes[j]
                n += 1
            new_book[m], new_held[m] = key, sizes[j]
            m += 1
        while i < tracked and book[i] <= reach:
            out_key[n], out_size[n] = book[i], 0
            n += 1
            i += 1
        while i < tracked:
            new_book[m], new_held[m] = book[i], held[i]
            m += 1
            i += 1
        book, new_book = new_book, book
        held, new_held = new_held, held
        tracked, start = m, stop
        out_n[message] = n - first
    return n


def book_rows(
    exch_ns: Array, local_ns: Array, update_id: Array, place: Array, bids: SideViews, asks: SideViews, sources: Sources
) -> tuple[Rows, int]:
    """The book stream of a table of snapshots.

    Parameters
    ----------
    exch_ns, local_ns, update_id, place : ndarray of int64, shape (messages,)
        `update_id` must differ between neighbouring messages.
    bids, asks : SideViews

    Returns
    -------
    Rows
        One SNAPSHOT, then DEPTH rows.
    int
        Messages that repeat the time and the levels of the one before.

    Raises
    ------
    FeedError
        A price or size that is not positive, a price shown twice, or a crossed snapshot.
    """
    best = {}
    parts, messages = [], []
    for sign, views in ((BID, bids), (ASK, asks)):
        part, message, best[sign] = _side_rows(sign, views, place, sources)
        parts.append(part)
        messages.append(message)
    crossed = (best[BID] >= best[ASK]) & (bids.counts > 0) & (asks.counts > 0)
    if crossed.any():
        i = int(np.argmax(crossed))
        reason = f"crossed snapshot: best bid {best[BID][i]:.12g} is not below best ask {best[ASK][i]:.12g}"
        raise sources.error(reason, place[i])
    message = np.concatenate(messages)
    order = np.argsort(message, kind="stable")
    rows, message = stack(parts)[order], message[order]
    rows.exch_ns, rows.local_ns = exch_ns[message], local_ns[message]
    rows.order_id, rows.place = update_id[message], place[message]
    silent = np.bincount(message, minlength=exch_ns.size) == 0
    repeats = int(np.count_nonzero(silent[1:] & (np.diff(exch_ns) == 0)))
    first = int(np.searchsorted(message, 1))
    opening = (exch_ns[:1], local_ns[:1], update_id[:1], place[:1])
    begin, end = _mark(Kind.SNAPSHOT_BEGIN, *opening), _mark(Kind.SNAPSHOT_END, *opening)
    return stack([begin, rows[:first], end, rows[first:]]), repeats


def _side_rows(sign: int, views: SideViews, place: Array, sources: Sources) -> tuple[Rows, Array, Array]:
    """DEPTH rows of one side, the message of each, and the best price of every message as float."""
    message = np.repeat(np.arange(views.counts.size), views.counts)
    level_place = place[message]
    for column, what in ((views.price, "price"), (views.size, "size")):
        wrong = column.mantissa <= 0
        if wrong.any():
            i = int(np.argmax(wrong))
            raise sources.error(f"{what} {column.text(i)} must be > 0", level_place[i])
    scale = [int(column.places.max(initial=0)) for column in (views.price, views.size)]
    keys, sizes = -sign * views.price.at_scale(scale[0]), views.size.at_scale(scale[1])
    if not (np.diff(keys) > 0)[np.diff(message) == 0].all():
        order = np.lexsort((keys, message))
        keys, sizes = keys[order], sizes[order]
    twice = (np.diff(keys) == 0) & (np.diff(message) == 0)
    if twice.any():
        i = int(np.argmax(twice))
        raise sources.error(f"price {abs(keys[i]) / 10 ** scale[0]:.12g} is shown twice", level_place[i])
    most = 2 * keys.size + 1
    out_key, out_size, out_n = np.empty(most, np.int64), np.empty(most, np.int64), np.empty(views.counts.size, np.int64)
    n = diff_levels(views.counts, keys, sizes, views.room, out_key, out_size, out_n)
    starts = np.minimum(np.cumsum(views.counts) - views.counts, max(keys.size - 1, 0))
    best = -sign * keys[starts] / 10.0 ** scale[0] if keys.size else np.zeros(views.counts.size)
    price, size = (
        Decimals(column, np.full(n, places, np.int8))
        for column, places in zip((-sign * out_key[:n], out_size[:n].copy()), scale, strict=True)
    )
    ints = np.zeros(n, np.int64)  # replaced by the caller, who knows the messages
    kind, side = np.full(n, Kind.DEPTH, np.uint8), np.full(n, sign, np.int8)
    rows = Rows(ints, ints, kind, side, price, size, ints, ints)
    return rows, np.repeat(np.arange(views.counts.size), out_n), best


def _mark(kind: Kind, exch_ns: Array, local_ns: Array, update_id: Array, place: Array) -> Rows:
    """A row that holds no level."""
    kinds, side = np.array([kind], np.uint8), np.zeros(1, np.int8)
    return Rows(exch_ns, local_ns, kinds, side, zeros(1), zeros(1), update_id, place)
