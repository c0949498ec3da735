"""What the evidence scripts share: groups of lines, each PASS or FAIL with figures."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
Line = tuple[str, bool, str]
"""What is claimed, whether it holds, figures."""
Group = Callable[[], Iterator[Line]]


def run_script(name: str, *args: str, check: bool = True) -> Any:
    """Run a benchmark and read its last line, which is JSON; with `check` its exit status must be 0."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / name), *args], capture_output=True, text=True, check=False
    )
    if done.returncode and (check or not done.stdout.strip()):
        raise RuntimeError(f"{name}: {done.stderr.strip().splitlines()[-1:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def run_tests(*places: str) -> tuple[bool, str]:
    """Run tests; whether they pass, pytest's closing line, and the names of those that do not."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *places], cwd=ROOT, capture_output=True, text=True, check=False
    )
    lines = done.stdout.strip().splitlines() or [done.stderr]
    return done.returncode == 0, "; ".join([lines[-1], *(line for line in lines if line.startswith("FAILED"))])


def main(doc: str | None, groups: dict[str, Group]) -> int:
    """Run the groups asked for; returns the exit status."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", choices=list(groups), default=list(groups), help="groups to run")
    failed = 0
    for name in parser.parse_args().only:
        start = time.monotonic()
        try:
            for what, ok, figures in groups[name]():
                failed += not ok
                print(f"{'PASS' if ok else 'FAIL'}  {what}: {figures}", flush=True)
        except Exception as error:  # noqa: BLE001 - a group that cannot run is a failed line, not the end
            failed += 1
            print(f"FAIL  {name}: {type(error).__name__}: {error}", flush=True)
        print(f"      ({name}: {time.monotonic() - start:.0f} s)", flush=True)
    print(f"{'PASS' if failed == 0 else 'FAIL'}: {failed} lines failed")
    return int(failed > 0)
