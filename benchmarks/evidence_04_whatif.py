"""What-if and shadow sets: the groups of `evidence_04.py` that are about them.

.venv/bin/python benchmarks/evidence_04_whatif.py
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator
from pathlib import Path

from evidence import ROOT, Group, Line, main, run_script, run_tests

import mmlab
from mmlab.lab.rehearsal import Rehearsal

MOST_MS, MOST_PERCENT = 300.0, 15.0


def what_if() -> Iterator[Line]:
    """What-if on a session's recorded events: right, and quick."""
    yield (
        "refresh by refresh as at once, full book at the start, no changes no difference, bad input",
        *run_tests("tests/lab/test_rehearsal.py", "tests/telemetry/test_tails.py"),
    )
    yield "a replay in parts does what it does at once", *run_tests("tests/simulator/test_playback.py")
    figures = run_script("what_if.py")
    said = (
        f"median {figures['median_ms']:.0f} ms, p95 {figures['p95_ms']:.0f} ms on the clock,"
        f" {figures['cpu_median_ms']:.0f} and {figures['cpu_p95_ms']:.0f} ms of CPU time, {figures['events']:,} events;"
        f" below {MOST_MS:.0f} ms wanted"
    )
    yield "30 min of a BTC perpetual, from changes to table and picture", figures["median_ms"] < MOST_MS, said
    yield (
        "keeping up with the session",
        figures["refresh_core_percent"] < MOST_PERCENT,
        f"{figures['refresh_core_percent']:.1f} % of a core with a refresh a second",
    )


def honesty() -> Iterator[Line]:
    """How far a replay with the parameters in force matches what the session did."""
    feed = mmlab.load_feed(ROOT / "data" / "sample.parquet")
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "run"
        mmlab.Session(feed=feed, speed=math.inf, out=place).run(duration_s=900)
        rehearsal = Rehearsal(place, 600.0)
        rehearsal.refresh()
        answer = rehearsal.compare({})
    found, table = answer.matched, answer.table
    said = (
        f"{found['same']} of {found['session']} fills found (replay: {found['replay']}); net P&L"
        f" {table.loc['net_pnl', 'now']:.4g} against {table.loc['net_pnl', 'session']:.4g}"
    )
    yield "a paper session without faults, replayed", found["same"] >= 0.8 * found["session"], said


def shadows() -> Iterator[Line]:
    """Shadow sets: agree with a rehearsal, come and go with the session, cost little."""
    yield "agree with a rehearsal; process and files", *run_tests("tests/lab/test_shadows.py")
    figures = run_script("shadows.py")
    yield (
        "eight sets at 200 events/s",
        figures["core_percent_200"] < MOST_PERCENT and figures["rows"] == 9,
        f"{figures['core_percent_200']:.1f} % of a core, at 1,000 events/s {figures['core_percent_1000']:.1f} %",
    )


GROUPS: dict[str, Group] = {"what_if": what_if, "honesty": honesty, "shadows": shadows}

if __name__ == "__main__":
    raise SystemExit(main(__doc__, GROUPS))
