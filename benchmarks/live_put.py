"""What the engine pays for writing a run while it goes: ``python benchmarks/live_put.py``.

The cost of `LiveRun.put` by the form of the row, then a session of 1,000 inputs a second (and what comes with them) for
ten seconds: the slowest puts, and the CPU time of the writer's thread.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np

from mmlab.config import Config
from mmlab.events import DECISION, INPUT, METRIC, ORDER, TARGET
from mmlab.telemetry.info import RunInfo
from mmlab.telemetry.live import LiveRun

INSTRUMENT = {"symbol": "BENCH", "tick_size": 0.1, "lot_size": 0.001}
SECONDS = 10


def live_run(folder: str, name: str, **options) -> LiveRun:
    return LiveRun(Path(folder) / name, Config(), RunInfo(mode="paper"), INSTRUMENT, **options)


def cost_of_a_put(folder: str) -> None:
    live = live_run(folder, "puts", flush_s=3600.0, places={"inputs": 1 << 20})
    rows = np.zeros(64, INPUT)
    forms = {"0-d array": np.zeros((), INPUT), "record": rows[0], "tuple": rows[0].item(), "array of 64": rows}
    for name, row in forms.items():
        n = 300 if name == "array of 64" else 10_000
        best = min(_timed(live, row, n) for _ in range(7))
        per = best / (64 if name == "array of 64" else 1)
        print(f"put of one {INPUT.itemsize}-byte row as {name:12s} {per * 1e9:7.0f} ns CPU a row")
    live.close()


def _timed(live: LiveRun, row: object, n: int) -> float:
    start = time.thread_time()
    for _ in range(n):
        live.put("inputs", row)
    return (time.thread_time() - start) / n


def session(folder: str, name: str, flush_s: float) -> None:
    live = live_run(folder, name, flush_s=flush_s)
    rng = np.random.default_rng(0)
    inputs = np.zeros(1000 * SECONDS, INPUT)
    inputs["price_ticks"] = 600_000 + np.cumsum(rng.integers(-2, 3, inputs.size))
    inputs["size_lots"] = rng.integers(1, 1000, inputs.size)
    decision, order, metric = (np.zeros((), dtype) for dtype in (DECISION, ORDER, METRIC))
    targets = np.zeros(2, TARGET)
    decision["targets"] = 2
    took, start, cpu = [], time.perf_counter(), time.process_time() - time.thread_time()
    for i in range(inputs.size):
        while (wait := start + i / 1000 - time.perf_counter()) > 0:
            time.sleep(wait)
        inputs["local_ns"][i] = time.time_ns()
        row = inputs[i]
        before = time.perf_counter()
        live.put("inputs", row)
        took.append(time.perf_counter() - before)
        if i % 10 == 0:
            live.put("decisions", decision, targets)
            live.put("orders", order)
        if i % 1000 == 0:
            live.put("metrics", metric)
    writer = time.process_time() - time.thread_time() - cpu
    us = np.array(took) * 1e6
    p50, p99, p999 = np.percentile(us, (50, 99, 99.9))
    print(f"1,000 inputs a second for {SECONDS} s, {name}: the writer's thread takes {writer / SECONDS:.2%} of a core;")
    print(f"  a put {p50:.1f} us (median), {p99:.1f} (99 %), {p999:.1f} (99.9 %), {us.max():.0f} at most, wall time")
    stream = (live.path / "inputs.arrows").stat().st_size
    live.close()
    final = (live.path / "inputs.parquet").stat().st_size
    print(f"  inputs.arrows {stream / inputs.size:.1f} bytes a row, inputs.parquet {final / inputs.size:.1f}")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        cost_of_a_put(place)
        session(place, "flushed every second", 1.0)
        session(place, "not flushed, for comparison", 3600.0)
