"""Recorded Lighter frames: continuity by nonce, trades, marks; and bad lines."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmlab.errors import FeedError
from mmlab.events import Kind
from mmlab.feeds import import_feed
from mmlab.wire import lighter as wire
from tests.feeds.books import check_events, replay

T0_MS = 1_757_000_000_000
MARKET = 1


def book(ms, nonce, begin, bids=(), asks=(), *, full=False, market=MARKET):
    side = [[{"price": f"{p / 10:.1f}", "size": f"{q / 1000:.4f}"} for p, q in levels] for levels in (bids, asks)]
    us = (T0_MS + ms) * 1000
    return {
        "channel": f"order_book:{market}", "offset": 7, "last_updated_at": us, "timestamp": T0_MS + ms + 1,
        "order_book": {
            "code": 0, "bids": side[0], "asks": side[1], "offset": 7, "nonce": nonce, "last_updated_at": us,
            "begin_nonce": begin,
        },
        "type": "subscribed/order_book" if full else "update/order_book",
    }  # fmt: skip


def trade(ms, match, price, size, *, maker_ask, kind="trade"):
    return {
        "trade_id": match, "type": kind, "market_id": MARKET, "size": f"{size / 1000:.4f}",
        "price": f"{price / 10:.1f}", "is_maker_ask": maker_ask,
        "timestamp": T0_MS + ms, "transaction_time": (T0_MS + ms) * 1000,
    }  # fmt: skip


def trades(*found, full=False, liquidations=None):
    kind = "subscribed/trade" if full else "update/trade"
    return {"channel": f"trade:{MARKET}", "type": kind, "nonce": 5, "trades": found, "liquidation_trades": liquidations}


def stats(ms, mark, rate, funding_ms):
    inner = {
        "symbol": "BTC", "market_id": MARKET, "mark_price": f"{mark / 10:.1f}", "funding_rate": rate,
        "current_funding_rate": "0.5", "funding_timestamp": funding_ms,
    }  # fmt: skip
    return {
        "channel": f"market_stats:{MARKET}",
        "type": "update/market_stats",
        "market_stats": inner,
        "timestamp": T0_MS + ms,
    }


OPEN = book(0, 100, 0, [(999, 5), (998, 6)], [(1001, 7)], full=True)
NOISE = [{"type": "connected", "session_id": "x"}, {"type": "ping"}, {"type": "update/height", "height": 5}]
FRAMES = [
    (0, NOISE[0]), (2, OPEN), (3, trades(trade(-5000, 1, 999, 1, maker_ask=False), full=True)),
    (10, trades(trade(4, 2, 1001, 3, maker_ask=True))), (12, NOISE[1]), (13, book(5, 101, 100, asks=[(1001, 4)])),
    (13, book(4, 50, 40, market=2)), (60, book(55, 104, 101, bids=[(999, 0)], asks=[(1002, 1)])), (61, NOISE[2]),
]  # fmt: skip


def write(tmp_path, frames, style="stamp", name="frames.jsonl"):
    lines = []
    for ms, frame in frames:
        ns = (T0_MS + ms) * 1_000_000
        text = json.dumps(frame)
        lines.append({
            "stamp": f"{ns} {text}",
            "envelope": json.dumps({"local_ns": ns, "frame": frame}),
            "text": json.dumps({"frame": text, "local_ns": ns}),
            "bare": text,
        }[style])  # fmt: skip
    path = tmp_path / name
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize("style", ["stamp", "envelope", "text"])
def test_small_recording(tmp_path, style):
    feed = import_feed(write(tmp_path, FRAMES, style), format="lighter")
    check_events(feed.events)
    assert [row[2:] for row in feed.events.tolist()] == [
        (Kind.SNAPSHOT_BEGIN, 0, 0, 0, 100),
        (Kind.DEPTH, 1, 999, 5, 100), (Kind.DEPTH, 1, 998, 6, 100), (Kind.DEPTH, -1, 1001, 7, 100),
        (Kind.SNAPSHOT_END, 0, 0, 0, 100),
        (Kind.TRADE, 1, 1001, 3, 2),
        (Kind.DEPTH, -1, 1001, 4, 101), (Kind.DEPTH, 1, 999, 0, 104), (Kind.DEPTH, -1, 1002, 1, 104),
    ]  # fmt: skip
    assert (feed.events["local_ns"] - feed.events["exch_ns"])[-1] == 5_000_000
    assert feed.describe()["gaps"] == 0
    assert feed.instrument.settle == "USDC"


def test_bare_frames_have_one_clock(tmp_path):
    feed = import_feed(write(tmp_path, FRAMES, "bare"), format="lighter")
    check_events(feed.events)
    assert feed.report["clocks"] == 1
    assert feed.events["exch_ns"][-1] == (T0_MS + 55) * 1_000_000


def test_market_option(tmp_path):
    frames = [*FRAMES[:2], (13, book(4, 50, 0, [(10, 1)], [(11, 1)], full=True, market=2)), *FRAMES[3:]]
    path = write(tmp_path, frames)
    assert import_feed(path, format="lighter", market=2).events.size == 4
    assert import_feed(path, format="lighter").report["market"] == 1
    with pytest.raises(FeedError, match="no full order book of market 3"):
        import_feed(path, format="lighter", market=3)


def test_gap_until_the_next_full_book(tmp_path):
    frames = [
        (2, OPEN), (10, book(5, 103, 102, bids=[(997, 1)])), (20, book(15, 104, 103, bids=[(996, 1)])),
        (30, book(25, 110, 0, [(995, 1)], [(1001, 1)], full=True)), (40, book(35, 111, 110, bids=[(994, 2)])),
    ]  # fmt: skip
    feed = import_feed(write(tmp_path, frames), format="lighter")
    assert feed.describe()["gaps"] == 1
    assert feed.report["updates_without_book"] == 2
    assert replay(feed.events).levels == {1: {995: 1, 994: 2}, -1: {1001: 1}}


def test_new_subscription(tmp_path):
    """The same book again is no gap; a newer one is."""
    again = book(9, 100, 0, [(999, 5), (998, 6)], [(1001, 7)], full=True)
    newer = book(19, 120, 0, [(999, 9)], [(1001, 7)], full=True)
    feed = import_feed(write(tmp_path, [(2, OPEN), (12, again), (22, newer)]), format="lighter")
    assert feed.events["kind"].tolist().count(Kind.GAP) == 1
    assert feed.events["kind"].tolist().count(Kind.SNAPSHOT_BEGIN) == 3


def test_repeated_update_and_trades(tmp_path):
    update, prints = book(5, 101, 100, bids=[(999, 1)]), trades(trade(4, 2, 1001, 3, maker_ask=True))
    missed = trades(
        trade(6, 3, 999, 1, maker_ask=False), trade(4, 2, 1001, 3, maker_ask=True), full=True,
        liquidations=[trade(7, 4, 999, 2, maker_ask=False), trade(7, 5, 999, 2, maker_ask=False, kind="deleverage")],
    )  # fmt: skip
    frames = [(2, OPEN), (10, update), (11, update), (12, prints), (13, prints), (14, missed)]
    feed = import_feed(write(tmp_path, frames), format="lighter")
    assert feed.describe()["duplicates"] == 2
    assert feed.trades()["side"].tolist() == ["buy", "sell", "sell"]
    assert feed.report["off_book_trades"] == 1


@pytest.mark.parametrize("published", ["last", "next"])
def test_marks_and_funding(tmp_path, published):
    hour = T0_MS + 50
    first, second = (hour - 3_600_000, hour) if published == "last" else (hour, hour + 3_600_000)
    frames = [
        (2, OPEN), (11, stats(10, 1000, "0.0010", first)), (41, stats(40, 1001, "0.0012", first)),
        (61, stats(60, 1003, "-0.0020", second)),
    ]  # fmt: skip
    feed = import_feed(write(tmp_path, frames), format="lighter")
    funding = feed.events[feed.events["kind"] == Kind.FUNDING]
    assert funding["exch_ns"].tolist() == [hour * 1_000_000]
    assert funding["size_lots"].tolist() == [-20_000 if published == "last" else 12_000]
    assert funding["price_ticks"].tolist() == [1001]
    assert feed.events["price_ticks"][feed.events["kind"] == Kind.MARK].tolist() == [1000, 1001, 1003]
    assert feed.instrument.symbol == "BTC"


@given(st.data())
@settings(max_examples=30)
def test_any_stream_is_rebuilt(tmp_path_factory, data):
    draw = data.draw
    truth, nonce, ms, frames = {1: {999: 5, 998: 6}, -1: {1001: 7}}, 100, 2, [(2, OPEN)]
    levels = st.dictionaries(st.integers(1, 9), st.integers(0, 9), max_size=4)
    for _ in range(draw(st.integers(0, 15))):
        ms, before, nonce = ms + draw(st.integers(0, 30)), nonce, nonce + draw(st.integers(1, 3))
        changes = {
            1: {1000 - k: q for k, q in draw(levels).items()},
            -1: {1000 + k: q for k, q in draw(levels).items()},
        }
        for side, change in changes.items():
            truth[side] = {p: q for p, q in (truth[side] | change).items() if q}
        frames.append((ms, book(ms - 2, nonce, before, changes[1].items(), changes[-1].items())))
    feed = import_feed(write(tmp_path_factory.mktemp("lighter"), frames), format="lighter")
    check_events(feed.events)
    scale = round(0.001 / feed.instrument.lot_size), round(0.1 / feed.instrument.tick_size)
    if scale == (1, 1):
        assert replay(feed.events).levels == truth
    assert feed.describe()["gaps"] == 0


BAD = {
    "no json": ("{", r":3: cannot be read as a Lighter frame"),
    "missing field": (json.dumps({"type": "update/order_book", "channel": "order_book:1"}), ":3: .*order_book"),
    "wrong type": (json.dumps(book(5, "x", 100)), ":3: .*nonce"),
    "NaN price": (
        json.dumps(book(5, 101, 100)).replace('"bids": []', '"bids": [{"price": "NaN", "size": "1"}]'),
        ":3: price or size 'NaN'",
    ),
    "negative size": (json.dumps(book(5, 101, 100, [(1, -1)])), ":3: size -0.001"),
    "absurd time": (json.dumps(book(10**14, 101, 100, [(1, 1)])), ":3: "),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_lines(tmp_path, name):
    text, error = BAD[name]
    path = write(tmp_path, FRAMES[:2])
    path.write_text(path.read_text() + f"{(T0_MS + 70) * 1_000_000} {text}\n")
    with pytest.raises(FeedError, match=error):
        import_feed(path, format="lighter")


def test_bad_files(tmp_path):
    path = write(tmp_path, [FRAMES[1], (1, FRAMES[5][1])])
    with pytest.raises(FeedError, match=r":2: local time goes back by 0\.001"):
        import_feed(path, format="lighter")
    with pytest.raises(FeedError, match="no full order book"):
        import_feed(write(tmp_path, [(1, NOISE[0])]), format="lighter")
    mixed = write(tmp_path, FRAMES[:2])
    mixed.write_text(mixed.read_text() + json.dumps(FRAMES[5][1]) + "\n")
    with pytest.raises(FeedError, match="some lines have a local time and some have none"):
        import_feed(mixed, format="lighter")


def test_decode():
    assert wire.decode(json.dumps(NOISE[2])) is None
    assert wire.decode(json.dumps(stats(0, 1, "0", 0) | {"channel": "market_stats:all"})) is None
    frame = wire.decode(json.dumps(OPEN).encode())
    assert isinstance(frame, wire.BookFrame)
    assert frame.is_snapshot
    assert frame.exch_ns == T0_MS * 1_000_000
    assert [wire.market_of(c) for c in ("order_book:17", "trade/3", "height")] == [17, 3, -1]
    with pytest.raises(msgspec.DecodeError):
        wire.decode("[]")
