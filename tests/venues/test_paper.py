"""The paper venue without faults: what a client can rely on."""

from __future__ import annotations

import asyncio
import time

import numpy as np
import pytest

from mmlab.errors import ConfigError, SigningError, VenueError
from mmlab.events import NS_PER_MS, NS_PER_S, OrderReason
from mmlab.exchange import (
    Accepted,
    FillUpdate,
    Linked,
    NotSent,
    OrderUpdate,
    Payload,
    PositionUpdate,
    Rejected,
    Transaction,
    Unlinked,
)
from mmlab.venues.clock import LoopClock
from mmlab.venues.paper import Code, FailingSigner, FaultPlan, PaperVenue, SlowSigner
from mmlab.venues.protocol import Venue
from mmlab.venues.virtual import run_virtual
from tests.simulator.tapes import Feed, ms
from tests.venues.helpers import (
    ASK,
    BID,
    CANCEL,
    CANCEL_ALL,
    IOC,
    MODIFY,
    PLACE,
    POST_ONLY,
    T0,
    Client,
    chatter,
    market,
    paper,
    params_for,
    scripted,
    session,
    small_feed,
)  # fmt: skip

SELLER, BUYER = ASK, BID


def statuses(heard, client_id: int) -> list[tuple]:
    """Updates of an order as (ms heard, status, filled lots, seq)."""
    return [
        (ms(at), m.order.status, m.order.filled_lots, m.order.seq)
        for at, m in heard.account
        if isinstance(m, OrderUpdate) and m.order.client_id == client_id
    ]


def refusals(heard) -> dict[int, int]:
    """Code of each transaction that was refused."""
    return {n: reply.code for n, (_, reply) in sorted(heard.replies.items()) if isinstance(reply, Rejected)}


def test_it_is_a_venue():
    async def main() -> None:
        venue: Venue = paper(market())
        assert venue.rules.quote_keys == (0, 1)
        assert venue.rules.cancel_keys == (2,)
        assert venue.rules.flight_ns == 6 * NS_PER_MS
        assert venue.rules.classify(Code.BAD_NONCE) == "resync_nonce"
        assert set(venue.rules.errors) == set(Code)
        await venue.close()

    run_virtual(main())


def test_the_life_of_an_order_by_hand():
    tape = Feed().book().trade(30, SELLER, 999, 12).trade(40, SELLER, 999, 12).wait(200)

    async def script(client: Client) -> None:
        await client.until_ms(10)
        client.send(PLACE, 1, BID, 999, 5, POST_ONLY)
        await client.until_ms(100)

    heard = scripted(tape, script)
    assert heard.account[0] == (T0, Linked(1))
    assert heard.replies == {0: (T0 + 20 * NS_PER_MS, Accepted())}
    assert statuses(heard, 1) == [(20, "open", 0, 1), (35, "open", 2, 2), (45, "filled", 5, 3)]
    fills = heard.messages(FillUpdate)
    assert [(m.fill.trade_id, m.fill.size_lots, ms(m.fill.exch_ns)) for m in fills] == [(1, 2, 30), (2, 3, 40)]
    assert [m.position_lots for m in heard.messages(PositionUpdate)] == [2, 5]
    assert heard.truth.position_lots == 5
    assert heard.truth.fees == pytest.approx(2e-4 * 5 * 0.1 * 999 * 0.5)


def test_post_only_is_accepted_then_rejected_and_ioc_is_canceled():
    async def script(client: Client) -> None:
        await client.until_ms(10)
        client.send(PLACE, 1, BID, 1001, 5, POST_ONLY)
        await client.until_ms(20)
        client.send(PLACE, 2, BID, 1001, 15, IOC)
        await client.until_ms(100)

    heard = scripted(Feed().book().wait(200), script)
    assert len(heard.answered(Accepted)) == 2
    assert statuses(heard, 1) == [(20, "rejected", 0, 1)]
    assert statuses(heard, 2) == [(30, "open", 0, 1), (30, "open", 10, 2), (30, "canceled", 10, 3)]
    reasons = [m.order.reason for m in heard.messages(OrderUpdate) if m.order.status in ("rejected", "canceled")]
    assert reasons == [OrderReason.POST_ONLY_WOULD_CROSS, OrderReason.IOC_REMAINDER]
    assert heard.truth.nonces[0] == 2


