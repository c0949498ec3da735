"""The table of log events and the calls that write them, in step; repeats, rotation, console."""

from __future__ import annotations

import ast
import io
import json
import os
import threading
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

import mmlab
from mmlab.telemetry.console import Console
from mmlab.telemetry.info import RunInfo
from mmlab.telemetry.line_log import line_logger
from mmlab.telemetry.live import LiveRun
from mmlab.telemetry.log_events import COMMON, EVENTS
from mmlab.telemetry.repeats import Repeats
from mmlab.telemetry.rotation import RotatingAppender, parts, whole_log
from mmlab.views.tails import Tail
from tests.telemetry.live_child import INSTRUMENT

SOURCES = Path(mmlab.__file__).parent
LEVELS = ("debug", "info", "warning", "error")
BY_HAND = {"engine_died": {"how", "stderr"}}
"""Written by the supervisor process, which has no logger."""


def calls():
    """Every call ``<something>log.<level>("name", ...)``: file, name, level, keywords, whether there is ``**``."""
    for path in SOURCES.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in LEVELS):
                continue
            owner = node.func.value
            if (owner.attr if isinstance(owner, ast.Attribute) else getattr(owner, "id", "")).lstrip("_") != "log":
                continue
            assert isinstance(node.args[0], ast.Constant), f"{path}:{node.lineno}: an event's name is a literal"
            names = {keyword.arg for keyword in node.keywords if keyword.arg}
            yield path, node.args[0].value, node.func.attr, names


def test_every_event_is_in_the_table_with_its_level_and_fields():
    levels, fields = defaultdict(set), defaultdict(set)
    for path, name, level, names in calls():
        assert name in EVENTS, f"{path.name}: {name} is not in log_events.EVENTS"
        assert level in EVENTS[name].levels, f"{path.name}: {name} as {level}"
        levels[name].add(level)
        fields[name] |= names - {"ts_ns", "time"}
    for name, names in BY_HAND.items():
        levels[name], fields[name] = {"error"}, names
    assert set(levels) == set(EVENTS), "in the table, but nobody writes it"
    for name, event in EVENTS.items():
        assert levels[name] == set(event.levels), name
        assert fields[name] == set(event.fields), name
        assert set(event.apart) <= set(event.fields), name
        assert not set(event.fields) & set(COMMON), name
        assert not event.meaning.endswith(".")


# --- Repeats ---------------------------------------------------------------------------------------------------------


def logger(burst=3, window_ns=100):
    lines, repeats = [], Repeats(burst, window_ns)
    log = line_logger(lambda line: lines.append(json.loads(line)), repeats=repeats, context=lambda: {"decision": 7})
    return log, lines, repeats


def test_repeats_are_counted_and_told_of():
    log, lines, repeats = logger()
    for t in range(10):
        log.warning("anomaly", ts_ns=1 + t, kind="mismatch", n=t)
        log.warning("anomaly", ts_ns=1 + t, kind="risen", n=t)
    assert [line["n"] for line in lines if line["kind"] == "mismatch"] == [0, 1, 2]
    assert [line["n"] for line in lines if line["kind"] == "risen"] == [0, 1, 2]
    log.warning("anomaly", ts_ns=200, kind="mismatch", n=99)
    assert lines[-1]["held_back"] == 7
    assert repeats.held == 14
    assert repeats.seen == {"warning": 21}
    assert repeats.rest() == {"anomaly": 7}
    assert repeats.rest() == {}
    assert all(line["decision"] == 7 for line in lines)


def test_memory_of_repeats_is_bounded():
    log, _, repeats = logger()
    for i in range(5000):
        log.info(f"event {i}", ts_ns=1)
    assert len(repeats._kinds) == 1000


