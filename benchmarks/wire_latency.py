"""Latency on the wire, on this machine: real adapter, real signer, paper server on loopback.

    python benchmarks/wire_latency.py                      # bank of signed payloads on, then off, then the plain client
    python benchmarks/wire_latency.py --seconds 120 --speed 4

A session trades in this process on a paper server in another: default config, four API keys (three quote, one cancels),
refresh tolerance 0. Real time, microseconds:

    bytes    market frame received (the socket's bytes in hand) -> order bytes written to the socket, for orders that
             follow a market frame at once; those that follow a timer or a fill are not among them
    cancel   a cancel is decided -> its bytes written to the socket
    plain    the official client's ``create_order`` over REST, until its answer is there

With two cores or more the event loop has one of its own, as on a trading host; signer, writer and the server, which
would be elsewhere, share the others. ``--no-pin`` leaves that to the system. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import tempfile
import threading
import time
import warnings
from bisect import bisect_right
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter_ns
from typing import Any

import numpy as np
from recordings import load

import mmlab
from mmlab.exchange import Payload, TxKind

SETTINGS: dict[str, Any] = {
    "venue.market": "0", "strategy.warmup_s": 5.0, "strategy.warmup_min_trades": 0,
    "execution.refresh_tolerance_ticks": 0, "kill.losing.enabled": False, "kill.volatility.enabled": False,
}  # fmt: skip
WARM_S = 5.0
"""Of trading that is not counted: the bank fills, and pages come in."""
SAME_NS = 100_000
"""A sample's time and the stamp it was taken from differ by what the stopwatch itself takes."""
PLAIN = 200


class Watch:
    """When bytes came and went."""

    def __init__(self) -> None:
        self.bytes_us: list[float] = []
        self.cancel_us: list[float] = []
        self._frames_ns: list[int] = []
        self._stamps: list[tuple[int, int]] = []
        self._total_ns = self._cancel_ns = -1
        self.begun_ns = 0

    def install(self, trade: Any) -> None:
        """Look over the shoulder of a session's venue and stopwatch."""
        market, venue_of, open_market = trade.market, trade.market.venue, trade.market.open

        async def opened() -> None:
            await open_market()
            self._on_market(market._opened)

        def venue(params: Any) -> Any:
            made = venue_of(params)
            send, send_batch = made.send, made.send_batch

            def seen(payload: Payload) -> Any:
                reply = send(payload)
                self._sent(payload, perf_counter_ns())
                return reply

            def seen_batch(payloads: Sequence[Payload]) -> Any:
                replies = send_batch(payloads)
                for payload in payloads:
                    self._sent(payload, perf_counter_ns())
                return replies

            made.send, made.send_batch = seen, seen_batch
            return made

        market.open, market.venue = opened, venue

    def _on_market(self, venue: Any) -> None:
        link = venue._market.link
        heard = link._heard

        def first(data: bytes) -> None:
            self._frames_ns.append(perf_counter_ns())
            if len(self._frames_ns) > 20_000:
                del self._frames_ns[:10_000]
            heard(data)

        link._heard = first

    def on_engine(self, engine: Any) -> None:
        """Its stopwatch's samples say when what is being sent was asked for; its stamps, which frame that was."""
        stopwatch, market = engine.stopwatch, engine.inbound.market
        add = stopwatch.add

        def stamped(*args: Any) -> Any:
            self._stamps.append((engine._heard_ns, self._frames_ns[-1]))
            return market(*args)

        engine.inbound.market = stamped

        def noted(stage: str, took_ns: int) -> None:
            add(stage, took_ns)
            if stage == "total":
                self._total_ns = perf_counter_ns() - took_ns
            elif stage == "cancel":
                self._cancel_ns = perf_counter_ns() - took_ns

        stopwatch.add = noted
        self.begun_ns = perf_counter_ns() + round(WARM_S * 1e9)

    def _sent(self, payload: Payload, now_ns: int) -> None:
        asked_ns, decided_ns, self._total_ns, self._cancel_ns = self._total_ns, self._cancel_ns, -1, -1
        if now_ns < self.begun_ns or not self.begun_ns:
            return
        if payload.transaction.kind == TxKind.CANCEL and decided_ns > 0:
            self.cancel_us.append((now_ns - decided_ns) / 1e3)
        if asked_ns > 0 and (at := bisect_right(self._stamps, (asked_ns, 0))):
            stamp_ns, frame_ns = self._stamps[at - 1]
            if asked_ns - stamp_ns < SAME_NS:
                self.bytes_us.append((now_ns - frame_ns) / 1e3)


