"""Config + instrument + what the warm-up measured -> one `PARAMS` row."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from mmlab.config import Config
from mmlab.errors import ConfigError
from mmlab.events import NEVER_NS, NS_PER_MS, NS_PER_S
from mmlab.instrument import Instrument
from mmlab.params import (
    AVELLANEDA_STOIKOV,
    FIXED,
    FLIP_ADAPTIVE,
    FLIP_OFF,
    FLIP_SKIP,
    FLIP_WIDEN,
    GLFT,
    MICRO,
    MID,
    PARAMS,
)

MODELS = {"glft": GLFT, "avellaneda_stoikov": AVELLANEDA_STOIKOV, "fixed": FIXED}
FLIP_MODES = {"off": FLIP_OFF, "skip": FLIP_SKIP, "widen": FLIP_WIDEN, "adaptive": FLIP_ADAPTIVE}

FLOOR_SIGMAS = 1.5
"""Least half-spread of an estimated model, in standard deviations of the mid over one second."""
MAX_QUOTE_AGE_S = 60.0
"""A markout whose reference is older is undefined."""


@dataclass(frozen=True, slots=True)
class WarmUp:
    """What the warm-up measured; the only market data that parameters may depend on.

    Parameters
    ----------
    start_ns, end_ns : int
        First local time of the feed, and when quoting may start.
    mid : float
        Mid at the end of the warm-up.
    A : float
        Fill intensity at the mid, orders per side and second.
    kappa : float
        Its decay, 1/price.
    sigma : float
        Volatility, price per sqrt(s).
    gamma : float
        Risk aversion for one order, 1/price: from ``strategy.reservation_ticks``, unless the config gives one.
    median_spread_ticks : float
        Median spread.
    median_interval_ns, p99_interval_ns : float
        Between venue messages that changed the book.
    has_mark : bool
        Whether the feed has MARK rows.
    """

    start_ns: int
    end_ns: int
    mid: float
    A: float
    kappa: float
    sigma: float
    gamma: float
    median_spread_ticks: float
    median_interval_ns: float
    p99_interval_ns: float
    has_mark: bool = False


def default_order_lots(config: Config, instrument: Instrument, mid: float) -> int:
    """Smallest order whose smallest ladder and rung multiple can still be traded, if the price falls by a tenth."""
    smallest = min(config.ladder.size_multipliers) * min(config.strategy.rung_size_multipliers)
    return math.ceil(instrument.min_lots(0.9 * mid) / smallest - 1e-9)


def default_floor_bps(config: Config, warmup: WarmUp) -> float:
    """Floor of the total spread where the fill model is estimated; 0 for the fixed model or with A and kappa given.

    A quote inside the noise of the next second is hit by every move, whatever the warm-up's intensity says.
    """
    s = config.strategy
    if s.model == "fixed" or (s.A is not None and s.kappa is not None):
        return 0.0
    return 2e4 * FLOOR_SIGMAS * warmup.sigma / warmup.mid


def resolve(config: Config, instrument: Instrument, warmup: WarmUp) -> tuple[np.ndarray[Any, Any], list[str]]:
    """Build the `PARAMS` row.

    Parameters
    ----------
    config : Config
        What the user asked for.
    instrument : Instrument
        The market's steps, minima and fees.
    warmup : WarmUp
        What the warm-up measured; fills in every parameter that the config leaves at none.

    Returns
    -------
    params : ndarray of PARAMS, shape (1,)
    notes : list of str
        What a user should know: rungs too small to be quoted, gates that cannot work on this feed.

    Raises
    ------
    ConfigError
        Limits contradict each other in this market: every contradiction is listed.
    """
    params = np.zeros(1, PARAMS)
    notes: list[str] = []
    wrong: list[str] = []
    lots = _order_lots(config, instrument, warmup, wrong)
    _fill(params["instrument"], _instrument(instrument))
    _fill(params["quoting"], _quoting(config, instrument, warmup, lots, notes, wrong))
    _fill(params["ladder"], _ladder(config))
    _fill(params["flip"], _flip(config, warmup, notes))
    _fill(params["cooldown"], _cooldown(config))
    risk = _risk(config, instrument, warmup, lots, wrong)
    if wrong:
        raise ConfigError("; ".join(wrong))
    limit_notional = instrument.notional(max(risk["max_long_lots"], risk["max_short_lots"]), warmup.mid)
    limit_money = limit_notional / warmup.mid if instrument.inverse else limit_notional
    _fill(params["age_exit"], _age_exit(config, instrument, warmup, limit_money))
    _fill(params["kill"], _kill(config, instrument, warmup, lots, limit_notional))
    _fill(params["risk"], risk)
    _fill(params["execution"], {
        "tolerance_ticks": config.execution.refresh_tolerance_ticks,
        "modify": config.execution.replace == "modify",
        "step_ns": _ns(config.strategy.step_ms, NS_PER_MS),
    })  # fmt: skip
    params["max_quote_age_ns"] = _ns(MAX_QUOTE_AGE_S)
    watched = config.telemetry.metrics
    params["watch_sigma"] = watched or config.strategy.model != "fixed" or kill_reads_sigma(config)
    params["watch_sizes"] = watched or (
        params["flip"]["mode"][0] != FLIP_OFF and params["flip"]["reference"][0] == MICRO
    )
    return params, notes


def kill_reads_sigma(config: Config) -> bool:
    """Whether a kill switch looks at the volatility."""
    return config.kill.volatility.enabled or config.kill.losing.enabled


def _ns(value: float, unit: int = NS_PER_S) -> int:
    return round(value * unit)


def _fill(row: np.ndarray[Any, Any], values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        if isinstance(value, tuple | list | np.ndarray):
            row[name][0, : len(value)] = value
        else:
            row[name] = value


def _order_lots(config: Config, instrument: Instrument, warmup: WarmUp, wrong: list[str]) -> int:
    if config.strategy.order_size is None:
        return default_order_lots(config, instrument, warmup.mid)
    lots = instrument.to_lots(config.strategy.order_size)
    if lots < instrument.min_lots(warmup.mid):
        least = instrument.to_size(instrument.min_lots(warmup.mid))
        wrong.append(
            f"strategy.order_size = {config.strategy.order_size}: below the least order of {instrument.symbol},"
            f" which is {least} at {warmup.mid}"
        )
    return lots


def _instrument(instrument: Instrument) -> dict[str, Any]:
    return {
        "tick_size": instrument.tick_size,
        "lot_size": instrument.lot_size,
        "contract_size": instrument.contract_size,
        "inverse": instrument.inverse,
        "min_size_lots": instrument.min_size_lots,
        "min_notional": instrument.min_notional,
        "maker_fee": instrument.maker_fee_bps * 1e-4,
        "taker_fee": instrument.taker_fee_bps * 1e-4,
    }


def _quoting(
    config: Config, instrument: Instrument, warmup: WarmUp, lots: int, notes: list[str], wrong: list[str]
) -> dict[str, Any]:
    s = config.strategy
    floor = max(s.min_spread_bps or 0.0, s.min_edge_bps + 2 * instrument.maker_fee_bps)
    if s.min_spread_bps is None:
        floor = max(floor, min(default_floor_bps(config, warmup), s.max_spread_bps))
    if floor > s.max_spread_bps:
        wrong.append(
            f"strategy.max_spread_bps = {s.max_spread_bps}: below the floor of {floor} bps that min_spread_bps,"
            f" min_edge_bps and two maker fees of {instrument.maker_fee_bps} bps make"
        )
    multipliers = s.rung_size_multipliers * s.rungs if len(s.rung_size_multipliers) == 1 else s.rung_size_multipliers
    least = instrument.min_lots(warmup.mid)
    notes += [
        f"rung {rung}, ladder level {level}: {math.floor(lots * m * ladder)} lots are below the least order of {least}"
        " and will not be quoted"
        for rung, m in enumerate(multipliers)
        for level, ladder in enumerate((1.0, *(config.ladder.size_multipliers if config.ladder.enabled else ())))
        if math.floor(lots * m * ladder + 1e-9) < least
    ]
    return {
        "model": MODELS[s.model],
        "gamma": warmup.gamma if s.gamma is None else s.gamma,
        "kappa": warmup.kappa if s.kappa is None else s.kappa,
        "A": warmup.A if s.A is None else s.A,
        "terminal": s.horizon == "terminal",
        "horizon_ns": _ns(s.horizon_s),
        "end_ns": warmup.end_ns + _ns(s.horizon_s),
        "fee_in_model": s.fee_in_model,
        "half_spread_ticks": s.half_spread_ticks,
        "half_spread_bps": s.half_spread_bps,
        "order_lots": lots,
        "floor_bps": floor,
        "cap_bps": s.max_spread_bps,
        "rungs": s.rungs,
        "rung_spacing_ticks": s.rung_spacing_ticks,
        "rung_spacing_bps": s.rung_spacing_bps,
        "rung_multiplier": multipliers,
        "clock_ns": _ns(s.volatility_clock_ms, NS_PER_MS),
        "half_life_s": s.half_life_s,
        "sigma_floor": 0.5 * instrument.tick_size / math.sqrt(60.0),
        "start_ns": warmup.end_ns,
        "post_only": config.execution.post_only,
    }


def _ladder(config: Config) -> dict[str, Any]:
    ladder = config.ladder
    return {
        "levels": len(ladder.thresholds) if ladder.enabled else 0,
        "threshold": ladder.thresholds,
        "offset_ticks": ladder.offset_ticks,
        "offset_bps": ladder.offset_bps,
        "multiplier": ladder.size_multipliers,
        "hysteresis": ladder.hysteresis,
        "dwell_ns": _ns(ladder.min_dwell_ms, NS_PER_MS),
    }


def _flip(config: Config, warmup: WarmUp, notes: list[str]) -> dict[str, Any]:
    flip = config.gates.flip
    reference = MICRO if flip.reference == "micro" else MID
    mode = FLIP_MODES[flip.mode]
    if mode and warmup.median_interval_ns > flip.window_ms * NS_PER_MS / flip.threshold:
        mode = 0
        notes.append(
            f"flip gate inactive: books come every {warmup.median_interval_ns / NS_PER_MS:.0f} ms (median), too seldom"
            f" for {flip.threshold} flips in {flip.window_ms:g} ms"
        )
    return {
        "mode": mode,
        "threshold": flip.threshold,
        "hard_threshold": flip.hard_threshold,
        "window_ns": _ns(flip.window_ms, NS_PER_MS),
        "reference": reference,
        "min_move": (0.1 if reference == MICRO else 0.5) if flip.min_move_ticks is None else flip.min_move_ticks,
        "pause_ns": _ns(flip.pause_ms, NS_PER_MS),
        "pause_max_ns": _ns(flip.pause_max_ms, NS_PER_MS),
        "hold_ns": _ns(flip.hold_ms, NS_PER_MS),
        "widen_ticks": flip.widen_ticks,
        "widen_bps": flip.widen_bps,
        "growth": flip.growth,
        "max_ticks": flip.max_widen_ticks,
        "max_bps": flip.max_widen_bps,
        "half_life_ns": flip.half_life_ms * NS_PER_MS,
    }


def _cooldown(config: Config) -> dict[str, Any]:
    cooldown = config.gates.cooldown
    return {
        "enabled": cooldown.enabled,
        "min_ns": _ns(cooldown.min_ms, NS_PER_MS),
        "max_ns": _ns(cooldown.max_ms, NS_PER_MS),
        "max_fills_per_s": cooldown.max_fills_per_s,
        "pause_ns": _ns(cooldown.pause_ms, NS_PER_MS),
        "pause_max_ns": _ns(cooldown.pause_max_ms, NS_PER_MS),
    }


def _age_exit(config: Config, instrument: Instrument, warmup: WarmUp, limit_money: float) -> dict[str, Any]:
    gate = config.gates.age_exit
    half_spread_bps = 0.5e4 * warmup.median_spread_ticks * instrument.tick_size / warmup.mid
    sigma_bps = 1e4 * warmup.sigma * math.sqrt(gate.age_s) / warmup.mid
    adverse_bps = max(instrument.taker_fee_bps + half_spread_bps, sigma_bps)
    return {
        "enabled": gate.enabled,
        "age_ns": _ns(gate.age_s),
        "lot_basis": gate.age_basis == "lot",
        "adverse_ticks": gate.adverse_ticks,
        "adverse_bps": adverse_bps if gate.adverse_bps is None else gate.adverse_bps,
        "fraction": gate.fraction,
        "depth_fraction": gate.depth_fraction,
        "slippage_ticks": gate.max_slippage_ticks,
        "slippage_bps": gate.max_slippage_bps,
        "cooldown_ns": _ns(gate.cooldown_ms, NS_PER_MS),
        "budget_quote": gate.exit_budget_bps * 1e-4 * limit_money,
    }


def _kill(config: Config, instrument: Instrument, warmup: WarmUp, lots: int, limit_notional: float) -> dict[str, Any]:
    kill = config.kill
    order_notional = instrument.notional(lots, warmup.mid)
    most = 10 * 0.01 * limit_notional
    p99_ns = 0.0 if math.isnan(warmup.p99_interval_ns) else warmup.p99_interval_ns
    max_loss, max_drawdown = kill.loss.max_loss_quote, kill.drawdown.max_drawdown_quote
    return {
        "observe": kill.mode == "observe",
        "memory_ns": _ns(kill.memory_s),
        "fresh_ns": _ns(kill.fresh_s),
        "pause_light_side": kill.pause_light_side,
        "toxic": kill.toxic.enabled,
        "toxic_bps": kill.toxic.threshold_bps,
        "toxic_horizon_ns": _ns(kill.toxic.horizon_s),
        "toxic_window": kill.toxic.window,
        "toxic_min_n": kill.toxic.min_n,
        "toxic_z": kill.toxic.z,
        "toxic_pause_ns": _ns(kill.toxic.pause_s),
        "toxic_pause_max_ns": _ns(kill.toxic.pause_max_s),
        "burst": kill.burst.enabled,
        "burst_per_s": kill.burst.threshold_per_s,
        "burst_percentile": kill.burst.percentile,
        "burst_min_n": kill.burst.min_n,
        "burst_pause_ns": _ns(kill.burst.pause_s),
        "burst_pause_max_ns": _ns(kill.burst.pause_max_s),
        "losing": kill.losing.enabled,
        "losing_quote": kill.losing.threshold_quote,
        "losing_window_ns": _ns(kill.losing.window_min * 60),
        "losing_notional": 50 * order_notional if kill.losing.min_notional is None else kill.losing.min_notional,
        "losing_z": kill.losing.z,
        "losing_halt_ns": _ns(kill.losing.halt_s),
        "losing_rearms": kill.losing.max_rearms,
        "loss": kill.loss.enabled,
        "max_loss": most if max_loss is None else max_loss,
        "drawdown": kill.drawdown.enabled,
        "max_drawdown": most if max_drawdown is None else max_drawdown,
        "volatility": kill.volatility.enabled,
        "vol_ratio": kill.volatility.ratio,
        "vol_rearm_ratio": kill.volatility.rearm_ratio,
        "vol_min_ns": _ns(kill.volatility.min_s),
        "stale": kill.stale.enabled,
        "stale_ns": max(_ns(kill.stale.max_age_s), math.ceil(kill.stale.interval_multiple * p99_ns)),
        "mark": kill.mark.enabled and warmup.has_mark,
        "mark_bps": kill.mark.max_distance_bps,
        "halt_ns": _ns(kill.losing.halt_s),
    }


def _risk(config: Config, instrument: Instrument, warmup: WarmUp, lots: int, wrong: list[str]) -> dict[str, Any]:
    risk, rungs = config.risk, config.strategy.rungs
    offset = 0
    if risk.inventory == "portfolio" and risk.portfolio_total is None:
        wrong.append("risk.portfolio_total: needed when risk.inventory = 'portfolio'")
        both = (lots, lots)
    elif risk.inventory == "portfolio" and risk.portfolio_total is not None:
        total = instrument.to_lots(risk.portfolio_total)
        target = risk.target_pct * total
        start = target if risk.portfolio_start is None else instrument.to_lots(risk.portfolio_start)
        offset = round(start - target)
        both = (round(total - target), round(target))
    else:
        common = 8 * lots if risk.max_position is None else instrument.to_lots(risk.max_position)
        both = (common, common)
    limits = [
        limit if given is None else instrument.to_lots(given)
        for limit, given in zip(both, (risk.max_long, risk.max_short), strict=True)
    ]
    hard = round(1.25 * max(limits)) if risk.hard_limit is None else instrument.to_lots(risk.hard_limit)
    wrong += [
        f"risk.{name} = {instrument.to_size(limit)}: below one order of {instrument.to_size(lots)}"
        for name, limit in zip(("max_long", "max_short"), limits, strict=True)
        if limit < lots
    ]
    if hard < max(limits):
        wrong.append(f"risk.hard_limit = {risk.hard_limit}: below the position limit {instrument.to_size(max(limits))}")
    if risk.max_live_orders is not None and risk.max_live_orders < 2 * rungs:
        wrong.append(f"risk.max_live_orders = {risk.max_live_orders}: below {2 * rungs}, one order a rung and side")
    largest = instrument.notional(lots, warmup.mid) * max(config.strategy.rung_size_multipliers)
    if risk.max_order_notional is not None and risk.max_order_notional < largest:
        wrong.append(f"risk.max_order_notional = {risk.max_order_notional}: below the largest order, {largest:g}")
    return {
        "max_long_lots": limits[0],
        "max_short_lots": limits[1],
        "hard_lots": hard,
        "offset_lots": offset,
        "flat_band": risk.flat_band,
        "max_live_orders": 4 * rungs + 4 if risk.max_live_orders is None else risk.max_live_orders,
        "max_order_notional": math.inf if risk.max_order_notional is None else risk.max_order_notional,
        "max_messages": NEVER_NS if risk.max_messages_per_min is None else risk.max_messages_per_min,
        "collar_bps": risk.collar_bps,
        "reduce": risk.on_halt == "reduce",
        "flatten": risk.on_stop == "flatten",
    }
