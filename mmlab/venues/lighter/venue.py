"""`LighterVenue`: one market of one Lighter account, behind the venue protocol.

Two connections: one for the market, one for the account and for transactions, so that a full book never holds up an
answer. Frames go to the engine in the turn of the loop that read them; a payload is on the socket when `send` returns.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from typing import Any, Literal

import numpy as np

from mmlab.errors import ConfigError, MMLabError, VenueError
from mmlab.events import NS_PER_S
from mmlab.exchange import (
    AccountMessage,
    AccountView,
    NotSent,
    Payload,
    Reply,
    Status,
    TxKind,
    VenueRules,
)
from mmlab.instrument import Instrument
from mmlab.venues.clock import Clock, LoopClock
from mmlab.venues.lighter.account_feed import AccountFeed
from mmlab.venues.lighter.auth import Tokens
from mmlab.venues.lighter.dry import DryAccount
from mmlab.venues.lighter.endpoint import Endpoint
from mmlab.venues.lighter.keys import Credentials
from mmlab.venues.lighter.link import USUAL, Timing
from mmlab.venues.lighter.log import Log, Quiet
from mmlab.venues.lighter.market_feed import MarketFeed
from mmlab.venues.lighter.posting import Posting
from mmlab.venues.lighter.rest import Rest
from mmlab.venues.lighter.rules import instrument_of, rules_of
from mmlab.venues.lighter.signer import KeySigner, LighterSigner
from mmlab.venues.lighter.views import Views
from mmlab.venues.protocol import Signer, Venue
from mmlab.wire import lighter_rest as wire

Submit = Literal["ws", "rest"]
LAST_RESORT = (TxKind.CANCEL, TxKind.CANCEL_ALL)
"""Sent over REST while the WebSocket is down: they open no risk, and somebody may be waiting for them."""
STATUS_S = 60.0
"""The market's status is asked for so often; no channel tells it."""


