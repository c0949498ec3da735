"""hftbacktest's event arrays, in both directions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmlab.errors import FeedError
from mmlab.events import EVENT, Kind
from mmlab.feeds import Feed, import_feed, to_hftbacktest
from mmlab.feeds.hftbacktest_npz import (
    ADD,
    BUY,
    CANCEL,
    CLEAR,
    DEPTH,
    EXCH,
    FILL,
    HFT_EVENT,
    LOCAL,
    MODIFY,
    SELL,
    SNAPSHOT,
    TRADE,
    in_both_orders,
)  # fmt: skip
from mmlab.instrument import Instrument
from tests.feeds.books import check_events, compiled, replay
from tests.feeds.test_hftbacktest_raw import paths_of, write_stream

T0 = 1_700_000_000_000_000_000
BOTH = EXCH | LOCAL
COMMON = ("exch_ns", "local_ns", "kind", "side", "price_ticks", "size_lots")


def rows_of(*rows):
    """Rows (flags, exchange ms, local ms, price, size, order id)."""
    data = np.zeros(len(rows), HFT_EVENT)
    for row, (ev, exch, local, px, qty, order) in zip(data, rows, strict=True):
        row["ev"], row["exch_ts"], row["local_ts"] = ev, T0 + exch * 10**6, T0 + local * 10**6
        row["px"], row["qty"], row["order_id"] = px, qty, order
    return data


def save(tmp_path, data, name="x.npz"):
    path = tmp_path / name
    if name.endswith(".npz"):
        np.savez_compressed(path, data=data)
    else:
        np.save(path, data)
    return path


@compiled
@pytest.mark.parametrize("name", ["x.npz", "x.npy"])
def test_there_and_back(tmp_path, name):
    feed = import_feed(paths_of("usdm_july"))
    back = import_feed(save(tmp_path, to_hftbacktest(feed), name), instrument=feed.instrument)
    check_events(back.events)
    for column in COMMON:
        assert (back.events[column] == feed.events[column]).all()
    assert back.describe()["tick_size"] == 0.1


@given(st.integers(0, 10**6), st.booleans())
@settings(max_examples=20)
def test_any_feed_there_and_back(tmp_path_factory, seed, futures):
    folder = tmp_path_factory.mktemp("npz")
    feed = import_feed(write_stream(seed, futures=futures)[1].save(folder / "a.gz"))
    back = import_feed(save(folder, to_hftbacktest(feed)), instrument=feed.instrument)
    for column in COMMON:
        assert (back.events[column] == feed.events[column]).all()


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 10)), max_size=40))
def test_rows_are_in_order_for_both(times):
    data = np.zeros(len(times), HFT_EVENT)
    data["local_ts"] = np.cumsum([step for _, step in times]) if times else 0
    data["exch_ts"] = [exch for exch, _ in times]
    data["order_id"] = np.arange(len(times))
    out = in_both_orders(data)
    for flag, column in ((EXCH, "exch_ts"), (LOCAL, "local_ts")):
        mine = out[(out["ev"] & flag) != 0]
        assert (np.diff(mine[column]) >= 0).all()
        assert sorted(mine["order_id"].tolist()) == list(range(len(times)))
    local = out[(out["ev"] & LOCAL) != 0]
    assert local["order_id"].tolist() == list(range(len(times))), "ties keep their order"


def test_rows_of_a_small_feed():
    events = np.zeros(6, EVENT)
    events["kind"] = [Kind.SNAPSHOT_BEGIN, Kind.DEPTH, Kind.SNAPSHOT_END, Kind.MARK, Kind.TRADE, Kind.DEPTH]
    events["side"] = [0, 1, 0, 0, -1, 1]
    events["price_ticks"] = [0, 200, 0, 201, 200, 200]
    events["size_lots"] = [0, 10, 0, 0, 3, 7]
    events["exch_ns"], events["local_ns"] = T0 + np.array([0, 0, 0, 1, 3, 2]), T0 + np.array([5, 5, 5, 6, 7, 8])
    out = to_hftbacktest(Feed(Instrument("X", 0.5, 0.1), events))
    assert out["ev"].tolist() == [
        CLEAR | BUY | BOTH, CLEAR | SELL | BOTH, SNAPSHOT | BUY | BOTH, DEPTH | BUY | EXCH, TRADE | SELL | EXCH,
        TRADE | SELL | LOCAL, DEPTH | BUY | LOCAL,
    ]  # fmt: skip
    assert np.isnan(out["px"][:2]).all()
    np.testing.assert_allclose(out["px"][2:], 100.0)
    np.testing.assert_allclose(out["qty"][3:], [0.7, 0.3, 0.3, 0.7])


def test_order_feeds_are_not_exported():
    events = np.zeros(1, EVENT)
    events["kind"] = Kind.ADD
    with pytest.raises(FeedError, match="order-by-order"):
        to_hftbacktest(Feed(Instrument("X", 0.5, 0.1), events))


def test_snapshots_without_clear_and_with(tmp_path):
    data = rows_of(
        (SNAPSHOT | BUY | BOTH, 0, 1, 100.0, 2, 0), (SNAPSHOT | SELL | BOTH, 0, 1, 100.5, 3, 0),  # opens the file
        (DEPTH | BUY | BOTH, 1, 2, 99.5, 4, 0), (DEPTH | SELL | BOTH, 1, 2, 101.0, 5, 0),
        (SNAPSHOT | BUY | BOTH, 2, 3, 99.0, 7, 0),  # amid the file, nothing cleared: levels like others
        (TRADE | BUY | BOTH, 3, 4, 100.5, 1, 0),
        (CLEAR | BUY | BOTH, 4, 5, 99.5, 0, 0), (SNAPSHOT | BUY | BOTH, 4, 5, 98.0, 1, 0),
        (CLEAR | SELL | BOTH, 4, 5, 101.0, 0, 0), (SNAPSHOT | SELL | BOTH, 4, 5, 98.5, 2, 0),
        (101, 5, 6, 0.0, 0, 0),
    )  # fmt: skip
    feed = import_feed(save(tmp_path, data))
    check_events(feed.events)
    B, E, D, T = Kind.SNAPSHOT_BEGIN, Kind.SNAPSHOT_END, Kind.DEPTH, Kind.TRADE
    assert feed.events["kind"].tolist() == [B, D, D, E, D, D, D, T, B, D, D, E]
    assert replay(feed.events).levels == {1: {196: 1}, -1: {197: 2}}
    assert feed.report["ignored"] == 1
    assert len(set(feed.events["order_id"][4:7].tolist())) == 2


def test_orders(tmp_path):
    rows = [
        (CLEAR | BOTH, 0, 0, np.nan, 0, 0),
        (ADD | BUY | BOTH, 1, 1, 100.0, 5, 1), (ADD | SELL | BOTH, 2, 2, 100.5, 6, 2),
        (ADD | BUY | BOTH, 3, 3, 99.5, 7, 3),
        (MODIFY | BUY | BOTH, 4, 4, 100.0, 3, 1),  # keeps its place
        (TRADE | SELL | BOTH, 5, 5, 100.0, 3, 0), (FILL | BUY | BOTH, 5, 5, 100.0, 3, 1),
        (CANCEL | BUY | BOTH, 5, 5, 100.0, 3, 1),
        (MODIFY | SELL | BOTH, 6, 6, 101.0, 6, 2),  # a new place
        (CANCEL | BUY | BOTH, 7, 7, 99.5, 7, 3),
    ]  # fmt: skip
    feed = import_feed(save(tmp_path, rows_of(*rows)))
    check_events(feed.events)
    assert [row[2:] for row in feed.events.tolist()] == [
        (Kind.SNAPSHOT_BEGIN, 0, 0, 0, 0), (Kind.SNAPSHOT_END, 0, 0, 0, 0),
        (Kind.ADD, 1, 200, 5, 1), (Kind.ADD, -1, 201, 6, 2), (Kind.ADD, 1, 199, 7, 3),
        (Kind.CANCEL, 1, 200, 2, 1), (Kind.EXECUTE, 1, 200, 3, 1),
        (Kind.CANCEL, -1, 201, 6, 2), (Kind.ADD, -1, 202, 6, 2), (Kind.CANCEL, 1, 199, 7, 3),
    ]  # fmt: skip
    assert feed.trades()["side"].tolist() == ["sell"]
    assert replay(feed.events).orders == {2: 6}
    assert replay(feed[T0 + 6_500_000 :].events).levels == {1: {}, -1: {202: 6}}
    for wrong, text in (
        ((CANCEL | BUY | BOTH, 8, 8, 99.5, 7, 9), "order 9 was never added"),
        ((DEPTH | BUY | BOTH, 8, 8, 99.5, 7, 9), "mixed"),
    ):
        with pytest.raises(FeedError, match=rf"x\.npz:11: .*{text}"):
            import_feed(save(tmp_path, rows_of(*rows, wrong)))


GOOD = [
    (DEPTH | BUY | BOTH, 1, 2, 100.0, 2, 0),
    (DEPTH | SELL | BOTH, 1, 2, 100.5, 3, 0),
    (TRADE | BUY | BOTH, 3, 4, 100.5, 1, 0),
]
BAD = {
    "unsorted": ((DEPTH | BUY | BOTH, 1, 1, 100.0, 2, 0), "local_ts goes back"),
    "NaN": ((DEPTH | BUY | BOTH, 5, 5, np.nan, 2, 0), "price nan is not a number"),
    "negative": ((DEPTH | BUY | BOTH, 5, 5, 100.0, -2, 0), "size -2"),
    "no side": ((TRADE | BOTH, 5, 5, 100.0, 2, 0), "neither buy nor sell"),
    "one side cleared": ((CLEAR | BUY | BOTH, 5, 5, 100.0, 0, 0), "one side of the book is cleared alone"),
    "absurd time": ((DEPTH | BUY | BOTH, -1_700_000_000_000, 5, 100.0, 2, 0), "absurd"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_rows(tmp_path, name):
    row, text = BAD[name]
    with pytest.raises(FeedError, match=rf"x\.npz:4: .*{text}"):
        import_feed(save(tmp_path, rows_of(*GOOD, row)))


def test_bad_files(tmp_path):
    good = save(tmp_path, rows_of(*GOOD))
    (tmp_path / "cut.npz").write_bytes(good.read_bytes()[:-40])
    np.savez(tmp_path / "two.npz", a=np.zeros(1), b=np.zeros(1))
    np.savez(tmp_path / "other.npz", data=np.zeros(3))
    np.savez(tmp_path / "empty.npz", data=np.zeros(0, HFT_EVENT))
    for name, text in (
        ("cut.npz", "no whole .npz"), ("two.npz", "no array 'data'"), ("other.npz", "no hftbacktest event array"),
        ("empty.npz", "empty"),
    ):  # fmt: skip
        with pytest.raises(FeedError, match=text) as caught:
            import_feed(tmp_path / name)
        assert caught.value.path == tmp_path / name
    write_stream(1, futures=True)[1].save(tmp_path / "raw.gz")
    with pytest.raises(FeedError, match="cannot be one recording"):
        import_feed([good, tmp_path / "raw.gz"])


def test_several_files_are_one_recording(tmp_path):
    late = rows_of((DEPTH | BUY | BOTH, 9, 9, 99.0, 1, 0))
    paths = [save(tmp_path, late, "b.npz"), save(tmp_path, rows_of(*GOOD), "a.npz")]
    assert import_feed(paths).events["price_ticks"].tolist() == [200, 201, 201, 198]
