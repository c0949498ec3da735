"""The decision kernel as the engine holds it: inputs in, targets out, and every input written down.

What reaches the kernel goes through `Decider` alone, in one order, and is handed to `record` as `INPUT` rows; so a
run's inputs, fed to a fresh `Decider`, give the same decisions bit for bit (`mmlab.engine.rerun`). The rows of a market
message and of the decision on it wait until `settle`, or the next input: orders leave first.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from types import SimpleNamespace
from typing import Any, Protocol

import numba
import numpy as np

from mmlab.events import DECISION, EVENT, FILL, INPUT, MAX_RUNGS, METRIC, TARGET, InputKind
from mmlab.kernels.decide import (
    metrics_row,
    new_state,
    on_fill,
    on_orders,
    rearm,
    slippage_ticks,
    trip_manual,
)
from mmlab.kernels.live import decide_at, decide_now, hear_rows, row_fault, rows_fault
from mmlab.kernels.live_book import LIVE_BOOK, new_book, recentred
from mmlab.kernels.policy import INTERPRETED, one_row, records
from mmlab.kernels.quoter import SIGNATURE, no_quotes
from mmlab.kernels.state import STATE
from mmlab.orders.events import Quote
from mmlab.params import PARAMS

Array = np.ndarray[Any, Any]
MOST_TARGETS = 2 * MAX_RUNGS + 1
HEARD = 4096
"""Market rows for which the memory is at hand."""
FILL_COLUMNS = ("exch_ns", "local_ns", "side", "rung", "liquidity", "price_ticks", "size_lots", "order_id",
                "client_order_id", "fee", "mid")  # fmt: skip


class Record(Protocol):
    """Where rows of a run's tables go (`mmlab.telemetry.live.LiveRun.put`). Rows are good only during the call."""

    def __call__(self, table: str, rows: Array, targets: Array | None = None) -> object:
        """Add rows to a table; decisions come with their targets."""


