"""What the fourth milestone claims of sweeps, folds, batches and run lists: groups of lines, each PASS or FAIL.

.venv/bin/python benchmarks/evidence_04_study.py --only sweep      # one group
"""

from __future__ import annotations

import os
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from evidence import Group, Line, main, run_tests
from recordings import load

import mmlab
from mmlab.lab.study import sweep as sweep_module
from mmlab.lab.study.task import Outcome

GROUPS: dict[str, Group] = {}
RECORDING = "COIN-M BTCUSD_PERP"
MINUTES, FOLD_MINUTES = 10, 30  # in ten minutes some folds have no trade, and so no P&L per million
GRID = {
    "strategy.reservation_ticks": np.geomspace(0.1, 10, 10).round(4),
    "ladder.hysteresis": np.linspace(0.01, 0.1, 10).round(3),
    "gates.flip.threshold": list(range(4, 14)),
}
SMALL = {"strategy.reservation_ticks": GRID["strategy.reservation_ticks"], "gates.flip.threshold": list(range(4, 14))}
FOLDS = 4


def group(function: Group) -> Group:
    """Register a group of lines."""
    GROUPS[function.__name__] = function
    return function


def btc(minutes: float = MINUTES) -> mmlab.Feed:
    """Minutes of a BTC perpetual, from its first book."""
    feed = load(RECORDING)
    start = feed.quotes(clock="local").index[0]
    return feed[start : start + pd.Timedelta(minutes=minutes)]


class Watched:
    """What came from workers, and what it cost."""

    def __init__(self) -> None:
        self.outcomes: list[Outcome] = []
        self.kill_at = 0
        self.wall_s = self.own_cpu_s = self.children_cpu_s = 0.0

    def watch(self, spread: Callable[..., Iterator[tuple[int, Outcome]]]) -> Callable[..., Any]:
        """Stand between a sweep and its workers."""

        def watched(*args: Any) -> Iterator[tuple[int, Outcome]]:
            for number, outcome in spread(*args):
                self.outcomes.append(outcome)
                if self.kill_at and len(self.outcomes) >= self.kill_at and outcome.pid != os.getpid():
                    os.kill(outcome.pid, signal.SIGKILL)
                    self.kill_at = 0
                yield number, outcome

        return watched

    @property
    def compiled(self) -> int:
        """Functions compiled in tasks."""
        return sum(outcome.compiled for outcome in self.outcomes)

    def figures(self, points: int) -> str:
        """Wall and CPU time in words."""
        tasks_s = sum(outcome.cpu_s for outcome in self.outcomes)
        return (
            f"{points / self.wall_s:.1f} points/s, wall {self.wall_s:.1f} s, CPU {tasks_s:.1f} s in tasks of"
            f" {len({outcome.pid for outcome in self.outcomes})} processes; {self.own_cpu_s:.1f} s in this one,"
            f" {self.children_cpu_s:.1f} s in others, with their start"
        )


@contextmanager
def watched(kill_at: int = 0) -> Iterator[Watched]:
    """Watch the workers of the sweeps in here; one is killed after so many outcomes."""
    seen, before = Watched(), {name: getattr(sweep_module, name) for name in ("spread", "spread_on")}
    seen.kill_at = kill_at
    for name, spread in before.items():
        setattr(sweep_module, name, seen.watch(spread))
    wall, cpu, children = time.monotonic(), time.process_time(), resource.getrusage(resource.RUSAGE_CHILDREN)
    try:
        yield seen
    finally:
        seen.wall_s, seen.own_cpu_s = time.monotonic() - wall, time.process_time() - cpu
        ended = resource.getrusage(resource.RUSAGE_CHILDREN)
        seen.children_cpu_s = ended.ru_utime + ended.ru_stime - children.ru_utime - children.ru_stime
        for name, spread in before.items():
            setattr(sweep_module, name, spread)


def equal(one: pd.DataFrame, other: pd.DataFrame) -> bool:
    """Whether two tables are the same, bit for bit."""
    try:
        pd.testing.assert_frame_equal(one, other, check_exact=True)
    except AssertionError:
        return False
    return True


