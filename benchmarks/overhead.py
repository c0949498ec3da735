"""What logs, CSV and metrics cost the engine: ``python benchmarks/overhead.py --seconds 20``.

The same paper session at 200 market events a second, in real time, each in a process of its own: "with" a log, files,
a metrics listener and what scrapes it as often as `ops/prometheus.yml` says; "without" any: rows, lines and facts go
nowhere. CPU time of the process while it trades, a market message; medians of the repeats. The last line is JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path
from types import SimpleNamespace

import mmlab
from mmlab.engine.decider import load_kernels
from mmlab.engine.engine import Engine
from mmlab.engine.setup import Setup
from mmlab.lab.demo import SAMPLE
from mmlab.lab.metrics import serving
from mmlab.lab.plan import Plan
from mmlab.lab.trade import Trade
from mmlab.telemetry.live import LiveRun
from mmlab.telemetry.ops.terms import Terms
from mmlab.venues.paper import FaultPlan, PaperVenue

EVENTS_PER_S = 200
SCRAPE_S = Terms().scrape_s
CONFIG = mmlab.Config().with_(**{"strategy.warmup_s": 5, "telemetry.metrics_port": 0})


class Nothing:
    """A log that nobody keeps."""

    def info(self, event, **fields):
        """Forget it."""

    warning = error = info


def speed_of(feed) -> float:
    """How fast the feed is played to have the rate."""
    times = feed.events["local_ns"]
    batches = len(set(times.tolist()))
    return EVENTS_PER_S / (batches / ((times[-1] - times[0]) / 1e9))


async def session(seconds: float, whole: bool, folder: Path) -> dict[str, float]:
    """One session; CPU seconds and market messages while it trades."""
    feed = mmlab.load_feed(SAMPLE)
    trade = Trade(Plan(feed, CONFIG, speed_of(feed), "overhead", True, FaultPlan(), 0, None, "risk_averse"))
    about = CONFIG.with_(**{"telemetry.targets_dir": str(folder / "targets")})
    trade.plan = Plan(feed, about, trade.plan.speed, "overhead", True, FaultPlan(), 0, None, "risk_averse")
    files = trade.files = LiveRun(folder / "run", about, trade.run_info(), feed.instrument.to_dict()) if whole else None
    put, log = (lambda *_, **__: None, Nothing()) if files is None else (files.put, files.log)
    setup = Setup(about, feed.instrument, trade.fit, put, log)
    load_kernels()
    engine = trade.engine = Engine(
        PaperVenue(feed, setup.params(), faults=FaultPlan(), speed=trade.plan.speed, loop=True), setup
    )
    if not whole:
        engine.rolling.second = lambda *_: None
        engine.histograms.update = lambda: None
    stop = threading.Event()
    async with serving(trade, folder / "run"):
        if whole:
            threading.Thread(target=scrape, args=(folder / "targets", stop), daemon=True).start()
        running = asyncio.ensure_future(engine.run(None))
        await asyncio.sleep(3)
        cpu_s, batches, begun = time.process_time(), engine.market_batches, time.monotonic()
        await asyncio.sleep(seconds)
        used, heard, took = time.process_time() - cpu_s, engine.market_batches - batches, time.monotonic() - begun
        stop.set()
        engine.stop()
        await running
    if files is not None:
        files.close(trade.run_info())
    return {"cpu_s": used, "heard": heard, "rate": heard / took}


def scrape(targets: Path, stop: threading.Event) -> None:
    """Ask again and again, from a process of its own so that its cost is not counted."""
    (file,) = targets.glob("*.json")
    url = "http://" + json.loads(file.read_text())[0]["targets"][0] + "/metrics"
    with subprocess.Popen([sys.executable, __file__, "--scrape", url]) as scraper:
        stop.wait()
        scraper.terminate()


def scraper(url: str) -> None:
    """Until it is ended."""
    while True:
        with urllib.request.urlopen(url, timeout=10) as answer:
            answer.read()
        time.sleep(SCRAPE_S)


def child(whole: bool, seconds: float) -> dict[str, float]:
    """A session in a process of its own."""
    command = [sys.executable, __file__, "--one", "with" if whole else "without", "--seconds", str(seconds)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.strip().splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--one", choices=("with", "without"))
    parser.add_argument("--scrape")
    options = parser.parse_args()
    if options.scrape:
        scraper(options.scrape)
    elif options.one:
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps(asyncio.run(session(options.seconds, options.one == "with", Path(folder)))))
    else:
        rows = {"with": [], "without": []}
        for _ in range(options.repeats):  # in turns, so that both have the machine's moods
            for name, many in rows.items():
                many.append(child(name == "with", options.seconds))
        per = {name: statistics.median(r["cpu_s"] / r["heard"] for r in many) for name, many in rows.items()}
        result = SimpleNamespace(
            with_us=per["with"] * 1e6, without_us=per["without"] * 1e6, share=per["with"] / per["without"] - 1,
            rate=statistics.median(r["rate"] for r in rows["with"]),
            core_share=statistics.median(r["cpu_s"] for r in rows["with"]) / options.seconds,
        )  # fmt: skip
        print(json.dumps(vars(result)))


if __name__ == "__main__":
    main()
