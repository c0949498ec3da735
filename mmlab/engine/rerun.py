"""The decisions of a recorded run, made again from its inputs: they must be the same bit for bit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from mmlab.engine.decider import FILL_COLUMNS, Decider, QuoterAddress
from mmlab.errors import SessionError
from mmlab.events import DECISION, EVENT, FILL, GATE, METRIC, TARGET, InputKind

Array = np.ndarray[Any, Any]
TABLES = {"decisions": DECISION, "targets": TARGET, "gates": GATE, "metrics": METRIC}
FIRST_OWN = min(InputKind)


def rerun(
    inputs: Array, params: Mapping[int, Array], mid_ticks: int, quoter: QuoterAddress | None = None
) -> dict[str, Array]:
    """Feed a run's inputs to a fresh decision kernel.

    Parameters
    ----------
    inputs : ndarray of INPUT
        In the order consumed.
    params : mapping
        Parameter version -> `PARAMS` row; 0 is what the run began with.
    mid_ticks : int
        The price about which the run laid its book.
    quoter : QuoterAddress, optional
        The run's quoting function.

    Returns
    -------
    dict
        Tables ``decisions, targets, gates`` and ``metrics``; of the metrics only what the kernel knows.

    Raises
    ------
    SessionError
        An input is of an unknown kind, or its parameter version is missing.
    """
    written: dict[str, list[Array]] = {name: [] for name in TABLES}

    def record(table: str, rows: Array, targets: Array | None = None) -> None:
        if table in written:
            written[table].append(rows.copy())
        if targets is not None:
            written["targets"].append(targets.copy())

    decider = Decider(params[0], mid_ticks, record, quoter)
    own = np.flatnonzero(inputs["kind"] >= FIRST_OWN)
    start = 0
    for i in own.tolist():
        if i > start:
            decider.hear(market_rows(inputs[start:i]))
        start = i + 1
        row = inputs[i]
        if int(row["kind"]) == InputKind.SECOND:
            written["metrics"].append(decider.metrics(int(row["local_ns"])))
        else:
            repeat(decider, row, params)
    if start < inputs.size:
        decider.hear(market_rows(inputs[start:]))
    decider.settle()
    return {
        name: np.concatenate(written[name]) if written[name] else np.zeros(0, dtype) for name, dtype in TABLES.items()
    }


def market_rows(inputs: Array) -> Array:
    """Market rows of inputs, as `EVENT`."""
    rows = np.zeros(inputs.size, EVENT)
    for column in EVENT.names or ():
        rows[column] = inputs[column]
    return rows


def repeat(decider: Decider, row: Any, params: Mapping[int, Array]) -> None:
    """Give one of our own inputs again."""
    kind, t_ns = int(row["kind"]), int(row["local_ns"])
    if kind == InputKind.DECIDE:
        decider.decide(t_ns)
    elif kind == InputKind.ORDERS:
        lots = int(row["price_ticks"]), int(row["size_lots"])
        decider.orders(t_ns, lots, int(row["order_id"]), int(row["client_order_id"]), int(row["side"]))
    elif kind == InputKind.FILL:
        fill = np.zeros(1, FILL)
        for column in FILL_COLUMNS:
            fill[column] = row[column]
        decider.fill(fill)
    elif kind == InputKind.PARAMS:
        version = int(row["order_id"])
        if version not in params:
            raise SessionError(f"inputs name parameter version {version}, and changes.jsonl does not: it is cut short")
        decider.change(t_ns, params[version], version)
    elif kind == InputKind.HALT:
        decider.halt(t_ns)
    elif kind == InputKind.REARM:
        decider.rearm(t_ns)
    else:
        raise SessionError(f"inputs hold a row of the unknown kind {kind}: they were written by another mmlab")
