"""`Feed.describe()`: what is in a feed, and what was met on import."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from mmlab.events import NO_PRICE, NS_PER_MS, NS_PER_S, Kind
from mmlab.feeds.feed import Feed

Array = np.ndarray[Any, Any]
LOW_FIDELITY_NS = 100 * NS_PER_MS
"""Median book interval above which queue positions cannot be followed (`terms.md`, Replay fidelity)."""


class Description(Mapping[str, Any]):
    """Values by name, printed as a table. ``description["gaps"]``, ``dict(description)``, `to_series`."""

    def __init__(self, values: dict[str, Any], notes: list[str]) -> None:
        self._values, self.notes = values, notes

    def __getitem__(self, key: str) -> Any:
        return self._values[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def to_series(self) -> pd.Series:
        """The values as a pandas Series."""
        return pd.Series(self._values, dtype=object)

    def __repr__(self) -> str:
        width = max(map(len, self._values))
        lines = [f"{name:<{width}}  {_text(value)}" for name, value in self._values.items()]
        return "\n".join(lines + [f"note: {note}" for note in self.notes])

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><th style='text-align:left'>{html.escape(name)}</th><td>{html.escape(_text(value))}</td></tr>"
            for name, value in self._values.items()
        )
        notes = "".join(f"<li>{html.escape(note)}</li>" for note in self.notes)
        return f"<table>{rows}</table><ul>{notes}</ul>"


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return ", ".join(f"{name} {_text(v)}" for name, v in value.items())
    if isinstance(value, float):
        return "-" if np.isnan(value) else f"{value:,.10g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def describe(feed: Feed) -> Description:
    """The table for `feed`; names carry their units."""
    events, instrument, report = feed.events, feed.instrument, feed.report
    trades = feed.trades()
    book_ns = book_message_times(events)
    interval_ns = float(np.median(np.diff(book_ns))) if book_ns.size > 1 else np.nan
    span_ns = int(events["local_ns"][-1] - events["local_ns"][0]) if events.size else 0
    p50_ms, p99_ms = feed_latency_ms(feed)
    values: dict[str, Any] = {
        "symbol": instrument.symbol,
        "data": "synthetic" if feed.synthetic else "recorded",
        "source": feed.source,
        "start": _utc(events, 0),
        "end": _utc(events, -1),
        "span_s": span_ns / NS_PER_S,
        "events": len(events),
        "rows": {kind.name: int(n) for kind in Kind if (n := np.count_nonzero(events["kind"] == kind))},
        "book_messages": int(book_ns.size),
        "median_book_interval_ms": interval_ns / NS_PER_MS,
        "queue_fidelity": "low" if interval_ns > LOW_FIDELITY_NS else "high",
        "trades": len(trades),
        "notional_quote": _notional(feed, trades),
        **spread_and_crossings(feed.book()),
        "gaps": int(np.count_nonzero(events["kind"] == Kind.GAP)),
        "duplicates": int(report.get("duplicates", 0)),
        "out_of_order": int(report.get("out_of_order", 0)),
        "clock_skew_s": report["skew_ns"] / NS_PER_S if report.get("clocks") == 2 else np.nan,
        "clock_correction_s": report.get("shift_ns", 0) / NS_PER_S,
        "feed_latency_p50_ms": p50_ms,
        "feed_latency_p99_ms": p99_ms,
        "tick_size": instrument.tick_size,
        "tick_inferred": bool(report.get("tick_inferred", False)),
        "lot_size": instrument.lot_size,
        "lot_inferred": bool(report.get("lot_inferred", False)),
        "contract": instrument.contract,
        "contract_size": instrument.contract_size,
    }
    return Description(values, list(report.get("notes", ())))


def _utc(events: Array, row: int) -> str:
    return str(pd.Timestamp(int(events["local_ns"][row]), tz="UTC")) if events.size else "-"


def book_message_times(events: Array) -> Array:
    """Exchange time in ns of each venue message of the book (a snapshot counts once)."""
    rows = events[np.isin(events["kind"], (Kind.DEPTH, Kind.ADD, Kind.CANCEL, Kind.EXECUTE, Kind.SNAPSHOT_BEGIN))]
    if rows.size == 0:
        return rows["exch_ns"]
    first = np.ones(rows.size, bool)
    depth = rows["kind"] == Kind.DEPTH
    same_id = (rows["order_id"][1:] == rows["order_id"][:-1]) | ~depth[1:]
    first[1:] = (rows["exch_ns"][1:] != rows["exch_ns"][:-1]) | ~same_id
    return rows["exch_ns"][first]


def feed_latency_ms(feed: Feed) -> tuple[float, float]:
    """Median and 99th percentile of local - exchange time over messages, after the correction; NaN on one clock."""
    events = feed.events
    if events.size == 0 or feed.report.get("clocks") == 1:
        return np.nan, np.nan
    latency = events["local_ns"] - events["exch_ns"]
    first = np.ones(events.size, bool)
    first[1:] = (np.diff(events["local_ns"]) != 0) | (np.diff(events["exch_ns"]) != 0)
    p50, p99 = np.percentile(latency[first & (events["exch_ns"] > 0)], (50, 99)) / NS_PER_MS
    return float(p50), float(p99)


def _notional(feed: Feed, trades: pd.DataFrame) -> float:
    value = trades["size"] * feed.instrument.contract_size
    return float(value.sum() if feed.instrument.inverse else (value * trades["price"]).sum())


def spread_and_crossings(book: Array) -> dict[str, Any]:
    """Time-weighted spread quantiles in ticks, and how many changes of the best quotes left them locked or crossed."""
    both = (book["bid_ticks"] != NO_PRICE) & (book["ask_ticks"] != NO_PRICE)
    spread = book["ask_ticks"] - book["bid_ticks"]
    crossed = int(np.count_nonzero(both & (spread <= 0)))
    held_ns = np.append(np.diff(book["exch_ns"]), 0)
    valid = (book["valid"] == 1) & (held_ns > 0)
    if not valid.any():
        return {"spread_median_ticks": np.nan, "spread_p95_ticks": np.nan, "crossed_messages": crossed}
    order = np.argsort(spread[valid], kind="stable")
    weight = np.cumsum(held_ns[valid][order])
    at = [int(spread[valid][order][np.searchsorted(weight, q * weight[-1])]) for q in (0.5, 0.95)]
    return {"spread_median_ticks": at[0], "spread_p95_ticks": at[1], "crossed_messages": crossed}
