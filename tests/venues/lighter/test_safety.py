"""Dead man's switch, rescue, REST, dry run, replies, rules."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest
from aiohttp import web

from mmlab.errors import ConfigError, VenueError
from mmlab.exchange import (
    Accepted,
    ErrorClass,
    Linked,
    NotSent,
    OrderUpdate,
    Rejected,
    Transaction,
    TxKind,
    Unanswered,
)
from mmlab.venues.lighter import Credentials, DeadMan, LighterVenue, Secret, cancel_everything
from mmlab.venues.lighter.checkup import Checkup
from mmlab.venues.lighter.dead_man import Schedule
from mmlab.venues.lighter.replies import Replies, meaning
from mmlab.venues.lighter.rules import ERRORS, instrument_of, rate_rule, rules_of
from mmlab.venues.lighter.subscriptions import Subscriptions
from mmlab.wire.lighter_rest import Limits, Market
from mmlab.wire.lighter_session import Head, TxReply
from mmlab.wire.lighter_terms import CancelAll, Code
from tests.venues.lighter.helpers import Heard, credentials, market_and_account, private_key, run, until
from tests.venues.lighter.server import ACCOUNT, running
from tests.venues.lighter.test_venue import place


def supervisor() -> Credentials:
    """The key of whoever acts beside the session."""
    return Credentials(ACCOUNT, {8: Secret(private_key())}, ())


# --- Dead man's switch -----------------------------------------------------------------------------------------------


def test_the_plan_is_put_off_by_calling_it_off_first() -> None:
    """Abort, schedule, and again after `renew_s`; a refusal or silence is tried again, and said to be in doubt."""
    schedule = Schedule(360, 45)
    assert schedule.next(1000) == (CancelAll.ABORT, 0) and not schedule.covers(1000)
    schedule.told(schedule.next(1000), Rejected(int(Code.CANCEL_ALL_TIME)), 1000)  # there was none
    assert schedule.next(1000) == (CancelAll.SCHEDULED, 1_360_000)
    schedule.told(schedule.next(1000), Accepted(), 1001)
    assert schedule.covers(1300) and not schedule.covers(1361)
    assert schedule.next(1044.9) is None and schedule.next(1045) == (CancelAll.ABORT, 0)
    schedule.told(schedule.next(1045), Rejected(int(Code.TOO_MANY_REQUESTS), "", 5_000_000_000), 1045)
    assert schedule.next(1049) is None and schedule.covers(1049)
    schedule.told(schedule.next(1051), Unanswered(), 1051)
    assert not schedule.sure and schedule.next(1054) == (CancelAll.ABORT, 0)
    schedule.told(schedule.next(1054), Accepted(), 1054)
    assert not schedule.covers(1054)
    schedule.told(schedule.next(1054), Rejected(int(Code.SCHEDULED_EXISTS)), 1054)
    assert schedule.next(1057) == (CancelAll.ABORT, 0)
    with pytest.raises(ConfigError, match="must be sooner"):
        Schedule(10, 10)


def test_the_switch_is_wound_up_and_called_off() -> None:
    """Against the server: a plan stands while it runs, is renewed, and is called off if no order is left."""

    async def main() -> None:
        async with running() as server:
            told: list[bool] = []
            man = DeadMan(server.endpoint, supervisor(), 8, ahead_s=400, renew_s=0.15)
            task = asyncio.create_task(man.run(lambda ok, _: told.append(ok), lambda: True))
            await until(lambda: len(told) >= 3)
            plans = [tx["tx_info"]["TimeInForce"] for tx in server.txs]
            assert plans[:5] == [2, 1, 2, 1, 2] and all(told) and server.scheduled_ms
            assert {tx["tx_info"]["ApiKeyIndex"] for tx in server.txs} == {8}
            server.reply = lambda tx: {"code": 29500, "message": "internal"}
            await until(lambda: man.counters["dead_man_failed"])
            server.reply = server.accept
            await until(lambda: len(told) >= 4 and told[-1])
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            assert server.scheduled_ms == 0

    run(main())


# --- Rescue ----------------------------------------------------------------------------------------------------------


def test_a_rescue_cancels_until_nothing_is_left() -> None:
    """In spite of 429, 500, and an order that lands late; returns how many were seen."""

    async def main() -> None:
        async with running() as server:
            for number in (1, 2):
                server.do_14({"ClientOrderIndex": number, "IsAsk": 0, "Price": 99_000, "BaseAmount": 500})
            trouble = iter([web.Response(status=500), web.Response(body=b"<html>", content_type="text/html")])
            server.filters["sendTx"] = lambda data: next(trouble, data)

            async def late() -> None:
                await until(lambda: not server.orders)
                server.do_14({"ClientOrderIndex": 3, "IsAsk": 1, "Price": 101_000, "BaseAmount": 500})

            task = asyncio.create_task(late())
            assert await cancel_everything(server.endpoint, supervisor(), 8, settle_s=0.8) in (2, 3)
            await task
            assert not server.orders and server.counts["sendTx"] >= 3
            assert {tx["tx_info"]["L2TxAttributes"] for tx in server.txs if tx["tx_type"] == 16} == {None}

    run(main())


def test_a_rescue_that_fails_says_so() -> None:
    """No server at all."""

    async def main() -> None:
        async with running() as server:
            endpoint = server.endpoint
        with pytest.raises(VenueError, match="may have open orders"):
            await cancel_everything(endpoint, supervisor(), 8, patience_s=0.3)

    run(main())


# --- Sending ---------------------------------------------------------------------------------------------------------


def test_submission_over_rest() -> None:
    """In the order of nonces; refusals, 429, 5xx and rubbish are told apart."""

    async def main() -> None:
        async with market_and_account(submit="rest") as (server, venue, _):
            nonce = await venue.nonce(4)
            sent = [venue.send(venue.signer.sign(place(nonce + n, (1 << 47) + n))) for n in range(3)]
            assert await asyncio.gather(*sent) == [Accepted(900)] * 3
            assert server.counts["sendTx"] == 3 and server.counts["ws_jsonapi/sendtx"] == 0
            wrong = await venue.send(venue.signer.sign(place(nonce)))
            assert wrong == Rejected(int(Code.INVALID_NONCE), "invalid nonce")
            busy = web.Response(status=429, headers={"Retry-After": "7"})
            cases: list[tuple[Any, Any]] = [(busy, Rejected), (web.Response(status=502), Unanswered),
                                            (web.Response(status=405), Rejected), (b"<html>", Unanswered)]  # fmt: skip
            found = []
            for answer, kind in cases:
                server.filters["sendTx"] = lambda _, answer=answer: answer
                found.append(await venue.send(venue.signer.sign(place(nonce + 3))))
                assert isinstance(found[-1], kind)
            assert found[0].retry_after_ns == 7_000_000_000 and found[2].retry_after_ns == 60_000_000_000

    run(main())


def test_a_dry_run_sends_nothing() -> None:
    """Orders rest, change and end as asked; every payload is in the log."""

    async def main() -> None:
        class Log:
            lines: list[dict[str, Any]] = []  # noqa: RUF012

            def info(self, event: str, **fields: Any) -> None:
                self.lines.append({"event": event, **fields})

        async with running() as server:
            venue = await LighterVenue.open(server.endpoint, credentials(), 0, dry_run=True, log=Log())
            heard = Heard(venue)
            await heard.linked()
            assert heard.account == [Linked(1)]
            for tx in (place(0), place(1, 2), Transaction(TxKind.MODIFY, 4, 2, client_id=2, price_ticks=9, size_lots=8),
                       Transaction(TxKind.CANCEL, 6, 0, client_id=2), place(3, 3, flags=2)):  # fmt: skip
                assert await venue.send(venue.signer.sign(tx)) == Accepted()
            assert (await venue.send(venue.signer.sign(place(3)))).code == Code.INVALID_NONCE
            await until(lambda: len(heard.account) == 6)
            states = [(m.order.client_id, m.order.status, m.order.price_ticks) for m in heard.account[1:]]
            assert states == [(1 << 47, "open", 99_900), (2, "open", 99_900), (2, "open", 9), (2, "canceled", 9),
                              (3, "canceled", 99_900)]  # fmt: skip
            view = await venue.view(0)
            assert [order.client_id for order in view.orders] == [1 << 47] and dict(view.nonces)[4] == 4
            await heard.close()
            assert not server.txs and sum(line["event"] == "dry_payload" for line in Log.lines) == 6

    run(main())


def test_views_are_of_one_instant() -> None:
    """A trade between the questions: asked again; one in every try: not complete, and it says so."""

    async def main() -> None:
        async with market_and_account() as (server, venue, _):
            for n in range(250):
                server.do_14({"ClientOrderIndex": n + 1, "IsAsk": 0, "Price": 99_000, "BaseAmount": 1})
                server.fill(server.found(n + 1) or {}, 1)
            server.do_14({"ClientOrderIndex": 900, "IsAsk": 0, "Price": 99_000, "BaseAmount": 500})
            view = await venue.view(5010)
            assert view.complete and len(view.fills) == 239 and view.last_trade_id == 5249
            assert view.position_lots == 250 and venue.counters["views_overtaken"] == 0
            times = [1]

            def trade(data: bytes) -> bytes:
                if times[0]:
                    times[0] -= 1
                    server.fill(server.found(900) or {}, 1)
                return data

            server.filters["accountActiveOrders"] = trade
            view = await venue.view(5249)
            assert view.complete and venue.counters["views_overtaken"] == 1
            assert [f.size_lots for f in view.fills] == [1] and view.orders[0].filled_lots == 1
            times[0] = 99
            assert not (await venue.view(5249)).complete
            server.filters["accountActiveOrders"] = lambda data: data.replace(b'"is_ask"', b'"was_ask"')
            with pytest.raises(VenueError, match="cannot be read"):
                await venue.view(0)
            server.filters["accountActiveOrders"] = lambda _: web.Response(status=429)
            with pytest.raises(VenueError, match="HTTP 429"):
                await venue.view(0)
            before = server.counts["trades"]
            with pytest.raises(VenueError, match="wants fewer"):
                await venue.view(0)
            assert server.counts["trades"] == before

    run(main())


# --- Pure parts ------------------------------------------------------------------------------------------------------


def test_replies_find_their_transactions() -> None:
    """By name or hash; without either the oldest, until the venue was seen to name one; an error frame too."""

    async def main() -> None:
        replies, loop = Replies(Counter()), asyncio.get_running_loop()

        def waiting(*names: str) -> list[asyncio.Future[Any]]:
            futures = [loop.create_future() for _ in names]
            for name, future in zip(names, futures, strict=True):
                replies.expect(name, future)
            return futures

        a, b, c = waiting("a", "b", "c")
        replies.answer(TxReply(200), with_quota=True)
        assert a.result() == Accepted() and not b.done()
        replies.answer(TxReply(200, tx_hash="c", volume_quota_remaining=4), with_quota=True)
        assert c.result() == Accepted(4)
        (d,) = waiting("d")
        replies.answer(TxReply(200), with_quota=True)
        assert not b.done() and not d.done() and replies.counters["unmatched_replies"] == 1
        replies.answer(TxReply(21706, "too small", id="d"), with_quota=True)
        assert d.result() == Rejected(21706, "too small")
        assert replies.error(Head(error="odd")) and isinstance(b.result(), Unanswered)
        assert not replies.error(Head(error="odd"))
        (e,) = waiting("e")
        replies.give_up("gone")
        assert e.result() == Unanswered("gone")

    run(main())


def test_what_answers_mean() -> None:
    """Unclear is never a refusal; a nonce's refusal is known by its words too."""
    assert isinstance(meaning(0, ""), Unanswered) and isinstance(meaning(int(Code.INTERNAL), ""), Unanswered)
    assert isinstance(meaning(503, ""), Unanswered)
    assert meaning(99_999, "invalid nonce: expected 5").code == Code.INVALID_NONCE
    assert meaning(62_123, "not enough volume quota").code == Code.TOO_MANY_REQUESTS
    assert meaning(int(Code.TOO_MANY_REQUESTS), "").retry_after_ns == 1_000_000_000
    assert {int(code) for code in Code} - set(ERRORS) <= {200, 29500, 29501, *range(30002, 30013)}
    assert ERRORS[21104] == ErrorClass.RESYNC_NONCE and ERRORS[21120] == ErrorClass.FATAL_SESSION


