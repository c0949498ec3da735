"""What the venue does when connections, frames or tokens fail."""

from __future__ import annotations

import asyncio
from typing import Any

from mmlab.events import Kind
from mmlab.exchange import Linked, NotSent, Status, Transaction, TxKind, Unanswered, Unlinked
from mmlab.venues.lighter import LighterVenue
from mmlab.venues.lighter.link import Timing
from tests.venues.lighter.helpers import Heard, credentials, market_and_account, run, until
from tests.venues.lighter.server import Server, running
from tests.venues.lighter.test_venue import place

QUICK = Timing(ping_s=0.2, silent_s=0.8, retry_s=0.02, retry_most_s=0.1, blocked_s=0.3)
BOOK = [Kind.SNAPSHOT_BEGIN, *[Kind.DEPTH] * 4, Kind.SNAPSHOT_END]


def books(heard: Heard) -> list[int]:
    """Kinds of the book's rows."""
    return [kind for kind in heard.kinds() if kind not in (Kind.MARK, Kind.TRADE)]


def test_a_lost_update_is_a_gap_healed_by_a_new_subscription() -> None:
    """The nonce does not follow: GAP at once, and then a full book."""

    async def main() -> None:
        async with market_and_account(timing=QUICK) as (server, venue, heard):
            await asyncio.sleep(1.1)  # a channel is asked for at most once a second
            server.change(False, 99_991, 300)
            server.change(False, 99_992, 300, skip=True)
            server.change(True, 100_009, 200)
            await until(lambda: books(heard).count(Kind.SNAPSHOT_END) == 2)
            assert books(heard) == [*BOOK, Kind.DEPTH, Kind.GAP, Kind.SNAPSHOT_BEGIN, *[Kind.DEPTH] * 7,
                                    Kind.SNAPSHOT_END]  # fmt: skip
            assert venue.counters["gaps"] == 1 and venue.counters["resubscribes"] == 1
            assert server.counts["ws_unsubscribe"] == 1 and server.counts["connections"] == 2

    run(main())


def test_an_unreadable_book_frame_is_a_gap_too() -> None:
    """Half a frame, and one whose price is none: the book is not believed until it is whole again."""

    async def main() -> None:
        async with market_and_account(timing=QUICK) as (server, venue, heard):
            server.filters["order_book"] = lambda frame: frame.replace(b'"price":"', b'"price":"x')
            server.change(False, 99_991, 300)
            await until(lambda: Kind.GAP in books(heard))
            del server.filters["order_book"]
            await until(lambda: books(heard).count(Kind.SNAPSHOT_END) == 2)
            server.change(False, 99_992, 300)
            await until(lambda: books(heard)[-1] == Kind.DEPTH)
            assert venue.counters["bad_order_book"] >= 1

    run(main())


def test_connections_come_back() -> None:
    """Closed, cut, announced or silent: GAP and Unlinked, then a snapshot and a new epoch; what waited is told so."""

    async def main() -> None:
        async with market_and_account(timing=QUICK) as (server, venue, heard):
            nonce, epoch = await venue.nonce(4), 1
            server.reply = lambda tx: None

            async def shutdown() -> None:
                for socket in list(server.sockets):
                    await server.push(socket, "shutdown", {"close_in_ms": 500}, "shutdown")

            async def deaf() -> None:
                server.deaf = True
                await until(lambda: venue.counters["silent_drops"] >= 2)
                server.deaf = False

            async def abort() -> None:
                server.abort_all()

            for way in (server.drop_all, abort, shutdown, deaf):
                reply = venue.send(venue.signer.sign(place(nonce)))
                await way()
                await until(lambda n=epoch: Linked(n + 1) in heard.account)
                unlinked = [m for m in heard.account if isinstance(m, Unlinked) and m.epoch == epoch]
                assert len(unlinked) == 1
                assert isinstance(reply.result(), Unanswered)
                await until(lambda n=epoch: books(heard).count(Kind.SNAPSHOT_END) == n + 1)
                epoch += 1
            assert books(heard) == [*BOOK, *([Kind.GAP, *BOOK] * 4)]
            assert venue.counters["reconnects"] == 8

    run(main(), 40)


