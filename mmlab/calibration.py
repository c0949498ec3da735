"""Fit the quoting models to a stretch of a feed: intensity (A, kappa), volatility (sigma) and risk aversion (gamma).

Fill intensity at distance d from mid is ``A*exp(-kappa*d)``. For every distance of a grid we count the market orders
that reached it, a side, and regress the log of the mean rate on the distance. The variance of the log of a Poisson
count n is about 1/n, and an exponential is itself only roughly right, so a point weighs ``1/(1/n + MODEL_ERROR^2)``:
thin points count less, and the many orders that just take the touch do not decide the slope further out, where a maker
of a fast market quotes. The grid starts at the distance that nine in ten orders reach: closer to mid, inside the
spread, the curve is flat and says nothing about kappa. It ends where the tail gets thin. Where the market gives no
slope (a large-tick book whose orders hardly pass the touch), kappa falls back to one over the half-spread, and the
result says so.

Nothing after ``end_ns`` on the local clock is used, so a replay may trade from there on without look-ahead.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd

from mmlab.errors import FeedError
from mmlab.events import NS_PER_MS, NS_PER_S, Kind
from mmlab.instrument import Instrument
from mmlab.kernels.intensity import NO_DISTANCE, book_intervals_ns, distances_half_ticks, market_orders, reached
from mmlab.kernels.policy import one_row
from mmlab.kernels.volatility import VOL, vol_series, vol_sigma, vol_timer

Array = np.ndarray[Any, Any]
Model = Literal["glft", "avellaneda_stoikov"]

MIN_DISTANCES = 3
"""Fewest grid points that make a regression."""
MIN_ORDERS = 5
"""Fewest market orders that make a grid point."""
HEAD = 0.1
"""The grid starts at the distance that all but this share of the orders reach."""
TAIL = 0.01
"""It ends at the distance that only this share reaches."""
MAX_POINTS = 50
"""Most grid points; beyond, the step is widened."""
MODEL_ERROR = 0.2
"""Relative error of an exponential intensity that is put up with."""
LEAST_FALL = math.log(2.0)
"""Least fall of the log rate over the grid; a flatter curve rests on a handful of orders."""
ENDLESS_S = 1e9
"""A half-life that weighs all data alike."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """What a stretch of a feed says about its market."""

    A: float
    """Fill intensity at the mid, arrivals of one order per side per second."""
    kappa: float
    """Decay of the intensity, 1/price."""
    sigma: float
    """Realised volatility over the window, price per sqrt(s), floored at half a tick per sqrt(60 s)."""
    gamma: float
    """Suggested risk aversion, 1/price for one order, for `model`."""
    table: pd.DataFrame = field(repr=False)
    """One row a distance: ``distance_ticks, distance, n`` (market orders that reached it, of both sides),
    ``arrivals_bid, arrivals_ask`` (orders of ours they would have filled there), ``rate`` (arrivals per side per
    second), ``fit`` (the same by the regression or fallback), ``used``."""
    model: Model
    mid: float
    """Last valid mid of the window."""
    sigma_ewma: float
    """Exponentially weighted volatility at the end of the window, same floor."""
    r2: float
    """Weighted coefficient of determination of the regression; NaN after a fallback."""
    n_orders: int
    """Market orders in the window."""
    buys_per_s: float
    sells_per_s: float
    median_spread_ticks: float
    """Time-weighted median spread."""
    median_interval_ns: float
    """Between venue messages about the book, local clock; NaN with fewer than two."""
    p99_interval_ns: float
    start_ns: int
    """Start of the window, local clock."""
    end_ns: int
    """End of the window, local clock: quoting may start here."""
    coverage_s: float
    """Time within the window with a valid book."""
    has_mark: bool
    """Whether the window has MARK rows."""
    fallback: str
    """Why A and kappa do not come from the regression; empty if they do."""


class Fit(NamedTuple):
    """Intensity ``A*exp(-kappa*distance)``, distance in price."""

    A: float
    kappa: float
    r2: float
    fallback: str


def first_valid_ns(book: Array) -> int:
    """Local time of the first valid row of a `BOOK` table; `FeedError` if there is none."""
    first = int(np.argmax(book["valid"] != 0)) if book.size else 0
    if not book.size or not book["valid"][first]:
        raise FeedError("the feed never has a two-sided, uncrossed book: nothing can be calibrated or quoted on it")
    return int(book["local_ns"][first])


def warmup_end_ns(
    events: Array, start_ns: int, *, warmup_s: float = 60.0, min_trades: int = 50, max_s: float = 1800.0,
    max_share: float = 0.25,
) -> int:  # fmt: skip
    """Local time at which a replay may start to quote.

    The first time `warmup_s` after the start by which `min_trades` market orders were seen, but at the latest after
    `max_s` or a share `max_share` of what is left of the feed.

    Parameters
    ----------
    events : ndarray of EVENT, shape (n,)
    start_ns : int
        Local time of the first valid book.

    Returns
    -------
    int
        Nanoseconds, local clock.
    """
    left_ns = max(0, int(events["local_ns"][-1]) - start_ns) if events.size else 0
    latest = start_ns + round(min(max_s * NS_PER_S, max_share * left_ns))
    end = min(start_ns + round(warmup_s * NS_PER_S), latest)
    if min_trades <= 0:
        return end
    orders = market_orders(_window(events, start_ns, latest))
    enough = int(orders["local_ns"][min_trades - 1]) if orders.size >= min_trades else latest
    return max(end, enough)


def calibrate_arrays(
    book: Array, events: Array, instrument: Instrument, *, start_ns: int, end_ns: int, clock_ms: float = 100.0,
    half_life_s: float = 60.0, order_lots: int = 1, model: Model = "glft", reservation_ticks: float = 0.5,
    reservation_bps: float = 0.01, horizon_s: float = 60.0, fee_in_model: bool = True,
) -> Calibration:  # fmt: skip
    """Calibrate on the local-time window ``(start_ns, end_ns]``.

    Parameters
    ----------
    book : ndarray of BOOK, shape (m,)
        Best quotes of the feed.
    events : ndarray of EVENT, shape (n,)
        The feed.
    instrument : Instrument
        Its market.
    start_ns, end_ns : int
        Window, local clock.
    clock_ms, half_life_s : float
        Sampling clock and half-life of the volatility.
    order_lots : int
        Size of one order: a smaller market order counts as that part of an arrival.
    model, reservation_ticks, reservation_bps, horizon_s, fee_in_model
        Suggest the gamma with which one order moves the reservation price of `model` by the larger of the two
        distances; `horizon_s` is the horizon of Avellaneda-Stoikov.

    Returns
    -------
    Calibration

    Raises
    ------
    FeedError
        The window holds no valid book.
    """
    window, tick = _window(events, start_ns, end_ns), instrument.tick_size
    # the row that prevails at the start belongs to the window too
    rows = book[max(0, bisect_right(book["local_ns"], start_ns) - 1) : bisect_right(book["local_ns"], end_ns)]
    valid = rows["valid"] != 0
    held_s = np.diff(np.clip(np.append(rows["local_ns"], end_ns), start_ns, end_ns)) / NS_PER_S
    coverage_s = float(held_s[valid].sum())
    if not coverage_s:
        raise FeedError(
            f"no two-sided, uncrossed book between local times {start_ns} and {end_ns} ns: nothing to calibrate on"
        )
    spreads = (rows["ask_ticks"] - rows["bid_ticks"])[valid]
    median_spread = _weighted_median(spreads, held_s[valid])
    last = rows[valid][-1]
    mid = 0.5 * (int(last["bid_ticks"]) + int(last["ask_ticks"])) * tick

    orders = market_orders(window)
    counts = reach_counts(orders, rows, order_lots)
    fit = fit_intensity(counts, coverage_s, median_spread, tick)
    sigma, sigma_ewma = (
        volatility(rows, tick, end_ns, clock_ms=clock_ms, half_life_s=half_life)
        for half_life in (ENDLESS_S, half_life_s)
    )
    skew = max(reservation_ticks * tick, reservation_bps * 1e-4 * mid)
    if model == "glft":
        fee = instrument.maker_fee_bps * 1e-4 * mid if fee_in_model else 0.0
        gamma = gamma_for_skew_glft(skew, sigma, fit.A, fit.kappa, fee)
    else:
        gamma = gamma_for_skew_avellaneda_stoikov(skew, sigma, horizon_s)
    intervals = book_intervals_ns(window)
    return Calibration(
        A=fit.A,
        kappa=fit.kappa,
        sigma=sigma,
        gamma=gamma,
        table=_table(counts, coverage_s, fit, tick),
        model=model,
        mid=mid,
        sigma_ewma=sigma_ewma,
        r2=fit.r2,
        n_orders=orders.size,
        buys_per_s=_rate(int(np.count_nonzero(orders["side"] > 0)), end_ns - start_ns),
        sells_per_s=_rate(int(np.count_nonzero(orders["side"] < 0)), end_ns - start_ns),
        median_spread_ticks=median_spread,
        median_interval_ns=float(np.median(intervals)) if intervals.size else math.nan,
        p99_interval_ns=float(np.percentile(intervals, 99)) if intervals.size else math.nan,
        start_ns=start_ns,
        end_ns=end_ns,
        coverage_s=coverage_s,
        has_mark=bool(np.any(window["kind"] == int(Kind.MARK))),
        fallback=fit.fallback,
    )


def reach_counts(orders: Array, book: Array, order_lots: int) -> pd.DataFrame:
    """How many market orders reached each distance of the grid.

    Parameters
    ----------
    orders : ndarray of MARKET_ORDER, shape (m,)
    book : ndarray of BOOK
        Rows that prevail for those orders.
    order_lots : int
        Size of one of our orders; a smaller market order counts in part.

    Returns
    -------
    pandas.DataFrame
        ``distance_ticks``, ``n`` market orders of both sides, ``arrivals_bid`` and ``arrivals_ask`` in orders of ours
        (buyers reach asks, sellers bids), ``used``.
    """
    half_ticks = distances_half_ticks(orders, book)
    known = half_ticks != NO_DISTANCE
    distance, side = half_ticks[known], orders["side"][known]
    weight = np.minimum(orders["size_lots"][known] / order_lots, 1.0)
    in_reach = np.sort(distance[distance > 0])
    first = int(in_reach[int(HEAD * in_reach.size)]) if in_reach.size else 1
    # Poisson noise and book quirks rule the far tail, where no one quotes
    enough = max(MIN_ORDERS, math.ceil(TAIL * in_reach.size))
    farthest = int(in_reach[-enough]) if in_reach.size >= enough else first
    step = 2 * max(1, math.ceil((farthest - first) / 2 / MAX_POINTS))  # whole ticks: prices lie a tick apart
    grid = np.arange(first, max(farthest, first) + 1, step)
    n = reached(distance, np.ones(distance.size), grid)
    bid, ask = (reached(distance, weight * (side == aggressor), grid) for aggressor in (-1, 1))
    columns = {"distance_ticks": grid / 2, "n": n, "arrivals_bid": bid, "arrivals_ask": ask, "used": n >= MIN_ORDERS}
    return pd.DataFrame(columns)


def fit_intensity(counts: pd.DataFrame, coverage_s: float, median_spread_ticks: float, tick_size: float) -> Fit:
    """Regress the log of the mean rate of both sides on distance.

    Parameters
    ----------
    counts : pandas.DataFrame
        From `reach_counts`.
    coverage_s : float
        Seconds in which orders were counted.
    median_spread_ticks, tick_size : float
        For the fallback, and for units.

    Returns
    -------
    Fit
        A in 1/s, kappa in 1/price. With fewer than three distances, or a rate that hardly falls:
        ``kappa = 1/(half the median spread)``, and A such that the intensity at the first distance is the rate there.
    """
    used = counts[counts["used"]]
    reason = f"only {len(used)} distances with {MIN_ORDERS} or more market orders: {MIN_DISTANCES} are needed"
    if len(used) >= MIN_DISTANCES:
        d = used["distance_ticks"].to_numpy(float) * tick_size
        y = np.log(_rate_per_side(used, coverage_s).to_numpy(float))
        w = 1.0 / (1.0 / used["n"].to_numpy(float) + MODEL_ERROR**2)
        d_mean, y_mean = np.average(d, weights=w), np.average(y, weights=w)
        slope = float(np.sum(w * (d - d_mean) * (y - y_mean)) / np.sum(w * (d - d_mean) ** 2))
        if -slope * (d[-1] - d[0]) > LEAST_FALL:
            residual = np.sum(w * (y - y_mean - slope * (d - d_mean)) ** 2)
            r2 = 1.0 - float(residual / np.sum(w * (y - y_mean) ** 2))
            return Fit(math.exp(y_mean - slope * d_mean), -slope, r2, "")
        reason = "the rate hardly falls with distance"
    kappa, first = 2.0 / (median_spread_ticks * tick_size), counts.iloc[0]
    # with no market order at all the rate is at most about one in the window
    rate = float(_rate_per_side(counts, coverage_s).iloc[0]) if first["n"] else 0.5 / coverage_s
    A = rate * math.exp(kappa * float(first["distance_ticks"]) * tick_size)
    return Fit(A, kappa, math.nan, f"{reason}; kappa is 1/(half the median spread)")


def volatility(
    book: Array, tick_size: float, end_ns: int, *, clock_ms: float = 100.0, half_life_s: float = 60.0
) -> float:
    """Volatility at `end_ns` as a session that saw only `book` would know it, price per sqrt(s).

    See `mmlab.kernels.volatility`; floored at half a tick per sqrt(60 s). An endless half-life gives the realised
    volatility of the whole table.
    """
    state, mid = one_row(VOL)[0], 0.5 * (book["bid_ticks"] + book["ask_ticks"]) * tick_size
    mid[book["valid"] == 0] = np.nan
    clock_ns, times = round(clock_ms * NS_PER_MS), np.ascontiguousarray(book["local_ns"])
    floor = 0.5 * tick_size / math.sqrt(60.0)
    vol_series(times, mid, clock_ns, half_life_s, floor, state, np.empty(mid.size))
    vol_timer(state, end_ns, clock_ns, half_life_s)
    sigma = float(vol_sigma(state, floor))
    return floor if math.isnan(sigma) else sigma


def gamma_for_skew_avellaneda_stoikov(skew: float, sigma: float, tau_s: float) -> float:
    """Gamma with which one order moves the reservation price by `skew` (price): ``skew/(sigma^2*tau)``."""
    return skew / (sigma * sigma * tau_s)


def gamma_for_skew_glft(skew: float, sigma: float, A: float, kappa: float, fee: float = 0.0) -> float:
    """Gamma with which one order moves the GLFT quotes by `skew` (price): the root of ``sigma*c2 = skew``.

    With ``x = gamma/kappa = e^u`` the equation reads ``u + (1 + 1/x)*ln(1 + x) = ln(2*A*(skew/sigma)^2)``, A net of
    the fee. Its left side rises with a slope between 1 and 2 and is convex, so Newton's method always converges.
    """
    target = math.log(2.0 * A) - kappa * fee + 2.0 * math.log(skew / sigma)
    u = min(target, 0.5 * target)
    for _ in range(100):
        x = math.exp(u)
        ratio = math.log1p(x) / x if x > 0.0 else 1.0
        step = (target - u - math.log1p(x) - ratio) / (2.0 - ratio)
        u += step
        if abs(step) <= 1e-15 * max(1.0, abs(u)):
            break
    return kappa * math.exp(u)


def _window(events: Array, start_ns: int, end_ns: int) -> Array:
    """Rows with local time in ``(start_ns, end_ns]``; a view."""
    return events[bisect_right(events["local_ns"], start_ns) : bisect_right(events["local_ns"], end_ns)]


def _weighted_median(values: Array, weights: Array) -> float:
    """Smallest value at which half of the weight is reached; of equal weights if all are zero."""
    order = np.argsort(values, kind="stable")
    total = np.cumsum(weights[order] if weights.any() else np.ones(values.size))
    return float(values[order][bisect_left(total, 0.5 * total[-1])])


def _rate(n: int, window_ns: int) -> float:
    return n * NS_PER_S / window_ns if window_ns > 0 else math.nan


def _rate_per_side(counts: pd.DataFrame, coverage_s: float) -> pd.Series:
    return (counts["arrivals_bid"] + counts["arrivals_ask"]) / (2.0 * coverage_s)


def _table(counts: pd.DataFrame, coverage_s: float, fit: Fit, tick_size: float) -> pd.DataFrame:
    distance = counts["distance_ticks"] * tick_size
    return counts.assign(
        distance=distance,
        rate=_rate_per_side(counts, coverage_s),
        fit=fit.A * np.exp(-fit.kappa * distance),
    )[["distance_ticks", "distance", "n", "arrivals_bid", "arrivals_ask", "rate", "fit", "used"]]
