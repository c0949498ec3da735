"""What a venue can do and what it allows, as data. Nothing in `mmlab.orders` knows a venue by name."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from mmlab.events import NS_PER_S


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
    rate: RateRule = RateRule()
    quota: QuotaRule = QuotaRule()
    errors: dict[int, ErrorClass] = {}
    """Venue code -> class."""
    unknown_error: ErrorClass = ErrorClass.FATAL_ORDER

    def classify(self, code: int) -> ErrorClass:
        """Class of a venue code."""
        return self.errors.get(code, self.unknown_error)
