"""A paper venue on a small market, a chatterbox that trades on it, and everything that was heard."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np

from mmlab.errors import VenueError
from mmlab.events import EVENT, NS_PER_MS, NS_PER_S, Kind
from mmlab.exchange import AccountView, Transaction, TxKind
from mmlab.feeds import Feed
from mmlab.feeds.synthetic import synthetic_feed
from mmlab.venues.paper import FaultPlan, PaperVenue, Truth
from mmlab.venues.virtual import run_virtual
from tests.simulator import tapes

PLACE, MODIFY, CANCEL, CANCEL_ALL = TxKind
BID, ASK = 1, -1
POST_ONLY, IOC, REDUCE_ONLY = 1, 2, 4
T0 = tapes.T0


def small_feed(rows: tapes.Feed | np.ndarray) -> Feed:
    """A feed of `tests.simulator.tapes`."""
    return Feed(tapes.INSTRUMENT, rows if isinstance(rows, np.ndarray) else rows.events)


@cache
def market(seconds: float = 120.0, seed: int = 3) -> Feed:
    """A synthetic market, shared by tests."""
    return synthetic_feed(seconds, seed, flip_every_s=0, burst_every_s=0, gap_every_s=0, stale_every_s=0)


def params_for(feed: Feed) -> np.ndarray:
    """A `PARAMS` row with the feed's instrument."""
    return tapes.parameters([(0.0, BID, 1, 1)], feed.instrument, **{"strategy.order_size": 1.0})


def paper(feed: Feed, plan: FaultPlan | None = None, **options: Any) -> PaperVenue:
    """A paper venue."""
    return PaperVenue(feed, params_for(feed), faults=plan, **options)


@dataclass
class Heard:
    """All that came from a venue, with its time, and how it really was at the end."""

    rows: list[np.ndarray] = field(default_factory=list)
    row_ns: list[int] = field(default_factory=list)
    odd: list[Any] = field(default_factory=list)
    account: list[tuple[int, Any]] = field(default_factory=list)
    sent: list[tuple[int, Transaction]] = field(default_factory=list)
    replies: dict[int, tuple[int, Any]] = field(default_factory=dict)
    views: list[Any] = field(default_factory=list)
    truth: Truth | None = None

    def messages(self, kind: type) -> list[Any]:
        """Account messages of a kind."""
        return [message for _, message in self.account if isinstance(message, kind)]

    def answered(self, kind: type) -> list[Any]:
        """Replies of a kind."""
        return [reply for _, reply in self.replies.values() if isinstance(reply, kind)]

    def latency_ms(self) -> list[float]:
        """From sending to the reply."""
        return [(at - self.sent[n][0]) / NS_PER_MS for n, (at, _) in sorted(self.replies.items())]

    @property
    def events(self) -> np.ndarray:
        """All rows heard."""
        return np.concatenate(self.rows) if self.rows else np.zeros(0, EVENT)


class Client:
    """Sends, and writes down what it hears."""

    def __init__(self, venue: PaperVenue) -> None:
        self.venue, self.heard = venue, Heard()
        self.tasks = [asyncio.create_task(self.hear_market()), asyncio.create_task(self.hear_account())]

    async def hear_market(self) -> None:
        async for item in self.venue.market():
            if isinstance(item, np.ndarray) and item.dtype == EVENT and item.ndim == 1:
                self.heard.rows.append(item)
                self.heard.row_ns.append(self.venue.clock.now_ns())
            else:
                self.heard.odd.append(item)

    async def hear_account(self) -> None:
        async for message in self.venue.account():
            self.heard.account.append((self.venue.clock.now_ns(), message))

    def send(self, kind: TxKind, client_id: int = 0, side: int = 0, ticks: int = 0, lots: int = 0,
             flags: int = 0, key: int = 0, nonce: int | None = None, order_index: int = 0) -> Any:  # fmt: skip
        """Send a transaction; without a nonce, with the one the venue expects now (nothing else being on its way)."""
        nonce = self.venue.truth().nonces[key] if nonce is None else nonce
        tx = Transaction(kind, key, nonce, client_id, order_index, side, ticks, lots, flags)
        n = len(self.heard.sent)
        self.heard.sent.append((self.venue.clock.now_ns(), tx))
        reply = self.venue.send(self.venue.signer.sign(tx))
        reply.add_done_callback(lambda f: self.hear_reply(n, f.result()))
        return reply

    def hear_reply(self, n: int, reply: Any) -> None:
        if self.heard.truth is None:  # at the end of a session all that still wait are told so
            self.heard.replies[n] = (self.venue.clock.now_ns(), reply)

    async def until_ms(self, ms: float) -> None:
        """Wait until so long after `T0`."""
        await self.venue.clock.sleep_until(T0 + round(ms * NS_PER_MS))

    async def view(self, since: int = 0) -> AccountView | VenueError:
        """A view, or its failure."""
        try:
            view = await self.venue.view(since)
        except VenueError as error:
            view = error
        self.heard.views.append(view)
        return view

    async def finish(self) -> Heard:
        """Close, and hand over what was heard."""
        self.heard.truth = self.venue.truth()
        await self.venue.close()
        await asyncio.gather(*self.tasks)
        return self.heard


async def chatter(client: Client, seconds: float, seed: int = 0, every_ms: float = 100.0) -> None:
    """Place near the last trade, modify, cancel, look: at random, each step long after the last."""
    rng, venue = np.random.default_rng(seed), client.venue
    begin_ns = venue.clock.now_ns()
    client_id, ids, last = 0, [], None
    for n in range(1, round(1000 * seconds / every_ms)):
        await venue.clock.sleep_until(begin_ns + round(n * every_ms * NS_PER_MS))
        for rows in client.heard.rows[-20:]:
            trades = rows[rows["kind"] == Kind.TRADE]
            last = int(trades["price_ticks"][-1]) if trades.size else last
        what = rng.random()
        if last is None:
            continue
        if what < 0.6 or not ids:
            client_id += 1
            ids.append(client_id)
            side = int(rng.choice([BID, ASK]))
            flags = int(rng.choice([POST_ONLY, POST_ONLY, POST_ONLY, 0, IOC, REDUCE_ONLY]))
            ticks = last - side * int(rng.integers(-2, 4))
            client.send(PLACE, client_id, side, ticks, int(rng.integers(1, 40)), flags)
        elif what < 0.75:
            client.send(MODIFY, ids[-1], 0, last + int(rng.integers(-4, 5)), int(rng.integers(1, 40)))
        elif what < 0.95:
            client.send(CANCEL, int(rng.choice(ids[-8:])), key=2)
        else:
            venue_task = asyncio.create_task(client.view(int(rng.integers(0, 5))))
            client.tasks.append(venue_task)


def session(plan: FaultPlan | None = None, seconds: float = 60.0, feed: Feed | None = None, seed: int = 0,
            **options: Any) -> Heard:  # fmt: skip
    """A chatterbox on a market in virtual time."""

    async def main() -> Heard:
        client = Client(paper(feed or market(), plan, **options))
        await chatter(client, seconds, seed)
        await client.venue.clock.sleep_until(client.venue.clock.now_ns() + NS_PER_S)
        return await client.finish()

    return run_virtual(main())


def scripted(feed: tapes.Feed | np.ndarray, script: Any, plan: FaultPlan | None = None, **options: Any) -> Heard:
    """Run ``script(client)`` on a tape of `tests.simulator.tapes` in virtual time."""

    async def main() -> Heard:
        client = Client(paper(small_feed(feed), plan, **options))
        await script(client)
        return await client.finish()

    return run_virtual(main())
