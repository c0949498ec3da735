"""Typed configuration: every knob with its unit, default, bounds and help.

Sections mirror `docs/terms`: ``strategy, ladder, gates, kill, risk, execution, owner, telemetry, venue``. A config is
immutable; `Config.with_` makes a changed copy, validated as a whole. ``None`` means "from the instrument or the feed's
warm-up" and is resolved by `mmlab.params`. A file holds only what it wants to change.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from mmlab.errors import ConfigError
from mmlab.events import MAX_RUNGS
from mmlab.explain import explain, unknown
from mmlab.params import MAX_LEVELS


def _number(default: float | None, low: float, high: float, unit: str, text: str) -> Any:
    return Field(default=default, ge=low, le=high, description=text, json_schema_extra={"unit": unit})


FIXED = (
    "venue.",
    "telemetry.",
    "execution.instance",
    "strategy.warmup_",
    "risk.inventory",
    "risk.portfolio_",
    "risk.target_pct",
)
"""Beginnings of the names that a running session cannot change: they say where it trades and what it began with."""


def reloads(name: str) -> bool:
    """Whether a running session takes a new value of the parameter, by its dotted name."""
    return not name.startswith(FIXED)


def _below(section: BaseModel, high: str, low: str) -> str | None:
    """A complaint if the first field is below the second."""
    a, b = getattr(section, high), getattr(section, low)
    return f"{high} = {a} is below {low} = {b}" if a < b else None


def _unless(section: Any, *wrong: str | bool | None) -> Any:
    """The section, unless there is a complaint; all of them are raised together."""
    complaints = [complaint for complaint in wrong if isinstance(complaint, str)]
    if complaints:
        raise ValueError("; ".join(complaints))
    return section


class Section(BaseModel):
    """Base of every section: immutable, unknown names refused, no silent NaN."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, validate_default=True)


class Strategy(Section):
    """The quoting model and its parameters."""

    model: Literal["glft", "avellaneda_stoikov", "fixed"] = Field("glft", description="quoting model")
    gamma: float | None = _number(
        None, 1e-12, 1e12, "1/price", "risk aversion for one order; none: from reservation_ticks"
    )
    reservation_ticks: float = _number(
        0.5, 0.001, 1000, "ticks", "how far one order moves the reservation price, if gamma is none"
    )
    reservation_bps: float = _number(0.01, 0, 1000, "bps", "twin of reservation_ticks; the larger holds")
    kappa: float | None = _number(None, 1e-12, 1e12, "1/price", "decay of fill intensity; none: from the warm-up")
    A: float | None = _number(None, 1e-12, 1e12, "1/s", "fill intensity at the mid, a side; none: from the warm-up")
    horizon: Literal["rolling", "terminal"] = Field(
        "rolling", description="constant horizon, or counting down to the end"
    )
    horizon_s: float = _number(60.0, 0.01, 1e7, "s", "Avellaneda-Stoikov horizon")
    fee_in_model: bool = Field(True, description="half-spreads are the model's at A*exp(-kappa*fee) plus the fee")
    half_spread_ticks: float = _number(1.0, 0, 1e6, "ticks", "half-spread of the fixed model")
    half_spread_bps: float = _number(0.0, 0, 1e4, "bps", "twin of half_spread_ticks; the larger holds")
    order_size: float | None = _number(
        None, 1e-18, 1e18, "size", "size of one order; none: from the instrument's minimum"
    )
    min_spread_bps: float | None = _number(
        None, 0, 1e4, "bps", "floor of the total spread; none: from the warm-up's volatility, where A or kappa are"
    )
    min_edge_bps: float = _number(0.0, 0, 1e4, "bps", "with two maker fees, the other floor of the total spread")
    max_spread_bps: float = _number(100.0, 0.001, 1e4, "bps", "cap of the total spread")
    rungs: int = _number(1, 1, MAX_RUNGS, "", "quotes a side")
    rung_spacing_ticks: float = _number(1.0, 0, 1e6, "ticks", "distance between rungs")
    rung_spacing_bps: float = _number(0.0, 0, 1e4, "bps", "twin of rung_spacing_ticks; the larger holds")
    rung_size_multipliers: tuple[Annotated[float, Field(gt=0, le=100)], ...] = Field(
        (1.0,), description="size of each rung, in orders"
    )
    step_ms: float = _number(0.0, 0, 3.6e6, "ms", "decide on this clock; 0: at every event")
    warmup_s: float = _number(60.0, 0, 86400, "s", "least warm-up before the first quote")
    warmup_min_trades: int = _number(50, 0, 1e6, "", "market orders seen before the first quote")
    warmup_max_s: float = _number(1800.0, 0, 86400, "s", "warm-up ends at the latest then")
    half_life_s: float = _number(60.0, 0.1, 86400, "s", "half-life of the volatility EWMA")
    volatility_clock_ms: float = _number(100.0, 1, 60000, "ms", "sampling clock of the volatility")

    @model_validator(mode="after")
    def _together(self) -> Self:
        n = len(self.rung_size_multipliers)
        return _unless(
            self,
            *(
                f"{floor} = {getattr(self, floor)} is above max_spread_bps = {self.max_spread_bps}"
                for floor in ("min_spread_bps", "min_edge_bps")
                if (getattr(self, floor) or 0.0) > self.max_spread_bps
            ),
            n not in (1, self.rungs) and f"rung_size_multipliers has {n} values: give 1, or one a rung ({self.rungs})",
            self.warmup_max_s < self.warmup_s
            and f"warmup_max_s = {self.warmup_max_s} is below warmup_s = {self.warmup_s}",
        )


