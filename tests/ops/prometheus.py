"""A real Prometheus on loopback, started by a test."""

from __future__ import annotations

import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import requests

from mmlab.telemetry.ops.__main__ import write
from mmlab.telemetry.ops.terms import Terms

TERMS = {"for_s": 2.0, "window_s": 10.0, "scrape_s": 1.0}
"""Quick alerts."""


class Prometheus:
    """A server with the generated configuration.

    Parameters
    ----------
    folder : Path
        For configuration, targets and data.
    """

    def __init__(self, folder: Path) -> None:
        self.targets = folder / "targets"
        self.targets.mkdir(parents=True)
        write(folder, Terms(**TERMS, targets=str(self.targets)))
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self._log = (folder / "prometheus.log").open("wb")
        self._process = subprocess.Popen(
            [
                "prometheus", f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdout=self._log, stderr=subprocess.STDOUT,
        )  # fmt: skip
        try:
            until(self._ready)
        except BaseException:
            self.close()
            raise

    def _ready(self) -> bool:
        assert self._process.poll() is None, Path(self._log.name).read_text()
        try:
            return requests.get(f"{self.url}/-/ready", timeout=5).ok
        except requests.ConnectionError:
            return False

    def query(self, expr: str) -> list[dict[str, Any]]:
        """Result of an instant query."""
        answer = requests.get(f"{self.url}/api/v1/query", params={"query": expr}, timeout=10).json()
        assert answer["status"] == "success", (expr, answer)
        return answer["data"]["result"]

    def firing(self) -> set[tuple[str, str]]:
        """Alerts that fire: name and session."""
        found = self.query('ALERTS{alertstate="firing"}')
        return {(row["metric"]["alertname"], row["metric"].get("session", "")) for row in found}

    def alerts(self) -> list[dict[str, Any]]:
        """Alerts as the server tells them, with annotations."""
        return requests.get(f"{self.url}/api/v1/alerts", timeout=10).json()["data"]["alerts"]

    def close(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(20)
        self._log.close()


def until(condition: Any, patience_s: float = 60.0) -> Any:
    """Wait for it; the value that it gave."""
    end_s = time.monotonic() + patience_s
    while time.monotonic() < end_s:
        if value := condition():
            return value
        time.sleep(0.2)
    raise AssertionError("it did not come about")
