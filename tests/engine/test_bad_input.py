"""Nonsense on every inbound path: counted, logged once a kind, and what is true beside it counts as if alone."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import numpy as np
import pytest

from mmlab.engine import inbound as module
from mmlab.engine.inbound import MOST, Inbound
from mmlab.events import EVENT, NEVER_NS, NO_PRICE, Kind
from mmlab.exchange import (
    Accepted,
    AccountView,
    Fill,
    FillUpdate,
    Linked,
    NotSent,
    OrderUpdate,
    OrderView,
    PositionUpdate,
    Rejected,
    Status,
    Unanswered,
    Unlinked,
)
from mmlab.venues.paper import FaultPlan, junk
from tests.engine.driving import same_bits
from tests.engine.rig import Outcome, cut, play, quick

NAN: Any = math.nan
NOTHING: Any = None
ANYTHING: tuple[Any, ...] = (
    None, {}, {"type": "ping"}, [], "pong", b"\x00", 0, math.nan, -1, object(), (0,) * 1000, {"orders": [{}] * 1000},
    Accepted, ValueError("x"), True,
)  # fmt: skip
NOW_NS = 10**18


@pytest.fixture
def reports() -> list[tuple[str, str]]:
    return []


@pytest.fixture
def door(reports: list[tuple[str, str]]) -> Inbound:
    return Inbound(lambda kind, detail: reports.append((kind, detail)))


def rows(n: int = 1, **changes: Any) -> Any:
    """`n` depth rows; each change is one value, or one a row."""
    table = np.zeros(n, EVENT)
    table[:] = (NOW_NS - 5, NOW_NS - 1, int(Kind.DEPTH), 1, 1000, 1, 0)
    for name, value in changes.items():
        table[name] = value
    return table


# --- One message -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["market", "account", "view", "nonce", "reply"])
def test_anything_is_left_out_on_every_path(door: Inbound, reports: list[tuple[str, str]], path: str) -> None:
    things = [thing for thing in ANYTHING if not (path == "nonce" and type(thing) is int and thing >= 0)]
    for thing in things:
        arguments = (thing, NOW_NS) if path == "market" else (thing,)
        assert not getattr(door, path)(*arguments)
    assert sum(door.counts.values()) == len(things)
    assert len(reports) == len(door.counts)
    assert all(kind.startswith(path) for kind, _ in reports)
    assert all(len(detail) <= 200 for _, detail in reports)


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": 255}, {"side": 0}, {"side": 7}, {"size_lots": -1}, {"size_lots": 1 << 62}, {"price_ticks": NO_PRICE},
        {"price_ticks": -5}, {"price_ticks": 1 << 62}, {"local_ns": -1}, {"local_ns": NEVER_NS},
        {"local_ns": NOW_NS + 1}, {"exch_ns": -NEVER_NS}, {"exch_ns": NEVER_NS},
    ],
)  # fmt: skip
def test_bad_rows_are_left_out_and_their_neighbours_kept(door: Inbound, changes: dict[str, int]) -> None:
    table = rows(5)
    for name, value in changes.items():
        table[name][2] = value
    kept = door.market(table, NOW_NS)
    assert isinstance(kept, np.ndarray)
    assert same_bits(kept, rows(4))
    assert sum(door.counts.values()) == 1
    assert door.market(rows(1, **changes), NOW_NS) is None


def test_time_never_runs_back(door: Inbound) -> None:
    assert door.market(rows(2), NOW_NS) is not None
    assert door.market(rows(1, local_ns=NOW_NS - 2), NOW_NS) is None
    kept = door.market(rows(3, local_ns=(NOW_NS - 1, NOW_NS - 3, NOW_NS)), NOW_NS)
    assert isinstance(kept, np.ndarray)
    assert kept["local_ns"].tolist() == [NOW_NS - 1, NOW_NS]
    assert door.counts == {"market: time runs back": 2}


def test_giant_frames_are_left_out(door: Inbound, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_ROWS", 10)
    monkeypatch.setattr(module, "MOST_ORDERS", 10)
    assert door.market(rows(11), NOW_NS) is None
    assert door.market(rows(10), NOW_NS) is not None
    order = OrderView(1, 1, 1, 1000, 1)
    assert door.view(AccountView((order,) * 11, (), 0, 0, ())) is None
    assert door.view(AccountView((order,) * 10, (), 0, 0, ())) is not None


@pytest.mark.parametrize("table", [np.zeros((1, 1), EVENT), np.zeros(2, "i8"), np.full(3, math.nan), rows(1)[0]])
def test_other_arrays_are_left_out(door: Inbound, table: Any) -> None:
    assert door.market(table, NOW_NS) is None
    assert door.counts == {"market: unknown message": 1}


def test_read_only_and_strided_rows_are_fine(door: Inbound) -> None:
    table = rows(6)
    table.flags.writeable = False
    kept = door.market(table[::2], NOW_NS)
    assert isinstance(kept, np.ndarray)
    assert kept.flags.writeable
    assert kept.flags.c_contiguous
    assert kept.size == 3


ORDER = OrderView(7, 1, 1, 1000, 5)
FILL = Fill(3, 7, 1, 1000, 2)


def but(struct: Any, **changes: Any) -> Any:
    """A copy with changed fields, unchecked."""
    fields = {name: getattr(struct, name) for name in struct.__struct_fields__}
    return type(struct)(**{**fields, **changes})


@pytest.mark.parametrize(
    "message",
    [
        *(OrderUpdate(but(ORDER, **{name: value})) for name, value in (
            ("side", 0), ("side", 2), ("side", "x"), ("price_ticks", 0), ("price_ticks", NAN), ("price_ticks", MOST),
            ("price_ticks", 10.5), ("size_lots", -1), ("size_lots", NAN), ("filled_lots", 6), ("filled_lots", -1),
            ("client_id", -1), ("client_id", None), ("order_index", -1), ("status", "happy"), ("status", None),
        )),
        *(FillUpdate(but(FILL, **{name: value})) for name, value in (
            ("trade_id", 0), ("trade_id", -3), ("trade_id", MOST), ("trade_id", NAN), ("side", 0), ("size_lots", 0),
            ("size_lots", -2), ("size_lots", MOST), ("price_ticks", 0), ("price_ticks", NAN), ("taker", "x"),
        )),
        OrderUpdate(NOTHING), FillUpdate(NOTHING), PositionUpdate(NAN), PositionUpdate(NOTHING), PositionUpdate(MOST),
        PositionUpdate(-MOST), Linked(0), Linked(-1), Linked(NOTHING), Linked(NAN), Unlinked(0), Unlinked(NOTHING),
        Status(NOTHING),
    ],
)  # fmt: skip
def test_absurd_account_messages_are_left_out(door: Inbound, message: Any) -> None:
    assert door.account(message) is None
    assert sum(door.counts.values()) == 1


@pytest.mark.parametrize(
    "message",
    [OrderUpdate(ORDER), FillUpdate(FILL), PositionUpdate(-5), Linked(1), Unlinked(1, "x"), Status(trading=False)],
)
def test_sane_account_messages_pass(door: Inbound, message: Any) -> None:
    assert door.account(message) is message
    assert not door.counts


@pytest.mark.parametrize(
    "changes",
    [
        {"position_lots": NAN}, {"position_lots": None}, {"position_lots": MOST}, {"last_trade_id": -1},
        {"last_trade_id": NAN}, {"orders": None}, {"orders": (None,)}, {"orders": ({},)},
        {"orders": (but(ORDER, side=0),)}, {"fills": ({},)}, {"fills": (but(FILL, size_lots=-1),)},
        {"nonces": ((0,),)}, {"nonces": ((0, -1),)}, {"nonces": None}, {"nonces": ((0, NAN),)}, {"nonces": ((-1, 0),)},
        {"complete": "yes"}, {"quota_left": -2},
    ],
)  # fmt: skip
def test_absurd_views_are_left_out_whole(door: Inbound, changes: dict[str, Any]) -> None:
    view = AccountView((ORDER,), (FILL,), 3, 2, ((0, 1),))
    assert door.view(view) is view
    assert door.view(but(view, **changes)) is None
    assert sum(door.counts.values()) == 1


@pytest.mark.parametrize(
    "reply",
    [Accepted(NAN), Accepted("x"), Accepted(-2), Rejected(NOTHING), Rejected(NAN), Rejected(5, "", -1), Linked(1)],  # type: ignore[arg-type]
)
def test_absurd_replies_tell_nothing(door: Inbound, reply: Any) -> None:
    """A refusal that contradicts itself is not believed: its nonce may be used up."""
    assert not door.reply(reply)
    assert sum(door.counts.values()) == 1


@pytest.mark.parametrize("reply", [Accepted(), Accepted(0), Rejected(5, "x", 0), Unanswered(), NotSent("x")])
def test_sane_replies_pass(door: Inbound, reply: Any) -> None:
    assert door.reply(reply)
    assert not door.counts


@pytest.mark.parametrize("nonce", [-1, MOST, 1.0, math.nan, "7", None, True])
def test_absurd_nonces_are_left_out(door: Inbound, nonce: Any) -> None:
    assert door.nonce(nonce) is None
    assert door.nonce(0) == 0
    assert door.nonce(7) == 7


@pytest.mark.parametrize("seed", range(20))
def test_all_junk_of_the_paper_venue_is_seen(seed: int) -> None:
    """On every path but true ones: a status is only for the feeds, an int only a nonce."""
    rng = np.random.Generator(np.random.PCG64(seed))
    door = Inbound(lambda *_: None)
    view = AccountView((ORDER,), (FILL,), 3, 2, ((0, 1),))
    for _ in range(50):
        assert door.market(junk.market(rng, NOW_NS), NOW_NS) is None
        assert door.account(junk.account(rng)) is None
        assert not door.reply(junk.reply(rng))
        assert door.view(junk.view(rng, view)) is None
    assert sum(door.counts.values()) == 200


# --- A session -------------------------------------------------------------------------------------------------------


def session(**faults: Any) -> Outcome:
    return play(
        cut(300, 380), quick(strategy__rungs=2, execution__waits__reconcile_s=1.0), faults=FaultPlan(seed=5, **faults)
    )


@pytest.fixture(scope="module")
def clean() -> Outcome:
    return session()


@pytest.mark.parametrize("path", ["junk_market", "junk_account"])
def test_junk_beside_the_truth_changes_nothing(clean: Outcome, path: str) -> None:
    outcome = session(**{path: 0.5})
    check_bad_input(outcome)
    outcome.check_settled()
    assert outcome.truth.trades == clean.truth.trades
    for name in ("decisions", "targets", "orders", "fills", "inputs", "gates"):
        assert outcome.tables.rows.keys() == clean.tables.rows.keys()
        if clean.tables.rows[name]:
            assert same_bits(outcome.tables[name], clean.tables[name]), name


@pytest.mark.parametrize("path", ["junk_reply", "junk_view"])
def test_junk_in_place_of_an_answer_is_no_answer(path: str) -> None:
    outcome = session(**{path: 0.3}, until_s=60)
    check_bad_input(outcome)
    outcome.check_settled()
    outcome.check_reproduced()


def check_bad_input(outcome: Outcome) -> None:
    """Counted, and logged once a kind."""
    counts = outcome.engine.inbound.counts
    assert sum(counts.values()) >= 3
    logged = Counter(line["kind"] for line in outcome.log.of("bad_input"))
    assert set(logged) == set(counts)
    assert set(logged.values()) == {1}
