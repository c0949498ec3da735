"""docs/reference/run_directory.md: files of a run, and every column of its tables."""

from __future__ import annotations

import numpy as np

from mmlab.events import OrderReason
from mmlab.telemetry.files import FILES
from mmlab.telemetry.tables import SCHEMAS, Scale, edge_table, to_frame
from tools.reference.markdown import MADE, code, table

HEAD = """# Run directory

What a run leaves behind, with one schema whether it was a replay, a paper session or live. `mmlab.load_run(path)`
reads it as tables with a UTC index. Pandas and a spreadsheet read the CSV files as they are, also while they are being
written: they only grow, by whole lines, and columns keep their names and order.

| file | what it holds |
|---|---|
| `run.json` | what ran, on what, how it ended, its summary; row counts and hashes of the tables |
| `config.toml` | the config at the start |
| `changes.jsonl` | every change of a parameter: `time, source, version, old, new` |
| `inputs.parquet` | everything the decision kernel heard, in the order heard |
| `log.jsonl` | [log events](log_events.md) |
| `report.html` | the report |

While a session goes on, `inputs`, `decisions` and `orders` are Arrow streams (`.arrows`), flushed every
second. Its end, or the first `load_run` after a crash, turns them into Parquet. Empty cells are undefined, which is
not 0. Below: every column of the other files. Prices are in quote currency, sizes in base (contracts, if the contract
is inverse), money in the settle currency; columns in `_ns`, `_ticks` and `_lots` are exact integers.
"""
TITLES = {
    "fills": "a row a fill",
    "markouts": "a row a fill and horizon, when complete",
    "metrics": "a row a second",
    "orders": "a row a change of an order's state",
    "decisions": "a row a decision that differs from the one before",
    "gates": "a row a trigger of a gate or kill switch",
}
EVERYWHERE = {
    "time": "UTC",
    "side": "bid (we buy) or ask; in gates also both",
    "rung": "place in the stack of quotes, 0 nearest to the mid; -1: an exit",
    "price": "price",
    "size": "size",
    "mid": "mid price",
    "order_id": "the venue's id of the order; 0 while unknown",
    "client_order_id": "our id of the order, for ever the same",
    "hit_id": "fills of one side at one exchange time have the same",
    "exch_ns": "time at the exchange",
    "local_ns": "time here",
    "price_ticks": "price",
    "size_lots": "size",
    "position_lots": "position",
    "position": "position, long > 0",
    "sigma": "volatility, price per sqrt(s)",
    "level": "level of the inventory ladder, 0 to 4 by default",
    "bid_reasons": "what kept the bid from its model quote, as bits ([reasons](switches.md#reasons))",
    "ask_reasons": "the same of the ask",
    "flip_extra_ticks": "widening of each half-spread by the flip gate, ticks",
}
MEANING: dict[str, dict[str, str]] = {
    "fills": {
        "liquidity": "maker or taker",
        "fill_kind": "why a simulator filled us: queue, through, cross, taker",
        "fee": "fee, paid > 0",
        "mid": "mid after the last book event strictly before the fill",
        "inventory_before": "position before it",
        "inventory_after": "position after it",
        "position_before_lots": "position before it",
        "position_after_lots": "position after it",
    },
    "markouts": {
        "fill": "row of fills.csv, from 0",
        "spread_capture_bps": "from the mid before the fill to its price, bps",
        "adverse_bps": "from the mid before the fill to the mid at the horizon, bps, > 0 in our favour",
        "markout_bps": "the sum of the two, before fees",
        "net_markout_bps": "less the fee",
        "horizon_ns": "horizon",
    },
    "metrics": {
        "q_ratio": "position over its limit, -1 to 1",
        "cash": "money received less money paid for what was traded, without fees",
        "realised": "realised P&L at average cost",
        "unrealised": "P&L of the open position at the mid",
        "fees": "fees paid so far",
        "funding": "funding received so far",
        "net_pnl": "realised + unrealised - fees + funding",
        "volume": "notional traded so far, quote currency",
        "flip_rate": "flips of the reference in the gate's window, 1/s",
        "flip_rate_10s": "the same over 10 s",
        "markout_bid_bps": "rolling markout of the bid: median of its newest hits, bps",
        "markout_ask_bps": "the same of the ask",
        "n_bid": "hits behind it",
        "n_ask": "hits behind it",
        "fill_rate_bid": "hits of the bid in the last second",
        "fill_rate_ask": "hits of the ask in the last second",
        "fill_rate_p95_bid": "p95 of that at each hit",
        "fill_rate_p95_ask": "p95 of that at each hit",
        "inventory_age_s": "since |q_ratio| last left the flat band or changed sign, s",
        "lot_age_s": "FIFO, size-weighted age of the open lots, s",
        "market_volume": "size traded in the market so far",
        "messages": "messages sent so far",
        "quoting_bid": "share of the second with a bid of ours resting",
        "quoting_ask": "share of the second with an ask of ours resting",
        "at_touch_bid": "share of the second with ours at the best bid",
        "at_touch_ask": "share of the second with ours at the best ask",
    },
    "orders": {
        "state": "the new state ([life of an order](../orders.md#life-of-an-order))",
        "flags": "1 post-only, 2 IOC, 4 reduce-only, added up",
        "filled": "size filled so far",
        "filled_lots": "size filled so far",
        "reason": "why: " + ", ".join(reason.name.lower() for reason in OrderReason),
        "exch_ns": "time at the exchange; 0 while only we know of it",
        "local_ns": "when we did it or heard of it",
    },
    "decisions": {
        "bid": "best bid of the market",
        "ask": "best ask of the market",
        "bid_size": "size there",
        "ask_size": "size there",
        "bid_ticks": "best bid of the market",
        "ask_ticks": "best ask of the market",
        "bid_lots": "size there",
        "ask_lots": "size there",
        "first_target": "first row of its quotes in the run's table of targets",
        "targets": "number of its quotes",
        "target": "its quotes: side, rung, flags, price_ticks, size_lots of each",
    },
    "gates": {
        "switch": "[which](switches.md)",
        "action": "[what it did](switches.md#actions)",
        "value": "its input",
        "threshold": "what the input was held against",
        "n": "number of samples",
        "effect": "pause in s, extra half-spread in ticks, lots of an exit, or level of the ladder",
        "until_ns": "until when; 0: no end is set; the largest integer: until an operator re-arms",
    },
}


def columns(name: str) -> dict[str, str]:
    """Column -> type, as the file has them."""
    rows = np.zeros(1, SCHEMAS[name].dtype)
    if name == "orders":
        rows["state"] = 3
    types = {field.name: _type(str(field.type)) for field in edge_table(name, rows, Scale(1.0, 1.0)).schema}
    assert list(types)[1:] == list(to_frame(name, rows, Scale(1.0, 1.0)).columns)
    return {**types, "target": "list"} if name == "decisions" else types


def _type(arrow: str) -> str:
    return {"double": "number", "large_string": "text"}.get(arrow, "time" if "timestamp" in arrow else "integer")


def page() -> str:
    """The page."""
    parts = [MADE + HEAD]
    for name, title in TITLES.items():
        known = {**EVERYWHERE, **MEANING[name]}
        rows = [(code(column), kind, known.get(column, "")) for column, kind in columns(name).items()]
        parts.append(f"## {FILES[name]}\n\nHere {title}.\n\n{table(('column', 'type', 'meaning'), rows)}")
    return "\n".join(parts)
