"""The exchange one step at a time is the replay's: same requests, same fills."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given

from mmlab.errors import ConfigError
from mmlab.events import NEVER_NS, NS_PER_MS, OrderReason
from mmlab.simulator import build_tape
from mmlab.simulator.exchange import AnswerKind, Exchange
from mmlab.venues.paper import FaultPlan
from tests.simulator.tapes import ASK, BID, INSTRUMENT, T0, Feed, ms, parameters
from tests.simulator.test_twin import cases, quiet
from tests.simulator.twin import Twin
from tests.venues.helpers import CANCEL, MODIFY, PLACE, POST_ONLY, Client, scripted

BUYER, SELLER = BID, ASK
KINDS = {"place": PLACE, "modify": MODIFY, "cancel": CANCEL}
PARAMS = parameters([(0, BID, 999, 1)])


class Scribe(Twin):
    """Writes down what it sends."""

    def send(self, now: int, order: Any, what: str, state: Any, ticks: int, size: int) -> None:
        self.__dict__.setdefault("requests", []).append((now, what, order.id + 1, order.side, ticks, size))
        super().send(now, order, what, state, ticks, size)


def played(one: Any) -> tuple[list, list, dict]:
    """Requests of a replay, its fills as (ms, client id, side, ticks, lots), and how its exchange works."""
    events, phases, r = one
    scribe = Scribe(events, phases, r)
    plain = scribe.play()
    fills = [(f[0], f[2] + 1, f[3], f[5], f[6]) for f in plain.fills]
    how = {
        "queue": r.queue, "queue_exponent": r.exponent, "partial_fills": r.partial, "fill_on_cross": r.cross,
        "through_only": r.through_only,
    }  # fmt: skip
    return scribe.__dict__.get("requests", []), fills, how


@quiet
@given(cases)
def test_the_requests_of_a_replay_give_its_fills(one):
    requests, fills, how = played(one)
    exchange, seen = Exchange(build_tape(one[0]), INSTRUMENT, PARAMS, **how), []
    for now, what, client_id, side, ticks, size in requests:
        at_ns = T0 + (now + one[2].entry_ms) * NS_PER_MS
        seen += exchange.advance(at_ns)
        if what == "place":
            seen += exchange.place(at_ns, client_id, side, ticks, size, POST_ONLY)
        elif exchange.is_live(client_id) and what == "modify":
            seen += exchange.modify(at_ns, client_id, ticks, size)
        elif exchange.is_live(client_id):
            seen += exchange.cancel(at_ns, client_id)
    end_ns = int(one[0]["exch_ns"].max())
    seen += exchange.advance(end_ns)
    sides = {client_id: side for _, what, client_id, side, *_ in requests if what == "place"}
    ours = [
        (ms(a.exch_ns), a.order_id, sides[a.order_id], a.price_ticks, a.size_lots)
        for a in seen
        if a.kind == AnswerKind.FILLED
    ]
    assert ours == [f for f in fills if f[0] <= ms(end_ns)]
    assert exchange.position_lots == sum(side * lots for _, _, side, _, lots in ours)


@quiet
@given(cases)
def test_the_paper_venue_gives_a_replays_fills(one):
    requests, fills, how = played(one)

    async def script(client: Client) -> None:
        for sent, (now, what, client_id, side, ticks, size) in enumerate(requests):
            await client.until_ms(now)
            client.send(KINDS[what], client_id, side, ticks, size, POST_ONLY, nonce=sent)
        await client.until_ms(ms(one[0]["exch_ns"].max()) + 100)

    heard = scripted(one[0], script, FaultPlan(entry_ms=one[2].entry_ms, response_ms=one[2].response_ms), **how)
    trades = [(ms(t.exch_ns), t.client_id, t.side, t.price_ticks, t.size_lots) for t in heard.truth.trades]
    assert trades == fills
    assert heard.truth.violations == ()
    assert all(latency == one[2].entry_ms + one[2].response_ms for latency in heard.latency_ms())


def exchange_of(feed: Feed, **options: Any) -> Exchange:
    return Exchange(build_tape(feed.events), INSTRUMENT, PARAMS, **options)


def at(milliseconds: float) -> int:
    return T0 + round(milliseconds * NS_PER_MS)


def told(answers: list) -> list[tuple]:
    return [(ms(a.exch_ns), a.order_id, a.kind.name, a.price_ticks, a.size_lots) for a in answers]


def test_a_queue_position_is_kept_by_a_smaller_size_and_lost_by_a_new_price():
    feed = Feed().book().trade(20, SELLER, 999, 4).trade(40, SELLER, 999, 7).wait(90)
    exchange = exchange_of(feed)
    assert told(exchange.place(at(6), 1, BID, 999, 5, POST_ONLY)) == [(6, 1, "ACCEPTED", 999, 5)]
    assert exchange.live[1].ahead_lots == 10.0
    exchange.advance(at(21))
    assert exchange.live[1].ahead_lots == 6.0
    assert told(exchange.modify(at(22), 1, 999, 3)) == [(22, 1, "MODIFIED", 999, 3)]
    assert exchange.live[1].ahead_lots == 6.0
    assert told(exchange.advance(at(50))) == [(40, 1, "FILLED", 999, 1)]
    exchange.modify(at(51), 1, 998, 3)
    assert exchange.live[1] == (BID, 998, 2, 1, 10.0)
    assert told(exchange.cancel(at(52), 1)) == [(52, 1, "CANCELED", 998, 2)]
    assert exchange.live == {}


def test_post_only_ioc_and_a_taker():
    exchange = exchange_of(Feed().book(lots=4).wait(90))
    post = exchange.place(at(5), 1, BID, 1001, 5, POST_ONLY)
    assert [(a.kind.name, a.reason) for a in post] == [("REJECTED", OrderReason.POST_ONLY_WOULD_CROSS)]
    ioc = exchange.place(at(6), 2, BID, 1002, 10, 2)
    assert told(ioc) == [
        (6, 2, "ACCEPTED", 1002, 10), (6, 2, "FILLED", 1001, 4), (6, 2, "FILLED", 1002, 4), (6, 2, "CANCELED", 1002, 2),
    ]  # fmt: skip
    assert [a.taker for a in ioc] == [False, True, True, False]
    assert ioc[1].fee == pytest.approx(5e-4 * 4 * 0.1 * 1001 * 0.5)
    assert exchange.position_lots == 8
    assert exchange.live == {}


def test_reduce_only_is_cut_to_the_position():
    exchange = exchange_of(Feed().book(lots=4).wait(90))
    assert exchange.place(at(5), 1, ASK, 1001, 5, 4)[0].reason == OrderReason.REDUCE_ONLY
    exchange.place(at(6), 2, BID, 1001, 3, 2)
    assert told(exchange.place(at(7), 3, ASK, 1001, 5, 4)) == [(7, 3, "ACCEPTED", 1001, 3)]
    assert told(exchange.place(at(8), 4, ASK, 1002, 5, 4)) == [(8, 4, "REJECTED", 1002, 5)]


def test_fills_of_both_sides_come_in_exchange_order():
    feed = Feed().book(lots=1)
    for n in range(10):
        feed.trade(20 + n, SELLER if n % 2 else BUYER, 999 if n % 2 else 1001, 2)
    exchange = exchange_of(feed.wait(90))
    exchange.place(at(5), 1, BID, 999, 50, POST_ONLY)
    exchange.place(at(5), 2, ASK, 1001, 50, POST_ONLY)
    fills = exchange.advance(at(80))
    assert [a.order_id for a in fills] == [2, 1] * 5
    assert [a.exch_ns for a in fills] == sorted(a.exch_ns for a in fills)
    assert exchange.position_lots == sum((1 if a.order_id == 1 else -1) * a.size_lots for a in fills)


def test_more_fills_than_its_tables_hold_lose_nothing():
    feed = Feed().book(lots=1).trade(19, SELLER, 999, 1)
    for n in range(9000):
        feed.trade(20 + n * 0.001, SELLER, 999, 1)
    exchange = exchange_of(feed.wait(90))
    exchange.place(at(5), 1, BID, 999, 8999, POST_ONLY)
    *fills, last = exchange.place(at(80), 2, BID, 998, 1, POST_ONLY)
    assert {a.order_id for a in fills} == {1}
    assert len(fills) == exchange.position_lots == 8999
    assert told([last]) == [(80, 2, "ACCEPTED", 998, 1)]
    assert list(exchange.live) == [2]


def test_next_touch_names_the_trade_that_may_fill():
    feed = Feed().book().trade(20, SELLER, 1000, 4).trade(30, SELLER, 999, 4).wait(90)
    exchange = exchange_of(feed)
    assert exchange.next_touch_ns(at(80)) == NEVER_NS
    exchange.place(at(5), 1, BID, 999, 5, POST_ONLY)
    assert ms(exchange.next_touch_ns(at(80))) == 30
    assert ms(exchange.next_touch_ns(at(25))) == 25
    exchange.advance(at(31))
    assert ms(exchange.next_touch_ns(at(80))) == 80


def test_places_are_limited_and_come_back():
    exchange = exchange_of(Feed().book().wait(90), places=2)
    exchange.place(at(5), 1, BID, 999, 5, POST_ONLY)
    exchange.place(at(5), 2, BID, 998, 5, POST_ONLY)
    assert exchange.full
    exchange.cancel(at(6), 1)
    exchange.place(at(7), 3, BID, 997, 5, POST_ONLY)
    assert sorted(exchange.live) == [2, 3]


def test_rewinding_keeps_the_position_and_shifts_times():
    feed = Feed().book(lots=1).trade(20, SELLER, 999, 4).wait(90)
    exchange = exchange_of(feed)
    for lap in range(2):
        exchange.place(at(1000 * lap + 5), lap, BID, 999, 3, POST_ONLY)
        fills = exchange.advance(at(1000 * lap + 95))
        assert told(fills) == [(1000 * lap + 20, lap, "FILLED", 999, 3)]
        assert exchange.position_lots == 3 * (lap + 1)
        exchange.rewind(round(1000 * (lap + 1) * NS_PER_MS))


def test_wrong_arguments():
    with pytest.raises(ConfigError, match=r"queue = 'fifo'.*queue_exponent = 0"):
        exchange_of(Feed().book(), queue="fifo", queue_exponent=0)


PROGRAM = """
from tests.venues.test_exchange import *
feed = Feed().book(lots=1)
for n in range(20):
    feed.trade(20 + n, SELLER if n % 3 else BUYER, 999 if n % 3 else 1001, 1)
exchange = exchange_of(feed.wait(90), queue="power", fill_on_cross=True)
out = exchange.place(at(5), 1, BID, 999, 9, 1) + exchange.place(at(5), 2, ASK, 1001, 7, 1)
print(told(out + exchange.advance(at(31)) + exchange.modify(at(32), 1, 998, 20) + exchange.advance(at(80))))
print(exchange.live, exchange.position_lots, exchange.next_touch_ns(at(95)))
"""


def test_interpreted_it_is_the_same(pytestconfig, monkeypatch):
    root = pytestconfig.rootpath
    outputs = []
    for disabled in ("0", "1"):
        monkeypatch.setenv("NUMBA_DISABLE_JIT", disabled)
        monkeypatch.setenv("PYTHONPATH", str(root))
        outputs.append(
            subprocess.run([sys.executable, "-c", PROGRAM], cwd=root, capture_output=True, check=True).stdout
        )
    assert outputs[0] == outputs[1]
    assert b"FILLED" in outputs[0]


def test_the_orders_of_live_views_are_plain_numbers():
    exchange = exchange_of(Feed().book().wait(90))
    exchange.place(at(5), 1, BID, 999, 5, POST_ONLY)
    assert not any(isinstance(value, np.generic) for value in exchange.live[1])
