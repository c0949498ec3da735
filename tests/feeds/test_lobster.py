"""LOBSTER: the tracked orders against the orderbook file, and executions against the rebuilt touch."""

from __future__ import annotations

import io
import zipfile
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from mmlab.errors import FeedError
from mmlab.events import Kind
from mmlab.feeds import import_feed
from tests.conftest import shared_data
from tests.feeds.books import DictBook, check_events, compiled, replay

FOLDER = "lobster_2012-06-21"
NAME = "TEST_2012-06-21_34200000_57600000_{}_{}.csv"
DUMMY = 9_999_999_999


def sample(levels):
    return shared_data(FOLDER) / f"LOBSTER_SampleFile_AMZN_2012-06-21_{levels}.zip"


def read_zip(path):
    """Message and orderbook tables, by pandas."""
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        return [
            pd.read_csv(io.BytesIO(archive.read(next(n for n in names if what in n))), header=None, dtype=dtype)
            for what, dtype in (("message", {0: str}), ("orderbook", None))
        ]


@compiled
@pytest.mark.parametrize("levels", [1, 5])
def test_recording(levels):
    feed = import_feed(sample(levels), format="lobster")
    messages, book = read_zip(sample(levels))
    events = feed.events
    check_events(events)
    assert (feed.instrument.symbol, feed.instrument.tick_size, feed.instrument.lot_size) == ("AMZN", 0.01, 1.0)
    assert events["exch_ns"][0] == pd.Timestamp("2012-06-21 13:30:00.017459617", tz="UTC").value
    assert feed.describe()["crossed_messages"] == 0
    by_type = messages.groupby(1)[3].sum()
    size_of = {kind: events["size_lots"][events["kind"] == kind].sum() for kind in (Kind.EXECUTE, Kind.TRADE)}
    assert size_of == {Kind.EXECUTE: by_type[4], Kind.TRADE: by_type[5]}

    # Every execution at the touch; the best levels as the file has them, at the end of every fifth instant.
    view = book.to_numpy()
    midnight_ns = pd.Timestamp("2012-06-21", tz="America/New_York").value
    time_ns = np.array([midnight_ns + int(Decimal(text) * 10**9) for text in messages[0]])
    ends = iter(np.flatnonzero(np.append(np.diff(time_ns) != 0, True)))
    twin, message, executions, checked = DictBook(), next(ends), 0, 0
    for row in events.tolist():
        while row[0] > time_ns[message]:
            if checked % 5 == 0:
                assert_view(twin, view[message], levels)
            checked += 1
            message = next(ends)
        if row[2] == Kind.EXECUTE:
            assert twin.best(row[3])[0] == row[4]
            executions += 1
        twin.apply(row)
    assert checked > 50_000 if levels == 5 else checked > 20_000
    assert executions >= (messages[1] == 4).sum()


