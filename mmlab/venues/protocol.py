"""What the engine needs of a venue. One object serves one market of one account.

A venue never raises into the engine for what a network or an exchange does: a reply says `Unanswered`, a feed says
`Unlinked` and goes on. A feed that ends (its iterator stops) ends the session.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any, Protocol

import numpy as np

from mmlab.exchange import AccountMessage, AccountView, Payload, Reply, Status, Transaction, VenueRules
from mmlab.instrument import Instrument
from mmlab.venues.clock import Clock


class Signer(Protocol):
    """Makes payloads. Called in one thread.

    Payloads signed ahead are many for one (key, nonce); of them at most one is sent, so signatures must not give away
    the key when a nonce comes twice.
    """

    @property
    def quick(self) -> bool:
        """Whether it never waits and takes microseconds, as a keyed hash does: it is then called on the event loop.

        Another signer gets a thread of its own, which costs two hand-overs, some 0.1 ms each.
        """

    def sign(self, transaction: Transaction) -> Payload:
        """Bytes for `transaction`.

        Raises
        ------
        SigningError
            It cannot be signed.
        """


class Venue(Protocol):
    """A market and an account at an exchange."""

    name: str
    instrument: Instrument
    rules: VenueRules
    clock: Clock

    @property
    def signer(self) -> Signer:
        """Makes its payloads."""

    def market(self) -> AsyncIterator[np.ndarray[Any, Any] | Status]:
        """Market feed: arrays of `mmlab.events.EVENT`, each one or more whole venue messages in the order received.

        ``local_ns`` never falls and is at most the clock's time. Gaps and lost links are GAP rows, healed by a
        snapshot. Asked for again, after a reader failed, it begins with a GAP and a snapshot.
        """

    def account(self) -> AsyncIterator[AccountMessage]:
        """Account feed, from now on; the first message is `Linked`."""

    def send(self, payload: Payload) -> asyncio.Future[Reply]:
        """Hand `payload` to the connection, after all that were sent before; the reply comes later, or never."""

    def send_batch(self, payloads: Sequence[Payload]) -> list[asyncio.Future[Reply]]:
        """The same for several, as one message; asked for within `rules.max_batch` only."""

    async def view(self, since_trade_id: int) -> AccountView:
        """The account as it is, with all trades after `since_trade_id`.

        Raises
        ------
        VenueError
            No usable answer.
        """

    async def nonce(self, key: int) -> int:
        """Next nonce of an API key.

        Raises
        ------
        VenueError
            No usable answer.
        """

    async def close(self) -> None:
        """Let go of everything. Orders are left as they are."""
