"""A session in a process of its own: steered from here, left alone, killed, and what each leaves."""

from __future__ import annotations

import json
import os
import re
import signal
import stat
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import aiohttp
import pytest
import requests

import mmlab
from mmlab import cli
from mmlab.engine.owner import OwnerWatch
from mmlab.lab.addresses import Address, address_file, find, is_alive, publish, run_id, running, runtime_folder
from mmlab.lab.client import Client
from mmlab.lab.demo import SAMPLE
from tests.lab.fabricated import make_feed

ROOT = Path(__file__).parents[2]
CONFIG = mmlab.Config().with_(**{"strategy.warmup_s": 5, "owner.grace_s": 1.5})


@pytest.fixture(autouse=True, scope="module")
def own_runtime_folder(tmp_path_factory):
    """Addresses of these tests are nobody else's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("runtime")))
        yield


@pytest.fixture(scope="module")
def feed_file():
    return SAMPLE


def start(feed, out, **changes):
    session = mmlab.Session(CONFIG.with_(**changes), feed=feed, speed=10.0, loop=True, out=out, name="lab")
    return session.start()


def until(condition, patience_s=60.0):
    """Wait for it; the value that it gave."""
    end_s = time.monotonic() + patience_s
    while time.monotonic() < end_s:
        if value := condition():
            return value
        time.sleep(0.05)
    raise AssertionError("it did not come about")


def quoting(handle):
    state = handle.state()
    return state if state["trading"] == "quoting" and state["orders"] else None


@pytest.fixture(scope="module")
def going(feed_file, tmp_path_factory):
    session = start(feed_file, tmp_path_factory.mktemp("going") / "run", **{"owner.on_owner_lost": "keep"})
    try:
        session.until_quoting()
        yield session
    finally:
        with suppress(mmlab.SessionError):
            session.stop()
            session.wait(60)


def ask(session, method, route, *, token=None, host=None, **more):
    address = find(session.run_dir)
    headers = {"Authorization": f"Bearer {address.token if token is None else token}"}
    if host is not None:
        headers["Host"] = host
    return requests.request(method, address.url + route, headers=headers, timeout=10, **more)


# --- Looking and steering ---------------------------------------------------------------------------------------------


def test_tables(going):
    state = going.state()
    assert {order["side"] for order in state["orders"]} <= {"bid", "ask"}
    assert state["owner"]["last_seen_s"] < 1.0
    assert going.status().loc["symbol", "value"] == "SYNTHETIC-BTC-PERP"
    assert list(going.orders().columns[:3]) == ["side", "rung", "slot"]
    assert going.params().loc["ladder.hysteresis"].tolist() == [0.05, 0.05]
    until(lambda: len(going.metrics()) and len(going.fills()))
    assert set(going.fills()["side"]) <= {"bid", "ask"}
    assert "switch" in going.gates().columns
    assert "lab" in repr(going)
    assert "quoting" in going._repr_html_()


def test_update_is_all_or_nothing_versioned_and_written_down(going):
    before = going.state()["parameter_version"]
    version = going.update({"ladder.hysteresis": 0.04, "gates.flip.mode": "widen"})
    assert version == before + 1
    with pytest.raises(mmlab.ConfigError) as caught:
        going.update({"ladder.hysteresis": 7, "no.such": 1, "kill.fresh_s": 3})
    assert "ladder.hysteresis" in str(caught.value)
    assert "no.such" in str(caught.value)
    with pytest.raises(mmlab.SessionError, match=r"session changed ladder.hysteresis, gates.flip.mode"):
        going.update({"kill.fresh_s": 3}, base_version=before)
    assert going.state()["parameter_version"] == version
    assert going.params().loc["kill.fresh_s", "value"] == 2.0
    last = going.params(history=True).iloc[-2:]
    assert dict(zip(last["parameter"], last["new"], strict=True)) == {
        "ladder.hysteresis": 0.04,
        "gates.flip.mode": "widen",
    }
    written = [json.loads(line) for line in (going.run_dir / "changes.jsonl").read_text().splitlines()]
    assert written[-1]["version"] == version


def test_kill_and_rearm(going):
    until(lambda: quoting(going))
    going.kill("<test>")
    state = until(lambda: (s := going.state())["trading"] == "halted" and s)
    assert state["orders"] == []
    assert state["latched"]
    assert [(row["switch"], row["why"]) for row in state["switches"]] == [("manual", "<test>")]
    going.rearm()
    until(lambda: quoting(going))


def test_another_handle_sees_and_steers_the_same(going):
    other = mmlab.attach(going.run_dir)
    version = other.update({"ladder.min_dwell_ms": 400})
    assert going.state()["parameter_version"] == version
    assert going.params().loc["ladder.min_dwell_ms", "value"] == 400
    other._heartbeat.stop()


def test_every_route_wants_the_token(going):
    for method, route in (("GET", "/state"), ("POST", "/kill"), ("POST", "/params"), ("GET", "/stream"), ("GET", "/x")):
        answer = ask(going, method, route, token="wrong")
        assert answer.status_code == 401
        assert "token" in answer.json()["error"]
    assert ask(going, "GET", "/state", host="evil.example:80").status_code == 403
    assert ask(going, "GET", "/state").status_code == 200
    assert going.state()["trading"] == "quoting"


@pytest.mark.parametrize(
    ("route", "body"),
    [("/params", b"{"), ("/params", b'{"changes": 3}'), ("/params", b'{"chnages": {}}'), ("/kill", b"[]"),
     ("/shadows", b'{"name": 1}'), ("/params", b'{"changes": {"ladder.hysteresis": "x"}}')],
)  # fmt: skip
def test_bad_bodies_are_told(going, route, body):
    answer = ask(going, "POST", route, data=body)
    assert answer.status_code == 400
    assert answer.json()["error"]


def test_too_large_a_body(going):
    assert ask(going, "POST", "/params", data=b"x" * (2 << 20)).status_code == 413


def test_stream(going):
    import asyncio

    address = find(going.run_dir)

    async def look():
        headers = {"Authorization": f"Bearer {address.token}"}
        async with (
            aiohttp.ClientSession() as http,
            http.ws_connect(f"{address.url}/stream?hz=10", headers=headers) as ws,
        ):
            return [json.loads((await ws.receive(timeout=10)).data)["wall_s"] for _ in range(3)]

    times = asyncio.run(look())
    assert times[0] < times[1] < times[2]
    assert ask(going, "GET", "/stream?hz=1000").status_code == 400


def test_prometheus_text(going):
    text = ask(going, "GET", "/metrics").text
    assert 'mmlab_trading_state{market="SYNTHETIC-BTC-PERP",session="lab",state="quoting"} 1.0' in text
    assert "mmlab_messages_total" in text


def test_the_token_is_in_one_file_for_this_user_only(going):
    path = address_file(going.run_dir)
    token = find(going.run_dir).token
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    for file in going.run_dir.iterdir():
        assert token.encode() not in file.read_bytes(), file
    assert token not in repr(find(going.run_dir))
    shown = subprocess.run(["ps", "-ef"], capture_output=True, text=True, check=True).stdout
    assert token not in shown


def test_a_started_session_is_not_started_again(going):
    with pytest.raises(mmlab.SessionError, match="make another one"):
        going.start()


def test_shadow_sets_run_along(going):
    going.add_shadow("wider", {"gates.flip.widen_ticks": 4})
    with pytest.raises(mmlab.ConfigError, match=r"ladder\.hysteresis"):
        going.add_shadow("wrong", {"ladder.hysteresis": 7})
    with pytest.raises(mmlab.SessionError, match="already"):
        going.add_shadow("wider", {})
    assert going._handle().shadows()["wider"]["changes"] == {"gates.flip.widen_ticks": 4}
    until(lambda: len(going.shadows()) > 1)
    table = going.shadows()
    assert list(table.index) == ["live", "wider"]
    going.remove_shadow("wider")
    with pytest.raises(mmlab.SessionError, match="no shadow set"):
        going.remove_shadow("wider")


def test_commands_steer_it(going, capsys):
    until(lambda: quoting(going))
    run_dir = str(going.run_dir)
    assert cli.main(["attach", run_dir, "--set", "ladder.min_dwell_ms=300", "--once"]) == 0
    assert going.params().loc["ladder.min_dwell_ms", "value"] == 300
    assert cli.main(["attach", run_dir, "--set", "ladder.hysteresis=7"]) == 2
    assert cli.main(["kill", run_dir, "--reason", "lunch"]) == 0
    assert going.state()["why"] == "manual: lunch"
    assert cli.main(["attach", run_dir, "--rearm", "--once"]) == 0
    until(lambda: quoting(going))
    assert cli.main(["flatten", run_dir]) == 0
    assert cli.main(["kill", str(going.run_dir.parent)]) == 2
    said = capsys.readouterr()
    for words in (
        r"\| parameters",
        "run: halted, no order rests; position",
        "run: (no position is left|position left: )",
    ):
        assert re.search(words, said.out)
    for words in ("ladder.hysteresis = 7", "no engine of yours is running for it; running now: run"):
        assert words in said.err


# --- Ends -------------------------------------------------------------------------------------------------------------

OWNER = """
import sys, time, mmlab
config = mmlab.Config.load(sys.argv[3])
session = mmlab.Session(config, feed=sys.argv[1], speed=10.0, loop=True, out=sys.argv[2])
session.start()
while not session.state()["orders"]:
    time.sleep(0.05)
