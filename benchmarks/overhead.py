"""What logs, CSV and metrics cost the engine: ``python benchmarks/overhead.py``.

One paper session at 200 market events a second, in real time: same feed, same seed, each in a process of its own.

    without   no files, no log, no metrics: rows, lines and facts go nowhere
    record    the tables a run can be decided anew from: inputs, decisions, orders
    with      all: these, log.jsonl, the CSV files, gates.jsonl, and a listener that is scraped as often as
              `ops/prometheus.yml` says, over a connection that stays, as Prometheus does
    quick     the same, scraped every second

CPU time of the process, all threads, user and system, while it trades; the paper venue is part of it. A market message,
in turns: each share is the median over the turns of one kind above another. ``share`` is "with" above "without",
``share_above_record`` above "record", ``spread`` how far "without" differs from itself; ``scrape_ms`` is the CPU time
of one scrape after a pause, the engine at rest. The last line is JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import mmlab
from mmlab.lab import trade as trades
from mmlab.lab.demo import SAMPLE
from mmlab.lab.plan import Plan
from mmlab.lab.trade import Trade
from mmlab.telemetry.exporter import Exporter
from mmlab.telemetry.live import LiveRun
from mmlab.telemetry.ops.terms import Terms
from mmlab.venues.paper import FaultPlan

EVENTS_PER_S = 200
SCRAPE_S = {"with": Terms().scrape_s, "quick": 1.0}
"""Kinds of session that have a listener -> between two scrapes."""
KINDS = ("without", "record", "with", "quick")
RECORD = ("inputs", "decisions", "orders")
BEGIN_S = 4.0
SCRAPES, PAUSE_S = 100, 0.02
HEADERS = {"Accept": "text/plain;version=0.0.4;q=1,*/*;q=0.1", "Accept-Encoding": "gzip"}


class Nothing:
    """A log that nobody keeps."""

    def info(self, event, **fields):
        """Forget it."""

    warning = error = info


class Nowhere:
    """Stands for `LiveRun` where there are no files."""

    def __init__(self, *_, **__):
        self.log = Nothing()

    def put(self, table, rows, targets=None):
        """Forget them."""

    def change(self, *_):
        """Forget it."""

    def close(self, info):
        """Nothing was opened."""


class RecordOnly(LiveRun):
    """A run that keeps the record's tables and no more."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.log = Nothing()

    def put(self, table, rows, targets=None):
        """Keep rows of the record."""
        if table in RECORD:
            super().put(table, rows, targets)


FILES = {"without": Nowhere, "record": RecordOnly, "with": LiveRun, "quick": LiveRun}


def speed_of(feed) -> float:
    """How fast the feed is played to have the rate."""
    times = feed.events["local_ns"]
    batches = len(set(times.tolist()))
    return EVENTS_PER_S / (batches / ((times[-1] - times[0]) / 1e9))


def blind(engine) -> None:
    """What is kept for the metrics only is not kept."""
    engine.rolling.second = lambda *_: None
    engine.histograms.keep_up = lambda: None


async def session(kind: str, seconds: float, folder: Path) -> dict[str, float]:
    """One session; CPU seconds and market messages while it trades."""
    scraped, targets = kind in SCRAPE_S, folder / "targets"
    config = mmlab.Config().with_(**{
        "strategy.warmup_s": 5, "telemetry.metrics_port": 0 if scraped else None, "telemetry.targets_dir": str(targets),
    })  # fmt: skip
    feed = mmlab.load_feed(SAMPLE)
    trade = Trade(Plan(feed, config, speed_of(feed), "overhead", True, FaultPlan(), 0, None, "risk_averse"))
    trades.LiveRun = FILES[kind]
    begun = asyncio.Event()

    def begin(engine) -> None:
        if not scraped:
            blind(engine)
        begun.set()

    running = asyncio.create_task(trade.run(folder / "run", await trade.open(), None, begun=begin))
    await begun.wait()
    await asyncio.sleep(BEGIN_S)
    scraper = None
    if scraped:
        (file,) = targets.glob("*.json")
        target = json.loads(file.read_text())[0]["targets"][0]
        scraper = await asyncio.create_subprocess_exec(*scraper_of(target, SCRAPE_S[kind]))
        await asyncio.sleep(1.0)
    engine = trade.engine
    cpu_s, batches, start_s = time.process_time(), engine.market_batches, time.monotonic()
    await asyncio.sleep(seconds)
    used_s, heard, took_s = time.process_time() - cpu_s, engine.market_batches - batches, time.monotonic() - start_s
    if scraper is not None:
        scraper.terminate()
        await scraper.wait()
    trade.stop()
    await running
    return {
        "cpu_s": used_s, "heard": heard, "rate": heard / took_s, "core": used_s / took_s,
        "fills": engine.desk.counts["fills"], "scrape_s": await one_scrape_s(trade) if scraped else 0.0,
    }  # fmt: skip