class Ladder(Section):
    """Inventory ladder of the heavy side."""

    enabled: bool = Field(True, description="use the ladder")
    thresholds: tuple[Annotated[float, Field(gt=0, le=1)], ...] = Field(
        (0.25, 0.5, 0.75, 1.0), description="|q_ratio| at which each level starts"
    )
    offset_ticks: tuple[Annotated[float, Field(ge=0, le=1e6)], ...] = Field(
        (1, 3, 5, 8), description="heavy side away from mid, ticks"
    )
    offset_bps: tuple[Annotated[float, Field(ge=0, le=1e4)], ...] = Field(
        (0, 0, 0, 0), description="twin of offset_ticks; the larger holds"
    )
    size_multipliers: tuple[Annotated[float, Field(gt=0, le=1)], ...] = Field(
        (1.0, 0.5, 0.25, 0.1), description="heavy-side size, of the model's"
    )
    hysteresis: float = _number(0.05, 0, 0.5, "", "a level is left only this far below its threshold")
    min_dwell_ms: float = _number(500.0, 0, 3.6e6, "ms", "a level is held at least this long before stepping down")

    @model_validator(mode="before")
    @classmethod
    def _default_twin(cls, data: Any) -> Any:
        if isinstance(data, dict) and "thresholds" in data and "offset_bps" not in data:
            return {**data, "offset_bps": [0] * len(data["thresholds"])}
        return data

    @model_validator(mode="after")
    def _together(self) -> Self:
        n = len(self.thresholds)
        return _unless(
            self,
            not 1 <= n <= MAX_LEVELS and f"thresholds has {n} levels: 1 to {MAX_LEVELS} are possible",
            *(
                f"{name} has {len(getattr(self, name))} values, thresholds {n}: they must agree"
                for name in ("offset_ticks", "offset_bps", "size_multipliers")
                if len(getattr(self, name)) != n
            ),
            any(b <= a for a, b in pairwise(self.thresholds)) and f"thresholds = {self.thresholds} must rise",
            n > 0
            and self.hysteresis >= self.thresholds[0]
            and f"hysteresis = {self.hysteresis} must be below the first threshold {self.thresholds[0]},"
            " or level 1 is never left",
        )


