"""`FaultPlan`: how slow and how faulty a simulated venue and the network to it are. Without arguments: not at all."""

from __future__ import annotations

from enum import IntEnum
from typing import Any, ClassVar

from pydantic import Field, ValidationError, field_validator

from mmlab.config import Section
from mmlab.errors import ConfigError
from mmlab.explain import explain

MAX_MS = 60_000.0


def milliseconds(default: float, text: str) -> Any:
    """A field of a latency."""
    return Field(default, ge=0, le=MAX_MS, description=text, json_schema_extra={"unit": "ms"})


def _share(text: str) -> Any:
    return Field(0.0, ge=0, le=1, description=text)


def _per_min(text: str) -> Any:
    return Field(0.0, ge=0, le=600, description=text, json_schema_extra={"unit": "1/min"})


def _seconds(default: float, text: str) -> Any:
    return Field(default, gt=0, le=3600, description=text, json_schema_extra={"unit": "s"})


class FaultPlan(Section):
    """What goes wrong on a paper venue, and how often: ``FaultPlan(drop_ack=0.1, disconnects_per_min=1, seed=7)``.

    Every fault is off unless asked for; shares are probabilities a message. One seed, one course of events.

    Parameters
    ----------
    seed : int
        Of everything that is drawn.
    until_s : float, optional
        Faults stop this long after the venue's start; constant latencies and limits stay. Default: they never stop.
    entry_ms, response_ms : float
        Constant latency from us to the exchange, and of acks, updates and views back.
    entry_spread_ms, response_spread_ms : float
        Mean of an exponential part added to it.
    latency_cap_ms : float
        Most that spread and reordering add to one latency. So `VenueRules.flight_ns` is known.
    market_delay_ms, market_spread_ms : float
        Added to the market feed's recorded latency: a constant, and the mean of an exponential part.
    lose_send : float
        The transaction never arrives, and nobody says so.
    reorder_send : float
        It is late by up to `latency_cap_ms`, and others of its key overtake it.
    drop_ack, duplicate_ack, reorder_ack : float
        The reply to a transaction is lost; comes twice (the second has no effect); is overtaken by later ones.
    unclear_ack : float
        The reply is `Unanswered` (a 5xx), whatever became of the transaction.
    drop_update, duplicate_update, reorder_update : float
        The same for messages of the account feed. Without reordering they keep their order.
    rejects : dict of int to float
        Refuse what is otherwise right with this `Code`, this often: ``{9: 0.1}``.
    skip_nonce : float
        After a transaction the venue's counter of the key jumps over one nonce, so our next one is refused.
    fail_accepted : float
        An accepted transaction fails later: an order is rejected, a change has no effect. Its nonce is used up.
    split_fill : float
        A fill is reported as several smaller trades.
    fail_view, slow_view, partial_view : float
        A view (or a question for a nonce) fails; takes `slow_view_ms` longer; is not complete.
    slow_view_ms : float
        How much longer.
    disconnects_per_min, disconnect_s : float
        Account feed and sender are cut, and for how long on average. Half of what is on its way to the venue is lost.
    market_disconnects_per_min, market_disconnect_s : float
        The market feed is cut: a GAP, and at its return a snapshot.
    stales_per_min, stale_s : float
        The market feed is silent though connected, and brings everything late.
    restarts_per_min, restart_s : float
        The venue is gone: all is cut, and what arrives is lost.
    restart_cancels : bool
        A restart cancels all orders; else they stay, and trade on meanwhile.
    rate_capacity, rate_refill : int
        Token bucket, one for all messages: most tokens, and how many come back each second. 0 capacity: no limit.
    rate_told : bool
        `VenueRules` tell the limit; else we find out by being refused.
    quota : int
        Messages that place or modify that are free before any trade; -1: no volume quota.
    quota_earn_tick_lots : int
        Ticks x lots traded that earn one more. 0: none.
    junk_market, junk_account, junk_reply, junk_view : float
        Nonsense of wrong type or impossible value on that path: beside the true messages of market and account, in
        place of a true reply or view.

    Raises
    ------
    ConfigError
        A value is out of range; every wrong one is named.
    """

    CODES: ClassVar[type[IntEnum]]
    """The codes with which the venue refuses."""

    seed: int = Field(0, ge=0, le=2**63 - 1, description="of everything that is drawn")
    until_s: float | None = Field(None, ge=0, le=1e9, description="faults stop then; none: never")
    entry_ms: float = milliseconds(5.0, "latency from us to the exchange")
    response_ms: float = milliseconds(5.0, "latency of acks, updates and views")
    entry_spread_ms: float = milliseconds(0.0, "mean of its exponential part")
    response_spread_ms: float = milliseconds(0.0, "mean of its exponential part")
    latency_cap_ms: float = milliseconds(1000.0, "most that spread and reordering add")
    market_delay_ms: float = milliseconds(0.0, "added to the market feed's latency")
    market_spread_ms: float = milliseconds(0.0, "mean of its exponential part")
    lose_send: float = _share("transactions that never arrive")
    reorder_send: float = _share("transactions that are overtaken")
    drop_ack: float = _share("replies lost")
    duplicate_ack: float = _share("replies twice")
    reorder_ack: float = _share("replies overtaken")
    unclear_ack: float = _share("replies that say nothing")
    drop_update: float = _share("account messages lost")
    duplicate_update: float = _share("account messages twice")
    reorder_update: float = _share("account messages overtaken")
    rejects: dict[int, float] = Field(default_factory=dict, description="refusals by code")
    skip_nonce: float = _share("nonces that the venue skips")
    fail_accepted: float = _share("accepted transactions that fail")
    split_fill: float = _share("fills reported in parts")
    fail_view: float = _share("views that fail")
    slow_view: float = _share("views that take long")
    slow_view_ms: float = milliseconds(3000.0, "how much longer")
    partial_view: float = _share("views that are not complete")
    disconnects_per_min: float = _per_min("cuts of account feed and sender")
    disconnect_s: float = _seconds(2.0, "their mean length")
    market_disconnects_per_min: float = _per_min("cuts of the market feed")
    market_disconnect_s: float = _seconds(2.0, "their mean length")
    stales_per_min: float = _per_min("silences of the market feed")
    stale_s: float = _seconds(5.0, "their mean length")
    restarts_per_min: float = _per_min("restarts of the venue")
    restart_s: float = _seconds(5.0, "their mean length")
    restart_cancels: bool = Field(True, description="a restart cancels all orders")
    rate_capacity: int = Field(0, ge=0, le=10**6, description="tokens; 0: no limit")
    rate_refill: int = Field(10, ge=0, le=10**6, description="tokens that come back", json_schema_extra={"unit": "1/s"})
    rate_told: bool = Field(True, description="the rules tell the limit")
    quota: int = Field(-1, ge=-1, le=10**9, description="volume quota at the start; -1: none")
    quota_earn_tick_lots: int = Field(0, ge=0, le=10**18, description="ticks x lots that earn one")
    junk_market: float = _share("nonsense on the market feed")
    junk_account: float = _share("nonsense on the account feed")
    junk_reply: float = _share("nonsense for a reply")
    junk_view: float = _share("nonsense for a view")

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise ConfigError("FaultPlan: " + explain(error, type(self), list(type(self).model_fields))) from None

    @field_validator("rejects", mode="before")
    @classmethod
    def _check_rejects(cls, rejects: Any) -> Any:
        known = {code.value: code.name for code in cls.CODES}
        if isinstance(rejects, dict):  # keys of TOML and JSON are text
            rejects = {int(k) if isinstance(k, str) and k.isdecimal() else k: v for k, v in rejects.items()}
        if (
            not isinstance(rejects, dict)
            or not set(rejects) <= set(known)
            or not all(isinstance(share, int | float) and 0 <= share <= 1 for share in rejects.values())
            or sum(rejects.values()) > 1
        ):
            raise ValueError(f"must map codes to shares between 0 and 1 that sum to 1 at most; codes are {known}")
        return rejects