def test_rules_come_from_the_venue() -> None:
    """Ticks, lots, minimums, fees, rate by tier and stake, quota."""
    market = Market("ETH", 0, "active", "0.0050", "10.0", 4, 2, 6, "0.0100", "0.0300")
    instrument = instrument_of(market)
    assert (instrument.tick_size, instrument.lot_size, instrument.min_size_lots) == (0.01, 0.0001, 50)
    assert (instrument.maker_fee_bps, instrument.taker_fee_bps, instrument.min_notional) == (1.0, 3.0, 10.0)
    limits = Limits(200, None, "premium", "3500", 40, 280)
    assert instrument_of(market, limits).taker_fee_bps == 2.8
    rules = rules_of(market, limits, (4, 5), (6,))
    assert (rules.rate.capacity + rules.rate.refill, rules.quota.on) == (6000, True)
    assert rules.quota.earn_tick_lots * 0.01 * 0.0001 == pytest.approx(3.0) and rules.wall_clock
    assert rate_rule(None).capacity + rate_rule(None).refill == 45 and not rules_of(market, None, (4,), (6,)).quota.on


def test_subscriptions_are_asked_for_with_measure() -> None:
    """Again after no answer, at most once a second, and hopeless after a while."""
    mine = Subscriptions({"order_book/0": "", "account_orders/0/7": "token"})
    first = mine.begin(0.0)
    assert len(first) == 2 and b'"auth":"token"' in first[1]
    mine.began(Head("subscribed/order_book", "order_book:0"))
    mine.began(Head("subscribed/account_orders", "account_orders:0"))
    assert mine.complete and mine.again("order_book", 0.5) == [] and mine.due(0.9) == []
    assert len(mine.due(1.0)) == 2 and mine.due(5.9) == []
    for n in range(5):
        assert not mine.hopeless
        assert len(mine.due(6.0 + 5 * n)) == 2
    assert mine.hopeless


