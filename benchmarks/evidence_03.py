"""Every claim of the second milestone, the order manager and the engine: a line each, PASS or FAIL, with figures.

    make evidence-03
    .venv/bin/python benchmarks/evidence_03.py --only latency      # one group

Long: about a quarter of an hour, and `soak` half an hour more. Correctness lines are also tests; speed is measured here
only.
"""

from __future__ import annotations

import asyncio
import json
import math
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
from evidence import ROOT, Group, Line, main, run_script, run_tests
from recordings import FOUR, load

import mmlab

GROUPS: dict[str, Group] = {}
RECORDING_MIN = 12
"""Minutes of a recording that are traded; the warm-up is the first of them."""


def group(function: Group) -> Group:
    """Register a group of lines."""
    GROUPS[function.__name__] = function
    return function


@group
def adversary() -> Iterator[Line]:
    """Order manager: swarm, Hypothesis, mutants, golden replays, regressions, bad input."""
    for name, place in {
        "swarm, 200,000 events, every fault": "tests/orders/test_swarm.py",
        "Hypothesis state machine": "tests/orders/test_machine.py",
        "every invariant catches its planted bug": "tests/orders/test_mutants.py",
        "golden replays": "tests/orders/test_golden.py",
        "named regressions": "tests/orders/test_regressions.py",
        "bad input": "tests/orders/test_bad_input.py",
        "planner, nonces, budgets, ids, states": "tests/orders",
    }.items():
        yield name, *run_tests(place)


@group
def engine() -> Iterator[Line]:
    """Engine on the paper venue: swarm, switches, supervision, recovery, flatten, bad input."""
    yield "engine", *run_tests("tests/engine")
    yield "paper venue", *run_tests("tests/venues")
    yield "run directories while going", *run_tests("tests/telemetry")


def minutes_of(name: str, minutes: float) -> mmlab.Feed:
    """The first minutes of a recording, from its first book."""
    feed = load(name)
    start = feed.quotes(clock="local").index[0]
    return feed[start : start + pd.Timedelta(minutes=minutes)]


FAULTS = {
    "entry_spread_ms": 5.0, "response_spread_ms": 5.0, "lose_send": 0.01, "drop_ack": 0.02, "duplicate_ack": 0.02,
    "reorder_ack": 0.05, "drop_update": 0.02, "duplicate_update": 0.02, "reorder_update": 0.05, "skip_nonce": 0.005,
    "fail_accepted": 0.005, "fail_view": 0.1, "disconnects_per_min": 0.3, "stales_per_min": 0.2,
    "restarts_per_min": 0.1, "junk_market": 0.002, "junk_account": 0.01, "junk_reply": 0.005, "junk_view": 0.05,
}  # fmt: skip


@group
def sessions() -> Iterator[Line]:
    """Paper sessions on recordings, with and without faults: end flat of orders, decisions follow from inputs."""
    for name in FOUR:
        feed = minutes_of(name, RECORDING_MIN * (15 if "NEXO" in name else 1))
        for faults in ({}, {**FAULTS, "seed": 3, "until_s": 60.0 * (RECORDING_MIN - 1)}):
            with tempfile.TemporaryDirectory() as folder:
                session = mmlab.Session(
                    feed=feed, speed=math.inf, out=f"{folder}/run", faults=mmlab.FaultPlan(**faults)
                )
                run = session.run()
                verdict = mmlab.verify_decisions(run.directory)
                left, counts = len(session.orders()), run.info.counters
                ok = verdict.same and left == 0 and counts["tasks_died"] == 0 and run.info.ended == "end of feed"
                figures = (
                    f"{verdict.rows['decisions']} decisions, {sum(verdict.different.values())} differ;"
                    f" {counts['messages']} messages, {len(run.fills)} fills, {left} orders left,"
                    f" position left {counts['position_left_lots']} lots, kernel"
                    f" {int(session._engine.decider.state[0]['account']['position_lots'])}"
                )
                yield f"paper session on {name}{', with faults' if faults else ''}", ok, figures