def assert_view(twin, row, levels):
    for side, first in ((1, 2), (-1, 0)):
        seen = [(p // 100, q) for p, q in zip(row[first::4], row[first + 1 :: 4], strict=True) if q]
        assert twin.top(side, levels) == seen


def write(tmp_path, messages, book, levels):
    """A pair of files. A message is (time, type, id, size, price, direction)."""
    paths = []
    for what, rows in (("message", messages), ("orderbook", book)):
        path = tmp_path / NAME.format(what, levels)
        path.write_text("\n".join(",".join(map(str, row)) for row in rows) + "\n")
        paths.append(path)
    return paths


MESSAGES = [
    (34200.000000001, 1, 11, 10, 1000100, -1),
    (34200.5, 1, 12, 20, 1000000, 1),
    (34201.0, 4, 11, 4, 1000100, -1),
    (34202.0, 5, 0, 7, 1000050, 1),
    (34203.0, 3, 12, 20, 1000000, 1),
]
BOOK = [
    (1000100, 10, 999900, 5),
    (1000100, 10, 1000000, 20),
    (1000100, 6, 1000000, 20),
    (1000100, 6, 1000000, 20),
    (1000100, 6, 999900, 3),  # while out of view, 2 of the 5 left
]


def test_small_session(tmp_path):
    feed = import_feed(write(tmp_path, MESSAGES, BOOK, 1), format="lobster")
    rows = [tuple(row)[2:] for row in feed.events.tolist()]
    assert rows == [
        (Kind.SNAPSHOT_BEGIN, 0, 0, 0, 0),
        (Kind.ADD, 1, 9999, 5, -1),
        (Kind.SNAPSHOT_END, 0, 0, 0, 0),
        (Kind.ADD, -1, 10001, 10, 11),
        (Kind.ADD, 1, 10000, 20, 12),
        (Kind.EXECUTE, -1, 10001, 4, 11),
        (Kind.TRADE, -1, 10001, 7, 0),  # between ticks: rounded to where it fills no more than it did
        (Kind.CANCEL, 1, 10000, 20, 12),
        (Kind.CANCEL, 1, 9999, 2, -1),
    ]
    assert feed.events["exch_ns"][3] - feed.events["exch_ns"][4] == -499_999_999
    assert feed.trades()["side"].tolist() == ["buy", "sell"]


def test_orders_the_file_does_not_know(tmp_path):
    messages = [
        (34200.0, 3, 77, 8, 999900, 1),  # older than the file, and gone at once
        (34201.0, 4, 78, 2, 999900, 1),
        (34202.0, 2, 78, 1, 999900, 1),
    ]
    book = [(1000100, 10, 999900, 5), (1000100, 10, 999900, 3), (1000100, 10, 999900, 2)]
    feed = import_feed(write(tmp_path, messages, book, 1), format="lobster")
    events = feed.events[feed.events["kind"] >= Kind.ADD]
    assert events["size_lots"].tolist() == [13, 10, 8, 2, 1]
    assert (events["order_id"] < 0).all()
    assert replay(feed.events).levels == {1: {9999: 2}, -1: {10001: 10}}


def test_halt(tmp_path):
    messages = [
        (34200.0, 1, 11, 10, 1000100, -1),
        (34201.0, 7, 0, 0, -1, -1),
        (34202.0, 7, 0, 0, 0, -1),
        (34203.0, 7, 0, 0, 1, -1),
        (34204.0, 4, 11, 10, 1000100, -1),
    ]
    book = [(1000100, 10, 999900, 7)] * 4 + [(DUMMY, 0, 999900, 7)]
    feed = import_feed(write(tmp_path, messages, book, 1), format="lobster")
    kinds = feed.events["kind"].tolist()
    gap = kinds.index(Kind.GAP)
    assert kinds[gap:] == [
        Kind.GAP, Kind.SNAPSHOT_BEGIN, Kind.ADD, Kind.ADD, Kind.SNAPSHOT_END, Kind.EXECUTE
    ]  # fmt: skip
    assert feed.describe()["gaps"] == 1
    valid = feed.book()["valid"].tolist()
    assert valid[-3:] == [0, 1, 0], "no book in the halt; no ask at the end"
    assert replay(feed.events).levels == {1: {9999: 7}, -1: {}}


def test_auction_trades_are_left_out(tmp_path):
    messages = [*MESSAGES, (34204.0, 6, -1, 100, 1000000, -1)]
    feed = import_feed(write(tmp_path, messages, [*BOOK, BOOK[-1]], 1), format="lobster")
    assert feed.report["auction_trades"] == 1
    assert "auction" in repr(feed.describe())


def test_same_files_zipped(tmp_path):
    paths = write(tmp_path, MESSAGES, BOOK, 1)
    with zipfile.ZipFile(tmp_path / "day.zip", "w") as archive:
        for path in paths:
            archive.write(path, path.name)
        archive.writestr("ReadMe.txt", "hello")
    unzipped, zipped = (import_feed(p, format="lobster") for p in (paths, tmp_path / "day.zip"))
    assert zipped.events.tobytes() == unzipped.events.tobytes()


def replaced(rows, at, row):
    return [*rows[:at], row, *rows[at + 1 :]]


BAD = {
    "unsorted": (replaced(MESSAGES, 2, (34199.0, *MESSAGES[2][1:])), BOOK, "message.*:3: time goes back by 1.5"),
    "NaN price": (replaced(MESSAGES, 1, (34200.5, 1, 12, 20, "NaN", 1)), BOOK, "message.*:2: price 'NaN'"),
    "negative size": (replaced(MESSAGES, 1, (34200.5, 1, 12, -20, 1000000, 1)), BOOK, "message.*:2: size -20"),
    "type": (replaced(MESSAGES, 1, (34200.5, 9, 12, 20, 1000000, 1)), BOOK, "message.*:2: message type 9"),
    "direction": (replaced(MESSAGES, 1, (34200.5, 1, 12, 20, 1000000, 2)), BOOK, "message.*:2: direction 2"),
    "missing column": (replaced(MESSAGES, 1, MESSAGES[1][:5]), BOOK, "message.*:2: is no such table"),
    "crossed": (MESSAGES, replaced(BOOK, 3, (999800, 6, 1000000, 20)), "orderbook.*:4: crossed snapshot"),
    "not a pair": (MESSAGES, BOOK[:-1], "orderbook.*not a pair"),
    "disagree": (replaced(MESSAGES, 2, (34201.0, 4, 11, 400, 1000100, -1)), BOOK, "message.*:3: 400 leave .* disagree"),
    "book columns": (MESSAGES, [row[:3] for row in BOOK], "orderbook.*3 columns"),
    "empty messages": ([], BOOK, "message.*empty"),
    "empty book": (MESSAGES, [], "orderbook.*empty"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input(tmp_path, name):
    messages, book, text = BAD[name]
    with pytest.raises(FeedError, match=text):
        import_feed(write(tmp_path, messages, book, 1), format="lobster")


def test_bad_files(tmp_path):
    paths = write(tmp_path, MESSAGES, BOOK, 1)
    with pytest.raises(FeedError, match="no orderbook file"):
        import_feed(paths[0], format="lobster")
    with pytest.raises(FeedError, match="second message file"):
        import_feed([*paths, paths[0]], format="lobster")
    (tmp_path / "x.zip").write_bytes(b"PK no zip")
    with pytest.raises(FeedError, match="no zip file"):
        import_feed(tmp_path / "x.zip", format="lobster")
    plain = [path.rename(tmp_path / f"{what}.csv") for path, what in zip(paths, ("message", "orderbook"), strict=True)]
    with pytest.raises(FeedError, match="give date="):
        import_feed(plain, format="lobster")
    assert len(import_feed(plain, format="lobster", date="2012-06-21", symbol="T")) > 0
    with pytest.raises(FeedError, match="time zone"):
        import_feed(plain, format="lobster", date="2012-06-21", timezone="Mars/Olympus")