@group
def sweep() -> Iterator[Line]:
    """1,000 points on ten minutes of a BTC perpetual: in this process, in two, on a dask cluster of two."""
    feed = btc()
    n = int(np.prod([len(values) for values in GRID.values()]))
    mmlab.sweep(feed, None, {"seed": [0]}, workers=1)  # compiles, and works out what runs share
    with watched() as one:
        table = mmlab.sweep(feed, None, GRID, workers=1)
    one_load = os.getloadavg()[0]
    yield (
        "sweep, 1 process",
        len(table) == n,
        f"{n} points, {len(feed):,} events: {one.figures(n)}; load {one_load:.1f}",
    )
    with watched() as two:
        same = mmlab.sweep(feed, None, GRID, workers=2)
    ratio = one.wall_s / two.wall_s
    cpu_1, cpu_2 = (w.own_cpu_s + w.children_cpu_s for w in (one, two))
    figures = (
        f"{ratio:.2f} times; {two.figures(n)}; cores had of the machine: {cpu_1 / one.wall_s:.2f} and"
        f" {cpu_2 / two.wall_s:.2f}; load {os.getloadavg()[0]:.1f}"
    )
    yield "sweep, 2 processes: at least 1.6 times as fast, their start included", ratio >= 1.6, figures
    yield "same table, 1 and 2 processes", equal(table, same), f"{table.shape[0]} rows, {table.shape[1]} columns"
    from distributed import Client, LocalCluster

    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster) as client,
        watched() as cluster_of_two,
    ):
        on_dask = mmlab.sweep(feed, None, GRID, client=client)
    yield "same table on a dask LocalCluster of 2", equal(table, on_dask), cluster_of_two.figures(n)
    compiled = two.compiled + cluster_of_two.compiled
    tasks = len(two.outcomes) + len(cluster_of_two.outcomes)
    yield "no task compiles", compiled == 0 and tasks == 2 * (n - 1), f"{compiled} compilations in {tasks} tasks"


@group
def resume() -> Iterator[Line]:
    """A killed worker costs its points only; a killed sweep is taken up."""
    feed = btc()
    plain = mmlab.sweep(feed, None, SMALL, workers=1)
    with watched(kill_at=20) as killed:
        table = mmlab.sweep(feed, None, SMALL, workers=2)
    pids = {outcome.pid for outcome in killed.outcomes}
    ok = equal(plain, table) and len(killed.outcomes) == len(plain) - 1 and len(pids) >= 3
    yield (
        "a worker killed with SIGKILL",
        ok,
        f"{len(pids)} processes were seen: this one, the killed, the next; {killed.figures(100)}",
    )

    def stop(done: int, total: int) -> None:
        if done == total // 2:
            raise KeyboardInterrupt

    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "study"
        try:
            mmlab.sweep(feed, None, SMALL, workers=2, out=out, progress=stop)
        except KeyboardInterrupt:
            stored = len((out / "points.jsonl").read_text().splitlines())
        with watched() as rest:
            table = mmlab.sweep(feed, None, SMALL, workers=2, out=out)
        ok = equal(plain, table) and stored == 50 and len(rest.outcomes) == 100 - stored - 1
        yield (
            "an interrupted sweep is taken up",
            ok,
            f"{stored} of 100 points were stored; {rest.figures(100 - stored)}",
        )


@group
def folds() -> Iterator[Line]:
    """The best in-sample point, out of sample."""
    table = mmlab.sweep(btc(FOLD_MINUTES), None, SMALL, folds=FOLDS)
    tried = table.attrs["configurations_tried"]
    for by in ("pnl_per_million", "net_pnl_quote"):
        walk = mmlab.walk_forward(table, by)
        mean = walk.loc["mean"]
        ok = list(walk.index) == [*range(1, FOLDS + 1), "mean"] and tried == len(table) and np.isfinite(mean["low"])
        figures = (
            f"{tried} configurations tried; mean over {FOLDS} folds: in sample {mean['in_sample']:.4g}, out of sample"
            f" {mean['out_of_sample']:.4g} (95 % band {mean['low']:.4g} to {mean['high']:.4g}), median of all"
            f" {mean['median']:.4g}; beat {mean['rank']:.0%} of all points"
        )
        yield f"folds, chosen by {by}", bool(ok), figures


@group
def study_tests() -> Iterator[Line]:
    """Grids, folds, journal, killed workers, dask, batches of notebooks, lists of runs, what is wrong."""
    for what, place in {
        "grids, folds, journal": "tests/lab/test_study_parts.py",
        "sweeps, killed workers, dask, wrong grids": "tests/lab/test_sweep.py",
        "batches of notebooks": "tests/lab/test_batch.py",
        "lists of runs, damaged ones too": "tests/lab/test_runs.py",
    }.items():
        yield what, *run_tests(place)


if __name__ == "__main__":
    sys.exit(main(__doc__, GROUPS))
