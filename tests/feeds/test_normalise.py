"""The shared pipeline: absurd values, order of rows, clocks; and any damage to any format is a FeedError."""

from __future__ import annotations

from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmlab.errors import FeedError, MMLabError
from mmlab.events import EVENT, Kind
from mmlab.feeds import import_feed
from mmlab.feeds.normalise import merge
from tests.feeds import test_bitmex, test_hftbacktest_npz, test_lighter, test_lobster, test_snapshots, test_tardis
from tests.feeds.binance import Exchange, Writer
from tests.feeds.test_hftbacktest_raw import write_stream


@given(st.lists(st.integers(0, 9)), st.lists(st.integers(0, 9)))
def test_merge(a, b):
    first, second = (np.zeros(len(times), EVENT) for times in (a, b))
    first["local_ns"], second["local_ns"] = sorted(a), sorted(b)
    second["kind"] = 1
    rows = [(row[1], row[2]) for row in merge(first, second).tolist()]
    assert rows == sorted([(t, 0) for t in a] + [(t, 1) for t in b])


def session(tmp_path, *trades):
    exchange, write = Exchange(12), Writer()
    write(exchange.snapshot())
    write(exchange.diff())
    for changes in trades:
        write(exchange.trade(**changes))
    return write.save(tmp_path / "a.gz")


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"p": "20000.00"}, ":6: trade at 20000 is absurd: more than 100 times off"),
        ({"p": "0.5"}, ":6: trade at 0.5 is absurd"),
        ({"p": "100.000000001"}, ":6: price 100.000000001 is absurd: the book would span"),
        ({"q": "0"}, ":6: size 0 must be > 0"),
        ({"p": "0"}, ":6: price 0 must be > 0"),
        ({"q": "1e-19"}, ":6: size '1e-19' is absurd"),
    ],
)
def test_absurd_trades(tmp_path, changes, text):
    with pytest.raises(FeedError, match=rf"a\.gz{text}"):
        import_feed(session(tmp_path, {}, {}, {}, changes))


def test_absurd_level_without_trades(tmp_path):
    exchange, write = Exchange(13), Writer()
    exchange.levels[-1][10**13] = 1
    write(exchange.snapshot())
    with pytest.raises(FeedError, match=r"a\.gz:1: price 100000000000 is absurd"):
        import_feed(write.save(tmp_path / "a.gz"))


def test_far_orders_are_no_error_where_there_are_trades(tmp_path):
    exchange, write = Exchange(14), Writer()
    exchange.levels[-1][10**13] = 1
    write(exchange.snapshot())
    write(exchange.trade())
    assert import_feed(write.save(tmp_path / "a.gz")).quotes()["ask"].iloc[-1] == pytest.approx(100.01)


def test_one_constant_is_added_to_the_local_clock(tmp_path):
    exchange, write = Exchange(15), Writer(start_ns=1_723_161_250 * 10**9)  # five seconds behind
    write(exchange.snapshot())
    for _ in range(20):
        write(exchange.diff())
        write(exchange.trade())
    feed = import_feed(write.save(tmp_path / "a.gz"))
    known = feed.events[feed.events["kind"] == Kind.TRADE]
    received = np.array([int(line.split()[0]) for line in write.lines if "@trade" in line])
    shift = known["local_ns"] - received
    assert (shift == feed.report["shift_ns"]).all()
    assert shift[0] == -feed.report["skew_ns"] > 5e9
    assert feed.describe()["clock_correction_s"] == shift[0] / 1e9
    assert "clock ran behind" in repr(feed.describe())


FLAT, NESTED = (
    test_snapshots.flat_table(test_snapshots.SHOWN, room=2),
    test_snapshots.nested_table(test_snapshots.SHOWN),
)


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    """A small recording of every format: format -> files."""
    folder = tmp_path_factory.mktemp("originals")
    tables = [test_snapshots.save(folder, table, f"{name}.csv") for name, table in (
        ("flat", FLAT), ("nested", NESTED), ("trades", test_snapshots.TRADES)
    )]  # fmt: skip
    tardis = [
        test_tardis.write(folder, test_tardis.BOOK_HEADER, test_tardis.BOOK, "book.csv.gz"),
        test_tardis.write(folder, test_tardis.TRADE_HEADER, test_tardis.TRADES, "prints.csv.gz"),
    ]
    bitmex = test_bitmex.write(
        folder, [test_bitmex.book_row(1), test_bitmex.book_row(2, bid=99)], [test_bitmex.trade_row(1)]
    )
    array = test_hftbacktest_npz.save(folder, test_hftbacktest_npz.rows_of(*test_hftbacktest_npz.GOOD), "x.npy")
    raw = folder / "raw.txt"
    raw.write_text("\n".join(write_stream(1, futures=True, after=15)[1].lines))
    return [
        ("snapshots", tables[::2]), ("snapshots", tables[1:]), ("tardis", tardis), ("bitmex", bitmex),
        ("lobster", test_lobster.write(folder, test_lobster.MESSAGES, test_lobster.BOOK, 1)),
        ("lighter", [test_lighter.write(folder, test_lighter.FRAMES)]),
        ("hftbacktest", [array]), ("hftbacktest", [raw]),
        ("snapshots", [test_snapshots.save(folder, NESTED, "book.parquet")]),
    ]  # fmt: skip


@st.composite
def damages(draw):
    """A change of a file's bytes, as a function."""
    kind, at = draw(st.sampled_from(["replace", "delete", "insert", "cut", "swap", "repeat"])), draw(st.floats(0, 1))
    text, other = draw(st.text('0123456789.-",{}[]:naefx\n\0', min_size=1, max_size=9)).encode(), draw(st.floats(0, 1))

    def damage(data):
        i = int(at * (len(data) - 1))
        lines = data.split(b"\n")
        a, b = (int(share * (len(lines) - 1)) for share in (at, other))
        if kind == "swap":
            lines[a], lines[b] = lines[b], lines[a]
        elif kind == "repeat":
            lines.insert(b, lines[a])
        else:
            return {
                "replace": data[:i] + text + data[i + len(text) :],
                "delete": data[:i] + data[i + len(text) :],
                "insert": data[:i] + text + data[i:],
                "cut": data[:i],
            }[kind]
        return b"\n".join(lines)

    return damage


@given(st.integers(0, 8), st.integers(0, 1), damages())
@settings(max_examples=300)
def test_damaged_files(tmp_path_factory, originals, which, part, damage):
    format_, files = originals[which]
    folder = tmp_path_factory.mktemp("damaged")
    paths = [folder / file.name for file in files]
    for i, (path, file) in enumerate(zip(paths, files, strict=True)):
        data = file.read_bytes()
        path.write_bytes(damage(data) if i == part % len(files) else data)
    with suppress(MMLabError):
        assert len(import_feed(paths, format=format_).describe()) > 10
    assert sorted(folder.iterdir()) == sorted(paths)
