"""The paper venue's error codes, and what each means for us."""

from __future__ import annotations

from enum import IntEnum

from mmlab.exchange import ErrorClass


class Code(IntEnum):
    """Why a transaction is refused. It then had no effect and used no nonce."""

    BAD_REQUEST = 1  # undecodable, or impossible
    BAD_NONCE = 2
    CLIENT_ID_USED = 3
    UNKNOWN_ORDER = 4  # never seen (or not yet); one that is over is no error
    RATE_LIMITED = 5
    NO_QUOTA = 6
    TOO_MANY_ORDERS = 7
    UNKNOWN_KEY = 8
    BUSY = 9
    SUSPENDED = 10


CLASSES = {
    int(Code.BAD_REQUEST): ErrorClass.FATAL_ORDER,
    int(Code.BAD_NONCE): ErrorClass.RESYNC_NONCE,
    int(Code.CLIENT_ID_USED): ErrorClass.FATAL_ORDER,
    int(Code.UNKNOWN_ORDER): ErrorClass.RESYNC_ORDERS,
    int(Code.RATE_LIMITED): ErrorClass.RETRYABLE_BACKOFF,
    int(Code.NO_QUOTA): ErrorClass.RETRYABLE_BACKOFF,
    int(Code.TOO_MANY_ORDERS): ErrorClass.RETRYABLE_BACKOFF,
    int(Code.UNKNOWN_KEY): ErrorClass.FATAL_SESSION,
    int(Code.BUSY): ErrorClass.RETRYABLE_NOW,
    int(Code.SUSPENDED): ErrorClass.FATAL_SESSION,
}
"""For `VenueRules.errors`."""