async def one_scrape_s(trade: Trade) -> float:
    """CPU seconds of one scrape: of several, with pauses in which the processor's caches are lost to others."""
    exporter = Exporter(trade.facts)
    command = scraper_of(await exporter.start(), PAUSE_S, SCRAPES)
    before_s = time.process_time()
    await (await asyncio.create_subprocess_exec(*command)).wait()
    used_s = time.process_time() - before_s
    await exporter.close()
    return used_s / SCRAPES


def scraper_of(target: str, every_s: float, n: int = sys.maxsize) -> list[str]:
    """The command of a process that scrapes, so that its own cost is not counted."""
    return [sys.executable, __file__, "--scrape", target, str(every_s), str(n)]


def scrape(target: str, every_s: float, n: int) -> None:
    """Ask again and again on one connection."""
    connection = http.client.HTTPConnection(target, timeout=10)
    for _ in range(n):
        connection.request("GET", "/metrics", headers=HEADERS)
        connection.getresponse().read()
        time.sleep(every_s)


def child(kind: str, seconds: float) -> dict[str, float]:
    """A session in a process of its own."""
    command = [sys.executable, __file__, "--one", kind, "--seconds", str(seconds)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.strip().splitlines()[-1])


def report(rows: dict[str, list[dict[str, float]]]) -> dict[str, float]:
    """Figures of all sessions."""
    us = {kind: [1e6 * row["cpu_s"] / row["heard"] for row in many] for kind, many in rows.items()}

    def above(kind: str, base: str) -> float:
        """Median over the turns: what ran one after the other has the same mood of the machine."""
        return statistics.median(one / other - 1 for one, other in zip(us[kind], us[base], strict=True))

    return {
        "share": above("with", "without"), "share_1s": above("quick", "without"),
        "share_above_record": above("with", "record"), "share_of_record": above("record", "without"),
        "scrape_every_s": SCRAPE_S["with"], "scrape_ms": 1e3 * statistics.median(r["scrape_s"] for r in rows["with"]),
        "rate": statistics.median(row["rate"] for row in rows["with"]),
        "core": statistics.median(row["core"] for row in rows["with"]), "repeats": len(rows["with"]),
        **{f"{kind}_us": statistics.median(each) for kind, each in us.items()},
        "spread": max(us["without"]) / min(us["without"]) - 1,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--one", choices=KINDS)
    parser.add_argument("--scrape", nargs=3, metavar=("TARGET", "EVERY_S", "N"))
    options = parser.parse_args()
    if options.scrape:
        target, every_s, n = options.scrape
        scrape(target, float(every_s), int(n))
    elif options.one:
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps(asyncio.run(session(options.one, options.seconds, Path(folder)))))
    else:
        rows: dict[str, list[dict[str, float]]] = {kind: [] for kind in KINDS}
        for _ in range(options.repeats):  # in turns, so that all have the machine's moods
            for kind, many in rows.items():
                many.append(child(kind, options.seconds))
        print(json.dumps(report(rows)))


if __name__ == "__main__":
    main()
