"""Cancel everything of an account from outside its session: for a supervisor whose engine is gone.

Needs nothing of the session: a key, its nonce by REST, cancel-all by REST, and the list of open orders as proof.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter

from mmlab.errors import VenueError
from mmlab.exchange import Accepted
from mmlab.venues.lighter.auth import Tokens
from mmlab.venues.lighter.backoff import Backoff
from mmlab.venues.lighter.endpoint import Endpoint
from mmlab.venues.lighter.key_sender import KeySender
from mmlab.venues.lighter.keys import Credentials
from mmlab.venues.lighter.rest import Rest
from mmlab.venues.lighter.rules import FLIGHT_NS
from mmlab.venues.lighter.signer import ALL, KeySigner
from mmlab.wire import lighter_rest as wire
from mmlab.wire.lighter_terms import CancelAll

SETTLE_S = FLIGHT_NS / 1e9
"""What the session sent last may still land for so long, so an empty list before is no proof."""
LOOK_S = 0.5


async def cancel_everything(
    endpoint: Endpoint, credentials: Credentials, key: int | None = None, *, settle_s: float = SETTLE_S,
    patience_s: float = 120.0,
) -> int:  # fmt: skip
    """Cancel all orders of the account, in all markets, until none is left.

    Parameters
    ----------
    endpoint : Endpoint
    credentials : Credentials
    key : int, optional
        API key to use; nobody else may use it meanwhile. Default: the first kept for cancels.
    settle_s : float
        An empty list counts only so long after the first cancel-all.
    patience_s : float
        Give up after that.

    Returns
    -------
    int
        Orders that were seen open.

    Raises
    ------
    VenueError
        Orders may be left: the venue did not answer, or did not cancel them, for `patience_s`.
    """
    index = key if key is not None else next(iter(credentials.cancel_keys or credentials.keys))
    counters: Counter[str] = Counter()
    signer = await asyncio.to_thread(KeySigner, endpoint, credentials)
    tokens = Tokens(signer, index, time.time, counters)
    rest = Rest(endpoint, counters, tokens.token)
    try:
        await tokens.token()  # takes a millisecond; then the first look is put before the first cancel arrives
        return await _Rescue(rest, KeySender(rest, signer, index), signer.account).run(settle_s, patience_s)
    finally:
        await rest.close()


class _Rescue:
    def __init__(self, rest: Rest, sender: KeySender, account: int) -> None:
        self._rest, self._sender, self._account = rest, sender, account
        self._seen: set[int] = set()
        self._last = "nothing tried"

    async def run(self, settle_s: float, patience_s: float) -> int:
        loop, backoff = asyncio.get_running_loop(), Backoff(LOOK_S, 4 * LOOK_S, 4 * LOOK_S)
        accepted_s: float | None = None
        until_s = loop.time() + patience_s
        again = True
        first = asyncio.ensure_future(self._look())  # only to know what there was; the cancel does not wait for it
        while loop.time() < until_s:
            if again:
                reply = await self._sender.cancel_all(CancelAll.IMMEDIATE)
                self._last = f"cancel-all: {reply}"
                if isinstance(reply, Accepted) and accepted_s is None:
                    accepted_s = loop.time()
                await first
            asked_s, left = loop.time(), await self._look()
            again = left != 0 or accepted_s is None
            if not again and accepted_s is not None and asked_s >= accepted_s + settle_s:
                return len(self._seen)
            await asyncio.sleep(backoff.failed() if left is None else LOOK_S)
        raise VenueError(f"account {self._account} may have open orders: {self._last}")

    async def _look(self) -> int | None:
        """How many orders are open; None if nobody knows."""
        try:
            answer = await self._rest.get(
                "accountActiveOrders", wire.Orders, private=True, account_index=self._account, market_id=ALL
            )
        except VenueError as error:
            self._last = str(error)
            return None
        if answer.orders is None:
            return None
        self._seen.update(order.order_index for order in answer.orders)
        self._last = f"{len(answer.orders)} open"
        return len(answer.orders)