class FlipGate(Section):
    """Pull or widen when the reference price flips to and fro."""

    mode: Literal["off", "skip", "widen", "adaptive"] = Field("adaptive", description="what a trigger does")
    threshold: int = _number(8, 2, 500, "flips", "flips in the window that trigger")
    hard_threshold: int = _number(16, 2, 500, "flips", "flips in the window that pull both sides (adaptive)")
    window_ms: float = _number(200.0, 1, 60000, "ms", "window of the flip count")
    reference: Literal["micro", "mid"] = Field("micro", description="the price whose flips count")
    min_move_ticks: float | None = _number(
        None, 0, 1000, "ticks", "moves below this accumulate; none: micro 0.1, mid 0.5"
    )
    pause_ms: float = _number(500.0, 1, 3.6e6, "ms", "pull of both sides, first trigger")
    pause_max_ms: float = _number(1000.0, 1, 3.6e6, "ms", "pull of both sides, after doublings")
    hold_ms: float = _number(600.0, 1, 3.6e6, "ms", "how long widen holds")
    widen_ticks: float = _number(2.0, 0, 1e6, "ticks", "added to each half-spread")
    widen_bps: float = _number(0.0, 0, 1e4, "bps", "twin of widen_ticks; the larger holds")
    growth: float = _number(1.5, 1, 100, "", "adaptive: each further trigger multiplies the widening")
    max_widen_ticks: float = _number(8.0, 0, 1e6, "ticks", "adaptive: most widening")
    max_widen_bps: float = _number(0.0, 0, 1e4, "bps", "twin of max_widen_ticks; the larger holds")
    half_life_ms: float = _number(400.0, 1, 3.6e6, "ms", "adaptive: decay of the widening in calm")

    @model_validator(mode="after")
    def _together(self) -> Self:
        return _unless(
            self,
            _below(self, "hard_threshold", "threshold"),
            _below(self, "pause_max_ms", "pause_ms"),
        )


class AgeExit(Section):
    """Leave old, losing inventory with a reduce-only IOC sized by depth."""

    enabled: bool = Field(True, description="use the age exit")
    age_s: float = _number(8.0, 0.01, 86400, "s", "age from which the exit may fire")
    age_basis: Literal["inventory", "lot"] = Field("inventory", description="which age")
    adverse_ticks: float = _number(6.0, 0, 1e6, "ticks", "mid against the entry price")
    adverse_bps: float | None = _number(
        None, 0, 1e4, "bps", "none: max(taker fee + half the median spread, 1 sigma over age_s)"
    )
    fraction: float = _number(1 / 3, 0.001, 1, "", "most of the position in one exit")
    depth_fraction: float = _number(0.25, 0.001, 1, "", "most of the visible size within max_slippage")
    max_slippage_ticks: float = _number(5.0, 0, 1e6, "ticks", "depth counted, and the IOC's limit")
    max_slippage_bps: float = _number(0.0, 0, 1e4, "bps", "twin of max_slippage_ticks; the larger holds")
    cooldown_ms: float = _number(2000.0, 1, 3.6e6, "ms", "between exits")
    exit_budget_bps: float = _number(5.0, 0, 1e4, "bps/h", "hourly taker cost, of max position notional")


class Cooldown(Section):
    """Refill cooldown after a hit, and the pull after too many."""

    enabled: bool = Field(True, description="use the cooldown")
    min_ms: float = _number(300.0, 0, 3.6e6, "ms", "cooldown with benign flow")
    max_ms: float = _number(800.0, 0, 3.6e6, "ms", "cooldown with toxic flow")
    max_fills_per_s: int = _number(3, 1, 200, "hits", "a hit beyond this in a second pulls the side")
    pause_ms: float = _number(500.0, 0, 3.6e6, "ms", "first pull")
    pause_max_ms: float = _number(1000.0, 0, 3.6e6, "ms", "pull after doublings")

    @model_validator(mode="after")
    def _together(self) -> Self:
        return _unless(self, _below(self, "max_ms", "min_ms"), _below(self, "pause_max_ms", "pause_ms"))


class Gates(Section):
    """Gates: they remove or worsen quotes, trigger by trigger."""

    flip: FlipGate = FlipGate()
    age_exit: AgeExit = AgeExit()
    cooldown: Cooldown = Cooldown()


class ToxicSide(Section):
    """Rolling markout of a side is significantly negative: pull it."""

    enabled: bool = Field(True, description="use this switch")
    threshold_bps: float = _number(-0.10, -1e4, 1e4, "bps", "rolling median markout below this trips")
    horizon_s: float = _number(1.0, 0.01, 600, "s", "markout horizon")
    window: int = _number(200, 10, 1000, "hits", "samples of the rolling markout")
    min_n: int = _number(20, 1, 1000, "", "least effective samples")
    z: float = _number(2.0, 0, 10, "", "significance; 0 gives the plain rule")
    pause_s: float = _number(2.0, 0.001, 86400, "s", "first pull")
    pause_max_s: float = _number(5.0, 0.001, 86400, "s", "pull after doublings")

    @model_validator(mode="after")
    def _together(self) -> Self:
        return _unless(self, _below(self, "pause_max_s", "pause_s"), _below(self, "window", "min_n"))


