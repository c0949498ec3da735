"""Auth tokens, made before the last one ends. Signing takes a while, so it is done in a thread."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable

from mmlab.venues.lighter.signer import KeySigner
from mmlab.wire.lighter_terms import AUTH_LIFE_S

FRESH = 0.5
"""A token is replaced when less than this share of its life is left."""


class Tokens:
    """Tokens of one key.

    Parameters
    ----------
    signer : KeySigner
    key : int
        Index of the API key that signs them.
    now_s : callable
        Wall clock, s since the epoch.
    counters : Counter
    life_s : int
        How long a token is good.
    """

    def __init__(
        self, signer: KeySigner, key: int, now_s: Callable[[], float], counters: Counter[str],
        life_s: int = AUTH_LIFE_S,
    ) -> None:  # fmt: skip
        self._signer, self._key, self._now_s, self._counters, self.life_s = signer, key, now_s, counters, life_s
        self._token, self._deadline_s = "", 0.0

    async def token(self) -> str:
        """A token with at least half its life left."""
        if self._deadline_s - self._now_s() < FRESH * self.life_s:
            self._counters["auth_renewals"] += self._token != ""
            deadline_s = int(self._now_s()) + self.life_s
            self._token = await asyncio.to_thread(self._signer.auth_token, deadline_s, self._key)
            self._deadline_s = deadline_s
        return self._token
