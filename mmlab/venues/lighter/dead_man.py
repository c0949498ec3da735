"""Dead man's switch: a cancel-all that the venue carries out by itself unless we put it off in time.

The venue keeps one such plan an account, at least five minutes ahead; to put it off is to call it off and to plan it
anew. So it is the last resort, after the local supervisor, for when this whole machine is gone. Between the two
transactions there is no plan for an instant; should we die just then, nothing cancels.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

from mmlab.errors import ConfigError
from mmlab.exchange import Accepted, NotSent, Rejected, Reply
from mmlab.venues.lighter.endpoint import Endpoint
from mmlab.venues.lighter.key_sender import KeySender
from mmlab.venues.lighter.keys import Credentials
from mmlab.venues.lighter.rest import Rest
from mmlab.venues.lighter.signer import KeySigner
from mmlab.wire.lighter_terms import MAX_SCHEDULE_NS, CancelAll, Code

MAX_SCHEDULE_S = MAX_SCHEDULE_NS / 1e9
RETRY_S = 2.0
TRY_AGAIN = (int(Code.TOO_MANY_REQUESTS), int(Code.INVALID_NONCE), int(Code.NONCE_NOT_INCREASING), 403, 405)
"""Refusals that say nothing about the plan."""


class Step(NamedTuple):
    """What to send: SCHEDULED at a time, or ABORT."""

    how: CancelAll
    at_ms: int = 0


class Schedule:
    """What the venue has planned, as far as we know, and what to do next. Pure; wall clock, s.

    Parameters
    ----------
    ahead_s : float
        The venue cancels all so long after the last renewal.
    renew_s : float
        Renewed so often.

    Attributes
    ----------
    at_s : float or None
        When the venue will cancel all; None: no plan.
    sure : bool
        Whether that is known.
    """

    def __init__(self, ahead_s: float, renew_s: float) -> None:
        if not 0 < renew_s < ahead_s <= MAX_SCHEDULE_S:
            raise ConfigError(f"dead man's switch: renewed every {renew_s:g} s for {ahead_s:g} s ahead: must be sooner")
        self.ahead_s, self.renew_s = ahead_s, renew_s
        self.at_s: float | None = None
        self.sure = False
        self.retry_s = 0.0

    def next(self, now_s: float) -> Step | None:
        """What to send now."""
        if now_s < self.due_s():
            return None
        if self.sure and self.at_s is None:
            return Step(CancelAll.SCHEDULED, round((now_s + self.ahead_s) * 1000))
        return Step(CancelAll.ABORT)

    def due_s(self) -> float:
        """When there is something to send."""
        if not self.sure or self.at_s is None:
            return self.retry_s
        return max(self.retry_s, self.at_s - self.ahead_s + self.renew_s)

    def told(self, step: Step, reply: Reply, now_s: float) -> None:
        """What became of a step."""
        if isinstance(reply, Accepted):
            self.at_s = step.at_ms / 1000 if step.how == CancelAll.SCHEDULED else None
            self.sure, self.retry_s = True, 0.0
        elif isinstance(reply, NotSent) or (isinstance(reply, Rejected) and reply.code in TRY_AGAIN):
            wait_s = reply.retry_after_ns / 1e9 if isinstance(reply, Rejected) else 0.0
            self.retry_s = now_s + max(wait_s, self._pause_s)
        elif isinstance(reply, Rejected) and step.how == CancelAll.ABORT:
            self.at_s, self.sure = None, True  # there was nothing to call off
        else:
            self.sure, self.retry_s = False, now_s + self._pause_s

    @property
    def _pause_s(self) -> float:
        return min(RETRY_S, self.renew_s / 4)

    def covers(self, now_s: float) -> bool:
        """Whether a plan is known to stand, or was the last that we knew of and may stand."""
        return self.at_s is not None and self.at_s > now_s


class DeadMan:
    """Keeps the switch wound up while it runs.

    Parameters
    ----------
    endpoint : Endpoint
    credentials : Credentials
    key : int
        API key to sign with; nobody else may use it.
    ahead_s, renew_s : float
        See `Schedule`.

    Raises
    ------
    ConfigError
        The times do not fit.
    """

    def __init__(
        self, endpoint: Endpoint, credentials: Credentials, key: int, *, ahead_s: float, renew_s: float,
        now_s: Callable[[], float] = time.time,
    ) -> None:  # fmt: skip
        self.schedule = Schedule(ahead_s, renew_s)
        self.counters: Counter[str] = Counter()
        self._endpoint, self._credentials, self._key, self._now_s = endpoint, credentials, key, now_s

    async def run(self, told: Callable[[bool, str], object], call_off: Callable[[], bool] = lambda: False) -> None:
        """Wind it up again and again, until cancelled.

        Parameters
        ----------
        told : callable
            ``told(ok, detail)`` after every attempt: whether the venue will cancel all if we fall silent.
        call_off : callable
            Asked when this is cancelled: whether the plan is to be called off, since no order of ours is left. If not,
            the venue carries it out; it then hits whatever orders the account has by that time.
        """
        signer = await asyncio.to_thread(KeySigner, self._endpoint, self._credentials)
        rest = Rest(self._endpoint, self.counters)
        sender = KeySender(rest, signer, self._key)
        try:
            while True:
                await asyncio.sleep(max(0.0, self.schedule.due_s() - self._now_s()))
                step = self.schedule.next(self._now_s())
                if step is not None:
                    await self._do(sender, step, told)
        except asyncio.CancelledError:
            if call_off():
                await sender.cancel_all(CancelAll.ABORT)
            raise
        finally:
            await rest.close()

    async def _do(self, sender: KeySender, step: Step, told: Callable[[bool, str], object]) -> None:
        reply = await sender.cancel_all(step.how, step.at_ms)
        self.schedule.told(step, reply, self._now_s())
        self.counters[f"dead_man_{step.how.name.lower()}"] += 1
        if isinstance(reply, Accepted) and step.how == CancelAll.SCHEDULED:
            told(True, "")
        elif not isinstance(reply, Accepted):
            self.counters["dead_man_failed"] += 1
            if not self.schedule.covers(self._now_s()):
                told(False, f"{step.how.name.lower()}: {reply}")
