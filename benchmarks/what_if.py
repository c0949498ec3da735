"""What-if over the last half hour of a BTC perpetual: from changes to table and picture, and what `refresh` costs.

    .venv/bin/python benchmarks/what_if.py

A paper session trades the COIN-M BTCUSD recording, looped, as fast as it can. Its directory is then written again, a
second of the session's time at a time, as a session writes it; meanwhile a `Rehearsal` follows, and after every second
a question is asked. Times are wall clock; the last line is JSON.
"""

from __future__ import annotations

import json
import math
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from recordings import load

import mmlab
from mmlab.events import EVENT, NS_PER_S, Kind
from mmlab.lab.rehearsal import Rehearsal
from mmlab.lab.what_if_figure import what_if_figure
from mmlab.telemetry.inputs import read_inputs
from mmlab.telemetry.live import LiveRun
from mmlab.telemetry.run_directory import read_record, read_run
from mmlab.venues.paper.market import lap_ns

RECORDING = "COIN-M BTCUSD_PERP"
WINDOW_S = 1800.0
SECONDS = 100
QUESTIONS = [
    {"ladder.offset_ticks": [ticks, 3 * ticks, 5 * ticks, 8 * ticks]} for ticks in (2, 3, 4, 5)
] + [
    {"gates.flip.mode": mode} for mode in ("off", "skip", "widen")
] + [{"strategy.min_spread_bps": bps} for bps in (0.5, 1.0, 2.0, 4.0)]  # fmt: skip


def looped(feed: mmlab.Feed, laps: int) -> mmlab.Feed:
    """A feed several times over, as the paper venue loops it."""
    seam = np.zeros(3, EVENT)
    seam["kind"] = [Kind.GAP, Kind.SNAPSHOT_BEGIN, Kind.SNAPSHOT_END]
    parts: list[Any] = []
    for lap in range(laps):
        events = feed.events.copy()
        for name in ("exch_ns", "local_ns"):
            events[name] += lap * lap_ns(feed.events)
        if parts:
            seam["local_ns"], seam["exch_ns"] = parts[-1]["local_ns"][-1], parts[-1]["exch_ns"].max()
            parts.append(seam.copy())
        parts.append(events)
    return mmlab.Feed(feed.instrument, np.concatenate(parts))


def session(folder: Path) -> Path:
    """A session of a little over half an hour."""
    paper = mmlab.Session(feed=looped(load(RECORDING), 4), speed=math.inf, out=folder)
    paper.run(duration_s=WINDOW_S + 420)
    return folder


class Writer:
    """Writes a run's directory again, as far as it had come at a time."""

    def __init__(self, source: Path, target: Path) -> None:
        record, stored = read_record(source), read_run(source)
        self.live = LiveRun(target, stored.config, stored.info, record["instrument"], flush_s=0.02, patient=True)
        self.inputs = read_inputs(source, record["inputs"])
        tables = stored.tables
        self.rows = {"inputs": self.inputs, "fills": tables.fills, "metrics": tables.metrics, "gates": tables.gates}
        self.rows = {name: rows[np.argsort(rows["local_ns"], kind="stable")] for name, rows in self.rows.items()}
        self.at = dict.fromkeys(self.rows, 0)
        self.decisions, self.targets, self.decided = tables.decisions, tables.targets, 0

    def write(self, until_ns: int) -> int:
        """Everything up to a time; returns the number of inputs."""
        before = self.at["inputs"]
        for name, rows in self.rows.items():
            end = int(np.searchsorted(rows["local_ns"], until_ns, "right"))
            for begin in range(self.at[name], end, 4096):
                self.live.put(name, rows[begin : min(end, begin + 4096)])
            self.at[name] = end
        end = int(np.searchsorted(self.decisions["local_ns"], until_ns, "right"))
        for i in range(self.decided, end):
            row = self.decisions[i : i + 1]
            first = int(row["first_target"][0])
            self.live.put("decisions", row, self.targets[first : first + int(row["targets"][0])])
        self.decided = end
        time.sleep(0.1)  # it is written by a thread
        return self.at["inputs"] - before


def timed(work: Any) -> tuple[float, float, Any]:
    """Seconds, CPU seconds and result of a call."""
    start, cpu = time.perf_counter(), time.process_time()
    result = work()
    return time.perf_counter() - start, time.process_time() - cpu, result


def percentiles(seconds: list[float]) -> str:
    """Median, 95th percentile and most, in ms."""
    p50, p95 = np.percentile(seconds, (50, 95))
    return f"median {p50 * 1e3:.0f} ms, p95 {p95 * 1e3:.0f} ms, max {max(seconds) * 1e3:.0f} ms"


def main() -> None:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(sys.argv[1]) if len(sys.argv) > 1 else session(Path(temporary) / "session")
        writer = Writer(folder, Path(temporary) / "going")
        begin_ns = int(writer.inputs["local_ns"][0])
        now_ns = begin_ns + round((WINDOW_S + 200) * NS_PER_S)
        writer.write(now_ns)
        rehearsal = Rehearsal(writer.live.path, WINDOW_S)
        opened_s, _, held = timed(rehearsal.refresh)
        first_s, _, figure = timed(lambda: what_if_figure(rehearsal.compare(QUESTIONS[0])))
        answers, cpus, fresh, refreshes, anchored = [], [], [], [], []
        for i in range(SECONDS):
            now_ns += NS_PER_S
            writer.write(now_ns)
            anchors = rehearsal.recording.anchors
            _, cost_s, _ = timed(rehearsal.refresh)
            (refreshes if rehearsal.recording.anchors == anchors else anchored).append(cost_s)
            question = QUESTIONS[i % len(QUESTIONS)]
            old = None if i % 10 == 9 else figure
            wall, cpu, figure = timed(lambda q=question, old=old: what_if_figure(rehearsal.compare(q), old))
            (answers if old is not None else fresh).append(wall)
            cpus.append(cpu)
        rehearsal.close()
        writer.live.close()
    per_s = (sum(refreshes) + sum(anchored)) / SECONDS
    print(f"{held:,} events of {WINDOW_S / 60:.0f} min; opened in {opened_s:.2f} s, first answer in {first_s:.2f} s")
    print(f"changes to table and picture: {percentiles(answers)} (target 300); CPU {percentiles(cpus)}")
    print(f"the same with a picture made anew: {percentiles(fresh)}")
    print(
        f"refresh: {np.median(refreshes) * 1e3:.1f} ms CPU each second, {1e3 * max(anchored, default=0):.0f} ms when"
        f" the window moves ({len(anchored)} times in {SECONDS} s): {100 * per_s:.1f} % of a core"
    )
    print(json.dumps({
        "events": held, "median_ms": 1e3 * float(np.median(answers)), "p95_ms": 1e3 * float(np.percentile(answers, 95)),
        "cpu_median_ms": 1e3 * float(np.median(cpus)), "cpu_p95_ms": 1e3 * float(np.percentile(cpus, 95)),
        "refresh_core_percent": 100 * per_s, "opened_s": opened_s,
    }))  # fmt: skip


if __name__ == "__main__":
    main()