@group
def leaving() -> Iterator[Line]:
    """What flatten, on_stop and on_halt leave."""
    feed = mmlab.load_feed(ROOT / "data" / "sample.parquet")
    start = feed.quotes(clock="local").index[0]
    feed = feed[start : start + pd.Timedelta(minutes=4)]
    for on_stop in ("keep", "flatten"):
        left = []
        for seconds in (90, 120, 150, 180):
            with tempfile.TemporaryDirectory() as folder:
                config = mmlab.Config().with_(**{"risk.on_stop": on_stop})
                session = mmlab.Session(config, feed=feed, speed=math.inf, out=f"{folder}/run")
                run = session.run(duration_s=seconds)
                left.append((run.info.counters["position_left_lots"], len(session.orders())))
        ok = all(orders == 0 for _, orders in left) and (on_stop == "keep" or all(lots == 0 for lots, _ in left))
        yield f"on_stop = {on_stop}", ok, f"(position left in lots, orders left): {left}"
    for on_halt in ("hold", "reduce"):
        yield f"on_halt = {on_halt}", *asyncio.run(halted(feed, on_halt))


async def halted(feed: mmlab.Feed, on_halt: str) -> tuple[bool, str]:
    """Kill once a position is open; what becomes of it in 200 s of the session."""
    config = mmlab.Config().with_(**{"risk.on_halt": on_halt})
    with tempfile.TemporaryDirectory() as folder:
        session = mmlab.Session(config, feed=feed, speed=20.0, out=f"{folder}/run")
        task = asyncio.create_task(session.run())
        await asyncio.sleep(1.0)
        while not session.state()["position_lots"] or session.state()["trading"] != "quoting":  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        held = session.state()["position"]
        session.kill("evidence")
        seen = []
        for _ in range(200):
            await asyncio.sleep(0.05)
            state = session.state()
            seen.append((state["trading"], state["position"], len(state["orders"])))
        session.stop()
        await task
        grown = any(abs(position) > abs(held) + 1e-12 for _, position, _ in seen)
        last = seen[-1]
        kept, reduced = last[1] == held and last[2] == 0, not grown and abs(last[1]) < abs(held)
        ok = kept if on_halt == "hold" else reduced
        return ok, f"position at the kill {held:g}, after it {last[1]:g}; state {last[0]}, orders {last[2]}"


@group
def messages() -> Iterator[Line]:
    """Minimal diffs against cancel-all-and-replace on the same target changes."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / "orders_messages.py"), "--minutes", "10"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    for line in done.stdout.strip().splitlines():
        row = json.loads(line)
        figures = ", ".join(f"{key} {value}" for key, value in row.items())
        wanted = row["rungs"] == 4
        yield f"messages, {row['recording']}, {row['rungs']} rungs", not wanted or row["share"] <= 1 / 3, figures


@group
def latency() -> Iterator[Line]:
    """Order manager and engine."""
    om = run_script("orders.py")
    yield "order manager, 8 live orders: p50 < 50 us, p99 < 200 us", om["p50_us"] < 50 and om["p99_us"] < 200, str(om)
    slow, fast = run_script("latency.py")
    total = slow["stages_us"]["total"]
    ok = total["p50"] < 300 and total["p99"] < 2000
    yield "market event -> sender at 200/s: p50 < 300 us, p99 < 2 ms", ok, json.dumps(slow)
    thread = run_script("latency.py", "--rates", "200", "--signer", "thread")[0]
    total = thread["stages_us"]["total"]
    ok = total["p50"] < 300 and total["p99"] < 2000
    yield "the same with the signer in its own thread", ok, json.dumps(thread)
    share = slow["cpu_share"] - slow["venue_share"]
    figures = f"{share:.1%}; with the paper venue's market feed {slow['cpu_share']:.1%}"
    yield "under 10 % of a core at 200/s", share < 0.10, figures
    ok = fast["queue_end"] < 100 and fast["lag_ms"] < 100
    yield "5,000 messages/s sustained, no queue growth", ok, json.dumps(fast)


@group
def soak() -> Iterator[Line]:
    """Ten million events."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.orders.soak"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    yield "10 million events", done.returncode == 0, " | ".join(done.stdout.strip().splitlines()[-6:])


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))
    sys.exit(main(__doc__, GROUPS))
