"""`kill -9` under load, on the wire: how long orders of ours rest after engine, owner or supervisor died.

    python benchmarks/kills.py                 # every single one and every pair, once
    python benchmarks/kills.py --repeats 5

A paper server serves the sample at its own speed, so that few orders end by a fill. An owner process starts a session
on it through the real adapter and signer, with the dead-man's switch renewed; then processes are killed with SIGKILL
while quotes rest. Open orders are asked of the server directly. The last line printed is one JSON object.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from paper_exchange import PaperExchange

import mmlab
from mmlab.lab.client import Client

VICTIMS = ("engine", "owner", "supervisor")
PAIRS = (("engine", "owner"), ("engine", "supervisor"), ("owner", "supervisor"))
GRACE_S, DEAD_MAN_S, RENEW_S, MIN_SCHEDULE_S = 1.0, 6.0, 1.5, 3.0
REST_S = 3.0
"""How long an order may rest after the engine's death while the supervisor lives."""
OWNER = """
import json, sys, time
import mmlab
ready, out, settings = json.load(open(sys.argv[1])), sys.argv[2], json.loads(sys.argv[3])
config = mmlab.Config().with_(**settings)
session = mmlab.Session(config, venue="lighter", paper=ready, name="kills", out=out).start()
session.until_quoting(60)
print("quoting", flush=True)
time.sleep(600)
"""
SETTINGS: dict[str, Any] = {
    "venue.market": "0", "strategy.warmup_s": 2.0, "strategy.warmup_min_trades": 0, "owner.grace_s": GRACE_S,
    "venue.dead_man_s": DEAD_MAN_S, "venue.dead_man_renew_s": RENEW_S,
}  # fmt: skip


class Trial:
    """One session, started by an owner process of its own."""

    def __init__(self, exchange: PaperExchange, folder: Path) -> None:
        self.exchange, self.run_dir = exchange, folder / "run"
        self.owner = subprocess.Popen(
            [sys.executable, "-c", OWNER, str(exchange.ready_file(folder)), str(self.run_dir), json.dumps(SETTINGS)],
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self.owner.stdout is not None
        if self.owner.stdout.readline().strip() != "quoting":
            raise RuntimeError("the session does not quote")
        engine = Client.of(self.run_dir).state()["pid"]
        supervisor = int(Path(f"/proc/{engine}/stat").read_text().rpartition(")")[2].split()[1])
        self.pids = {"engine": engine, "supervisor": supervisor, "owner": self.owner.pid}

    def kill(self, *victims: str) -> float:
        """Kill them at once, while orders rest; returns when."""
        while not self.exchange.orders():
            time.sleep(0.02)
        for victim in victims:
            os.kill(self.pids[victim], signal.SIGKILL)
        return time.monotonic()

    def end(self) -> None:
        """Nothing of it goes on."""
        for pid in self.pids.values():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.owner.wait()
        assert self.owner.stdout is not None
        self.owner.stdout.close()


def limit_s(victims: tuple[str, ...]) -> float:
    """Within which time no order may rest."""
    if victims == ("owner",):
        return GRACE_S + REST_S
    return DEAD_MAN_S + 1.0 if {"engine", "supervisor"} <= set(victims) else REST_S


def trial(exchange: PaperExchange, victims: tuple[str, ...]) -> dict[str, Any]:
    """Kill them; how long orders rested."""
    with tempfile.TemporaryDirectory() as folder:
        one = Trial(exchange, Path(folder))
        try:
            since_s = one.kill(*victims)
            empty_s = exchange.empty_after_s(limit_s(victims) + 10, since_s)
            time.sleep(1.0)  # nothing may come after
            later = len(exchange.orders())
        finally:
            one.end()
    limit = limit_s(victims)
    good = empty_s is not None and empty_s <= limit and not later
    return {"victims": "+".join(victims), "empty_s": empty_s, "limit_s": limit, "later": later, "good": good}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=1)
    options = parser.parse_args()
    results = []
    with mmlab.PaperServer(speed=1, loop=True, no_limits=True, min_schedule_s=MIN_SCHEDULE_S) as server:
        exchange = PaperExchange(server.ready)
        for _ in range(options.repeats):
            for victims in (*((one,) for one in VICTIMS), *PAIRS):
                results.append(trial(exchange, victims))
                r = results[-1]
                print(f"{r['victims']:<20} empty after {r['empty_s']} s (limit {r['limit_s']}), later {r['later']}")
    print(json.dumps({"trials": results}))
    return 0 if all(r["good"] for r in results) else 1


if __name__ == "__main__":
    sys.exit(main())
