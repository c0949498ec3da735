"""The market feed: every row once, whole messages, cuts healed by a true snapshot, silences that lose nothing, laps."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from mmlab.events import EVENT, NEVER_NS, NS_PER_MS, NS_PER_S, Kind
from mmlab.kernels.book import book_table
from mmlab.venues.paper import FaultPlan
from mmlab.venues.paper.market import Levels, MarketFeed, instants
from mmlab.venues.paper.network import Chance
from tests.simulator.tapes import ASK, BID, T0, Feed
from tests.venues.helpers import market


def feed_of(events: np.ndarray, plan: FaultPlan | None = None, **options) -> MarketFeed:
    plan = plan or FaultPlan()
    return MarketFeed(events, plan, Chance(plan.seed, 0, NEVER_NS, Counter()), 0, **{"loop": False, **options})


def pulled(feed: MarketFeed, until_ns: int = NEVER_NS - 1) -> list[tuple[int, np.ndarray]]:
    """All arrays up to a time, each pulled when it is due."""
    out = []
    while feed.next_ns <= until_ns and not feed.ended:
        now_ns = feed.next_ns
        out += [(now_ns, rows) for rows in feed.pull(now_ns)]
    return out


def best(events: np.ndarray) -> tuple:
    """Best quotes at the end."""
    row = book_table(np.ascontiguousarray(events))[-1]
    return tuple(int(row[name]) for name in ("bid_ticks", "ask_ticks", "bid_lots", "ask_lots", "valid"))


def test_every_row_comes_once_when_it_is_due():
    events = market().events
    out = pulled(feed_of(events))
    assert np.array_equal(np.concatenate([rows for _, rows in out]), events)
    assert all(rows["local_ns"][-1] == now_ns for now_ns, rows in out)
    assert len(out) > events.size / 2


def test_late_pulls_bring_all_that_is_due_in_one_array():
    events = market().events
    feed, middle_ns = feed_of(events), int(events["local_ns"][events.size // 2])
    (rows,) = feed.pull(middle_ns)
    assert rows.size == np.searchsorted(events["local_ns"], middle_ns, "right")
    assert np.array_equal(feed.pull(NEVER_NS - 1)[0], events[rows.size :])
    assert feed.ended


def test_a_message_is_never_cut():
    tape = Feed()
    tape.add(0, Kind.SNAPSHOT_BEGIN).add(0, Kind.DEPTH, BID, 999, 5).add(0, Kind.DEPTH, ASK, 1001, 5, heard_ms=2)
    tape.add(0, Kind.SNAPSHOT_END, heard_ms=3).depth(5, (BID, 999, 4), (BID, 998, 4))
    tape.trade(9, ASK, 999, 1).depth(9, (BID, 999, 3))
    tape.add(12, Kind.DEPTH, BID, 999, 2, 77).add(12, Kind.DEPTH, ASK, 1001, 2, 77, heard_ms=2).trade(20, BID, 1001, 1)
    assert instants(tape.events).tolist() == [4, 6, 8, 10, 11]
    assert instants(tape.events[:0]).tolist() == []


@pytest.mark.parametrize("at", [0.2, 0.5, 0.8])
def test_a_cut_is_a_gap_and_then_a_snapshot_of_the_levels(at):
    events = market().events
    feed, cut_ns = feed_of(events), int(events["local_ns"][int(at * events.size)]) + 1
    back_ns = cut_ns + 3 * NS_PER_S
    before = [rows for _, rows in pulled(feed, cut_ns)]
    feed.cut(cut_ns)
    (gap,) = feed.pull(cut_ns)
    assert gap["kind"].tolist() == [Kind.GAP]
    assert gap["local_ns"] == cut_ns
    assert feed.next_ns == NEVER_NS
    feed.restore(back_ns)
    snapshot, *after = [rows for _, rows in pulled(feed)]
    assert snapshot["kind"][[0, -1]].tolist() == [Kind.SNAPSHOT_BEGIN, Kind.SNAPSHOT_END]
    seen = events[: np.searchsorted(events["local_ns"], back_ns, "right")]
    assert best(np.concatenate([*before, gap, snapshot])) == best(seen)
    levels = {(int(r["side"]), int(r["price_ticks"])): int(r["size_lots"]) for r in snapshot[1:-1]}
    assert levels == plain_levels(seen)
    whole = np.concatenate([*before, gap, snapshot, *after])
    book = whole[~np.isin(whole["kind"], (Kind.TRADE, Kind.MARK, Kind.FUNDING))]
    assert (np.diff(whole["local_ns"]) >= 0).all()
    assert (np.diff(book["exch_ns"]) >= 0).all()
    assert best(whole) == best(events)
    assert np.array_equal(np.concatenate(after), events[seen.size :])


def plain_levels(events: np.ndarray) -> dict:
    levels: dict = {}
    for row in events:
        if row["kind"] == Kind.SNAPSHOT_BEGIN:
            levels.clear()
        elif row["kind"] == Kind.DEPTH:
            levels[int(row["side"]), int(row["price_ticks"])] = int(row["size_lots"])
    return {level: lots for level, lots in levels.items() if lots}


def test_levels_are_the_same_in_steps_and_order_by_order():
    events, steps, once = market().events, Levels(), Levels()
    for end in range(0, events.size, 997):
        steps.take(events[:end])
    steps.take(events)
    once.take(events)
    assert steps.sizes == once.sizes == plain_levels(events)
    tape = Feed()
    for kind, lots in ((Kind.ADD, 5), (Kind.ADD, 4), (Kind.CANCEL, 2), (Kind.EXECUTE, 3)):
        tape.add(1, kind, BID, 999, lots, 1)
    tape.add(2, Kind.ADD, ASK, 1001, 6, 2).add(3, Kind.CANCEL, ASK, 1001, 6, 2)
    by_order = Levels()
    by_order.take(tape.events)
    assert by_order.sizes == {(BID, 999): 4}


def test_a_snapshot_undoes_what_it_does_not_name():
    tape = Feed().book().add(10, Kind.GAP)
    tape.add(50, Kind.SNAPSHOT_BEGIN).add(50, Kind.DEPTH, BID, 998, 5).add(50, Kind.SNAPSHOT_END)
    tape.depth(60, (ASK, 1003, 2), (BID, 998, 0), (BID, 997, 1))
    steps, once = Levels(), Levels()
    usable = []
    for end in (10, 11, tape.events.size):
        steps.take(tape.events[:end])
        usable.append(steps.usable)
    once.take(tape.events)
    assert steps.sizes == once.sizes == {(ASK, 1003): 2, (BID, 997): 1}
    assert usable == [True, False, True]


def test_a_recordings_own_gap_is_not_healed_by_us():
    tape = Feed().book().add(10, Kind.GAP).trade(30, ASK, 999, 1)
    tape.add(50, Kind.SNAPSHOT_BEGIN).add(50, Kind.DEPTH, BID, 998, 5).add(50, Kind.SNAPSHOT_END)
    feed = feed_of(tape.events)
    pulled(feed, T0 + 5 * NS_PER_MS)
    feed.cut(T0 + 6 * NS_PER_MS)
    feed.restore(T0 + 20 * NS_PER_MS)
    kinds = np.concatenate([rows for _, rows in pulled(feed)])["kind"].tolist()
    assert kinds == [Kind.GAP, Kind.TRADE, Kind.SNAPSHOT_BEGIN, Kind.DEPTH, Kind.SNAPSHOT_END]


def test_a_silence_loses_nothing_and_is_late():
    events = market().events
    feed, hush_ns = feed_of(events), int(events["local_ns"][events.size // 2])
    before = [rows for _, rows in pulled(feed, hush_ns)]
    feed.hush(hush_ns)
    assert feed.next_ns == NEVER_NS
    assert feed.pull(hush_ns + NS_PER_S) == []
    feed.speak(hush_ns + 2 * NS_PER_S)
    after = np.concatenate([rows for _, rows in pulled(feed)])
    assert (after["local_ns"][:10] == hush_ns + 2 * NS_PER_S).all()
    whole = np.concatenate([*before, after])
    assert np.array_equal(whole["exch_ns"], events["exch_ns"])
    assert (np.diff(whole["local_ns"]) >= 0).all()


@pytest.mark.parametrize("plan", [FaultPlan(market_delay_ms=30), FaultPlan(market_delay_ms=3, market_spread_ms=20)])
def test_delays_keep_the_order_of_rows(plan):
    events = market().events
    out = pulled(feed_of(events, plan))
    rows = np.concatenate([rows for _, rows in out])
    assert np.array_equal(rows["exch_ns"], events["exch_ns"])
    late_ms = (rows["local_ns"] - events["local_ns"]) / NS_PER_MS
    assert late_ms.min() >= plan.market_delay_ms
    assert (late_ms.max() > 60) == (plan.market_spread_ms > 0)
    assert (np.diff(rows["local_ns"]) >= 0).all()
    assert all(rows["local_ns"][-1] <= now_ns for now_ns, rows in out)


def test_laps_are_joined_by_a_gap_and_shifted():
    events = market().events
    feed = feed_of(events, loop=True)
    rows = np.concatenate([rows for _, rows in pulled(feed, int(events["local_ns"][0]) + 3 * feed.lap_ns - 1)])
    seam = rows[events.size : events.size + 3]
    assert seam["kind"].tolist() == [Kind.GAP, Kind.SNAPSHOT_BEGIN, Kind.SNAPSHOT_END]
    assert rows.size == 3 * (events.size + 3)
    second = rows[events.size + 3 : 2 * events.size + 3]
    assert np.array_equal(second["local_ns"] - feed.lap_ns, events["local_ns"])
    assert np.array_equal(second["exch_ns"] - feed.lap_ns, events["exch_ns"])
    book = rows[~np.isin(rows["kind"], (Kind.TRADE, Kind.MARK, Kind.FUNDING))]
    assert (np.diff(rows["local_ns"]) >= 0).all()
    assert (np.diff(book["exch_ns"]) >= 0).all()
    assert best(rows[: 2 * events.size + 3]) == best(events)


def test_an_empty_feed_ends_at_once():
    assert feed_of(np.zeros(0, EVENT)).ended
    assert feed_of(np.zeros(0, EVENT), loop=True).ended
