"""Every claim of the third milestone, the live lab: a line each, PASS or FAIL, with figures.

    make evidence-04
    .venv/bin/python benchmarks/evidence_04.py --only busy      # one group

Long: about an hour, ten minutes of it a dashboard that must not grow. Correctness lines are also tests; speed is
measured here only.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

from evidence import Group, Line, main, run_script, run_tests
from evidence_04_study import GROUPS as STUDY
from evidence_04_views import GROUPS as VIEWS
from evidence_04_whatif import GROUPS as WHAT_IF

LEAST_P99_MS, STALL_MS = 10.0, 100.0
LOADS = ("sleep", "python", "pandas", "json", "numba")


def busy() -> Iterator[Line]:
    """A busy notebook, through a real Jupyter kernel."""
    result = run_script("busy_notebook.py", "--repeats", "5")
    idle = result["loads"]["idle"]
    limit = max(2 * idle["total_p99"], LEAST_P99_MS)
    for load in LOADS:
        row = result["loads"][load]
        good = row["total_p99"] <= limit and max(row["total_max"], row["lag_max"]) <= STALL_MS
        yield (
            f"a cell that keeps the kernel busy ({load})", good,
            (f"rows -> sender p99 {row['total_p99']:.2f} ms (limit {limit:.2f}: idle p99 {idle['total_p99']:.2f}),"
             f" longest {row['total_max']:.1f} ms, loop late by at most {row['lag_max']:.1f} ms;"
             f" n = {row['total_n']:.0f}, medians of 5"),
        )  # fmt: skip
    killed = result["killed"]
    good = killed["empty_after_s"] <= killed["grace_s"] + 2 and killed["quoted_on_s"] >= killed["grace_s"] - 1
    yield (
        "kernel killed with SIGKILL while quoting (a new one had attached before)", good,
        (f"quoted on for {killed['quoted_on_s']} s, nothing rests after {killed['empty_after_s']} s"
         f" (grace {killed['grace_s']} s)"),
    )  # fmt: skip


def sessions() -> Iterator[Line]:
    """Engine process, control server, owner, several side by side."""
    yield "process, control, owner, bad input", *run_tests("tests/lab/test_session_process.py")
    yield "side by side under risk.max_total_notional", *run_tests("tests/lab/test_ledger.py")


def browser() -> Iterator[Line]:
    """Dashboard and JupyterLab in a real browser; screenshots in artefacts/."""
    yield "served dashboard", *run_tests("tests/browser/test_dashboard.py")
    yield "JupyterLab", *run_tests("tests/browser/test_jupyterlab.py", "--every-notebook")


def notebooks() -> Iterator[Line]:
    """All notebooks through papermill, in order."""
    yield "notebooks 01 to 08", *run_tests("tests/test_notebooks.py")


GROUPS: dict[str, Group] = {
    "sessions": sessions, "busy": busy, **WHAT_IF, **STUDY, "notebooks": notebooks, "browser": browser, **VIEWS,
}  # fmt: skip

if __name__ == "__main__":
    sys.exit(main(__doc__, GROUPS))
