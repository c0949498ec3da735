"""Tables of snapshots and trades of any make."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmlab.errors import FeedError
from mmlab.events import Kind
from mmlab.feeds import import_feed
from mmlab.instrument import Instrument
from tests.conftest import shared_data
from tests.feeds.books import DictBook, check_events, compiled, message_ends, replay

FOLDER = "binance_btcusdt_spot_perp_2026-02-16"
T0_MS = 1_771_214_400_000


@compiled
@pytest.mark.parametrize(
    ("market", "tick", "lot", "trades"), [("fut", 0.1, 0.001, 11_947), ("spot", 0.01, 1e-5, 10_215)]
)
def test_recording(market, tick, lot, trades):
    paths = [shared_data(FOLDER) / f"{what}_btc_{market}_2026-02-16_04.parquet" for what in ("lobdeep", "trades")]
    feed = import_feed(paths, format="snapshots")
    check_events(feed.events)
    assert (feed.instrument.symbol, feed.instrument.tick_size, feed.instrument.lot_size) == ("BTCUSDT", tick, lot)
    description = feed.describe()
    assert description["trades"] == trades
    assert description["clock_skew_s"] == pytest.approx(0.134, abs=0.002)
    assert description["crossed_messages"] == 0
    assert 130 < description["feed_latency_p50_ms"] < 200

    table = pd.read_parquet(paths[0], columns=["ts_ms", "bids_px", "bids_qty", "asks_px", "asks_qty"])
    ends = np.flatnonzero(message_ends(feed.events) & (feed.events["kind"] != Kind.TRADE))
    last_row_of = dict(zip((feed.events["local_ns"][ends] // 1_000_000).tolist(), ends.tolist(), strict=True))
    twin, done = DictBook(), 0
    for n, row in enumerate(table.itertuples(index=False)):
        if row.ts_ms in last_row_of:  # else nothing has changed
            for event in feed.events[done : last_row_of[row.ts_ms] + 1].tolist():
                twin.apply(event)
            done = last_row_of[row.ts_ms] + 1
        for side, prices, sizes in ((1, row.bids_px, row.bids_qty), (-1, row.asks_px, row.asks_qty)):
            depth = 1000 if n % 500 == 0 else 1
            assert twin.best(side) == (round(prices[0] / tick), round(sizes[0] / lot))
            if depth > 1:
                shown = [(round(p / tick), round(q / lot)) for p, q in zip(prices, sizes, strict=True)]
                assert twin.top(side, depth) == shown
    assert done > 80_000


def views(rng, n, room=4):
    """Random books as shown by a table with `room` levels a side: lists of (price, size) in ticks and lots."""
    books, shown = {1: {}, -1: {}}, []
    mid = 1000
    for _ in range(n):
        mid += int(rng.integers(-2, 3))
        for side in (1, -1):
            levels = books[side]
            for _ in range(int(rng.integers(0, 6))):
                at = mid - side * int(rng.integers(1, 9))
                levels[at] = int(rng.integers(0, 30))
            for at in [p for p, q in levels.items() if not q or (mid - p) * side <= 0]:
                del levels[at]
        shown.append({side: sorted(books[side].items(), reverse=side > 0)[:room] for side in (1, -1)})
    return shown


def nested_table(shown, **more):
    columns = {
        f"{name}_{what}": [[pair[i] / scale for pair in view[side]] for view in shown]
        for name, side in (("bids", 1), ("asks", -1))
        for i, (what, scale) in enumerate((("px", 10), ("qty", 100)))
    }
    n = len(shown)
    return (
        {"ts_ms": [T0_MS + 150 + 100 * i for i in range(n)], "exch_ts_ms": [T0_MS + 100 * i for i in range(n)]}
        | columns
        | more
    )


def flat_table(shown, room=4, pattern="{side}_{what}_{k}"):
    columns = {}
    for name, side in (("bid", 1), ("ask", -1)):
        for k in range(room):
            for i, (what, scale) in enumerate((("px", 10), ("qty", 100))):
                column = [view[side][k][i] / scale if k < len(view[side]) else None for view in shown]
                columns[pattern.format(side=name, what=what, k=k)] = column
    times = {
        "ts_ms": [T0_MS + 150 + 100 * i for i in range(len(shown))],
        "exch_ts_ms": [T0_MS + 100 * i for i in range(len(shown))],
    }
    return times | columns


@given(st.integers(0, 10**6), st.integers(1, 12), st.sampled_from(["nested", "flat", "csv", "json"]))
@settings(max_examples=60)
def test_rebuilt_tops_equal_the_views(tmp_path_factory, seed, n, layout):
    shown = views(np.random.default_rng(seed), n)
    if not any(view[1] and view[-1] for view in shown):
        return
    path = tmp_path_factory.mktemp("views") / "book"
    table = pd.DataFrame(flat_table(shown) if layout in ("flat", "csv") else nested_table(shown))
    if layout in ("flat", "nested"):
        table.to_parquet(path)
    else:
        table.to_csv(path, index=False)
    instrument = Instrument("X", 0.1, 0.01)
    feed = import_feed(path, format="snapshots", instrument=instrument)
    check_events(feed.events)
    for i, view in enumerate(shown):
        book = replay(feed.events[feed.events["exch_ns"] <= (T0_MS + 100 * i) * 1_000_000])
        for side in (1, -1):
            assert book.top(side, len(view[side])) == view[side]
            if len(view[side]) < 4:
                assert len(book.levels[side]) == len(view[side]), "a side shown whole has no other level"


SHOWN = [
    {1: [(999, 5), (998, 7)], -1: [(1001, 3), (1002, 4)]},
    {1: [(999, 6), (997, 1)], -1: [(1001, 3), (1003, 2)]},
    {1: [(1000, 1), (999, 6)], -1: [(1001, 2), (1003, 2)]},
]
TRADES = {
    "ts_ms": [T0_MS + 160, T0_MS + 260],
    "exch_ts_ms": [T0_MS + 10, T0_MS + 110],
    "trade_id": ["a1", "a2"],
    "price": [100.1, 99.9],
    "qty": [0.02, 0.01],
    "side": ["buy", "SELL"],
}


def save(tmp_path, table, name="book.parquet"):
    path = tmp_path / name
    if name.endswith(".parquet"):
        pq.write_table(pa.table(table), path)
    else:
        pd.DataFrame(table).to_csv(path, index=False)
    return path


@pytest.fixture
def book(tmp_path):
    return save(tmp_path, nested_table(SHOWN))


def test_small_tables(tmp_path, book):
    feed = import_feed([save(tmp_path, TRADES, "trades.csv"), book], format="snapshots")
    rows = [row[2:6] for row in feed.events.tolist()]
    assert rows == [
        (Kind.SNAPSHOT_BEGIN, 0, 0, 0),
        (Kind.DEPTH, 1, 999, 5), (Kind.DEPTH, 1, 998, 7), (Kind.DEPTH, -1, 1001, 3), (Kind.DEPTH, -1, 1002, 4),
        (Kind.SNAPSHOT_END, 0, 0, 0),
        (Kind.TRADE, 1, 1001, 2),
        (Kind.DEPTH, 1, 999, 6), (Kind.DEPTH, 1, 998, 0), (Kind.DEPTH, 1, 997, 1),
        (Kind.DEPTH, -1, 1002, 0), (Kind.DEPTH, -1, 1003, 2),
        (Kind.TRADE, -1, 999, 1),
        (Kind.DEPTH, 1, 1000, 1), (Kind.DEPTH, -1, 1001, 2),
    ]  # fmt: skip
    assert (feed.instrument.tick_size, feed.instrument.lot_size) == (0.1, 0.01)
    assert feed.describe()["clock_skew_s"] == 0.15


def same_feed(path, expected, **options):
    feed = import_feed(path, format="snapshots", **options)
    for name in ("exch_ns", "local_ns", "kind", "side", "price_ticks", "size_lots"):
        assert (feed.events[name] == expected.events[name]).all()


def test_layouts_and_names(tmp_path, book):
    expected = import_feed(book, format="snapshots")
    flat, nested = flat_table(SHOWN, room=2), nested_table(SHOWN)
    same_feed(save(tmp_path, flat, "flat.csv"), expected)
    same_feed(save(tmp_path, flat_table(SHOWN, room=2, pattern="{side}s[{k}].{what}"), "tardis.csv"), expected)
    renamed = {
        name.replace("bid_px", "B").replace("ask_px", "A").replace("bid_qty", "b").replace("ask_qty", "a"): c
        for name, c in flat.items()
    }
    columns = {"bid_price": "B_{}", "bid_size": "b_{}", "ask_price": ["A_0", "A_1"], "ask_size": ["a_0", "a_1"]}
    same_feed(save(tmp_path, renamed, "renamed.parquet"), expected, columns=columns)
    pairs = {
        side: [
            list(zip(*levels, strict=True)) for levels in zip(nested[f"{side}_px"], nested[f"{side}_qty"], strict=True)
        ]
        for side in ("bids", "asks")
    }
    pairs["asks"] = [[{"p": p, "q": q} for p, q in levels] for levels in pairs["asks"]]
    times = {"received": nested["ts_ms"], "E": nested["exch_ts_ms"]}
    same_feed(
        save(tmp_path, times | pairs, "pairs.parquet"), expected, columns={"local_time": "received", "exch_time": "E"}
    )
    texts = times | {"bids": [str(list(map(list, levels))) for levels in pairs["bids"]]}
    texts["asks"] = [str([list(d.values()) for d in levels]) for levels in pairs["asks"]]
    same_feed(save(tmp_path, texts, "json.csv"), expected, columns={"local_time": "received", "exch_time": "E"})
    strings = {n: ([[str(x) for x in row] for row in c] if isinstance(c[0], list) else c) for n, c in nested.items()}
    same_feed(save(tmp_path, strings, "strings.parquet"), expected)


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns", "iso", "datetime"])
def test_time_units(tmp_path, book, unit):
    expected = import_feed(book, format="snapshots")
    table = nested_table(SHOWN)
    for name in ("ts_ms", "exch_ts_ms"):
        ms = np.array(table[name])
        stamps = pd.to_datetime(ms, unit="ms", utc=True)
        table[name] = {
            "s": ms / 1000, "ms": ms, "us": ms * 1000, "ns": ms * 1_000_000,
            "iso": stamps.astype(str), "datetime": stamps,
        }[unit]  # fmt: skip
    same_feed(save(tmp_path, table, "x.parquet"), expected)
    same_feed(save(tmp_path, table, "x.csv"), expected)
    if unit in ("s", "ms", "us", "ns"):
        same_feed(save(tmp_path, table, "x.csv"), expected, time_unit=unit)


def test_one_time_only(tmp_path):
    table = nested_table(SHOWN)
    del table["ts_ms"]
    trades = {k: v[::-1] for k, v in TRADES.items() if k != "ts_ms"}
    feed = import_feed([save(tmp_path, table), save(tmp_path, trades, "t.csv")], format="snapshots")
    assert (feed.events["exch_ns"] == feed.events["local_ns"])[feed.events["kind"] == Kind.DEPTH].all()
    assert feed.describe()["out_of_order"] == 1
    assert np.isnan(feed.describe()["feed_latency_p50_ms"])


def test_symbols(tmp_path):
    both = {name: [*column, *column] for name, column in nested_table(SHOWN).items()}
    both["symbol"] = ["A"] * 3 + ["B"] * 3
    path = save(tmp_path, both)
    assert import_feed(path, format="snapshots").instrument.symbol == "A"
    assert import_feed(path, format="snapshots", symbol="B").instrument.symbol == "B"
    assert import_feed(path, format="snapshots", instrument=Instrument("B", 0.1, 0.01)).describe()["gaps"] == 0
    with pytest.raises(FeedError, match=r"no rows of symbol 'C': there are \['A', 'B'\]"):
        import_feed(path, format="snapshots", symbol="C")


def test_buyer_is_maker(tmp_path, book):
    trades = {k: v for k, v in TRADES.items() if k != "side"} | {"is_buyer_maker": [True, False]}
    for name in ("t.parquet", "t.csv"):
        feed = import_feed([book, save(tmp_path, trades, name)], format="snapshots")
        assert feed.trades()["side"].tolist() == ["sell", "buy"]


def test_repeated_trades_and_snapshots(tmp_path):
    table = {name: [column[0], *column] for name, column in nested_table(SHOWN).items()}
    trades = {name: [column[0], *column] for name, column in TRADES.items()}
    feed = import_feed([save(tmp_path, table), save(tmp_path, trades, "t.parquet")], format="snapshots")
    assert feed.describe()["duplicates"] == 2
    assert len(feed.trades()) == 2


def changed(name, row, value):
    def change(table):
        column = list(table[name])
        column[row] = value
        return table | {name: column}

    return change


def without(name):
    return lambda table: {k: v for k, v in table.items() if k != name}


BAD_FLAT = {
    "NaN price": (changed("bid_px_0", 1, np.nan), "bid price .*NaN|bid price .*nan|bid price ''"),
    "negative size": (changed("bid_qty_1", 1, -0.5), "size -0.5 must be > 0"),
    "negative price": (changed("ask_px_1", 1, -1.0), "price -1"),
    "infinite": (changed("ask_px_1", 1, np.inf), "ask price .*inf"),
    "crossed": (changed("bid_px_0", 1, 100.3), "crossed snapshot: best bid 100.3"),
    "locked": (changed("bid_px_0", 1, 100.1), "crossed snapshot"),
    "unsorted": (changed("ts_ms", 1, T0_MS), "goes back by"),
    "absurd time": (changed("exch_ts_ms", 1, 5), "absurd"),
    "twice": (changed("bid_px_1", 1, 99.9), "price 99.9 is shown twice"),
}


@pytest.mark.parametrize("name", BAD_FLAT)
@pytest.mark.parametrize("file", ["book.parquet", "book.csv"])
def test_bad_rows(tmp_path, name, file):
    change, text = BAD_FLAT[name]
    path = save(tmp_path, change(flat_table(SHOWN, room=2)), file)
    with pytest.raises(FeedError, match=text) as caught:
        import_feed(path, format="snapshots", time_unit="ms")
    assert caught.value.path == path
    assert caught.value.line == (2 if file.endswith("parquet") else 3)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (without("bid_px_0"), "1 columns of bid prices, but 2 of sizes"),
        (
            lambda t: {k: v for k, v in t.items() if not k.startswith("bid_px")},
            r"columns for \['bid_price'\] are missing",
        ),
        (lambda t: {k: v for k, v in t.items() if "ts_ms" not in k}, "no column for the time"),
    ],
)
def test_missing_columns(tmp_path, change, text):
    with pytest.raises(FeedError, match=text):
        import_feed(save(tmp_path, change(flat_table(SHOWN, room=2))), format="snapshots")


def test_missing_trade_columns(tmp_path, book):
    for name in ("price", "qty", "side"):
        path = save(tmp_path, without(name)(TRADES), "t.csv")
        with pytest.raises(FeedError, match=r"t\.csv: no column for the"):
            import_feed([book, path], format="snapshots")


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"columns": {"bidprice": "x"}}, r"columns= names \['bidprice'\]"),
        ({"columns": {"bid_price": "nope_{}"}}, "no column 'nope_{}'"),
        ({"columns": {"exch_time": "nope"}}, "no column 'nope'"),
        ({"time_unit": "h"}, "time_unit = 'h'"),
        ({"colums": {}}, r"options \['colums'\] are unknown"),
    ],
)
def test_bad_options(book, options, text):
    with pytest.raises(FeedError, match=text):
        import_feed(book, format="snapshots", **options)


def test_bad_files(tmp_path, book):
    bad = tmp_path / "bad.parquet"
    for content, text in (
        (b"", "empty"),
        (b"a,b\n1,2\n", "not a Parquet"),
        (book.read_bytes()[:-50], "not a whole Parquet"),
    ):
        bad.write_bytes(content)
        with pytest.raises(FeedError, match=text):
            import_feed(bad, format="snapshots")
    csv = tmp_path / "bad.csv"
    for content, text in (
        (b"", "empty"),
        (b"a,b\n", "no rows"),
        (b"a,a\n1,2\n", "repeat"),
        (b"a,b\n1,2\n1,2,3\n", r"bad\.csv:3: "),
    ):
        csv.write_bytes(content)
        with pytest.raises(FeedError, match=text):
            import_feed(csv, format="snapshots")


def test_wrong_tick_size(book):
    with pytest.raises(
        FeedError, match=r"book\.parquet:1: price 99\.9 is no multiple of the instrument's tick_size 0\.25"
    ):
        import_feed(book, format="snapshots", instrument=Instrument("X", 0.25, 0.01))


@compiled
def test_deep_table_is_quick(tmp_path):
    """2,559 rows of 1000 levels, as in the recording, cost a second or two: no quadratic step."""
    rng = np.random.default_rng(1)
    n, depth = 300, 1000
    mid = 50_000 + np.cumsum(rng.integers(-3, 4, n))
    steps = np.cumsum(rng.integers(1, 4, (n, depth)), axis=1)
    table = {"ts_ms": T0_MS + 100 * np.arange(n)}
    for name, side in (("bids", 1), ("asks", -1)):
        table[f"{name}_px"] = list((mid[:, None] - side * steps) / 10)
        table[f"{name}_qty"] = list(rng.integers(1, 1000, (n, depth)) / 1000)
    feed = import_feed(save(tmp_path, table), format="snapshots")
    last = replay(feed.events)
    assert last.top(1, 1)[0][0] == mid[-1] - steps[-1, 0]
