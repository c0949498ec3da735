"""What eight shadow sets cost beside a going session: CPU time of their process.

    .venv/bin/python benchmarks/shadows.py

A paper session trades a recording at the speed that gives 200 events a second, then at 1,000; eight sets run along for
a minute. The last line is JSON.
"""

from __future__ import annotations

import json
import os
import tempfile
import threading
import time
from pathlib import Path

from recordings import load

import mmlab
from mmlab.lab.shadows import ShadowProcess, read_shadows

RECORDINGS = {200: "BitMEX XBTUSD", 1000: "COIN-M BTCUSD_PERP"}
QUICK = {"strategy.warmup_s": 5.0, "strategy.warmup_min_trades": 0}
"""So that the sets quote while they are measured."""
WARM_S, MEASURE_S = 25.0, 40.0
SETS = {f"set {i}": {"ladder.offset_ticks": [i, 3 * i, 5 * i, 8 * i]} for i in range(1, 9)}


def cpu_s(pid: int) -> float:
    """CPU time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(rate: int, folder: Path) -> tuple[float, int, int]:
    """Percent of a core, rows of the report, resident memory in MB."""
    feed = load(RECORDINGS[rate])
    span_s = (feed.events["local_ns"][-1] - feed.events["local_ns"][0]) / 1e9
    session = mmlab.Session(
        mmlab.Config().with_(**QUICK), feed=feed, speed=rate / (len(feed) / span_s), loop=True, out=folder
    )
    thread = threading.Thread(target=session.run)
    thread.start()
    while not (folder / "run.json").exists() or not session.began:
        time.sleep(0.1)
    shadows = ShadowProcess(folder)
    for name, changes in SETS.items():
        shadows.add(name, changes)
    assert shadows.pid is not None
    time.sleep(WARM_S)
    before, began = cpu_s(shadows.pid), time.monotonic()
    time.sleep(MEASURE_S)
    percent = 100 * (cpu_s(shadows.pid) - before) / (time.monotonic() - began)
    status = Path(f"/proc/{shadows.pid}/status").read_text(encoding="ascii")
    memory = int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) // 1024
    rows = len(read_shadows(folder))
    shadows.stop()
    session.stop()
    thread.join()
    return percent, rows, memory


def main() -> None:
    results = {}
    for rate in RECORDINGS:
        with tempfile.TemporaryDirectory() as folder:
            percent, rows, memory = measure(rate, Path(folder) / "run")
        results[f"core_percent_{rate}"], results["rows"] = percent, rows
        print(f"{len(SETS)} sets at {rate} events/s: {percent:.1f} % of a core, {memory} MB, {rows} rows in the report")
    print(json.dumps(results))


if __name__ == "__main__":
    main()
