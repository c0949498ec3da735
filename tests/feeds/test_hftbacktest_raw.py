"""Collector files: Binance's sync rule on made-up streams, and rebuilt books against bookTicker on recordings."""

from __future__ import annotations

import gzip
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmlab.errors import FeedError
from mmlab.events import NO_PRICE, Kind
from mmlab.feeds import import_feed
from tests.conftest import shared_data
from tests.feeds.binance import Exchange, Writer, price, size
from tests.feeds.books import check_events, compiled, message_ends, replay

RAW = "binance_hftbacktest_raw"
RECORDINGS = {
    "cm_btc": (RAW, ["cm_btcusd_perp_20240808.gz", "cm_btcusd_perp_20240809.gz"], 1885, 5_235, 1.27),
    "cm_eth": (RAW, ["cm_ethusd_perp_20240808.gz", "cm_ethusd_perp_20240809.gz"], 2278, 3_595, 1.27),
    "spot_btc": (RAW, ["spot_btcusdt_20240808.gz", "spot_btcusdt_20240809.gz"], 1072, 19_904, 1.27),
    "usdm_july": (RAW, ["usdm_btcusdt_20240718.gz", "usdm_btcusdt_20240719.gz"], 519, 10_701, 1.52),
    "usdm_august": (RAW, ["usdm_btcusdt_20240808.gz"], 503, 21_313, 1.27),
    "nexo": (
        "binance_spot_nexousdt_2024-07", [f"nexousdt_202407{day}.dat.gz" for day in (23, 24, 25)], 17_332, 18_817, 0.19
    ),
}  # fmt: skip
"""Files, least number of bookTickers whose u is that of a diff, trades, seconds that the local clock is behind."""


def paths_of(name):
    folder, files = RECORDINGS[name][:2]
    return [shared_data(folder) / file for file in files]


@compiled
@pytest.mark.parametrize("name", RECORDINGS)
def test_rebuilt_book_equals_book_ticker(name):
    _, _, comparable, trades, skew_s = RECORDINGS[name]
    feed = import_feed(paths_of(name))
    check_events(feed.events)
    description = feed.describe()
    assert description["gaps"] == description["duplicates"] == description["crossed_messages"] == 0
    assert description["trades"] == trades
    assert description["clock_skew_s"] == pytest.approx(-skew_s, abs=0.01)
    assert (feed.events["local_ns"] - feed.events["exch_ns"]).min() == 0
    assert not feed.synthetic

    book, tick, lot = feed.book(), feed.instrument.tick_size, feed.instrument.lot_size
    ends = np.flatnonzero(message_ends(feed.events) & (feed.events["kind"] == Kind.DEPTH))
    state = np.searchsorted(book["row"], ends, "right") - 1
    row_of = dict(zip(feed.events["order_id"][ends].tolist(), book[state].tolist(), strict=True))
    rebuilt, recorded = [], []
    for path in paths_of(name):
        with gzip.open(path) as file:
            for line in file:
                if b"@bookTicker" not in line:
                    continue
                ticker = json.loads(line[line.index(b" ") :])["data"]
                if ticker["u"] in row_of:
                    *_, bid, ask, bid_lots, ask_lots, _ = row_of[ticker["u"]]
                    rebuilt.append((bid * tick, ask * tick, bid_lots * lot, ask_lots * lot))
                    recorded.append(tuple(float(ticker[key]) for key in "baBA"))
    np.testing.assert_allclose(rebuilt, recorded, rtol=1e-12)
    assert len(rebuilt) >= comparable


@compiled
def test_coin_m_is_inverse():
    feed = import_feed(paths_of("cm_btc"))
    instrument = feed.instrument
    assert (instrument.symbol, instrument.contract, instrument.contract_size) == ("BTCUSD_PERP", "inverse", 100.0)
    assert (instrument.tick_size, instrument.lot_size, instrument.settle) == (0.1, 1.0, "BTC")
    assert "COIN-M" in repr(feed.describe())


