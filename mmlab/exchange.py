"""What we and a venue say to each other, as plain data: its rules, our transactions, its replies, views and updates.

The order manager and the venues both speak it, and know nothing else of one another. Prices are ticks, sizes lots.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import Literal

import msgspec

from mmlab.events import NS_PER_S

# --- Rules -----------------------------------------------------------------------------------------------------------


class ErrorClass(StrEnum):
    """What a refusal means for us (`terms.md`, Orders)."""

    RETRYABLE_NOW = "retryable_now"
    RETRYABLE_BACKOFF = "retryable_backoff"
    RESYNC_NONCE = "resync_nonce"
    RESYNC_ORDERS = "resync_orders"
    FATAL_ORDER = "fatal_order"
    FATAL_SESSION = "fatal_session"


class Costs(msgspec.Struct, frozen=True):
    """A number a kind of message."""

    place: int = 1
    modify: int = 1
    cancel: int = 1
    cancel_all: int = 1
    query: int = 1


class RateRule(msgspec.Struct, frozen=True):
    """Token bucket: `capacity` tokens at most, `refill` of them come back evenly in `per_ns`; 0 capacity: no limit."""

    capacity: int = 0
    refill: int = 0
    per_ns: int = 60 * NS_PER_S
    weights: Costs = Costs()


class QuotaRule(msgspec.Struct, frozen=True):
    """Volume quota: spent by messages, earned by trading. Used only when `on`."""

    on: bool = False
    start: int = 1000
    cap: int = 5_000_000
    costs: Costs = Costs(cancel=0, cancel_all=0, query=0)
    earn_tick_lots: int = 0
    """Traded price x size, in ticks x lots, that earns one unit; 0: nothing is earned by our own count."""
    free_ns: int = 0
    """One message is free this often when nothing is left; 0: none is."""


class VenueRules(msgspec.Struct, frozen=True):
    """Capabilities and limits of a venue, for one market and account."""

    modify: bool = True
    modify_keeps_queue: bool = True
    """A smaller size at the same price keeps its place."""
    cancel_all: bool = True
    quote_keys: tuple[int, ...] = (0,)
    cancel_keys: tuple[int, ...] = (1,)
    """Keys kept for cancels, so that a nonce gap among quotes never holds up a cancel."""
    flight_ns: int = 3 * NS_PER_S
    """Longest time a payload that left us may still reach the book, its link alive or not."""
    min_lots: int = 1
    max_in_flight: int = 50
    max_batch: int = 1
    """Payloads of one key, with consecutive nonces, that may leave as one message."""
    wall_clock: bool = False
    """Its times are of now, so that they can be held against our clock."""
    rate: RateRule = RateRule()
    quota: QuotaRule = QuotaRule()
    errors: dict[int, ErrorClass] = {}
    """Venue code -> class."""
    unknown_error: ErrorClass = ErrorClass.FATAL_ORDER
    payload_life_ns: int = 599 * NS_PER_S
    """How long after signing the venue takes a payload."""

    def classify(self, code: int) -> ErrorClass:
        """Class of a venue code."""
        return self.errors.get(code, self.unknown_error)


# --- What we ask -----------------------------------------------------------------------------------------------------


class TxKind(IntEnum):
    """Kinds of transaction."""

    PLACE = 0
    MODIFY = 1
    CANCEL = 2
    CANCEL_ALL = 3


class Transaction(msgspec.Struct, frozen=True, omit_defaults=True):
    """A request to the venue, with its place in the order of its key.

    PLACE: ``size_lots`` is the order's size. MODIFY: the new total size, filled lots included. CANCEL_ALL: no order.
    """

    kind: TxKind
    key: int
    nonce: int
    client_id: int = 0
    order_index: int = 0
    side: int = 0
    price_ticks: int = 0
    size_lots: int = 0
    flags: int = 0
    """`mmlab.events.TargetFlag`."""


class Payload(msgspec.Struct, frozen=True):
    """A signed transaction: the bytes that the venue takes."""

    transaction: Transaction
    data: bytes = b""


# --- What the venue says ---------------------------------------------------------------------------------------------


class Message(msgspec.Struct, frozen=True, tag=True, omit_defaults=True):
    """Base of everything a venue says."""


class Accepted(Message, frozen=True):
    """Reply: the transaction counts; its effect is yet to be seen. ``quota_left`` -1: not told."""

    quota_left: int = -1


class Rejected(Message, frozen=True):
    """Reply: refused, it had no effect and burned no nonce."""

    code: int
    reason: str = ""
    retry_after_ns: int = 0


class Unanswered(Message, frozen=True):
    """Reply: nothing can be concluded (time-out, 5xx, unparsable, link lost)."""

    reason: str = ""


class NotSent(Message, frozen=True):
    """Reply: not one byte of it left us."""

    reason: str = ""


Reply = Accepted | Rejected | Unanswered | NotSent
"""What becomes of a payload, as far as the venue says at once."""


class OrderView(msgspec.Struct, frozen=True, omit_defaults=True):
    """An order as the venue shows it. ``filled_lots`` is cumulative; ``seq`` rises with every change of the order."""

    client_id: int
    order_index: int
    side: int
    price_ticks: int
    size_lots: int
    filled_lots: int = 0
    status: Literal["open", "filled", "canceled", "rejected", "expired"] = "open"
    seq: int = 0
    reason: int = 0
    """`mmlab.events.OrderReason`."""
    flags: int = 1
    """`mmlab.events.TargetFlag`."""


class Fill(msgspec.Struct, frozen=True, omit_defaults=True):
    """A trade of ours. ``trade_id`` rises with every trade of the account at the venue."""

    trade_id: int
    client_id: int
    side: int
    price_ticks: int
    size_lots: int
    order_index: int = 0
    taker: bool = False
    exch_ns: int = 0


class OrderUpdate(Message, frozen=True):
    """Account feed: an order as it is now. ``exch_ns``: the venue's time, 0 if it gives none."""

    order: OrderView
    exch_ns: int = 0


class FillUpdate(Message, frozen=True):
    """Account feed: a trade of ours."""

    fill: Fill


class PositionUpdate(Message, frozen=True):
    """Account feed: our position; not ordered with trades."""

    position_lots: int


class Liquidation(Message, frozen=True):
    """Account feed: the price at which the venue would liquidate our position; 0: none."""

    price_ticks: int


class Linked(Message, frozen=True):
    """Account feed and sender are connected (again). Epochs count connections, from 1."""

    epoch: int


class Unlinked(Message, frozen=True):
    """The connection `epoch` is gone."""

    epoch: int
    reason: str = ""


class Status(Message, frozen=True):
    """Whether the market trades."""

    trading: bool
    reason: str = ""


class AccountView(Message, frozen=True):
    """One instant of the account, in one market.

    ``orders`` are all open orders (closed ones may be among them), ``fills`` all trades after the asked ``since`` up to
    ``last_trade_id``, ``position_lots`` the position after that trade, ``nonces`` (key, next nonce) pairs.
    ``complete`` false: only what is there counts, not what is missing.
    """

    orders: tuple[OrderView, ...]
    fills: tuple[Fill, ...]
    last_trade_id: int
    position_lots: int
    nonces: tuple[tuple[int, int], ...]
    complete: bool = True
    quota_left: int = -1


AccountMessage = OrderUpdate | FillUpdate | PositionUpdate | Liquidation | Linked | Unlinked | Status
"""What the account feed brings."""
