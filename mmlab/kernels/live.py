"""The decision kernel, driven event by event from Python: what a replay's loop does, in two calls.

`hear_rows` takes market rows, `decide_now` states where quotes should rest. The order is that of `mmlab.simulator`:
trades, then the book, then our own fills and orders, then time, then one decision.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mmlab.events import NS_PER_S, Kind
from mmlab.kernels.book import DEPTH, EXECUTE, FUNDING, MARK, TRADE, same_message
from mmlab.kernels.decide import (
    decide,
    on_alive,
    on_book,
    on_funding,
    on_mark,
    on_trade,
    set_depth,
    slippage_ticks,
    wants_depth,
)
from mmlab.kernels.flip_gate import flip_extra_ticks
from mmlab.kernels.live_book import book_row, needs_recentring, publish, visible_lots
from mmlab.kernels.policy import kernel
from mmlab.kernels.quoter import quoter_at
from mmlab.kernels.volatility import vol_sigma

Array = np.ndarray[Any, Any]
ADD = int(Kind.ADD)
RATE_UNIT = 1e-9
MOST = 1 << 53
DAY_NS = 86_400 * NS_PER_S


@kernel
def write_input(e: Any, r: Any) -> None:
    """The `INPUT` row of a market row."""
    r.exch_ns, r.local_ns, r.kind, r.side, r.rung, r.liquidity = e.exch_ns, e.local_ns, e.kind, e.side, 0, 0
    r.price_ticks, r.size_lots, r.order_id, r.client_order_id = e.price_ticks, e.size_lots, e.order_id, 0
    r.fee, r.mid = 0.0, 0.0


@kernel
def hear_rows(p: Array, s: Array, book: Array, levels: Array, rows: Array, inputs: Array) -> int:
    """Take market rows, whole venue messages in the order received.

    Returns how many changed the best quotes, twice, and one more if the book's window should move. Their `INPUT` rows
    are written to `inputs`, which is as long.
    """
    b, changes = book[0], 0
    for i in range(rows.size):
        e = rows[i]
        kind = e.kind
        write_input(e, inputs[i])
        if kind == TRADE:
            on_trade(p, s, e.exch_ns, e.local_ns, e.side, e.price_ticks, e.size_lots)
        elif kind == MARK:
            on_mark(p, s, e.local_ns, e.price_ticks)
        elif kind == FUNDING:
            on_funding(p, s, e.exch_ns, e.local_ns, e.price_ticks, e.size_lots * RATE_UNIT)
        else:
            if kind == EXECUTE:
                on_trade(p, s, e.exch_ns, e.local_ns, -e.side, e.price_ticks, e.size_lots)
            may = book_row(b, levels, e)
            is_level = kind == 0 or kind >= ADD
            if is_level and i + 1 < rows.size and same_message(e, rows[i + 1]):
                continue
            if may and publish(b, levels, e):
                changes += 1
                on_book(p, s, b)
            else:
                on_alive(s, e.local_ns)
    return 2 * changes + (1 if changes and needs_recentring(b) else 0)


@kernel
def decide_now(
    p: Array, s: Array, book: Array, levels: Array, t_ns: int, out: Array, row: Array, quoter: Any
) -> int:  # fmt: skip
    """Answer the kernel's question for depth, then `decide`.

    Returns how many targets there are, twice, and one more if targets or reasons differ from the last time; only then
    is `row`, a `DECISION`, filled in. The second half of `out` keeps the targets of the last time.
    """
    side = wants_depth(s)
    if side != 0 and s[0].market.valid:
        set_depth(s, visible_lots(book[0], levels, side, slippage_ticks(p, s)))
    n = decide(p, s, t_ns, out, quoter)
    if not is_news(s[0], out, n, row[0]):
        return 2 * n
    decision_row(p, s, t_ns, n, row[0])
    return 2 * n + 1


@kernel
def decide_at(
    p: Array, s: Array, book: Array, levels: Array, t_ns: int, out: Array, row: Array, quoter_address: int
) -> int:  # fmt: skip
    """`decide_now` with the quoter at an address."""
    return decide_now(p, s, book, levels, t_ns, out, row, quoter_at(quoter_address))


@kernel
def is_news(st: Any, out: Array, n: int, r: Any) -> bool:
    """Whether the first `n` rows of `out`, or the reasons, differ from the last time; keeps the rows."""
    news = n != r.targets or st.side[0].reasons != r.bid_reasons or st.side[1].reasons != r.ask_reasons
    half = out.size // 2
    for i in range(n):
        a, b = out[i], out[half + i]
        if (
            a.side != b.side or a.rung != b.rung or a.flags != b.flags
            or a.price_ticks != b.price_ticks or a.size_lots != b.size_lots
        ):  # fmt: skip
            news = True
            b.side, b.rung, b.flags, b.price_ticks, b.size_lots = a.side, a.rung, a.flags, a.price_ticks, a.size_lots
    return news


@kernel
def decision_row(p: Array, s: Array, t_ns: int, n: int, r: Any) -> None:
    """Turn the `DECISION` row before, or one with -1 targets, into that of a decision with `n` targets."""
    st = s[0]
    m = st.market
    r.local_ns, r.mid, r.position_lots = t_ns, m.mid, st.account.position_lots
    r.bid_ticks, r.ask_ticks, r.bid_lots, r.ask_lots = m.bid_ticks, m.ask_ticks, m.bid_lots, m.ask_lots
    r.sigma, r.level = vol_sigma(st.vol, p[0].quoting.sigma_floor), st.ladder.level
    r.flip_extra_ticks = flip_extra_ticks(p[0].flip, st.flip, t_ns)
    r.bid_reasons, r.ask_reasons = st.side[0].reasons, st.side[1].reasons
    r.first_target, r.targets = r.first_target + max(r.targets, 0), n


@kernel
def rows_fault(rows: Array, last_ns: Array, now_ns: int) -> int:
    """`row_fault` of all rows; if there is none, the time of the last row is put into `last_ns`."""
    fault = row_fault(rows, 0, last_ns[0], now_ns)
    if fault < 0:
        last_ns[0] = rows[rows.size - 1].local_ns
    return fault


@kernel
def row_fault(rows: Array, first: int, last_ns: int, now_ns: int) -> int:
    """First row from `first` on that cannot be, as ``row << 8 | fault``; -1 if there is none.

    Faults: 1 unknown kind, 2 no side, 3 absurd price, 4 absurd size, 5 time before `last_ns` or the row before, 6 time
    after `now_ns`, 7 exchange time a day or more from ours.
    """
    for i in range(first, rows.size):
        e = rows[i]
        level = e.kind == DEPTH or e.kind == TRADE or e.kind >= ADD
        fault = 0
        if e.kind > EXECUTE:
            fault = 1
        elif level and e.side != 1 and e.side != -1:
            fault = 2
        elif level and not 0 < e.price_ticks < MOST:
            fault = 3
        elif level and (not 0 <= e.size_lots < MOST or (e.size_lots == 0 and e.kind != DEPTH)):
            fault = 4
        elif e.local_ns < last_ns:
            fault = 5
        elif e.local_ns > now_ns:
            fault = 6
        elif not -DAY_NS < e.local_ns - e.exch_ns < DAY_NS:
            fault = 7
        if fault:
            return i << 8 | fault
        last_ns = e.local_ns
    return -1