class FillBurst(Section):
    """Fills of one side come too fast: pause it."""

    enabled: bool = Field(True, description="use this switch")
    threshold_per_s: float = _number(3.0, 0.1, 1e4, "1/s", "same-side fill rate p95 above this trips")
    percentile: float = _number(95.0, 1, 100, "%", "percentile of the samples")
    min_n: int = _number(20, 1, 200, "", "least samples")
    pause_s: float = _number(0.5, 0.001, 86400, "s", "first pause")
    pause_max_s: float = _number(1.0, 0.001, 86400, "s", "pause after doublings")

    @model_validator(mode="after")
    def _together(self) -> Self:
        return _unless(self, _below(self, "pause_max_s", "pause_s"))


class Losing(Section):
    """P&L per million is significantly bad: halt."""

    enabled: bool = Field(True, description="use this switch")
    threshold_quote: float = _number(-30.0, -1e9, 0, "quote/1M", "P&L per million below this trips")
    window_min: float = _number(30.0, 0.1, 60, "min", "window")
    min_notional: float | None = _number(None, 0, 1e18, "quote", "traded in the window; none: 50x order notional")
    z: float = _number(2.0, 0, 10, "", "significance; 0 gives the plain rule")
    halt_s: float = _number(60.0, 0.001, 86400, "s", "first halt")
    max_rearms: int = _number(2, 0, 1000, "", "re-arms a session, then latched")


class Loss(Section):
    """Net P&L since the start: halt, latched."""

    enabled: bool = Field(True, description="use this switch")
    max_loss_quote: float | None = _number(None, 0, 1e18, "quote", "none: 10 % of max position notional")


class Drawdown(Section):
    """Net P&L from its peak: halt, latched."""

    enabled: bool = Field(True, description="use this switch")
    max_drawdown_quote: float | None = _number(None, 0, 1e18, "quote", "none: 10 % of max position notional")


class VolatilitySwitch(Section):
    """Sigma against its 30-minute median: cancel all until calm."""

    enabled: bool = Field(True, description="use this switch")
    ratio: float = _number(3.0, 1, 1000, "", "sigma / median above this trips")
    rearm_ratio: float = _number(2.0, 0.1, 1000, "", "below this for fresh_s re-arms")
    min_s: float = _number(300.0, 1, 1800, "s", "history of sigma before the switch works")

    @model_validator(mode="after")
    def _together(self) -> Self:
        return _unless(
            self,
            self.rearm_ratio >= self.ratio and f"rearm_ratio = {self.rearm_ratio} is not below ratio = {self.ratio}",
        )


class Stale(Section):
    """The feed is silent: cancel all until it speaks."""

    enabled: bool = Field(True, description="use this switch")
    max_age_s: float = _number(1.0, 0.01, 86400, "s", "age of the last book event")
    interval_multiple: float = _number(
        10.0, 1, 1e4, "", "times the p99 book interval, the other bound; the larger holds"
    )


class Clock(Section):
    """Our time against the venue's: halt. Live only."""

    enabled: bool = Field(True, description="use this switch, where the venue is live")
    max_skew_ms: float = _number(500.0, 1, 60000, "ms", "difference that trips")


class Margin(Section):
    """Liquidation is near: the side that would add to the position goes off, then halt. Live only."""

    enabled: bool = Field(True, description="use this switch, where the venue tells a liquidation price")
    min_distance_bps: float = _number(
        500.0, 0, 1e4, "bps", "liquidation closer: heavy side off; closer than half: halt"
    )


class Mark(Section):
    """Mid against the mark price: pull both sides."""

    enabled: bool = Field(True, description="use this switch, where the feed has mark prices")
    max_distance_bps: float = _number(100.0, 0.1, 1e4, "bps", "distance that trips")


class Kill(Section):
    """Kill switches."""

    mode: Literal["act", "observe"] = Field("act", description="observe: log what would have tripped, do nothing")
    memory_s: float = _number(60.0, 0, 86400, "s", "a repeat within this doubles the duration")
    fresh_s: float = _number(2.0, 0, 86400, "s", "two-sided uncrossed book this long before re-arming")
    pause_light_side: bool = Field(
        False, description="toxic and burst pull the light side too while it must let inventory out"
    )
    toxic: ToxicSide = ToxicSide()
    burst: FillBurst = FillBurst()
    losing: Losing = Losing()
    loss: Loss = Loss()
    drawdown: Drawdown = Drawdown()
    volatility: VolatilitySwitch = VolatilitySwitch()
    stale: Stale = Stale()
    mark: Mark = Mark()
    clock: Clock = Clock()
    margin: Margin = Margin()


