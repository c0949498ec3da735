"""Cost of the dashboard: a server, a session in real time, and browsers that watch it. Groups for `evidence_04`.

Server's share of a core: its processor time from /proc over the wall time, with nothing else in it. Browsers run on the
same machine, so first render is measured with all of them.
"""

from __future__ import annotations

import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from evidence import ROOT, Group, Line, main

TICK_S = 1 / os.sysconf("SC_CLK_TCK")
WATCH_S = 30.0
SOAK_S = 600.0
ONE_SHARE, FIVE_SHARE, RENDER_S, GROWTH_MB = 0.15, 0.60, 3.0, 5.0


def cpu_s(pid: int) -> float:
    """Processor time of a process so far, all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * TICK_S


def rss_mb(pid: int) -> float:
    """Memory a process holds."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


@contextmanager
def lab(speed: float = 1.0) -> Iterator[tuple[str, int, Path]]:
    """A session in real time and a dashboard; gives its address, its process and the run directory."""
    from tests.browser.served import dashboard, session

    with tempfile.TemporaryDirectory() as folder:
        run_dir = Path(folder) / "runs" / "live"
        with session(run_dir, speed), dashboard(run_dir.parent) as (url, server):
            yield url, server.pid, run_dir


@contextmanager
def browser() -> Iterator[Any]:
    """The system's chromium."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        found = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        yield found
        found.close()


@contextmanager
def viewer(chromium: Any, url: str, view: str = "overview") -> Iterator[tuple[Any, float]]:
    """A page that shows a view; gives it and the seconds until it was drawn."""
    context = chromium.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    began = time.perf_counter()
    page.goto(f"{url}?view={view}")
    page.get_by_text("Latency by stage" if view == "overview" else "Changes so far").first.wait_for(timeout=60_000)
    page.locator("canvas").first.wait_for(timeout=60_000)
    taken = time.perf_counter() - began
    yield page, taken
    context.close()


def share(pid: int, page: Any, seconds: float) -> float:
    """Share of a core that a process takes while time passes."""
    before, began = cpu_s(pid), time.perf_counter()
    page.wait_for_timeout(1e3 * seconds)
    return (cpu_s(pid) - before) / (time.perf_counter() - began)


def dashboard_cost() -> Iterator[Line]:
    """First render, share of a core with one viewer and with five."""
    with lab() as (url, pid, _), browser() as chromium, ExitStack() as stack:
        renders = []
        for _ in range(4):
            with viewer(chromium, url) as (_, taken):
                renders.append(taken)
        middle = statistics.median(renders[1:])
        figures = f"{middle:.2f} s, median of {len(renders) - 1}; the server's first {renders[0]:.2f} s"
        yield f"first render < {RENDER_S:g} s", middle < RENDER_S, figures
        time.sleep(8.0)  # closed pages expire
        page, _ = stack.enter_context(viewer(chromium, url))
        page.wait_for_timeout(3000)
        one = share(pid, page, WATCH_S)
        yield (
            f"server at 5 Hz, one viewer < {ONE_SHARE:.0%} of a core",
            one < ONE_SHARE,
            f"{one:.1%} over {WATCH_S:g} s",
        )
        for _ in range(4):
            stack.enter_context(viewer(chromium, url))
        page.wait_for_timeout(3000)
        five = share(pid, page, WATCH_S)
        yield f"five viewers together < {FIVE_SHARE:.0%}", five < FIVE_SHARE, f"{five:.1%} over {WATCH_S:g} s"


def dashboard_memory() -> Iterator[Line]:
    """Memory over ten minutes with a viewer."""
    with lab() as (url, pid, _), browser() as chromium, viewer(chromium, url) as (page, _):
        page.wait_for_timeout(60_000)  # caches fill
        start = rss_mb(pid)
        page.wait_for_timeout(1e3 * SOAK_S)
        grown = rss_mb(pid) - start
        figures = f"{grown:+.1f} MB in {SOAK_S / 60:g} min, from {start:.0f} MB"
        yield f"memory growth < {GROWTH_MB:g} MB in 10 min", grown < GROWTH_MB, figures


def dashboard_and_engine() -> Iterator[Line]:
    """The engine's latency with five viewers against none."""
    from mmlab.lab.client import Client

    def latency(watch: Callable[[Any, str, ExitStack], Any]) -> dict[str, float]:
        with lab() as (url, _, run_dir), browser() as chromium, ExitStack() as stack:
            page = watch(chromium, url, stack)
            page.wait_for_timeout(1e3 * WATCH_S)
            stage = Client.of(run_dir).state()["latency_us"]["decide"]
            return {name: stage[name] / 1e3 for name in ("p50", "p99", "max")}

    alone = latency(lambda chromium, *_: chromium.new_page())

    def five(chromium: Any, url: str, stack: ExitStack) -> Any:
        pages = [stack.enter_context(viewer(chromium, url))[0] for _ in range(5)]
        return pages[-1]

    watched = latency(five)
    limit = max(2 * alone["p99"], 10.0)
    figures = ", ".join(f"{name} {alone[name]:.2f} -> {watched[name]:.2f} ms" for name in alone)
    yield (
        "engine: event -> decision p99 with five browsers on the same machine <= max(2x without, 10 ms)",
        watched["p99"] <= limit, figures,
    )  # fmt: skip


GROUPS: dict[str, Group] = {
    "dashboard_cost": dashboard_cost,
    "dashboard_and_engine": dashboard_and_engine,
    "dashboard_memory": dashboard_memory,
}
sys.path.insert(0, str(ROOT))  # for tests.browser.served

if __name__ == "__main__":
    sys.exit(main(__doc__, GROUPS))
