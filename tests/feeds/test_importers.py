"""`import_feed`: formats, options, paths, progress; and what importing the package costs."""

from __future__ import annotations

import subprocess
import sys

import pytest

import mmlab
from mmlab.errors import FeedError
from mmlab.feeds import import_feed
from mmlab.instrument import Instrument
from tests.feeds.test_hftbacktest_raw import write_stream


@pytest.fixture
def path(tmp_path):
    return write_stream(1, futures=True)[1].save(tmp_path / "a.gz")


def test_public_names(path):
    feed = mmlab.import_feed(str(path))
    assert isinstance(feed, mmlab.Feed)
    assert mmlab.load_feed(feed.save(path.parent / "x.parquet")).events.tobytes() == feed.events.tobytes()
    with pytest.raises(AttributeError):
        _ = mmlab.feeds.nothing


def test_refusals(path):
    with pytest.raises(FeedError, match="format = 'csv' is unknown: one of hftbacktest, bitmex, lobster"):
        import_feed(path, format="csv")
    with pytest.raises(FeedError, match=r"options \['symbl'\] are unknown to format 'bitmex': it takes \['symbol'\]"):
        import_feed(path, format="bitmex", symbl="X")
    with pytest.raises(FeedError, match="nowhere: there is no such file"):
        import_feed([path, "nowhere"])
    with pytest.raises(FeedError, match="is a folder"):
        import_feed(path.parent)
    with pytest.raises(FeedError, match="no file was given"):
        import_feed([])


def test_contradicting_instrument(path):
    feed = import_feed(path, instrument=Instrument("TEST", 0.005, 0.0005))
    assert feed.instrument.symbol == "TEST"
    assert not feed.describe()["tick_inferred"]
    for change, text in (({"tick_size": 0.03}, "tick_size 0.03"), ({"lot_size": 0.7}, "lot_size 0.7")):
        with pytest.raises(FeedError, match=rf"a\.gz:\d+: .* is no multiple of the instrument's {text}"):
            import_feed(path, instrument=feed.instrument.with_(**change))


def test_progress(path):
    seen = []
    import_feed(path, progress=seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == 1.0


def test_importing_the_package_is_quick():
    code = "import sys, mmlab.feeds; print(sorted({'numba', 'pandas', 'pyarrow'} & set(sys.modules)))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
