"""A live session against a paper server: real adapter, real signer, processes that die, and keys that nothing shows."""

import json
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

import mmlab

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import kills
from paper_exchange import PaperExchange

PATIENT_S = 20.0
"""Beyond the limits that `benchmarks/kills.py` measures: a test must not fail because the machine is slow."""


@pytest.fixture(scope="module")
def server():
    with mmlab.PaperServer(speed=10, loop=True, no_limits=True, min_schedule_s=kills.MIN_SCHEDULE_S) as server:
        yield server


@pytest.fixture(scope="module")
def exchange(server):
    return PaperExchange(server.ready)


@pytest.fixture
def trial(exchange, tmp_path):
    one = kills.Trial(exchange, tmp_path)
    yield one
    one.end()


def gone(exchange, since_s):
    return exchange.empty_after_s(kills.DEAD_MAN_S + PATIENT_S, since_s)


def test_the_supervisor_cancels_when_the_engine_dies_and_shows_no_key(trial, exchange, server):
    assert gone(exchange, trial.kill("engine")) is not None
    wait_for(lambda: "engine_died" in (trial.run_dir / "log.jsonl").read_text())
    last = json.loads((trial.run_dir / "log.jsonl").read_text().splitlines()[-1])
    assert last["rescue"].startswith("all cancelled")
    assert mmlab.load_run(trial.run_dir).info.ended == "crashed"
    secrets = [key for account in server.ready["accounts"] for key in account["api_keys"].values()]
    parts = {secret[i : i + 16] for secret in secrets for i in range(0, len(secret), 16)}
    for file in trial.run_dir.rglob("*"):
        text = file.read_bytes()
        assert not [part for part in parts if part.encode() in text], file
    for pid in (trial.pids["supervisor"],):  # nor does a process list
        with suppress(FileNotFoundError):
            words = Path(f"/proc/{pid}/cmdline").read_bytes() + Path(f"/proc/{pid}/environ").read_bytes()
            assert not [part for part in parts if part.encode() in words]


def test_the_venue_cancels_when_nobody_is_left(trial, exchange):
    assert gone(exchange, trial.kill("engine", "supervisor")) is not None


def test_the_engine_cancels_when_supervisor_and_owner_are_gone(trial, exchange):
    assert gone(exchange, trial.kill("owner", "supervisor")) is not None
    wait_for(lambda: not Path(f"/proc/{trial.pids['engine']}").exists())


def test_a_restart_adopts_or_cancels_what_was_left(exchange, server, tmp_path):
    first = kills.Trial(exchange, tmp_path)
    try:
        first.kill("engine", "supervisor")
        left = exchange.orders()
        config = mmlab.Config().with_(**kills.SETTINGS)
        session = mmlab.Session(config, venue="lighter", paper=server.ready, out=tmp_path / "again").start()
        session.until_quoting(60)
        ours = {order["client_order_id"] for order in session.state()["orders"]}
        wait_for(lambda: {o["client_order_index"] for o in exchange.orders()} <= clients(session) | ours)
        session.stop()
        run = session.wait(60)
    finally:
        first.end()
    assert run.info.ended == "stopped"
    assert not exchange.orders(), left
    assert run.info.counters["position_left_lots"] * run.instrument.lot_size == pytest.approx(exchange.position())


def clients(session):
    return {order["client_order_id"] for order in session.state()["orders"]}


def test_a_dry_run_by_the_command_sends_nothing_and_an_interrupt_ends_it_in_order(exchange, server, tmp_path):
    before = len(exchange.trades())
    words = [f"--set={name}={json.dumps(value)}" for name, value in kills.SETTINGS.items()]
    # a shell's background jobs ignore the signal, and hand that down
    program = "import signal, sys; from mmlab.cli import main; signal.signal(signal.SIGINT, signal.default_int_handler)"
    command = [sys.executable, "-c", f"{program}; sys.exit(main())", "live", "--dry-run",
               "--paper", server.url, "--paper-keys", str(exchange.ready_file(tmp_path)), "--out",
               str(tmp_path / "run"), "--no-report", *words]  # fmt: skip
    log = tmp_path / "run" / "log.jsonl"
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            wait_for(lambda: log.exists() and log.read_text().count('"dry_payload"') > 1, 120)
            sent = exchange.orders()
            process.send_signal(signal.SIGINT)
            said, wrong = process.communicate(timeout=60)
        finally:
            process.kill()
    assert (process.returncode, wrong) == (130, ""), said
    assert (sent, exchange.orders(), len(exchange.trades())) == ([], [], before)
    assert mmlab.load_run(tmp_path / "run").info.ended.startswith("interrupted")


def wait_for(there, patience_s=PATIENT_S):
    until_s = time.monotonic() + patience_s
    while not there():
        assert time.monotonic() < until_s
        time.sleep(0.05)
