"""Cancel everything of ours without the order manager: for when the session itself has failed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from mmlab.events import NS_PER_S
from mmlab.exchange import Transaction, TxKind
from mmlab.venues.protocol import Venue

TRIES = 10
PAUSE_NS = NS_PER_S // 2


async def cancel_everything(venue: Venue, owns: Callable[[int], bool]) -> int:
    """Cancel all open orders whose client id is ours until a full view shows none; returns how many are left.

    -1: no view could be had, so nobody knows.
    """
    left = -1
    for _ in range(TRIES):
        try:
            view = await venue.view(0)
            mine = [order for order in view.orders if order.status == "open" and owns(order.client_id)]
            left = len(mine)
            if view.complete and not mine:
                return 0
            key = venue.rules.cancel_keys[0]
            nonce = await venue.nonce(key)
            for i, order in enumerate(mine):
                request = Transaction(TxKind.CANCEL, key, nonce + i, order.client_id, order.order_index, order.side)
                venue.send(venue.signer.sign(request))
        except Exception:  # noqa: BLE001, S110  try again: there is nobody left to tell
            pass
        await venue.clock.sleep_until(venue.clock.now_ns() + PAUSE_NS)
        await asyncio.sleep(0)
    return left
