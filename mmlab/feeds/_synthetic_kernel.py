"""Event loop of the synthetic market: one candidate event after another, drawn from competing intensities.

The efficient price is kept as an offset in ticks from the middle of the level window. The model is written down in
``docs/synthetic.md``.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from mmlab.events import Kind
from mmlab.feeds._synthetic_book import EPISODES, Array, book_message, emit, put, recover, row_of, scan, snapshot, stamp
from mmlab.kernels.policy import kernel

TRADE, FUNDING, MARK = int(Kind.TRADE), int(Kind.FUNDING), int(Kind.MARK)

FLIP, BURST, TREND, SWEEP, STALE, LOSS = range(EPISODES)
"""Episodes: flip-flop, volatility burst, trend, one-sided sweeps, venue pause, lost messages."""
LIMIT, CANCEL, MARKET, PULL, TOGGLE = 0, 2, 4, 6, 8
"""First index of an event type in the rate array; one entry a side, but TOGGLE."""
RATES = 9
QUANTILES = 1024
"""Size of the table from which distances are drawn."""


@kernel
def efficient_index(st: Any, p: Any) -> float:
    """Efficient price as a fractional level index, kept clear of the window's ends."""
    reach = 0.5 * p.half_window
    return p.half_window + min(max(st.slow_ticks + st.fast_ticks, -reach), reach)


@kernel
def running(st: Any, episode: int) -> bool:
    """Whether an episode is on."""
    return st.t_s < st.episode_end_s[episode]


@kernel
def market_rate(st: Any, p: Any, lots: Array, side: int, mispricing_ticks: float) -> float:
    """Baseline intensity of market orders of one side, 1/s: it rises with the mispricing, falls with the queue hit."""
    tilt = min(max(1.0 + p.informed * side * mispricing_ticks, 0.1), p.informed_cap)
    other = row_of(-side)
    queue = lots[other, st.best[other]]
    reaction = 1.5 * p.queue_lots / (p.queue_lots + queue)
    rate = 0.5 * p.trade_rate * (1.0 - p.self_excitation - p.cross_excitation) * tilt * reaction
    if running(st, SWEEP) and st.direction[SWEEP] == side:
        rate += p.sweep_rate
    return rate


@kernel
def fill_rates(st: Any, p: Any, lots: Array, rates: Array) -> float:
    """Intensities of every event type given the state; returns their sum, 1/s."""
    efficient = efficient_index(st, p)
    mispricing = efficient - 0.5 * (st.best[0] + st.best[1])
    excited = st.excitation[0] + st.excitation[1]
    activity = 0.7 + 0.3 * excited / (p.trade_rate * (p.self_excitation + p.cross_excitation) + 1e-9)
    if running(st, BURST):
        activity *= p.burst_activity
    for row in range(2):
        side = 1 - 2 * row
        excess = p.pull_edge_ticks - side * (efficient - st.best[row])
        rates[LIMIT + row] = activity * p.limit_rate
        rates[CANCEL + row] = activity * p.cancel_rate
        rates[MARKET + row] = market_rate(st, p, lots, side, mispricing) + st.excitation[row]
        rates[PULL + row] = p.pull_rate * min(max(excess, 0.0), 4.0)
    rates[TOGGLE] = p.toggle_rate if running(st, FLIP) or st.toggle_lots > 0 else 0.0
    total = 0.0
    for event in range(RATES):
        total += rates[event]
    return total


@kernel
def advance(st: Any, p: Any, rng: np.random.Generator, dt_s: float) -> None:
    """Move time: exact Ornstein-Uhlenbeck steps of both price components, decay of the excitation."""
    sigma = p.sigma_ticks * (p.burst_factor if running(st, BURST) else 1.0)
    drift = 0.0
    if running(st, TREND):
        drift += st.direction[TREND] * p.trend_ticks_per_s
    if running(st, SWEEP):
        drift += st.direction[SWEEP] * p.sweep_ticks_per_s
    keep = math.exp(-dt_s / p.reversion_s)
    spread = sigma * math.sqrt(0.5 * p.reversion_s * (1.0 - keep * keep))
    st.slow_ticks = st.slow_ticks * keep + drift * dt_s + spread * rng.standard_normal()
    keep = math.exp(-dt_s / p.transient_s)
    spread = p.transient_ticks * math.sqrt(1.0 - keep * keep)
    st.fast_ticks = st.fast_ticks * keep + spread * rng.standard_normal()
    keep = math.exp(-dt_s / p.excitation_s)
    st.excitation[0] *= keep
    st.excitation[1] *= keep
    st.t_s += dt_s


