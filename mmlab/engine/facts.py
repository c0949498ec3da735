"""Everything about an engine that becomes a metric, as plain values; keys as `mmlab.telemetry.metrics_registry` reads.

Beside the picture for people (`mmlab.engine.overview`), which sorts and formats: this one is made at every scrape.
"""

from __future__ import annotations

import math
from collections import Counter
from enum import IntEnum
from functools import cache
from typing import Any

import numpy as np

from mmlab.engine.courier import NAMES
from mmlab.engine.engine import Engine
from mmlab.engine.participation import SideState, Trading
from mmlab.engine.rolling import OWN
from mmlab.events import NS_PER_S, GateAction, OrderState, Reason, Switch
from mmlab.exchange import ErrorClass

SIDES = ("bid", "ask")
GATES = (Switch.FLIP, Switch.PULL, Switch.AGE_EXIT, Switch.LADDER)
"""Members of `Switch` that are gates; all others are kill switches."""
KILL_SWITCHES = tuple(switch for switch in Switch if switch not in GATES)
SIDES_ONLY = (Switch.TOXIC, Switch.BURST)
"""Switches that the kernel has for each side."""
RETRIED = (ErrorClass.RETRYABLE_NOW, ErrorClass.RETRYABLE_BACKOFF)
FIXES = ("missed_fill", "inferred_fill", "gone", "lost", "stray", "risen", "mismatch")
"""What a full view of the account put right."""
COUNTED = ("reconnects", "gaps")
"""What a live venue counts that becomes a metric."""
COUNTED_ELSEWHERE = ("refused_", "kept_", "trip_")
TERMINAL = ("filled", "canceled", "rejected", "expired")
SHARE_S = 60.0
"""Window of our share of the market's volume."""


@cache
def names(kind: type[IntEnum]) -> dict[int, str]:
    """Members -> names in lower case: to ask each member takes longer, and there are hundreds at every scrape."""
    return {member: member.name.lower() for member in kind}


def engine_facts(engine: Engine) -> dict[str, Any]:
    """Plain values; NaN where something is undefined. Cheap: no percentiles, no list of orders."""
    desk, courier, state = engine.desk, engine.courier, engine.manager.state
    participation, tally = engine.participation, desk.tally
    fills = desk.counts["fills"]
    return {
        "venue_name": engine.venue.name,
        "market": engine.setup.instrument.symbol,
        "position": engine.setup.instrument.to_size(engine.manager.position_lots),
        "market_age_s": engine.market_age_s(),
        "parameter_version": engine.version,
        "linked": float(participation.linked),
        "reconciled": float(participation.reconciled),
        "latched": float(participation.latched),
        "trading": {name: float(kind == participation.trading) for kind, name in names(Trading).items()},
        "side": {
            side: {name: float(kind == participation.sides[k]) for kind, name in names(SideState).items()}
            for k, side in enumerate(SIDES)
        },
        "metric": metric_values(engine),
        "markout": _markouts(engine),
        "capture_bps": tally.capture_bps(),
        "pnl_per_million": engine.rolling.pnl_per_million(),
        "share_of_volume": _share_of_volume(engine),
        "uptime": _uptime(engine),
        "fills": {side: {kind: tally.fills[side, kind] for kind in ("maker", "taker")} for side in SIDES},
        "notional": dict(tally.notional),
        "messages": {name: courier.sent[name] for name in NAMES.values()},
        "messages_per_fill": courier.messages / fills if fills else math.nan,
        "cancels_per_fill": courier.sent["cancel"] / fills if fills else math.nan,
        "orders": _working(engine),
        "order_moves": {name: desk.counts[name] for name in names(OrderState).values()},
        "refused": dict(tally.refused),
        "refusals": {kind.value: state.counts[f"refused_{kind}"] for kind in ErrorClass},
        "anomalies": {kind: n for kind, n in state.counts.items() if not kind.startswith(COUNTED_ELSEWHERE)},
        "retries": sum(state.counts[f"refused_{kind}"] for kind in RETRIED),
        "unknowns": desk.counts["unknown"],
        "fixes": {kind: state.counts[kind] for kind in FIXES},
        "bad_input": dict(engine.inbound.counts),
        "mailboxes": {
            box.name: {"waiting": len(box), "most": box.peak, "bound": box.capacity, "overflows": box.overflows}
            for box in (engine.news, engine.reports, courier.outbox)
        },
        "latency": engine.histograms.table(),
        "decides": engine.decider.decides,
        "batches": engine.market_batches,
        "tasks_died": engine.supervisor.deaths,
        "switches": switch_table(engine),
        "gate_events": _gate_events(engine),
        "presign": _numbers(getattr(engine, "presigner", None)),
        "venue": _venue(engine),
        "quota": {"left": float(state.quota.left)} if state.quota.rule.on else {},
        "rate": {"tokens": float(state.tokens.tokens(state.now_ns))} if state.tokens.rule.capacity else {},
        "clock": {"session_s": engine.now() / NS_PER_S},
    }  # fmt: skip


