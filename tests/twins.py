"""Plain twins of the fill metrics: Python, NumPy and pandas, written from `terms.md`, slow on purpose.

A keyword that is not at its default plants one bug in the twin, so that tests can show the bug would be seen.
"""

from __future__ import annotations

from collections import deque

import numpy as np
import pandas as pd

NS_PER_S = 1_000_000_000


def in_window(times, t, window_ns, *, closed="right"):
    """Which times lie in (t - w, t]."""
    times = np.asarray(times, dtype=np.int64)
    left = times >= t - window_ns if closed == "both" else times > t - window_ns
    return left & (times <= t)


def lost(mid, gap):
    """Rows without a book: from a gap until the next row with a mid."""
    state, rows = False, []
    for value, starts in zip(mid, gap, strict=True):
        state = np.isnan(value) and (state or bool(starts))
        rows.append(state)
    return np.array(rows, bool)


def markout(fill_ns, side, price, quote_ns, mid, gap, horizon_ns, max_age_ns, *, first_after=False, fill_gap=False):
    """Markout of one fill in bps."""
    end = fill_ns + horizon_ns
    quote_ns, mid = np.asarray(quote_ns, np.int64), np.asarray(mid, float)
    if quote_ns.size == 0 or end >= quote_ns[-1]:
        return np.nan  # the feed has not passed t + h
    known = np.flatnonzero(quote_ns <= end)
    if known.size == 0:
        return np.nan
    row = known[-1] + 1 if first_after else known[-1]
    at_fill = np.flatnonzero(quote_ns <= fill_ns)
    first = at_fill[-1] if at_fill.size else 0
    if not fill_gap and lost(mid, gap)[first : row + 1].any():
        return np.nan
    if end - quote_ns[row] > max_age_ns:
        return np.nan
    return 1e4 * side * (mid[row] - price) / price


def mid_before(fill_ns, quote_ns, mid):
    """The mid after the last book event strictly before the fill."""
    earlier = np.flatnonzero(np.asarray(quote_ns, np.int64) < fill_ns)
    return mid[earlier[-1]] if earlier.size else np.nan


def hits(ns, side, price, size):
    """Fills of one side and time as one hit with the size-weighted price, by time."""
    frame = pd.DataFrame({"ns": ns, "side": side, "price": price, "size": size})
    frame["value"] = frame["price"] * frame["size"]
    merged = frame.groupby(["ns", "side"], sort=False, as_index=False)[["value", "size"]].sum()
    merged["price"] = merged["value"] / merged["size"]
    return merged


def fill_rates(ns, window_ns, percentile, last, *, closed="right"):
    """Samples of one side's fill rate and their rolling percentile, after each fill."""
    rate, high = [], []
    times, samples = [], []
    for t in ns:
        if t not in times:
            times.append(t)
            samples.append(int(in_window(times, t, window_ns, closed=closed).sum()))
        rate.append(samples[-1])
        high.append(np.percentile(samples[-last:], percentile))
    return np.array(rate, float), np.array(high, float)


def flips(ns, reference, gap, min_move, window_ns, *, closed="right", accumulate=True):
    """Which rows are flips, and the flips in (t - w, t] after each row. `gap` are rows without a book."""
    anchor, direction, flip, count, times = None, 0, [], [], []
    for t, price, reset in zip(ns, reference, gap, strict=True):
        flip.append(False)
        if reset:
            anchor, direction = None, 0
        elif not np.isnan(price):
            move = 0.0 if anchor is None else price - anchor
            if anchor is None or not accumulate or (move != 0.0 and abs(move) >= min_move):
                anchor = price
            if move != 0.0 and abs(move) >= min_move:
                flip[-1] = np.sign(move) * direction < 0
                direction = np.sign(move)
        if flip[-1]:
            times.append(t)
        count.append(int(in_window(times, t, window_ns, closed=closed).sum()))
    return np.array(flip, bool), np.array(count)


def inventory_ages(ns, signed_size, max_position, flat_band):
    """Seconds since |q_ratio| last rose above the band or the sign changed, just after each fill."""
    ages, since, state, position = [], None, 0, 0
    for t, size in zip(ns, signed_size, strict=True):
        position += size
        ratio = position / max_position
        now = 0 if abs(ratio) <= flat_band else int(np.sign(ratio))
        if now != state:
            state, since = now, t
        ages.append(0.0 if state == 0 else (t - since) / NS_PER_S)
    return np.array(ages)


