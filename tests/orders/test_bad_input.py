"""Nonsense from venue, signer, strategy or shell: counted, reported, never raised, and nothing is believed of it."""

from __future__ import annotations

from random import Random

import msgspec
import pytest

from mmlab.events import NO_PRICE
from mmlab.exchange import TxKind
from mmlab.orders import OrderManager
from mmlab.orders import events as e
from mmlab.orders.commands import Anomaly, Query, Send, Sign, Trip
from tests.orders.helpers import ASK, BACKOFF, BID, START_NS, Desk, S, full_queries, of, quote, sent, signed
from tests.orders.nonsense import FIELDS, JUNK, JUNK_SIDES
from tests.orders.swarm import settings as draw_settings

NAN = float("nan")


def kinds(said: list) -> list[str]:
    return [c.kind for c in of(said, Anomaly)]


def one_live() -> tuple[Desk, e.OrderView]:
    desk = Desk()
    (view,) = desk.accept(desk.targets(quote(BID, 999)))
    return desk, view


@pytest.mark.parametrize("thing", [None, "Ack", 7, {"type": "Kill"}, object(), [], e.Fill(1, 1, 1, 1, 1)])
def test_what_is_no_event_is_counted(thing):
    desk, view = one_live()
    said = desk.om.handle(thing)
    assert kinds(said) == ["bad_event"]
    assert desk.state(view) == "LIVE"


@pytest.mark.parametrize(("kind", "field"), [(kind, field) for kind in FIELDS for field in FIELDS[kind]])
def test_no_field_of_any_event_may_be_anything(kind, field):
    """Every field that matters, with everything that it cannot be: one report each, the order and position stand."""
    for junk in JUNK_SIDES if field == "side" else JUNK:
        desk, view = one_live()
        now = desk.now_ns
        fill = e.Fill(1, view.client_id, BID, 999, 1)
        tx = desk.order(view).place.tx_id
        sound = {
            e.Top: e.Top(now, 999, 1001), e.Ack: e.Ack(now, tx), e.Refused: e.Refused(now, tx, BACKOFF),
            e.Unclear: e.Unclear(now, tx), e.SendFailed: e.SendFailed(now, tx), e.Signed: e.Signed(now, tx, 0),
            e.SignFailed: e.SignFailed(now, tx, 0), e.PositionReport: e.PositionReport(now, 3),
            e.NonceReport: e.NonceReport(now, 1, 0, 5), e.QueryFailed: e.QueryFailed(now, 1),
            e.LinkUp: e.LinkUp(now, 1), e.Configure: e.Configure(now, desk.settings), e.Timer: e.Timer(now),
            e.CancelAll: e.CancelAll(now), e.Snapshot: e.Snapshot(now, 1, 1, (), (), 0, 0, ((0, 7),)),
            e.OrderView: view, e.Fill: fill, e.Quote: quote(BID, 999),
        }[kind]  # fmt: skip
        bad = msgspec.structs.replace(sound, **{field: junk})
        event = {
            e.OrderView: lambda it: e.OrderReport(0, it), e.Fill: lambda it: e.Trade(0, it),
            e.Quote: lambda it: e.Targets(0, (it, quote(BID, 999))),
        }.get(kind, lambda it: it)(bad)  # fmt: skip
        said = desk.om.handle(event)
        assert len(kinds(said)) == 1, (junk, said)
        assert kinds(said)[0].startswith("bad_"), (junk, said)
        assert desk.om.position_lots == 0
        if kind is not e.CancelAll:  # which counts whatever its time
            assert desk.state(view) == "LIVE"
        assert desk.om.state.counts[kinds(said)[0]] == 1


def test_the_operator_is_heard_whatever_the_time():
    desk, view = one_live()
    said = desk.om.handle(e.Kill(NAN))
    assert signed(said, TxKind.CANCEL)[0].client_id == view.client_id
    assert desk.om.state.halted


@pytest.mark.parametrize("top", [(1001, 999), (1000, 1000), (0, 5), (-3, 4), (NAN, 1001), ("999", 1001)])
def test_a_book_that_cannot_be_is_none(top):
    desk = Desk()
    assert kinds(desk.tell(e.Top(0, *top))) == ["bad_book"]
    assert not signed(desk.targets(quote(BID, 999)))
    desk.tell(e.Top(0, 999, 1001))
    assert signed(desk.said)


def test_a_one_sided_book_is_no_nonsense():
    desk = Desk()
    assert not kinds(desk.tell(e.Top(0, NO_PRICE, 1001)))


def test_quotes_that_cannot_be_are_left_out():
    desk = Desk()
    bad = (quote(0, 998), quote(BID, -5), quote(BID, NAN), quote(ASK, 1002, NAN), quote(ASK, 1003, rung=99), None)
    said = desk.tell(e.Targets(0, (*bad, quote(BID, 999))))
    assert kinds(said) == ["bad_quote"]
    assert [(tx.side, tx.price_ticks) for tx in signed(said)] == [(BID, 999)]


