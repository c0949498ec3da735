"""Signers of the paper venue: its bytes are a transaction's msgpack, without a signature."""

from __future__ import annotations

import time

import msgspec
import numpy as np

from mmlab.errors import SigningError
from mmlab.exchange import Payload, Transaction

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Transaction)


def decode(data: bytes) -> Transaction | None:
    """What the venue reads in the bytes; None if they are not a transaction."""
    try:
        return _decoder.decode(data)
    except (msgspec.MsgspecError, TypeError):
        return None


class PaperSigner:
    """Encodes."""

    quick = True

    def sign(self, transaction: Transaction) -> Payload:
        """Bytes for `transaction`."""
        return Payload(transaction, _encoder.encode(transaction))


class SlowSigner(PaperSigner):
    """Blocks its thread for `delay_s` of real time, as heavy arithmetic would; 0: a no-op in a thread of its own."""

    quick = False

    def __init__(self, delay_s: float) -> None:
        self.delay_s = delay_s

    def sign(self, transaction: Transaction) -> Payload:
        """Bytes for `transaction`, later."""
        if self.delay_s:
            time.sleep(self.delay_s)
        return super().sign(transaction)


class FailingSigner(PaperSigner):
    """Fails for a share of the transactions, by its seed."""

    def __init__(self, share: float, seed: int = 0) -> None:
        self.share, self.failed = share, 0
        self._rng = np.random.Generator(np.random.PCG64(seed))

    def sign(self, transaction: Transaction) -> Payload:
        """Bytes for `transaction`, or `SigningError`."""
        if self._rng.random() < self.share:
            self.failed += 1
            raise SigningError("the paper signer fails by plan")
        return super().sign(transaction)