def lot_ages(ns, signed_lots, at_ns=None, *, lifo=False):
    """Size-weighted age in seconds of the open lots, first in first out, just after each fill (or at `at_ns`)."""
    ages, lots = [], deque()
    for k, (t, size) in enumerate(zip(ns, signed_lots, strict=True)):
        left = size
        while left and lots and np.sign(lots[0][1]) != np.sign(left):
            i = -1 if lifo else 0
            part = min(abs(left), abs(lots[i][1])) * np.sign(left)
            lots[i][1] += part
            left -= part
            if lots[i][1] == 0:
                del lots[i]
        if left:
            lots.append([t, left])
        now = t if at_ns is None else at_ns[k]
        total = sum(abs(q) for _, q in lots)
        ages.append(sum(abs(q) * (now - t0) for t0, q in lots) / total / NS_PER_S if total else 0.0)
    return np.array(ages)


def sigma(ns, mid, clock_ns, half_life_s, warm_up_n, floor, end_ns=None, *, strict=False):
    """Volatility in force after each book event, by walking every clock point; and after a timer at `end_ns`."""
    decay = 0.5 ** (clock_ns / NS_PER_S / half_life_s)
    ns, mid = np.asarray(ns, np.int64), np.asarray(mid, float)
    out, squares, samples = [], [], {}
    first = -(-int(ns[0]) // clock_ns) if ns.size else 0

    def mid_at(t):
        known = np.flatnonzero(ns < t if strict else ns <= t)
        return mid[known[-1]] if known.size else np.nan

    def undefined(a, b):
        return np.isnan(mid[(ns > a) & (ns <= b)]).any() or np.isnan(mid_at(a)) or np.isnan(mid_at(b))

    def value():
        if len(squares) < max(warm_up_n, 1):
            return np.nan
        weights = decay ** np.arange(len(squares))[::-1]
        return max(np.sqrt(np.sum(weights * squares) / np.sum(weights)), floor)

    point = first
    for t, inclusive in [(int(t), False) for t in ns] + ([] if end_ns is None else [(int(end_ns), True)]):
        while point * clock_ns < t or (inclusive and point * clock_ns == t):
            c = point * clock_ns
            samples[point] = mid_at(c)
            if point > first and not undefined(c - clock_ns, c):
                squares.append((samples[point] - samples[point - 1]) ** 2 / (clock_ns / NS_PER_S))
            point += 1
        out.append(value())
    return np.array(out)


def account(side, price, lots, fee, lot_size, contract_size, *, inverse):
    """Position, entry, realised, cash, fees and volume after each fill, settle currency; average cost."""
    rows = []
    position, entry, realised, cash, fees, volume = 0, 0.0, 0.0, 0.0, 0.0, 0.0
    for s, p, n, f in zip(side, price, lots, fee, strict=True):
        size = n * lot_size * contract_size
        cash += s * size / p if inverse else -s * size * p
        volume += size if inverse else size * p
        fees += f
        closing = min(n, abs(position)) if position * s < 0 else 0
        gain = np.sign(position) * closing * lot_size * contract_size
        if closing:
            realised += gain * (1 / entry - 1 / p) if inverse else gain * (p - entry)
        opening = n - closing
        kept = abs(position) - closing
        position += s * n
        if opening:
            parts = [(kept, entry), (opening, p)] if kept else [(opening, p)]
            if inverse:
                entry = sum(q for q, _ in parts) / sum(q / e for q, e in parts)
            else:
                entry = sum(q * e for q, e in parts) / sum(q for q, _ in parts)
        elif position == 0:
            entry = 0.0
        rows.append((position, entry, realised, cash, fees, volume))
    names = ["position", "entry", "realised", "cash", "fees", "volume"]
    return pd.DataFrame(rows, columns=names)


def net_pnl(fills, mid):
    """Net P&L of linear fills (columns side, price, size, fee; side +1 or -1) from cash alone."""
    if len(fills) == 0:
        return 0.0
    cash = -(fills["side"] * fills["price"] * fills["size"]).sum()
    position = (fills["side"] * fills["size"]).sum()
    worth = position * mid if position != 0 else 0.0
    return cash + worth - fills["fee"].sum()


def pnl_per_million(fills, ns, upto, mid_at, window_ns):
    """P&L per million at each row: `upto` fills are booked at time `ns`; `mid_at(t)` is the last valid mid."""
    out = []
    for t, k in zip(ns, upto, strict=True):
        before = fills[(fills["ns"] <= t - window_ns)]
        now = fills.iloc[:k]
        notional = (now["price"] * now["size"]).sum() - (before["price"] * before["size"]).sum()
        change = net_pnl(now, mid_at(t)) - net_pnl(before, mid_at(t - window_ns))
        out.append(1e6 * change / notional if len(now) > len(before) else np.nan)
    return np.array(out)
