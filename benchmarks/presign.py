"""Payloads signed ahead, with Lighter's native signer: hit rate, what it costs, and what it saves.

    python benchmarks/presign.py                               # 10 minutes of AMZN in real time, bank on, then off
    python benchmarks/presign.py --minutes 1 --only on

The engine trades a real recording on the paper venue, in this process, in real time (``--speed`` may raise that; then
the signer has less time between two transactions than it would have in life, so the hit rate is a lower bound). Four
API keys made for the purpose (three quote, one is kept for cancels), the default config, refresh tolerance 0. Each
payload is signed by Lighter's signer in the engine's signer thread; the paper venue gets its own bytes.

    hit_rate       creates, modifies and cancels whose payload was ready / all of them that were asked for
    late           misses whose payload was wanted but not made yet; ``unforeseen``: all other misses
    wasted_per_used  payloads made ahead and thrown away, per one that was used
    signer_cpu     CPU time of the signer's thread / time of the run
    sign_us        market rows in hand (or the order manager's decision) -> payload
    total_us       market rows in hand -> payload handed to the sender, of those that follow a market message at once
    cancel_us      a cancel is decided -> its payload handed to the sender

``plain``: the official client's ``sign_create_order``, called as ``create_order`` does before its HTTP request: in the
main thread, where an event loop calls it, and in another one. (In the main thread the signer's Go runtime reads the
process's memory map at each call, which takes milliseconds in a process as large as ours.) The last line is one JSON
object.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import lighter
import numpy as np
from recordings import load

import mmlab
from mmlab.engine.engine import Engine
from mmlab.engine.setup import Setup
from mmlab.events import NS_PER_S
from mmlab.exchange import Payload, Transaction
from mmlab.lab.warm_up import calibrate, warm_up
from mmlab.venues.lighter.endpoint import profile
from mmlab.venues.lighter.keys import Credentials, Secret
from mmlab.venues.lighter.signer import KeySigner, LighterSigner
from mmlab.venues.paper import FaultPlan, PaperVenue
from mmlab.venues.paper.signers import PaperSigner

ACCOUNT = 65


class Quiet:
    """A log that keeps errors only."""

    def __init__(self) -> None:
        self.errors: list[tuple[str, dict[str, Any]]] = []

    def info(self, event: str, **fields: Any) -> None:
        """Nothing."""

    warning = info

    def error(self, event: str, **fields: Any) -> None:
        """Keep it."""
        self.errors.append((event, fields))


class RealSigner:
    """Lighter's signature is made and its time spent; the paper venue gets bytes that it can read."""

    quick = False

    def __init__(self, keys: dict[int, str], cancel_key: int) -> None:
        credentials = Credentials(
            ACCOUNT, {i: Secret(key.removeprefix("0x")) for i, key in keys.items()}, (cancel_key,)
        )
        self._lighter = LighterSigner(KeySigner(profile("mainnet"), credentials), 1)
        self._paper = PaperSigner()
        self.bytes = 0

    def sign(self, transaction: Transaction) -> Payload:
        """Sign for Lighter, encode for paper."""
        self.bytes += len(self._lighter.sign(transaction).data)
        return self._paper.sign(transaction)


def make_keys(n: int) -> dict[int, str]:
    """Private keys that open nothing, by API key index."""
    keys = {}
    for index in range(4, 4 + n):
        secret, _, error = lighter.create_api_key()
        if error:
            raise RuntimeError(error)
        keys[index] = secret
    return keys


def plain(keys: dict[int, str], n: int = 300) -> dict[str, dict[str, float]]:
    """Percentiles of the official client's signing, microseconds."""

    async def make() -> lighter.SignerClient:
        return lighter.SignerClient(profile("mainnet").rest, ACCOUNT, keys, chain_id=304)

    def measure() -> dict[str, float]:
        took = []
        for nonce in range(n):
            start = time.perf_counter_ns()
            *_, error = client.sign_create_order(
                1, 1000 + nonce, 10, 22_000, 0, 0, 2, nonce=nonce, api_key_index=min(keys)
            )
            took.append(time.perf_counter_ns() - start)
            if error:
                raise RuntimeError(error)
        return percentiles(took)

    with asyncio.Runner() as runner, ThreadPoolExecutor(1) as pool:
        client = runner.run(make())
        result = {"main_thread": measure(), "other_thread": pool.submit(measure).result()}
        runner.run(client.close())
    return result


