"""BitMEX: the rebuilt book against each recorded row; bad files."""

from __future__ import annotations

import gzip

import numpy as np
import pandas as pd
import pytest

from mmlab.errors import FeedError
from mmlab.events import Kind
from mmlab.feeds import import_feed
from mmlab.instrument import Instrument
from tests.conftest import shared_data
from tests.feeds.books import check_events, compiled, replay

FOLDER = "bitmex_xbtusd_ethusd_2020-03-10"


def recording():
    return [shared_data(FOLDER) / name for name in ("orderbooks.csv.gz", "trades.csv.gz")]


def recorded(symbol):
    """Rows of a symbol, by pandas: time and the best two prices with sizes."""
    table = pd.read_csv(recording()[0], header=None)
    table = table[table[2].str.strip(" \0") == symbol]
    ns = pd.to_datetime(table[0], utc=True).dt.as_unit("ns").astype(np.int64) + table[1] * 1_000_000
    return ns.to_numpy(), table[[23, 3, 33, 13]].to_numpy(float)


@compiled
@pytest.mark.parametrize(
    ("symbol", "instrument", "rows", "trades"),
    [
        ("XBTUSD", None, 91_779, 8_463),
        ("ETHUSD", Instrument("ETHUSD", 0.05, 1.0, contract="inverse"), 28_221, 1_535),
    ],
)
def test_recording(symbol, instrument, rows, trades):
    feed = import_feed(recording(), format="bitmex", instrument=instrument)
    check_events(feed.events)
    assert feed.instrument.symbol == symbol
    ns, best = recorded(symbol)
    assert len(ns) == rows
    quotes = feed.quotes()
    at = pd.Series(np.arange(len(quotes)), index=quotes.index.astype(np.int64))
    at = at[~at.index.duplicated(keep="last")]
    # rows of one millisecond cannot be told apart by time: compare the last of each
    last = np.append(np.diff(ns) != 0, True)
    found = quotes.iloc[at.iloc[np.searchsorted(at.index.to_numpy(), ns[last], "right") - 1]]
    np.testing.assert_allclose(found[["bid", "ask", "bid_size", "ask_size"]].to_numpy(), best[last])
    description = feed.describe()
    assert description["trades"] == trades
    assert description["crossed_messages"] == description["gaps"] == description["out_of_order"] == 0


@compiled
def test_xbtusd_is_inverse():
    instrument = import_feed(recording(), format="bitmex", symbol="XBTUSD").instrument
    assert (instrument.contract, instrument.contract_size, instrument.tick_size) == ("inverse", 1.0, 0.5)
    assert (instrument.lot_size, instrument.settle) == (1.0, "XBT")


@compiled
def test_ethusd_is_quanto():
    with pytest.raises(FeedError, match=r"ETHUSD is a quanto contract.* third price"):
        import_feed(recording(), format="bitmex", symbol="ETHUSD")


def book_row(second, ms=0, symbol="XBTUSD", bid=100.0, ask=100.5, bid_size=5, ask_size=7):
    steps = np.arange(10) * 0.5
    columns = [*(ask + steps), *[ask_size] * 10, *(bid - steps), *[bid_size] * 10]
    return f'"2020-03-10 18:25:{second:02d}",{ms},"{symbol}\0\0",' + ",".join(map(str, columns))


def trade_row(second, ms=0, price=100.5, size=3, action="insert", side="Buy"):
    return f'"XBTUSD\0\0","2020-03-10 18:25:{second:02d}",{ms},{price},{size},"{action}\0","{side}\0"'


def write(tmp_path, books, trades=()):
    paths = []
    for name, rows in (("books.csv.gz", books), ("trades.csv.gz", trades)):
        if rows:
            paths.append(tmp_path / name)
            paths[-1].write_bytes(gzip.compress(("\n".join(rows) + "\n").encode()))
    return paths


