"""A run whose tables are made up but consistent: a random book, fills at its touch, a ledger in plain Python."""

from __future__ import annotations

import numpy as np

from mmlab.config import Config
from mmlab.events import (
    DECISION,
    EVENT,
    FILL,
    GATE,
    METRIC,
    NEVER_NS,
    NS_PER_S,
    ORDER,
    TARGET,
    GateAction,
    Kind,
    OrderState,
    Switch,
)
from mmlab.feeds.feed import Feed
from mmlab.instrument import Instrument
from mmlab.lab.run import Run
from mmlab.telemetry.info import RunInfo
from mmlab.telemetry.tables import Tables

START_NS = 1_700_000_000 * NS_PER_S
STEP_NS = NS_PER_S // 10
LINEAR = Instrument("TEST", 0.1, 0.001, min_notional=5.0, maker_fee_bps=-0.5, taker_fee_bps=5.0, settle="USDT")
INVERSE = Instrument("TESTUSD", 0.1, 1.0, contract="inverse", contract_size=100.0, maker_fee_bps=1.0, settle="BTC")


def make_feed(seconds: int = 600, seed: int = 0, instrument: Instrument = LINEAR, gap: bool = True) -> Feed:
    """A book of one level a side that moves every 100 ms, a trade now and then, one gap in the middle."""
    rng = np.random.default_rng(seed)
    n = seconds * 10
    bid = 600_000 + np.cumsum(rng.integers(-3, 4, n))
    ask = bid + rng.integers(1, 4, n)
    rows = []
    old = {1: None, -1: None}
    for i in range(n):
        t = START_NS + i * STEP_NS
        local = t + 2_000_000
        if i == 0 or (gap and i == n // 2 + 20):
            rows.append((t, local, Kind.SNAPSHOT_BEGIN, 0, 0, 0, i + 1))
            old = {1: None, -1: None}
        elif gap and i == n // 2:
            rows.append((t, local, Kind.GAP, 0, 0, 0, 0))
        for side, level in ((1, int(bid[i])), (-1, int(ask[i]))):
            if old[side] not in (None, level):
                rows.append((t, local, Kind.DEPTH, side, old[side], 0, i + 1))
            rows.append((t, local, Kind.DEPTH, side, level, int(rng.integers(1, 500)), i + 1))
            old[side] = level
        if i == 0 or (gap and i == n // 2 + 20):
            rows.append((t, local, Kind.SNAPSHOT_END, 0, 0, 0, i + 1))
        if rng.random() < 0.2:
            buy = rng.random() < 0.5
            price = int(ask[i] if buy else bid[i])
            rows.append((t + 1, local + 1, Kind.TRADE, 1 if buy else -1, price, int(rng.integers(1, 300)), i + 1))
    events = np.array(rows, EVENT)
    events = events[np.argsort(events["local_ns"], kind="stable")]
    return Feed(instrument, events, "made up for a test", {"synthetic": True, "clocks": 2, "skew_ns": 0})


class Ledger:
    """Average-cost account of `terms.md`, in settle currency, without funding."""

    def __init__(self, instrument: Instrument) -> None:
        self.c, self.inverse = instrument.contract_size, instrument.inverse
        self.n = self.cash = self.entry = self.realised = self.fees = self.volume = 0.0

    def worth(self, n: float, price: float) -> float:
        return (-n * self.c / price if self.inverse else n * self.c * price) if n else 0.0

    def fill(self, side: int, price: float, size: float, fee: float) -> None:
        n = side * size
        self.cash -= self.worth(n, price)
        self.fees += fee
        self.volume += size * self.c * (1 if self.inverse else price)
        if self.n * n < 0:
            closed = np.sign(self.n) * min(abs(self.n), size)
            self.realised += self.worth(closed, price) - self.worth(closed, self.entry)
            if abs(n) > abs(self.n):
                self.entry = price
        elif self.n == 0:
            self.entry = price
        elif self.inverse:
            self.entry = (self.n + n) / (self.n / self.entry + n / price)
        else:
            self.entry = (self.n * self.entry + n * price) / (self.n + n)
        self.n = round(self.n + n, 9)

    def net(self, mid: float) -> float:
        return self.realised + self.unrealised(mid) - self.fees

    def unrealised(self, mid: float) -> float:
        return self.worth(self.n, mid) - self.worth(self.n, self.entry) if self.n else 0.0


def make_run(
    seconds: int = 600, seed: int = 0, instrument: Instrument = LINEAR, feed: Feed | None = None, **info
) -> Run:
    """A run on `make_feed` that fills at random at the touch; halted at the end when ``halted=True``."""
    halted = info.pop("halted", False)
    rerun = info.pop("rerun", None)
    feed = feed or make_feed(seconds, seed, instrument)
    rng = np.random.default_rng(seed + 1)
    book, ledger = feed.book(), Ledger(instrument)
    tick, lot = instrument.tick_size, instrument.lot_size
    valid = book[book["valid"] == 1]
    fills, orders, metrics, decisions, targets = [], [], [], [], []
    position, at = 0, 0
    first_s, last_s = (int(book["local_ns"][i]) // NS_PER_S for i in (0, -1))
    for second in range(first_s, last_s + 2):
        now = second * NS_PER_S
        while at < valid.size and valid["local_ns"][at] <= now:
            row = valid[at]
            at += 1
            if at > 100 and rng.random() < 0.02:
                side = 1 if rng.random() < 0.5 - 0.3 * np.tanh(position / 50) else -1
                ticks = int(row["bid_ticks"] if side > 0 else row["ask_ticks"])
                lots = int(rng.integers(1, 10))
                fee_rate = 1e-4 * instrument.maker_fee_bps
                price, size = ticks * tick, lots * lot
                notional = (
                    size * instrument.contract_size / price
                    if instrument.inverse
                    else size * instrument.contract_size * price
                )
                mid = (row["bid_ticks"] + row["ask_ticks"]) * tick / 2
                k = len(fills)
                fills.append(
                    (row["exch_ns"] + 1, row["local_ns"] + 1, side, 0, 0, k % 3, ticks, lots, fee_rate * notional, mid,
                     position, position + side * lots, k + 1, k + 1, k)
                )  # fmt: skip
                position += side * lots
                ledger.fill(side, price, size, fee_rate * notional)
                orders.append((0, row["local_ns"] - 5, OrderState.SENT, side, 0, 1, ticks, lots, 0, 0, k + 1, 0))
                for state, filled in ((OrderState.LIVE, 0), (OrderState.FILLED, lots)):
                    orders.append(
                        (row["exch_ns"], row["local_ns"] + 1, state, side, 0, 1, ticks, lots, filled, k + 1, k + 1, 0)
                    )
        row = valid[max(0, at - 1)]
        mid = (row["bid_ticks"] + row["ask_ticks"]) * tick / 2
        m = np.zeros((), METRIC)
        m["local_ns"], m["mid"], m["position_lots"] = now, mid, position
        m["q_ratio"], m["level"] = position / 100, min(4, abs(position) // 25)
        m["cash"], m["realised"], m["unrealised"] = ledger.cash, ledger.realised, ledger.unrealised(mid)
        m["fees"], m["net_pnl"], m["volume"] = ledger.fees, ledger.net(mid), ledger.volume
        m["sigma"], m["flip_rate"], m["flip_rate_10s"] = 1 + rng.random(), 5 * rng.integers(0, 4), 4 * rng.random()
        for name in ("markout_bid_bps", "markout_ask_bps"):
            m[name] = rng.normal(0, 0.2) if len(fills) > 5 else np.nan
        for name in ("fill_rate_bid", "fill_rate_ask", "fill_rate_p95_bid", "fill_rate_p95_ask"):
            m[name] = rng.integers(1, 4) if len(fills) > 5 else np.nan
        m["inventory_age_s"], m["lot_age_s"] = (0.0, np.nan) if position == 0 else rng.random(2) * 20
        m["messages"] = len(orders)
        m["quoting_bid"] = m["quoting_ask"] = 0.9
        m["at_touch_bid"] = m["at_touch_ask"] = 0.4
        metrics.append(m)
        wanted = [
            (s, 0, 1, int(row["bid_ticks" if s > 0 else "ask_ticks"]) - s, 5) for s in (1, -1) if rng.random() < 0.95
        ]
        decisions.append(
            (now, row["bid_ticks"], row["ask_ticks"], row["bid_lots"], row["ask_lots"], mid, m["sigma"], position,
             m["level"], 0.0, 0, 0, len(targets), len(wanted))
        )  # fmt: skip
        targets += wanted
    end = int(metrics[-1]["local_ns"])
    t = [START_NS + int(f * (end - START_NS)) for f in (0.2, 0.3, 0.31, 0.5, 0.52, 0.9)]
    gates = [
        (t[0], Switch.FLIP, GateAction.WIDEN, 0, 9.0, 8.0, 9, 2.0, t[0] + 600_000_000),
        (t[1], Switch.TOXIC, GateAction.TRIP, 1, 0.8, 0.7, 25, 2.0, t[1] + 2 * NS_PER_S),
        (t[2], Switch.TOXIC, GateAction.REARM, 1, np.nan, np.nan, 0, 0.0, t[2]),
        (t[3], Switch.LOSING, GateAction.TRIP, 0, -40.0, -30.0, 90, 60.0, t[3] + NS_PER_S),
        (t[4], Switch.LOSING, GateAction.REARM, 0, np.nan, np.nan, 0, 0.0, t[4]),
        (t[4], Switch.LADDER, GateAction.LEVEL_UP, 1, 0.6, 0.5, 0, 2.0, 0),
    ]
    if halted:
        gates.append((t[5], Switch.LOSS, GateAction.LATCH, 0, -np.inf, -5.0, 1, 0.0, NEVER_NS))
    tables = Tables(
        np.array(fills, FILL),
        np.array(orders, ORDER),
        np.array(decisions, DECISION),
        np.array(targets, TARGET),
        np.array(gates, GATE),
        np.array(metrics, METRIC),
    )
    known = {
        "name": "fabricated",
        "latency": {
            "source": "made up",
            "entry_p50_ms": 2.0,
            "entry_p99_ms": 3.0,
            "response_p50_ms": 2.0,
            "response_p99_ms": 3.0,
        },
        "warmup": {"start_ns": START_NS, "end_ns": START_NS + 10 * NS_PER_S},
        "params": {"quoting": {"gamma": 0.01, "kappa": 1.5, "A": 0.9}},
        "notes": ["flip gate inactive: made up"],
        "counters": {"decisions": len(decisions)},
    }
    return Run(Config(), feed, instrument, tables, RunInfo(**{**known, **info}), rerun=rerun)
