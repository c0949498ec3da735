"""Markouts, fill rate, flips and ages of fills."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pandas as pd

from mmlab.errors import MMLabError
from mmlab.events import BID
from mmlab.kernels import flow, inventory, markout_table
from mmlab.kernels.policy import one_row
from mmlab.metrics.frames import Fills, Quotes, ns_of, read_fills, read_only, read_quotes, utc_index

Array = np.ndarray[Any, Any]

HORIZONS_S = (0.1, 0.5, 1.0, 5.0, 30.0, 60.0)
MAX_QUOTE_AGE_S = 60.0
FILLS_PER_THREAD = 1_000_000
"""A tenth of a second: threads that share a processor's core and memory take a fifth more of its time."""


def share(n: int, work: Callable[[int, int], None]) -> None:
    """Do `work(first, last)` on all of ``range(n)``, by as many threads as pay. Kernels hold no lock."""
    threads = max(1, min(os.cpu_count() or 1, n // FILLS_PER_THREAD))
    bounds = [n * k // threads for k in range(threads + 1)]
    if threads == 1:
        work(0, n)
        return
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, bounds[:-1], bounds[1:]))


def markout_rows(quotes: Quotes, ns: Array, side: Array, price: Array, horizons_ns: Array, max_age_ns: int) -> Array:
    """Rows of `markout_table.markout_table`: shape (2*horizons + 2, fills)."""
    ns, side, price = read_only(ns), read_only(side), read_only(price)
    out = np.empty((2 * horizons_ns.size + 2, ns.size))

    def work(first: int, last: int) -> None:
        markout_table.markout_range(
            ns, side, price, quotes.ns, quotes.reference, quotes.gaps, horizons_ns, max_age_ns, out,
            quotes.longest_ns, first, last,
        )  # fmt: skip

    share(ns.size, work)
    return out


def carried(fills: Fills, bid: Array, ask: Array) -> list[Array]:
    """Values of each side's fills as two columns over all fills, each carried forward from its side's last fill."""
    columns = []
    for values, mine in ((bid, fills.side == BID), (ask, fills.side != BID)):
        last = np.cumsum(mine) - 1
        columns.append(np.append(values, np.nan)[last])  # -1, before the first fill, is the NaN at the end
    return columns


def markouts(
    fills: pd.DataFrame,
    quotes: pd.DataFrame,
    horizons_s: Sequence[float] = HORIZONS_S,
    reference: str = "mid",
    *,
    max_quote_age_s: float = MAX_QUOTE_AGE_S,
) -> pd.DataFrame:
    """Markout of each fill at each horizon, split in spread capture and adverse move.

    Parameters
    ----------
    fills : DataFrame
        UTC index (exchange time) or ``ts_ns``; ``side``, ``price``.
    quotes : DataFrame
        UTC index in ascending order; the column `reference`, NaN where the book is invalid, and for telling a lost book
        from an empty or crossed one ``bid`` and ``ask``. Of rows with one time the last holds.
    horizons_s : sequence of float, optional
        Horizons in seconds, >= 0.
    reference : str, optional
        Column of `quotes` to mark against: "mid" or "micro".
    max_quote_age_s : float, optional
        Oldest quote that may serve as the reference, in seconds.

    Returns
    -------
    DataFrame
        One row a fill, with the index of `fills`: ``markout_<h>s_bps`` for each horizon,
        ``1e4*s*(reference(t+h) - price)/price``; ``mid``, the reference strictly before the fill;
        ``spread_capture_bps = 1e4*s*(mid - price)/price``; ``adverse_<h>s_bps``, so that
        ``markout = spread_capture + adverse``. NaN where a gap or the end of the quotes lies within ``[t, t+h]``, or
        the reference is missing or too old.

    Raises
    ------
    MMLabError
        A column is missing or wrong, times are naive, or quotes are out of order.

    Notes
    -----
    Before fees, from the maker's view: a positive markout is money made. Source: `terms.md`, Fill metrics.
    """
    horizons_ns = np.array([ns_of(h, "horizons_s") for h in horizons_s], np.int64)
    if horizons_ns.size == 0:
        raise MMLabError("horizons_s is empty: give at least one horizon in seconds")
    read, book = read_fills(fills), read_quotes(quotes, reference)
    age_ns = ns_of(max_quote_age_s, "max_quote_age_s")
    rows = markout_rows(book, read.ns, read.side, read.column("price"), horizons_ns, age_ns)
    labels = [f"{h:g}" for h in horizons_s]
    names = [f"markout_{h}s_bps" for h in labels]
    return read.to_frame(rows, [*names, "mid", "spread_capture_bps", *(f"adverse_{h}s_bps" for h in labels)])


def hits_of(fills: Fills) -> tuple[Array, Array, Array, Array]:
    """Time, side, size-weighted price and size of hits: fills of one side and time, merged."""
    n = fills.ns.size
    ns, side, price, size = np.empty(n, np.int64), np.empty(n, np.int8), np.empty(n), np.empty(n)
    n = markout_table.merge_hits(
        fills.ns, fills.side, fills.column("price"), fills.column("size"), ns, side, price, size
    )
    return ns[:n], side[:n], price[:n], size[:n]


def rolling_markout(
    fills: pd.DataFrame,
    quotes: pd.DataFrame,
    horizon_s: float = 1.0,
    window: int = 200,
    *,
    reference: str = "mid",
    max_quote_age_s: float = MAX_QUOTE_AGE_S,
) -> pd.DataFrame:
    """Rolling median of each side's last completed markouts, counted in hits.

    Parameters
    ----------
    fills : DataFrame
        UTC index (exchange time) or ``ts_ns``; ``side``, ``price``, ``size``.
    quotes : DataFrame
        As for `markouts`.
    horizon_s : float, optional
        Horizon in seconds.
    window : int, optional
        Completed hits of one side in the median.
    reference, max_quote_age_s
        As for `markouts`.

    Returns
    -------
    DataFrame
        One row a completed markout, at t_fill + horizon: ``bid``, ``ask`` (median in bps), ``n_bid``, ``n_ask`` (hits
        in it), ``mean_bid``, ``mean_ask`` and, weighted by size, ``weighted_mean_bid``, ``weighted_mean_ask``. The
        other side's columns are carried forward; n is 0 and the rest NaN before its first.

    Raises
    ------
    MMLabError
        As `markouts`; or `window` < 1.
    """
    if window < 1:
        raise MMLabError(f"window = {window}: must be at least 1 hit")
    read, book = read_fills(fills), read_quotes(quotes, reference)
    horizon_ns = ns_of(horizon_s, "horizon_s")
    ns, side, price, size = hits_of(read)
    age_ns = ns_of(max_quote_age_s, "max_quote_age_s")
    bps = markout_rows(book, ns, side, price, np.array([horizon_ns]), age_ns)[0]
    done = np.isfinite(bps)
    hits = Fills(fills, ns[done] + horizon_ns, side[done], None)
    tables = []
    for mine in (hits.side == BID, hits.side != BID):
        table = np.empty((4, int(mine.sum())))
        markout_table.rolling_markouts(bps[done][mine], size[done][mine], window, table)
        tables.append(table)
    pairs = [carried(hits, bid, ask) for bid, ask in zip(*tables, strict=True)]
    names = ("", "mean_", "weighted_mean_", "n_")
    columns = {f"{name}{s}": pairs[k][i] for k, name in enumerate(names) for i, s in enumerate(("bid", "ask"))}
    frame = pd.DataFrame(columns, index=utc_index(hits.ns))
    n = frame[["n_bid", "n_ask"]].fillna(0).astype(np.int64)
    return pd.concat([frame[["bid", "ask"]], n, frame.filter(like="mean")], axis=1)


def fill_rate(fills: pd.DataFrame, window_s: float = 1.0, percentile: float = 95, last: int = 200) -> pd.DataFrame:
    """Same-side fill rate at each fill: how many hits its side took in the trailing second.

    Parameters
    ----------
    fills : DataFrame
        UTC index (exchange time) or ``ts_ns``; ``side``.
    window_s : float, optional
        Window ``(t - window_s, t]`` in seconds.
    percentile : float, optional
        Percentile, with linear interpolation, of the side's samples.
    last : int, optional
        Hits of the side behind the percentile.

    Returns
    -------
    DataFrame
        One row a fill, with the index of `fills`: ``bid``, ``ask`` (hits in the window at the side's last hit),
        ``bid_p95``, ``ask_p95``. The other side's columns are carried forward, NaN before its first fill. Fills of one
        side and time are one hit.

    Raises
    ------
    MMLabError
        A column is missing or wrong, times are naive, or an argument is out of range.
    """
    window_ns = ns_of(window_s, "window_s")
    if not (0 <= percentile <= 100 and last >= 1 and window_ns > 0):
        raise MMLabError(
            f"window_s = {window_s}, percentile = {percentile}, last = {last}: "
            "must be > 0, between 0 and 100, and at least 1"
        )
    read = read_fills(fills)
    rates, highs = [], []
    for mine in (read.side == BID, read.side != BID):
        ns = read_only(read.ns[mine])
        rate, high = np.empty(ns.size), np.empty(ns.size)
        flow.fill_rates(ns, window_ns, float(percentile), last, rate, high)
        rates.append(rate)
        highs.append(high)
    names = ["bid", "ask", f"bid_p{percentile:g}", f"ask_p{percentile:g}"]
    return read.to_frame(np.array(carried(read, *rates) + carried(read, *highs)), names)


def flips(
    quotes: pd.DataFrame,
    reference: str = "micro",
    window_s: float = 0.2,
    *,
    min_move_ticks: float = 0.0,
    tick_size: float | None = None,
) -> pd.DataFrame:
    """Flips of the reference price: consecutive non-zero moves with opposite signs.

    Parameters
    ----------
    quotes : DataFrame
        As for `markouts`; each row is one batch.
    reference : str, optional
        Column to watch: "micro" or "mid".
    window_s : float, optional
        Window ``(t - window_s, t]`` in seconds.
    min_move_ticks : float, optional
        Smaller moves accumulate until they reach it; needs `tick_size`.
    tick_size : float, optional
        Smallest price step, quote currency.

    Returns
    -------
    DataFrame
        One row a quote, with the index of `quotes`: ``flip`` (this row completes a flip), ``flips`` (in the window),
        ``flip_rate`` (1/s). A gap resets; a row without a reference is passed over.

    Raises
    ------
    MMLabError
        A column is missing or wrong, times are naive or out of order, or an argument is out of range.
    """
    window_ns = ns_of(window_s, "window_s")
    if window_ns == 0 or not min_move_ticks >= 0:
        raise MMLabError(f"window_s = {window_s}, min_move_ticks = {min_move_ticks}: must be > 0 and >= 0")
    if min_move_ticks > 0 and not (tick_size is not None and tick_size > 0):
        raise MMLabError(f"min_move_ticks = {min_move_ticks} needs tick_size > 0: pass feed.instrument.tick_size")
    book = read_quotes(quotes, reference)
    n = book.ns.size
    flip, count = np.zeros(n, bool), np.zeros(n, np.int64)
    flow.flip_table(
        book.ns, book.reference, book.gaps, min_move_ticks * (tick_size or 0.0), window_ns, one_row(flow.FLIP)[0],
        flip, count,
    )  # fmt: skip
    return pd.DataFrame({"flip": flip, "flips": count, "flip_rate": count / (window_ns / 1e9)}, index=quotes.index)


def whole_lots(size: Array) -> tuple[Array, float]:
    """Sizes as whole numbers of a decimal unit, so that positions add up exactly: ``size = lots / per_unit``."""
    total = float(size.sum())
    digits = 15 - int(np.ceil(np.log10(total))) if total > 0 else 0
    per_unit = 10.0 ** min(digits, 12)
    return np.rint(size * per_unit).astype(np.int64), per_unit


def inventory_age(
    fills: pd.DataFrame, max_position: float | tuple[float, float], flat_band: float = 0.05
) -> pd.DataFrame:
    """Inventory age and lot age just after each fill; the position starts at 0.

    Parameters
    ----------
    fills : DataFrame
        UTC index or ``ts_ns``; ``side``, ``size``.
    max_position : float or (float, float)
        Position at which the inventory ratio is 1; (longest, shortest), both > 0, where they differ.
    flat_band : float, optional
        Inventory ratios of at most this size count as flat.

    Returns
    -------
    DataFrame
        One row a fill, with the index of `fills`: ``inventory_age_s``, seconds since the size of the inventory ratio
        last rose above the flat band or its sign changed, 0 inside the band; ``lot_age_s``, the size-weighted age of
        the open lots, first in, first out.

    Raises
    ------
    MMLabError
        A column is missing or wrong, times are naive, or an argument is out of range.
    """
    limits = np.broadcast_to(np.asarray(max_position, np.float64), 2)
    if not ((limits > 0).all() and np.isfinite(limits).all() and flat_band >= 0):
        raise MMLabError(f"max_position = {max_position!r}, flat_band = {flat_band!r}: must be > 0 and >= 0")
    read = read_fills(fills)
    lots, per_unit = whole_lots(read.column("size"))
    rows = np.empty((2, read.ns.size))
    inventory.age_table(
        read.ns, lots * read.side, per_unit * limits[0], per_unit * limits[1], float(flat_band),
        one_row(inventory.AGE)[0], rows[0], rows[1],
    )  # fmt: skip
    return read.to_frame(rows, ["inventory_age_s", "lot_age_s"])
