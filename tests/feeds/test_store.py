"""The feed file: equal bytes back, small, whole or absent; and files that are not feeds."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmlab.errors import FeedError
from mmlab.events import EVENT, Kind
from mmlab.feeds import Feed, import_feed, load_feed
from mmlab.feeds import store as store_module
from mmlab.instrument import Instrument
from tests.feeds.books import compiled
from tests.feeds.test_hftbacktest_raw import paths_of

INVERSE = Instrument("X", 0.5, 1.0, contract="inverse", contract_size=100.0, settle="BTC", maker_fee_bps=-1.0)


def random_feed(seed, n):
    rng = np.random.default_rng(seed)
    events = np.zeros(n, EVENT)
    for name in ("exch_ns", "price_ticks", "size_lots", "order_id"):
        events[name] = rng.integers(-(2**62), 2**62, n)
    events["local_ns"] = np.sort(rng.integers(-(2**62), 2**62, n))
    events["kind"] = rng.integers(0, len(Kind), n)
    events["side"] = rng.integers(-1, 2, n)
    return Feed(INVERSE, events, "made up", {"skew_ns": -5, "notes": ["ü"], "synthetic": True})


@given(st.integers(0, 2**32), st.integers(0, 300))
def test_round_trip(tmp_path_factory, seed, n):
    feed = random_feed(seed, n)
    path = tmp_path_factory.mktemp("store") / "x.parquet"
    assert feed.save(path) == path
    loaded = load_feed(str(path))
    assert loaded.events.tobytes() == feed.events.tobytes()
    assert loaded.events.dtype is EVENT
    assert (loaded.instrument, loaded.source, loaded.report) == (feed.instrument, feed.source, feed.report)
    assert loaded.synthetic


@compiled
def test_round_trip_of_a_recording_is_small(tmp_path):
    feed = import_feed(paths_of("usdm_august"))
    path = feed.save(tmp_path / "x.parquet")
    assert load_feed(path).events.tobytes() == feed.events.tobytes()
    assert path.stat().st_size < 5 * len(feed), "more than 5 bytes a row"
    assert repr(load_feed(path).describe()) == repr(feed.describe())


def test_equal_feeds_make_equal_files(tmp_path):
    a, b = (random_feed(1, 50).save(tmp_path / name).read_bytes() for name in ("a.parquet", "b.parquet"))
    assert a == b


def test_other_tools_read_the_columns(tmp_path):
    path = random_feed(2, 20).save(tmp_path / "x.parquet")
    assert list(pd.read_parquet(path).columns) == list(EVENT.names)


def test_nothing_half_written_stays(tmp_path, monkeypatch):
    path = tmp_path / "x.parquet"
    random_feed(3, 10).save(path)
    before = path.read_bytes()

    def fail(_table, where, **_):
        Path(where).write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(store_module.pq, "write_table", fail)
    with pytest.raises(OSError, match="disk full"):
        random_feed(4, 10).save(path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["x.parquet"]


def test_folder_that_is_not_there(tmp_path):
    with pytest.raises(FeedError, match="cannot be written"):
        random_feed(5, 3).save(tmp_path / "no" / "x.parquet")


def rewritten(path, **changes):
    """The file with its metadata, or its columns, changed."""
    table = pq.read_table(path)
    about = json.loads(table.schema.metadata[store_module.METADATA_KEY])
    metadata = changes.pop("metadata", json.dumps(about | changes.pop("about", {})).encode())
    for name, column in changes.items():
        i = table.column_names.index(name)
        table = table.remove_column(i) if column is None else table.set_column(i, name, column)
    pq.write_table(table.replace_schema_metadata({store_module.METADATA_KEY: metadata}), path)


BAD = {
    "no parquet": (lambda p: p.write_bytes(b"hello"), "not a whole Parquet"),
    "empty": (lambda p: p.write_bytes(b""), "not a whole Parquet"),
    "cut off": (lambda p: p.write_bytes(p.read_bytes()[:-100]), "not a whole Parquet"),
    "not ours": (lambda p: pq.write_table(pa.table({"a": [1]}), p), "not a feed of mmlab"),
    "damaged metadata": (lambda p: rewritten(p, metadata=b"{"), "metadata"),
    "other version": (lambda p: rewritten(p, about={"format_version": 99}), "format 99"),
    "missing column": (lambda p: rewritten(p, side=None), "side"),
    "wrong column": (lambda p: rewritten(p, kind=pa.array(["x"] * 10)), "kind"),
    "nulls": (lambda p: rewritten(p, size_lots=pa.array([None] * 10, pa.int64())), "size_lots"),
    "unsorted": (lambda p: rewritten(p, local_ns=pa.array(range(10, 0, -1), pa.int64())), "backwards"),
    "unknown kind": (lambda p: rewritten(p, kind=pa.array([77] * 10, pa.uint8())), "kind 77"),
    "wrong instrument": (
        lambda p: rewritten(p, about={"instrument": {"symbol": "X", "tick_size": -1, "lot_size": 1}}),
        "tick_size",
    ),
    "instrument of another project": (lambda p: rewritten(p, about={"instrument": {"name": "X"}}), "instrument"),
}


@pytest.mark.parametrize("name", BAD)
def test_files_that_are_no_feed(tmp_path, name):
    spoil, text = BAD[name]
    path = random_feed(6, 10).save(tmp_path / "x.parquet")
    spoil(path)
    with pytest.raises(FeedError, match=text) as caught:
        load_feed(path)
    assert caught.value.path == path


def test_damage_inside_the_columns(tmp_path):
    path = random_feed(7, 5000).save(tmp_path / "x.parquet")
    data = bytearray(path.read_bytes())
    data[2000:2400] = b"\xff" * 400
    path.write_bytes(bytes(data))
    with pytest.raises(FeedError, match="damaged"):
        load_feed(path)


def test_paths_without_a_file(tmp_path):
    with pytest.raises(FeedError, match="no such file"):
        load_feed(tmp_path / "no.parquet")
    with pytest.raises(FeedError, match="folder"):
        load_feed(tmp_path)