print("quoting", flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("then", ["stop", "halt"])
def test_an_owner_that_is_killed(feed_file, tmp_path, then):
    CONFIG.with_(**{"owner.on_owner_lost": then}).save(tmp_path / "c.toml")
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(feed_file), str(tmp_path / "run"), str(tmp_path / "c.toml")],
        stdout=subprocess.PIPE, text=True, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert owner.stdout.readline() == "quoting\n"
    client = Client.of(tmp_path / "run")
    until(lambda: quoting(client))
    owner.kill()
    killed = time.monotonic()
    owner.wait()
    owner.stdout.close()
    time.sleep(0.7)
    assert client.state()["trading"] == "quoting"  # a grace is a grace
    if then == "halt":
        until(lambda: client.state()["trading"] == "halted" and not client.state()["orders"])
        assert time.monotonic() - killed < 1.5 + 2.0
        session = mmlab.attach(tmp_path / "run")
        session.rearm()
        until(lambda: quoting(session))
        session.stop()
        assert session.wait(60).info.ended == "stopped"
    else:
        until(lambda: _state_or_none(client) is None or client.state()["ended"])
        assert time.monotonic() - killed < 1.5 + 2.0
        until(lambda: find(tmp_path / "run") is None)
        run = until(lambda: (r := mmlab.load_run(tmp_path / "run")).info.ended != "running" and r)
        assert run.info.ended == "owner lost"
        assert run.orders["state"].iloc[-1] in ("canceled", "filled")