def test_a_refused_connection_is_tried_again_and_a_block_respected() -> None:
    """HTTP 429 and 405 on the handshake: counted, waited for; orders are NotSent, cancels go over REST."""

    async def main() -> None:
        async with market_and_account(timing=QUICK) as (server, venue, heard):
            server.refuse_ws = 429
            await server.drop_all()
            await until(lambda: venue.counters["rate_limited"] >= 2)
            server.refuse_ws = 405
            nonce = await venue.nonce(4)
            assert isinstance(await venue.send(venue.signer.sign(place(nonce))), NotSent)
            cancel = Transaction(TxKind.CANCEL_ALL, 6, await venue.nonce(6))
            await venue.send(venue.signer.sign(cancel))
            assert server.counts["sendTx"] == 1
            before = venue.counters["connect_errors"]
            await asyncio.sleep(0.2)
            assert venue.counters["connect_errors"] - before <= 6
            server.refuse_ws = 0
            await until(lambda: Linked(2) in heard.account)

    run(main())


def test_subscriptions_that_do_not_begin_are_asked_for_again() -> None:
    """A first frame that gets lost, and an error instead of it."""

    async def main() -> None:
        async with running() as server:
            dropped = [0]

            def once(frame: bytes) -> bytes | None:
                dropped[0] += 1
                return frame if dropped[0] > 1 else b'{"error":{"code":30012,"message":"subscribe failed"}}'

            server.filters["account_orders"] = once
            venue = await LighterVenue.open(server.endpoint, credentials(), "ETH", timing=QUICK)
            heard = Heard(venue)
            await heard.linked()
            assert server.counts["connections"] == 2 and venue.counters["error_frames"] == 1
            await heard.close()

    run(main())


def test_tokens_are_renewed_before_they_end() -> None:
    """Subscriptions are made anew with another token."""

    async def main() -> None:
        timing = Timing(retry_s=0.02, subscription_s=2.0)
        async with market_and_account(timing=timing) as (server, venue, heard):
            await until(lambda: Linked(2) in heard.account)
            unlinked = next(m for m in heard.account if isinstance(m, Unlinked))
            assert unlinked.reason == "new auth token" and venue.counters["auth_renewals"] >= 1
            deadlines = sorted(int(token.split(":")[0]) for token in server.tokens if token)
            assert len(set(deadlines)) >= 2

    run(main())


def test_the_feeds_can_be_asked_for_again() -> None:
    """A new reader gets a GAP and a snapshot, and `Linked` first."""

    async def main() -> None:
        async with market_and_account(timing=QUICK) as (server, venue, heard):
            assert len(server.sockets) == 2
            for task in heard.tasks:
                task.cancel()
            await asyncio.gather(*heard.tasks, return_exceptions=True)
            again = Heard(venue)
            await until(lambda: again.account == [Linked(1)] and books(again) == [Kind.GAP, *BOOK])
            await venue.close()
            await asyncio.gather(*again.tasks)

    run(main())


def test_an_unreadable_account_frame_ends_the_epoch() -> None:
    """Only a full view can tell what it said."""

    async def main() -> None:
        async with market_and_account(timing=QUICK) as (server, venue, heard):
            server.filters["account_orders"] = lambda frame: frame.replace(b'"is_ask"', b'"is_what"')
            reply = venue.send(venue.signer.sign(place(await venue.nonce(4))))
            await reply
            await until(lambda: Linked(2) in heard.account)
            assert heard.account[1:] == [Unlinked(1, "unreadable frame"), Linked(2)]
            assert venue.counters["bad_account_orders"] == 1 and server.counts["connections"] == 2

    run(main())


def test_a_market_that_stops_is_told() -> None:
    """Its status is part of the metadata."""

    async def main() -> None:
        def inactive(server: Server) -> None:
            server.market_status = "inactive"

        async with market_and_account(inactive) as (_, _venue, heard):
            statuses: list[Any] = [m for m in heard.market if isinstance(m, Status)]
            assert statuses == [Status(False, "market is inactive")]

    run(main())
