"""The venue against a scripted server."""

from __future__ import annotations

import asyncio

from mmlab.exchange import (
    Accepted,
    FillUpdate,
    Linked,
    OrderUpdate,
    PositionUpdate,
    Rejected,
    Transaction,
    TxKind,
    Unanswered,
)  # fmt: skip
from tests.venues.lighter.helpers import market_and_account, run, until


def place(nonce: int, client_id: int = 1 << 47, key: int = 4, **changes: int) -> Transaction:
    """A bid."""
    facts = {"side": 1, "price_ticks": 99_900, "size_lots": 500, "flags": 1} | changes
    return Transaction(TxKind.PLACE, key, nonce, client_id=client_id, **facts)


def test_an_order_rests_fills_and_is_cancelled() -> None:
    """The whole way of an order: accepted, shown, filled in part, in the view, cancelled."""

    async def main() -> None:
        async with market_and_account() as (server, venue, heard):
            assert heard.account[0] == Linked(1)
            nonce = await venue.nonce(4)
            reply = await venue.send(venue.signer.sign(place(nonce)))
            assert reply == Accepted(900)
            await until(lambda: len(heard.account) >= 2)
            order = next(m.order for m in heard.account if isinstance(m, OrderUpdate))
            assert (order.client_id, order.side, order.price_ticks, order.size_lots) == (1 << 47, 1, 99_900, 500)
            server.fill(next(iter(server.orders.values())), 200)
            await until(lambda: any(isinstance(m, FillUpdate) for m in heard.account))
            await until(lambda: PositionUpdate(200) in heard.account)
            view = await venue.view(0)
            assert view.complete and view.position_lots == 200 and view.last_trade_id == 5000
            assert [o.filled_lots for o in view.orders] == [200] and view.fills[0].size_lots == 200
            assert dict(view.nonces) == {4: nonce + 1, 5: 5, 6: 5}
            cancel = Transaction(TxKind.CANCEL, 6, await venue.nonce(6), client_id=1 << 47)
            assert await venue.send(venue.signer.sign(cancel)) == Accepted(900)
            await until(lambda: heard.account[-1].order.status == "canceled")

    run(main())


def test_a_batch_is_one_frame_and_a_refused_one_leaves_all_unclear() -> None:
    """After a refusal that may be about any of them each goes alone."""

    async def main() -> None:
        async with market_and_account() as (server, venue, heard):
            sign = venue.signer.sign
            payloads = [sign(place(5 + n, (1 << 47) + n)) for n in range(3)]
            replies = await asyncio.gather(*venue.send_batch(payloads))
            assert replies == [Accepted(900)] * 3 and server.batches == [3]
            await until(lambda: sum(isinstance(m, OrderUpdate) for m in heard.account) == 3)
            server.reply = lambda _: {"code": 21739, "message": "not enough margin"}
            replies = await asyncio.gather(*venue.send_batch([sign(place(8 + n, (1 << 47) + 9 + n)) for n in range(2)]))
            assert [type(reply) for reply in replies] == [Unanswered] * 2 and server.batches == [3, 2]
            replies = await asyncio.gather(*venue.send_batch([sign(place(8 + n, (1 << 47) + 9 + n)) for n in range(2)]))
            assert replies == [Rejected(21739, "not enough margin")] * 2 and server.batches == [3, 2]

    run(main())


def test_a_batch_with_a_bad_nonce_is_refused_as_a_whole() -> None:
    """That is no doubt: the key asks for its nonce."""

    async def main() -> None:
        async with market_and_account() as (server, venue, _):
            payloads = [venue.signer.sign(place(70 + n, (1 << 47) + n)) for n in range(2)]
            replies = await asyncio.gather(*venue.send_batch(payloads))
            assert replies == [Rejected(21104, "invalid nonce")] * 2 and server.batches == [2]

    run(main())