def test_a_cancel_races_with_a_fill():
    tape = Feed().book().trade(34, SELLER, 998, 30).wait(200)

    async def script(client: Client) -> None:
        await client.until_ms(10)
        client.send(PLACE, 1, BID, 999, 5, POST_ONLY)
        client.send(PLACE, 2, BID, 990, 5, POST_ONLY, nonce=1)
        await client.until_ms(30)
        for client_id in (1, 2):  # on their way when the trade happens
            client.send(CANCEL, client_id, key=2, nonce=client_id - 1)
        await client.until_ms(100)

    heard = scripted(tape, script)
    assert len(heard.answered(Accepted)) == 4
    assert [s[1] for s in statuses(heard, 1)] == ["open", "filled"]
    assert statuses(heard, 2)[-1] == (40, "canceled", 0, 2)
    assert heard.truth.counts["too_late"] == 1
    assert heard.truth.nonces == {0: 2, 1: 0, 2: 2}


def test_modify_cancel_all_and_views():
    async def script(client: Client) -> None:
        await client.until_ms(10)
        for n in range(3):
            client.send(PLACE, n + 1, BID, 990 + n, 5, POST_ONLY, nonce=n)
        await client.until_ms(30)
        index = client.venue.truth().orders[0].order_index
        client.send(MODIFY, order_index=index, ticks=980, lots=7)
        await client.until_ms(50)
        before = client.venue.clock.now_ns()
        view = await client.view()
        assert client.venue.clock.now_ns() == before + 10 * NS_PER_MS
        assert [(o.client_id, o.price_ticks, o.size_lots) for o in view.orders] == [
            (1, 980, 7),
            (2, 991, 5),
            (3, 992, 5),
        ]
        assert view.nonces == ((0, 4), (1, 0), (2, 0))
        assert view.complete
        assert await client.venue.nonce(0) == 4
        client.send(CANCEL_ALL, key=2)
        await client.until_ms(150)
        assert (await client.view()).orders == ()
        with pytest.raises(VenueError, match="key 9"):
            await client.venue.nonce(9)

    heard = scripted(Feed().book(levels=15).wait(300), script)
    assert heard.truth.orders == ()
    assert [s[1] for s in statuses(heard, 3)] == ["open", "canceled"]


def test_a_view_holds_the_trades_after_the_asked_one():
    tape = Feed().book(lots=1)
    for n in range(5):
        tape.trade(30 + n, SELLER, 999, 2)

    async def script(client: Client) -> None:
        await client.until_ms(10)
        client.send(PLACE, 1, BID, 999, 50, POST_ONLY)
        await client.until_ms(60)
        view = await client.view(2)
        assert [f.trade_id for f in view.fills] == list(range(3, view.last_trade_id + 1))
        assert view.position_lots == sum(f.size_lots for f in client.venue.truth().trades)
        assert [o.filled_lots for o in view.orders] == [view.position_lots]

    assert len(scripted(tape.wait(300), script).truth.trades) == 5


def test_refusals_burn_no_nonce():
    async def script(client: Client) -> None:
        await client.until_ms(10)
        client.send(PLACE, 1, BID, 990, 5, POST_ONLY, nonce=7)  # 0: wrong nonce
        client.send(PLACE, 1, BID, 990, 5, POST_ONLY, nonce=0)  # 1: fine
        client.send(PLACE, 1, BID, 991, 5, POST_ONLY, nonce=1)  # 2: client id used
        client.send(CANCEL, 55, nonce=1)  # 3: never seen
        client.send(PLACE, 2, BID, 0, 5, POST_ONLY, nonce=1)  # 4: no price
        client.send(PLACE, 2, BID, 990, 0, POST_ONLY, nonce=1)  # 5: no size
        client.send(PLACE, 2, 3, 990, 1, POST_ONLY, nonce=1)  # 6: no side
        client.send(PLACE, 2, BID, 990, 1, POST_ONLY, key=5, nonce=0)  # 7: no such key
        client.send(PLACE, 2, BID, 990, 1, POST_ONLY, nonce=1)  # 8: fine
        await client.until_ms(30)
        client.send(CANCEL, order_index=3, nonce=2)  # 9: no such index
        await client.until_ms(60)

    heard = scripted(Feed().book().wait(300), script)
    bad = Code.BAD_REQUEST
    expected = {0: Code.BAD_NONCE, 2: Code.CLIENT_ID_USED, 3: Code.UNKNOWN_ORDER, 4: bad, 5: bad, 6: bad}
    assert refusals(heard) == {**expected, 7: Code.UNKNOWN_KEY, 9: Code.UNKNOWN_ORDER}
    assert heard.truth.nonces[0] == 2
    assert len(heard.truth.violations) == 1
    assert "client id 1 again" in heard.truth.violations[0]


