"""Tardis CSV: snapshots, resets, days as files, trades; bad files."""

from __future__ import annotations

import gzip

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmlab.errors import FeedError
from mmlab.events import Kind
from mmlab.feeds import import_feed
from mmlab.instrument import Instrument
from tests.feeds.books import check_events, replay

T0_US = 1_585_699_200_000_000
BOOK_HEADER = "exchange,symbol,timestamp,local_timestamp,is_snapshot,side,price,amount"
TRADE_HEADER = "exchange,symbol,timestamp,local_timestamp,id,side,price,amount"


def level(ms, snapshot, side, price, amount, *, latency_us=2500, symbol="XBTUSD"):
    us = T0_US + 1000 * ms
    return f"bitmex,{symbol},{us},{us + latency_us},{str(snapshot).lower()},{side},{price},{amount}"


def trade(ms, match, side, price, amount, *, latency_us=2500):
    us = T0_US + 1000 * ms
    return f"bitmex,XBTUSD,{us},{us + latency_us},{match},{side},{price},{amount}"


def write(tmp_path, header, rows, name):
    path = tmp_path / name
    path.write_bytes(gzip.compress("\n".join([header, *rows, ""]).encode()))
    return path


SNAPSHOT = [
    level(0, True, "bid", 100, 5), level(0, True, "bid", 99.5, 8),
    level(0, True, "ask", 100.5, 6), level(0, True, "ask", 101, 9),
]  # fmt: skip
BOOK = [*SNAPSHOT, level(10, False, "bid", 100, 7), level(10, False, "ask", 100.5, 0), level(20, False, "bid", 99, 4)]
TRADES = [
    trade(5, "b7", "buy", 100.5, 2),
    trade(15, "b8", "sell", 100, 3),
    trade(15, "b8", "sell", 100, 3),
    trade(16, "b9", "unknown", 100, 1),
]


def kinds(feed):
    return feed.events["kind"].tolist()


def test_small_recording(tmp_path):
    paths = [write(tmp_path, TRADE_HEADER, TRADES, "trades.csv.gz"), write(tmp_path, BOOK_HEADER, BOOK, "book.csv.gz")]
    feed = import_feed(paths, format="tardis")
    check_events(feed.events)
    assert kinds(feed) == [
        Kind.SNAPSHOT_BEGIN, *[Kind.DEPTH] * 4, Kind.SNAPSHOT_END, Kind.TRADE, Kind.DEPTH, Kind.DEPTH,
        Kind.TRADE, Kind.DEPTH,
    ]  # fmt: skip
    assert (feed.instrument.symbol, feed.instrument.tick_size, feed.instrument.lot_size) == ("XBTUSD", 0.5, 1.0)
    assert replay(feed.events).levels == {1: {200: 7, 199: 8, 198: 4}, -1: {202: 9}}
    assert len(feed.trades()) == 2
    assert feed.describe()["duplicates"] == 1
    assert feed.report["trades_of_unknown_side"] == 1
    assert feed.describe()["clock_skew_s"] == 0.0025
    assert feed.source == "bitmex, Tardis"


def test_reset_is_a_gap_and_a_new_day_is_not(tmp_path):
    again = [level(30, True, "bid", 98, 1), level(30, True, "ask", 98.5, 2)]
    one = import_feed(write(tmp_path, BOOK_HEADER, [*BOOK, *again], "book.csv.gz"), format="tardis")
    assert kinds(one)[-5:] == [Kind.GAP, Kind.SNAPSHOT_BEGIN, Kind.DEPTH, Kind.DEPTH, Kind.SNAPSHOT_END]
    assert one.describe()["gaps"] == one.report["resets"] == 1
    days = [write(tmp_path, BOOK_HEADER, again, "2.csv.gz"), write(tmp_path, BOOK_HEADER, BOOK, "1.csv.gz")]
    two = import_feed(days, format="tardis")
    assert two.describe()["gaps"] == 0
    for feed in (one, two):
        check_events(feed.events)
        assert replay(feed.events).levels == {1: {196: 1}, -1: {197: 2}}


