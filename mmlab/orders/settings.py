"""All that the order manager is told: limits, times, habits, and the venue's rules. One plain record, storable."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from mmlab.config import Config
from mmlab.events import NS_PER_MS, NS_PER_S
from mmlab.exchange import VenueRules


class Limits(msgspec.Struct, frozen=True):
    """Limits in lots and ticks; commands that would pass one are removed."""

    max_long_lots: int = 100
    max_short_lots: int = 100
    max_live_orders: int = 16
    max_order_lots: int = 1 << 60
    collar_bps: float = 100.0
    """Largest distance of an order's price from the mid."""


class Times(msgspec.Struct, frozen=True):
    """How long to wait for what."""

    sign_ns: int = NS_PER_S
    ack_ns: int = 2 * NS_PER_S
    open_ns: int = 2 * NS_PER_S
    change_ns: int = 2 * NS_PER_S
    query_ns: int = 5 * NS_PER_S
    query_gap_ns: int = 200 * NS_PER_MS
    """Least time between two full views."""
    reconcile_ns: int = 30 * NS_PER_S
    """A full view at least this often."""


class RetryRule(msgspec.Struct, frozen=True):
    """Budgets and back-off of retries, and the circuit breaker."""

    base_ns: int = 100 * NS_PER_MS
    factor: float = 2.0
    max_ns: int = 10 * NS_PER_S
    jitter: float = 0.25
    """Share of a delay that chance may take away."""
    per_order: int = 5
    """Refusals in a row of one rung or order before it waits `max_ns` each time."""
    per_session: int = 100
    """Retries in `window_ns` of all orders before the breaker opens."""
    window_ns: int = 60 * NS_PER_S
    breaker_n: int = 50
    breaker_min_n: int = 10
    breaker_share: float = 0.2
    """The breaker opens when more than this share of the last `breaker_n` messages was refused."""


class OrderSettings(msgspec.Struct, frozen=True):
    """Everything the order manager needs to know besides events."""

    instance: int = 0
    seed: int = 0
    rungs: int = 1
    slots: bool = True
    """Two places a rung: for what is added behind an order, and for pairs where `replace` is not by modify."""
    ack_mode: Literal["strict", "optimistic"] = "strict"
    replace: Literal["modify", "cancel_place"] = "modify"
    tolerance_ticks: int = 1
    size_tolerance: float = 0.0
    """An order is not refilled while less than this share of its target is missing."""
    limits: Limits = Limits()
    times: Times = Times()
    retry: RetryRule = RetryRule()
    venue: VenueRules = VenueRules()


def settings_of(config: Config, risk: Any, venue: VenueRules, seed: int = 0) -> OrderSettings:
    """Settings from a config.

    Parameters
    ----------
    config : Config
        Sections `strategy` and `execution` are read.
    risk : record
        The ``risk`` part of a `mmlab.params.PARAMS` row: limits in lots.
    venue : VenueRules
        What the venue can do.
    seed : int
        Of the jitter of retries.
    """
    execution = config.execution
    retry, waits = execution.retry, execution.waits
    pairs = execution.slots == "ab"

    def ns(ms: float) -> int:
        return round(ms * NS_PER_MS)

    return OrderSettings(
        instance=execution.instance,
        seed=seed,
        rungs=config.strategy.rungs,
        slots=pairs or (venue.modify and execution.replace == "modify"),
        ack_mode=execution.ack_mode,
        replace="cancel_place" if pairs else execution.replace,
        tolerance_ticks=execution.refresh_tolerance_ticks,
        size_tolerance=execution.size_tolerance,
        limits=Limits(
            max_long_lots=int(risk["max_long_lots"]),
            max_short_lots=int(risk["max_short_lots"]),
            max_live_orders=int(risk["max_live_orders"]),
            collar_bps=float(risk["collar_bps"]),
        ),
        times=Times(
            sign_ns=ns(waits.sign_ms),
            ack_ns=ns(waits.ack_ms),
            open_ns=ns(waits.open_ms),
            change_ns=ns(waits.change_ms),
            query_ns=ns(waits.query_ms),
            query_gap_ns=ns(waits.query_gap_ms),
            reconcile_ns=ns(1000 * waits.reconcile_s),
        ),
        retry=RetryRule(
            base_ns=ns(retry.base_ms),
            factor=retry.factor,
            max_ns=ns(retry.max_ms),
            jitter=retry.jitter,
            per_order=retry.per_order,
            per_session=retry.per_session,
            breaker_n=retry.breaker_n,
            breaker_min_n=retry.breaker_min_n,
            breaker_share=retry.breaker_share,
        ),
        venue=venue,
    )