def test_a_nonce_used_twice_is_a_violation_and_bytes_count():
    async def script(client: Client) -> None:
        await client.until_ms(10)
        client.send(PLACE, 1, BID, 990, 5, POST_ONLY, nonce=0)
        client.send(PLACE, 2, BID, 991, 5, POST_ONLY, nonce=0)
        honest = client.venue.signer.sign(Transaction(PLACE, 0, 1, 3, 0, BID, 992, 5, 1))
        other = Transaction(PLACE, 0, 1, 4, 0, BID, 995, 5, 1)
        await client.venue.send(Payload(other, honest.data))
        reply = await client.venue.send(Payload(other, b"\xc1 no transaction"))
        assert reply.code == Code.BAD_REQUEST

    heard = scripted(Feed().book(levels=15).wait(300), script)
    assert refusals(heard) == {1: Code.BAD_NONCE}
    assert [o.price_ticks for o in heard.truth.orders] == [990, 992]
    assert ["nonce 0 of key 0" in v for v in heard.truth.violations] == [True]


def test_too_many_orders():
    async def script(client: Client) -> None:
        await client.until_ms(10)
        for n in range(3):
            client.send(PLACE, n + 1, BID, 990 + n, 5, POST_ONLY, nonce=n)
        await client.until_ms(60)

    assert refusals(scripted(Feed().book(levels=15).wait(300), script, places=2)) == {2: Code.TOO_MANY_ORDERS}


def conserved(heard) -> None:
    """Every lot of every order is accounted for, and the account feed agrees with the truth."""
    truth = heard.truth
    assert truth.position_lots == sum(t.side * t.size_lots for t in truth.trades)
    traded: dict[int, int] = {}
    for t in truth.trades:
        traded[t.client_id] = traded.get(t.client_id, 0) + t.size_lots
    assert [t.trade_id for t in truth.trades] == list(range(1, len(truth.trades) + 1))
    last: dict = {}
    for update in heard.messages(OrderUpdate):
        order = update.order
        assert order.client_id not in last or order.seq == last[order.client_id].seq + 1
        last[order.client_id] = order
        assert 0 <= order.filled_lots <= order.size_lots
        assert (order.status == "filled") == (order.filled_lots == order.size_lots)
    assert {c: o.filled_lots for c, o in last.items() if o.filled_lots} == traded
    assert {o.client_id for o in truth.orders} == {c for c, o in last.items() if o.status == "open"}
    assert [f.fill for f in heard.messages(FillUpdate)] == list(truth.trades)
    placed = sum(tx.kind == PLACE for _, tx in heard.sent)
    assert len(last) == placed - sum(heard.sent[n][1].kind == PLACE for n in refusals(heard))


def test_nothing_is_lost_without_faults():
    heard = session(seconds=100)
    assert len(heard.truth.trades) > 100
    assert len(heard.replies) == len(heard.sent) > 800
    assert set(heard.latency_ms()) == {10.0}
    assert heard.truth.violations == ()
    conserved(heard)
    assert (np.diff(heard.events["local_ns"]) >= 0).all()
    assert all(rows["local_ns"][-1] <= at for rows, at in zip(heard.rows, heard.row_ns, strict=True))