def write_stream(seed, *, futures, before=2, after=40, drop=(), repeat=(), unit_ns=1):
    """A session: diffs before the snapshot, the snapshot, diffs and trades after it; and the exchange at its end."""
    exchange, write = Exchange(seed, futures=futures), Writer(unit_ns=unit_ns)
    for _ in range(before):
        write(exchange.diff())
    held = [exchange.diff() for _ in range(2)]  # the snapshot is older than diffs received before it
    snapshot = exchange.snapshot()
    late = [exchange.diff() for _ in range(2)]
    for message in (*held, *late):
        write(message)
    write(snapshot)
    for i in range(after):
        message = exchange.diff()
        if i not in drop:
            write(message)
        if i in repeat:
            write(message)
        if i % 3 == 0:
            write(exchange.trade())
        write(exchange.book_ticker())
    return exchange, write


@given(seed=st.integers(0, 10**6), futures=st.booleans(), before=st.integers(0, 3), after=st.integers(1, 30))
@settings(max_examples=40)
def test_any_stream_is_rebuilt(tmp_path_factory, seed, futures, before, after):
    exchange, write = write_stream(seed, futures=futures, before=before, after=after)
    feed = import_feed(write.save(tmp_path_factory.mktemp("raw") / "a.gz"))
    check_events(feed.events)
    scale_price = round(0.01 / feed.instrument.tick_size)
    scale_size = 0.001 / feed.instrument.lot_size
    book = replay(feed.events)
    for side in (1, -1):
        expected = {p * scale_price: q * scale_size for p, q in exchange.levels[side].items()}
        assert dict(book.levels[side]) == pytest.approx(expected)
    assert feed.describe()["gaps"] == 0


@given(seed=st.integers(0, 10**6), futures=st.booleans(), lost=st.integers(0, 20), twice=st.integers(0, 20))
@settings(max_examples=25)
def test_planted_faults_are_counted(tmp_path_factory, seed, futures, lost, twice):
    drop = (lost,) if lost != twice else ()
    _, write = write_stream(seed, futures=futures, after=21, drop=drop, repeat=(twice,))
    feed = import_feed(write.save(tmp_path_factory.mktemp("raw") / "a.gz"))
    check_events(feed.events)
    gap = bool(drop) and lost < 20  # the loss of the last diff leaves no trace
    description = feed.describe()
    assert description["gaps"] == gap
    # A diff that comes again after a gap waits with the others for a snapshot.
    assert description["duplicates"] == (not gap or twice < lost)
    assert feed.book()["valid"][-1] == (not gap)


def test_second_snapshot_mends_a_gap(tmp_path):
    exchange, write = Exchange(3, futures=True), Writer()
    write(exchange.snapshot())
    write(exchange.diff())
    exchange.diff()  # lost
    after = exchange.diff()
    write(after)
    snapshot = exchange.snapshot()
    write(exchange.diff())
    write(snapshot)
    write(exchange.diff())
    feed = import_feed(write.save(tmp_path / "a.gz"))
    kinds = feed.events["kind"].tolist()
    assert kinds.count(Kind.GAP) == 1
    assert kinds.count(Kind.SNAPSHOT_BEGIN) == 2
    book = replay(feed.events)
    assert book.usable
    assert book.levels == exchange.levels


def test_snapshot_before_the_loss_is_seen(tmp_path):
    """A collector that lost its link fetches a snapshot first; the loss shows in the next diff."""
    exchange, write = Exchange(5), Writer()
    write(exchange.snapshot())
    write(exchange.diff())
    exchange.diff()  # lost
    write(exchange.snapshot())
    write(exchange.diff())
    feed = import_feed(write.save(tmp_path / "a.gz"))
    kinds = feed.events["kind"].tolist()
    gap = kinds.index(Kind.GAP)
    assert kinds.count(Kind.GAP) == 1
    assert kinds[gap + 1] == Kind.SNAPSHOT_BEGIN
    assert replay(feed.events).levels == exchange.levels


