"""Drive a `Decider` over a feed as the engine does, one instant after the other, without orders."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np

import mmlab
from mmlab.engine.decider import Decider
from mmlab.events import Kind
from mmlab.lab.warm_up import calibrate, warm_up
from mmlab.resolve import resolve

Array = np.ndarray[Any, Any]


class Tables:
    """Keeps what is recorded."""

    def __init__(self) -> None:
        self.rows: dict[str, list[Array]] = defaultdict(list)

    def record(self, table: str, rows: Array, targets: Array | None = None) -> None:
        self.rows[table].append(rows.copy())
        if targets is not None:
            self.rows["targets"].append(targets.copy())

    def __getitem__(self, table: str) -> Array:
        return np.concatenate(self.rows[table])


def make_decider(feed: mmlab.Feed, config: mmlab.Config) -> tuple[Decider, Tables, Array]:
    """A decider for a feed, its tables, and its parameters."""
    fit = warm_up(calibrate(feed, config, feed.instrument))
    params, _ = resolve(config, feed.instrument, fit)
    tables = Tables()
    return Decider(params, feed.instrument.to_ticks(fit.mid), tables.record), tables, params


def instants(events: Array) -> list[Array]:
    """Rows of each local time; a message whose rows were heard apart stays whole."""
    cuts = np.flatnonzero(np.diff(events["local_ns"])) + 1
    a, b = events[cuts - 1], events[cuts]
    level = (a["kind"] == Kind.DEPTH) & (b["kind"] == Kind.DEPTH)
    half = level & (a["exch_ns"] == b["exch_ns"]) & (a["order_id"] == b["order_id"])
    return np.split(events.copy(), cuts[~half])


def drive(decider: Decider, events: Array) -> None:
    """Hear every instant, decide whenever it is due."""
    for rows in instants(events):
        t_ns = int(rows["local_ns"][0])
        while decider.next_deadline() < t_ns:
            decider.decide(decider.next_deadline())
        decider.hear(rows)
        if decider.due(t_ns):
            decider.decide(t_ns)
    decider.settle()


def same_bits(a: Array, b: Array) -> bool:
    """Whether two tables are equal bit for bit, padding apart."""
    return a.size == b.size and all(a[name].tobytes() == b[name].tobytes() for name in a.dtype.names or ())
