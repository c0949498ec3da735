"""Order-by-order parity with hftbacktest, which runs in an environment of its own (`make .venv-bench/installed`)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import shared_data

ROOT = Path(__file__).parents[2]
BENCHMARK = ROOT / "benchmarks" / "hftbacktest_parity.py"
TARGET = ".venv-bench/installed"


def peer() -> str:
    """The Python that has hftbacktest: `MMLAB_PEER_PYTHON`, or that of `.venv-bench`."""
    python = Path(os.environ.get("MMLAB_PEER_PYTHON", ROOT / ".venv-bench" / "bin" / "python"))
    if not python.exists():
        message = f"no {python}: `make {TARGET}` builds it, or set MMLAB_PEER_PYTHON"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return str(python)


def compare(*arguments: str) -> dict:
    """The benchmark's comparison, with one timed run."""
    command = [sys.executable, str(BENCHMARK), "--runs", "1", "--peer", peer(), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    lines = done.stdout.strip().splitlines()
    assert lines, done.stderr[-3000:]
    return json.loads(lines[-1])


def check(result: dict) -> None:
    assert result["equal"] is True, result["differences"]
    assert result["mmlab"]["orders"] == result["hftbacktest"]["orders"] > 100
    assert result["mmlab"]["fills"] == result["hftbacktest"]["fills"] > 0


def test_equal_on_a_synthetic_market():
    check(compare("--events", "200000"))


def test_equal_on_a_recording():
    check(compare("--feed", str(shared_data("binance_hftbacktest_raw/usdm_btcusdt_20240808.gz"))))
