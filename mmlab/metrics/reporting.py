"""Figures that stand beside the metrics in a report: participation, and the fill rate seen by the clock."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from mmlab.errors import MMLabError
from mmlab.events import ASK, BID, NS_PER_S
from mmlab.metrics.frames import column, ns_of, read_fills, times_ns, utc_index

Array = np.ndarray[Any, Any]

SELF_IMPACT = 0.05
"""Participation in a minute above which our own trading moves the market we measure."""


def participation(fills: pd.DataFrame, trades: pd.DataFrame, window_s: float = 60.0) -> pd.DataFrame:
    """Our filled size over the market's traded size, window by window.

    Parameters
    ----------
    fills : DataFrame
        UTC index or ``ts_ns``; ``side``, ``size``.
    trades : DataFrame
        As from ``feed.trades()``: UTC index or ``ts_ns``; ``size``. Live they hold our own fills, in a replay not.
    window_s : float, optional
        Length of a window in seconds.

    Returns
    -------
    DataFrame
        One row a window, by its end: ``filled``, ``market`` (size), ``participation`` (NaN without trades),
        ``self_impact`` (True above 5 %).
    """
    window_ns = ns_of(window_s, "window_s")
    if window_ns == 0:
        raise MMLabError(f"window_s = {window_s}: must be > 0")
    read = read_fills(fills)
    ours, theirs = (-(-ns // window_ns) for ns in (read.ns, times_ns(trades, "trades")))
    both = np.concatenate([ours, theirs])
    first, count = (int(both.min()), int(np.ptp(both)) + 1) if both.size else (0, 0)
    filled = np.bincount(ours - first, read.column("size"), count)
    market = np.bincount(theirs - first, column(trades, "size", "trades"), count)
    share = np.divide(filled, market, out=np.full(count, np.nan), where=market > 0)
    index = utc_index((first + np.arange(count, dtype=np.int64)) * window_ns)
    return pd.DataFrame(
        {"filled": filled, "market": market, "participation": share, "self_impact": share > SELF_IMPACT}, index=index
    )


def time_weighted_rate(
    fills: pd.DataFrame, start: pd.Timestamp | None = None, end: pd.Timestamp | None = None
) -> pd.DataFrame:
    """Hits of each side in each second of the clock, empty seconds included.

    Parameters
    ----------
    fills : DataFrame
        UTC index or ``ts_ns``; ``side``.
    start, end : Timestamp, optional
        Span of the clock, timezone-aware; the span of the fills if not given.

    Returns
    -------
    DataFrame
        One row a whole second t: ``bid``, ``ask``, hits in ``(t - 1 s, t]``, 1/s.
    """
    read = read_fills(fills)
    bounds = [None if t is None else t.as_unit("ns").value for t in (start, end)]
    low = bounds[0] if bounds[0] is not None else (int(read.ns[0]) if read.ns.size else 0)
    high = bounds[1] if bounds[1] is not None else (int(read.ns[-1]) if read.ns.size else 0)
    first, last = -(-low // NS_PER_S), -(-high // NS_PER_S)
    count = last - first + 1
    columns = {}
    for name, side in (("bid", BID), ("ask", ASK)):
        second = -(-np.unique(read.ns[read.side == side]) // NS_PER_S) - first
        columns[name] = np.bincount(second[(second >= 0) & (second < count)], minlength=count)
    return pd.DataFrame(columns, index=utc_index((first + np.arange(count, dtype=np.int64)) * NS_PER_S))
