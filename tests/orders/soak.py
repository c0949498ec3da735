"""The long form of the swarm: `make soak`. Other seeds than the tests use; a violation names its seed.

python -m tests.orders.soak --events 10000000 --workers 2
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import time
from collections import Counter

from tests.orders.faults import EVERY
from tests.orders.model_venue import Violation
from tests.orders.swarm import run

FIRST_SEED = 1_000_000
SEEDS_A_TASK = 50
PROGRESS_S = 10


def task(first: int) -> tuple[Counter[str], list[str]]:
    """Some seeds: what happened, and what must not have."""
    totals: Counter[str] = Counter()
    violations = []
    for seed in range(first, first + SEEDS_A_TASK):
        totals["seeds"] += 1
        try:
            world = run(seed)
            if seed % 10 == 0:
                world.replay()
        except Violation as violation:
            violations.append(f"seed {seed}: {violation}"[:500])
            continue
        totals["events"] += world.events
        totals["orders"] += len(world.venue.placed)
        totals["lives"] += len(world.lives)
        totals += world.faults
    return totals, violations


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--workers", type=int, default=multiprocessing.cpu_count())
    parser.add_argument("--first-seed", type=int, default=FIRST_SEED)
    args = parser.parse_args()
    totals: Counter[str] = Counter()
    violations: list[str] = []
    start, told = time.monotonic(), 0.0
    tasks = range(args.first_seed, args.first_seed + 10**9, SEEDS_A_TASK)
    with multiprocessing.Pool(args.workers) as pool:
        batch = args.workers * 16
        for at in range(0, len(tasks), batch):
            for counts, wrong in pool.imap_unordered(task, tasks[at : at + batch]):
                totals += counts
                violations += wrong
                for line in wrong:
                    print(line, flush=True)
                seconds = time.monotonic() - start
                if seconds - told > PROGRESS_S:
                    told = seconds
                    share = totals["events"] / args.events
                    print(f"{seconds:5.0f} s  {totals['events']:>10,} events  {share:4.0%}", flush=True)
                if totals["events"] >= args.events:
                    break
            if totals["events"] >= args.events:
                break
    seconds = time.monotonic() - start
    print(f"faults by kind: {', '.join(f'{name} {totals[name]:,}' for name in EVERY)}")
    done = ", ".join(f"{totals[name]:,} {name}" for name in ("events", "seeds", "lives", "orders", "fill"))
    print(f"{done}; {seconds:.0f} s on {args.workers} cores: {len(violations)} violations")
    return 1 if violations or any(totals[name] == 0 for name in EVERY) else 0


if __name__ == "__main__":
    sys.exit(main())