class LighterVenue:
    """Lighter; made by `open`, inside a running event loop.

    Attributes
    ----------
    counters : Counter of str
        What went wrong and what was done about it: reconnects, gaps, bad_frames, resubscribes, auth_renewals,
        rest_errors, rate_limited, ...
    market_info : mmlab.wire.lighter_rest.Market
        Metadata as the venue told it.
    """

    name = "lighter"

    def __init__(
        self, endpoint: Endpoint, credentials: Credentials, market: wire.Market, limits: wire.Limits | None,
        keys: KeySigner, rest: Rest, clock: Clock, counters: Counter[str], log: Log, *, dry_run: bool, submit: Submit,
        timing: Timing = USUAL,
    ) -> None:  # fmt: skip
        self.endpoint, self.clock, self.counters, self.market_info = endpoint, clock, counters, market
        self.instrument: Instrument = instrument_of(market, limits)
        self.rules: VenueRules = rules_of(market, limits, credentials.quote_keys, credentials.cancel_keys)
        self.signer: Signer = LighterSigner(keys, market.market_id)
        self._rest, self._log, self._submit = rest, log, submit
        self._loop = asyncio.get_running_loop()
        decimals = market.supported_price_decimals, market.supported_size_decimals
        self._market = MarketFeed(endpoint, market.market_id, decimals, clock, counters, log, timing)
        tokens = Tokens(keys, keys.keys[0], time.time, counters, round(timing.subscription_s))
        self._account = AccountFeed(
            endpoint, credentials.account_index, market.market_id, decimals, tokens, counters, log,
            timing, with_quota=self.rules.quota.on,
        )  # fmt: skip
        self._views = Views(rest, self._account.tracker, keys.keys, counters)
        self._posting = Posting(rest, with_quota=self.rules.quota.on)
        self._dry = DryAccount(keys.keys, clock, log) if dry_run else None
        self._watch: asyncio.Task[None] | None = None
        self._closed = False

    @classmethod
    async def open(
        cls, endpoint: Endpoint, credentials: Credentials, market: str | int, *, clock: Clock | None = None,
        log: Log | None = None, dry_run: bool = False, submit: Submit = "ws", timing: Timing = USUAL,
    ) -> LighterVenue:  # fmt: skip
        """Ask for the market's metadata and the account's limits, and make the signer ready.

        Raises
        ------
        VenueError
            The venue does not answer, or its answer cannot be used.
        ConfigError
            There is no such market.
        SigningError
            The signer is not installed, or refuses a key.
        """
        if submit not in ("ws", "rest"):
            raise ConfigError(f"submit {submit!r}: must be 'ws' or 'rest'")
        if not credentials.quote_keys or not credentials.cancel_keys:
            raise ConfigError("API keys: at least one to quote with and one kept for cancels are needed")
        counters: Counter[str] = Counter()
        clock = clock or LoopClock(time.time_ns())
        log = log or Quiet()
        keys = await asyncio.to_thread(KeySigner, endpoint, credentials)
        rest = Rest(endpoint, counters, Tokens(keys, keys.keys[0], time.time, counters).token)
        try:
            info = await find_market(rest, market)
            limits = await limits_of(rest, credentials.account_index, log)
        except BaseException:
            await rest.close()
            raise
        return cls(
            endpoint, credentials, info, limits, keys, rest, clock, counters, log, dry_run=dry_run, submit=submit,
            timing=timing,
        )  # fmt: skip

    # --- The protocol ------------------------------------------------------------------------------------------------

    async def market(self) -> AsyncIterator[np.ndarray[Any, Any] | Status]:
        """Market feed."""
        if self._watch is None and not self._closed:
            self._watch = self._loop.create_task(self._watch_status(), name="lighter-status")
        async for rows in self._market.read():
            yield rows

    async def account(self) -> AsyncIterator[AccountMessage]:
        """Account feed, from now on; the first message is `Linked`."""
        source = self._account if self._dry is None else self._dry
        async for message in source.read():
            yield message

    def send(self, payload: Payload) -> asyncio.Future[Reply]:
        """Write `payload` to the connection; the reply comes later, or never."""
        if self._dry is not None:
            return self._dry.send(payload)
        reply: asyncio.Future[Reply] = self._loop.create_future()
        if self._closed:
            reply.set_result(NotSent("closed"))
        elif self._submit == "rest" or (not self._account.up and payload.transaction.kind in LAST_RESORT):
            self._posting.send(payload, reply)
        else:
            self._account.send(payload.data, reply)
        return reply

    def send_batch(self, payloads: Sequence[Payload]) -> list[asyncio.Future[Reply]]:
        """Write several payloads of one key as one frame; over REST and in a dry run they go one by one."""
        if self._dry is not None or self._closed or self._submit == "rest" or not self._account.up:
            return [self.send(payload) for payload in payloads]
        replies: list[asyncio.Future[Reply]] = [self._loop.create_future() for _ in payloads]
        self._account.send_batch([payload.data for payload in payloads], replies)
        return replies

    async def view(self, since_trade_id: int) -> AccountView:
        """The account as it is, with all trades after `since_trade_id`; raises `VenueError`."""
        return self._dry.view() if self._dry is not None else await self._views.view(since_trade_id)

    async def nonce(self, key: int) -> int:
        """Next nonce of an API key; raises `VenueError`."""
        return self._dry.nonce(key) if self._dry is not None else await self._views.nonce(key)

    async def close(self) -> None:
        """Let go of everything. Orders are left as they are."""
        self._closed = True
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)
        if self._dry is not None:
            self._dry.close()
        await self._market.close()
        await self._account.close()
        await self._posting.close()
        await self._rest.close()

    # --- Market status -----------------------------------------------------------------------------------------------

    async def _watch_status(self) -> None:
        """Tell when the market stops or begins to trade."""
        trading = True
        status = self.market_info.status
        while True:
            if (status == ACTIVE) != trading:
                trading = status == ACTIVE
                self._market.tell(Status(trading, "" if trading else f"market is {status}"))
            await self.clock.sleep_until(self.clock.now_ns() + round(STATUS_S * NS_PER_S))
            try:
                status = (await find_market(self._rest, self.market_info.market_id)).status
            except MMLabError as error:
                self._log.info("no_status", ts_ns=self.clock.now_ns(), error=str(error))


ACTIVE = "active"
_A_VENUE: type[Venue] = LighterVenue  # checked by mypy


async def find_market(rest: Rest, market: str | int) -> wire.Market:
    """Metadata of a market by symbol or id.

    Raises
    ------
    VenueError
        No usable answer.
    ConfigError
        There is no such market.
    """
    if isinstance(market, str) and market.isdecimal():
        market = int(market)
    parameters: dict[str, Any] = {"market_id": market} if isinstance(market, int) else {}
    answer = await rest.get("orderBooks", wire.Markets, **parameters)
    for found in answer.order_books:
        if market in (found.market_id, found.symbol):
            return found
    names = ", ".join(sorted(found.symbol for found in answer.order_books)[:30])
    raise ConfigError(f"market {market!r} is not at this venue; it has {names or 'none'}")


async def limits_of(rest: Rest, account: int, log: Log) -> wire.Limits | None:
    """Tier and fees of an account; None, and so the smallest tier, if the venue does not tell."""
    try:
        return await rest.get("accountLimits", wire.Limits, private=True, account_index=account)
    except VenueError as error:
        log.info("no_limits", error=str(error))
        return None