def test_rows_before_the_first_snapshot_are_left_out(tmp_path):
    rows = [level(-5, False, "bid", 90, 5), *BOOK]
    feed = import_feed(write(tmp_path, BOOK_HEADER, rows, "b.csv.gz"), format="tardis")
    assert feed.report["rows_before_snapshot"] == 1
    assert kinds(feed)[0] == Kind.SNAPSHOT_BEGIN


def test_symbols(tmp_path):
    others = [level(0, True, "bid", 200, 5, symbol="ETHUSD")]
    path = write(tmp_path, BOOK_HEADER, [*BOOK, *others], "b.csv.gz")
    with pytest.raises(FeedError, match="local_timestamp goes back"):
        import_feed(write(tmp_path, BOOK_HEADER, [*BOOK, level(0, True, "bid", 200, 5)], "c.csv.gz"), format="tardis")
    assert import_feed(path, format="tardis").instrument.symbol == "XBTUSD"
    assert import_feed(path, format="tardis", symbol="ETHUSD").events.size == 3
    assert import_feed(path, format="tardis", instrument=Instrument("ETHUSD", 0.5, 1.0)).events.size == 3


@given(st.data())
@settings(max_examples=30)
def test_any_stream_is_rebuilt(tmp_path_factory, data):
    draw = data.draw
    rows, ms, truth = list(SNAPSHOT), 0, {1: {200: 5, 199: 8}, -1: {201: 6, 202: 9}}
    for _ in range(draw(st.integers(0, 20))):
        ms += draw(st.integers(0, 3))
        reset = draw(st.integers(0, 9)) == 0
        if reset:
            ms += 1
            truth = {1: {}, -1: {}}
        for side, ticks, drawn in draw(
            st.lists(st.tuples(st.sampled_from((1, -1)), st.integers(1, 9), st.integers(0, 5)), min_size=1, max_size=4)
        ):
            lots = drawn + reset  # a snapshot shows no empty level
            at = 200 - ticks if side > 0 else 201 + ticks
            rows.append(level(ms, reset, "bid" if side > 0 else "ask", at / 2, lots))
            truth[side].pop(at, None)
            if lots:
                truth[side][at] = lots
        ms += reset
    path = write(tmp_path_factory.mktemp("tardis"), BOOK_HEADER, rows, "b.csv.gz")
    feed = import_feed(path, format="tardis", instrument=Instrument("XBTUSD", 0.5, 1.0))
    check_events(feed.events)
    assert replay(feed.events).levels == truth


BAD = {
    "unsorted": ([*BOOK[:5], BOOK[-1], BOOK[5]], r"b\.csv\.gz:8: local_timestamp goes back by 0\.01"),
    "NaN price": ([*BOOK[:5], level(10, False, "bid", "nan", 1)], r":7: price 'nan'"),
    "negative": ([*BOOK[:5], level(10, False, "bid", 100, -1)], r":7: size -1"),
    "side": ([*BOOK[:5], level(10, False, "left", 100, 1)], r":7: side 'left'"),
    "crossed": ([level(0, True, "bid", 101, 1), *SNAPSHOT], r":2: crossed snapshot: best bid 101"),
    "no snapshot": (BOOK[4:], r":2: no snapshot rows"),
    "missing": ([*BOOK[:5], BOOK[5].rpartition(",")[0]], r":7: is no such table"),
    "empty": ([], "no rows"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input(tmp_path, name):
    rows, text = BAD[name]
    with pytest.raises(FeedError, match=text):
        import_feed(write(tmp_path, BOOK_HEADER, rows, "b.csv.gz"), format="tardis")


def test_bad_files(tmp_path):
    trades = write(tmp_path, TRADE_HEADER, TRADES, "t.csv.gz")
    with pytest.raises(FeedError, match="no incremental_book_L2"):
        import_feed(trades, format="tardis")
    with pytest.raises(FeedError, match=r"misses the columns \['amount'\]"):
        import_feed(write(tmp_path, BOOK_HEADER.replace("amount", "size"), BOOK, "b.csv.gz"), format="tardis")
