"""What an engine does now, as plain values: the one picture that session, control server and dashboard show."""

from __future__ import annotations

import math
import time
from typing import Any

from mmlab.engine.engine import Engine
from mmlab.events import NO_PRICE, NS_PER_S, Switch
from mmlab.instrument import Instrument
from mmlab.orders import OrderManager
from mmlab.orders.ids import EXIT_RUNG, unpack

NEWEST = 4096
"""Samples of each stage that the latencies are of."""


def overview(engine: Engine) -> dict[str, Any]:
    """State and why, market, position, orders, latencies, switches. JSON values; keys as in ``docs/control_api.md``."""
    participation, instrument = engine.participation, engine.setup.instrument
    book, net = engine.decider.book[0], float(engine.decider.state["net"][0])
    return {
        "session_ns": engine.now(),
        "wall_s": time.time(),
        "market_age_s": engine.market_age_s(),
        "venue": engine.venue.name,
        "symbol": instrument.symbol,
        "tick_size": instrument.tick_size,
        "lot_size": instrument.lot_size,
        "trading": participation.trading.name.lower(),
        "why": participation.why,
        "bid": participation.sides[0].name.lower(),
        "ask": participation.sides[1].name.lower(),
        "latched": participation.latched,
        "ended": engine.ended,
        "parameter_version": engine.version,
        "position": instrument.to_size(engine.manager.position_lots),
        "position_lots": engine.manager.position_lots,
        "cap_lots": engine.cap_lots,
        "net_pnl": net if math.isfinite(net) else None,
        "fills": engine.desk.counts["fills"],
        "messages": engine.courier.messages,
        "best_bid": _price(int(book["bid_ticks"]), instrument),
        "best_ask": _price(int(book["ask_ticks"]), instrument),
        "orders": working_orders(engine.manager, instrument),
        "presign": engine.presigner.numbers(),
        "connection": dict(getattr(engine.venue, "counters", {})),
        "limits": _limits(engine.manager),
        "latency_us": engine.stopwatch.percentiles_us(NEWEST),
        "mailboxes": {
            box.name: {"waiting": len(box), "most": box.peak, "bound": box.capacity}
            for box in (engine.news, engine.reports, engine.courier.outbox)
        },
        "anomalies": dict(sorted(engine.manager.state.counts.items())),
        "tasks_died": engine.supervisor.deaths,
        "switches": _switches(engine),
    }


def _limits(manager: OrderManager) -> dict[str, float]:
    """What is left of the venue's limits, where it has them: ``quota``, units; ``rate``, of the token bucket."""
    state = manager.state
    left: dict[str, float] = {}
    if state.quota.rule.on:
        left["quota"] = float(state.quota.left)
    if state.tokens.rule.capacity:
        left["rate"] = float(state.tokens.tokens(state.now_ns))
    return left


def working_orders(manager: OrderManager, instrument: Instrument) -> list[dict[str, Any]]:
    """Working orders, bids first, best first."""
    maps, now_ns, rows = manager.state.orders, manager.state.now_ns, []
    for order in sorted(manager.orders, key=lambda o: (-o.side, -o.side * o.price_ticks)):
        parts = unpack(order.client_id)
        assert parts is not None  # noqa: S101  the order manager takes only ids of ours
        held = [name for name, here in (("pending", order.client_id in maps.pending),
                                        ("live", order.order_index in maps.live)) if here]  # fmt: skip
        rows.append({
            "client_order_id": order.client_id,
            "side": "bid" if order.side > 0 else "ask",
            "rung": -1 if parts.rung == EXIT_RUNG else parts.rung,
            "slot": "AB"[parts.half],
            "version": parts.version,
            "state": order.state.name.lower(),
            "map": "+".join(held),
            "price": instrument.to_price(order.price_ticks),
            "size": instrument.to_size(order.size_lots),
            "filled": instrument.to_size(order.filled_lots),
            "order_index": order.order_index,
            "age_s": max(0, now_ns - order.sent_ns) / NS_PER_S,
        })  # fmt: skip
    return rows


def _price(ticks: int, instrument: Instrument) -> float | None:
    return None if ticks == NO_PRICE else instrument.to_price(ticks)


def _switches(engine: Engine) -> list[dict[str, Any]]:
    """Kill switches that are active, the engine's and the kernel's."""
    found = [
        {"switch": sw.switch.name.lower(), "side": "", "latched": sw.latched, "why": sw.detail,
         "since_ns": sw.tripped_ns}
        for sw in engine.participation.switches.values()
        if sw.active
    ]  # fmt: skip
    state = engine.decider.state[0]
    kernel = [(Switch(i).name.lower(), "", state["world"][i]) for i in range(len(state["world"]))]
    for name in ("toxic", "burst"):
        kernel += [(name, side, state["side"][k][name]) for k, side in enumerate(("bid", "ask"))]
    known = {row["switch"] for row in found}
    found += [
        {"switch": name, "side": side, "latched": bool(sw["latched"]), "why": "",
         "since_ns": int(sw["until_ns"] - sw["duration_ns"]) if not sw["latched"] else None}
        for name, side, sw in kernel
        if sw["active"] and name not in known
    ]  # fmt: skip
    return [{**row, "active": True} for row in found]