def _venue(engine: Engine) -> dict[str, Any]:
    """What a live venue's connection counted, and how far its clock is from ours."""
    skew = {} if engine.live is None or math.isnan(engine.live.skew_s) else {"clock_offset_s": engine.live.skew_s}
    return _numbers(engine.venue) | skew


def _numbers(part: object) -> dict[str, Any]:
    """What a part counts of itself, where it has ``numbers()``: the bank of presigned payloads, a live venue."""
    numbers, counters = getattr(part, "numbers", None), getattr(part, "counters", {})
    return numbers() if callable(numbers) else {name: counters[name] for name in COUNTED if name in counters}


def metric_values(engine: Engine) -> dict[str, float]:
    """The newest `METRIC` row; empty before the first second."""
    row = engine.second
    return {} if row is None else {name: float(row[name][0]) for name in row.dtype.names or ()}


def _markouts(engine: Engine) -> dict[str, dict[str, float]]:
    """Mean and size-weighted mean of the rolling markout, beside the median of the metrics row."""
    window = int(engine.decider.params[0]["kill"]["toxic_window"])
    return {side: _means(engine.decider.state[0]["side"][k]["markout"], window) for k, side in enumerate(SIDES)}


def _means(ring: Any, window: int) -> dict[str, float]:
    """As `mmlab.kernels.markout` has them, without a kernel that would have to be compiled for it."""
    done, places = int(ring["done"]), len(ring["done_bps"])
    newest = np.arange(max(0, done - min(window, places)), done) % places
    if not newest.size:
        return {"mean": math.nan, "weighted": math.nan}
    bps, size = ring["done_bps"][newest], ring["done_size"][newest]
    return {"mean": float(bps.mean()), "weighted": float(np.average(bps, weights=size)) if size.sum() else math.nan}


def _share_of_volume(engine: Engine) -> float:
    """Our filled size over the market's, within `SHARE_S`; NaN while the market did not trade."""
    gained = engine.rolling.gained(SHARE_S)
    return gained[OWN] / gained["market_volume"] if gained["market_volume"] > 0 else math.nan


def _uptime(engine: Engine) -> dict[str, dict[str, float]]:
    """Shares of the time with a valid book."""
    uptime = engine.uptime
    valid = max(1, uptime.valid_ns)
    return {
        side: {
            "quoting": min(1.0, uptime.quoting_ns[k] / valid),
            "touch": min(1.0, uptime.touch_ns[k] / valid),
            "quoting_s": uptime.quoting_ns[k] / NS_PER_S,
            "touch_s": uptime.touch_ns[k] / NS_PER_S,
        }
        for k, side in enumerate(SIDES)
    }


def _working(engine: Engine) -> dict[str, dict[str, int]]:
    """Working orders by side and state; every state that may be has a figure."""
    counts: Counter[tuple[int, int]] = Counter((order.side, order.state) for order in engine.manager.orders)
    states = {state: name for state, name in names(OrderState).items() if name not in TERMINAL}
    return {
        side: {name: counts[sign, state] for state, name in states.items()}
        for side, sign in zip(SIDES, (1, -1), strict=True)
    }


def switch_table(engine: Engine) -> dict[str, dict[str, float]]:
    """Kill switch -> ``armed``, ``active``, ``latched`` (0 or 1), ``trips``, ``rearms``."""
    state, acted = engine.decider.state[0], engine.steering.acted
    world_active, world_latched = (state["world"][field].tolist() for field in ("active", "latched"))
    rules, observe = dict(engine.setup.config.kill), engine.setup.config.kill.mode == "observe"
    table = {}
    for switch in KILL_SWITCHES:
        name = names(Switch)[switch]
        if switch in SIDES_ONLY:
            active, latched = (any(state["side"][name][field].tolist()) for field in ("active", "latched"))
        elif int(switch) < len(world_active):
            active, latched = bool(world_active[switch]), bool(world_latched[switch])
        else:
            active = latched = False
        own = engine.participation.switches.get(switch)
        at_limit = switch == Switch.POSITION and any(reasons & Reason.POSITION for reasons in engine.decider.reasons)
        table[name] = {
            "armed": float(not observe and getattr(rules.get(name), "enabled", True)),
            "active": float(at_limit or active or (own is not None and own.active)),
            "latched": float(latched or (own is not None and own.active and own.latched)),
            "trips": acted[name, "trip"] + acted[name, "latch"],
            "observed": acted[name, "observe"],
            "rearms": acted[name, "rearm"],
            "back_offs": acted[name, "pause"],
        }
    return table


def _gate_events(engine: Engine) -> dict[str, dict[str, int]]:
    """What gates did: gate -> action -> count."""
    acted, switches, actions = engine.steering.acted, names(Switch), names(GateAction)
    return {
        switches[gate]: {action: n for action in actions.values() if (n := acted[switches[gate], action])}
        for gate in GATES
    }