class Risk(Section):
    """Limits of position and orders."""

    max_position: float | None = _number(None, 1e-18, 1e18, "size", "either way; none: 8 orders or more")
    max_long: float | None = _number(None, 1e-18, 1e18, "size", "long limit; none: max_position")
    max_short: float | None = _number(None, 1e-18, 1e18, "size", "short limit; none: max_position")
    hard_limit: float | None = _number(None, 1e-18, 1e18, "size", "position that latches a halt; none: 1.25x the limit")
    flat_band: float = _number(0.05, 0, 1, "", "|q_ratio| below this is flat")
    inventory: Literal["position", "portfolio"] = Field(
        "position", description="portfolio: base holdings about a target share (spot)"
    )
    portfolio_total: float | None = _number(None, 1e-18, 1e18, "size", "portfolio: total value in base")
    portfolio_start: float | None = _number(
        None, 0, 1e18, "size", "portfolio: base held at the start; none: the target"
    )
    target_pct: float = _number(0.5, 0.01, 0.99, "", "portfolio: share of the total to hold in base")
    max_live_orders: int | None = _number(None, 1, 10000, "orders", "none: 4x rungs + 4")
    max_order_notional: float | None = _number(None, 0, 1e18, "quote", "none: no limit")
    max_total_notional: float | None = _number(
        None, 0, 1e18, "quote", "of all sessions of this user on this machine, side by side; none: no limit"
    )
    max_messages_per_min: int | None = _number(None, 1, 1e9, "1/min", "none: no limit")
    collar_bps: float = _number(100.0, 1, 1e4, "bps", "order price from the mid; beyond is refused, three halt")
    on_halt: Literal["hold", "reduce"] = Field("hold", description="what happens to the position on a halt")
    on_stop: Literal["keep", "flatten"] = Field("keep", description="what happens to the position at the end")


class Retry(Section):
    """Back-off of refused messages, budgets and circuit breaker."""

    base_ms: float = _number(100.0, 1, 60000, "ms", "wait after the first refusal")
    factor: float = _number(2.0, 1, 10, "", "each further refusal in a row multiplies the wait")
    max_ms: float = _number(10000.0, 1, 3.6e6, "ms", "longest wait")
    jitter: float = _number(0.25, 0, 1, "", "share of a wait that chance takes away")
    per_order: int = _number(5, 1, 1000, "", "refusals in a row of one order or rung, then the longest wait each time")
    per_session: int = _number(100, 1, 100000, "1/min", "retries of all orders, then quoting pauses")
    breaker_n: int = _number(50, 5, 10000, "messages", "window of the circuit breaker")
    breaker_min_n: int = _number(10, 1, 10000, "messages", "least messages before it may open")
    breaker_share: float = _number(0.2, 0.01, 1, "", "a larger refused share pauses quoting")

    @model_validator(mode="after")
    def _together(self) -> Self:
        return _unless(self, _below(self, "max_ms", "base_ms"), _below(self, "breaker_n", "breaker_min_n"))


class Waits(Section):
    """How long the order manager waits for an answer before it doubts, and how often it looks."""

    sign_ms: float = _number(1000.0, 1, 60000, "ms", "for a signature")
    ack_ms: float = _number(2000.0, 1, 60000, "ms", "for the venue's acceptance (strict)")
    open_ms: float = _number(2000.0, 1, 60000, "ms", "for an accepted order, or missing trades, on the account feed")
    change_ms: float = _number(2000.0, 1, 60000, "ms", "for a modify or cancel to show on the account feed")
    query_ms: float = _number(5000.0, 1, 60000, "ms", "for a full view of the account")
    query_gap_ms: float = _number(200.0, 1, 60000, "ms", "least time between two full views")
    reconcile_s: float = _number(30.0, 0.1, 3600, "s", "a full view at least this often")


