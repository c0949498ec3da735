"""The replay against its plain twin, transition by transition, on random tapes; and what holds on every tape."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mmlab.events import EVENT, NS_PER_MS, FillKind, Kind, OrderState
from mmlab.simulator import Latency, Replay
from tests.simulator.tapes import ASK, BID, INSTRUMENT, T0, Feed, ms, run
from tests.simulator.twin import Order, Rules, Twin
from tests.tapes import find_any

BOOK_DELAY_MS = 2
quiet = settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
STEP = st.tuples(
    st.sampled_from([0, 0, 1, 1, 2, 3, 6]),
    st.sampled_from(["depth"] * 5 + ["same"] * 2 + ["trade"] * 6 + ["gap", "snapshot"]),
    st.sampled_from([BID, ASK]),
    st.integers(0, 6),
    st.integers(0, 9),
    st.sampled_from([1, 2, 5]),
)


@st.composite
def tapes(draw: Any) -> np.ndarray:
    """A book of a few levels about 1000 with trades at and through them, on times that often coincide."""
    feed, now, delay = Feed().book(0, lots=4), 0, 0
    for dt, kind, side, distance, lots, heard_ms in draw(st.lists(STEP, min_size=5, max_size=60)):
        now += dt
        ticks = 1000 - side * (distance - 2)
        if kind == "trade":
            delay = max(delay - dt, heard_ms)
            feed.add(now, Kind.TRADE, side, ticks, 1 + lots, heard_ms=delay)
            continue
        delay = max(delay - dt, 0)
        if kind == "gap":
            feed.add(now, Kind.GAP, heard_ms=BOOK_DELAY_MS)
        elif kind == "snapshot":
            levels = [(s, 1000 - s * (1 + i), lots) for i in range(distance) for s in (BID, ASK)]
            feed.add(now, Kind.SNAPSHOT_BEGIN, heard_ms=BOOK_DELAY_MS)
            feed.messages += 1
            for s, t, size in levels:
                feed.add(now, Kind.DEPTH, s, t, size, feed.messages, BOOK_DELAY_MS)
            feed.add(now, Kind.SNAPSHOT_END, heard_ms=BOOK_DELAY_MS)
        else:
            feed.messages += kind == "depth"
            feed.add(now, Kind.DEPTH, side, ticks, lots if lots < 8 else 0, feed.messages, BOOK_DELAY_MS)
    feed.rows = [(*row[:1], row[0] + BOOK_DELAY_MS * NS_PER_MS, *row[2:]) if row[2] != Kind.TRADE else row
                 for row in feed.rows]  # fmt: skip
    feed.add(now + 40, Kind.TRADE, ASK, 1900, 1, heard_ms=delay + 1)
    feed.rows.sort(key=lambda row: (row[1], row[2] != Kind.TRADE))
    return feed.events


@st.composite
def timetables(draw: Any) -> list[tuple[int, int, int, int]]:
    """Quotes from the start, then others."""
    rows, begins = [], 0
    for _ in range(draw(st.integers(1, 3))):
        prices = {BID: draw(st.integers(996, 1000)), ASK: draw(st.integers(1001, 1004))}
        for side in draw(st.sampled_from([(BID,), (ASK,), (BID, ASK)])):
            for rung in range(draw(st.integers(1, 2))):
                rows.append((begins, side, prices[side] - side * rung, draw(st.integers(0, 7))))
        begins += draw(st.integers(5, 40))
    return rows[:8]


@st.composite
def rules(draw: Any) -> Rules:
    """How fills work, how orders travel."""
    return Rules(
        entry_ms=draw(st.sampled_from([1, 3, 8])), response_ms=draw(st.sampled_from([1, 4, 9])),
        queue=draw(st.sampled_from(["risk_averse", "power", "log"])), exponent=draw(st.sampled_from([1.0, 2.0, 3.0])),
        partial=draw(st.booleans()), cross=draw(st.booleans()), through_only=draw(st.sampled_from([False] * 4 + [True])),
        tolerance=draw(st.sampled_from([1, 1, 2])), modify=draw(st.booleans()),
        limit=draw(st.sampled_from([1000, 1000, 12])),
    )  # fmt: skip


def ours(events: np.ndarray, phases: list, r: Rules, **options: Any) -> Replay:
    """The replay under the same rules."""
    changes = {
        "execution.refresh_tolerance_ticks": r.tolerance, "execution.replace": "modify" if r.modify else "cancel_place",
        "risk.max_position": INSTRUMENT.to_size(r.limit),
    }  # fmt: skip
    return run(
        events, phases, latency=Latency(r.entry_ms, r.response_ms), changes=changes, queue=r.queue,
        queue_exponent=r.exponent, partial_fills=r.partial, fill_on_cross=r.cross, through_only=r.through_only,
        **options,
    )  # fmt: skip


def fills_of(result: Replay) -> list[tuple]:
    return [
        (ms(f["exch_ns"]), ms(f["local_ns"]), int(f["client_order_id"]), int(f["side"]), int(f["rung"]),
         int(f["price_ticks"]), int(f["size_lots"]), int(f["fill_kind"]), None if np.isnan(f["mid"]) else float(f["mid"]),
         int(f["position_after_lots"]))
        for f in result.fills
    ]  # fmt: skip


def transitions_of(result: Replay) -> list[tuple]:
    return [
        (ms(o["local_ns"]), ms(o["exch_ns"]) if o["exch_ns"] else 0, int(o["client_order_id"]), int(o["state"]),
         int(o["side"]), int(o["rung"]), int(o["price_ticks"]), int(o["size_lots"]), int(o["filled_lots"]),
         int(o["reason"]))
        for o in result.orders
    ]  # fmt: skip


def unlike(events: np.ndarray, phases: list, r: Rules, twin: type[Twin] = Twin) -> bool:
    """Whether replay and twin differ."""
    result, plain = ours(events, phases, r), twin(events, phases, r).play()
    return fills_of(result) != plain.fills or transitions_of(result) != plain.transitions


@quiet
@given(tapes(), timetables(), rules())
def test_the_replay_is_its_plain_twin(events, phases, r):
    result, plain = ours(events, phases, r), Twin(events, phases, r).play()
    assert transitions_of(result) == plain.transitions
    assert fills_of(result) == plain.fills
    assert result.position_lots == plain.position


class JoinsInFront(Twin):
    """Forgets the displayed size at arrival."""

    def enter(self, now: int, order: Order, ticks: int, lots: int, kind: str) -> None:
        super().enter(now, order, ticks, lots, kind)
        order.ahead = 0.0


class CountsTradesTwice(Twin):
    """A trade and its own depth decrease both reduce what is ahead."""

    def level_changed(self, order: Order) -> None:
        order.traded = 0
        super().level_changed(order)


class NeverCaps(Twin):
    """What is ahead is not capped by the displayed size."""

    def level_changed(self, order: Order) -> None:
        before = order.ahead
        super().level_changed(order)
        order.ahead = before


class SharesNothing(Twin):
    """Each of our orders takes the whole trade."""

    def fill(self, now: int, order: Order, ticks: int, lots: int, kind: FillKind) -> None:
        if kind == FillKind.THROUGH:
            lots = order.leaves
        super().fill(now, order, ticks, lots, kind)


class KeepsItsPlace(Twin):
    """A modify never loses its place."""

    def enter(self, now: int, order: Order, ticks: int, lots: int, kind: str) -> None:
        before = (order.ahead, order.arrival)
        super().enter(now, order, ticks, lots, kind)
        if kind == "modified":
            order.ahead, order.arrival = before


@pytest.mark.parametrize("planted", [JoinsInFront, CountsTradesTwice, NeverCaps, SharesNothing, KeepsItsPlace])
def test_a_planted_bug_is_found(planted):
    found = find_any(st.tuples(tapes(), timetables(), rules()), lambda case: unlike(*case, planted))
    assert not unlike(*found)


@quiet
@given(tapes(), timetables(), rules())
def test_what_every_replay_conserves(events, phases, r):
    result = ours(events, phases, r)
    f = result.fills
    signed = f["side"].astype(np.int64) * f["size_lots"]
    assert (np.cumsum(signed) == f["position_after_lots"]).all()
    assert (f["position_before_lots"] + signed == f["position_after_lots"]).all()
    assert result.position_lots == signed.sum()
    account = result.state["account"][0]
    value = (signed * f["price_ticks"]).sum() * INSTRUMENT.lot_size * INSTRUMENT.tick_size
    assert account["position_lots"] == result.position_lots
    assert account["cash"] == pytest.approx(-value, abs=1e-9)
    assert account["fees"] == pytest.approx(f["fee"].sum(), abs=1e-9)
    assert (np.abs(f["position_after_lots"]) <= r.limit).all()
    check_volume(events, f, partial=r.partial)
    check_orders(result)


def check_volume(events: np.ndarray, fills: np.ndarray, *, partial: bool) -> None:
    """Every fill by a trade has a trade, and with partial fills those of a time never exceed what traded then."""
    trades = events[events["kind"] == Kind.TRADE]
    by_trade = fills[np.isin(fills["fill_kind"], (FillKind.QUEUE, FillKind.THROUGH))]
    for at, side in {(int(f["exch_ns"]), int(f["side"])) for f in by_trade}:
        then = trades[(trades["exch_ns"] == at) & (trades["side"] == -side)]
        hit = by_trade[(by_trade["exch_ns"] == at) & (by_trade["side"] == side)]
        assert then.size > 0
        if partial:
            assert hit["size_lots"].sum() <= then["size_lots"].sum()
            for price in set(hit["price_ticks"][hit["fill_kind"] == FillKind.QUEUE].tolist()):
                queued = hit[(hit["fill_kind"] == FillKind.QUEUE) & (hit["price_ticks"] == price)]
                assert queued["size_lots"].sum() <= then["size_lots"][then["price_ticks"] == price].sum()


def check_orders(result: Replay) -> None:
    """Every order ends once, with what its fills add up to."""
    late = result.orders["reason"] == 4
    for order_id in range(result.counters["placed"]):
        rows = result.orders[(result.orders["client_order_id"] == order_id) & ~late]
        ends = rows[rows["state"] >= OrderState.FILLED]
        assert len(ends) == 1 and rows["state"][-1] == ends["state"][0]
        lots = result.fills["size_lots"][result.fills["client_order_id"] == order_id].sum()
        assert ends["filled_lots"][0] == lots <= ends["size_lots"][0]
        assert (ends["state"][0] == OrderState.FILLED) == (lots == ends["size_lots"][0])


@settings(quiet, max_examples=25)
@given(tapes(), timetables(), rules())
def test_the_same_run_gives_the_same_bytes(events, phases, r):
    assert events.dtype == EVENT and events["local_ns"].min() >= T0
    a, b = ours(events, phases, r), ours(events.copy(), phases, r)
    for name in ("fills", "orders", "decisions", "targets", "gates", "metrics"):
        assert getattr(a, name).tobytes() == getattr(b, name).tobytes(), name
    assert a.counters == b.counters
