"""The `METRIC` record, once a second for the run's metrics and, for a user's quoter, at every decision."""

from __future__ import annotations

from typing import Any

import numpy as np

from mmlab.events import NS_PER_S
from mmlab.kernels.flip_gate import flip_extra_ticks
from mmlab.kernels.flow import flip_count, rate_count, rate_percentile
from mmlab.kernels.inventory import age_s, lots_age_s
from mmlab.kernels.markout import markout_median, markout_n
from mmlab.kernels.observe import clock, inventory_ratio
from mmlab.kernels.policy import kernel
from mmlab.kernels.volatility import vol_sigma

Array = np.ndarray[Any, Any]
FLIP_WINDOW_SHOWN_NS = 10 * NS_PER_S


@kernel
def write_metric(q: Any, st: Any, t_ns: int, row: Any) -> None:
    """Fill in a `METRIC` record, except what only the driver knows."""
    a, bid, ask = st.account, st.side[0], st.side[1]
    row.local_ns, row.mid, row.position_lots = t_ns, st.market.mid, a.position_lots
    row.q_ratio, row.level = inventory_ratio(q, st), st.ladder.level
    row.cash, row.realised, row.fees, row.funding = a.cash, a.realised, a.fees, a.funding
    row.net_pnl, row.volume = st.net, a.volume
    row.unrealised = st.net - a.realised + a.fees - a.funding
    row.sigma = vol_sigma(st.vol, q.quoting.sigma_floor)
    row.flip_rate = flip_count(st.flip.flips, t_ns, q.flip.window_ns) / (q.flip.window_ns / NS_PER_S)
    row.flip_rate_10s = flip_count(st.flip.flips, t_ns, FLIP_WINDOW_SHOWN_NS) / (FLIP_WINDOW_SHOWN_NS / NS_PER_S)
    window = q.kill.toxic_window
    row.markout_bid_bps, row.markout_ask_bps = markout_median(bid.markout, window), markout_median(ask.markout, window)
    row.n_bid, row.n_ask = markout_n(bid.markout, window), markout_n(ask.markout, window)
    row.fill_rate_bid = float(rate_count(bid.rate, t_ns, NS_PER_S))
    row.fill_rate_ask = float(rate_count(ask.rate, t_ns, NS_PER_S))
    percentile = q.kill.burst_percentile
    row.fill_rate_p95_bid = rate_percentile(bid.rate, percentile)
    row.fill_rate_p95_ask = rate_percentile(ask.rate, percentile)
    row.inventory_age_s, row.lot_age_s = age_s(st.age, t_ns), lots_age_s(st.lots, t_ns)
    row.market_volume = st.market_volume
    row.bid_reasons, row.ask_reasons = bid.reasons, ask.reasons
    row.flip_extra_ticks = flip_extra_ticks(q.flip, st.flip, t_ns)


@kernel
def refresh_metric(q: Any, st: Any, t_ns: int) -> None:
    """Keep `st.metric` for a quoter: everything once a second, the cheap fields at every decision."""
    second = t_ns // NS_PER_S
    if second != st.metric_second:
        st.metric_second = second
        write_metric(q, st, t_ns, st.metric)
    row = st.metric
    row.local_ns, row.mid, row.position_lots = t_ns, st.market.mid, st.account.position_lots
    row.q_ratio, row.level = inventory_ratio(q, st), st.ladder.level
    row.sigma = vol_sigma(st.vol, q.quoting.sigma_floor)
    row.inventory_age_s = age_s(st.age, t_ns)
    row.flip_extra_ticks = flip_extra_ticks(q.flip, st.flip, t_ns)


@kernel
def metrics_row(p: Array, s: Array, local_ns: int, out: Any) -> None:
    """Fill in a `METRIC` record, except messages, quoting_* and at_touch_*, which only the driver knows."""
    take_metric(p[0], s[0], local_ns, out)


@kernel
def take_metric(q: Any, st: Any, local_ns: int, out: Any) -> None:
    """`metrics_row` on records."""
    clock(q, st, local_ns)
    write_metric(q, st, local_ns, out)