def _state_or_none(client):
    try:
        return client.state()
    except mmlab.SessionError:
        return None


def test_an_engine_that_is_killed_leaves_a_run_and_words(feed_file, tmp_path):
    session = start(feed_file, tmp_path / "run")
    until(lambda: quoting(session))
    time.sleep(1.5)  # a flush
    os.kill(session.state()["pid"], signal.SIGKILL)
    run = session.wait(60)
    assert run.info.ended == "crashed"
    with pytest.raises(mmlab.SessionError, match="engine has ended, or died"):
        session.state()
    assert "died" in session._repr_html_()
    until(lambda: "engine_died" in (session.run_dir / "log.jsonl").read_text())
    assert "SIGKILL" in (session.run_dir / "log.jsonl").read_text()
    with pytest.raises(mmlab.SessionError, match="no engine of yours"):
        mmlab.attach(session.run_dir)


def test_a_supervisor_that_is_killed_stops_the_engine(feed_file, tmp_path):
    session = start(feed_file, tmp_path / "run")
    until(lambda: quoting(session))
    pid = session.state()["pid"]
    os.kill(session._launched.pid, signal.SIGKILL)
    until(lambda: not is_alive(pid))
    assert mmlab.load_run(tmp_path / "run").info.ended == "supervisor process lost"


