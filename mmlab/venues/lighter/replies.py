"""Answers to transactions: which one an answer is about, and what it means. Pure.

An answer names the transaction by the id that we gave, or by its hash, which is the same word here. An answer without
either is taken for the oldest one's, as long as this venue has never named one; else only if a single one waits.
"""

from __future__ import annotations

import asyncio
from collections import Counter

from mmlab.exchange import Accepted, ErrorClass, Rejected, Reply, Unanswered
from mmlab.venues.lighter.rules import ERRORS, UNCLEAR_CODES, retry_after_ns
from mmlab.wire.lighter_session import Fault, Head, TxReply
from mmlab.wire.lighter_terms import NONCE_TEXT, QUOTA_TEXT, Code

MOST = 1000
"""Answers waited for; older ones are given up (the order manager has done so long before)."""
ABOUT_ALL = (ErrorClass.RESYNC_NONCE, ErrorClass.RETRYABLE_BACKOFF)
"""Classes of refusals that concern every transaction of a batch."""


def reply_of(answer: TxReply, *, with_quota: bool) -> Reply:
    """What an answer means."""
    code, text = answer.code, answer.message or ""
    if isinstance(answer.error, Fault):
        code, text = answer.error.code, answer.error.message
    elif answer.error:
        text = answer.error
    return meaning(code, text, answer.volume_quota_remaining if with_quota else None)


def meaning(code: int, text: str, quota: int | None = None, wait_ns: int = 0) -> Reply:
    """What a code means. ``wait_ns``: how long the venue asks to wait."""
    if code == Code.OK:
        return Accepted(-1 if quota is None else max(-1, quota))
    if code <= 0 or code in UNCLEAR_CODES or 500 <= code < 600:
        return Unanswered(f"code {code}: {text[:200]}")
    if NONCE_TEXT in text:
        code = int(Code.INVALID_NONCE)
    elif QUOTA_TEXT in text:
        code = int(Code.TOO_MANY_REQUESTS)
    return Rejected(code, text[:200], wait_ns or retry_after_ns(code))


def unsure(reply: Reply) -> Reply:
    """What an answer to a batch means for each of its transactions.

    A refusal does not tell which of them it is about, nor what became of the others: only those about nonces and limits
    are sure to be about all.
    """
    if isinstance(reply, Rejected) and ERRORS.get(reply.code) not in ABOUT_ALL:
        return Unanswered(f"a batch was refused: code {reply.code}: {reply.reason}")
    return reply


class Replies:
    """Those who wait for an answer on one connection."""

    def __init__(self, counters: Counter[str]) -> None:
        self.counters = counters
        self._waiting: dict[str, asyncio.Future[Reply]] = {}
        self._named = False

    def __len__(self) -> int:
        return len(self._waiting)

    def expect(self, name: str, reply: asyncio.Future[Reply]) -> None:
        """A transaction has left."""
        if len(self._waiting) >= MOST:
            self._settle(next(iter(self._waiting)), Unanswered("given up"))
        self._waiting[name] = reply

    def answer(self, answer: TxReply, *, with_quota: bool) -> None:
        """An answer to a transaction."""
        name = self._whose(answer.names)
        if name is None:
            self.counters["unmatched_replies"] += 1
        else:
            self._settle(name, reply_of(answer, with_quota=with_quota))

    def error(self, head: Head) -> bool:
        """An error that may be about a transaction; whether it was taken for one's answer."""
        name = self._whose((str(head.id),) if head.id else ())
        if name is None:
            return False
        fault = head.fault
        self._settle(name, meaning(fault.code, fault.message))
        return True

    def _whose(self, names: tuple[str, ...]) -> str | None:
        known = [name for name in names if name in self._waiting]
        if known:
            self._named = True
            return known[0]
        if names or not self._waiting or (self._named and len(self._waiting) > 1):
            return None
        return next(iter(self._waiting))

    def _settle(self, name: str, reply: Reply) -> None:
        future = self._waiting.pop(name)
        if not future.done():
            future.set_result(reply)

    def give_up(self, reason: str) -> None:
        """The connection is gone: nothing can be concluded."""
        for name in list(self._waiting):
            self._settle(name, Unanswered(reason))