class Presign(Section):
    """Payloads signed ahead, so that an order need not wait for its signature."""

    enabled: Literal["auto", "on", "off"] = Field(
        "auto", description="auto: where signing has a thread of its own (off for a quick signer, and in virtual time)"
    )
    ticks: int = _number(6, 0, 100, "ticks", "targets may move so far either way and still find their payload")
    cancels: int = _number(2, 1, 20, "", "cancels in a row that each key kept for them has ready")
    nonces: int = _number(3, 1, 20, "", "the same for quotes: more find their payload in a burst, and cost signatures")
    max_age_s: float = _number(300.0, 1, 3600, "s", "an older payload is not used; the venue's own limit holds besides")


class Execution(Section):
    """How targets become orders."""

    ack_mode: Literal["strict", "optimistic"] = Field(
        "strict", description="strict: an order may be changed once it is seen live; optimistic: once it is sent"
    )
    slots: Literal["single", "ab"] = Field(
        "single",
        description="single: an order is moved where it rests, as `replace` says; ab: a move goes to the rung's free "
        "place, and the old order is cancelled once the new one is live",
    )
    instance: int = _number(0, 0, 15, "", "number of this mmlab among those that share an account; part of order ids")
    size_tolerance: float = _number(0.0, 0, 1, "", "an order is not refilled while less than this share is missing")
    retry: Retry = Retry()
    waits: Waits = Waits()
    refresh_tolerance_ticks: int = _number(1, 0, 1000, "ticks", "a move of fewer ticks is not worth the queue position")
    replace: Literal["modify", "cancel_place"] = Field("modify", description="how an order is moved (slots: single)")
    post_only: bool = Field(True, description="quotes are post-only")
    presign: Presign = Presign()

    @model_validator(mode="before")
    @classmethod
    def _old_slots(cls, data: Any) -> Any:
        """Runs recorded before slots had names: true moved by `replace`, with the second place in use."""
        if isinstance(data, dict) and isinstance(data.get("slots"), bool):
            pairs = data["slots"] and data.get("replace", "modify") == "cancel_place"
            return {**data, "slots": "ab" if pairs else "single"}
        return data


class Owner(Section):
    """What a session does when the notebook or command that started it is gone."""

    on_owner_lost: Literal["stop", "halt", "keep"] = Field(
        "stop", description="stop: cancel all and end; halt: cancel all and wait for `attach`; keep: go on"
    )
    grace_s: float = _number(30.0, 0.5, 86400, "s", "quoting goes on this long after the last sign of life")


class Venue(Section):
    """Where a live session trades. Keys never stand here: they come from the environment or the OS keyring."""

    name: Literal["paper", "lighter"] = Field("paper", description="the exchange")
    mode: Literal["paper", "live"] = Field("paper", description="live: real orders, if armed")
    armed: bool = Field(False, description="I mean it: without this nothing live is sent")
    profile: Literal["mainnet", "testnet", "robinhood", "robinhood_testnet"] = Field(
        "testnet", description="which of the venue's hosts"
    )
    market: str = Field("", description="symbol, or the venue's market id")
    account_index: int | None = _number(None, 1, 2**48, "", "account at the venue")
    quote_keys: tuple[Annotated[int, Field(ge=0, le=254)], ...] = Field(
        (4, 5, 6), description="API keys that quotes are spread over"
    )
    cancel_keys: tuple[Annotated[int, Field(ge=0, le=254)], ...] = Field((7,), description="API keys kept for cancels")
    supervisor_key: int = _number(8, 0, 254, "", "API key of the supervisor and of the dead-man's switch, no other use")
    submit: Literal["ws", "rest"] = Field("ws", description="how transactions are sent; rest is the fallback of ws")
    dead_man_s: float = _number(360.0, 1, 86400, "s", "the venue cancels all so long after the last renewal")
    dead_man_renew_s: float = _number(45.0, 0.2, 3600, "s", "renewed this often while we trade")

    @field_validator("market", mode="before")
    @classmethod
    def _id(cls, value: Any) -> Any:
        return str(value) if isinstance(value, int) and not isinstance(value, bool) else value

    @model_validator(mode="after")
    def _check(self) -> Venue:
        if len({*self.quote_keys, *self.cancel_keys, self.supervisor_key}) < len(
            (*self.quote_keys, *self.cancel_keys, self.supervisor_key)
        ):
            raise ValueError("quote_keys, cancel_keys and supervisor_key must be different keys")
        return _unless(
            self,
            not self.quote_keys and "quote_keys is empty: give at least one",
            not self.cancel_keys and "cancel_keys is empty: give at least one",
            _below(self, "dead_man_s", "dead_man_renew_s"),
        )