def test_a_signal_ends_it_in_good_order(feed_file, tmp_path):
    session = start(feed_file, tmp_path / "run")
    until(lambda: quoting(session))
    os.kill(session._launched.pid, signal.SIGTERM)
    assert session.wait(60).info.ended == "signal SIGTERM"


def test_what_fails_at_the_start_is_told(feed_file, tmp_path):
    session = start(feed_file, tmp_path / "run", **{"risk.max_position": 1e-9})
    with pytest.raises(mmlab.ConfigError, match="max_long"):
        session.state()
    with pytest.raises(mmlab.ConfigError, match="max_long"):
        session.wait()
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "x").touch()
    with pytest.raises(mmlab.SessionError, match="already exists"):
        start(feed_file, tmp_path / "there")
    with pytest.raises(mmlab.ConfigError, match="finite"):
        mmlab.Session(CONFIG, feed=feed_file, speed=float("inf")).start()


def test_an_engine_that_dies_as_it_begins_says_why(tmp_path, monkeypatch):
    monkeypatch.setattr("mmlab.lab.plan.Plan.to_json", lambda *_, **more: json.dumps({"path": sys.path, **more}))
    session = start(SAMPLE, tmp_path / "run")
    with pytest.raises(mmlab.SessionError, match="died as it began: KeyError"):
        session.state()


WITHIN_A_LOOP = """
import asyncio, sys, mmlab
async def cell():
    config = mmlab.Config().with_(**{"strategy.warmup_s": 5})
    return mmlab.Session(config, feed=sys.argv[1], speed=float(sys.argv[3]), out=sys.argv[2]).run_sync(60)
run = asyncio.run(cell())
print(run.info.ended, len(run.orders) > 0)
"""


@pytest.mark.parametrize("speed", ["inf", "20"])
def test_the_synchronous_form_within_a_running_loop(tmp_path, speed):
    """In a process of its own, since nest_asyncio2 changes asyncio for good."""
    command = [sys.executable, "-c", WITHIN_A_LOOP, str(SAMPLE), str(tmp_path / "run"), speed]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.stdout == "duration over True\n", done.stderr


def test_a_quoter_of_a_notebook_is_refused(feed_file, tmp_path):
    @mmlab.quoter
    def mine(market, metrics, position_lots, params, out):
        return 0

    session = mmlab.Session(CONFIG, feed=feed_file, strategy=mine, out=tmp_path / "run")
    with pytest.raises(mmlab.ConfigError, match="module"):
        session.start()


def test_a_feed_without_a_file_crosses_and_leaves_none(tmp_path):
    feed = make_feed(100)
    session = mmlab.Session(CONFIG, feed=feed, speed=50.0, out=tmp_path / "run").start()
    run = session.wait(120)
    assert run.info.ended == "end of feed"
    assert list(runtime_folder().glob("feed-*")) == []
    assert not (runtime_folder() / f"{run_id(tmp_path / 'run')}.stderr").exists()
    assert feed.path is None


# --- Parts ------------------------------------------------------------------------------------------------------------


def test_owner_watch():
    watch = OwnerWatch("stop", 5.0, 100.0)
    assert [watch.step(t) for t in (100.0, 104.9, 105.0, 105.1)] == ["keep", "keep", "stop", "keep"]
    assert watch.seen(106.0)
    assert [watch.step(t) for t in (110.9, 111.0)] == ["keep", "stop"]


def test_addresses_of_the_dead_are_forgotten(tmp_path):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    publish(Address(str(tmp_path / "gone"), "http://127.0.0.1:1", "t", dead.pid, "2026"))
    publish(Address(str(tmp_path / "here"), "http://127.0.0.1:1", "t", os.getpid(), "2026"))
    assert str(tmp_path / "gone") not in {address.run_dir for address in running()}
    assert find(tmp_path / "gone") is None
    assert find(tmp_path / "here").pid == os.getpid()
    address_file(tmp_path / "here").unlink()
    assert run_id(tmp_path / "a") != run_id(tmp_path / "b" / "a")


def test_a_folder_that_others_can_read_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    (tmp_path / "mmlab").mkdir(mode=0o755)
    (tmp_path / "mmlab").chmod(0o755)
    with pytest.raises(mmlab.SafetyError, match="chmod 700"):
        runtime_folder()
