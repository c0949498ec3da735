"""The book of a live feed, message by message, against the table worked out for a whole feed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mmlab
from mmlab.events import BOOK, EVENT, Kind
from mmlab.kernels.book import book_table, same_message
from mmlab.kernels.live_book import book_row, needs_recentring, new_book, publish, recentred, visible_lots
from mmlab.kernels.policy import kernel, records
from tests.conftest import shared_data

Array = np.ndarray[Any, Any]
COLUMNS = [name for name in BOOK.names or () if name != "row"]
TRADE, MARK, FUNDING, DEPTH, ADD = (int(k) for k in (Kind.TRADE, Kind.MARK, Kind.FUNDING, Kind.DEPTH, Kind.ADD))


@kernel
def walk(book: Array, levels: Array, rows: Array, out: Array, start: int) -> tuple[int, int]:
    """Take rows from `start` on and write a row a change, until the window is to be moved."""
    b, n = book[0], 0
    for i in range(start, rows.size):
        e = rows[i]
        if e.kind == TRADE or e.kind == MARK or e.kind == FUNDING:
            continue
        may = book_row(b, levels, e)
        is_level = e.kind == DEPTH or e.kind >= ADD
        if is_level and i + 1 < rows.size and same_message(e, rows[i + 1]):
            continue
        if may and publish(b, levels, e):
            r = out[n]
            n += 1
            r.exch_ns, r.local_ns, r.valid = b.exch_ns, b.local_ns, b.valid
            r.bid_ticks, r.ask_ticks, r.bid_lots, r.ask_lots = b.bid_ticks, b.ask_ticks, b.bid_lots, b.ask_lots
            if n == out.size:
                return i + 1, n
    return rows.size, n


def live_table(events: Array, mid_ticks: int) -> Array:
    """`book_table`, by the live book."""
    book, levels = new_book(mid_ticks)
    rows, at, parts = records(events), 0, []
    while at < events.size:
        out = np.zeros(16, BOOK)
        at, n = walk(book, levels, rows, records(out), at)
        parts.append(out[:n])
        if needs_recentring(book[0]):
            book, levels = recentred(book, levels)
    return np.concatenate(parts)


def assert_equal(events: Array, mid_ticks: int) -> None:
    ours, whole = live_table(events, mid_ticks), book_table(events)
    assert ours.size == whole.size > 0
    for column in COLUMNS:
        np.testing.assert_array_equal(ours[column], whole[column], err_msg=column)


def test_sample() -> None:
    feed = mmlab.load_feed(Path(__file__).parents[2] / "data" / "sample.parquet")
    assert_equal(feed.events[:30_000], feed.instrument.to_ticks(60_000.0))


def test_order_by_order_recording() -> None:
    zips = sorted(shared_data("lobster_2012-06-21").rglob("*AMZN*.zip"))
    feed = mmlab.import_feed(zips[0], format="lobster")
    assert_equal(feed.events[:30_000], int(feed.events["price_ticks"][feed.events["price_ticks"] > 0][0]))


LEVEL = st.tuples(st.sampled_from([1, -1]), st.integers(90, 110), st.integers(0, 3))
MESSAGE = st.one_of(st.lists(LEVEL, min_size=1, max_size=4), st.sampled_from(["gap", "snapshot"]))


def events_of(messages: list[Any]) -> Array:
    rows: list[tuple[int, ...]] = []
    for t, message in enumerate(messages, 1):
        if message == "gap":
            rows.append((t, t, Kind.GAP, 0, 0, 0, t))
        elif message == "snapshot":
            rows += [(t, t, Kind.SNAPSHOT_BEGIN, 0, 0, 0, t), (t, t, Kind.DEPTH, 1, 99, 2, t)]
            rows += [(t, t, Kind.DEPTH, -1, 101, 2, t), (t, t, Kind.SNAPSHOT_END, 0, 0, 0, t)]
        else:
            rows += [(t, t, Kind.DEPTH, side, price, size, t) for side, price, size in message]
    return np.array(rows, EVENT)


@given(st.lists(MESSAGE, min_size=1, max_size=30))
def test_any_messages(messages: list[Any]) -> None:
    events = events_of(messages)
    ours, whole = live_table(events, 100), book_table(events)
    for column in COLUMNS:
        np.testing.assert_array_equal(ours[column], whole[column], err_msg=column)


@pytest.mark.parametrize("drift", [1.003, 0.997])
def test_a_window_that_moves_keeps_the_book(drift: float) -> None:
    prices = (100_000 * drift ** np.arange(900)).astype(np.int64)  # to a fifteenth, or fifteen times as much
    rows: list[tuple[int, ...]] = []
    for t, price in enumerate(prices.tolist(), 1):
        old = int(prices[t - 2]) if t > 1 else price
        rows += [(t, t, Kind.DEPTH, 1, old - 1, 0, t), (t, t, Kind.DEPTH, -1, old + 1, 0, t)]
        rows += [(t, t, Kind.DEPTH, 1, price - 1, 5, t), (t, t, Kind.DEPTH, -1, price + 1, 7, t)]
    table = live_table(np.array(rows, EVENT), 100_000)
    np.testing.assert_array_equal(table["bid_ticks"], prices - 1)
    np.testing.assert_array_equal(table["ask_ticks"], prices + 1)
    assert (table["valid"] == 1).all()


def test_visible_lots() -> None:
    book, levels = new_book(100)
    rows = np.array([(1, 1, 0, 1, 99, 2, 1), (1, 1, 0, 1, 97, 3, 1), (1, 1, 0, -1, 101, 4, 1)], EVENT)
    walk(book, levels, records(rows), records(np.zeros(9, BOOK)), 0)
    assert [visible_lots(book[0], levels, 1, n) for n in (0, 1, 2, 500)] == [2, 2, 5, 5]
    assert [visible_lots(book[0], levels, -1, n) for n in (0, 9)] == [4, 4]
