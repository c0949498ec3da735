"""Shadow sets: they agree with a rehearsal, and their process comes and goes with the session."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mmlab.errors import ConfigError, SessionError
from mmlab.events import NS_PER_S
from mmlab.lab.recording import Recording
from mmlab.lab.rehearsal import Rehearsal
from mmlab.lab.shadow_process import Reports
from mmlab.lab.shadow_sets import ShadowSets, play_sets
from mmlab.lab.shadows import (
    JOURNAL,
    MOST,
    TABLE,
    ShadowProcess,
    read_journal,
    read_shadows,
    shadow_history,
)
from mmlab.telemetry.inputs import market_events
from tests.lab.going import Going

CHANGES = {"ladder.offset_ticks": [2, 4, 6, 9], "strategy.min_spread_bps": 1.5}
PATIENCE_S = 90.0


@pytest.fixture
def going(source, tmp_path):
    growing = Going(source, tmp_path / "run")
    yield growing
    growing.close()


def grow(going: Going, seconds: list[float], sets: ShadowSets) -> None:
    """Let the session go on, the sets following."""
    for second in seconds:
        going.write(going.source.begin_ns + round(second * NS_PER_S))
        sets.step()


def test_sets_agree_with_a_rehearsal_of_the_same_window(going):
    """From the first quote on: the set with no changes is the rehearsal's `now`, the other one its `then`."""
    sets = ShadowSets(Recording(going.folder))
    config = sets.recording.config
    sets.add("same", config)
    sets.add("other", config.with_(**CHANGES))
    for seconds in ([20, 33, 36.5, 50], [61.2, 90, 90.3], [140, 141, 180, 200]):
        grow(going, seconds, sets)
        rows = sets.report()
        assert set(rows) == {"live", "same", "other"}
        rehearsal = Rehearsal(going.folder)
        rehearsal.refresh()
        table = rehearsal.compare(CHANGES).table
        rehearsal.close()
        for name, column in (("same", "now"), ("other", "then"), ("live", "session")):
            for figure in table.index:
                assert rows[name][figure] == pytest.approx(table.loc[figure, column], nan_ok=True), (name, figure)
    assert table.loc["fills", "then"] != table.loc["fills", "now"]
    assert rows["other"]["live_fills"] == table.loc["fills", "session"]


def test_a_long_session_is_let_go_of(going, tmp_path):
    """Figures are the same however much of the market is held."""
    reports = []
    for most_rows in (10**9, 3_000):
        copy = Going(going.source, tmp_path / str(most_rows))
        sets = ShadowSets(Recording(copy.folder))
        sets.most_rows = most_rows
        sets.add("same", sets.recording.config)
        sets.add("other", sets.recording.config.with_(**CHANGES))
        grow(copy, list(range(20, 231, 3)), sets)
        reports.append(sets.report())
        copy.close()
    assert sets.recording.tape.size < 0.8 * len(market_events(going.source.inputs))
    for name in ("same", "other", "live"):
        assert reports[0][name] == pytest.approx(reports[1][name], nan_ok=True), name
    assert reports[1]["same"]["fills"] > 5


def test_a_set_added_later_begins_with_the_position_of_the_session(going):
    sets = ShadowSets(Recording(going.folder, 60.0))
    grow(going, [100], sets)
    sets.add("late", sets.recording.config)
    asked_ns = sets.recording.end_ns
    grow(going, [130, 170, 230], sets)
    row = sets.report()["late"]
    assert row["start_ns"] == asked_ns
    metrics = sets.recording.second(asked_ns)
    assert metrics["position_lots"][0] != 0
    assert row["start_position"] == pytest.approx(metrics["position_lots"][0] * sets.recording.instrument.lot_size)
    assert row["fills"] > 0
    assert row["live_fills"] == pytest.approx(row["fills"], rel=0.5), "the same parameters should do about the same"
    sets.remove("late")
    grow(going, [235], sets)
    assert "late" not in sets.sets


def test_table_is_appended_to_and_read(going):
    sets, reports = ShadowSets(Recording(going.folder)), Reports(going.folder / TABLE)
    shadows = ShadowProcess(going.folder)
    assert read_shadows(going.folder).empty
    sets.add('b "x", y', sets.recording.config)
    shadows._write({"what": "added", "name": 'b "x", y', "version": 0, "changes": {}})
    for second in (60, 70, 80):
        grow(going, [second], sets)
        reports.write(sets.report())
    newest = read_shadows(going.folder)
    assert list(newest.index) == ["live", 'b "x", y']
    assert (newest["time"] == newest["time"].iloc[0]).all()
    assert newest["net_pnl"].notna().all()
    assert len(shadow_history(going.folder)) == 6
    with (going.folder / TABLE).open("ab") as file:
        file.write(b"2024-01-01T00:00:00Z,half a li")
    assert read_shadows(going.folder).equals(newest)
    Reports(going.folder / TABLE).write({})
    assert len((going.folder / TABLE).read_text().splitlines()[0].split(",")) == newest.shape[1] + 1