def test_updates_arrive_at_their_time():
    for at, message in session(seconds=100).account:
        if isinstance(message, OrderUpdate):
            assert at == message.exch_ns + 5 * NS_PER_MS
        if isinstance(message, FillUpdate):
            assert at == message.fill.exch_ns + 5 * NS_PER_MS


def same(one, other) -> bool:
    """Whether two sessions heard the same at the same times."""
    return (
        one.truth == other.truth
        and one.account == other.account
        and repr(one.replies) == repr(other.replies)
        and one.row_ns == other.row_ns
        and np.array_equal(one.events, other.events)
    )


EVERYTHING = FaultPlan(
    seed=5, entry_spread_ms=10, response_spread_ms=10, market_spread_ms=2, lose_send=0.05, reorder_send=0.05,
    drop_ack=0.05, duplicate_ack=0.05, reorder_ack=0.05, unclear_ack=0.05, drop_update=0.05, duplicate_update=0.05,
    reorder_update=0.05, rejects={9: 0.05, 2: 0.02}, skip_nonce=0.03, fail_accepted=0.05, split_fill=0.3, fail_view=0.2,
    slow_view=0.2, partial_view=0.2, disconnects_per_min=5, market_disconnects_per_min=5, stales_per_min=5,
    restarts_per_min=2, rate_capacity=5, rate_refill=8,
)  # fmt: skip


def test_two_runs_are_equal_and_another_seed_is_not():
    one, other = (session(EVERYTHING, 60) for _ in range(2))
    assert same(one, other)
    assert not same(one, session(FaultPlan(**{**EVERYTHING.model_dump(), "seed": 6}), 60))


def test_when_faults_stop_everything_settles():
    plan = FaultPlan(**{**EVERYTHING.model_dump(), "until_s": 40, "rate_capacity": 0})
    heard = session(plan, 100)
    end_ns = heard.sent[0][0] + 45 * NS_PER_S
    late = [n for n, (at, _) in enumerate(heard.sent) if at > end_ns]
    assert len(late) > 300
    assert all(n in heard.replies and heard.replies[n][0] == heard.sent[n][0] + 10 * NS_PER_MS for n in late)
    assert all(isinstance(view, Exception) is False for view in heard.views[-3:])
    seen = [f.fill.trade_id for at, f in heard.account if at > end_ns and isinstance(f, FillUpdate)]
    assert len(seen) > 20
    assert seen == list(range(seen[0], len(heard.truth.trades) + 1))


def test_the_feed_ends_and_so_does_the_market_iterator():
    async def main() -> tuple[int, int]:
        client = Client(paper(market(30.0)))
        await client.tasks[0]
        now_ns = client.venue.clock.now_ns()
        view = await client.view()
        assert view.orders == ()
        heard = await client.finish()
        return heard.events.size, now_ns

    assert run_virtual(main()) == (market(30.0).events.size, int(market(30.0).events["local_ns"][-1]))


def test_at_the_seam_of_a_loop_orders_are_canceled_and_all_goes_on():
    tape = Feed().book(lots=1).trade(30, SELLER, 999, 4).wait(100)

    async def script(client: Client) -> None:
        lap_ns = client.venue._market.lap_ns
        for lap in range(3):
            begin_ms = lap * lap_ns / NS_PER_MS
            await client.until_ms(begin_ms + 10)
            client.send(PLACE, 2 * lap + 1, BID, 999, 3, POST_ONLY)
            client.send(PLACE, 2 * lap + 2, BID, 990, 3, POST_ONLY, nonce=2 * lap + 1)
            await client.until_ms(begin_ms + 100)
        await client.until_ms(3 * lap_ns / NS_PER_MS + 10)

    heard = scripted(tape, script, loop=True)
    lap_ms = (heard.truth.trades[1].exch_ns - heard.truth.trades[0].exch_ns) / NS_PER_MS
    assert [round(ms(t.exch_ns) - n * lap_ms, 6) for n, t in enumerate(heard.truth.trades)] == [30, 30, 30]
    assert heard.truth.position_lots == 9
    ended = [m.order for m in heard.messages(OrderUpdate) if m.order.status == "canceled"]
    assert [(o.client_id, o.reason) for o in ended] == [(n, OrderReason.END_OF_FEED) for n in (2, 4, 6)]
    assert heard.truth.counts["laps"] == 3
    conserved(heard)


