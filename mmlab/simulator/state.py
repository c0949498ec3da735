"""The records of a replay: our orders, as we believe them and as the exchange has them; two clocks; tables."""

from __future__ import annotations

from typing import Any

import numpy as np

from mmlab.events import BOOK, DECISION, EVENT, FILL, GATE, METRIC, NEVER_NS, NO_PRICE, ORDER, TARGET
from mmlab.kernels.book import PRINT, STEP
from mmlab.kernels.decide import STATE
from mmlab.params import PARAMS
from mmlab.simulator.memory import one_row_at, rows_of

Array = np.ndarray[Any, Any]

RISK_AVERSE, POWER, LOG, L3 = range(4)
QUEUES = {"risk_averse": RISK_AVERSE, "power": POWER, "log": LOG, "l3": L3}
"""Queue position models."""
NONE, PLACE, CANCEL, MODIFY = range(4)
"""Requests."""
ACCEPTED, REJECTED, CANCELED, REFUSED, MODIFIED, FILLED = range(6)
"""Answers; REFUSED is a cancel or modify that came too late."""
NO_ASK = -(NO_PRICE + 1)
"""`SIM.best_ticks` of an ask side without an order of ours; a bid side has `NO_PRICE`."""

WORKING = np.dtype(
    [
        # what we believe
        ("state", "u1"), ("how", "u1"), ("side", "i1"), ("rung", "i1"), ("price_ticks", "i8"), ("size_lots", "i8"),
        ("filled_lots", "i8"), ("order_id", "i8"), ("client_order_id", "i8"),
        # the request in flight
        ("request", "i8"), ("request_ns", "i8"), ("request_ticks", "i8"), ("request_lots", "i8"), ("request_n", "i8"),
        # what the exchange has
        ("live", "i8"), ("at_ticks", "i8"), ("leaves_lots", "i8"), ("done_lots", "i8"), ("venue_id", "i8"),
        ("priority", "i8"), ("ahead_lots", "f8"), ("traded_lots", "i8"), ("level_lots", "i8"),
        ("arrived_row", "i8"), ("cell", "i8"),
    ], align=True,
)  # fmt: skip
"""A place for one order. ``state`` is PLANNED while it is free, ``how`` its `TargetFlag`, ``request_lots`` the total
size asked for. At the exchange ``leaves_lots`` are to be filled and ``done_lots`` filled; ``level_lots`` is its level's
size after the last change, and ``traded_lots`` what traded at the price since; ``arrived_row`` is the number of rows
before its arrival, ``cell`` that of its level, -1 while it does not rest."""

ANSWER = np.dtype(
    [
        ("exch_ns", "i8"), ("local_ns", "i8"), ("kind", "i8"), ("place", "i8"), ("reason", "i8"), ("price_ticks", "i8"),
        ("size_lots", "i8"), ("fill_row", "i8"), ("order_id", "i8"), ("client_order_id", "i8"),
    ], align=True,
)  # fmt: skip
"""A message of the exchange on its way to us. ``size_lots`` is the order's total size, or the lots of the fill."""

FEED_TABLES = np.dtype(
    [
        ("events", "i8"), ("n_events", "i8"), ("book", "i8"), ("n_book", "i8"), ("prints", "i8"), ("n_prints", "i8"),
        ("others", "i8"), ("n_others", "i8"), ("steps", "i8"), ("times", "i8"), ("added", "i8"), ("by_order", "i8"),
        ("low_ticks", "i8"), ("high_ticks", "i8"), ("width", "i8"),
    ], align=True,
)  # fmt: skip
"""Addresses of a `Tape`'s tables, and its price window."""
CELL = np.dtype([("row", "i4"), ("ours", "i4")], align=True)
"""A price level: the last row that named it, plus 1, and how many live orders of ours are at it."""

OUT_DTYPES = {
    "fills": FILL,
    "orders": ORDER,
    "decisions": DECISION,
    "targets": TARGET,
    "gates": GATE,
    "metrics": METRIC,
}
"""Tables a replay writes."""
OUT_TABLES = np.dtype(
    [(f"{prefix}{name}", "i8") for prefix in ("", "max_") for name in (*OUT_DTYPES, "answers")],
    align=True,
)
"""Their addresses and sizes; ``answers`` holds the bid's, then the ask's."""

