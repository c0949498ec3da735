"""A store takes in what a run directory and an engine tell, and says what is wrong with either."""

from __future__ import annotations

import json
import shutil
import time

import numpy as np
import pytest

from mmlab.lab.episodes import episodes, is_trigger, is_trip
from mmlab.views.hub import Hub
from mmlab.views.store import Store
from mmlab.views.tails import Columns, Tail
from mmlab.views.triggers import Triggers
from tests.lab.fabricated import make_run
from tests.views.fake import FakeEngine, going, nobody


@pytest.fixture(scope="module")
def run():
    return make_run(300, halted=True)


@pytest.fixture(scope="module")
def finished(run, tmp_path_factory):
    return run.save(tmp_path_factory.mktemp("runs") / "finished")


def wait(store, done, seconds=5.0):
    until = time.monotonic() + seconds
    while not done() and time.monotonic() < until:
        store._looked = store._tried = -np.inf
        store.step()
        time.sleep(0.02)
    assert done()


def test_a_finished_run(run, finished):
    store = Store(finished, nobody)
    store.step()
    assert (store.trouble, store.going, store.live, store.ended) == ("", False, False, run.info.ended)
    assert store.metrics.total == run.tables.metrics.size
    assert store.metrics.since()["net_pnl"] == pytest.approx(run.tables.metrics["net_pnl"], nan_ok=True)
    fills = store.fills.since()
    assert fills["side"].tolist() == run.tables.fills["side"].tolist()
    assert fills["price"] == pytest.approx(run.fills["price"].to_numpy())
    assert store.params["config"] == run.config.model_dump(mode="json")
    assert np.isnan(store.age_s)


def test_triggers_are_the_episodes_of_the_lab(run, finished):
    store = Store(finished, nobody)
    store.step()
    gates = run.tables.gates
    expected = episodes(gates, 2**62)
    mine = [one for one in store.triggers.held if one.action != "exit_skipped"]
    assert [(one.switch, one.action) for one in mine] == list(zip(expected["switch"], expected["action"], strict=True))
    ends = np.array([np.inf if one.end is None else one.end for one in mine])
    known = expected["end_ns"].to_numpy() < 2**62
    assert ends[known] == pytest.approx(expected["end_ns"].to_numpy()[known] / 1e6)
    assert store.triggers.kills == int(is_trip(gates).sum()) > 0
    assert len(mine) == int((is_trip(gates) | is_trigger(gates)).sum())


def test_a_going_run_and_its_engine(run, tmp_path):
    live = going(tmp_path / "run", run, rows=0)
    engine = FakeEngine(tmp_path / "run", run.config)
    store = Store(tmp_path / "run", lambda _: engine)
    store.step()
    assert (store.going, store.live, store.metrics.total) == (True, True, 0)
    live.put("metrics", run.tables.metrics[:10])
    wait(store, lambda: store.metrics.total == 10)
    live.put("metrics", run.tables.metrics[10:30])
    live.put("fills", run.tables.fills[:5])
    wait(store, lambda: (store.metrics.total, store.fills.total) == (30, 5))
    assert store.metrics.since(28)["t"].size == 2
    assert store.age_s < 1.0
    engine.update({"ladder.hysteresis": 0.04})
    wait(store, lambda: store.params["version"] == 1)
    assert store.params["config"]["ladder"]["hysteresis"] == 0.04
    engine.dead = "the engine has ended, or died"
    wait(store, lambda: not store.live)
    assert "died" in store.silence and store.going
    live.close()
    wait(store, lambda: not store.going)
    assert store.ended == run.info.ended


def test_an_engine_that_comes_later(run, tmp_path):
    live = going(tmp_path / "run", run, rows=0)
    found = []

    def connect(run_dir):
        return found[0] if found else nobody(run_dir)

    store = Store(tmp_path / "run", connect)
    store.step()
    assert "no engine of yours" in store.silence and store.going
    found.append(FakeEngine(tmp_path / "run"))
    wait(store, lambda: store.live)
    live.close()


def test_a_run_whose_writer_died(run, finished, tmp_path):
    folder = shutil.copytree(finished, tmp_path / "run")
    record = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps({**record, "ended": "running"}))
    store = Store(folder, nobody)
    store.step()
    assert (store.ended, store.going) == ("crashed", False)
    assert store.metrics.total == run.tables.metrics.size


@pytest.mark.parametrize(
    ("break_it", "words"),
    [
        (lambda folder: (folder / "run.json").unlink(), "cut short"),
        (lambda folder: (folder / "run.json").write_text('{"ended": "run'), "cut short or damaged"),
        (lambda folder: (folder / "metrics.csv").write_text("local_ns\nnonsense\n"), "damaged"),
        (lambda folder: (folder / "gates.jsonl").write_text("{}\n"), "damaged"),
    ],
)
def test_a_directory_that_is_damaged(finished, tmp_path, break_it, words):
    folder = shutil.copytree(finished, tmp_path / "run")
    break_it(folder)
    store = Store(folder, nobody)
    store.step()
    assert words in store.trouble


