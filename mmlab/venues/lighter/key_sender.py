"""Cancel-all with one key of its own, over REST: nonce asked for, signed, posted. For whoever acts beside a session."""

from __future__ import annotations

import asyncio

from mmlab.errors import VenueError
from mmlab.exchange import Accepted, NotSent, Rejected, Reply
from mmlab.venues.lighter.rest import Rest
from mmlab.venues.lighter.signer import ALL, KeySigner
from mmlab.wire import lighter_rest as wire
from mmlab.wire.lighter_terms import CancelAll, Code

NONCE_CODES = (int(Code.INVALID_NONCE), int(Code.NONCE_NOT_INCREASING))


class KeySender:
    """Sends cancel-alls of one key, one after the other; nobody else may use the key."""

    def __init__(self, rest: Rest, signer: KeySigner, key: int) -> None:
        self._rest, self._signer, self.key = rest, signer, key
        self._nonce: int | None = None
        self._turn = asyncio.Lock()

    async def cancel_all(self, how: CancelAll, at_ms: int = 0, market: int = ALL) -> Reply:
        """Cancel all orders (of the whole account): now, at a time, or call that off.

        The nonce is asked for at first, and whenever the fate of the last one is not sure.
        """
        async with self._turn:
            try:
                nonce = await self._next()
            except VenueError as error:
                return NotSent(str(error))
            made = await asyncio.to_thread(self._signer.cancel_all, how, at_ms, market, nonce=nonce, key=self.key)
            reply = await self._rest.send_tx(made.tx_type, made.tx_info)
            self._nonce = _after(reply, nonce)
            return reply

    async def _next(self) -> int:
        if self._nonce is None:
            answer = await self._rest.get(
                "nextNonce", wire.NextNonce, account_index=self._signer.account, api_key_index=self.key
            )
            if answer.nonce < 0:
                raise VenueError(f"nextNonce: no nonce of key {self.key} in the answer")
            return answer.nonce
        return self._nonce


def _after(reply: Reply, nonce: int) -> int | None:
    """The next nonce, if the reply tells."""
    if isinstance(reply, NotSent) or (isinstance(reply, Rejected) and reply.code not in NONCE_CODES):
        return nonce
    return nonce + 1 if isinstance(reply, Accepted) else None
