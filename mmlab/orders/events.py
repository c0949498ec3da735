"""Everything that can happen to the order manager. Time is `ts_ns`, stamped once by the shell, never falling.

Plain tagged structs: a day of them is a file of JSON lines, and replaying it gives the same commands. Prices are ticks,
sizes lots. ``exch_ns`` is the venue's time where it gives one, else 0.
"""

from __future__ import annotations

import msgspec

from mmlab.events import NO_PRICE
from mmlab.exchange import Fill, OrderView
from mmlab.orders.settings import OrderSettings


class Event(msgspec.Struct, frozen=True, tag=True, omit_defaults=True):
    """Base: when it happened, on our clock."""

    ts_ns: int


# --- Market and decision ---------------------------------------------------------------------------------------------


class Top(Event, frozen=True):
    """Best quotes of the newest book; `NO_PRICE` for an empty side. ``valid``: two-sided, uncrossed, no gap."""

    bid_ticks: int = NO_PRICE
    ask_ticks: int = NO_PRICE
    valid: bool = True


class Quote(msgspec.Struct, frozen=True, array_like=True):
    """Where an order should rest (a row of `mmlab.events.TARGET`); ``size_lots`` is what should be left to fill."""

    side: int
    rung: int
    price_ticks: int
    size_lots: int
    flags: int = 1


class Targets(Event, frozen=True):
    """All quotes of the newest decision; an IOC among them is sent at most once."""

    quotes: tuple[Quote, ...] = ()


class Timer(Event, frozen=True):
    """The time that `next_deadline` named has come."""


# --- Operator --------------------------------------------------------------------------------------------------------


class Kill(Event, frozen=True):
    """Cancel everything, place nothing until `Rearm`."""

    reason: str = ""


class Rearm(Event, frozen=True):
    """Quote again."""


class CancelAll(Event, frozen=True):
    """Cancel everything; the next `Targets` quote again."""


class ReduceOnly(Event, frozen=True):
    """Only orders that reduce the position, or no longer."""

    on: bool = True


class Configure(Event, frozen=True):
    """New settings, effective from now. `instance`, `seed` and the venue's keys stay what they were."""

    settings: OrderSettings


# --- Link ------------------------------------------------------------------------------------------------------------


class LinkUp(Event, frozen=True):
    """Account feed and sender are connected; epochs count connections."""

    epoch: int


class LinkDown(Event, frozen=True):
    """The connection is gone; what was in flight belongs to `epoch`."""

    epoch: int


# --- Signer and sender -----------------------------------------------------------------------------------------------


class Signed(Event, frozen=True):
    """The payload of round `round` of a transaction exists."""

    tx_id: int
    round: int


class SignFailed(Event, frozen=True):
    """It could not be signed."""

    tx_id: int
    round: int
    reason: str = ""


class SendFailed(Event, frozen=True):
    """Not one byte of it left."""

    tx_id: int
    reason: str = ""


class Ack(Event, frozen=True):
    """The venue accepted the transaction; its effect is yet to be seen."""

    tx_id: int
    quota_left: int = -1
    """Volume quota the venue says is left; -1: it does not say."""


class Refused(Event, frozen=True):
    """The venue refused the transaction: it had no effect and burned no nonce."""

    tx_id: int
    code: int
    reason: str = ""
    retry_after_ns: int = 0


class Unclear(Event, frozen=True):
    """An answer from which nothing can be concluded (5xx, unparsable, lost)."""

    tx_id: int
    reason: str = ""


# --- Account feed ----------------------------------------------------------------------------------------------------


class OrderReport(Event, frozen=True):
    """The account feed shows an order."""

    order: OrderView
    exch_ns: int = 0


class Trade(Event, frozen=True):
    """The account feed shows a trade of ours."""

    fill: Fill


class PositionReport(Event, frozen=True):
    """The account feed shows our position; not ordered with trades, so only a hint to look again."""

    position_lots: int


class Snapshot(Event, frozen=True):
    """Answer to a full `Query`: one instant of the venue.

    ``orders`` are all open orders of the account in this market (closed ones may be among them), ``fills`` all trades
    after the query's ``since_trade_id`` up to ``last_trade_id``, ``position_lots`` the position after that trade,
    ``nonces`` the next nonce of each key, ``quota_left`` the volume quota (-1: not told). ``complete`` false: only what
    is there counts, not what is missing.
    """

    query_id: int
    epoch: int
    orders: tuple[OrderView, ...]
    fills: tuple[Fill, ...]
    last_trade_id: int
    position_lots: int
    nonces: tuple[tuple[int, int], ...]
    complete: bool = True
    quota_left: int = -1


class NonceReport(Event, frozen=True):
    """Answer to a nonce `Query`."""

    query_id: int
    key: int
    nonce: int


class QueryFailed(Event, frozen=True):
    """A `Query` got no usable answer."""

    query_id: int


AnyEvent = (
    Top | Targets | Timer | Kill | Rearm | CancelAll | ReduceOnly | Configure | LinkUp | LinkDown | Signed | SignFailed
    | SendFailed | Ack | Refused | Unclear | OrderReport | Trade | PositionReport | Snapshot | NonceReport | QueryFailed
)  # fmt: skip
"""What `OrderManager.handle` takes."""