def pin(threads: list[threading.Thread], cores: set[int]) -> None:
    """Let threads run on these cores alone."""
    for thread in threads:
        if cores and thread.native_id is not None:
            os.sched_setaffinity(thread.native_id, cores)


async def drive(session: mmlab.Session, watch: Watch, seconds: float, cores: tuple[set[int], set[int]]) -> Any:
    """Trade; the engine's own figures at the end."""
    trade = session._trade
    running = asyncio.ensure_future(session.run(duration_s=seconds + WARM_S))
    while trade.engine is None:
        await asyncio.sleep(0.01)
        if running.done():
            await running
    watch.on_engine(trade.engine)
    gc.collect()
    gc.freeze()  # as the engine's own process does
    loop = threading.current_thread()
    pin([loop], cores[0])
    pin([thread for thread in threading.enumerate() if thread is not loop], cores[1])
    await asyncio.sleep(seconds + WARM_S - 1)
    state = trade.state()
    await running
    return state


def trial(feed: str, speed: float, seconds: float, folder: Path, *, presign: bool, pinned: bool) -> dict[str, Any]:
    """One session."""
    every = os.sched_getaffinity(0)
    cores = ({min(every)}, every - {min(every)}) if pinned and len(every) > 1 else (set[int](), set[int]())
    pin([threading.current_thread()], cores[1])  # the server inherits it
    with mmlab.PaperServer(feed, speed=speed, loop=True, no_limits=True) as server:
        config = mmlab.Config().with_(**SETTINGS, **{"execution.presign.enabled": "on" if presign else "off"})
        session = mmlab.Session(config, venue="lighter", paper=server.ready, out=folder / f"run{presign}")
        watch = Watch()
        watch.install(session._trade)
        begun = time.process_time()
        state = asyncio.run(drive(session, watch, seconds, cores))
        cpu = time.process_time() - begun
    os.sched_setaffinity(0, every)
    bank = state["presign"]
    return {
        "bytes_us": percentiles(watch.bytes_us), "cancel_us": percentiles(watch.cancel_us),
        "sent_per_s": state["messages"] / seconds, "bank": bank, "cpu_share": cpu / seconds,
    }  # fmt: skip


def percentiles(samples: list[float]) -> dict[str, float]:
    """p50, p90, p99, most."""
    if not samples:
        return {"n": 0}
    p50, p90, p99 = np.percentile(samples, (50, 90, 99)).round(1).tolist()
    return {"n": len(samples), "p50": p50, "p90": p90, "p99": p99, "max": round(max(samples), 1)}


async def plain(ready: dict[str, Any]) -> dict[str, float]:
    """The official client's own call, one after the other."""
    with warnings.catch_warnings(action="ignore"):
        import lighter

    account = ready["accounts"][1]
    client = lighter.SignerClient(
        url=ready["url"], account_index=int(account["index"]), chain_id=ready["chain_id"],
        api_private_keys={int(k): v for k, v in account["api_keys"].items()},
    )  # fmt: skip
    took = []
    try:
        for n in range(PLAIN):
            best = await client.get_best_price(0, is_ask=False)
            begun = perf_counter_ns()
            _, _, error = await client.create_order(
                market_index=0, client_order_index=n + 1, base_amount=1, price=int(best * 0.97), is_ask=False,
                order_type=client.ORDER_TYPE_LIMIT, time_in_force=client.ORDER_TIME_IN_FORCE_POST_ONLY,
            )  # fmt: skip
            took.append((perf_counter_ns() - begun) / 1e3)
            if error is not None:
                raise RuntimeError(error)
    finally:
        await client.close()
    return percentiles(took)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--speed", type=float, default=4.0)
    parser.add_argument("--no-pin", action="store_true", help="let the system choose cores")
    options = parser.parse_args()
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = str(folder / "feed.parquet")
        feed = load("LOBSTER AMZN")
        start = int(feed.events["local_ns"][0])
        feed[start + 1800 * 10**9 : start + 2700 * 10**9].save(path)
        for presign in (True, False):
            results["bank" if presign else "on demand"] = trial(
                path, options.speed, options.seconds, folder, presign=presign, pinned=not options.no_pin
            )
        with mmlab.PaperServer(path, speed=options.speed, loop=True, no_limits=True, latency_ms=0) as server:
            results["plain"] = asyncio.run(plain(server.ready))
    for name, result in results.items():
        print(name, json.dumps(result))
    print(json.dumps(results))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
