"""What each column of ``fills.csv`` and ``metrics.csv`` is: the order here is the order there, and it does not change.

New columns are added at the end. A test holds the tables to this one.
"""

from __future__ import annotations

FILLS = {
    "time": "UTC time at the exchange",
    "side": "bid (we bought) or ask (we sold)",
    "rung": "rung of the order; -1: an exit",
    "liquidity": "maker or taker",
    "fill_kind": "queue, through, cross or taker: why a resting order was filled",
    "price": "quote currency",
    "size": "base units, or contracts",
    "fee": "settle currency; paid if > 0",
    "mid": "mid before the fill, quote currency",
    "inventory_before": "position before it, base units",
    "inventory_after": "position after it, base units",
    "order_id": "the venue's order index",
    "client_order_id": "ours; as client_id in log.jsonl",
    "hit_id": "fills of one side with the same exchange time share it",
    "exch_ns": "time at the exchange, ns since the epoch",
    "local_ns": "when we heard of it, ns",
    "price_ticks": "price in ticks",
    "size_lots": "size in lots",
    "position_before_lots": "position before it, lots",
    "position_after_lots": "position after it, lots",
}
"""Column of ``fills.csv`` -> what it is."""

METRICS = {
    "time": "UTC time, local clock of the session",
    "mid": "mid price, quote currency",
    "position": "position, base units",
    "q_ratio": "inventory ratio",
    "level": "level of the inventory ladder",
    "cash": "settle currency",
    "realised": "realised P&L, settle currency",
    "unrealised": "unrealised P&L at the mid, settle currency",
    "fees": "fees paid so far, settle currency",
    "funding": "funding received so far, settle currency",
    "net_pnl": "net P&L, settle currency",
    "volume": "traded notional so far, quote currency",
    "sigma": "volatility, price per square root of a second",
    "flip_rate": "flips a second, in the gate's window",
    "flip_rate_10s": "flips a second, in ten seconds",
    "markout_bid_bps": "median of the bid's rolling markout, bps",
    "markout_ask_bps": "median of the ask's rolling markout, bps",
    "n_bid": "hits in the bid's rolling markout",
    "n_ask": "hits in the ask's rolling markout",
    "fill_rate_bid": "hits of the bid in the last second",
    "fill_rate_ask": "hits of the ask in the last second",
    "fill_rate_p95_bid": "95th percentile of the bid's fill rate, 1/s",
    "fill_rate_p95_ask": "95th percentile of the ask's fill rate, 1/s",
    "inventory_age_s": "inventory age, s",
    "lot_age_s": "FIFO, size-weighted age of the open lots, s",
    "market_volume": "the market's traded size so far, base units",
    "messages": "messages sent so far",
    "quoting_bid": "share of the second with a bid resting",
    "quoting_ask": "share of the second with an ask resting",
    "at_touch_bid": "share of the second with a bid at the best price",
    "at_touch_ask": "share of the second with an ask at the best price",
    "bid_reasons": "bits of mmlab.events.Reason that hold the bid back",
    "ask_reasons": "bits of mmlab.events.Reason that hold the ask back",
    "flip_extra_ticks": "added to each half-spread by the flip gate, ticks",
    "local_ns": "local time, ns since the epoch",
    "position_lots": "position, lots",
}
"""Column of ``metrics.csv`` -> what it is."""

CSV_COLUMNS = {"fills": FILLS, "metrics": METRICS}