class Decider:
    """Drives the decision kernel.

    Parameters
    ----------
    params : ndarray of PARAMS, shape (1,)
        From `mmlab.resolve`; copied.
    mid_ticks : int
        A price of the market, about which the book's window is laid.
    record : callable
        Takes rows of ``inputs, decisions, gates``.
    quoter : QuoterAddress, optional
        A user's quoting function.
    """

    def __init__(self, params: Array, mid_ticks: int, record: Record, quoter: QuoterAddress | None = None) -> None:
        self.params, self.state = one_row(PARAMS), new_state()
        self.params[:] = params
        self.book, self.levels = new_book(mid_ticks)
        self.decides, self.last_ns = 0, 0
        self.heard_gates: Callable[[Array], object] = _unheard
        """Takes each batch of `GATE` rows too, good only during the call."""
        self._record, self._user = record, quoter or no_quoter()
        self._owed: list[tuple[str, Array, Array | None]] = []
        self._owes_decision = False
        self._quoter: Any = self._user.function if INTERPRETED else self._user.address
        self._kernels = load_kernels()
        self._targets = records(np.zeros(2 * MOST_TARGETS, TARGET))
        self._input, self._heard, self._decision = np.zeros(1, INPUT), np.zeros(HEARD, INPUT), one_row(DECISION)
        self._decision["targets"] = -1
        self._heard_ns = self._heard["local_ns"]
        self._deciding = np.zeros(1, INPUT)
        self._deciding["kind"] = InputKind.DECIDE
        self._deciding_ns = self._deciding["local_ns"]
        state = self.state  # views into it, since taking a record apart costs more than a decision
        self._dirty, self._deadline_ns, self._gates = state["dirty"], state["deadline_ns"], state["gates"]["n"]
        self._reasons = state["side"]["reasons"][0]
        self._step_ns = self.params["execution"]["step_ns"]
        self._best = numbers(self.book)
        self._quotes: tuple[Quote, ...] = ()

    # --- Inputs ------------------------------------------------------------------------------------------------------

    def hear(self, rows: Array) -> int:
        """Take market rows: whole venue messages, in the order received. Returns how many changed the best quotes."""
        self.settle()
        n = rows.size
        inputs = self._heard[:n] if n <= HEARD else np.zeros(n, INPUT)
        heard: int = self._kernels.hear(self.params, self.state, self.book, self.levels, rows, inputs)
        self._owed.append(("inputs", inputs, None))
        last_ns = self._heard_ns.item(n - 1) if n <= HEARD else int(inputs["local_ns"][-1])
        self.last_ns = max(self.last_ns, last_ns)
        if heard & 1:
            self.book, self.levels = recentred(self.book, self.levels)
            self._best = numbers(self.book)
        return heard >> 1

    def fill(self, fill: Array) -> None:
        """Take a fill of ours (one `FILL` row)."""
        row = self._own(InputKind.FILL, int(fill["local_ns"][0]))
        for column in FILL_COLUMNS:
            row[column] = fill[column]
        self._record("inputs", row)
        self._kernels.fill(self.params, self.state, records(fill)[0])

    def orders(self, t_ns: int, lots: tuple[int, int], working: int, messages: int, exit_live: int) -> None:
        """Take the state of our working orders: lots bid and ask, orders, messages sent, whether an exit works."""
        row = self._own(InputKind.ORDERS, t_ns)
        row["side"], row["price_ticks"], row["size_lots"] = exit_live, lots[0], lots[1]
        row["order_id"], row["client_order_id"] = working, messages
        self._record("inputs", row)
        self._kernels.orders(self.params, self.state, t_ns, lots[0], lots[1], working, messages, exit_live)

    def change(self, t_ns: int, params: Array, version: int) -> None:
        """New parameters, from now on; what was learned stays."""
        row = self._own(InputKind.PARAMS, t_ns)
        row["order_id"] = version
        self._record("inputs", row)
        self.params[:] = params
        self._dirty[0] = 1

    def halt(self, t_ns: int) -> None:
        """An operator's kill, latched."""
        self._record("inputs", self._own(InputKind.HALT, t_ns))
        self._kernels.halt(self.params, self.state, t_ns)

    def rearm(self, t_ns: int) -> None:
        """An operator re-arms all switches."""
        self._record("inputs", self._own(InputKind.REARM, t_ns))
        self._kernels.rearm(self.params, self.state, t_ns)

    def _own(self, kind: InputKind, t_ns: int) -> Array:
        """The one row of own inputs, blank but for kind and time."""
        self.settle()
        self.last_ns = max(self.last_ns, t_ns)
        row = self._input
        row[0] = (0, t_ns, kind, 0, 0, 0, 0, 0, 0, 0, 0.0, 0.0)
        return row

    # --- Decision ----------------------------------------------------------------------------------------------------

    def due(self, t_ns: int) -> bool:
        """Whether something changed, or a deadline of the kernel is over."""
        return bool(self._dirty.item() or self._deadline_ns.item() <= t_ns)

    def next_deadline(self) -> int:
        """When to decide even if nothing happens, ns."""
        return int(self._deadline_ns[0])

    def nudge(self) -> None:
        """Have a decision made soon, whatever changed."""
        self._dirty[0] = 1

    def decide(self, t_ns: int) -> tuple[Quote, ...]:
        """Where quotes should rest now: the very tuple given last if nothing changed."""
        if self._owes_decision:
            self.settle()
        t_ns = self.last_ns = max(t_ns, self.last_ns)
        self._deciding_ns[0] = t_ns
        self._owed.append(("inputs", self._deciding, None))
        self._owes_decision = True
        targets, row = self._targets, self._decision
        told = self._kernels.decide(self.params, self.state, self.book, self.levels, t_ns, targets, row, self._quoter)
        self.decides += 1
        if told & 1:
            targets = targets[: told >> 1]
            self._quotes = tuple(
                [Quote(s, rung, price, lots, flags) for s, rung, flags, price, lots in targets.tolist()]
            )
            self._owed.append(("decisions", row, targets))
        if self._gates.item():
            self._drain_gates()
        return self._quotes

    def settle(self) -> None:
        """Hand on to the record what waits: its memory is needed for the next message."""
        if self._owed:
            for owed in self._owed:
                self._record(*owed)
            self._owed.clear()
            self._owes_decision = False

    def _drain_gates(self) -> None:
        log = self.state[0]["gates"]
        rows = log["rows"][: int(log["n"])]
        self._record("gates", rows)
        self.heard_gates(rows)
        log["n"] = 0

    def metrics(self, t_ns: int) -> Array:
        """The `METRIC` row of now, except messages, quoting and touch shares. Time passes by it, so it is an input."""
        t_ns = max(t_ns, self.last_ns)
        self._record("inputs", self._own(InputKind.SECOND, t_ns))
        row = one_row(METRIC)
        self._kernels.second(self.params, self.state, t_ns, records(row)[0])
        return row

    def slippage_ticks(self) -> int:
        """How far from the best price an exit may trade now."""
        return int(self._kernels.slippage(self.params, self.state))

    @property
    def step_ns(self) -> int:
        """`strategy.step_ms`."""
        return int(self._step_ns.item())

    @property
    def best(self) -> list[int]:
        """Best quotes as of the last message that changed them, in the order of `LIVE_BOOK`: seven numbers."""
        quotes: list[int] = self._best.tolist()
        return quotes

    @property
    def reasons(self) -> tuple[int, int]:
        """`Reason` bits of the last decision, bid and ask."""
        bid, ask = self._reasons.tolist()
        return bid, ask


