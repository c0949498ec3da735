"""A disk that hangs, is slow, or is full, under a session: orders are not delayed, and it is said.

    python benchmarks/slow_disk.py

A paper session in real time at ten times the sample's speed, its writer throttled; for each disk, latency from market
rows to sender (median, 99 %, most), what the log, the state and the metrics said. The last line is JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import errno
import json
import os
import tempfile
import time
from functools import partial
from pathlib import Path

import mmlab
from mmlab.lab import trade as trades
from mmlab.lab.demo import SAMPLE
from mmlab.lab.plan import Plan
from mmlab.lab.trade import Trade
from mmlab.telemetry import live
from mmlab.venues.paper import FaultPlan

CONFIG = mmlab.Config().with_(**{"strategy.warmup_s": 5})
BEGIN_S, TROUBLE_S = 4.0, 12.0


class Disk:
    """Stands for `os.pwrite`."""

    def __init__(self, kind: str) -> None:
        self.kind, self.bad = kind, False

    def __call__(self, file, data, offset):
        """Write as this disk does."""
        if self.bad and self.kind == "full":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if self.bad and self.kind == "hanging":
            while self.bad:
                time.sleep(0.01)
        if self.bad and self.kind == "slow":
            time.sleep(0.3)
        return os.pwrite(file, data, offset)


async def session(kind: str, folder: Path) -> dict[str, object]:
    """One session with one disk."""
    disk = Disk(kind)
    trades.LiveRun = partial(live.LiveRun, write=disk)
    trade = Trade(Plan(mmlab.load_feed(SAMPLE), CONFIG, 10.0, kind, True, FaultPlan(), 0, None, "risk_averse"))
    running = asyncio.create_task(trade.run(folder / kind, await trade.open(), None))
    while trade.engine is None or not trade.engine.courier.messages:  # noqa: ASYNC110  nothing else says so
        await asyncio.sleep(0.1)
    await asyncio.sleep(BEGIN_S)
    trade.engine.stopwatch.reset()
    disk.bad = kind != "good"
    await asyncio.sleep(TROUBLE_S)
    latency, seen = trade.engine.stopwatch.percentiles_us(), trade.files.health()
    text = trade.metrics_text()
    disk.bad = False
    await asyncio.sleep(2.0)
    trade.stop()
    await running
    events = [json.loads(line) for line in (folder / kind / "log.jsonl").read_text().splitlines()]
    behind = [line for line in text.splitlines() if line.startswith("mmlab_disk_behind_seconds{")]
    return {
        "total_us": latency.get("total"), "behind_s": seen["behind_s"], "warnings": seen["warnings"],
        "metric_behind_s": float(behind[0].rsplit(" ", 1)[1]), "disk_errors": seen["disk_errors"],
        "said": [line["what"] for line in events if line["event"] == "disk_trouble"],
        "recovered": any(line["event"] == "disk_recovered" for line in events),
        "ended": json.loads((folder / kind / "run.json").read_text())["ended"],
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--disks", nargs="*", default=["good", "slow", "hanging", "full"])
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps({kind: asyncio.run(session(kind, Path(folder))) for kind in parser.parse_args().disks}))


if __name__ == "__main__":
    main()