def percentiles(ns: list[int]) -> dict[str, float]:
    """n, p50, p90, p99 in microseconds."""
    if not ns:
        return {"n": 0}
    p50, p90, p99 = np.percentile(ns, (50, 90, 99)) / 1e3
    return {"n": len(ns), "p50": round(float(p50), 1), "p90": round(float(p90), 1), "p99": round(float(p99), 1)}


async def trade(feed: mmlab.Feed, config: mmlab.Config, keys: dict[int, str], args: Any) -> dict[str, Any]:
    """One session over the whole feed."""
    fit = warm_up(calibrate(feed, config, feed.instrument))
    log = Quiet()
    setup = Setup(config, feed.instrument, fit, lambda *_: None, log)
    quote_keys, cancel_key = tuple(keys)[:-1], max(keys)
    venue = PaperVenue(
        feed, setup.params(), speed=args.speed, signer=RealSigner(keys, cancel_key), quote_keys=quote_keys,
        cancel_keys=(cancel_key,), faults=FaultPlan(entry_ms=args.ack_ms / 2, response_ms=args.ack_ms / 2),
    )  # fmt: skip
    engine = Engine(venue, setup)
    gc.collect()
    gc.freeze()
    start = time.perf_counter(), time.process_time()
    ended = await engine.run()
    wall, cpu = time.perf_counter() - start[0], time.process_time() - start[1]
    bank, sent = engine.presigner.numbers(), dict(engine.courier.sent)
    orders = {kind: n for kind, n in sent.items() if kind != "cancel_all"}
    stages = engine.stopwatch.percentiles_us()
    result: dict[str, Any] = {
        "presign": config.execution.presign.enabled,
        "ended": ended,
        "seconds": round(wall, 1),
        "sent": sent,
        "per_s_of_market": round(sum(orders.values()) / (wall * args.speed), 3),
        "fills": engine.desk.counts["fills"],
        "cpu_share": round(cpu / wall, 4),
        "signer_cpu": round(engine.courier.signer.cpu_ns / 1e9 / wall, 4),
        "sign_us": {k: round(v, 1) for k, v in stages.get("sign", {}).items()},
        "total_us": {k: round(v, 1) for k, v in stages.get("total", {}).items()},
        "cancel_us": {k: round(v, 1) for k, v in stages.get("cancel", {}).items()},
        "errors": log.errors,
    }
    if bank["on"]:
        kinds = {kind: row for kind, row in bank["kinds"].items() if kind != "cancel_all"}
        hits, asked = sum(r["hits"] for r in kinds.values()), sum(r["hits"] + r["misses"] for r in kinds.values())
        result |= {
            "hit_rate": round(hits / max(asked, 1), 4), "asked": asked, "kinds": kinds,
            "wasted_per_used": round(bank["wasted"] / max(bank["hits"], 1), 1),
            **{name: bank[name] for name in ("late", "unforeseen", "signed", "expired", "failed")},
        }  # fmt: skip
    return result


def main() -> None:
    """Run with and without."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recording", default="LOBSTER AMZN")
    parser.add_argument("--start", type=float, default=1800.0, help="seconds into the recording")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--speed", type=float, default=1.0)
    parser.add_argument("--keys", type=int, default=4)
    parser.add_argument("--ack-ms", type=float, default=10.0, help="there and back")
    parser.add_argument("--only", choices=("on", "off"))
    args = parser.parse_args()
    feed = load(args.recording)
    begin_ns = int(feed.events["local_ns"][0]) + round(args.start * NS_PER_S)
    feed = feed[begin_ns : begin_ns + round(args.minutes * 60 * NS_PER_S)]
    keys = make_keys(args.keys)
    result: dict[str, Any] = {"recording": args.recording, "speed": args.speed, "plain_us": plain(keys)}
    print(f"plain sign_create_order: {result['plain_us']}")
    for enabled in (args.only,) if args.only else ("on", "off"):
        changes = {"execution.refresh_tolerance_ticks": 0}
        if enabled == "off":  # the default is on, where signing has a thread of its own
            changes["execution.presign.enabled"] = "off"
        row = asyncio.run(trade(feed, mmlab.Config().with_(**changes), keys, args))
        result[f"bank_{enabled}"] = row
        for name, value in row.items():
            print(f"  {name:16} {value}")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