def test_a_directory_that_vanishes_and_comes_back(finished, tmp_path):
    folder = shutil.copytree(finished, tmp_path / "run")
    store = Store(folder, nobody)
    store.step()
    rows = store.metrics.total
    folder.rename(tmp_path / "elsewhere")
    wait(store, lambda: "vanished" in store.trouble)
    (tmp_path / "elsewhere").rename(folder)
    wait(store, lambda: not store.trouble)
    assert store.metrics.total == rows


def test_a_config_of_another_mmlab(finished, tmp_path):
    folder = shutil.copytree(finished, tmp_path / "run")
    (folder / "config.toml").write_text("[ladder]\nnonsense = 1\n")
    store = Store(folder, nobody)
    store.step()
    assert (store.trouble, store.params) == ("", {})


def test_whole_lines_only(tmp_path):
    path = tmp_path / "x.jsonl"
    tail = Tail(path)
    assert tail.read() == b""
    path.write_bytes(b"one\ntw")
    assert (tail.read(), tail.read()) == (b"one\n", b"")
    with path.open("ab") as file:
        file.write(b"o\nthree\n")
    assert tail.read() == b"two\nthree\n"
    path.write_bytes(b"new\n")
    assert tail.read() is None
    assert tail.read() == b"new\n"


def test_columns_keep_the_newer_half():
    columns = Columns(["a"], most=1000)
    for start in range(0, 5000, 100):
        columns.add({"a": np.arange(start, start + 100.0)})
        held = columns.since()["a"]
        assert held[-1] == start + 99
        assert held.size <= 1000
        assert (np.diff(held) == 1).all()
    assert columns.total == 5000
    assert columns.since(4990)["a"].tolist() == list(range(4990, 5000))
    assert columns.last("a") == 4999


def test_a_reader_never_sees_a_change_by_half():
    columns = Columns(["a"])
    columns.add({"a": np.arange(10.0)})
    before = columns.since()["a"]
    columns.add({"a": np.arange(10.0, 1000.0)})
    assert before.tolist() == list(range(10))


def test_triggers_are_bounded():
    triggers = Triggers()
    row = {"switch": "flip", "action": "widen", "side": "both", "value": 8, "threshold": None, "n": 1, "effect": 1.0}
    lines = b"".join(json.dumps({**row, "local_ns": i, "until_ns": 0}).encode() + b"\n" for i in range(6000))
    triggers.add(lines)
    assert (triggers.total, len(triggers.held)) == (6000, 5000)
    assert [one.number for one in triggers.newest(2)] == [6000, 5999]


# --- hub ------------------------------------------------------------------------------------------------------------


def test_one_thread_a_run_whatever_the_viewers(finished, monkeypatch):
    monkeypatch.setattr("mmlab.views.hub.LINGER_S", 0.05)
    hub = Hub(nobody, period_s=0.02)
    stores = [hub.watch(finished) for _ in range(5)]
    assert len(set(map(id, stores))) == 1
    assert hub.watchers(finished) == 5
    thread = hub._followed[finished.absolute()].thread
    for store in stores:
        hub.leave(store)
    thread.join(5.0)
    assert not thread.is_alive()
    assert hub.watchers(finished) == 0
    again = hub.watch(finished)
    assert again is not stores[0] and again.metrics.total
    hub.leave(again)


def test_a_step_that_fails_does_not_end_the_thread(finished, monkeypatch):
    hub = Hub(nobody, period_s=0.02)
    store = hub.watch(finished)
    monkeypatch.setattr(store, "step", lambda: 1 / 0)
    until = time.monotonic() + 5
    while "ZeroDivisionError" not in store.trouble and time.monotonic() < until:
        time.sleep(0.02)
    assert "ZeroDivisionError" in store.trouble
    assert hub._followed[finished.absolute()].thread.is_alive()
    hub.leave(store)


def test_runs_newest_first(run, finished, tmp_path, monkeypatch):
    monkeypatch.setattr("mmlab.views.hub.LIST_S", 0.0)
    hub = Hub(nobody)
    assert hub.runs(tmp_path / "absent") == []
    for name, started in (("a", "2026-01-01"), ("b", "2026-01-03"), ("c", "2026-01-02")):
        folder = shutil.copytree(finished, tmp_path / name)
        record = json.loads((folder / "run.json").read_text())
        (folder / "run.json").write_text(json.dumps({**record, "started": started}))
    (tmp_path / "none").mkdir()
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "run.json").write_text("{")
    assert [one.path.name for one in hub.runs(tmp_path)] == ["b", "c", "a"]
    live = going(tmp_path / "now", run, rows=0)
    assert [one.path.name for one in hub.runs(tmp_path) if one.going] == ["now"]
    live.close()
    assert not [one for one in hub.runs(tmp_path) if one.going]
