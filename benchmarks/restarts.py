"""Engines killed with SIGKILL while orders rest, and started again: whether they find everything.

    python benchmarks/restarts.py                 # 100 lives, four accounts side by side
    python benchmarks/restarts.py --runs 8

Each life: a session on a paper server (real adapter and signer, no supervisor, no dead-man's switch in time) is killed
at a moment drawn by the seed; a second one starts on the same account and must come to know every order that is open
there, or cancel it; then it ends. Good is a life after which

    the second session's orders were the server's, all of them and no others, at some moment while it quoted,
    nothing is open at the server after its end, and both sides have the same position.

The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import signal
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from paper_exchange import PaperExchange

import mmlab
from mmlab.engine.decider import load_kernels

SETTINGS: dict[str, Any] = {
    "venue.market": "0", "strategy.warmup_s": 1.0, "strategy.warmup_min_trades": 0, "strategy.rungs": 2,
    "venue.dead_man_s": 600.0, "venue.dead_man_renew_s": 200.0, "kill.losing.enabled": False,
    "execution.refresh_tolerance_ticks": 0,
}  # fmt: skip
SIDE_BY_SIDE = 4
PATIENCE_S = 60.0
FORK = multiprocessing.get_context("forkserver")
FORK.set_forkserver_preload(["__main__"])


def session_of(ready: dict[str, Any], account: int, out: Path) -> mmlab.Session:
    config = mmlab.Config().with_(**SETTINGS, **{"venue.account_index": account})
    return mmlab.Session(config, venue="lighter", paper=ready, out=out, name=f"life{account}")


def first_life(ready: dict[str, Any], account: int, out: Path) -> None:
    """Trades until it is killed."""
    asyncio.run(session_of(ready, account, out).run())


def second_life(ready: dict[str, Any], account: int, out: Path, said: Any) -> None:
    """Trades until it knows what is there, and ends."""
    said.send(asyncio.run(find(ready, account, out)))


async def find(ready: dict[str, Any], account: int, out: Path) -> dict[str, Any]:
    session, exchange = session_of(ready, account, out), PaperExchange(ready, account)
    running = asyncio.ensure_future(session.run())
    agreed, until_s = False, time.monotonic() + PATIENCE_S
    trade = session._trade
    while time.monotonic() < until_s and not agreed and not running.done():
        await asyncio.sleep(0.1)
        if trade.engine is None or trade.engine.participation.trading.name != "QUOTING":
            continue
        before = {order.client_id for order in trade.engine.manager.orders}
        theirs = {order["client_order_index"] for order in await asyncio.to_thread(exchange.orders)}
        after = {order.client_id for order in trade.engine.manager.orders}
        agreed = bool(theirs) and before == after == theirs
    if trade.engine is not None:
        trade.engine.stop("found")
    await running
    return {
        "agreed": agreed, "lots": trade.engine.manager.position_lots, "size": trade.market.instrument.lot_size,
        "anomalies": dict(trade.engine.manager.state.counts),
    }  # fmt: skip


def life(ready: dict[str, Any], account: int, number: int, folder: Path) -> dict[str, Any]:
    """One life and the next."""
    exchange, rng = PaperExchange(ready, account), np.random.Generator(np.random.PCG64(number))
    first = FORK.Process(target=first_life, args=(ready, account, folder / f"{number}a"))
    first.start()
    until_s = time.monotonic() + PATIENCE_S
    while not exchange.orders() and time.monotonic() < until_s:
        time.sleep(0.1)
    time.sleep(rng.uniform(0, 3))
    os.kill(first.pid, signal.SIGKILL)
    first.join()
    strays = len(exchange.orders())
    heard, said = FORK.Pipe(duplex=False)
    second = FORK.Process(target=second_life, args=(ready, account, folder / f"{number}b", said))
    second.start()
    said.close()
    try:
        found = heard.recv()
    except EOFError:
        found = {"agreed": False, "lots": 0, "size": 1.0, "anomalies": {"ended without a word": 1}}
    second.join()
    left, position = len(exchange.orders()), exchange.position()
    same = abs(found["lots"] * found["size"] - position) < 1e-9
    good = found["agreed"] and not left and same and second.exitcode == 0
    return {"strays": strays, "left": left, "position": position, "same": same, "good": good, **found}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=100)
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as name,
        mmlab.PaperServer(speed=10, loop=True, no_limits=True, accounts=SIDE_BY_SIDE) as server,
        ThreadPoolExecutor(SIDE_BY_SIDE) as pool,
    ):

        def lives(account: int) -> list[dict[str, Any]]:
            numbers = range(account - 1, options.runs, SIDE_BY_SIDE)
            return [life(server.ready, account, n, Path(name)) for n in numbers]

        results = [one for some in pool.map(lives, range(1, SIDE_BY_SIDE + 1)) for one in some]
    bad = [one for one in results if not one["good"]]
    good = len(results) - len(bad)
    strays = sum(one["strays"] for one in results)
    print(f"{good} of {len(results)} good; {strays} orders were left behind by those killed")
    print(json.dumps({"good": good, "runs": len(results), "strays": strays, "bad": bad}))
    return int(good < len(results))


if __name__ == "__mp_main__":
    load_kernels()  # in the process that the others are forked from
if __name__ == "__main__":
    raise SystemExit(main())
