"""Whether a busy notebook stalls trading, and what becomes of the orders when its kernel is killed.

    python benchmarks/busy_notebook.py --repeats 5

A real Jupyter kernel starts a paper session at 200 market messages a second and then runs cells: nothing, a sleep, a
Python loop, a pandas group-by, `json.loads` of 30 MB, Numba compiling. Meanwhile the engine times itself: from market
rows in hand to the sender (``total``), and how late its event loop is (``lag``, 20 times a second). Then the kernel is
killed with SIGKILL while quoting, and a new one attaches. The last line printed is one JSON object; milliseconds.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import signal
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from jupyter_client.manager import start_new_kernel
from latency import messages

from mmlab.errors import SessionError
from mmlab.lab.client import Client
from mmlab.lab.demo import sample_feed

RATE = 200.0
GRACE_S = 3.0
LOADS = {
    "idle": "pass",
    "sleep": "import time; time.sleep(5)",
    "python": "end = time.monotonic() + 5\nwhile time.monotonic() < end: sum(range(1000))",
    "pandas": (
        "end = time.monotonic() + 5\n"
        "while time.monotonic() < end: frame.groupby('key').agg({'x': ['mean', 'std', 'median'], 'y': 'sum'})"
    ),
    "json": "end = time.monotonic() + 5\nwhile time.monotonic() < end: json.loads(text)",
    "numba": (
        "end = time.monotonic() + 5\n"
        "while time.monotonic() < end:\n"
        "    @numba.njit\n"
        "    def f(a):\n"
        "        return np.sort(a).cumsum() + np.median(a)\n"
        "    f(np.ones(3))"
    ),
}
PREPARE = """
import json, time, numba, numpy as np, pandas as pd, mmlab
rng = np.random.default_rng(0)
frame = pd.DataFrame({"key": rng.integers(0, 1000, 1_000_000), "x": rng.normal(size=1_000_000), "y": 1.0})
text = json.dumps([{"id": i, "price": i * 0.5, "name": "x" * 40} for i in range(400_000)])
"""
START = """
config = mmlab.Config().with_(**{{"strategy.warmup_s": 10.0, "strategy.warmup_min_trades": 0}})
s = mmlab.Session(config, feed={feed!r}, speed={speed}, loop=True, out={out!r}, name="busy").start()
s.state()
"""


def run_cell(client: Any, code: str, timeout_s: float = 120.0) -> str:
    """Run a cell to its end; its text. A cell that fails is an error here."""
    said: list[str] = []

    def hear(message: dict[str, Any]) -> None:
        content = message["content"]
        said.append(content.get("text") or content.get("data", {}).get("text/plain") or "")
        if message["msg_type"] == "error":
            raise RuntimeError(f"cell failed: {content['ename']}: {content['evalue']}")

    client.execute_interactive(code, timeout=timeout_s, output_hook=hear)
    return "".join(said)


def during(engine: Client, work: Any) -> dict[str, float]:
    """What the engine measured while `work` ran."""
    before = {stage: row["n"] for stage, row in engine.state()["latency_us"].items()}
    start = time.monotonic()
    work()
    time.sleep(max(0.0, 5.0 - (time.monotonic() - start)))
    after = {stage: row["n"] for stage, row in engine.state()["latency_us"].items()}
    out: dict[str, float] = {}
    for stage in ("total", "lag"):
        n = after[stage] - before.get(stage, 0)
        samples = np.array(engine.latencies_us(stage, min(n, 10_000))) / 1e3
        out |= {
            f"{stage}_n": n,
            f"{stage}_p99": float(np.percentile(samples, 99)),
            f"{stage}_max": float(samples.max()),
        }
    return out


def kill_the_kernel(manager: Any, engine: Client) -> dict[str, Any]:
    """SIGKILL while quoting: how long until nothing rests."""
    while not engine.state()["orders"]:
        time.sleep(0.02)
    os.kill(manager.provisioner.pid, signal.SIGKILL)
    start = time.monotonic()
    quoting_s, how = 0.0, "engine gone"
    while time.monotonic() - start < GRACE_S + 20:
        try:
            state = engine.state()
        except SessionError:
            break
        if not state["orders"] and (state["ended"] or state["trading"] == "halted"):
            how = f"{state['trading']}, {state['why']}, {state['ended']}"
            break
        quoting_s = time.monotonic() - start
        time.sleep(0.02)
    return {
        "how": how,
        "quoted_on_s": round(quoting_s, 2),
        "empty_after_s": round(time.monotonic() - start, 2),
        "grace_s": GRACE_S,
    }


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    feed = sample_feed()
    span_s = (int(feed.events["local_ns"][-1]) - int(feed.events["local_ns"][0])) / 1e9
    speed = RATE / (messages(feed.events) / span_s)
    assert feed.path is not None
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        start = START.format(feed=str(feed.path), speed=speed, out=str(out))
        manager, kernel = start_new_kernel()
        try:
            run_cell(kernel, PREPARE)
            run_cell(kernel, start)
            engine = Client.of(out)
            while not engine.state()["orders"]:
                time.sleep(0.1)
            time.sleep(5)
            rows = {name: [] for name in LOADS}
            for _ in range(args.repeats):
                for name, code in LOADS.items():
                    rows[name].append(during(engine, lambda code=code: run_cell(kernel, code)))
            restart(manager, kernel, engine, out)
            engine.update({"owner.grace_s": GRACE_S})
            lost = kill_the_kernel(manager, engine)
        finally:
            kernel.stop_channels()
            manager.shutdown_kernel(now=True)
    result = {
        name: {key: round(float(np.median([row[key] for row in repeats])), 3) for key in repeats[0]}
        for name, repeats in rows.items()
    }
    print(json.dumps({"loads": result, "killed": lost}))


def restart(manager: Any, kernel: Any, engine: Client, out: Path) -> None:
    """A restarted kernel attaches, well within the grace."""
    manager.restart_kernel(now=True)
    kernel.wait_for_ready(timeout=60)
    run_cell(kernel, f"import mmlab; s = mmlab.attach({str(out)!r})")
    said = run_cell(kernel, "print(s.state()['pid'], s.state()['trading'])")
    if str(engine.state()["pid"]) not in said:
        raise RuntimeError(f"attach did not reach the engine: {said}")


if __name__ == "__main__":
    try:
        main()
    except queue.Empty:
        raise SystemExit("a cell did not end in time") from None
