"""What logs, CSV and metrics cost the engine: ``python benchmarks/overhead.py``.

One paper session at 200 market events a second, in real time. From window to window its telemetry is turned on and off:

    without   rows, lines and facts go nowhere
    record    the tables a run can be decided anew from are written: inputs, decisions, orders
    with      all is: these, log.jsonl, the CSV files, gates.jsonl; and the listener is scraped as often as
              `ops/prometheus.yml` says, over a connection that stays, as Prometheus does
    quick     the same, scraped every second

A window lasts as long as it is from one scrape to the next; what the one before left to the writer is waited for first.
CPU time of the process, all threads, user and system, a market message; the paper venue is part of it. Windows come in
turns, so that a machine's moods, which last longer, touch all kinds alike: each share is the median over the turns of
one kind above another, ``error`` its standard error by the quartiles. ``scrape_ms`` is the CPU time of one scrape after
a pause, the engine at rest. The last line is JSON.
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
KINDS = ("without", "record", "with", "quick")
RECORD = ("inputs", "decisions", "orders")
WINDOW_S = Terms().scrape_s
SCRAPES = {"with": 1, "quick": round(WINDOW_S)}
"""Kinds of window in which all is kept -> scrapes in a window."""
BEGIN_S, SETTLE_S = 4.0, 1.25
AT_REST, PAUSE_S = 100, 0.02
HEADERS = {"Accept": "text/plain;version=0.0.4;q=1,*/*;q=0.1", "Accept-Encoding": "gzip"}


class Log:
    """A log that is kept in some windows."""

    def __init__(self, files, log):
        self._files, self._log = files, log

    def info(self, event, **fields):
        """Write it, or forget it."""
        if self._files.kind in SCRAPES:
            self._log.info(event, **fields)

    def warning(self, event, **fields):
        """Write it, or forget it."""
        if self._files.kind in SCRAPES:
            self._log.warning(event, **fields)

    def error(self, event, **fields):
        """Write it, or forget it."""
        if self._files.kind in SCRAPES:
            self._log.error(event, **fields)


class Switched(LiveRun):
    """A run that keeps what its window's kind says."""

    kind = "with"

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.log = Log(self, self.log)

    def put(self, table, rows, targets=None):
        """Keep rows, or forget them."""
        if self.kind in SCRAPES or (self.kind == "record" and table in RECORD):
            super().put(table, rows, targets)


def speed_of(feed) -> float:
    """How fast the feed is played to have the rate."""
    times = feed.events["local_ns"]
    batches = len(set(times.tolist()))
    return EVENTS_PER_S / (batches / ((times[-1] - times[0]) / 1e9))


async def session(turns: int) -> dict[str, list[float] | float]:
    """One session: microseconds of CPU a market message in each window of each kind; rate; seconds a scrape takes."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        config = mmlab.Config().with_(**{
            "strategy.warmup_s": 5, "telemetry.metrics_port": 0, "telemetry.targets_dir": str(folder / "targets"),
        })  # fmt: skip
        feed = mmlab.load_feed(SAMPLE)
        trade = Trade(Plan(feed, config, speed_of(feed), "overhead", True, FaultPlan(), 0, None, "risk_averse"))
        trades.LiveRun = Switched
        running = asyncio.create_task(trade.run(folder / "run", await trade.open(), None))
        while trade.engine is None:  # noqa: ASYNC110  nothing else says so
            await asyncio.sleep(0.1)
        await asyncio.sleep(BEGIN_S)
        scraper = await scraper_of(target_in(folder / "targets"))
        forget_totals(trade)
        begun, batches = time.monotonic(), trade.engine.market_batches
        found = {kind: [] for kind in KINDS}
        for turn in range(turns):
            for kind in (*KINDS[turn % 4 :], *KINDS[: turn % 4]):
                found[kind].append(await window(kind, trade, scraper))
        rate = (trade.engine.market_batches - batches) / (time.monotonic() - begun)
        trade.files.kind = "with"
        trade.stop()
        await running
        scraper.terminate()
        await scraper.wait()
        return {**found, "rate": rate, "scrape_s": await one_scrape_s(trade)}


def forget_totals(trade) -> None:
    """Running totals are for the metrics only, so not kept where there are none."""
    keep = trade.engine.rolling.second
    trade.engine.rolling.second = lambda *row: keep(*row) if trade.files.kind in SCRAPES else None


async def window(kind: str, trade, scraper) -> float:
    """CPU microseconds a market message."""
    trade.files.kind = kind
    await asyncio.sleep(SETTLE_S)
    n, engine = SCRAPES.get(kind, 0), trade.engine
    cpu_s, batches = time.process_time(), engine.market_batches
    for i in range(max(1, n)):
        if i < n:
            scraper.stdin.write(b"\n")
        await asyncio.sleep(WINDOW_S / max(1, n))
    return 1e6 * (time.process_time() - cpu_s) / (engine.market_batches - batches)


async def one_scrape_s(trade) -> float:
    """CPU seconds of one scrape: of several, with pauses in which the processor's caches are lost to others."""
    exporter = Exporter(trade.facts)
    scraper = await scraper_of(await exporter.start())
    before_s = time.process_time()
    for _ in range(AT_REST):
        scraper.stdin.write(b"\n")
        await asyncio.sleep(PAUSE_S)
    scraper.stdin.close()
    await scraper.wait()
    used_s = time.process_time() - before_s
    await exporter.close()
    return used_s / AT_REST


def target_in(targets: Path) -> str:
    """Where the session's listener is, by its file for Prometheus."""
    (file,) = targets.glob("*.json")
    return json.loads(file.read_text())[0]["targets"][0]


async def scraper_of(target: str):
    """A process that scrapes once for every line it is sent, so that its own cost is not counted."""
    return await asyncio.create_subprocess_exec(sys.executable, __file__, "--scrape", target, stdin=subprocess.PIPE)


def scrape(target: str) -> None:
    """Ask again and again on one connection."""
    connection = http.client.HTTPConnection(target, timeout=10)
    for _ in sys.stdin:
        connection.request("GET", "/metrics", headers=HEADERS)
        connection.getresponse().read()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=16)
    parser.add_argument("--scrape", metavar="TARGET")
    options = parser.parse_args()
    if options.scrape:
        scrape(options.scrape)
        return
    found = asyncio.run(session(options.turns))

    def above(kind: str, base: str) -> list[float]:
        return [one / other - 1 for one, other in zip(found[kind], found[base], strict=True)]

    share = above("with", "without")
    low, _, high = statistics.quantiles(share, n=4)
    print(json.dumps({
        "share": statistics.median(share), "error": 1.25 * (high - low) / 1.35 / len(share) ** 0.5,
        "share_1s": statistics.median(above("quick", "without")),
        "share_above_record": statistics.median(above("with", "record")),
        "share_of_record": statistics.median(above("record", "without")),
        "scrape_every_s": WINDOW_S, "scrape_ms": 1e3 * found["scrape_s"], "rate": found["rate"], "turns": len(share),
        **{f"{kind}_us": statistics.median(found[kind]) for kind in KINDS},
    }))  # fmt: skip


if __name__ == "__main__":
    main()