def test_levels_out_of_view_are_kept(tmp_path):
    rows = [book_row(1), book_row(2, bid=104.0, ask=104.5), book_row(3)]
    feed = import_feed(write(tmp_path, rows), format="bitmex")
    assert (feed.instrument.tick_size, feed.instrument.lot_size) == (0.5, 1.0)
    by_second = [feed.events[feed.events["exch_ns"] % 60_000_000_000 == s * 1_000_000_000] for s in (1, 2, 3)]
    assert by_second[0].size == 22
    book = replay(feed.events[: -by_second[2].size])
    assert book.top(1, 1) == [(208, 5)]
    assert book.levels[1][191] == 5, "the worst bid of the first row, now far from view"
    assert 201 not in book.levels[-1], "asks below the new bid are gone"
    assert replay(feed.events).levels == replay(by_second[0]).levels | {-1: replay(feed.events).levels[-1]}


def test_repeated_rows_and_partial_trades(tmp_path):
    trades = [trade_row(0, action="partial"), trade_row(2), trade_row(3, side="Sell"), trade_row(2, ms=500)]
    feed = import_feed(write(tmp_path, [book_row(1), book_row(1), book_row(2, bid_size=6)], trades), format="bitmex")
    assert feed.describe()["duplicates"] == 1
    assert feed.describe()["out_of_order"] == 1
    assert feed.report["partial_trades"] == 1
    assert feed.trades()["side"].tolist() == ["buy", "buy", "sell"]
    assert feed.events["kind"].tolist().count(Kind.TRADE) == 3


BAD = {
    "unsorted": ([book_row(2), book_row(1)], [], r"books.*:2: time goes back by 1\.0"),
    "crossed": ([book_row(1), book_row(2, bid=100.5)], [], "books.*:2: crossed snapshot: best bid 100.5"),
    "NaN": ([book_row(1), book_row(2).replace("100.0", "NaN", 1)], [], "books.*:2: bid_price 'NaN'"),
    "negative size": ([book_row(1), book_row(2, bid_size=-5)], [], "books.*:2: size -5"),
    "missing column": ([book_row(1), book_row(2).rpartition(",")[0]], [], "books.*:2: is no such table"),
    "other table": (["1,2,3"], [], "books.*3 columns: expected 43"),
    "no time": ([book_row(1), book_row(2).replace("2020-03-10 18:25:02", "soon")], [], "books.*:2: time 'soon'"),
    "side": ([book_row(1)], [trade_row(1), trade_row(2, side="Up")], "trades.*:2: side 'Up'"),
    "negative trade": ([book_row(1)], [trade_row(1, size=-1)], "trades.*:1: size -1"),
    "no books": ([], [trade_row(1)], "no order book file"),
    "unknown symbol": ([book_row(1)], [], "no rows of symbol 'XRP'"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_input(tmp_path, name):
    books, trades, text = BAD[name]
    options = {"symbol": "XRP"} if name == "unknown symbol" else {}
    with pytest.raises(FeedError, match=text):
        import_feed(write(tmp_path, books, trades), format="bitmex", **options)


def test_wrong_tick_size(tmp_path):
    paths = write(tmp_path, [book_row(1), book_row(2, bid=99.5)], [trade_row(1)])
    fine = Instrument("XBTUSD", 0.1, 1.0, contract="inverse")
    assert import_feed(paths, format="bitmex", instrument=fine).events["price_ticks"].max() == 1050
    for wrong, text in (
        (fine.with_(tick_size=1.0), "price 100.5 .* tick_size 1.0"),
        (fine.with_(lot_size=2.0), "size .* lot_size 2.0"),
    ):
        with pytest.raises(FeedError, match=rf"(books|trades).*:1: {text}"):
            import_feed(paths, format="bitmex", instrument=wrong)


def test_truncated_gzip(tmp_path):
    path = write(tmp_path, [book_row(s) for s in range(60)])[0]
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(FeedError, match=r"books\.csv\.gz:\d+: the gzip file is cut off"):
        import_feed(path, format="bitmex")
