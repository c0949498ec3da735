"""A session's metrics listener: opened if the config asks for it, and found by Prometheus through a file."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from mmlab.errors import MMLabError
from mmlab.lab.targets import publish_target, targets_folder
from mmlab.telemetry.exporter import Exporter

if TYPE_CHECKING:
    from mmlab.lab.trade import Trade

KIB = 1024
PAGES = Path("/proc/self/statm")
PAGE_BYTES = resource.getpagesize()


@asynccontextmanager
async def serving(trade: Trade, run_dir: Path) -> AsyncIterator[None]:
    """Serve a session's metrics meanwhile, if ``telemetry.metrics_port`` says so. Trading goes on without, too."""
    about, files = trade.plan.config.telemetry, trade.files
    if about.metrics_port is None or files is None:
        yield
        return
    exporter, path = Exporter(trade.facts), None
    try:
        target = await exporter.start(about.metrics_port)
        path = publish_target(targets_folder(about.targets_dir), run_dir, target, trade.plan.name)
        files.log.info("metrics_served", url=f"http://{target}/metrics")
    except (OSError, MMLabError) as error:
        files.log.warning("metrics_not_served", error=str(error))
    try:
        yield
    finally:
        if path is not None:
            path.unlink(missing_ok=True)
        await exporter.close()


def process_facts() -> dict[str, float]:
    """CPU time and memory of this process."""
    try:
        memory = int(PAGES.read_text(encoding="ascii").split()[1]) * PAGE_BYTES
    except (OSError, ValueError):  # no Linux: the most it ever had
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        memory = most if sys.platform == "darwin" else most * KIB
    return {"cpu_s": time.process_time(), "memory_bytes": float(memory)}
