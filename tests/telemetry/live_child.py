"""A process that writes a live run until it is killed.

    python -m tests.telemetry.live_child <folder> <flush_s> <mode>

In mode "put" it puts numbered rows and says each number and the time (monotonic, s) on standard output before the next
one. In mode "close" it puts 40,000 rows, says "closing" and closes.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np

from mmlab.config import Config
from mmlab.events import DECISION, FILL, GATE, METRIC, ORDER, TARGET
from mmlab.telemetry.info import RunInfo
from mmlab.telemetry.live import LiveRun
from tests.telemetry.live_runs import numbered

INSTRUMENT = {"symbol": "TEST", "tick_size": 0.1, "lot_size": 0.001}


def put_numbered(live, i):
    """Row `i` of every table, its number in it."""
    order, fill, metric, gate = (np.zeros((), dtype) for dtype in (ORDER, FILL, METRIC, GATE))
    order["order_id"] = fill["order_id"] = metric["messages"] = gate["n"] = i
    for name, row in (("orders", order), ("fills", fill), ("metrics", metric), ("gates", gate)):
        live.put(name, row)
    live.put("inputs", numbered(1, i)[0])
    decision, targets = np.zeros((), DECISION), np.zeros(i % 3, TARGET)
    decision["local_ns"], decision["targets"] = i, i % 3
    targets["size_lots"] = i
    live.put("decisions", decision, targets)
    live.change(i, "test", {"n": i - 1}, {"n": i}, i)
    live.log.info(f"row {i}", ts_ns=i, n=i)  # names of their own: repeats of one would be held back


def main(folder: str, flush_s: str, mode: str) -> None:
    live = LiveRun(Path(folder), Config(), RunInfo(mode="paper"), INSTRUMENT, flush_s=float(flush_s))
    if mode == "close":
        live.put("inputs", numbered(40_000))
        live.put("orders", np.zeros(40_000, ORDER))
        put_numbered(live, 0)
        print("closing", flush=True)
        live.close()
        return
    i = 0
    while True:
        put_numbered(live, i)
        print(i, time.monotonic(), flush=True)
        i += 1
        time.sleep(0.001)


if __name__ == "__main__":
    main(*sys.argv[1:])