def test_a_run_tells_of_repeats_at_its_end(tmp_path):
    live = LiveRun(tmp_path / "run", mmlab.Config(), RunInfo(mode="paper"), INSTRUMENT)
    for i in range(50):
        live.log.warning("bad_input", ts_ns=1, kind="crossed", detail=str(i))
    assert live.health()["log_lines"] == {"info": 1, "warning": 50, "error": 0}
    live.close()
    rows = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert sum(row["event"] == "bad_input" for row in rows) == 20
    (told,) = (row for row in rows if row["event"] == "lines_held_back")
    assert (told["of"], told["n"]) == ("bad_input", 30)


# --- Rotation --------------------------------------------------------------------------------------------------------


def test_a_log_goes_on_in_a_new_file_and_readers_follow(tmp_path):
    path = tmp_path / "log.jsonl"
    file, tail, seen = RotatingAppender(path, b"", os.pwrite, 100, 3), Tail(path), []
    for i in range(60):
        file.append(b'{"n":%d}\n' % i)
        if i % 3 == 0:
            seen += [json.loads(line)["n"] for line in (tail.read() or b"").splitlines()]
    file.append(b"")
    while more := tail.read():
        seen += [json.loads(line)["n"] for line in more.splitlines()]
    assert seen == list(range(60)), "a reader that follows misses nothing"
    assert len(parts(path)) == 3
    kept = [json.loads(line)["n"] for part in whole_log(path) for line in part.read_text().splitlines()]
    assert kept == list(range(kept[0], 60))
    assert not list(tmp_path.glob(".*"))
    file.close()


def test_a_full_log_stays_one_file_where_there_are_no_links(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError("no links here")

    monkeypatch.setattr(os, "link", refuse)
    file = RotatingAppender(tmp_path / "log.jsonl", b"", os.pwrite, 10, 3)
    for i in range(20):
        file.append(b"%d\n" % i)
    assert (tmp_path / "log.jsonl").read_text().split() == [str(i) for i in range(20)]
    file.close()


def test_a_run_rotates_its_log(tmp_path):
    config = mmlab.Config().with_(**{"telemetry.log_part_mb": 0.001})
    live = LiveRun(tmp_path / "run", config, RunInfo(mode="paper"), INSTRUMENT, flush_s=0.01)
    for i in range(200):
        live.log.info(f"event {i}", ts_ns=i, n=i)
        if i % 20 == 0:
            time.sleep(0.03)  # the writer's thread flushes
    live.close()
    path = tmp_path / "run" / "log.jsonl"
    assert len(parts(path)) > 2
    rows = [json.loads(line) for part in whole_log(path) for line in part.read_text().splitlines()]
    assert [row["n"] for row in rows if "n" in row] == list(range(200))
    assert mmlab.load_run(tmp_path / "run").info.ended == "end of feed"


# --- Console ---------------------------------------------------------------------------------------------------------


class Terminal(io.StringIO):
    def isatty(self):
        return False


def test_console_shows_lines_from_its_level_on():
    terminal = Terminal()
    console = Console("warning", terminal)
    console.start()
    log = line_logger(lambda line: None, tee=console.show, run="r")
    log.info("link", ts_ns=1, up=True)
    log.error("task_died", ts_ns=1_723_120_000_000_000_000, task="market", error="x")
    console.close()
    assert terminal.getvalue().strip() == "12:26:40.000 [error    ] task_died error=x task=market"


@pytest.mark.parametrize("hang", [True, False])
def test_a_terminal_that_hangs_or_is_gone_holds_up_nothing(hang):
    blocked = threading.Event()

    class Broken(Terminal):
        def write(self, text):
            if hang:
                blocked.wait()
            raise OSError("gone")

    console = Console("info", Broken())
    console.start()
    log = line_logger(lambda line: None, tee=console.show)
    for i in range(5000):
        log.info(f"event {i}", ts_ns=i)
    assert len(console._events) <= 1000
    console.close(0.1)
    blocked.set()


def test_values_of_numpy_are_plain():
    log, lines, _ = logger()
    log.info("halted", ts_ns=1, position_lots=np.int64(3), why=np.float64(np.nan))
    assert (lines[0]["position_lots"], lines[0]["why"]) == (3, None)