def test_a_malformed_answer_is_an_unclear_one():
    desk = Desk()
    (tx,) = sent(desk.targets(quote(BID, 999)), TxKind.PLACE, desk)
    desk.tell(e.Refused(0, tx.tx_id, {"code": 21120}))
    assert desk.state(tx) == "UNKNOWN"
    assert full_queries(desk.said + desk.wait(S))


def test_an_absurd_wait_does_not_stop_us_for_ever():
    desk = Desk()
    (tx,) = sent(desk.targets(quote(BID, 999)), TxKind.PLACE, desk)
    said = desk.tell(e.Refused(0, tx.tx_id, BACKOFF, "", 1 << 61))
    assert kinds(said) == ["bad_reply"]
    assert desk.state(tx) == "REJECTED"
    assert signed(desk.wait(20 * S), TxKind.PLACE)


def test_an_answer_to_what_has_not_left_is_none():
    """Found by the swarm: the transaction was forgotten, and its time-out raised."""
    desk = Desk()
    (tx,) = signed(desk.targets(quote(BID, 999), sign=False))
    for event in (
        e.Ack(0, tx.tx_id),
        e.Refused(0, tx.tx_id, BACKOFF),
        e.Unclear(0, tx.tx_id),
        e.SendFailed(0, tx.tx_id),
    ):
        assert kinds(desk.tell(event)) == ["early_reply"]
    desk.tell(e.Signed(0, tx.tx_id, 0))
    assert desk.state(tx) == "SENT"


def test_a_trade_that_the_venue_knows_nothing_of_does_not_count_for_long():
    desk, view = one_live()
    desk.tell(e.Trade(0, e.Fill(1 << 61, view.client_id, BID, 999, 2)))
    assert desk.om.position_lots == 2
    desk.wait(31 * S)
    said = desk.view(view)
    assert "trade_without_trace" in kinds(said)
    assert desk.om.position_lots == 0
    assert desk.order(view).left_lots == 5


def test_views_that_end_before_what_we_know_are_believed_in_the_end():
    """One view with an absurd trade id must not blind us for good; a node that is behind is not believed at once."""
    desk, view = one_live()
    desk.wait(31 * S)
    desk.view(view, last_trade_id=1 << 61)
    desk.wait(31 * S)
    for n in range(3):
        said = desk.view(view, position_lots=4)
        assert kinds(said)[0] == "old_view"
        assert bool(of(said, Trip)) == (n == 2)
    assert desk.om.position_lots == 4
    desk.trade(view, 1, trade_id=1)
    assert desk.om.position_lots == 5


def test_orders_of_others_may_look_as_they_like():
    desk, view = one_live()
    desk.wait(31 * S)
    odd = e.OrderView(4711, 5, 0, 0, 0, 9, "trigger")
    assert not kinds(desk.view(view, odd))
    assert desk.state(view) == "LIVE"


def test_a_view_with_a_hole_is_none():
    desk, view = one_live()
    desk.wait(31 * S)
    said = desk.view(msgspec.structs.replace(view, price_ticks=NAN))
    assert kinds(said) == ["bad_view"]
    assert desk.state(view) == "LIVE"
    assert full_queries(said + desk.wait(S))


def test_an_order_of_ours_on_the_other_side_is_not_believed():
    desk, view = one_live()
    other = msgspec.structs.replace(view, side=ASK, seq=9)
    assert kinds(desk.report(other)) == ["bad_report"]
    assert kinds(desk.tell(e.Trade(0, e.Fill(1, view.client_id, ASK, 999, 2)))) == ["bad_trade"]
    assert (desk.om.position_lots, desk.state(view)) == (0, "LIVE")
    assert full_queries(desk.wait(3 * S))


def lie(rng: Random, om: OrderManager, now: int) -> e.AnyEvent:
    """A well-formed event that need not be true."""
    s = om.state

    def number() -> int:
        return rng.choice((0, 1, 2, 3, 5, 7, 999, 1000, 1001, 1 << 20, 1 << 61))

    def client_id() -> int:
        return rng.choice([*s.orders.known, (1 << 48) - 1, 1 << 47, number()])

    def tx_id() -> int:
        return rng.choice([*s.txs, number()])

    def query_id() -> int:
        return rng.choice([s.query[0] if s.query else 0, *s.queries, number()])

    def view() -> e.OrderView:
        size = number()
        status = rng.choice(("open", "open", "filled", "canceled", "rejected", "expired"))
        return e.OrderView(
            client_id(), number(), rng.choice((1, -1)), number(), size, min(size, number()), status, number()
        )

    def fill() -> e.Fill:
        return e.Fill(1 + number(), client_id(), rng.choice((1, -1)), number(), 1 + number(), number())

    def some(make) -> tuple:
        return tuple(make() for _ in range(rng.choice((0, 1, 4))))

    return rng.choice((
        lambda: e.Top(now, 999, 1001), lambda: e.Top(now, number(), number()), lambda: e.Timer(now),
        lambda: e.Targets(now, tuple(quote(side, 1000 - side, 1 + number()) for side in (1, -1))),
        lambda: e.LinkUp(now, number()), lambda: e.LinkDown(now, s.epoch), lambda: e.Signed(now, tx_id(), 0),
        lambda: e.Signed(now, tx_id(), rng.choice((0, 1))), lambda: e.SignFailed(now, tx_id(), 0),
        lambda: e.SendFailed(now, tx_id()), lambda: e.Ack(now, tx_id(), number()),
        lambda: e.Refused(now, tx_id(), rng.randrange(8), "", number()), lambda: e.Unclear(now, tx_id()),
        lambda: e.OrderReport(now, view()), lambda: e.OrderReport(now, view()), lambda: e.Trade(now, fill()),
        lambda: e.PositionReport(now, number()), lambda: e.QueryFailed(now, query_id()),
        lambda: e.NonceReport(now, query_id(), rng.choice((0, 5, 9)), number()),
        lambda: e.Snapshot(
            now, query_id(), s.epoch, some(view), some(fill), number(), number() - number(),
            ((0, number()), (5, number())), rng.random() < 0.7,
        ),
        lambda: e.Rearm(now), lambda: e.CancelAll(now), lambda: e.ReduceOnly(now, rng.random() < 0.5),
    ))()  # fmt: skip


