"""Signing apart from sending: one thread of its own, requests in, payloads out, in order.

Signing holds no lock of the event loop and may take milliseconds. A signer that says it is `quick` is done before a
thread would have woken, so it is called at once. In virtual time (`mmlab.venues.virtual`) nothing may wait for a
thread, so there too the worker signs at once.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue

from mmlab.exchange import Payload, Transaction
from mmlab.orders.commands import Sign
from mmlab.venues.protocol import Signer
from mmlab.venues.virtual import VirtualLoop

Deliver = Callable[[Sign, Payload | str], None]
"""``deliver(request, payload)``, or with the reason why there is none."""


def transaction_of(sign: Sign) -> Transaction:
    """What the venue is asked."""
    return Transaction(
        sign.kind, sign.key, sign.nonce, sign.client_id, sign.order_index, sign.side, sign.price_ticks, sign.size_lots,
        sign.flags,
    )  # fmt: skip


class SignerWorker:
    """Signs in the order asked; results are delivered on the event loop.

    Parameters
    ----------
    signer : Signer
        The venue's.
    deliver : callable
        Takes each result.
    delivered : callable, optional
        Called after results of the thread were delivered, so that they can be acted on in the same turn of the loop.
    """

    def __init__(self, signer: Signer, deliver: Deliver, delivered: Callable[[], object] = lambda: None) -> None:
        self._signer, self._deliver, self._delivered = signer, deliver, delivered
        self._loop = asyncio.get_running_loop()
        self._requests: SimpleQueue[Sign | None] = SimpleQueue()
        self._results: deque[tuple[Sign, Payload | str]] = deque()
        self._thread: threading.Thread | None = None
        self.asked = self.signed = 0
        if not (signer.quick or isinstance(self._loop, VirtualLoop)):
            self._thread = threading.Thread(target=self._work, name="mmlab-signer", daemon=True)
            self._thread.start()

    @property
    def waiting(self) -> int:
        """Requests without a result."""
        return self.asked - self.signed

    def ask(self, sign: Sign) -> None:
        """Have a transaction signed."""
        self.asked += 1
        if self._thread is None:
            self._finish(sign, self._sign(sign))
        else:
            self._requests.put(sign)

    def close(self) -> None:
        """End the thread; what still waits is not signed."""
        if self._thread is not None:
            self._requests.put(None)

    def _sign(self, sign: Sign) -> Payload | str:
        try:
            return self._signer.sign(transaction_of(sign))
        except Exception as error:  # noqa: BLE001  whatever a foreign signer raises, the order manager must hear of it
            return f"{type(error).__name__}: {error}"

    def _work(self) -> None:
        while (sign := self._requests.get()) is not None:
            self._results.append((sign, self._sign(sign)))
            if len(self._results) > 1:
                continue  # the loop has been woken, and has not begun to look yet
            try:
                self._loop.call_soon_threadsafe(self._collect)
            except RuntimeError:  # the loop is closed: nobody waits any more
                return

    def _collect(self) -> None:
        """Take what the thread has done."""
        while self._results:
            try:
                self._finish(*self._results[0])
            except Exception:
                self._loop.call_soon(self._collect)  # the others must not wait for the next
                raise
            finally:
                self._results.popleft()
        self._delivered()

    def _finish(self, sign: Sign, result: Payload | str) -> None:
        self.signed += 1
        self._deliver(sign, result)
