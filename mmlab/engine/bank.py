"""The bank of payloads signed ahead: pure. A payload is found by its whole transaction, so no other can be mistaken.

A key's bank is stale once its nonce was given away: `prune` lets go of it. Numbers: every `take` is a hit or a miss;
a miss is *late* if its payload was wanted but not made yet, else *unforeseen*; every payload is used once or wasted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from mmlab.exchange import Payload, Transaction, TxKind

MOST = 4096
"""Payloads kept that nobody wants at present (targets come back) but whose nonce is still to come."""


class Bank:
    """Payloads by transaction, and when each was signed.

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
        self._payloads: dict[Transaction, tuple[Payload, int]] = {}
        self._wanted: dict[Transaction, None] = {}

    def __len__(self) -> int:
        return len(self._payloads)

    def has(self, transaction: Transaction) -> bool:
        """Whether there is a payload of exactly this transaction, fresh or not."""
        return transaction in self._payloads

    def put(self, payload: Payload, signed_ns: int) -> None:
        """Keep a payload that was signed at `signed_ns`."""
        self.counts["signed"] += 1
        if payload.transaction in self._payloads:
            self.counts["wasted"] += 1
        self._payloads[payload.transaction] = payload, signed_ns

    def take(self, transaction: Transaction, now_ns: int) -> Payload | None:
        """The payload of exactly this transaction, once; None if there is none that is fresh enough."""
        payload, signed_ns = self._payloads.pop(transaction, (None, 0))
        wanted = transaction in self._wanted
        self._wanted.pop(transaction, None)
        if payload is not None and self._is_fresh(signed_ns, now_ns):
            self.counts["hits"] += 1
            self.kinds[transaction.kind, True] += 1
            return payload
        self.counts["misses"] += 1
        self.kinds[transaction.kind, False] += 1
        if payload is not None:
            self.counts["wasted"] += 1
            self.counts["expired"] += 1
        self.counts["late" if wanted else "unforeseen"] += 1
        return None

    def want(self, wanted: Iterable[Transaction], nonces: Mapping[int, int], now_ns: int) -> list[Transaction]:
        """Set what is wanted, most important first; let go of what is useless; returns what has to be signed.

        Parameters
        ----------
        wanted : iterable of Transaction
            Worth having.
        nonces : mapping
            Key -> its next nonce. Payloads of other keys, and of nonces below, are of no use.
        now_ns : int
            Payloads older than four fifths of `life_ns` are to be signed anew.
        """
        self._wanted = dict.fromkeys(wanted)
        self._prune(nonces, now_ns)
        worn_ns = self.life_ns * 4 // 5
        return [
            tx for tx in self._wanted if (held := self._payloads.get(tx)) is None or not 0 <= now_ns - held[1] < worn_ns
        ]

    def _prune(self, nonces: Mapping[int, int], now_ns: int) -> None:
        drop = []
        for tx, (_, signed_ns) in self._payloads.items():
            fresh = self._is_fresh(signed_ns, now_ns)
            if not fresh or tx.nonce < nonces.get(tx.key, tx.nonce + 1):
                drop.append(tx)
                self.counts["expired"] += not fresh
        kept = len(self._payloads) - len(drop)
        if kept > MOST + len(self._wanted):
            gone = set(drop)
            spare = [tx for tx in self._payloads if tx not in gone and tx not in self._wanted]
            drop += spare[: kept - MOST]
        for tx in drop:
            del self._payloads[tx]
        self.counts["wasted"] += len(drop)

    def _is_fresh(self, signed_ns: int, now_ns: int) -> bool:
        return 0 <= now_ns - signed_ns < self.life_ns  # a clock that was set back proves nothing

    def oldest_ns(self) -> int | None:
        """When the oldest payload was signed; None if there is none."""
        return min((signed_ns for _, signed_ns in self._payloads.values()), default=None)

    def lacking(self) -> int:
        """Payloads that are wanted and not there."""
        return sum(tx not in self._payloads for tx in self._wanted)