def numbers(book: Array) -> Array:
    """A view on the best quotes of a `LIVE_BOOK` row: taking a record apart costs more than a decision."""
    return np.asarray(book).view(np.int64)[:7]


class QuoterAddress:
    """A quoting function, compiled, and where it stands.

    Parameters
    ----------
    function : callable
        ``f(market, metrics, position_lots, params, out) -> n``.
    """

    def __init__(self, function: Callable[..., int]) -> None:
        self.function = function
        self._kept: list[Any] = [] if INTERPRETED else [numba.cfunc(SIGNATURE)(function)]
        self.address = int(self._kept[0].address) if self._kept else 0


@cache
def no_quoter() -> QuoterAddress:
    """The quoting function of a built-in model, which is never asked."""
    return QuoterAddress(no_quotes)


def _kernels() -> dict[str, Any]:
    """What is called from here, by name: nothing may be compiled, or looked for on disk, while trading."""
    p, s, book, event, inputs, target, decision = (
        numba.types.Array(numba.from_dtype(dtype), 1, "C")
        for dtype in (PARAMS, STATE, LIVE_BOOK, EVENT, INPUT, TARGET, DECISION)
    )
    fill, metric = numba.from_dtype(FILL), numba.from_dtype(METRIC)
    levels, i8, none = numba.types.Array(numba.int64, 2, "C"), numba.int64, numba.void
    return {
        "hear": (hear_rows, i8(p, s, book, levels, event, inputs)),
        "decide": (decide_now if INTERPRETED else decide_at, i8(p, s, book, levels, i8, target, decision, i8)),
        "fill": (on_fill, none(p, s, fill)),
        "orders": (on_orders, none(p, s, i8, i8, i8, i8, i8, i8)),
        "second": (metrics_row, none(p, s, i8, metric)),
        "halt": (trip_manual, none(p, s, i8)),
        "rearm": (rearm, i8(p, s, i8)),
        "slippage": (slippage_ticks, i8(p, s)),
        "fault": (row_fault, i8(event, i8, i8, i8)),
        "faults": (rows_fault, i8(event, numba.types.Array(i8, 1, "C"), i8)),
    }


@cache
def load_kernels() -> SimpleNamespace:
    """Compile each kernel for the one signature it is called with, or load it from the cache."""
    loaded = SimpleNamespace()
    for name, (function, signature) in _kernels().items():
        if not INTERPRETED:
            function.compile(signature)
        setattr(loaded, name, function)
    return loaded


def _unheard(rows: Array) -> None:
    """Nobody asks for gates beside the record."""