@kernel
def clock_rows(st: Any, p: Any, rng: np.random.Generator, out: Array) -> None:
    """Emit MARK and FUNDING rows that are due."""
    mark = p.low_ticks + math.floor(efficient_index(st, p) + 0.5)
    if p.mark_every_s > 0 and st.t_s >= st.next_mark_s:
        stamp(st, p, rng, st.next_mark_s)
        emit(st, p, out, MARK, 0, mark, 0, 0)
        st.next_mark_s = (math.floor(st.t_s / p.mark_every_s) + 1.0) * p.mark_every_s
    if p.funding_every_s > 0 and st.t_s >= st.next_funding_s:
        stamp(st, p, rng, st.next_funding_s)
        emit(st, p, out, FUNDING, 0, mark, math.floor(p.funding_rate * 1e9 + 0.5), 0)
        st.next_funding_s += p.funding_every_s


@kernel
def schedule(st: Any, p: Any, rng: np.random.Generator, episode: int) -> None:
    """Next start of an episode: one in each period of `every_s`, at a random place from 0.3 to 0.8 of it."""
    every_s = p.every_s[episode]
    if every_s > 0:
        st.episode_start_s[episode] = (st.episode_count[episode] + 0.3 + 0.5 * rng.random()) * every_s
        st.episode_count[episode] += 1
    else:
        st.episode_start_s[episode] = np.inf


@kernel
def episodes(st: Any, p: Any, rng: np.random.Generator) -> None:
    """Start the episodes that are due. A pause of the venue moves time at once."""
    for episode in range(EPISODES):
        if st.t_s < st.episode_start_s[episode]:
            continue
        schedule(st, p, rng, episode)
        st.direction[episode] = 1 if rng.random() < 0.5 else -1
        st.episode_end_s[episode] = st.t_s + p.length_s[episode]
        if episode == STALE:
            advance(st, p, rng, p.length_s[STALE])
            st.next_mark_s = (math.floor(st.t_s / max(p.mark_every_s, 1e-9)) + 1.0) * p.mark_every_s
        elif episode == LOSS:
            st.muted, st.lost = 1, 0


@kernel
def draw_lots(rng: np.random.Generator, mean_lots: float) -> int:
    """An order size: geometric-like, at least one lot."""
    return 1 + int(mean_lots * rng.standard_exponential())


@kernel
def typical_lots(p: Any, distance: int) -> float:
    """Queue length at which insertions and cancellations balance: it grows with the distance from the touch."""
    return p.queue_lots * (0.5 + 0.25 * min(distance, 6))


@kernel
def limit_order(st: Any, p: Any, lots: Array, near: Array, rng: np.random.Generator, out: Array, side: int) -> None:
    """A limit order at a random distance from the opposite best; thinned by its edge and by the queue it would join."""
    row = row_of(side)
    index = st.best[1 - row] - side * (1 + near[int(rng.random() * QUANTILES)])
    queue = lots[row, index]
    edge = side * (efficient_index(st, p) - index)
    willing = min(max((edge - p.edge_ticks) / p.edge_width_ticks + 0.5, 0.0), 1.0)
    distance = max(side * (st.best[row] - index), 0)
    typical = typical_lots(p, distance)
    if rng.random() < willing * 1.5 * typical / (typical + queue):
        size = draw_lots(rng, p.order_lots * (0.5 + typical / (typical + queue)))
        book_message(st, p, rng)
        put(st, p, lots, out, side, index, queue + size)


@kernel
def cancel(st: Any, p: Any, lots: Array, near: Array, rng: np.random.Generator, out: Array, side: int) -> None:
    """A cancellation at a random distance from the own best; its intensity is concave in the queue."""
    row = row_of(side)
    distance = near[int(rng.random() * QUANTILES)]
    index = st.best[row] - side * distance
    queue = lots[row, index]
    typical = typical_lots(p, distance)
    if rng.random() < 1.5 * queue / (typical + queue):
        size = draw_lots(rng, p.order_lots * (0.5 + queue / (typical + queue)))
        book_message(st, p, rng)
        put(st, p, lots, out, side, index, max(queue - size, 0))


@kernel
def pull(st: Any, p: Any, lots: Array, rng: np.random.Generator, out: Array, side: int) -> None:
    """Makers of one side withdraw every level that the efficient price has left behind, in one message."""
    row = row_of(side)
    efficient = efficient_index(st, p)
    book_message(st, p, rng)
    put(st, p, lots, out, side, st.best[row], 0)
    while st.levels[row] > 1 and side * (efficient - st.best[row]) < p.pull_edge_ticks:
        put(st, p, lots, out, side, st.best[row], 0)