SIM = np.dtype(
    [
        ("feed", FEED_TABLES), ("out", OUT_TABLES), ("params", "i8"), ("state", "i8"), ("places", "i8"),
        ("n_places", "i8"), ("wanted", "i8"),
        # how fills work
        ("queue", "i8"), ("exponent", "f8"), ("partial", "i8"), ("cross", "i8"), ("through_only", "i8"),
        ("started_ns", "i8"), ("end_ns", "i8"), ("goes_on", "i8"),
        # exchange clock: next of each stream, and when the first of them is due
        ("x_print", "i8"), ("x_book", "i8"), ("x_row", "i8"), ("x_due_ns", "i8"), ("x_cells", "i8"), ("x_begin", "i8"),
        ("request_ns", "i8"), ("live", "i8", (2,)), ("best_ticks", "i8", (2,)),
        ("position_lots", "i8"), ("arrivals", "i8"), ("hits", "i8"), ("hit_ns", "i8", (2,)), ("hit_id", "i8", (2,)),
        # local clock
        ("print", "i8"), ("book", "i8"), ("other", "i8"), ("row", "i8"), ("cells", "i8"), ("begin", "i8"),
        ("known_lots", "i8"), ("clients", "i8"), ("requests", "i8"), ("decided_ns", "i8"), ("grid_ns", "i8"),
        ("metric_ns", "i8"),
        # messages, per side: latencies used up, time of the last one, answers not heard yet
        ("entry", "i8"), ("n_entry", "i8"), ("response", "i8"), ("n_response", "i8"),
        ("entries", "i8", (2,)), ("entry_ns", "i8", (2,)), ("responses", "i8", (2,)), ("response_ns", "i8", (2,)),
        ("head", "i8", (2,)), ("tail", "i8", (2,)), ("answer_ns", "i8"),
        # uptime on the local clock, per side
        ("working_lots", "i8", (2,)), ("shown_ticks", "i8", (2,)), ("touching", "i8", (2,)), ("since_ns", "i8"),
        ("quoting_ns", "i8", (2,)), ("touch_ns", "i8", (2,)), ("valid_ns", "i8"), ("counted_ns", "i8", (4,)),
        # rows written, and counts
        ("fills", "i8"), ("orders", "i8"), ("decisions", "i8"), ("targets", "i8"), ("gates", "i8"), ("metrics", "i8"),
        ("decides", "i8"), ("messages", "i8"), ("placed", "i8"), ("cancels", "i8"), ("modifies", "i8"),
        ("rejects", "i8"), ("refused", "i8"), ("gaps", "i8"), ("funding", "i8"), ("reasons", "i8", (2,)),
        ("last_targets", "i8"),
    ], align=True,
)  # fmt: skip
"""A replay between two instants. ``x_*`` are positions on the exchange clock, the others on the local clock;
``best_ticks`` our best live price a side at the exchange, ``shown_ticks`` the same as we believe it; ``wanted`` is the
address of the targets `decide` writes. With ``goes_on`` the feed goes on after ``end_ns``, and nothing ends there."""
FIRST_VALUES = {
    "request_ns": NEVER_NS, "answer_ns": NEVER_NS, "grid_ns": NEVER_NS, "metric_ns": NEVER_NS, "decided_ns": -NEVER_NS,
    "best_ticks": (NO_PRICE, NO_ASK), "shown_ticks": (NO_PRICE, NO_ASK),
    "hit_ns": (-NEVER_NS, -NEVER_NS),
}  # fmt: skip
"""Values of `SIM` at the start that are not 0."""

event_at, book_at, print_at, step_at = rows_of(EVENT), rows_of(BOOK), rows_of(PRINT), rows_of(STEP)
place_at, answer_at, fill_at, order_at = rows_of(WORKING), rows_of(ANSWER), rows_of(FILL), rows_of(ORDER)
decision_at, target_at, gate_at, metric_at = rows_of(DECISION), rows_of(TARGET), rows_of(GATE), rows_of(METRIC)
cell_at = rows_of(CELL)
int32_at, int64_at = rows_of(np.dtype("i4")), rows_of(np.dtype("i8"))
params_at, state_at = one_row_at(PARAMS), one_row_at(STATE)
