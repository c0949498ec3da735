"""The kernel driven event by event against the replay's loop, and against itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import mmlab
from mmlab.engine.rerun import rerun
from mmlab.events import InputKind
from tests.engine.driving import drive, instants, make_decider, same_bits

SAMPLE = Path(__file__).parents[2] / "data" / "sample.parquet"
FAR = {"strategy.min_spread_bps": 90.0, "gates.flip.mode": "off", "kill.volatility.enabled": False}
"""Quotes so far away that nothing fills, and nothing that decays between events: so the answers to our orders, which
make a replay look once more, change nothing, and both hear the same."""


@pytest.fixture(scope="module")
def feed() -> mmlab.Feed:
    return mmlab.load_feed(SAMPLE)


def test_decides_as_the_replay_does(feed: mmlab.Feed) -> None:
    config = mmlab.Config().with_(**FAR)
    run = mmlab.backtest(feed, config)
    assert len(run.fills) == 0
    decider, tables, _ = make_decider(feed, config)
    drive(decider, feed.events)
    ours, theirs = tables["decisions"], run.tables.decisions
    assert theirs.size > 2000
    for column in ("local_ns", "bid_ticks", "ask_ticks", "mid", "bid_reasons", "ask_reasons", "targets"):
        np.testing.assert_array_equal(ours[column], theirs[column], err_msg=column)
    np.testing.assert_allclose(ours["sigma"], theirs["sigma"], rtol=1e-12)  # a decay in two steps rounds once more
    np.testing.assert_array_equal(tables["targets"], run.tables.targets)
    assert same_bits(tables["gates"], run.tables.gates)


def test_a_run_fed_its_inputs_again_decides_the_same(feed: mmlab.Feed) -> None:
    events = feed.events[: feed.events.size // 3]
    decider, tables, params = make_decider(feed, mmlab.Config())
    drive(decider, events)
    decider.orders(decider.last_ns, (3, 4), 2, 7, 0)
    decider.halt(decider.last_ns)
    decider.decide(decider.last_ns)
    decider.rearm(decider.last_ns + 1)
    decider.decide(decider.last_ns + 5_000_000_000)
    decider.metrics(decider.last_ns)
    again = rerun(tables["inputs"], {0: params}, feed.instrument.to_ticks(60_000.0))
    for table in ("decisions", "targets", "gates"):
        assert same_bits(again[table], tables[table]), table
    assert again["decisions"].size > 1000
    assert set(tables["inputs"]["kind"]) >= {InputKind.DECIDE, InputKind.HALT, InputKind.REARM, InputKind.SECOND}


def test_a_changed_input_is_noticed(feed: mmlab.Feed) -> None:
    decider, tables, params = make_decider(feed, mmlab.Config())
    drive(decider, feed.events[: feed.events.size // 3])
    inputs = tables["inputs"]
    rows = np.flatnonzero(inputs["kind"] == 0)
    inputs["size_lots"][rows[rows.size // 2 :]] += 1
    again = rerun(inputs, {0: params}, feed.instrument.to_ticks(60_000.0))
    assert not same_bits(again["decisions"], tables["decisions"])


@pytest.mark.parametrize("together", [1, 3, 50])
def test_how_rows_are_batched_does_not_matter(feed: mmlab.Feed, together: int) -> None:
    events = feed.events[:20_000]
    parts = instants(events)
    books = []
    for n in (1, together):
        decider, _, _ = make_decider(feed, mmlab.Config())
        for k in range(0, len(parts), n):
            decider.hear(np.concatenate(parts[k : k + n]))
        books.append((decider.book.tobytes(), decider.state.tobytes()))
    assert books[0] == books[1]
