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

BOOK_DELAY_MS = 2
quiet = settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
KINDS = ["depth"] * 8 + ["same"] * 4 + ["trade"] * 12 + ["gap", "snapshot"]
Case = tuple[np.ndarray, list[tuple[int, int, int, int]], Rules]


def tape(rng: np.random.Generator, steps: int) -> np.ndarray:
    """A book of a few levels about 1000 with trades at and through them, on times that often coincide."""
    feed, now, last_heard = Feed().book(0, lots=4), 0, 0
    shown = {(s, 1000 - s * (1 + i)): 4 for i in range(5) for s in (BID, ASK)}
    for _ in range(steps):
        now += int(rng.choice([0, 0, 1, 1, 2, 3, 6]))
        kind, side = rng.choice(KINDS), int(rng.choice([BID, ASK]))
        ticks, lots = 1000 - side * int(rng.integers(-1, 5)), int(rng.integers(0, 10))
        if kind == "trade":
            last_heard = max(last_heard, now + int(rng.choice([1, 2, 5])))
            ticks = 1000 + side * int(rng.integers(-1, 4))
            feed.add(now, Kind.TRADE, side, ticks, 1 + lots, heard_ms=last_heard - now)
            rest = max(0, shown.get((-side, ticks), 0) - 1 - lots)
            if (-side, ticks) in shown and rng.random() < 0.7:
                feed.depth(now, (-side, ticks, rest))
                shown[-side, ticks] = rest
        elif kind == "gap":
            feed.add(now, Kind.GAP)
        elif kind == "snapshot":
            feed.add(now, Kind.SNAPSHOT_BEGIN)
            shown = {(s, 1000 - s * (1 + i)): 1 + lots for i in range(3) for s in (BID, ASK)}
            feed.depth(now, *((s, t, size) for (s, t), size in shown.items()))
            feed.add(now, Kind.SNAPSHOT_END)
        else:
            feed.messages += kind == "depth"
            shown[side, ticks] = lots if lots < 8 else 0
            feed.add(now, Kind.DEPTH, side, ticks, shown[side, ticks], feed.messages)
    feed.add(now + 40, Kind.TRADE, ASK, 1900, 1, heard_ms=5)
    late = BOOK_DELAY_MS * NS_PER_MS
    rows = [row if row[2] == Kind.TRADE else (row[0], row[0] + late, *row[2:]) for row in feed.rows]
    return np.array(sorted(rows, key=lambda row: (row[1], row[2] != Kind.TRADE)), EVENT)


def timetable(rng: np.random.Generator) -> list[tuple[int, int, int, int]]:
    """Quotes from the start, then others."""
    begins = np.cumsum([0, *rng.integers(5, 40, rng.integers(1, 4))])
    rows = [
        (int(begin), side, 1000 - side * (int(rng.integers(0 if side == BID else 1, 4)) + rung), int(lots))
        for begin in begins
        for side in rng.choice([BID, ASK], rng.integers(1, 3), replace=False).tolist()
        for rung, lots in enumerate(rng.integers(0, 8, rng.integers(1, 3)))
    ]
    return rows[:8]


def rules(rng: np.random.Generator) -> Rules:
    """How fills work, how orders travel."""

    def pick(*values: Any) -> Any:
        return values[rng.integers(len(values))]

    return Rules(
        entry_ms=pick(1, 3, 8), response_ms=pick(1, 4, 9), queue=pick("risk_averse", "power", "log"),
        exponent=pick(1.0, 2.0, 3.0), partial=pick(True, False), cross=pick(False, False, True),
        through_only=pick(False, False, False, True), tolerance=pick(1, 1, 2), modify=pick(True, False),
        limit=pick(1000, 1000, 12),
    )  # fmt: skip


def case(seed: int, steps: int) -> Case:
    """A tape, a timetable and rules; fewer steps are the same tape, cut short."""
    rng = np.random.default_rng(seed)
    first, second = rng.spawn(2)
    return tape(first, steps), timetable(second), rules(second)


cases = st.builds(case, st.integers(0, 2**32 - 1), st.integers(1, 80))


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
         int(f["price_ticks"]), int(f["size_lots"]), int(f["fill_kind"]),
         None if np.isnan(f["mid"]) else float(f["mid"]), int(f["position_after_lots"]))
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
@given(cases)
def test_the_replay_is_its_plain_twin(one):
    events, phases, r = one
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

    def fill(self, now: int, order: Order, lots: int, kind: FillKind, mid: float | None) -> None:
        super().fill(now, order, order.leaves if kind == FillKind.THROUGH else lots, kind, mid)


class KeepsItsPlace(Twin):
    """A modify never loses its place."""

    def enter(self, now: int, order: Order, ticks: int, lots: int, kind: str) -> None:
        before = (order.ahead, order.arrival)
        super().enter(now, order, ticks, lots, kind)
        if kind == "modified":
            order.ahead, order.arrival = before


@pytest.mark.parametrize("planted", [JoinsInFront, CountsTradesTwice, NeverCaps, SharesNothing, KeepsItsPlace])
def test_a_planted_bug_is_found(planted):
    found = next(one for one in (case(seed, 80) for seed in range(400)) if unlike(*one, planted))
    assert not unlike(*found)


@quiet
@given(cases)
def test_what_every_replay_conserves(one):
    events, phases, r = one
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
@given(cases)
def test_the_same_run_gives_the_same_bytes(one):
    events, phases, r = one
    assert events.dtype == EVENT and events["local_ns"].min() >= T0
    a, b = ours(events, phases, r), ours(events.copy(), phases, r)
    for name in ("fills", "orders", "decisions", "targets", "gates", "metrics"):
        first, second = getattr(a, name), getattr(b, name)
        for column in first.dtype.names:  # not the padding between columns, which nobody writes
            assert first[column].tobytes() == second[column].tobytes(), f"{name}.{column}"
    assert a.counters == b.counters
