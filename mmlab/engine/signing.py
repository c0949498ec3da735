"""Signing apart from sending: one thread of its own, requests in, payloads out, in order; and payloads signed ahead.

Signing holds no lock of the event loop and may take milliseconds. A signer that says it is `quick` is done before a
thread would have woken, so it is called at once. In virtual time (`mmlab.venues.virtual`) nothing may wait for a
thread, so there too the worker signs at once.

What was signed ahead (`mmlab.engine.bank`) is delivered at once. The thread signs ahead only while nothing was asked,
one payload at a time, so a request waits for one signature at most. New wishes replace the old ones.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from time import thread_time_ns

from mmlab.engine.bank import Bank, Wish
from mmlab.exchange import Payload, Transaction
from mmlab.orders.commands import Sign
from mmlab.orders.forecast import Turn, with_nonce
from mmlab.venues.protocol import Signer
from mmlab.venues.virtual import VirtualLoop

Deliver = Callable[[Sign, Payload | str], None]
"""``deliver(request, payload)``, or with the reason why there is none."""
Clock = Callable[[], int]
HOPELESS = 1000
"""Wishes remembered that the signer could not fulfil."""
_WAKE, _END = object(), object()


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

    Attributes
    ----------
    bank : Bank or None
        Payloads signed ahead; None while that is off.
    cpu_ns : int
        CPU time of the thread.
    """

    def __init__(self, signer: Signer, deliver: Deliver, delivered: Callable[[], object] = lambda: None) -> None:
        self._signer, self._deliver, self._delivered = signer, deliver, delivered
        self._loop = asyncio.get_running_loop()
        self._requests: SimpleQueue[Sign | object] = SimpleQueue()
        self._results: deque[tuple[Sign, Payload | str]] = deque()
        self._ahead: deque[Wish] = deque()
        self._made: deque[tuple[Transaction, Payload | str, int]] = deque()
        self._making: Wish | None = None
        self._last: tuple[Transaction, Payload | str] | None = None
        self._hopeless: set[Transaction] = set()
        self._clock: Clock = lambda: 0
        self._thread: threading.Thread | None = None
        self.bank: Bank | None = None
        self.asked = self.signed = self.failed_ahead = self.cpu_ns = 0
        if not (signer.quick or isinstance(self._loop, VirtualLoop)):
            self._thread = threading.Thread(target=self._work, name="mmlab-signer", daemon=True)
            self._thread.start()

    @property
    def waiting(self) -> int:
        """Requests without a result."""
        return self.asked - self.signed

    @property
    def apart(self) -> bool:
        """Whether signing has a thread of its own."""
        return self._thread is not None

    def ask(self, sign: Sign) -> None:
        """Have a transaction signed, or take the payload that was signed ahead."""
        self.asked += 1
        if self.bank is not None:
            transaction = transaction_of(sign)
            if not self.bank.has(transaction):
                self._stock(self.bank)
            payload = self.bank.take(transaction, self._clock())
            if payload is not None:
                self._finish(sign, payload)
                return
        if self._thread is None:
            self._finish(sign, self._sign(transaction_of(sign)))
        else:
            self._requests.put(sign)

    def close(self) -> None:
        """End the thread; what still waits is not signed."""
        self._ahead = deque()
        if self._thread is not None:
            self._requests.put(_END)

    # --- Ahead -------------------------------------------------------------------------------------------------------

    def open_bank(self, life_ns: int, clock: Clock) -> None:
        """Begin to sign ahead; `clock` tells the time that payloads age by, ns. With a bank: another life."""
        self._clock = clock
        if self.bank is None:
            self.bank = Bank(life_ns)
        self.bank.life_ns = life_ns

    def close_bank(self) -> None:
        """Sign ahead no longer; what was made is let go."""
        self.bank, self._ahead = None, deque()

    def prepare(self, turns: Sequence[Turn], nonces: Mapping[int, int]) -> None:
        """Set what is to be signed ahead; `nonces`: the next one of each key in use."""
        if self.bank is None:
            return
        self._stock(self.bank)
        making = self._making
        lacking = self.bank.want(turns, nonces, self._clock())
        if making is not None:
            _, key, nonce, draft = making
            lacking = [w for w in lacking if w[2] != nonce or w[1] != key or w[3] != draft]
        self._ahead = deque(lacking)
        if self._thread is None:
            while (tx := self._next_wish()) is not None:
                self._made.append((tx, self._sign(tx), self._clock()))
            self._making = None
            self._stock(self.bank)
        elif self._ahead:
            self._requests.put(_WAKE)

    def _next_wish(self) -> Transaction | None:
        """The next wish that is not hopeless, which is in the making from now on; None if there is none."""
        with suppress(IndexError):  # the loop may change its mind
            while True:
                self._making = wish = self._ahead.popleft()
                tx = with_nonce(wish[3], wish[1], wish[2])
                if tx not in self._hopeless:
                    return tx
        self._making = None
        return None

    def _stock_up(self) -> None:
        if self.bank is not None:
            self._stock(self.bank)

    def _stock(self, bank: Bank) -> None:
        """Take in what has been signed ahead; best before somebody waits for it."""
        while self._made:
            tx, payload, signed_ns = self._made.popleft()
            if isinstance(payload, Payload):
                bank.put(payload, signed_ns)
                continue
            self.failed_ahead += 1
            if len(self._hopeless) >= HOPELESS:
                self._hopeless.clear()
            self._hopeless.add(tx)  # only when it is asked for in earnest it is tried again, and heard of

    # --- The signer's work -------------------------------------------------------------------------------------------

    def _sign(self, transaction: Transaction) -> Payload | str:
        try:
            return self._signer.sign(transaction)
        except Exception as error:  # noqa: BLE001  whatever a foreign signer raises, the order manager must hear of it
            return f"{type(error).__name__}: {error}"

    def _work(self) -> None:
        """The thread: what was asked, before what may be asked."""
        while True:
            try:
                sign = self._requests.get(block=not self._ahead)
            except Empty:
                if not self._sign_ahead():
                    return
                continue
            if sign is _END:
                return
            if isinstance(sign, Sign) and not self._answer(sign):
                return

    def _answer(self, sign: Sign) -> bool:
        """Sign what was asked; False if nobody listens any more."""
        transaction, last = transaction_of(sign), self._last
        known = last is not None and last[0] == transaction  # asked for while it was being signed ahead
        self._results.append((sign, last[1] if known and last is not None else self._sign(transaction)))
        self.cpu_ns = thread_time_ns()
        if len(self._results) > 1:
            return True  # the loop has been woken, and has not begun to look yet
        return self._call(self._collect)

    def _sign_ahead(self) -> bool:
        """Sign one of the wishes; False if nobody listens any more."""
        signed_ns = self._clock()  # before it is signed: it is never thought younger than it is
        transaction = self._next_wish()
        if transaction is None:
            return True
        self._last = transaction, self._sign(transaction)
        self._made.append((*self._last, signed_ns))
        self._making = None
        self.cpu_ns = thread_time_ns()
        return bool(self._ahead) or self._call(self._stock_up)

    def _call(self, function: Callable[[], object]) -> bool:
        """Have something done on the loop; False if it is closed: nobody waits any more."""
        try:
            self._loop.call_soon_threadsafe(function)
        except RuntimeError:
            return False
        return True

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
