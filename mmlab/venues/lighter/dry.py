"""A dry run's account: payloads are signed and logged, none is sent. Orders rest and are cancelled, never filled."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import msgspec

from mmlab.errors import VenueError
from mmlab.events import OrderReason, TargetFlag
from mmlab.exchange import (
    Accepted,
    AccountMessage,
    AccountView,
    Linked,
    OrderUpdate,
    OrderView,
    Payload,
    Rejected,
    Reply,
    Transaction,
    TxKind,
)
from mmlab.venues.clock import Clock
from mmlab.venues.lighter.log import Log
from mmlab.venues.lighter.pipe import Pipe
from mmlab.wire.lighter_session import opened
from mmlab.wire.lighter_terms import MIN_ORDER_INDEX, Code


class DryAccount:
    """Echoes what is asked of it."""

    def __init__(self, keys: Sequence[int], clock: Clock, log: Log) -> None:
        self.orders: dict[int, OrderView] = {}  # client id -> open order
        self.payloads = 0
        self._nonces = dict.fromkeys(keys, 0)
        self._clock, self._log, self._index, self._seq = clock, log, MIN_ORDER_INDEX, 0
        self._pipe: Pipe[AccountMessage] | None = None
        self._loop = asyncio.get_running_loop()

    async def read(self) -> AsyncIterator[AccountMessage]:
        """Messages from now on."""
        pipe = self._pipe = Pipe(1 << 20)
        pipe.put(Linked(1))
        async for message in pipe:
            yield message

    def close(self) -> None:
        """The reader ends."""
        if self._pipe is not None:
            self._pipe.close()

    def view(self) -> AccountView:
        """The account as it is."""
        return AccountView(tuple(self.orders.values()), (), 0, 0, tuple(self._nonces.items()))

    def nonce(self, key: int) -> int:
        """Next nonce of a key."""
        if key not in self._nonces:
            raise VenueError(f"key {key} does not exist: there are {sorted(self._nonces)}")
        return self._nonces[key]

    def send(self, payload: Payload) -> asyncio.Future[Reply]:
        """Log it; its effect shows in the next turn of the loop."""
        reply: asyncio.Future[Reply] = self._loop.create_future()
        name, tx_type, tx_info = opened(payload.data)
        self.payloads += 1
        self._log.info(
            "dry_payload", ts_ns=self._clock.now_ns(), tx_hash=name, tx_type=tx_type, tx_info=tx_info.decode()
        )
        self._loop.call_soon(self._arrive, payload.transaction, reply)
        return reply

    def _arrive(self, tx: Transaction, reply: asyncio.Future[Reply]) -> None:
        if reply.cancelled():
            return
        if tx.nonce != self._nonces.get(tx.key):
            reply.set_result(Rejected(int(Code.INVALID_NONCE), "invalid nonce"))
            return
        self._nonces[tx.key] += 1
        reply.set_result(Accepted())
        for order in self._changed(tx):
            self._tell(order)

    def _changed(self, tx: Transaction) -> list[OrderView]:
        if tx.kind == TxKind.PLACE:
            self._index += 1
            order = OrderView(tx.client_id, self._index, tx.side, tx.price_ticks, tx.size_lots, flags=tx.flags)
            if tx.flags & TargetFlag.IOC:
                return [_ended(order, OrderReason.IOC_REMAINDER)]
            return [order]
        meant = list(self.orders.values()) if tx.kind == TxKind.CANCEL_ALL else self._meant(tx)
        if tx.kind == TxKind.MODIFY:
            return [
                msgspec.structs.replace(order, price_ticks=tx.price_ticks, size_lots=tx.size_lots) for order in meant
            ]
        return [_ended(order) for order in meant]

    def _meant(self, tx: Transaction) -> list[OrderView]:
        found = self.orders.get(tx.client_id)
        if not tx.client_id:
            found = next((order for order in self.orders.values() if order.order_index == tx.order_index), None)
        return [] if found is None else [found]

    def _tell(self, order: OrderView) -> None:
        self._seq += 1
        order = msgspec.structs.replace(order, seq=self._seq)
        if order.status == "open":
            self.orders[order.client_id] = order
        else:
            self.orders.pop(order.client_id, None)
        if self._pipe is not None:
            self._pipe.put(OrderUpdate(order, self._clock.now_ns()))


def _ended(order: OrderView, reason: OrderReason = OrderReason.NONE) -> OrderView:
    return msgspec.structs.replace(order, status="canceled", reason=int(reason))
