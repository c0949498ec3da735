"""`mmlab doctor`: is this machine ready, and if not, what to do."""

from __future__ import annotations

import os
import platform
import re
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Literal

from mmlab.lab.demo import SAMPLE

OLDEST = (3, 11)
LEAST_FREE_GB = 1.0
PACKAGE = Path(__file__).parents[1]


@dataclass(frozen=True)
class Check:
    """What one check found, and what to do about it (empty if nothing)."""

    name: str
    state: Literal["ok", "warn", "fail"]
    found: str
    advice: str = ""


def doctor() -> list[Check]:
    """Every check, in order."""
    checks: list[Callable[[], Check]] = [python, system, packages, kernel_cache, cores, disk, sample, browser]
    return [check() for check in checks]


def python() -> Check:
    """Python is new enough."""
    good = sys.version_info >= OLDEST
    advice = "" if good else f"install Python {'.'.join(map(str, OLDEST))} or newer and make the environment again"
    return Check("Python", "ok" if good else "fail", f"{platform.python_version()} at {sys.executable}", advice)


def system() -> Check:
    """POSIX, which runs and locks rely on."""
    good = os.name == "posix"
    advice = "" if good else "use Linux or macOS; on Windows, the Windows Subsystem for Linux"
    return Check("System", "ok" if good else "fail", f"{platform.system()} {platform.machine()}", advice)


def packages() -> Check:
    """Every dependency is there, in the range that the project asks for."""
    wrong, seen = [], 0
    for requirement in requires("mmlab") or []:
        if "extra ==" in requirement:
            continue
        seen += 1
        name, ranges = _parse(requirement)
        try:
            found = version(name)
        except PackageNotFoundError:
            wrong.append(f"{name} is missing")
            continue
        if not all(_holds(found, *part) for part in ranges):
            wrong.append(f"{name} is {found}, needs {requirement.removeprefix(name)}")
    advice = "pip install --upgrade mmlab, or make the environment again from environment.yml" if wrong else ""
    found = "; ".join(wrong) or f"{seen} dependencies, numba {version('numba')}, numpy {version('numpy')}"
    return Check("Packages", "fail" if wrong else "ok", found, advice)


def _parse(requirement: str) -> tuple[str, list[tuple[str, str]]]:
    name = re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0]
    return name, re.findall(r"(>=|<=|==|<|>|!=)\s*([0-9][\w.]*)", requirement)


def _holds(found: str, operator: str, bound: str) -> bool:
    mine, theirs = ([int(part) for part in re.findall(r"\d+", text)[:3]] for text in (found, bound))
    width = max(len(mine), len(theirs))
    a, b = (parts + [0] * (width - len(parts)) for parts in (mine, theirs))
    return {">=": a >= b, "<=": a <= b, "==": a == b, "<": a < b, ">": a > b, "!=": a != b}[operator]


def kernel_cache() -> Check:
    """Compiled kernels can be kept, and are."""
    given = os.environ.get("NUMBA_CACHE_DIR")
    place = Path(given) if given else PACKAGE
    compiled = sum(1 for _ in place.rglob("*.nbc")) if place.is_dir() else 0
    try:
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        advice = "set NUMBA_CACHE_DIR to a folder you can write, or every start compiles for a minute"
        return Check("Compiled kernels", "warn", f"{place} cannot be written ({error.strerror})", advice)
    if not compiled:
        return Check("Compiled kernels", "warn", f"none in {place}", "run 'mmlab demo' once: it compiles for a minute")
    return Check("Compiled kernels", "ok", f"{compiled} in {place}")


def cores() -> Check:
    """Cores for sweeps."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    advice = "" if count > 1 else "sweeps run one point after the other on a single core"
    return Check("Cores", "ok" if count > 1 else "warn", str(count), advice)


def disk() -> Check:
    """Room for runs."""
    free = shutil.disk_usage(".").free / 1e9
    good = free >= LEAST_FREE_GB
    advice = "" if good else "free some space, or give --out on another disk"
    return Check("Free disk", "ok" if good else "warn", f"{free:.1f} GB here", advice)


def sample() -> Check:
    """The sample of the demo."""
    if SAMPLE.is_file():
        return Check("Sample data", "ok", str(SAMPLE))
    return Check("Sample data", "ok", "not in this installation; the demo makes it (about half a minute)")


def browser() -> Check:
    """A browser for the tests; reports open in any."""
    found = shutil.which("chromium")
    advice = "" if found else "only the browser tests need it; Debian: apt-get install chromium"
    return Check("Chromium", "ok" if found else "warn", found or "not on PATH", advice)
