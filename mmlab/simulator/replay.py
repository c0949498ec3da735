"""`replay`: trade a tape with the decision kernel, and hand back what happened."""

from __future__ import annotations

import mmap
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numba
import numpy as np

from mmlab.errors import ConfigError
from mmlab.events import MAX_RUNGS, NEVER_NS, NS_PER_S, TARGET
from mmlab.instrument import Instrument
from mmlab.kernels.decide import new_state
from mmlab.kernels.policy import INTERPRETED, one_row, records
from mmlab.kernels.quoter import QUOTER_T, compile_quoter, no_quotes
from mmlab.params import PARAMS, QUOTER
from mmlab.simulator.latency import Latency
from mmlab.simulator.loop import DONE, run_replay
from mmlab.simulator.matching import ROOM
from mmlab.simulator.memory import address_of
from mmlab.simulator.state import ANSWER, CELL, FIRST_VALUES, L3, OUT_DTYPES, QUEUES, SIM, WORKING, Array
from mmlab.simulator.tape import Tape

MOST_FIRST_ROWS = 1 << 22
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
    check_setting(tape, instrument, params, queue, queue_exponent)
    latency = latency or Latency()
    delays = latency.draw(tape.latency_ns if latency.resample else np.zeros(0, np.int64), seed)
    sim, kept = _first_sim(tape, params, delays)
    sim["queue"], sim["exponent"], sim["partial"] = QUEUES[queue], queue_exponent, partial_fills
    sim["through_only"], sim["cross"] = through_only, fill_on_cross and not through_only
    first_rows = 4 * ROOM + min(4 * tape.book.size, MOST_FIRST_ROWS)
    out = _grown({}, sim, first_rows)
    if tape.events.size:
        sim["since_ns"] = sim["started_ns"] = tape.events["local_ns"][0]
        sim["end_ns"] = tape.events["local_ns"][-1]
        if record_metrics:
            sim["metric_ns"] = (sim["started_ns"] // NS_PER_S + 1) * NS_PER_S
        run, quote = _loop(), _no_quoter() if quoter is None else quoter
        while run(sim, kept["wanted"], quote, record_decisions) != DONE:
            out = _grown(out, sim, first_rows)
    return _result(out, sim, kept["state"])


def check_setting(tape: Tape, instrument: Instrument, params: Array, queue: str, exponent: float) -> None:
    """Refuse (`ConfigError`) what a replay cannot do; says everything that is wrong."""
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


def _zeros(n: int, dtype: np.dtype[Any]) -> Array:
    """Zeros fresh from the system, which cost memory and time where they are written; `np.zeros` may clear it all.

    Zeros: equal runs have equal bytes, padding too. Large pages: a first write to a page costs more than to clear it.
    """
    area = mmap.mmap(-1, n * dtype.itemsize, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        area.madvise(mmap.MADV_HUGEPAGE)
    return np.frombuffer(area, dtype)


def _first_sim(tape: Tape, params: Array, delays: tuple[Array, Array]) -> tuple[Array, dict[str, Array]]:
    """A `SIM` row at the start of the feed, and the arrays it points to, which must outlive it."""
    rungs = MAX_RUNGS if params["quoting"]["model"][0] == QUOTER else max(1, int(params["quoting"]["rungs"][0]))
    rungs += int(params["age_exit"]["enabled"][0] != 0)  # the exit's places come last
    tables = {name: getattr(tape, name) for name in ("events", "book", "prints", "others", "steps", "times", "added")}
    width = tape.high_ticks - tape.low_ticks + 1
    kept = {
        "params": params.copy(), "state": new_state(), "wanted": records(np.zeros(2 * MAX_RUNGS + 1, TARGET)),
        "places": np.zeros(4 * rungs, WORKING), "entry": delays[0], "response": delays[1],
        "cells": np.zeros(2 * width, CELL), "x_cells": np.zeros(2 * width, CELL),
    }  # fmt: skip
    kept["places"]["request_ns"], kept["places"]["cell"] = NEVER_NS, -1
    sim = one_row(SIM)
    for name, value in FIRST_VALUES.items():
        sim[name] = value
    for name, array in tables.items():
        sim["feed"][name] = address_of(array)
        if name in ("events", "book", "prints", "others"):
            sim["feed"][f"n_{name}"] = array.size
    for name, array in kept.items():
        sim[name] = address_of(array)
    sim["n_places"], sim["n_entry"], sim["n_response"] = kept["places"].size, delays[0].shape[1], delays[1].shape[1]
    for name in ("low_ticks", "high_ticks", "by_order"):
        sim["feed"][name] = getattr(tape, name)
    sim["feed"]["width"] = width
    return sim, kept | tables


def _grown(out: dict[str, Array], sim: Array, first_rows: int) -> dict[str, Array]:
    """The tables a replay writes, larger where less than half is free; answers that were heard are dropped.

    Tables begin large, since what is not written costs no memory.
    """
    head, pending = sim["head"][0].copy(), (sim["tail"] - sim["head"])[0]
    tables = {}
    for name, dtype in OUT_DTYPES.items():
        table, used = out.get(name), int(sim[name][0])
        needed = used + ROOM + int(pending.sum())
        if table is None or 2 * needed > table.size:
            larger = _zeros(max(first_rows, 4 * needed), dtype)
            if table is not None:
                larger[:used] = table[:used]
            table = larger
        tables[name] = table
        sim["out"][name], sim["out"][f"max_{name}"] = address_of(table), table.size
    answers = np.empty((2, 4 * (ROOM + int(pending.max()))), ANSWER)
    for side in range(2):
        answers[side, : pending[side]] = out["answers"][side, head[side] : head[side] + pending[side]] if out else 0
    sim["head"], sim["tail"] = 0, pending
    sim["out"]["answers"], sim["out"]["max_answers"] = address_of(answers), answers.shape[1]
    return {**tables, "answers": answers}


def _result(out: dict[str, Array], sim: Array, state: Array) -> Replay:
    row = sim[0]
    tables = {name: out[name][: int(row[name])] for name in OUT_DTYPES}
    counters = {name: int(row[name]) for name in COUNTERS}
    counters["duration_ns"] = int(row["end_ns"]) - int(row["started_ns"])
    for i, side in enumerate(("bid", "ask")):
        counters[f"quoting_{side}_ns"] = int(row["quoting_ns"][i])
        counters[f"at_touch_{side}_ns"] = int(row["touch_ns"][i])
    return Replay(**tables, counters=counters, position_lots=int(row["position_lots"]), state=state)


@cache
def _no_quoter() -> Callable[..., int]:
    return no_quotes if INTERPRETED else compile_quoter(no_quotes, cache=True)


@cache
def _loop() -> Callable[..., int]:
    """The replay loop, compiled on first use for one signature, and cached on disk.

    With an explicit signature a quoter crosses as a function pointer: another quoter never recompiles the loop.
    """
    dispatcher: Any = run_replay
    if not INTERPRETED:
        sims, targets = (numba.types.Array(numba.from_dtype(dtype), 1, "C") for dtype in (SIM, TARGET))
        dispatcher.compile(numba.int64(sims, targets, QUOTER_T, numba.boolean))
        dispatcher.disable_compile()
    return dispatcher