class Liar:
    """A venue that mostly does what it should, and at times says anything."""

    def __init__(self, seed: int) -> None:
        self.rng = Random(seed)
        self.share = self.rng.choice((0.02, 0.1, 0.3))
        self.settings = draw_settings(self.rng)
        self.om, self.now = OrderManager(self.settings, START_NS), START_NS
        self.log: list[tuple[e.AnyEvent, list]] = []
        self.signs: dict[tuple[int, int], Sign] = {}
        self.open: dict[int, e.OrderView] = {}
        self.nonces = dict.fromkeys((*self.settings.venue.quote_keys, *self.settings.venue.cancel_keys), 0)
        self.honest: list[e.AnyEvent] = []
        self.placed: set[int] = set()
        self.halted = False

    def tell(self, event: e.AnyEvent) -> None:
        event = msgspec.structs.replace(event, ts_ns=self.now)
        said = self.om.handle(event)
        self.log.append((event, said))
        self.halted = (self.halted or type(event) is e.Kill) and type(event) is not e.Rearm
        assert len(said) < 200
        due = self.om.next_deadline()
        assert due is None or due >= self.now
        for command in said:
            if type(command) is Sign:
                self.signs[command.tx_id, command.round] = command
                self.honest.append(e.Signed(0, command.tx_id, command.round))
            elif type(command) is Send:
                self.execute(self.signs[command.tx_id, command.round])
            elif type(command) is Query and command.what == "nonce":
                self.honest.append(e.NonceReport(0, command.query_id, command.key, self.nonces[command.key]))
            elif type(command) is Query:
                self.honest.append(
                    e.Snapshot(
                        0, command.query_id, self.om.state.epoch, tuple(self.open.values()), (), 0, 0,
                        tuple(self.nonces.items()),
                    )
                )  # fmt: skip

    def execute(self, tx: Sign) -> None:
        """What the venue would do; and what it must never be asked to do."""
        if tx.kind == TxKind.PLACE:
            assert tx.client_id not in self.placed
            assert not self.halted
            self.placed.add(tx.client_id)
            view = e.OrderView(tx.client_id, len(self.placed), tx.side, tx.price_ticks, tx.size_lots, 0, "open", 1)
            self.open[tx.client_id] = view
        elif tx.client_id in self.open and tx.kind == TxKind.CANCEL:
            view = msgspec.structs.replace(self.open.pop(tx.client_id), status="canceled", seq=99)
        else:
            view = None
        self.nonces[tx.key] = tx.nonce + 1
        self.honest += [e.Ack(0, tx.tx_id), *([e.OrderReport(0, view)] if view is not None else [])]

    def step(self) -> None:
        rng = self.rng
        self.now += rng.choice((0, 1, 10**6, 10**8))
        if rng.random() < self.share:
            self.tell(e.Kill(0) if rng.random() < 0.03 else lie(rng, self.om, self.now))
        elif self.honest:
            self.tell(self.honest.pop(0))
        else:
            due = self.om.next_deadline() or 0
            self.now = max(self.now, min(due, self.now + 10**9))
            mid = rng.choice((1000, 1001, 1003))
            quotes = tuple(quote(side, mid - side, rng.choice((1, 3)), 0) for side in (1, -1))
            healthy = (e.Timer(0), e.Top(0, mid - 1, mid + 1), e.Targets(0, quotes), e.LinkUp(0, 1 + len(self.log)))
            self.tell(rng.choices((*healthy, e.Rearm(0)), (3, 3, 6, not self.om.state.linked, 1))[0])


def test_nothing_that_a_liar_says_raises_or_makes_us_repeat_ourselves():
    """Well-formed lies: no exception, no flood, no client id twice, nothing placed while halted, same replay."""
    placed = 0
    for seed in range(60):
        liar = Liar(seed)
        liar.tell(e.LinkUp(0, 1))
        liar.now += 40 * S
        for _ in range(400):
            liar.step()
        placed += len(liar.placed)
        again = OrderManager(liar.settings, START_NS)
        assert all(again.handle(event) == said for event, said in liar.log)
    assert placed > 300
