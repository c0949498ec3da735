"""Latency and load of the engine, on this machine.

    python benchmarks/latency.py                        # the sample, 200 and 5,000 market messages a second
    python benchmarks/latency.py --feed X.parquet --seconds 60 --signer thread

Each run trades a feed on the paper venue in real time, at the speed that gives so many venue messages a second, with a
signer that does nothing: called on the event loop, as every signer is that says it is `quick`, or with
``--signer thread`` in a thread of its own, as every other one. Stages, in real time:

    decide   rows of a market message in hand -> decision made
    order    a decision -> the order manager's commands
    sign     rows in hand -> payload back from the signer
    total    rows in hand -> payload handed to the sender
    cancel   a cancel is decided -> its payload handed to the sender

``lag`` is how far the engine is behind the market at the end, ``queue_end`` what waits in its mailbox then. CPU time is
of the whole process: engine, signer and paper venue; ``venue_share`` is the paper venue's market feed alone, at the
same rate, with nobody trading. ``cold`` is how many times as long a plain Python loop takes after 5 ms of sleep: what
this machine adds to all that happens 200 times a second. The last line printed is one JSON object.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import time
from typing import Any

import numpy as np

import mmlab
from mmlab.engine.engine import Engine
from mmlab.engine.setup import Setup
from mmlab.lab.demo import sample_feed
from mmlab.lab.warm_up import calibrate, warm_up
from mmlab.venues.paper import PaperSigner, PaperVenue, SlowSigner

NS_PER_S = 1_000_000_000


class Quiet:
    """A log that says nothing."""

    def info(self, event: str, **fields: Any) -> None:
        """Nothing."""

    warning = error = info


def messages(events: np.ndarray) -> int:
    """Venue messages and trades of a feed, by their local time."""
    return int(np.unique(events["local_ns"]).size)


def coldness(n: int = 300) -> float:
    """Median time of a small loop after 5 ms of sleep, over its time when it runs again and again."""

    def timed(pause_s: float) -> float:
        took = []
        for _ in range(n):
            time.sleep(pause_s)
            start, total = time.perf_counter_ns(), 0
            for i in range(200):
                total += i * i
            took.append(time.perf_counter_ns() - start)
        return float(np.median(took))

    return timed(0.005) / timed(0.0)


async def listen(feed: mmlab.Feed, config: mmlab.Config, speed: float, seconds: float) -> float:
    """Share of a core that the paper venue's market feed takes when nobody trades."""
    fit = warm_up(calibrate(feed, config, feed.instrument))
    params = Setup(config, feed.instrument, fit, lambda *_: None, Quiet()).params()
    venue = PaperVenue(feed, params, speed=speed, loop=True)

    async def hear() -> None:
        async for _ in venue.market():
            pass

    task = asyncio.create_task(hear())
    await asyncio.sleep(1.0)
    start = time.perf_counter(), time.process_time()
    await asyncio.sleep(seconds)
    share = (time.process_time() - start[1]) / (time.perf_counter() - start[0])
    task.cancel()
    await venue.close()
    return share


async def trade(
    feed: mmlab.Feed, config: mmlab.Config, rate: float, seconds: float, warm_s: float, signer: PaperSigner
) -> dict[str, Any]:
    """Trade `seconds` of real time at `rate` messages a second, after `warm_s` that are not counted."""
    fit = warm_up(calibrate(feed, config, feed.instrument))
    span_s = (int(feed.events["local_ns"][-1]) - int(feed.events["local_ns"][0])) / NS_PER_S
    speed = rate / (messages(feed.events) / span_s)
    rows = {"n": 0}
    setup = Setup(config, feed.instrument, fit, lambda *_: rows.__setitem__("n", rows["n"] + 1), Quiet())
    engine = Engine(PaperVenue(feed, setup.params(), speed=speed, loop=True, signer=signer), setup)
    task = asyncio.create_task(engine.run())
    await asyncio.sleep(warm_s)
    engine.stopwatch.reset()
    engine.news.peak = engine.reports.peak = 0
    gc.collect()
    gc.freeze()
    start = time.perf_counter(), time.process_time(), engine.market_batches, engine.courier.messages
    await asyncio.sleep(seconds)
    wall, cpu = time.perf_counter() - start[0], time.process_time() - start[1]
    result = {
        "wanted_per_s": rate,
        "signer": "called on the loop" if signer.quick else "in its own thread",
        "speed": round(speed, 2),
        "batches_per_s": round((engine.market_batches - start[2]) / wall, 1),
        "payloads_per_s": round((engine.courier.messages - start[3]) / wall, 1),
        "cpu_share": round(cpu / wall, 4),
        "news_peak": engine.news.peak,
        "queue_end": len(engine.news),
        "lag_ms": round((engine.now() - engine.decider.last_ns) / speed / 1e6, 2),
        "stages_us": {
            stage: {key: round(value, 1) for key, value in row.items()}
            for stage, row in engine.stopwatch.percentiles_us().items()
        },
    }
    engine.stop()
    await task
    return result


def main() -> None:
    """Run at each rate."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--feed", help="a feed file (default: the synthetic sample)")
    parser.add_argument("--rates", type=float, nargs="*", default=[200.0, 5000.0], help="venue messages a second")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--warm", type=float, default=3.0, help="seconds before, not counted")
    parser.add_argument("--rungs", type=int, default=1)
    parser.add_argument("--signer", choices=("quick", "thread"), default="quick", help="where the no-op signer works")
    args = parser.parse_args()
    feed = mmlab.load_feed(args.feed) if args.feed else sample_feed()
    changes = {"strategy.warmup_s": 10.0, "strategy.warmup_min_trades": 0, "strategy.rungs": args.rungs}
    config = mmlab.Config().with_(**changes)
    signer = SlowSigner(0.0) if args.signer == "thread" else PaperSigner()
    out = []
    for rate in args.rates:
        row = asyncio.run(trade(feed, config, rate, args.seconds, args.warm, signer))
        row["venue_share"] = round(asyncio.run(listen(feed, config, row["speed"], args.seconds / 2)), 4)
        out.append({**row, "cold": round(coldness(), 1)})
    print(json.dumps(out))


if __name__ == "__main__":
    main()
