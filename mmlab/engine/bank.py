"""The bank of payloads signed ahead: pure. A payload is found by its whole transaction, so no other can be mistaken.

Payloads are kept by key and nonce: once that was given away, all of them are let go at once. Numbers: every `take` is
a hit or a miss; a miss is *late* if its payload was wanted but not made yet, else *unforeseen*; every payload is used
once or wasted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from operator import itemgetter

from mmlab.events import ASK
from mmlab.exchange import Payload, Transaction, TxKind
from mmlab.orders.forecast import Draft, Turn, draft_of

MOST = 4096
"""Payloads kept that nobody wants at present (targets come back) but whose nonce is still to come."""
Wish = tuple[int, int, int, Draft]
"""Rank, key, nonce, and what is to be signed."""


class Bank:
    """Payloads by key, nonce and draft, and when each was signed.

    Parameters
    ----------
    life_ns : int
        Age from which a payload is not used any more.

    Attributes
    ----------
    counts : Counter
        ``hits``, ``misses`` (``late``, ``unforeseen``), ``signed``, ``wasted``, ``expired``.
    kinds : Counter
        (kind, whether it was a hit) -> how often.
    """

    def __init__(self, life_ns: int) -> None:
        self.life_ns = life_ns
        self.counts: Counter[str] = Counter()
        self.kinds: Counter[tuple[TxKind, bool]] = Counter()
        self._held: dict[tuple[int, int], dict[Draft, tuple[Payload, int]]] = {}
        self._turns: Sequence[Turn] = ()
        self._swept_ns: int | None = None

    def __len__(self) -> int:
        return sum(map(len, self._held.values()))

    def has(self, tx: Transaction) -> bool:
        """Whether there is a payload of exactly this transaction, fresh or not."""
        return draft_of(tx) in self._held.get((tx.key, tx.nonce), ())

    def put(self, payload: Payload, signed_ns: int) -> None:
        """Keep a payload that was signed at `signed_ns`."""
        tx = payload.transaction
        held, draft = self._held.setdefault((tx.key, tx.nonce), {}), draft_of(tx)
        self.counts["signed"] += 1
        if draft in held:
            self.counts["wasted"] += 1
        held[draft] = payload, signed_ns

    def take(self, tx: Transaction, now_ns: int) -> Payload | None:
        """The payload of exactly this transaction, once; None if there is none that is fresh enough."""
        at, draft = (tx.key, tx.nonce), draft_of(tx)
        payload, signed_ns = self._held.get(at, {}).pop(draft, (None, 0))
        fresh = payload is not None and self._is_fresh(signed_ns, now_ns)
        self.kinds[tx.kind, fresh] += 1
        if fresh:
            self.counts["hits"] += 1
            return payload
        self.counts["misses"] += 1
        if payload is not None:
            self.counts["wasted"] += 1
            self.counts["expired"] += 1
        wanted = any(draft in turn.drafts for turn in self._turns if (turn.key, turn.nonce) == at)
        self.counts["late" if wanted else "unforeseen"] += 1
        return None

    def want(self, turns: Sequence[Turn], nonces: Mapping[int, int], now_ns: int) -> list[Wish]:
        """Set what is wanted; let go of what is useless; returns what has to be signed, most important first.

        Parameters
        ----------
        turns : sequence of Turn
            Worth having.
        nonces : mapping
            Key -> its next nonce. Payloads of other keys, and of nonces below, are of no use.
        now_ns : int
            Payloads older than four fifths of `life_ns` are to be signed anew; looked for every twentieth of it.
        """
        self._turns = turns
        renew = self._swept_ns is None or not 0 <= now_ns - self._swept_ns < self.life_ns // 20
        for at in [(key, nonce) for key, nonce in self._held if nonce < nonces.get(key, nonce + 1)]:
            self.counts["wasted"] += len(self._held.pop(at))
        if renew:
            self._swept_ns = now_ns
            self._sweep(now_ns)
        worn_ns = now_ns - self.life_ns * 4 // 5
        lacking: list[Wish] = []
        for key, nonce, drafts, wait in turns:
            held = self._held.get((key, nonce))
            missing: Iterable[Draft]
            if not held:
                missing = drafts
            elif renew:
                missing = [d for d in drafts if d not in held or not worn_ns < held[d][1] <= now_ns]
            else:
                missing = drafts.keys() - held.keys()
            lacking += [(drafts[draft] + wait[draft.side == ASK], key, nonce, draft) for draft in missing]
        lacking.sort(key=itemgetter(0))
        return lacking

    def _sweep(self, now_ns: int) -> None:
        """Let go of payloads that are too old, and of those nobody wants if they are too many."""
        wanted = {(turn.key, turn.nonce, draft) for turn in self._turns for draft in turn.drafts}
        spare = len(self) - MOST - len(wanted)
        for at, held in self._held.items():
            for draft, (_, signed_ns) in list(held.items()):
                old = not self._is_fresh(signed_ns, now_ns)
                if old or (spare > 0 and (*at, draft) not in wanted):
                    del held[draft]
                    spare -= 1
                    self.counts["wasted"] += 1
                    self.counts["expired"] += old

    def _is_fresh(self, signed_ns: int, now_ns: int) -> bool:
        return 0 <= now_ns - signed_ns < self.life_ns  # a clock that was set back proves nothing

    def oldest_ns(self) -> int | None:
        """When the oldest payload was signed; None if there is none."""
        return min((signed_ns for held in self._held.values() for _, signed_ns in held.values()), default=None)

    def lacking(self) -> int:
        """Payloads that are wanted and not there."""
        return sum(
            draft not in self._held.get((turn.key, turn.nonce), ()) for turn in self._turns for draft in turn.drafts
        )
