"""The venue against a scripted server."""

from __future__ import annotations

from mmlab.exchange import Accepted, FillUpdate, Linked, OrderUpdate, PositionUpdate, Transaction, TxKind
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
