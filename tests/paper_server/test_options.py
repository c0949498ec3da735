"""What is refused before anything is served."""

from __future__ import annotations

import json
import sys

import pytest

from mmlab.errors import ConfigError, SafetyError
from mmlab.feeds.synthetic import synthetic_feed
from mmlab.paper_server.keys import load_keys, make_keys
from mmlab.paper_server.server import Options, feed_of, is_loopback
from mmlab.paper_server.tiers import tier_of
from mmlab.paper_server.units import in_units


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_loopback_is_served(host):
    assert is_loopback(host) and Options("x", host=host).host == host


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "example.org", ""])
def test_other_hosts_only_when_told(host):
    with pytest.raises(SafetyError, match="--any-host"):
        Options("x", host=host)
    assert Options("x", host=host, any_host=True).host == host


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"speed": 0}, "--speed"), ({"market_id": 255}, "--market-id"), ({"port": -1}, "--port"),
        ({"latency_ms": -1}, "--latency-ms"), ({"collateral": 0}, "--collateral"), ({"fat_finger": 2}, "--fat-finger"),
    ],
)  # fmt: skip
def test_wrong_options_are_named(wrong, named):
    with pytest.raises(ConfigError, match=named):
        Options("x", **wrong)
    with pytest.raises(ConfigError, match="a live feed has its own time"):
        Options("wss://example.org/stream", speed=2.0)


def test_unknown_tiers_and_seeds():
    with pytest.raises(ConfigError, match="premium"):
        tier_of("gold")
    with pytest.raises(ConfigError, match="seed"):
        feed_of("synthetic:x")


def test_without_the_official_client_one_line_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "lighter.signer_client", None)
    with pytest.raises(ConfigError, match=r"pip install 'mmlab\[lighter\]'") as caught:
        make_keys(1, 1, 4)
    assert "\n" not in str(caught.value)


def test_keys_of_a_file(tmp_path):
    path = tmp_path / "keys.json"
    path.write_text(
        json.dumps({"7": {"4": {"private": "0xaa", "public": "0x" + "ab" * 40}, "5": {"public": "cd" * 40}}})
    )
    assert load_keys(path) == {7: {4: ("aa", "ab" * 40), 5: ("", "cd" * 40)}}
    for text in ("{", "[]", '{"1": {"4": {}}}', '{"1": {"4": {"public": "ab"}}}'):
        path.write_text(text)
        with pytest.raises(ConfigError, match="keys file"):
            load_keys(path)


def test_a_feed_is_counted_in_units_of_its_last_decimal():
    feed = synthetic_feed(2.0)
    coarse = feed.instrument.with_(tick_size=0.5, lot_size=0.25, min_size=0.0)
    feed.instrument = coarse
    finer, units = in_units(feed)
    assert (units.price_decimals, units.size_decimals) == (1, 2)
    assert (finer.instrument.tick_size, finer.instrument.lot_size) == (0.1, 0.01)
    depth = feed.events["kind"] == 0
    assert (finer.events["price_ticks"][depth] == 5 * feed.events["price_ticks"][depth]).all()
    assert (finer.events["size_lots"][depth] == 25 * feed.events["size_lots"][depth]).all()
    feed.instrument = coarse.with_(contract="inverse")
    with pytest.raises(ConfigError, match="linear"):
        in_units(feed)
