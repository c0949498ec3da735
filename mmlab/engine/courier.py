"""What goes out and what comes back: signatures, payloads, replies, questions. It decides nothing.

A transaction is signed by the signer's worker and kept until the order manager says `Send`; then it waits in the outbox
for the sender. Signing and sending never wait for one another.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from functools import partial
from time import perf_counter_ns
from typing import Any

import msgspec

from mmlab.engine.inbound import Inbound
from mmlab.engine.mailbox import Mailbox, Stage
from mmlab.engine.setup import Log
from mmlab.engine.signing import SignerWorker
from mmlab.engine.stopwatch import Stopwatch
from mmlab.engine.supervisor import text_of
from mmlab.errors import VenueError
from mmlab.exchange import Accepted, NotSent, Payload, Rejected, TxKind
from mmlab.orders import events as e
from mmlab.orders.commands import Query, Send, Sign
from mmlab.venues.protocol import Venue

OUTBOX = 10_000
KEPT = 1000
"""Signed payloads that wait for their `Send`: far more than may be in flight."""
RISKY = (TxKind.PLACE, TxKind.MODIFY)
"""Transactions that may open risk."""
NAMES = {kind: kind.name.lower() for kind in TxKind}


class Courier:
    """Carries the order manager's `Sign`, `Send` and `Query` to signer and venue; answers are reported as events.

    Parameters
    ----------
    venue : Venue
        Where to.
    inbound : Inbound
        Checks what comes back.
    now : callable
        The session's time, ns.
    report : callable
        Takes each event.
    barred : callable
        ``barred() -> str``: why nothing that may open risk is to leave now; "" if it may.
    answer : callable
        Called when reports have come from the signer's thread, to have them acted on at once.
    """

    def __init__(
        self, venue: Venue, inbound: Inbound, now: Callable[[], int], report: Callable[[e.AnyEvent], object],
        barred: Callable[[], str], log: Log, answer: Callable[[], object] = lambda: None,
    ) -> None:  # fmt: skip
        self.venue, self.stopwatch = venue, Stopwatch()
        self.outbox: Mailbox[tuple[int, Payload]] = Mailbox("outbox", OUTBOX)
        self.sender = Stage(self.outbox, self._send_all)
        self.signer = SignerWorker(venue.signer, self._signed, answer)
        self.sent: Counter[str] = Counter()
        self.messages = 0
        self.stamp_ns = 0
        """When the market rows were in hand that the present `Sign` commands answer to; 0: none."""
        self.epoch = 0
        self._inbound, self._now, self._report, self._barred, self._log = inbound, now, report, barred, log
        self._payloads: dict[int, tuple[int, Payload]] = {}
        self._asked_ns: dict[int, tuple[int, bool]] = {}
        self._cancels_ns: dict[int, int] = {}

    @property
    def busy(self) -> bool:
        """Whether something waits for the signer or the sender."""
        return self.signer.waiting > 0 or len(self.outbox) > 0

    # --- Out ---------------------------------------------------------------------------------------------------------

    def sign(self, sign: Sign) -> None:
        """Have a transaction signed."""
        now_ns = perf_counter_ns()
        self._asked_ns[sign.tx_id] = (self.stamp_ns or now_ns, self.stamp_ns != 0)
        if sign.kind == TxKind.CANCEL:
            self._cancels_ns[sign.tx_id] = now_ns
        self.signer.ask(sign)

    def _signed(self, sign: Sign, result: Payload | str) -> None:
        asked_ns, _ = self._asked_ns.get(sign.tx_id, (0, False))
        if asked_ns:
            self.stopwatch.add("sign", perf_counter_ns() - asked_ns)
        if isinstance(result, Payload):
            self._payloads[sign.tx_id] = (sign.round, result)
            if len(self._payloads) > KEPT:  # signed and then withdrawn: nobody will ask for them
                self._forget(next(iter(self._payloads)))
            self._report(e.Signed(self._now(), sign.tx_id, sign.round))
        else:
            self._asked_ns.pop(sign.tx_id, None)
            self._cancels_ns.pop(sign.tx_id, None)
            self._report(e.SignFailed(self._now(), sign.tx_id, sign.round, result))

    def _forget(self, tx_id: int) -> None:
        self._payloads.pop(tx_id, None)
        self._asked_ns.pop(tx_id, None)
        self._cancels_ns.pop(tx_id, None)

    def send(self, send: Send) -> None:
        """Hand a signed payload to the sender."""
        made, payload = self._payloads.pop(send.tx_id, (0, None))
        if payload is None or made != send.round:  # only what was signed last may leave
            self._log.error("no_payload", ts_ns=self._now(), tx_id=send.tx_id, round=send.round)
            self._report(e.SendFailed(self._now(), send.tx_id, "no payload"))
            return
        self.messages += 1
        self.sent[NAMES[payload.transaction.kind]] += 1
        self.outbox.lay((send.tx_id, payload))

    def flush(self) -> None:
        """Have the sender take what waits, in this turn of the loop."""
        if len(self.outbox):
            self.sender.now()

    def _send_all(self, waiting: list[tuple[int, Payload]]) -> None:
        """The sender's work."""
        leaving = [one for one in waiting if self._may_leave(*one)]
        for batch in batches(leaving, self.venue.rules.max_batch):
            try:
                if len(batch) == 1:
                    replies = [self.venue.send(batch[0][1])]
                else:
                    replies = self.venue.send_batch([payload for _, payload in batch])
            except Exception as error:  # noqa: BLE001  it may have left: only reconciliation can tell
                for tx_id, _ in batch:
                    self._report(e.Unclear(self._now(), tx_id, text_of(error)))
                continue
            for (tx_id, _), reply in zip(batch, replies, strict=True):
                reply.add_done_callback(partial(self._reply_done, tx_id))

    def _may_leave(self, tx_id: int, payload: Payload) -> bool:
        """The last gate before the venue."""
        asked_ns, by_market = self._asked_ns.pop(tx_id, (0, False))
        if payload.transaction.kind in RISKY and (why := self._barred()):
            self._replied(tx_id, NotSent(why))
            return False
        now_ns = perf_counter_ns()
        if by_market:
            self.stopwatch.add("total", now_ns - asked_ns)
        if decided_ns := self._cancels_ns.pop(tx_id, 0):
            self.stopwatch.add("cancel", now_ns - decided_ns)
        return True

    # --- Back --------------------------------------------------------------------------------------------------------

    def _reply_done(self, tx_id: int, reply: asyncio.Future[Any]) -> None:
        if reply.cancelled():
            return
        error = reply.exception()
        if error is None:
            self._replied(tx_id, reply.result())
        else:
            self._report(e.Unclear(self._now(), tx_id, text_of(error)))

    def _replied(self, tx_id: int, reply: object) -> None:
        now_ns = self._now()
        if not self._inbound.reply(reply):
            self._report(e.Unclear(now_ns, tx_id, "unknown reply"))
        elif isinstance(reply, Accepted):
            self._report(e.Ack(now_ns, tx_id, reply.quota_left))
        elif isinstance(reply, Rejected):
            self._report(e.Refused(now_ns, tx_id, reply.code, reply.reason, reply.retry_after_ns))
        elif isinstance(reply, NotSent):
            self._report(e.SendFailed(now_ns, tx_id, reply.reason))
        else:
            self._report(e.Unclear(now_ns, tx_id, getattr(reply, "reason", "")))

    async def ask(self, query: Query) -> None:
        """Put a question to the venue, and report its answer."""
        event: e.AnyEvent = e.QueryFailed(0, query.query_id)
        epoch = self.epoch
        try:
            if query.what == "nonce":
                nonce = self._inbound.nonce(await self.venue.nonce(query.key))
                if nonce is not None:
                    event = e.NonceReport(0, query.query_id, query.key, nonce)
            else:
                view = self._inbound.view(await self.venue.view(query.since_trade_id))
                if view is not None:
                    event = e.Snapshot(
                        0, query.query_id, epoch, view.orders, view.fills, view.last_trade_id, view.position_lots,
                        view.nonces, view.complete, view.quota_left,
                    )  # fmt: skip
        except VenueError as error:
            self._log.info("query_failed", ts_ns=self._now(), what=query.what, error=str(error))
        except Exception as error:  # noqa: BLE001  no answer, however that came about
            self._log.warning("query_failed", ts_ns=self._now(), what=query.what, error=text_of(error))
        self._report(msgspec.structs.replace(event, ts_ns=self._now()))


def batches(leaving: list[tuple[int, Payload]], most: int) -> list[list[tuple[int, Payload]]]:
    """Payloads that may go as one message: of one key, with consecutive nonces, at most so many; the first one's order.

    A key's payloads stay in order, and nothing else has one: nonces are counted for each key.
    """
    if most == 1 or len(leaving) == 1:
        return [[one] for one in leaving]
    made: list[list[tuple[int, Payload]]] = []
    newest: dict[int, list[tuple[int, Payload]]] = {}
    for one in leaving:
        tx = one[1].transaction
        batch = newest.get(tx.key)
        if batch is None or len(batch) == most or tx.nonce != batch[-1][1].transaction.nonce + 1:
            batch = newest[tx.key] = []
            made.append(batch)
        batch.append(one)
    return made
