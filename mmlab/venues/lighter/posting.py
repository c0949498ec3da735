"""Transactions over REST: one at a time a key, as their nonces want."""

from __future__ import annotations

import asyncio
from collections import defaultdict

from mmlab.exchange import Payload, Reply, Unanswered
from mmlab.venues.lighter.rest import Rest
from mmlab.wire.lighter_session import opened


class Posting:
    """Posts payloads, those of a key in the order in which they were given."""

    def __init__(self, rest: Rest, *, with_quota: bool) -> None:
        self._rest, self._with_quota = rest, with_quota
        self._turns: defaultdict[int, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._tasks: set[asyncio.Task[None]] = set()

    def send(self, payload: Payload, reply: asyncio.Future[Reply]) -> None:
        """Post soon."""
        task = asyncio.get_running_loop().create_task(self._post(payload, reply))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _post(self, payload: Payload, reply: asyncio.Future[Reply]) -> None:
        answer: Reply = Unanswered("closed")
        try:
            async with self._turns[payload.transaction.key]:  # in the order asked for
                _, tx_type, tx_info = opened(payload.data)
                answer = await self._rest.send_tx(tx_type, tx_info, with_quota=self._with_quota)
        finally:
            if not reply.done():
                reply.set_result(answer)

    async def close(self) -> None:
        """Give up what is under way."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
