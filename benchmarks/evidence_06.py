"""Every claim of issue 6, observability and operation: a line each, PASS or FAIL, with figures.

    make evidence-06
    .venv/bin/python benchmarks/evidence_06.py --only prometheus      # one group

About ten minutes, most of it the overhead's session in real time. Correctness lines are also tests; speed is measured
here only, so on a machine with nothing else to do.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

from evidence import ROOT, Group, Line, main, run_script, run_tests

OPS = ROOT / "ops"
MOST_SHARE = 0.05
SLOW_FACTOR, LEAST_P99_US = 2.0, 10_000.0


def logs() -> Iterator[Line]:
    """Log and CSV."""
    yield (
        "table of events = calls in the code; repeats, rotation, console",
        *run_tests("tests/telemetry/test_log_events.py"),
    )
    yield "CSV columns are the documented ones", *run_tests("tests/telemetry/test_tables.py")
    yield "tables are read while they are written", *run_tests("tests/telemetry/test_tails.py")


def prometheus() -> Iterator[Line]:
    """Against a real Prometheus."""
    for what, *command in (
        ("promtool check rules", "check", "rules", f"{OPS}/rules/recording.yml", f"{OPS}/rules/alerts.yml"),
        ("promtool test rules: every alert", "test", "rules", f"{OPS}/rules/tests.yml"),
    ):
        done = subprocess.run(["promtool", *command], capture_output=True, text=True, check=False)
        said = (done.stdout + done.stderr).split()
        yield what, done.returncode == 0, " ".join(said)[-120:]
    yield (
        "ops/ is what the code makes; dashboards' schema; every metric, switch, alert, runbook in place",
        *run_tests("tests/ops/test_files.py"),
    )
    yield (
        ("a running session scraped, promtool check metrics, every alert fires, every panel has data, an engine's"
         " death is told"),
        *run_tests("tests/ops/test_prometheus.py"),
    )  # fmt: skip


def switches() -> Iterator[Line]:
    """Each kill switch on the paper venue."""
    yield "trip, book, gates.jsonl, log line, metric, back-off, re-arm", *run_tests("tests/ops/test_kill_switches.py")
    yield "participation", *run_tests("tests/engine/test_participation.py", "tests/engine/test_halts.py")


def overhead() -> Iterator[Line]:
    """What it costs the engine."""
    result = run_script("overhead.py")
    yield (
        "logs + CSV + metrics at 200 events/s", result["share_above_record"] <= MOST_SHARE,
        (f"{result['share_above_record']:+.1%} CPU (limit {MOST_SHARE:.0%}), scraped every"
         f" {result['scrape_every_s']:g} s; with the record of all inputs and decisions, which replays need,"
         f" {result['share']:+.1%} (standard error {result['error']:.1%}): {result['without_us']:.0f} ->"
         f" {result['with_us']:.0f} us a market message at {result['rate']:.0f}/s;"
         f" scraped every second {result['share_1s']:+.1%}; a scrape {result['scrape_ms']:.1f} ms; medians of"
         f" {result['turns']} turns"),
    )  # fmt: skip


def disk() -> Iterator[Line]:
    """A throttled writer."""
    result = run_script("slow_disk.py")
    limit = max(SLOW_FACTOR * result["good"]["total_us"]["p99"], LEAST_P99_US)
    for kind in ("slow", "hanging", "full"):
        row = result[kind]
        total, said = row["total_us"], set(row["said"])
        good = total["p99"] <= limit and (kind == "slow" or bool(said)) and row["ended"] == "stopped"
        yield (
            f"a {kind} disk", good,
            (f"rows -> sender p99 {total['p99'] / 1e3:.1f} ms (limit {limit / 1e3:.1f}), most"
             f" {total['max'] / 1e3:.0f} ms, n = {total['n']};"
             f" said {sorted(said)}, metric {row['metric_behind_s']:.1f} s behind,"
             f" recovered: {row['recovered']}"),
        )  # fmt: skip
    yield "a put never waits, whatever the disk does", *run_tests("tests/telemetry/test_live.py")


def crash() -> Iterator[Line]:
    """Kill -9 in the middle of writing."""
    yield "kill -9: every file opens, at most one second is missing", *run_tests("tests/telemetry/test_live_crash.py")


GROUPS: dict[str, Group] = {
    "logs": logs, "prometheus": prometheus, "switches": switches, "crash": crash, "disk": disk, "overhead": overhead,
}  # fmt: skip

if __name__ == "__main__":
    sys.exit(main(__doc__, GROUPS))