def test_what_will_not_do_is_refused_and_changes_nothing(going, monkeypatch):
    started = []
    monkeypatch.setattr("mmlab.lab.shadows.start_worker", lambda folder: started.append(folder) or FakeWorker())
    shadows = ShadowProcess(going.folder)
    with pytest.raises(ConfigError, match="hysteresis"):
        shadows.add("a", {"ladder.hysteresis": -1})
    with pytest.raises(ConfigError, match="order_size"):
        shadows.add("a", {"strategy.order_size": 1e-9})
    for name in ("", "live", "x" * 41, "two\nlines"):
        with pytest.raises(SessionError, match="will not do"):
            shadows.add(name, {})
    assert shadows.sets() == {} and not started and not (going.folder / JOURNAL).exists()
    for i in range(MOST):
        shadows.add(f"set {i}", CHANGES)
    with pytest.raises(SessionError, match="8 shadow sets run already"):
        shadows.add("ninth", {})
    shadows.remove("set 7")
    with pytest.raises(SessionError, match="already"):
        shadows.add("set 0", {})
    with pytest.raises(SessionError, match="no shadow set"):
        shadows.remove("set 7")
    assert len(started) == 1
    assert [line["what"] for line in read_journal(going.folder)] == ["added"] * MOST + ["removed"]
    assert set(shadows.sets()) == {f"set {i}" for i in range(7)}


class FakeWorker:
    """A process that runs."""

    pid = 1

    def poll(self) -> None:
        """Still there."""


def until(what, patience_s: float = PATIENCE_S):
    """Wait until it holds."""
    end = time.monotonic() + patience_s
    while not (found := what()):
        assert time.monotonic() < end, "took too long"
        time.sleep(0.1)
    return found


def test_the_process_follows_and_ends_with_the_session(going):
    begin_ns = going.source.begin_ns
    going.write(begin_ns + 60 * NS_PER_S)
    shadows = ShadowProcess(going.folder)
    shadows.add("wide", CHANGES)
    shadows.add("same", {})
    pid = shadows.pid
    assert pid is not None and shadows.sets()["wide"]["alive"]
    going.write(begin_ns + 100 * NS_PER_S)
    until(lambda: set(read_shadows(going.folder).index) >= {"live", "wide", "same"} or grow_on(going))
    assert os.getpriority(os.PRIO_PROCESS, pid) == 19
    shadows.remove("wide")
    going.end()
    until(lambda: shadows.pid is None)
    newest = read_shadows(going.folder)
    assert list(newest.index) == ["live", "same"]
    assert newest.loc["live", "time"].value >= (going.source.end_ns // NS_PER_S - 1) * NS_PER_S
    assert all(line["what"] != "failed" for line in read_journal(going.folder))
    shadows.stop()


def grow_on(going: Going) -> bool:
    """The session goes on by some seconds."""
    going.now_s = getattr(going, "now_s", 100) + 1
    going.write(going.source.begin_ns + min(going.now_s, 230) * NS_PER_S)
    return False


def test_stop_and_failure(going):
    shadows = ShadowProcess(going.folder)
    shadows.add("same", {})
    assert shadows.pid is not None
    shadows.stop()
    assert shadows.pid is None and not shadows.sets()["same"]["alive"]
    with (going.folder / "inputs.arrows").open("ab") as file:
        file.write(b"x" * 64)
    shadows.remove("same")
    shadows.add("again", {})
    until(lambda: shadows.pid is None)
    with pytest.raises(SessionError, match=r"inputs\.arrows"):
        read_shadows(going.folder)


def test_the_process_ends_with_its_parent(going):
    going.write(going.source.begin_ns + 60 * NS_PER_S)
    code = (
        "import sys, time; from mmlab.lab.shadows import ShadowProcess; s = ShadowProcess(sys.argv[1]);"
        " s.add('same', {}); print(s.pid, flush=True); time.sleep(600)"
    )
    command = [sys.executable, "-c", code, str(going.folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        pid = int(parent.stdout.readline())
        parent.kill()
    until(lambda: not running(pid))


def running(pid: int) -> bool:
    """Whether a process runs; one that has ended and nobody waits for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_sets_played_on_a_session_that_is_over(source):
    table = play_sets(source.folder, {"same": {}, "other": CHANGES})
    rehearsal = Rehearsal(source.folder, math.inf)
    rehearsal.refresh()
    answer = rehearsal.compare(CHANGES)
    assert list(table.index) == ["live", "same", "other"]
    for name, column in (("live", "session"), ("same", "now"), ("other", "then")):
        assert table.loc[name, "net_pnl"] == pytest.approx(answer.table.loc["net_pnl", column])
        assert (table.loc[name, "start"], table.loc[name, "time"]) == (answer.start, answer.end)
    with pytest.raises(ConfigError, match="'bad'"):
        play_sets(source.folder, {"bad": {"ladder.hysteresis": -1}})