def test_no_connection_is_not_sent() -> None:
    """Before the link is up, and after close."""

    async def main() -> None:
        async with running() as server:
            venue = await LighterVenue.open(server.endpoint, credentials(), "ETH")
            payload = venue.signer.sign(place(5))
            assert isinstance(await venue.send(payload), NotSent)
            await venue.close()
            assert isinstance(await venue.send(payload), NotSent)
            with pytest.raises(ConfigError, match="market 'DOGE' is not at this venue; it has ETH"):
                await LighterVenue.open(server.endpoint, credentials(), "DOGE")
            with pytest.raises(ConfigError, match="at least one to quote with"):
                await LighterVenue.open(server.endpoint, supervisor(), "ETH")

    run(main())


def test_an_order_update_has_a_rising_number() -> None:
    """Two changes in one microsecond of the venue are two."""

    async def main() -> None:
        async with market_and_account() as (server, venue, heard):
            await venue.send(venue.signer.sign(place(await venue.nonce(4))))
            order = next(iter(server.orders.values()))
            order["price"] = "998.00"
            server.tell_orders(order)
            server.tell_orders(order)
            await until(lambda: sum(isinstance(m, OrderUpdate) for m in heard.account) == 3)
            seqs = [m.order.seq for m in heard.account if isinstance(m, OrderUpdate)]
            assert seqs[1] == seqs[0] + 1 and seqs[2] == seqs[1]

    run(main())


def test_the_doctor_looks_at_everything() -> None:
    """Each look says what it found; one that fails does not keep the others from being taken."""

    async def main() -> None:
        async with running() as server:
            server.nonces = {4: 9, 5: 0, 6: 0}
            server.do_14({"ClientOrderIndex": 1, "IsAsk": 0, "Price": 99_000, "BaseAmount": 500})
            server.scheduled_ms = 1_795_700_000_000
            found = {f.name: f for f in await Checkup(server.endpoint, credentials(), ACCOUNT, "ETH").run()}
            assert found["Signer"].state == found["Market"].state == found["Account"].state == "ok"
            assert found["Clock"].state == "fail" and "NTP" in found["Clock"].advice  # the server's clock stands still
            assert found["Tier and limits"].found.startswith("premium: 6000") and found["Open orders"].found == "1"
            assert found["API key 4"].state == "fail"  # the server knows another public key
            assert found["Dead man's switch"].state == "warn"
            server.filters["account"] = lambda _: b"[]"
            found = {f.name: f for f in await Checkup(server.endpoint, credentials(), ACCOUNT, "DOGE").run()}
            assert found["Account"].state == found["Market"].state == "fail"
            assert found["Tier and limits"].state == "ok"

    run(main())
