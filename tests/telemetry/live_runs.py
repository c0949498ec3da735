"""What the tests of live run directories share: rows to put, ways to put them, and a disk that misbehaves."""

from __future__ import annotations

import os
import threading

import numpy as np

from mmlab.events import INPUT, InputKind, Kind
from mmlab.telemetry.live import LiveRun

ROW_TABLES = ("orders", "fills", "metrics", "gates")
STREAMED = ("inputs.arrows", "decisions.arrows", "orders.arrows")


def make_inputs(feed, rng):
    """The feed's events as kernel inputs, with rows of every other kind in between."""
    events = feed.events
    market = np.zeros(events.size, INPUT)
    for name in events.dtype.names:
        market[name] = events[name]
    own = np.zeros(events.size // 3, INPUT)
    own["kind"] = rng.choice(sorted(InputKind), own.size)
    own["local_ns"] = np.sort(rng.choice(events["local_ns"], own.size))
    for name in ("price_ticks", "size_lots", "order_id", "client_order_id"):
        own[name] = rng.integers(-(2**40), 2**40, own.size)
    own["side"], own["fee"], own["mid"] = rng.integers(-1, 2, own.size), rng.normal(size=own.size), np.nan
    rows = np.concatenate((market, own))
    return rows[np.argsort(rows["local_ns"], kind="stable")]


def begin(run, path, **options):
    return LiveRun(path, run.config, run.info, run.instrument.to_dict(), **options)


def put_all(live, run, inputs=None, chunk=None):
    """Put a run's tables row by row, or `chunk` rows at a time."""
    tables = run.tables
    for name in ROW_TABLES:
        for rows in pieces(getattr(tables, name), chunk):
            live.put(name, rows)
    for rows in pieces(tables.decisions, chunk):
        first = int(np.atleast_1d(rows["first_target"])[0])
        live.put("decisions", rows, tables.targets[first : first + int(rows["targets"].sum())])
    for rows in pieces(np.zeros(0, INPUT) if inputs is None else inputs, chunk):
        live.put("inputs", rows)


def pieces(rows, chunk):
    if chunk is None:
        return [rows[i] for i in range(rows.size)]
    return [rows[i : i + chunk] for i in range(0, rows.size, chunk)]


def numbered(n, start=0):
    """Inputs that carry their own number."""
    rows = np.zeros(n, INPUT)
    rows["kind"] = Kind.TRADE
    rows["order_id"] = np.arange(start, start + n)
    return rows


class Disk:
    """Stands for `os.pwrite`: can hang, fill up, and take a part of what it is given.

    Attributes
    ----------
    hang : Event
        While it is clear, writes wait.
    error : OSError or None
        Raised by every write, after the first half of the bytes was written.
    """

    def __init__(self):
        self.hang, self.error, self.short = threading.Event(), None, False
        self.hang.set()
        self.writes = 0

    def __call__(self, file, data, offset):
        self.writes += 1
        self.hang.wait()
        error = self.error  # the test's thread may take it away meanwhile
        if error is not None:
            os.pwrite(file, data[: len(data) // 2], offset)
            raise error
        return os.pwrite(file, data[: max(1, len(data) // 3)] if self.short else data, offset)
