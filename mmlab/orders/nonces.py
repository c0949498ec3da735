"""Nonces: one counter a key, payloads in order, and what becomes of the counter when one of them fails.

A nonce is assigned when a payload is asked for. Payloads of a key leave in nonce order. One that is given up before it
left gives its nonce back, and all behind it are signed anew. A refused one burned nothing; if others with higher nonces
have left already they will be refused too, so the key rests until all of them are settled and the venue has told the
next nonce (`learn`). One whose fate is unknown keeps its nonce occupied until the venue's counter has passed it, or
until nothing that we sent can arrive any more: so no nonce ever carries two payloads, both of which could count.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count

from mmlab.events import NEVER_NS
from mmlab.orders.order import Tx


class Key:
    """The counter of one API key.

    Attributes
    ----------
    next : int or None
        Nonce of the next payload; None until the venue told it.
    unsent : list of Tx
        Have a nonce, not sent yet; consecutive up to `next` - 1.
    sent : dict
        Nonce -> transaction whose fate is unknown.
    resync : bool
        Rests until `learn` succeeds.
    ask_ns : int
        When to ask the venue for the next nonce.
    calm_ns : int
        From when on no payload of an earlier life can arrive: an answer to an earlier question could be overtaken.
    used : int
        Rises with every nonce that a key of the ring gives: the least was used longest ago.
    """

    def __init__(self, index: int, calm_ns: int = 0, turns: Iterator[int] | None = None) -> None:
        self.index = index
        self.used = 0
        self._turns = count(1) if turns is None else turns
        self.next: int | None = None
        self.unsent: list[Tx] = []
        self.sent: dict[int, Tx] = {}
        self.resync = True
        self.ask_ns = NEVER_NS
        self.calm_ns = calm_ns
        self.asked = 0  # questions in a row without an answer that helped
        self._floor = 0  # nonces below are surely consumed
        self._highest = -1  # highest nonce that left

    @property
    def ready(self) -> bool:
        """Whether a payload may be given a nonce."""
        return self.next is not None and not self.resync

    def assign(self, tx: Tx) -> None:
        """Give `tx` the next nonce."""
        assert self.next is not None  # noqa: S101  callers ask `ready` first
        tx.key, tx.nonce = self.index, self.next
        self.next += 1
        self.used = next(self._turns)
        self.unsent.append(tx)

    def leave(self, tx: Tx) -> None:
        """The head of `unsent` is being sent."""
        self.unsent.remove(tx)
        self.sent[tx.nonce] = tx
        self._highest = max(self._highest, tx.nonce)

    def drop(self, tx: Tx) -> list[Tx]:
        """Give up `tx` before it left; returns those whose nonce changed."""
        at = self.unsent.index(tx)
        del self.unsent[at]
        return self._renumber(tx.nonce, at)

    def consumed(self, tx: Tx) -> None:
        """The venue accepted `tx`."""
        if self.sent.get(tx.nonce) is tx:
            del self.sent[tx.nonce]
        self._floor = max(self._floor, tx.nonce + 1)

    def refused(self, tx: Tx, now_ns: int, *, bad_nonce: bool) -> list[Tx]:
        """The venue refused `tx`, or it never left: its nonce is free. Returns those whose nonce changed."""
        if self.sent.get(tx.nonce) is not tx:
            return []  # its fate was settled by a question
        del self.sent[tx.nonce]
        if bad_nonce or self.resync or self._highest > tx.nonce:
            return self.lose(now_ns)
        self._highest = tx.nonce - 1
        return self._renumber(tx.nonce, 0)

    def lose(self, now_ns: int) -> list[Tx]:
        """The counter is in doubt: rest until `learn`. Returns the unsent, which have no nonce any more."""
        if not self.resync:
            self.resync, self.ask_ns = True, now_ns
        unsent, self.unsent = self.unsent, []
        return unsent

    def learn(self, nonce: int, asked_ns: int, flight_ns: int) -> tuple[bool, list[Tx]]:
        """The venue's next nonce, by a question put at `asked_ns`.

        Returns whether the key is ready (if not, `ask_ns` is when to ask again), and the unsent whose nonce changed.
        """
        nonce = self._floor = max(nonce, self._floor)  # an answer may be older than one we had before
        for tx in list(self.sent.values()):
            if tx.nonce < nonce or asked_ns >= tx.sent_ns + flight_ns:  # consumed, or it will never arrive
                del self.sent[tx.nonce]
        if self.sent or asked_ns < self.calm_ns:
            if self.resync:
                last_ns = max((tx.sent_ns for tx in self.sent.values()), default=-NEVER_NS)
                self.ask_ns = max(asked_ns + 1, self.calm_ns, last_ns + flight_ns)
            return self.ready, []
        self.resync, self.ask_ns, self.asked = False, NEVER_NS, 0
        self._highest = nonce - 1
        return True, self._renumber(nonce, 0)

    def _renumber(self, nonce: int, start: int) -> list[Tx]:
        changed = [tx for n, tx in enumerate(self.unsent[start:], nonce) if tx.nonce != n]
        for n, tx in enumerate(self.unsent[start:], nonce):
            tx.nonce = n
        self.next = nonce + len(self.unsent) - start
        return changed


class KeyRing:
    """All keys: some for quotes, some kept for cancels."""

    def __init__(self, quote_keys: Sequence[int], cancel_keys: Sequence[int], calm_ns: int = 0) -> None:
        turns = count(1)
        self.keys = {index: Key(index, calm_ns, turns) for index in dict.fromkeys((*quote_keys, *cancel_keys))}
        self.ring = tuple(self.keys.values())
        self._quotes = [self.keys[index] for index in dict.fromkeys(quote_keys)]
        self._cancels = [self.keys[index] for index in dict.fromkeys(cancel_keys)]

    def for_quote(self) -> Key | None:
        """The least busy quote key that is ready; of several the one that was used longest ago.

        So what follows one another goes to different keys, and each has time to have its next payloads signed ahead.
        """
        return _least_busy(self._quotes)

    def quotes_in_turn(self) -> list[Key]:
        """Keys that are ready for quotes, in the order in which the next transactions would take them."""
        return sorted((key for key in self._quotes if key.ready), key=_turn)

    def cancels_in_turn(self) -> list[Key]:
        """The same for cancels."""
        return sorted((key for key in self._cancels if key.ready), key=_turn) or self.quotes_in_turn()

    def for_cancel(self) -> Key | None:
        """A key kept for cancels; any other that is ready if those are not."""
        return _least_busy(self._cancels) or _least_busy(self._quotes)

    @property
    def in_flight(self) -> int:
        """Transactions without a known fate."""
        n = 0
        for key in self.ring:
            n += len(key.unsent) + len(key.sent)
        return n


def _turn(key: Key) -> tuple[int, int]:
    """What decides whose turn it is: load, then when it was used last."""
    return len(key.unsent) + len(key.sent), key.used


def _least_busy(keys: list[Key]) -> Key | None:
    best, least, used = None, 0, 0
    for key in keys:
        if key.next is not None and not key.resync:
            load = len(key.unsent) + len(key.sent)
            if best is None or load < least or (load == least and key.used < used):
                best, least, used = key, load, key.used
    return best
