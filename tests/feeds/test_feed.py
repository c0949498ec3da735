"""`Feed`: tables, slices, description."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmlab.errors import FeedError
from mmlab.events import BOOK, EVENT, Kind
from mmlab.feeds import Feed, import_feed
from mmlab.feeds.feed import to_ns
from mmlab.feeds.importers import FORMATS
from mmlab.instrument import Instrument
from tests.conftest import shared_data
from tests.feeds.books import check_events, compiled, message_ends, replay
from tests.feeds.test_hftbacktest_raw import write_stream

INSTRUMENT = Instrument("TEST", tick_size=0.5, lot_size=0.1)
T0 = 1_700_000_000_000_000_000
LOBSTER = "LOBSTER_SampleFile_AMZN_2012-06-21_1.zip"


def events_of(*rows):
    """Rows (kind, side, price, size, order id), one ms apart unless the id repeats."""
    events = np.zeros(len(rows), EVENT)
    for name, column in zip(
        ("kind", "side", "price_ticks", "size_lots", "order_id"), zip(*rows, strict=True), strict=True
    ):
        events[name] = column
    events["exch_ns"] = T0 + 1_000_000 * np.array([row[4] for row in rows])
    events["local_ns"] = events["exch_ns"] + 500
    return events


@pytest.fixture(scope="module")
def feed(tmp_path_factory):
    _, write = write_stream(21, futures=True, after=200)
    return import_feed(write.save(tmp_path_factory.mktemp("feed") / "a.gz"))


def test_quotes():
    feed = Feed(
        INSTRUMENT,
        events_of(
            (Kind.SNAPSHOT_BEGIN, 0, 0, 0, 1), (Kind.DEPTH, 1, 199, 10, 1), (Kind.DEPTH, -1, 201, 30, 1),
            (Kind.SNAPSHOT_END, 0, 0, 0, 1), (Kind.TRADE, 1, 201, 5, 2), (Kind.DEPTH, -1, 201, 25, 3),
            (Kind.DEPTH, 1, 150, 7, 4), (Kind.DEPTH, -1, 199, 1, 5), (Kind.DEPTH, -1, 199, 0, 6),
            (Kind.GAP, 0, 0, 0, 7),
        ),
    )  # fmt: skip
    quotes = feed.quotes()
    assert list(quotes.columns) == ["bid", "ask", "bid_size", "ask_size", "mid", "micro"]
    assert str(quotes.index.dtype) == "datetime64[ns, UTC]"
    ms = ((quotes.index.astype(np.int64) - T0) // 1_000_000).tolist()
    last_rows = quotes[~quotes.index.duplicated(keep="last")]
    assert ms[-5:] == [1, 3, 5, 6, 7]  # row 4 is far from the best quotes
    assert last_rows["bid"].tolist() == [99.5] * 5
    assert last_rows["ask"].tolist() == [100.5, 100.5, 99.5, 100.5, 100.5]
    assert last_rows["ask_size"].tolist() == pytest.approx([3.0, 2.5, 0.1, 2.5, 2.5])
    np.testing.assert_allclose(last_rows["mid"], [100, 100, np.nan, 100, np.nan])
    np.testing.assert_allclose(last_rows["micro"].iloc[0], (99.5 * 3.0 + 100.5 * 1.0) / 4.0)
    assert (feed.quotes("local").index - quotes.index == pd.Timedelta(500, "ns")).all()
    assert feed.describe()["crossed_messages"] == 1


def test_trades():
    feed = Feed(
        INSTRUMENT,
        events_of(
            (Kind.TRADE, 1, 201, 5, 1), (Kind.TRADE, -1, 199, 3, 2),
            (Kind.ADD, 1, 199, 4, 3), (Kind.EXECUTE, 1, 199, 4, 4),
        ),
    )  # fmt: skip
    trades = feed.trades()
    assert trades["side"].tolist() == ["buy", "sell", "sell"]
    assert trades["price"].tolist() == [100.5, 99.5, 99.5]
    np.testing.assert_allclose(trades["size"], [0.5, 0.3, 0.4])
    assert feed.describe()["notional_quote"] == pytest.approx(100.5 * 0.5 + 99.5 * 0.7)


def test_wrong_clock(feed):
    with pytest.raises(ValueError, match="'exchange' or 'local'"):
        feed.quotes("venue")


def test_book_is_worked_out_once(feed):
    assert feed.book() is feed.book()
    assert feed.book().dtype == BOOK


def test_events_are_of_the_one_dtype(feed):
    assert feed.events.dtype is EVENT
    assert feed["2024-08-08 23:54:15":].events.dtype is EVENT


def test_wrong_events():
    with pytest.raises(FeedError, match="dtype"):
        Feed(INSTRUMENT, np.zeros(3))
    with pytest.raises(FeedError, match="event 1 has an earlier local_ns"):
        Feed(INSTRUMENT, events_of((Kind.TRADE, 1, 201, 5, 2), (Kind.TRADE, 1, 201, 5, 1)))


@given(st.floats(0, 1), st.floats(0, 1))
@settings(max_examples=50)
def test_a_slice_keeps_the_book(feed, a, b):
    first, last = (int(feed.events["local_ns"][i]) for i in (0, -1))
    t0, t1 = sorted(first + round(share * (last - first + 2)) for share in (a, b))
    part = feed[t0:t1]
    check_events(part.events)
    inside = feed.events[(feed.events["local_ns"] >= t0) & (feed.events["local_ns"] < t1)]
    assert np.array_equal(part.events[part.events.size - inside.size :], inside)
    whole, cut = replay(feed.events[feed.events["local_ns"] < t1]), replay(part.events)
    assert cut.levels == whole.levels
    if t0 > first:
        assert part.events["local_ns"][0] == t0


@compiled
@pytest.mark.parametrize("at", [0.1, 0.5, 0.9])
def test_a_slice_of_orders_keeps_the_orders(at):
    feed = import_feed(shared_data("lobster_2012-06-21") / LOBSTER, format="lobster")
    events = feed.events[:20_000]
    feed = Feed(feed.instrument, events)
    t0 = int(events["local_ns"][int(at * events.size)])
    whole, cut = replay(events), replay(feed[t0:].events)
    assert cut.orders == whole.orders
    assert cut.levels == whole.levels
    before = replay(feed[t0:t0].events)
    assert [o for o in before.orders if o in whole.orders] == [
        o for o in replay(events[events["local_ns"] < t0]).orders if o in whole.orders
    ]


def test_a_slice_inside_a_gap_starts_with_it():
    feed = Feed(
        INSTRUMENT,
        events_of(
            (Kind.SNAPSHOT_BEGIN, 0, 0, 0, 1), (Kind.DEPTH, 1, 199, 10, 1), (Kind.SNAPSHOT_END, 0, 0, 0, 1),
            (Kind.GAP, 0, 0, 0, 3), (Kind.TRADE, 1, 201, 5, 5),
        ),
    )  # fmt: skip
    part = feed[T0 + 4_000_000 :]
    assert part.events["kind"].tolist() == [Kind.GAP, Kind.TRADE]
    assert part.events["local_ns"][0] == T0 + 4_000_000


def test_slice_bounds(feed):
    start, end = feed.events["local_ns"][[0, -1]]
    assert feed[:].events.tobytes() == feed.events.tobytes()
    assert len(feed[int(end) + 1 :]) > 2, "only the snapshot is left"
    assert len(feed[: int(start)]) == 0
    stamp = pd.Timestamp(int(start) + 50_000_000, tz="UTC")
    by_stamp, by_text, by_zone = feed[stamp:], feed[str(stamp) :], feed[stamp.tz_convert("Asia/Tokyo") :]
    assert by_stamp.events.tobytes() == by_text.events.tobytes() == by_zone.events.tobytes()
    for wrong in (3, slice(None, None, 2)):
        with pytest.raises(TypeError, match="sliced by time"):
            feed[wrong]
    with pytest.raises(FeedError, match="not a time"):
        feed["soon":]


def test_to_ns():
    assert to_ns("2024-08-08 23:55") == pd.Timestamp("2024-08-08 23:55", tz="UTC").value
    assert to_ns(pd.Timestamp("2024-01-01 01:00", tz="Europe/Berlin")) == to_ns("2024-01-01")
    assert to_ns(np.datetime64("2024-01-01")) == to_ns("2024-01-01")
    assert to_ns(17) == 17


def test_describe(feed):
    description = feed.describe()
    text, page = repr(feed), description._repr_html_()
    assert "TESTUSDT" in text
    assert "recorded" in text
    assert "<table>" in page
    assert page == feed._repr_html_()
    for key in ("median_book_interval_ms", "feed_latency_p99_ms", "tick_size", "gaps", "clock_skew_s"):
        assert key in page
        assert key in repr(description)
        assert description.to_series()[key] == description[key] or np.isnan(description[key])
    assert description["rows"]["SNAPSHOT_BEGIN"] == 1
    assert sum(description["rows"].values()) == len(feed)
    ends = message_ends(feed.events) & np.isin(feed.events["kind"], (Kind.DEPTH, Kind.SNAPSHOT_END))
    assert description["book_messages"] == ends.sum()
    assert description["median_book_interval_ms"] == np.median(np.diff(feed.events["exch_ns"][ends])) / 1e6


def test_empty_feed():
    feed = Feed(INSTRUMENT, np.zeros(0, EVENT))
    assert len(feed) == len(feed.quotes()) == len(feed.trades()) == 0
    assert "empty" in repr(feed)
    assert feed.describe()["events"] == 0


def test_import_of_the_package_is_light():
    assert set(FORMATS) == {"hftbacktest", "bitmex", "lobster", "lighter", "tardis", "snapshots"}