def test_a_slow_chatterbox_in_a_loop_is_conserved():
    heard = session(seconds=100, feed=market(30.0), loop=True)
    assert heard.truth.counts["laps"] == 3
    conserved(heard)


def test_on_another_clock_the_feed_begins_now():
    async def main() -> None:
        clock = LoopClock(5 * 10**17)
        await asyncio.sleep(3)
        venue = PaperVenue(market(), params_for(market()), clock)
        client = Client(venue)
        await chatter(client, 30)
        heard = await client.finish()
        conserved(heard)
        assert heard.truth.trades
        assert min(heard.events["exch_ns"][0], heard.events["local_ns"][0]) == 5 * 10**17 + 3 * NS_PER_S
        assert abs(heard.truth.trades[-1].exch_ns - clock.now_ns()) < 30 * NS_PER_S

    run_virtual(main())


def test_in_real_time_at_fifty_times_the_speed():
    async def main() -> tuple:
        began = time.perf_counter()
        client = Client(paper(market(30.0), speed=50.0))
        await chatter(client, 15, every_ms=250)
        await client.tasks[0]
        return time.perf_counter() - began, await client.finish()

    took_s, heard = asyncio.run(main())
    lasts_s = (heard.events["local_ns"][-1] - heard.events["exch_ns"][0]) / NS_PER_S
    assert lasts_s / 50 <= took_s < lasts_s / 50 + 10
    assert np.array_equal(heard.events, market(30.0).events)
    assert len(heard.truth.trades) > 3
    assert len(heard.answered(Accepted)) > 20
    conserved(heard)


def test_after_close_nothing_is_sent():
    async def main() -> None:
        client = Client(paper(market(30.0)))
        await client.venue.clock.sleep_until(client.venue.clock.now_ns() + NS_PER_S)
        waiting = client.send(PLACE, 1, BID, 59_000, 5, POST_ONLY)
        heard = await client.finish()
        assert waiting.done()
        late = await client.venue.send(client.venue.signer.sign(Transaction(PLACE, 0, 1, 2, 0, BID, 59_000, 5, 1)))
        assert isinstance(late, NotSent)
        with pytest.raises(VenueError):
            await client.venue.view(0)
        assert heard.truth.orders == ()

    run_virtual(main())


def test_a_reader_that_is_too_slow_gets_a_new_connection(monkeypatch):
    monkeypatch.setattr("mmlab.venues.paper.link.MOST_WAITING", 20)

    async def main() -> list:
        venue = paper(market())
        reader = venue.account()
        heard = [await anext(reader)]
        for n in range(60):
            venue.send(venue.signer.sign(Transaction(PLACE, 0, n, n + 1, 0, BID, 59_000, 5, 1)))
        await venue.clock.sleep_until(venue.clock.now_ns() + NS_PER_S)
        heard += [await anext(reader), await anext(reader)]
        assert len((await venue.view(0)).orders) == 60
        await venue.close()
        return heard

    heard = run_virtual(main())
    assert heard[0] == Linked(1)
    assert [type(message) for message in heard[1:]] == [Unlinked, Linked]
    assert heard[2].epoch == 2


def test_signers():
    tx = Transaction(PLACE, 0, 1, 2, 0, BID, 59_000, 5, 1)
    began = time.perf_counter()
    payload = SlowSigner(0.05).sign(tx)
    assert time.perf_counter() - began >= 0.05
    assert payload.transaction == tx
    failing, failed = FailingSigner(0.3, seed=1), 0
    for _ in range(100):
        try:
            failing.sign(tx)
        except SigningError:
            failed += 1
    assert failing.failed == failed
    assert 15 < failed < 45


def test_wrong_arguments_of_the_venue():
    async def main() -> None:
        with pytest.raises(ConfigError, match="queue = 'fifo'"):
            PaperVenue(small_feed(Feed().book()), params_for(small_feed(Feed().book())), queue="fifo")

    run_virtual(main())
