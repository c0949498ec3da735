"""Dead man's switch: a cancel-all that the venue carries out by itself unless we put it off in time.

The venue keeps one such plan an account, at least five minutes ahead; to put it off is to call it off and to plan it
anew. So it is the last resort, after the local supervisor, for when this whole machine is gone. Between the two
transactions there is no plan for an instant; should we die just then, nothing cancels.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from mmlab.errors import ConfigError, MMLabError
from mmlab.exchange import Accepted, NotSent, Rejected, Reply
from mmlab.venues.lighter.link import Log
from mmlab.wire.lighter_terms import MAX_SCHEDULE_NS, MIN_SCHEDULE_NS, CancelAll, Code

MIN_SCHEDULE_S, MAX_SCHEDULE_S = MIN_SCHEDULE_NS / 1e9, MAX_SCHEDULE_NS / 1e9
MARGIN_S = 5.0
"""Added to the least time ahead: the venue's clock is not ours, and transactions take a while."""
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
        How far ahead the cancel-all is planned; the venue has a least time, `MIN_SCHEDULE_S`.
    renew_s : float, optional
        How often the plan is put off. Default: a fifth of `ahead_s`.

    Attributes
    ----------
    at_s : float or None
        When the venue will cancel all; None: no plan.
    sure : bool
        Whether that is known.
    """

    def __init__(self, ahead_s: float = MIN_SCHEDULE_S + MARGIN_S, renew_s: float | None = None) -> None:
        self.ahead_s, self.renew_s = ahead_s, ahead_s / 5 if renew_s is None else renew_s
        if not 0 < self.renew_s < ahead_s <= MAX_SCHEDULE_S:
            raise ConfigError(
                f"dead man's switch: renewed every {self.renew_s:g} s must be more often than {ahead_s:g} s, the time"
                f" that it is planned ahead, at most {MAX_SCHEDULE_S:g} s"
            )
        self.at_s: float | None = None
        self.sure = False
        self.retry_s = 0.0
        self.stopping = False

    def next(self, now_s: float) -> Step | None:
        """What to send now."""
        if now_s < self.retry_s:
            return None
        if not self.sure:
            return Step(CancelAll.ABORT)
        if self.at_s is not None:
            early = now_s < self.at_s - self.ahead_s + self.renew_s
            return None if early and not self.stopping else Step(CancelAll.ABORT)
        return None if self.stopping else Step(CancelAll.SCHEDULED, round((now_s + self.ahead_s) * 1000))

    def due_s(self) -> float:
        """When `next` may say something; inf: never."""
        if not self.sure:
            return self.retry_s
        if self.at_s is None:
            return float("inf") if self.stopping else self.retry_s
        return max(self.retry_s, 0 if self.stopping else self.at_s - self.ahead_s + self.renew_s)

    def told(self, step: Step, reply: Reply, now_s: float) -> None:
        """What became of a step."""
        if isinstance(reply, Accepted):
            self.at_s = step.at_ms / 1000 if step.how == CancelAll.SCHEDULED else None
            self.sure = True
            return
        if isinstance(reply, NotSent) or (isinstance(reply, Rejected) and reply.code in TRY_AGAIN):
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
        """Whether a plan is known to stand."""
        return self.sure and self.at_s is not None and self.at_s > now_s


class DeadMan:
    """Keeps the switch wound up while it runs.

    Parameters
    ----------
    send : callable
        ``await send(how, at_ms) -> Reply``, with a key that nobody else uses (`KeySender.cancel_all`).
    schedule : Schedule
    log : callable
    """

    def __init__(
        self, send: Callable[[CancelAll, int], Awaitable[Reply]], schedule: Schedule, log: Log,
        now_s: Callable[[], float] = time.time,
    ) -> None:  # fmt: skip
        self._send, self.schedule, self._log, self._now_s = send, schedule, log, now_s
        self._task: asyncio.Task[None] | None = None
        self._poke = asyncio.Event()

    def start(self) -> None:
        """Wind it up, and keep it so."""
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run(), name="lighter-dead-man")

    async def stop(self, patience_s: float = 5.0) -> bool:
        """Call the plan off; False if nobody knows whether that worked. The book should be empty by now."""
        self.schedule.stopping = True
        self._poke.set()
        if self._task is not None:
            await asyncio.wait((self._task,), timeout=patience_s)
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        return self.schedule.sure and self.schedule.at_s is None

    async def _run(self) -> None:
        while (due_s := self.schedule.due_s()) != float("inf"):
            self._poke.clear()
            wait_s = due_s - self._now_s()
            if wait_s > 0:
                await _first(self._poke, wait_s)
            step = self.schedule.next(self._now_s())
            if step is not None:
                await self._do(step)

    async def _do(self, step: Step) -> None:
        try:
            reply = await self._send(step.how, step.at_ms)
        except MMLabError as error:
            reply = NotSent(str(error))
        self.schedule.told(step, reply, self._now_s())
        if not isinstance(reply, Accepted):
            self._log("dead_man", step=step.how.name, reply=repr(reply))


async def _first(event: asyncio.Event, wait_s: float) -> None:
    try:
        async with asyncio.timeout(wait_s):
            await event.wait()
    except TimeoutError:
        pass