class Telemetry(Section):
    """What a run records."""

    decisions: bool = Field(True, description="record every decision that differs from the one before")
    metrics: bool = Field(True, description="record metrics once a second")
    metrics_port: int | None = _number(
        None, 0, 65535, "", "port on loopback where Prometheus scrapes the session; 0: any free one; none: no listener"
    )
    targets_dir: str | None = Field(
        None, description="folder of the files by which Prometheus finds sessions; none: the user's runtime folder"
    )
    console: Literal["off", "error", "warning", "info"] = Field(
        "off", description="lines of the log from this level on are shown on stderr too"
    )
    log_part_mb: float = _number(64.0, 0.001, 1e6, "MB", "log.jsonl goes on in a new file when it is longer")
    log_parts: int = _number(16, 1, 9999, "files", "parts of the log that are kept beside the newest")


class Config(Section):
    """Everything a run needs to know; `Config()` works on any feed as it is."""

    strategy: Strategy = Strategy()
    ladder: Ladder = Ladder()
    gates: Gates = Gates()
    kill: Kill = Kill()
    risk: Risk = Risk()
    execution: Execution = Execution()
    owner: Owner = Owner()
    telemetry: Telemetry = Telemetry()
    venue: Venue = Venue()

    def __init__(self, **sections: Any) -> None:
        try:
            super().__init__(**sections)
        except ValidationError as error:
            raise ConfigError(explain(error, Config, _names(Config))) from None

    @classmethod
    def load(cls, path: str | Path) -> Config:
        """Read a TOML file; raises `ConfigError` naming the file and every wrong field."""
        try:
            text = Path(path).read_text(encoding="utf-8")
            return cls(**tomllib.loads(text))
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path}: cannot read the config: {error}") from error
        except tomllib.TOMLDecodeError as error:
            raise ConfigError(f"{path}: not valid TOML: {error}") from error
        except ConfigError as error:
            raise ConfigError(f"{path}: {error}") from None

    def with_(self, **changes: Any) -> Config:
        """A copy with changes given by dotted name, for example ``with_(**{"ladder.hysteresis": 0.1})``."""
        data = self.model_dump()
        wrong = []
        for name, value in changes.items():
            *parents, leaf = name.split(".")
            node: Any = data
            for parent in parents:
                node = node.get(parent) if isinstance(node, dict) else None
            if isinstance(node, dict) and (leaf in node):
                node[leaf] = value.model_dump() if isinstance(value, BaseModel) else value
            else:
                wrong.append(unknown(name, value, _names(Config)))
        try:
            changed = Config(**data)
        except ConfigError as error:
            wrong.append(str(error))
        if wrong:
            raise ConfigError("; ".join(wrong))
        return changed

    def to_toml(self) -> str:
        """The whole config as TOML; parameters that are none are left out."""
        import tomlkit

        return tomlkit.dumps(self.model_dump(mode="json", exclude_none=True))

    def save(self, path: str | Path) -> None:
        """Write the config as TOML."""
        Path(path).write_text(self.to_toml(), encoding="utf-8")

    def flat(self) -> dict[str, Any]:
        """Dotted name -> value."""
        return dict(_flatten(self.model_dump(), ""))

    @property
    def hash(self) -> str:
        """First 16 hex digits of the SHA-256 of the canonical JSON form."""
        return hashlib.sha256(json.dumps(self.flat(), sort_keys=True).encode()).hexdigest()[:16]

    def _repr_html_(self) -> str:
        default = Config().flat()
        rows = "".join(
            f"<tr><td>{name}</td><td>{value}</td><td>{'' if value == default[name] else '*'}</td></tr>"
            for name, value in self.flat().items()
        )
        return f"<table><tr><th>parameter</th><th>value</th><th>changed</th></tr>{rows}</table>"


def _flatten(node: dict[str, Any], prefix: str) -> list[tuple[str, Any]]:
    items: list[tuple[str, Any]] = []
    for name, value in node.items():
        items += _flatten(value, f"{prefix}{name}.") if isinstance(value, dict) else [(prefix + name, value)]
    return items


def _names(model: type[BaseModel], prefix: str = "") -> list[str]:
    """Every section and parameter, dotted."""
    names: list[str] = []
    for name, field in model.model_fields.items():
        names.append(prefix + name)
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            names += _names(field.annotation, f"{prefix}{name}.")
    return names
