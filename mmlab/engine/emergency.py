"""Cancel everything of ours without the order manager: for when the session itself has failed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from mmlab.engine.setup import Log
from mmlab.engine.signing import SignerWorker
from mmlab.events import NS_PER_S
from mmlab.exchange import OrderView, Payload, TxKind
from mmlab.orders.commands import Sign
from mmlab.venues.protocol import Venue

Spawn = Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]
TRIES = 10
"""After the last time at which something of ours may still have been on its way to the book."""
PAUSE_NS = NS_PER_S // 2
WAIT_S = 5.0
"""For one answer of the venue or the signer, in the loop's time: neither may hold up the other tries for ever."""


class Emergency:
    """Cancels everything of one session, once at a time: two at once would use the same nonces.

    Parameters
    ----------
    venue : Venue
    owns : callable
        Whether a client id is ours.
    spawn : callable
        Runs a coroutine beside the session's tasks.
    log : Log
        Hears how it ended.

    Attributes
    ----------
    left : int
        Orders of ours after it; -1: nobody knows (yet).
    """

    def __init__(self, venue: Venue, owns: Callable[[int], bool], spawn: Spawn, log: Log) -> None:
        self._venue, self._owns, self._spawn, self._log = venue, owns, spawn, log
        self._task: asyncio.Task[None] | None = None
        self.left = 0

    def start(self) -> asyncio.Task[None]:
        """Begin, unless it is under way or has done all: nothing that opens risk can leave any more."""
        if self._task is None or (self._task.done() and not self.emptied):
            self.left = -1
            self._task = self._spawn(self._run())
        return self._task

    async def _run(self) -> None:
        self.left = await cancel_everything(self._venue, self._owns)
        self._log.error("emergency_cancel", ts_ns=self._venue.clock.now_ns(), left=self.left)

    @property
    def emptied(self) -> bool:
        """Whether it has proven the book empty."""
        return self._task is not None and self.left == 0

    def __str__(self) -> str:
        if not self.left:
            return ""
        return f"; {'nobody knows how many' if self.left < 0 else self.left} of our orders are left"


async def cancel_everything(venue: Venue, owns: Callable[[int], bool]) -> int:
    """Cancel all open orders whose client id is ours until a full view shows none; returns how many are left.

    Nothing that opens risk may be sent meanwhile. Only a view asked for `flight_ns` after the call is proof: what left
    before may land until then. -1: no view could be had, so nobody knows.
    """
    clock, signer = venue.clock, _Signer(venue)
    calm_ns, left, tries = clock.now_ns() + venue.rules.flight_ns, -1, 0
    try:
        while tries < TRIES:
            asked_ns = clock.now_ns()
            tries += asked_ns >= calm_ns
            try:
                view = await asyncio.wait_for(venue.view(0), WAIT_S)
                mine = [order for order in view.orders if order.status == "open" and owns(order.client_id)]
                if view.complete:
                    left = len(mine)
                    if not mine and asked_ns >= calm_ns:
                        return 0
                await _cancel(venue, signer, mine)
            except Exception:  # noqa: BLE001, S110  try again: there is nobody left to tell
                pass
            await clock.sleep_until(clock.now_ns() + PAUSE_NS)
    finally:
        signer.worker.close()
    return left


async def _cancel(venue: Venue, signer: _Signer, orders: list[OrderView]) -> None:
    """Send a cancel for each order."""
    if not orders:
        return
    key = venue.rules.cancel_keys[0]
    nonce = await asyncio.wait_for(venue.nonce(key), WAIT_S)
    for i, order in enumerate(orders):
        sign = Sign(0, i, 1, TxKind.CANCEL, key, nonce + i, order.client_id, order.order_index, order.side)
        venue.send(await asyncio.wait_for(signer.sign(sign), WAIT_S))


class _Signer:
    """The venue's signer in a thread of its own: the session's may be the one that hangs."""

    def __init__(self, venue: Venue) -> None:
        self._results: dict[Sign, asyncio.Future[Payload | str]] = {}
        self.worker = SignerWorker(venue.signer, self._signed)

    async def sign(self, sign: Sign) -> Payload:
        result = self._results[sign] = asyncio.get_running_loop().create_future()
        self.worker.ask(sign)
        payload = await result
        if isinstance(payload, str):
            raise RuntimeError(payload)  # noqa: TRY004  the signer's failure
        return payload

    def _signed(self, sign: Sign, result: Payload | str) -> None:
        waiting = self._results.pop(sign, None)
        if waiting is not None and not waiting.done():
            waiting.set_result(result)