def test_snapshot_in_sync_is_not_needed(tmp_path):
    exchange, write = Exchange(6), Writer()
    write(exchange.snapshot())
    first = exchange.snapshot()
    write(exchange.diff())
    write(first)
    feed = import_feed(write.save(tmp_path / "a.gz"))
    assert feed.report["snapshots_not_needed"] == 1
    assert replay(feed.events).levels == exchange.levels


def test_diff_that_does_not_reach_back_to_the_snapshot_is_a_gap(tmp_path):
    exchange, write = Exchange(7), Writer()
    write(exchange.snapshot())
    exchange.diff()  # lost
    write(exchange.diff())
    feed = import_feed(write.save(tmp_path / "a.gz"))
    assert feed.describe()["gaps"] == 1


def test_microseconds(tmp_path):
    _, nanos = write_stream(1, futures=False)
    _, micros = write_stream(1, futures=False, unit_ns=1000)
    feeds = [import_feed(write.save(tmp_path / f"{i}.gz")) for i, write in enumerate((nanos, micros))]
    assert feeds[0].events.tobytes() == feeds[1].events.tobytes()


def test_files_are_one_session_in_any_order(tmp_path):
    _, write = write_stream(2, futures=True)
    whole = import_feed(write.save(tmp_path / "whole.gz"))
    parts = []
    for i, lines in enumerate((write.lines[:30], write.lines[30:])):
        part = Writer()
        part.lines = lines
        parts.append(part.save(tmp_path / f"{i}.gz"))
    assert import_feed(parts[::-1]).events.tobytes() == whole.events.tobytes()


def test_trades_out_of_order_and_repeated(tmp_path):
    exchange, write = Exchange(8), Writer()
    write(exchange.snapshot())
    write(exchange.diff())
    t0 = exchange.ms
    first, second = exchange.trade(T=t0 + 20), exchange.trade(T=t0 + 10)
    for message in (first, second, second, exchange.trade(T=t0 + 30), exchange.trade(T=t0 - 60_000)):
        write(message)
    feed = import_feed(write.save(tmp_path / "a.gz"))
    check_events(feed.events)
    description = feed.describe()
    assert description["trades"] == 3
    assert description["duplicates"] == 1
    assert description["out_of_order"] == 2
    assert feed.report["late_dropped"] == 1
    assert "late" in repr(description)


def test_mark_price_and_funding(tmp_path):
    exchange, write = Exchange(9, futures=True), Writer()
    write(exchange.snapshot())
    start_ms = exchange.ms + 50
    hour_ms = start_ms + 500
    for after_ms, rate, following in ((0, "0.00010000", 0), (400, "0.00012500", 0), (600, "0.00000100", 1)):
        mark = {"e": "markPriceUpdate", "E": start_ms + after_ms, "p": "100.01500000", "r": rate}
        mark["T"] = hour_ms + following * 28_800_000
        write(exchange.stream("markPrice@1s", mark), at_ms=start_ms + after_ms + 5)
    write(exchange.diff(), at_ms=start_ms + 700)
    events = import_feed(write.save(tmp_path / "a.gz")).events
    funding = events[events["kind"] == Kind.FUNDING]
    assert funding["exch_ns"].tolist() == [hour_ms * 1_000_000]
    assert funding["size_lots"].tolist() == [125_000]
    assert (events["kind"] == Kind.MARK).sum() == 3
    assert funding["price_ticks"][0] == events["price_ticks"][events["kind"] == Kind.MARK][0] > 0


def test_trades_that_were_not_in_the_market_are_left_out(tmp_path):
    exchange, write = Exchange(10, futures=True), Writer()
    write(exchange.snapshot())
    write(exchange.diff())
    write(exchange.trade(X="MARKET"))
    write(exchange.trade(X="INSURANCE_FUND"))
    write(exchange.trade(X="NA", p="0", q="0"))
    feed = import_feed(write.save(tmp_path / "a.gz"))
    assert len(feed.trades()) == 1
    assert feed.report["ignored"] == {"trade INSURANCE_FUND": 1, "trade NA": 1}


