"""The account connection: what the venue says of our orders, and the way of our transactions."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from functools import partial

from mmlab.exchange import AccountMessage, Linked, NotSent, Rejected, Reply, Unlinked
from mmlab.venues.lighter.account import FAMILIES, AccountTracker
from mmlab.venues.lighter.auth import Tokens
from mmlab.venues.lighter.endpoint import Endpoint
from mmlab.venues.lighter.link import USUAL, Link, Timing
from mmlab.venues.lighter.log import Log
from mmlab.venues.lighter.pipe import Pipe
from mmlab.venues.lighter.replies import Replies, unsure
from mmlab.wire import lighter_account as wire
from mmlab.wire.lighter import UNREADABLE
from mmlab.wire.lighter_session import Head, batch, decode_reply, name_of
from mmlab.wire.lighter_terms import SEND_TX, SEND_TX_BATCH

MOST_WAITING = 10_000
"""Messages that may wait for their reader; then they are thrown away, and a full view must tell."""
RENEW_AT = 0.8
"""Share of their token's life after which subscriptions are made anew."""
DOUBT_S = 2.0
"""Least time between two doubts: unreadable frames must not keep us from quoting for ever."""
SINGLY_S = 60.0
"""No batches for so long after one was refused."""


class AccountFeed:
    """Orders, trades, position and margin of one account in one market; and its sender.

    Whenever something may have been missed the epoch ends, and a new one begins: the engine then asks for a full view.
    """

    def __init__(
        self, endpoint: Endpoint, account: int, market: int, decimals: tuple[int, int], tokens: Tokens,
        counters: Counter[str], log: Log, timing: Timing = USUAL, *, with_quota: bool,
    ) -> None:  # fmt: skip
        self.tracker = AccountTracker(account, market, *decimals, counters)
        self.link = Link("account", endpoint.ws, self._channels, self, counters, log, timing)
        self.epoch = 0
        self._tokens, self._counters, self._with_quota = tokens, counters, with_quota
        self._replies = Replies(counters)
        self._pipe: Pipe[AccountMessage] | None = None
        self._loop = asyncio.get_running_loop()
        self._renewal: asyncio.TimerHandle | None = None
        self._doubted_s = self._singly_until_s = float("-inf")

    @property
    def up(self) -> bool:
        """Whether transactions can be sent."""
        return self.link.up and self.link.socket is not None

    async def _channels(self) -> dict[str, str]:
        token, account = await self._tokens.token(), self.tracker.account
        return {
            f"{family}/{self.tracker.market}/{account}" if family == wire.ORDERS else f"{family}/{account}": token
            for family in FAMILIES
        }

    async def read(self) -> AsyncIterator[AccountMessage]:
        """Messages from now on; the first is `Linked`."""
        pipe = self._pipe = Pipe(MOST_WAITING)
        if self.link.up:
            pipe.put(Linked(self.epoch))
        self.link.start()
        async for message in pipe:
            yield message

    def send(self, frame: bytes, reply: asyncio.Future[Reply]) -> None:
        """Write a transaction now."""
        if self.link.up and self.link.send(frame):
            self._replies.expect(name_of(frame), reply)
        else:
            reply.set_result(NotSent("no connection"))

    def send_batch(self, frames: Sequence[bytes], replies: Sequence[asyncio.Future[Reply]]) -> None:
        """Write several transactions of one key as one frame.

        For a while after a batch was refused each goes alone, so that the next refusal names its transaction.
        """
        if self._loop.time() < self._singly_until_s:
            for frame, reply in zip(frames, replies, strict=True):
                self.send(frame, reply)
        elif self.link.up and self.link.send(batch(frames)):
            whole: asyncio.Future[Reply] = self._loop.create_future()
            self._replies.expect(name_of(frames[0]), whole)
            whole.add_done_callback(partial(self._batch_done, replies))
        else:
            for reply in replies:
                reply.set_result(NotSent("no connection"))

    def _batch_done(self, replies: Sequence[asyncio.Future[Reply]], whole: asyncio.Future[Reply]) -> None:
        said = whole.result()
        if isinstance(said, Rejected):
            self._singly_until_s = self._loop.time() + SINGLY_S
        for reply in replies:
            if not reply.done():
                reply.set_result(unsure(said))

    # --- The link says -----------------------------------------------------------------------------------------------

    def went_up(self) -> None:
        """All channels have begun."""
        self.epoch += 1
        self._renewal = self._loop.call_later(RENEW_AT * self._tokens.life_s, self._renew)
        self._put(Linked(self.epoch))

    def went_down(self, reason: str) -> None:
        """The connection is gone."""
        if self._renewal is not None:
            self._renewal.cancel()
        self._put(Unlinked(self.epoch, reason))
        self._replies.give_up(f"connection lost: {reason}")

    def _renew(self) -> None:
        self.link.restart("new auth token")

    def heard(self, head: Head, data: bytes) -> None:
        """A frame."""
        if head.type in (SEND_TX, SEND_TX_BATCH):
            self._reply(data)
        elif head.is_error:
            self._replies.error(head)
        elif head.family:
            messages = self.tracker.frame(head.family, data)
            if self.link.up:  # before, a full view is still to come
                for message in messages:
                    self._put(message)
        elif not head.type:
            self._reply(data)  # a bare answer, or nothing that can be read
        if self.tracker.doubt:
            self._doubt("unreadable frame")

    def _reply(self, data: bytes) -> None:
        try:
            answer = decode_reply(data)
        except UNREADABLE:
            self._counters["bad_replies"] += 1
            return
        self._replies.answer(answer, with_quota=self._with_quota)

    # --- To the reader -----------------------------------------------------------------------------------------------

    def _put(self, message: AccountMessage) -> None:
        pipe = self._pipe
        if pipe is None or pipe.put(message):
            return
        self._counters["account_overflows"] += 1
        pipe.clear()
        self._new_epoch("the reader is too slow")

    def _doubt(self, reason: str) -> None:
        now_s = self._loop.time()
        self.tracker.doubt = False
        if self.link.up and now_s - self._doubted_s >= DOUBT_S:
            self._doubted_s = now_s
            self._new_epoch(reason)

    def _new_epoch(self, reason: str) -> None:
        """As if the link had been lost and made anew: only a full view tells what is."""
        self._counters["doubts"] += 1
        pipe = self._pipe
        if pipe is not None:
            pipe.put(Unlinked(self.epoch, reason))
            self.epoch += 1
            pipe.put(Linked(self.epoch))

    async def close(self) -> None:
        """Disconnect; the reader ends."""
        await self.link.close()
        if self._pipe is not None:
            self._pipe.close()
