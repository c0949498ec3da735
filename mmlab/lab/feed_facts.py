"""What a run needs to know of its feed: worked out once per feed, kept in ``run.json``."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np

from mmlab.events import EVENT, NS_PER_MS, NS_PER_S, Kind
from mmlab.feeds.description import LOW_FIDELITY_NS, book_message_times, feed_latency_ms
from mmlab.feeds.feed import Feed

Array = np.ndarray[Any, Any]


def feed_facts(feed: Feed) -> dict[str, Any]:
    """Plain facts about a feed.

    Returns
    -------
    dict
        ``symbol, source, synthetic, events, start_ns, end_ns`` (local clock), ``gaps, gap_s, coverage`` (share of the
        time with a valid book), ``book_interval_ms`` (median), ``queue_fidelity`` ("high" or "low"), ``latency_p50_ms,
        latency_p99_ms`` (NaN on one clock), ``market_lots`` (traded by everybody), ``notes``.
    """
    if "facts" not in feed.cache:
        feed.cache["facts"] = _work_out(feed)
    return feed.cache["facts"]


def _work_out(feed: Feed) -> dict[str, Any]:
    events = feed.events
    times = book_message_times(events)
    interval_ns = float(np.median(np.diff(times))) if times.size > 1 else np.nan
    p50_ms, p99_ms = feed_latency_ms(feed)
    traded = np.isin(events["kind"], (Kind.TRADE, Kind.EXECUTE))
    return {
        "symbol": feed.instrument.symbol,
        "source": feed.source,
        "synthetic": feed.synthetic,
        "events": int(events.size),
        "start_ns": int(events["local_ns"][0]) if events.size else 0,
        "end_ns": int(events["local_ns"][-1]) if events.size else 0,
        "gaps": int(np.count_nonzero(events["kind"] == Kind.GAP)),
        "gap_s": gap_s(events),
        "coverage": coverage(feed.book()),
        "book_interval_ms": interval_ns / NS_PER_MS,
        "queue_fidelity": "low" if interval_ns > LOW_FIDELITY_NS else "high",
        "latency_p50_ms": p50_ms,
        "latency_p99_ms": p99_ms,
        "market_lots": int(events["size_lots"][traded].sum()),
        "notes": list(feed.report.get("notes", ())),
    }


def gap_s(events: Array) -> float:
    """Seconds from each GAP to the SNAPSHOT_END after it, or to the end of the feed."""
    starts = np.flatnonzero(events["kind"] == Kind.GAP)
    if not starts.size:
        return 0.0
    ends = np.append(np.flatnonzero(events["kind"] == Kind.SNAPSHOT_END), events.size - 1)
    until = ends[np.minimum(np.searchsorted(ends, starts), ends.size - 1)]
    _, first = np.unique(until, return_index=True)  # gaps that end together count from the first
    local = events["local_ns"]
    return float((local[until[first]] - local[starts[first]]).sum() / NS_PER_S)


def coverage(book: Array) -> float:
    """Share of the time between first and last row of a `BOOK` table in which the book was valid."""
    if book.size < 2:
        return np.nan
    held = np.diff(book["exch_ns"])
    span = held.sum()
    return float(held[book["valid"][:-1] == 1].sum() / span) if span else np.nan


def events_sha256(events: Array) -> str:
    """Hash of the events' columns (not of the record's padding)."""
    digest = hashlib.sha256()
    for name in EVENT.names or ():
        digest.update(np.ascontiguousarray(events[name]).data)
    return digest.hexdigest()
