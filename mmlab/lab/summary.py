"""`run.summary`: the figures of a whole run, one Series (`terms.md` for every definition)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from mmlab.events import NS_PER_S, FillKind, OrderState
from mmlab.lab.episodes import covered_s, halts, is_trigger, is_trip
from mmlab.lab.fill_markouts import CONTROL_S, wide
from mmlab.lab.money import bridge, last, notional, to_quote
from mmlab.lab.record import Record

Array = np.ndarray[Any, Any]


def summarise(record: Record) -> pd.Series:
    """Figures of a run.

    Returns
    -------
    Series of object
        Money in settle currency, ``_quote`` and ``volume`` in quote; ``markout_bid_bps`` and ``markout_ask_bps`` are
        the means of the completed 1-s markouts of all fills of the side, ``rolling_markout_*`` the rolling medians at
        the end; shares are between 0 and 1. NaN where a figure is undefined.
    """
    return pd.Series(
        {**_money(record), **_flow(record), **_orders(record), **_gates(record), **_setting(record)}, dtype=object
    )


def _money(record: Record) -> dict[str, float]:
    metrics, traded = record.tables.metrics, float(notional(record).sum())
    path = to_quote(record, metrics["net_pnl"])
    net_quote = last(path)
    parts = bridge(record)["bps"]
    return {
        "net_pnl": last(metrics["net_pnl"]),
        "net_pnl_quote": net_quote,
        "realised": last(metrics["realised"]),
        "unrealised": last(metrics["unrealised"]),
        "fees": float(record.tables.fills["fee"].sum()),
        "funding": last(metrics["funding"]),
        "volume": traded,
        "pnl_per_million": net_quote / traded * 1e6 if traded else np.nan,
        "spread_capture_bps": parts["spread capture"],
        "adverse_1s_bps": parts["adverse (1 s)"],
        "max_drawdown_quote": float((np.maximum.accumulate(path) - path).max(initial=0.0)),
    }


def _flow(record: Record) -> dict[str, float]:
    fills, metrics = record.tables.fills, record.tables.metrics
    markout = wide(record.markouts, fills.size)[f"markout_{CONTROL_S:g}s_bps"]
    feed_s = _feed_s(record)
    values: dict[str, float] = {"fills": fills.size, "hits": np.unique(fills["hit_id"]).size}
    for side, sign in (("bid", 1), ("ask", -1)):
        here = fills["side"] == sign
        values[f"fills_{side}"] = int(here.sum())
        values[f"markout_{side}_bps"] = float(pd.Series(markout[here]).mean())
        values[f"rolling_markout_{side}_bps"] = last(metrics[f"markout_{side}_bps"])
        values[f"fill_rate_{side}"] = np.unique(fills["hit_id"][here]).size / feed_s if feed_s else np.nan
        values[f"fill_rate_p95_{side}"] = last(metrics[f"fill_rate_p95_{side}"])
    lots = record.instrument.lot_size
    held = np.append(fills["position_after_lots"], metrics["position_lots"])
    age = metrics["inventory_age_s"]
    values |= {f"fills_{kind.name.lower()}": int((fills["fill_kind"] == kind).sum()) for kind in FillKind}
    values |= {
        "flip_rate": float(pd.Series(metrics["flip_rate_10s"]).mean()),
        "max_position": float(np.abs(held).max(initial=0) * lots),
        "final_position": float(metrics["position_lots"][-1] * lots) if metrics.size else np.nan,
        "inventory_age_p95_s": float(np.nanpercentile(age, 95)) if np.isfinite(age).any() else np.nan,
    }
    return values


def _orders(record: Record) -> dict[str, float]:
    metrics, fills, orders = record.tables.metrics, record.tables.fills, record.tables.orders
    messages = int(metrics["messages"].max(initial=0))
    canceled = int((orders["state"] == OrderState.CANCELED).sum())
    market = record.facts["market_lots"]
    feed_s = _feed_s(record)
    shares = {
        f"{name}_{side}": float(np.nansum(metrics[f"{column}_{side}"]) / feed_s) if feed_s else np.nan
        for name, column in (("uptime", "quoting"), ("at_touch", "at_touch"))
        for side in ("bid", "ask")
    }
    return {
        "messages": messages,
        "messages_per_fill": messages / fills.size if fills.size else np.nan,
        "cancel_to_fill": canceled / fills.size if fills.size else np.nan,
        **shares,
        "participation": float(fills["size_lots"].sum() / market) if market else np.nan,
    }


def _gates(record: Record) -> dict[str, float]:
    gates, feed_s = record.tables.gates, _feed_s(record)
    episodes = record.episodes
    stopped = episodes[(episodes["side"] == 0) & episodes["action"].isin(["trip", "latch"])]
    halted = halts(episodes)
    halt_s, warmup_s = covered_s(halted), warmup_s_of(record)
    return {
        "gate_triggers": int(is_trigger(gates).sum()),
        "kill_trips": int(is_trip(gates).sum()),
        "kill_observed": int((episodes["action"] == "observe").sum()),
        "halts": len(halted),
        "halt_s": halt_s,
        "stopped_s": covered_s(stopped),
        "traded_share": max(0.0, (feed_s - warmup_s - halt_s) / feed_s) if feed_s else np.nan,
    }


def _setting(record: Record) -> dict[str, Any]:
    facts = record.facts
    return {
        "feed_s": _feed_s(record),
        "coverage": facts["coverage"],
        "warmup_s": warmup_s_of(record),
        "queue": record.info.queue,
        "queue_fidelity": facts["queue_fidelity"],
    }


def warmup_s_of(record: Record) -> float:
    """Length of the warm-up, in which nothing is quoted."""
    warmup = record.info.warmup
    return (warmup["end_ns"] - warmup["start_ns"]) / NS_PER_S if warmup else 0.0


def _feed_s(record: Record) -> float:
    """Feed time less gaps."""
    facts = record.facts
    return (facts["end_ns"] - facts["start_ns"]) / NS_PER_S - facts["gap_s"]
