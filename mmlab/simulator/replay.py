"""`replay`: trade a tape with the decision kernel, and hand back what happened."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numba
import numpy as np

from mmlab.errors import ConfigError
from mmlab.events import MAX_RUNGS, NS_PER_S, TARGET
from mmlab.instrument import Instrument
from mmlab.kernels.decide import new_state
from mmlab.kernels.policy import INTERPRETED, one_row, records
from mmlab.kernels.quoter import QUOTER_T, compile_quoter, no_quotes
from mmlab.params import PARAMS, QUOTER
from mmlab.simulator.latency import Latency
from mmlab.simulator.loop import DONE, ROOM, run_replay
from mmlab.simulator.state import L3, QUEUES, SIM, TABLE_DTYPES, UNSET, WORKING, Array, Delays, Market, Tables
from mmlab.simulator.tape import Tape

FIRST_ROWS = 4 * ROOM
COUNTERS = (
    "messages", "placed", "cancels", "modifies", "rejects", "refused", "hits", "gaps", "funding", "decides", "valid_ns"
)  # fmt: skip


@dataclass(frozen=True)
class Replay:
    """What happened in a replay.

    Attributes
    ----------
    fills : ndarray of FILL
        In the order the exchange made them.
    orders : ndarray of ORDER
        Every transition of an order, when we did it or heard of it.
    decisions : ndarray of DECISION
        Decisions whose targets or reasons differ from the one before.
    targets : ndarray of TARGET
        Their quotes.
    gates : ndarray of GATE
        Triggers of gates and kill switches.
    metrics : ndarray of METRIC
        One row a second of local time.
    counters : dict of int
        ``messages`` sent, of them ``placed``, ``cancels``, ``modifies``; ``rejects`` and ``refused`` (too late);
        ``hits``, ``gaps``, ``funding`` instants, ``decides``; ``duration_ns`` of the feed on the local clock,
        ``valid_ns`` with a usable book, ``quoting_bid_ns``, ``quoting_ask_ns`` with a resting quote,
        ``at_touch_bid_ns``, ``at_touch_ask_ns`` with one at the best price.
    position_lots : int
        Position at the end.
    state : ndarray of STATE, shape (1,)
        The decision kernel's memory at the end.
    """

    fills: Array
    orders: Array
    decisions: Array
    targets: Array
    gates: Array
    metrics: Array
    counters: dict[str, int]
    position_lots: int
    state: Array


def replay(
    tape: Tape,
    instrument: Instrument,
    params: Array,
    latency: Latency | None = None,
    queue: str = "risk_averse",
    queue_exponent: float = 3.0,
    *,
    partial_fills: bool = True,
    fill_on_cross: bool = False,
    through_only: bool = False,
    quoter: Callable[..., int] | None = None,
    seed: int = 0,
    record_decisions: bool = True,
    record_metrics: bool = True,
) -> Replay:
    """Replay a tape through the decision kernel and the simulated exchange.

    Parameters
    ----------
    tape : Tape
        From `build_tape`; shared by every run on a feed.
    instrument : Instrument
        Must agree with `params`.
    params : ndarray of PARAMS, shape (1,)
        From `mmlab.resolve`.
    latency : Latency, optional
        Of our requests and their answers.
    queue : {"risk_averse", "power", "log", "l3"}
        Queue position model; "l3" needs an order-by-order feed.
    queue_exponent : float
        Of "power".
    partial_fills : bool
        False: an order that a trade reaches is filled whole.
    fill_on_cross : bool
        Fill when the opposite best price reaches ours without a trade.
    through_only : bool
        Only trades strictly through our price fill.
    quoter : callable, optional
        Compiled by `mmlab.kernels.quoter.compile_quoter`; used when `params` names the model QUOTER.
    seed : int
        Of resampled latencies.
    record_decisions, record_metrics : bool
        Whether to keep these tables.

    Returns
    -------
    Replay

    Raises
    ------
    ConfigError
        An argument is out of range, or the feed cannot carry the queue model.
    """
    _check(tape, instrument, params, queue, queue_exponent)
    entry_ns, response_ns = (latency or Latency()).draw(
        tape.latency_ns if latency and latency.resample else _NONE, seed
    )
    p, s = _own(params), new_state()
    sim = _first_sim(tape, p, QUEUES[queue], queue_exponent, record_metrics)
    sim["partial"], sim["through_only"], sim["cross"] = partial_fills, through_only, fill_on_cross and not through_only
    places = records(np.zeros(int(sim["places"][0]), WORKING))
    places["request_ns"] = np.iinfo(np.int64).max
    cursors = [np.zeros(tape.first.shape, np.int32) for _ in range(2)]
    market = Market(
        tape.events, records(tape.book), records(tape.prints), tape.others, tape.links, tape.first, tape.after,
        tape.added, *cursors,
    )  # fmt: skip
    out = Tables(*(records(np.empty(FIRST_ROWS, d)) for d in TABLE_DTYPES[:-1]), _answers(FIRST_ROWS))
    targets = records(np.zeros(2 * MAX_RUNGS + 1, TARGET))
    arguments = (market, p, s, sim, places, Delays(entry_ns, response_ns))
    run, quote = _loop(*arguments, out, targets), _no_quoter() if quoter is None else quoter
    if tape.events.size:
        while run(*arguments, out, targets, quote, record_decisions) != DONE:
            out = _grown(out, sim)
    return _result(out, sim, s)


_NONE = np.zeros(0, np.int64)


def _check(tape: Tape, instrument: Instrument, params: Array, queue: str, exponent: float) -> None:
    wrong = []
    if queue not in QUEUES:
        wrong.append(f"queue = {queue!r}: must be one of {sorted(QUEUES)}")
    elif QUEUES[queue] == L3 and not tape.by_order:
        wrong.append("queue = 'l3': needs an order-by-order feed (ADD, CANCEL, EXECUTE rows), and this one has levels")
    if not 0 < exponent <= 100:
        wrong.append(f"queue_exponent = {exponent!r}: must be > 0 and <= 100")
    if params.dtype != PARAMS or params.shape != (1,):
        wrong.append(f"params: must be one PARAMS row, from mmlab.resolve; got {params.dtype} of shape {params.shape}")
    elif (params["instrument"]["tick_size"][0], params["instrument"]["lot_size"][0]) != (
        instrument.tick_size, instrument.lot_size,
    ):  # fmt: skip
        wrong.append(f"params: resolved for another instrument than {instrument.symbol!r} (tick or lot differ)")
    if wrong:
        raise ConfigError("replay: " + "; ".join(wrong))


def _own(params: Array) -> Array:
    """A copy of the parameters of the one dtype object that kernels are compiled for."""
    row = one_row(PARAMS)
    row[:] = params
    return row


def _first_sim(tape: Tape, p: Array, queue: int, exponent: float, record_metrics: bool) -> Array:
    sim = one_row(SIM)
    for name, value in UNSET.items():
        sim[name] = value
    sim["queue"], sim["exponent"], sim["by_order"] = queue, exponent, tape.by_order
    sim["low_ticks"], sim["high_ticks"] = tape.low_ticks, tape.high_ticks
    sim["places"] = 4 * (MAX_RUNGS if p["quoting"]["model"][0] == QUOTER else max(1, int(p["quoting"]["rungs"][0]))) + 4
    if tape.events.size:
        sim["since_ns"] = sim["started_ns"] = tape.events[0]["local_ns"]
        sim["end_ns"] = tape.events[-1]["local_ns"]
        if record_metrics:
            sim["metric_ns"] = (int(sim["since_ns"][0]) // NS_PER_S + 1) * NS_PER_S
    return sim


def _answers(rows: int) -> Array:
    return records(np.empty((2, rows), TABLE_DTYPES.answers))


def _grown(out: Tables, sim: Array) -> Tables:
    """The tables with twice the rows, where fewer than half are free; answers that were heard are dropped."""
    used = {name: int(sim[name][0]) for name in Tables._fields[:-1]}
    tables = []
    for name, table in zip(Tables._fields[:-1], out[:-1], strict=True):
        if 2 * used[name] < table.size - 2 * ROOM:
            tables.append(table)
            continue
        larger = records(np.empty(2 * table.size, table.dtype))
        larger[: used[name]] = table[: used[name]]
        tables.append(larger)
    pending = sim["tail"][0] - sim["head"][0]
    answers = _answers(max(FIRST_ROWS, 2 * int(pending.max()) + 2 * ROOM))
    for side in range(2):
        head, n = int(sim["head"][0, side]), int(pending[side])
        answers[side, :n] = out.answers[side, head : head + n]
        sim["head"][0, side], sim["tail"][0, side] = 0, n
    return Tables(*tables, answers)


def _result(out: Tables, sim: Array, s: Array) -> Replay:
    row = sim[0]
    tables = {
        name: np.array(getattr(out, name)[: int(row[name])], copy=True).view(np.ndarray) for name in Tables._fields[:-1]
    }
    counters = {name: int(row[name]) for name in COUNTERS}
    counters["duration_ns"] = int(row["end_ns"]) - int(row["started_ns"])
    for i, side in enumerate(("bid", "ask")):
        counters[f"quoting_{side}_ns"] = int(row["quoting_ns"][i])
        counters[f"at_touch_{side}_ns"] = int(row["touch_ns"][i])
    return Replay(**tables, counters=counters, position_lots=int(row["position_lots"]), state=s)


@cache
def _no_quoter() -> Callable[..., int]:
    return no_quotes if INTERPRETED else compile_quoter(no_quotes)


def _loop(market: Market, *arguments: Any) -> Callable[..., int]:
    """The replay loop, compiled on first use for one signature, and cached on disk.

    With an explicit signature a quoter crosses as a function pointer: another quoter never recompiles the loop.
    """
    dispatcher: Any = run_replay
    if not INTERPRETED and not dispatcher.overloads:
        types = [numba.typeof(argument) for argument in (market, *arguments)]
        dispatcher.compile(numba.int64(*types, QUOTER_T, numba.boolean))
        dispatcher.disable_compile()
    return dispatcher