def small(tmp_path, change):
    """A short session with its lines changed."""
    _, write = write_stream(4, futures=False, after=10)
    write.lines = change(write.lines)
    return write.save(tmp_path / "bad.gz")


def edited(line_number, old, new):
    def change(lines):
        assert old in lines[line_number - 1]
        lines[line_number - 1] = lines[line_number - 1].replace(old, new, 1)
        return lines

    return change


BAD_LINES = {
    "no json": (edited(9, '{"stream"', '{"stream'), 9, "cannot be read"),
    "no time": (lambda lines: [*lines[:8], lines[8].partition(" ")[2], *lines[9:]], 9, "local time"),
    "missing field": (edited(8, '"u":', '"x":'), 8, "u"),
    "absurd time": (lambda lines: [*lines[:-1], "99999999999999999999" + lines[-1][19:]], None, "absurd|read"),
    "unsorted": (lambda lines: [*lines[:10], lines[-1], *lines[10:]], 12, "goes back"),
    "second symbol": (edited(9, "testusdt@", "otherusdt@"), 9, "second symbol"),
    "NaN price": (lambda lines: _in_depth(lines, 0, "NaN"), None, "NaN"),
    "negative size": (lambda lines: _in_depth(lines, 1, "-1.5"), None, "size -1.5"),
    "negative price": (lambda lines: _in_depth(lines, 0, "-3"), None, "price -3"),
    "absurd price": (lambda lines: _in_depth(lines, 0, "1" * 25), None, "absurd"),
}


def _in_depth(lines, which, text):
    """Change a level of a diff after the snapshot."""
    at = next(i for i, line in enumerate(lines) if "lastUpdateId" in line)
    for i in range(at + 1, len(lines)):
        stamp, _, message = lines[i].partition(" ")
        message = json.loads(message)
        levels = message.get("data", {}).get("b")
        if levels:
            levels[0][which] = text
            lines[i] = f"{stamp} {json.dumps(message, separators=(',', ':'))}"
            return lines
    raise AssertionError("no diff")


@pytest.mark.parametrize("name", BAD_LINES)
def test_bad_lines(tmp_path, name):
    change, line, text = BAD_LINES[name]
    path = small(tmp_path, change)
    with pytest.raises(FeedError, match=text) as caught:
        import_feed(path)
    assert caught.value.path == path
    assert caught.value.line is not None
    assert line in (None, caught.value.line)


def test_truncated_gzip(tmp_path):
    path = small(tmp_path, lambda lines: lines)
    path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(FeedError, match=r"bad\.gz:\d+: the gzip file is cut off"):
        import_feed(path)


def test_empty_files(tmp_path):
    (tmp_path / "a.gz").write_bytes(gzip.compress(b""))
    (tmp_path / "b.txt").write_bytes(b"")
    for name in ("a.gz", "b.txt"):
        with pytest.raises(FeedError, match="empty"):
            import_feed(tmp_path / name)


def test_recording_without_snapshot(tmp_path):
    path = small(tmp_path, lambda lines: [line for line in lines if "lastUpdateId" not in line])
    with pytest.raises(FeedError, match="no order book snapshot"):
        import_feed(path)


def test_crossed_snapshot(tmp_path):
    def cross(lines):
        at = next(i for i, line in enumerate(lines) if "lastUpdateId" in line)
        stamp, _, message = lines[at].partition(" ")
        message = json.loads(message)
        message["bids"].append([price(10_050), size(1)])
        return [*lines[:at], f"{stamp} {json.dumps(message)}", *lines[at + 1 :]]

    path = small(tmp_path, cross)
    with pytest.raises(FeedError, match=r"bad\.gz:7: crossed snapshot: best bid 100\.5 .* best ask"):
        import_feed(path)


def test_book_without_side_is_no_price(tmp_path):
    exchange, write = Exchange(11), Writer()
    exchange.levels[1].clear()
    write(exchange.snapshot())
    feed = import_feed(write.save(tmp_path / "a.gz"))
    assert feed.book()["bid_ticks"][-1] == NO_PRICE
    assert np.isnan(feed.quotes()["mid"].iloc[-1])
