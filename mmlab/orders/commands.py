"""Everything the order manager says. The first three are orders to the shell, the others facts for journal and views.

===========  ==========================================================================================================
`Sign`       make a payload; answer `Signed` or `SignFailed`, in the order asked, a key
`Send`       hand that payload to the venue; answer `SendFailed`, `Ack`, `Refused` or `Unclear`
`Query`      fetch a full view or a nonce; answer `Snapshot`, `NonceReport` or `QueryFailed`
`Trip`       something is wrong that a kill switch must know of
`Halted`     halting is over: a full view showed none of our orders
`Moved`      an order changed state (a row of `mmlab.events.ORDER`)
`Filled`     lots of ours traded
`Anomaly`    something that should not happen did; counted a kind
===========  ==========================================================================================================
"""

from __future__ import annotations

from typing import Literal

import msgspec

from mmlab.events import OrderState
from mmlab.exchange import TxKind


class Command(msgspec.Struct, frozen=True, tag=True, omit_defaults=True):
    """Base: the time of the event that caused it."""

    ts_ns: int


class Sign(Command, frozen=True):
    """Sign a transaction. A later ``round`` of the same ``tx_id`` voids the earlier one.

    PLACE: ``size_lots`` is the order's size. MODIFY: the new total size, filled lots included. CANCEL_ALL: no order.
    """

    tx_id: int
    round: int
    kind: TxKind
    key: int
    nonce: int
    client_id: int = 0
    order_index: int = 0
    side: int = 0
    price_ticks: int = 0
    size_lots: int = 0
    flags: int = 0


class Send(Command, frozen=True):
    """Send the payload of this round."""

    tx_id: int
    round: int


class Query(Command, frozen=True):
    """Ask the venue. ``full``: everything; ``nonce``: the next nonce of ``key``."""

    query_id: int
    what: Literal["full", "nonce"]
    key: int = 0
    since_trade_id: int = 0


class Trip(Command, frozen=True):
    """A kill switch has to act; the order manager already did what it says in ``effect``."""

    switch: Literal["rejects", "session", "mismatch", "collar", "retries"]
    effect: Literal["paused", "halted", "none"]
    detail: str = ""
    until_ns: int = 0


class Halted(Command, frozen=True):
    """The book is proven empty of our orders."""

    position_lots: int


class Moved(Command, frozen=True):
    """An order changed state."""

    client_id: int
    before: OrderState
    after: OrderState
    order_index: int = 0
    price_ticks: int = 0
    size_lots: int = 0
    filled_lots: int = 0
    reason: int = 0
    exch_ns: int = 0


class Filled(Command, frozen=True):
    """Lots of ours traded. ``trade_id`` 0: inferred from the order's own count, no trade was ever shown."""

    trade_id: int
    client_id: int
    side: int
    price_ticks: int
    size_lots: int
    position_lots: int
    taker: bool = False
    exch_ns: int = 0


class Anomaly(Command, frozen=True):
    """Something that should not happen."""

    kind: str
    client_id: int = 0
    detail: str = ""


AnyCommand = Sign | Send | Query | Trip | Halted | Moved | Filled | Anomaly
"""What `OrderManager.handle` returns."""