@kernel
def market_order(st: Any, p: Any, lots: Array, rng: np.random.Generator, out: Array, side: int) -> None:
    """A market order: prints, then its depth message; it excites both sides and moves the efficient price.

    An ordinary one takes no more than the best level.
    """
    row = row_of(side)
    other = 1 - row
    queue = lots[other, st.best[other]]
    sweeping = running(st, SWEEP) and st.direction[SWEEP] == side
    large = rng.random() < (0.5 if sweeping else p.large_share)
    wanted = draw_lots(rng, p.trade_lots * (p.large_factor if large else 1.0))
    if not large:
        wanted = min(wanted, queue)
    st.match_id += 1
    book_message(st, p, rng)
    left, index = wanted, st.best[other]
    while left > 0 and index >= 0:
        taken = min(left, lots[other, index])
        emit(st, p, out, TRADE, side, p.low_ticks + index, taken, st.match_id)
        left -= taken
        index = scan(lots[other], index + side, side)
    left = wanted
    while left > 0 and st.levels[other] > 1:
        index = st.best[other]
        taken = min(left, lots[other, index])
        put(st, p, lots, out, -side, index, lots[other, index] - taken)
        left -= taken
    st.excitation[row] += p.self_excitation / p.excitation_s
    st.excitation[other] += p.cross_excitation / p.excitation_s
    st.slow_ticks += side * p.impact_ticks * min(wanted / p.trade_lots, 5.0)


@kernel
def toggle(st: Any, p: Any, lots: Array, rng: np.random.Generator, out: Array) -> None:
    """Flip-flop: show a large size at one best quote, then take it away again."""
    if st.toggle_lots > 0:
        row, index, shown = row_of(st.toggle_side), st.toggle_index, st.toggle_lots
        st.toggle_lots = 0
        if lots[row, index] > 0:
            book_message(st, p, rng)
            put(st, p, lots, out, st.toggle_side, index, max(lots[row, index] - shown, 0))
    else:
        st.toggle_side = st.direction[FLIP]
        row = row_of(st.toggle_side)
        st.toggle_index = st.best[row]
        st.toggle_lots = int(p.toggle_factor * p.queue_lots)
        book_message(st, p, rng)
        put(st, p, lots, out, st.toggle_side, st.toggle_index, lots[row, st.toggle_index] + st.toggle_lots)


@kernel
def start(st: Any, p: Any, lots: Array, rng: np.random.Generator, out: Array) -> None:
    """Build the first book, typical queues on both sides of the window's middle, and emit it as a snapshot."""
    middle = int(p.half_window)
    for row in range(2):
        side = 1 - 2 * row
        st.best[row] = middle - side
        for distance in range(int(p.depth_ticks)):
            lots[row, middle - side * (1 + distance)] = draw_lots(rng, typical_lots(p, distance))
        st.levels[row] = int(p.depth_ticks)
    st.next_mark_s = p.mark_every_s
    st.next_funding_s = p.first_funding_s
    for episode in range(EPISODES):
        schedule(st, p, rng, episode)
    snapshot(st, p, lots, rng, out)


@kernel
def act(
    st: Any,
    p: Any,
    lots: Array,
    near: Array,
    rates: Array,
    total: float,
    rng: np.random.Generator,
    out: Array,
    single: bool,
) -> None:
    """Draw the type of the event whose time has come, and carry it out; with `single`, only one-row events."""
    choice = rng.random() * total
    event = 0
    while event < RATES - 1 and choice >= rates[event]:
        choice -= rates[event]
        event += 1
    row = event % 2
    side = 1 - 2 * row
    if event < CANCEL:
        limit_order(st, p, lots, near, rng, out, side)
    elif event < MARKET:
        cancel(st, p, lots, near, rng, out, side)
    elif single:
        return
    elif event < PULL:
        # Thinning: the excitation has decayed since the rate was worked out; `choice` lies in the decayed part or not.
        decayed = rates[event] - st.excitation_then[row] + st.excitation[row]
        if choice < decayed:
            market_order(st, p, lots, rng, out, side)
    elif event < TOGGLE:
        pull(st, p, lots, rng, out, side)
    else:
        toggle(st, p, lots, rng, out)


@kernel
def generate(
    state: Array,
    params: Array,
    lots: Array,
    near: Array,
    rng: np.random.Generator,
    out: Array,
    until_s: float,
    exactly: bool,
) -> int:
    """Fill `out` with rows until time `until_s`, or until the next message might not fit; returns the rows written.

    state, params : one row of `SYNTHETIC_STATE`, of `SYNTHETIC_PARAMS`; the state is carried from call to call.
    lots : i8[2, width], the book; all zero at the start.    near : i8[QUANTILES], quantiles of the distance in ticks.
    exactly : fill `out` to its last row; near its end only one-row messages are drawn, so that none is cut.
    """
    st, p = state[0], params[0]
    rates = np.zeros(RATES)
    st.rows = 0
    if st.levels[0] == 0:
        start(st, p, lots, rng, out)
    while st.t_s < until_s and st.rows < out.size:
        single = out.size - st.rows < 4 * (st.levels[0] + st.levels[1]) + 64
        if single and not exactly:
            break
        total = fill_rates(st, p, lots, rates)
        st.excitation_then[0] = st.excitation[0]
        st.excitation_then[1] = st.excitation[1]
        advance(st, p, rng, rng.standard_exponential() / total)
        if not single:
            clock_rows(st, p, rng, out)
            episodes(st, p, rng)
        if st.muted and (single or not running(st, LOSS)):
            recover(st, p, lots, rng, out)
        act(st, p, lots, near, rates, total, rng, out, single)
    return st.rows
