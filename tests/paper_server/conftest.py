"""A paper server in a process of its own, and the official client against it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # websockets' old names, in the official client
    import lighter  # noqa: F401

os.environ.setdefault("NO_PROXY", "127.0.0.1")
SAMPLE = Path(__file__).parents[2] / "data" / "sample.parquet"
COMMAND = (sys.executable, "-c", "import sys; from mmlab.cli import main; sys.exit(main())", "paper-server")


class Server:
    """A server that runs."""

    def __init__(self, *options: str, feed: str = str(SAMPLE)) -> None:
        self.process = subprocess.Popen(
            [*COMMAND, "--feed", feed, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(self.process.stderr.read())
        self.ready = json.loads(line)
        self.url, self.ws = self.ready["url"], self.ready["ws"]

    def keys(self, account: int = 1) -> dict[int, str]:
        (found,) = [one for one in self.ready["accounts"] if one["index"] == account]
        return {int(index): key for index, key in found["api_keys"].items()}

    def end(self, number: int = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        code = self.process.wait(20)
        self.process.stdout.close()
        self.process.stderr.close()
        return code


@pytest.fixture(scope="session")
def server():
    one = Server("--speed", "10", "--loop", "--no-limits", "--latency-ms", "0", "--min-schedule-s", "1",
                 "--accounts", "4", "--collateral", "10000000")  # fmt: skip
    yield one
    assert one.end() == 0
