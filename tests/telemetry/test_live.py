"""A run directory written while the run goes on: the same files in the end, and no wait for the disk meanwhile."""

from __future__ import annotations

import errno
import json
import os
import threading
import time

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from mmlab import load_run
from mmlab.errors import SessionError
from mmlab.events import DECISION, FILL, GATE, INPUT, ORDER
from mmlab.telemetry import finish, inputs, live, run_directory
from mmlab.telemetry.files import FILES
from mmlab.telemetry.inputs import KERNEL, market_events, read_inputs
from mmlab.telemetry.run_directory import read_run
from mmlab.telemetry.streams import read_stream
from mmlab.telemetry.tables import Scale, edge_table, with_targets
from tests.lab.fabricated import make_run
from tests.telemetry.live_runs import ROW_TABLES, Disk, begin, make_inputs, numbered, put_all
from tests.telemetry.test_run_directory import TABLES, assert_same

SAME = ("config.toml", *FILES.values())


@pytest.fixture(scope="module")
def run():
    return make_run(120, halted=True, mode="paper")


@pytest.fixture(scope="module")
def kernel_inputs(run):
    return make_inputs(run.feed, np.random.default_rng(5))


@pytest.fixture
def disk():
    disk = Disk()
    yield disk
    disk.hang.set()


def wait_for(condition, timeout_s=20.0):
    until = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.005)


@pytest.mark.parametrize(("chunk", "flush_s"), [(None, 0.002), (7, 0.002), (10_000, 30.0)])
def test_the_files_are_those_of_a_run_written_at_once(run, kernel_inputs, tmp_path, chunk, flush_s):
    run.save(tmp_path / "whole")
    going = begin(run, tmp_path / "live", flush_s=flush_s)
    put_all(going, run, kernel_inputs, chunk)
    going.close(run.info, run.markouts)
    for name in SAME:
        assert (tmp_path / "live" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name
    assert {path.name for path in (tmp_path / "live").iterdir()} == {
        *SAME, "run.json", "changes.jsonl", "log.jsonl", "inputs.parquet"
    }  # fmt: skip
    ours, theirs = (json.loads((tmp_path / name / "run.json").read_text()) for name in ("live", "whole"))
    # The summary of a run that was written as it went is worked out when somebody first reads it.
    assert {name for name in theirs if ours.get(name) != theirs[name]} == {"inputs", "feed", "summary"}
    again = read_run(tmp_path / "live")
    for name in TABLES:
        assert_same(getattr(run.tables, name), getattr(again.tables, name))
    assert_same(again.markouts, run.markouts)
    assert_same(read_inputs(tmp_path / "live", again.inputs), kernel_inputs)


def test_equal_runs_give_equal_bytes_whatever_the_flushes(run, kernel_inputs, tmp_path):
    for name, flush_s in (("a", 0.001), ("b", 0.05)):
        going = begin(run, tmp_path / name, flush_s=flush_s)
        put_all(going, run, kernel_inputs)
        going.change(10**18, "test", {"a": 1}, {"a": 2}, 2)
        going.close()
    for file in (tmp_path / "a").iterdir():
        assert file.read_bytes() == (tmp_path / "b" / file.name).read_bytes(), file.name


def test_row_groups_are_those_of_a_file_written_at_once(run, kernel_inputs, tmp_path, monkeypatch):
    monkeypatch.setattr(finish, "ROW_GROUP", 16)
    monkeypatch.setattr(inputs, "ROW_GROUP", 1000)
    going = begin(run, tmp_path / "live", flush_s=0.001)
    put_all(going, run, kernel_inputs)
    going.close()
    scale, tables = Scale(run.instrument.tick_size, run.instrument.lot_size), run.tables
    decisions = with_targets(edge_table("decisions", tables.decisions, scale), tables.decisions, tables.targets)
    for name, table in (("decisions", decisions), ("orders", edge_table("orders", tables.orders, scale))):
        path = tmp_path / "whole.parquet"
        pq.write_table(table, path, compression="zstd", store_schema=False, row_group_size=16)
        assert pq.read_metadata(path).num_row_groups > 3
        assert path.read_bytes() == (tmp_path / "live" / FILES[name]).read_bytes()
    assert pq.read_metadata(tmp_path / "live" / "inputs.parquet").num_row_groups == -(-kernel_inputs.size // 1000)
    assert_same(read_inputs(tmp_path / "live", read_run(tmp_path / "live").inputs), kernel_inputs)


def test_a_run_without_rows(run, tmp_path):
    begin(run, tmp_path / "live").close(run.info)
    again = load_run(tmp_path / "live")
    for name in TABLES:
        assert_same(getattr(again.tables, name), getattr(run.tables, name)[:0])
    assert again.info.ended == "end of feed"
    assert len(again.feed) == 0
    assert again.summary["fills"] == 0


def test_its_feed_is_the_market_it_heard(run, kernel_inputs, tmp_path):
    going = begin(run, tmp_path / "live", flush_s=0.01)
    put_all(going, run, kernel_inputs)
    wait_for(lambda: len(load_run(tmp_path / "live").feed) == len(run.feed))  # while it is going
    going.close(run.info)
    again = load_run(tmp_path / "live")
    record = json.loads((tmp_path / "live" / "run.json").read_text())["inputs"]
    assert (record["what"], record["rows"], record["events"]) == (KERNEL, kernel_inputs.size, len(run.feed))
    assert_same(again.feed.events, run.feed.events)
    assert_same(market_events(kernel_inputs), run.feed.events)
    assert again.feed.describe()["events"] == len(run.feed)
    # Nobody gave markouts, so they are worked out from that feed.
    assert_same(again.markouts, run.markouts)
    pd.testing.assert_series_equal(again.summary, run.summary)
    # Saved once more it is a run like any other, and says what it no longer holds.
    other = load_run(again.save(tmp_path / "copy"))
    assert_same(other.feed.events, run.feed.events)
    assert "not in them" in json.loads((tmp_path / "copy" / "run.json").read_text())["inputs"]["what"]
    path = tmp_path / "live" / "inputs.parquet"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(SessionError, match=r"inputs\.parquet.*damaged"):
        _ = load_run(tmp_path / "live").feed


def test_a_run_that_is_going_can_be_looked_at(run, tmp_path):
    going = begin(run, tmp_path / "live", flush_s=0.01)
    put_all(going, run)
    wait_for(lambda: read_run(tmp_path / "live").tables.decisions.size == run.tables.decisions.size)
    seen = load_run(tmp_path / "live")
    assert seen.info.ended == "running"
    for name in TABLES:
        assert_same(getattr(seen.tables, name), getattr(run.tables, name))
    frame = pd.read_csv(tmp_path / "live" / "fills.csv", index_col="time", parse_dates=True)
    np.testing.assert_array_equal(frame["price"], run.fills["price"])
    assert list((tmp_path / "live").glob("*.arrows"))
    going.close()


def test_a_fill_is_on_the_disk_soon_after(run, tmp_path):
    going = begin(run, tmp_path / "live", flush_s=3600.0)
    going.put("fills", run.tables.fills[0])
    wait_for(lambda: read_run(tmp_path / "live").tables.fills.size == 1)
    going.put("gates", run.tables.gates[0])
    wait_for(lambda: read_run(tmp_path / "live").tables.gates.size == 1)
    going.close()


def test_two_readers_while_it_is_written_and_closed(run, kernel_inputs, tmp_path):
    going = begin(run, tmp_path / "live", flush_s=0.002)
    troubles, looks, done = [], [[], []], threading.Event()

    def look(seen):
        try:
            while not done.is_set():
                again = read_run(tmp_path / "live")
                for name in ("fills", "orders", "metrics", "gates", "decisions", "targets"):
                    rows = getattr(again.tables, name)
                    assert_same(rows, getattr(run.tables, name)[: rows.size])
                pd.read_csv(tmp_path / "live" / "metrics.csv")
                sizes = tuple(getattr(again.tables, name).size for name in ROW_TABLES)
                assert not seen or all(a <= b for a, b in zip(seen[-1], sizes, strict=True))
                seen.append(sizes)
        except BaseException as error:  # noqa: BLE001 - told by the test's own thread
            troubles.append(error)

    readers = [threading.Thread(target=look, args=(seen,)) for seen in looks]
    for reader in readers:
        reader.start()
    tables = run.tables
    for i in range(max(t.size for t in (tables.orders, tables.metrics, tables.fills))):
        for name in ROW_TABLES:
            if i < getattr(tables, name).size:
                going.put(name, getattr(tables, name)[i])
        time.sleep(0.003)
    going.put("inputs", kernel_inputs)
    going.close(run.info)
    time.sleep(0.05)
    done.set()
    for reader in readers:
        reader.join()
    assert troubles == []
    assert all(len(set(seen)) > 3 for seen in looks)


def test_put_never_waits_for_a_disk_that_hangs(run, disk, tmp_path):
    warnings = []
    places = dict.fromkeys(live.PLACES, 64)
    going = begin(run, tmp_path / "live", flush_s=0.01, places=places, write=disk, on_warning=warnings.append)
    disk.hang.clear()
    before = disk.writes
    going.log.info("stalled", ts_ns=10**18)
    wait_for(lambda: disk.writes > before)  # the writer hangs in it now
    longest, until, n = 0.0, time.monotonic() + 1.0, 0
    while time.monotonic() < until:
        start = time.perf_counter()
        going.put("inputs", numbered(1, n)[0])
        going.put("decisions", np.zeros(1, DECISION))
        going.log.info(f"tick {n}", ts_ns=n)  # names of their own: repeats of one would be held back
        longest = max(longest, time.perf_counter() - start)
        n += 1
    assert longest < 0.2  # a put that waited would have waited the whole second
    assert n > 1000
    assert going.counters["dropped_inputs"] == going.counters["dropped_decisions"] == n - 64
    disk.hang.set()
    going.close()
    again = read_run(tmp_path / "live")
    np.testing.assert_array_equal(read_inputs(tmp_path / "live", again.inputs)["order_id"], np.arange(64))
    assert again.tables.decisions.size == 64
    assert again.info.counters["dropped_inputs"] == n - 64
    assert len(warnings) == len(set(warnings)) == 3  # inputs, decisions, log: once each


def test_a_slow_disk_loses_nothing_that_has_room(run, kernel_inputs, disk, tmp_path):
    disk.short = True  # and takes a third at a time
    slow = lambda *args: (time.sleep(0.005), disk(*args))[1]  # noqa: E731
    going = begin(run, tmp_path / "live", flush_s=0.01, write=slow)
    put_all(going, run, kernel_inputs)
    going.close(run.info, run.markouts)
    again = read_run(tmp_path / "live")
    for name in TABLES:
        assert_same(getattr(run.tables, name), getattr(again.tables, name))
    assert_same(read_inputs(tmp_path / "live", again.inputs), kernel_inputs)
    assert again.info.counters == run.info.counters


@pytest.mark.parametrize("patient", [True, False])
def test_a_patient_run_waits_instead_of_dropping(run, tmp_path, patient):
    def slow(*args):
        time.sleep(0.01)
        return os.pwrite(*args)

    going = begin(run, tmp_path / "live", flush_s=0.01, places={"inputs": 128}, patient=patient, write=slow)
    for i in range(40):
        going.put("inputs", numbered(64, 64 * i))
    going.close()
    assert ("dropped_inputs" in going.counters) == (not patient)
    if patient:
        inputs = read_inputs(tmp_path / "live", read_run(tmp_path / "live").inputs)
        assert inputs["order_id"].tolist() == list(range(64 * 40))


def test_a_full_disk_is_told_once_and_made_good_once_there_is_room(run, kernel_inputs, disk, tmp_path):
    warnings = []
    going = begin(run, tmp_path / "live", flush_s=0.005, write=disk, on_warning=warnings.append)
    half = kernel_inputs.size // 2
    going.put("inputs", kernel_inputs[:half])
    going.put("fills", run.tables.fills[:5])
    wait_for(lambda: read_run(tmp_path / "live").tables.fills.size == 5)
    wait_for(lambda: read_inputs(tmp_path / "live", {"file": "inputs.parquet"}).size == half)
    disk.error = OSError(errno.ENOSPC, "No space left on device")
    going.put("inputs", kernel_inputs[half:])
    going.put("fills", run.tables.fills[5:])
    wait_for(lambda: going.counters.get("disk_errors", 0) > 10)
    seen = read_run(tmp_path / "live")  # what was written before is whole, the half batches are gone
    assert_same(seen.tables.fills, run.tables.fills[:5])
    assert_same(read_inputs(tmp_path / "live", seen.inputs), kernel_inputs[:half])
    assert (tmp_path / "live" / "fills.csv").read_bytes().count(b"\n") == 6
    assert (tmp_path / "live" / "fills.csv").read_bytes().endswith(b"\n")
    assert len(warnings) == 1
    assert "No space left" in warnings[0]
    disk.error = None
    going.close()
    again = read_run(tmp_path / "live")
    assert_same(again.tables.fills, run.tables.fills)
    assert_same(read_inputs(tmp_path / "live", again.inputs), kernel_inputs)
    assert again.info.counters["disk_errors"] > 10


def test_a_disk_that_stays_full(run, disk, tmp_path):
    going = begin(run, tmp_path / "live", flush_s=0.005, write=disk)
    going.put("orders", run.tables.orders[:3])
    wait_for(lambda: read_run(tmp_path / "live").tables.orders.size == 3)
    disk.error = OSError(errno.ENOSPC, "No space left on device")
    going.put("orders", run.tables.orders[3:])
    going.put("decisions", run.tables.decisions, run.tables.targets)
    going.close()
    again = read_run(tmp_path / "live")
    assert_same(again.tables.orders, run.tables.orders[:3])
    assert again.info.counters["dropped_orders"] == run.tables.orders.size - 3
    assert again.info.counters["dropped_decisions"] == run.tables.decisions.size


def test_a_close_that_fails_is_finished_by_the_next_reader(run, kernel_inputs, tmp_path, monkeypatch):
    going = begin(run, tmp_path / "live")
    put_all(going, run, kernel_inputs)

    def fail(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(finish, "store_inputs", fail)
        with pytest.raises(SessionError, match="No space left"):
            going.close(run.info)
        seen = load_run(tmp_path / "live")  # nor can a reader: it reads what is there
        assert (seen.info.ended, seen.tables.orders.size) == ("crashed", run.tables.orders.size)
        assert_same(seen.feed.events, run.feed.events)
    again = load_run(tmp_path / "live")
    assert again.info.ended == "crashed"
    assert not list((tmp_path / "live").glob("*.arrows"))
    assert_same(again.tables.orders, run.tables.orders)
    assert_same(again.feed.events, run.feed.events)


def test_close_does_not_wait_for_ever(run, disk, tmp_path):
    going = begin(run, tmp_path / "live", flush_s=0.01, write=disk)
    disk.hang.clear()
    going.put("orders", run.tables.orders)
    with pytest.raises(SessionError, match="has not taken the last rows"):
        going.close(timeout_s=0.1)
    disk.hang.set()
    going._writer.join()


def test_rows_that_cannot_be_written_are_left_out(run, tmp_path):
    warnings = []
    going = begin(run, tmp_path / "live", flush_s=0.005, on_warning=warnings.append)
    bad = np.zeros(1, GATE)
    bad["switch"] = 250
    going.put("gates", bad)
    wait_for(lambda: warnings)
    going.put("gates", run.tables.gates)
    going.put("orders", run.tables.orders)
    going.close()
    again = read_run(tmp_path / "live")
    assert_same(again.tables.gates, run.tables.gates)
    assert_same(again.tables.orders, run.tables.orders)
    assert again.info.counters["dropped_gates"] == 1
    assert ["gates.jsonl" in text for text in warnings] == [True]


def test_mistakes_of_the_caller_are_told(run, tmp_path):
    going = begin(run, tmp_path / "live")
    with pytest.raises(KeyError):
        going.put("trades", np.zeros(1, FILL))
    with pytest.raises(ValueError, match="0 targets with decisions that say 2"):
        going.put("decisions", run.tables.decisions[run.tables.decisions["targets"] == 2][:1])
    going.put("orders", tuple(run.tables.orders[0].tolist()))
    going.close()
    going.close()
    assert_same(read_run(tmp_path / "live").tables.orders, run.tables.orders[:1])


def test_a_warning_that_fails_does_not_stop_the_session(run, disk, tmp_path):
    def fail(text):
        raise RuntimeError("the loop is closed")

    going = begin(run, tmp_path / "live", places={"orders": 2}, on_warning=fail)
    going.put("orders", run.tables.orders)
    going.close()
    assert read_run(tmp_path / "live").tables.orders.size == 2


def test_an_existing_run_is_refused(run, tmp_path):
    going = begin(run, tmp_path / "live")
    for _ in range(2):
        before = {path.name: path.read_bytes() for path in (tmp_path / "live").iterdir()}
        with pytest.raises(SessionError, match="already exists"):
            begin(run, tmp_path / "live")
        after = {path.name: path.read_bytes() for path in (tmp_path / "live").iterdir()}
        assert before == {**after, "log.jsonl": before["log.jsonl"]}
        going.close()


def test_two_sessions_that_take_a_directory_at_once(run, tmp_path, monkeypatch):
    going = begin(run, tmp_path / "live")
    monkeypatch.setattr(live, "require_new", lambda path: None)  # both have looked before either wrote
    with pytest.raises(SessionError, match="another session"):
        begin(run, tmp_path / "live")
    going.put("orders", run.tables.orders)
    going.close()
    with pytest.raises(SessionError, match="another session"):
        begin(run, tmp_path / "live")
    assert_same(read_run(tmp_path / "live").tables.orders, run.tables.orders)


@pytest.mark.parametrize("there", [False, True])
def test_a_start_that_fails_leaves_nothing(run, disk, tmp_path, there):
    if there:
        (tmp_path / "live").mkdir()
    disk.error = OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(SessionError, match="No space left"):
        begin(run, tmp_path / "live", write=disk)
    assert (tmp_path / "live").exists() == there
    assert not list(tmp_path.glob("live/*"))
    begin(run, tmp_path / "live").close()
    (tmp_path / "file").touch()
    with pytest.raises(SessionError, match="cannot be written"):
        begin(run, tmp_path / "file" / "live")


def test_log_and_changes(run, tmp_path):
    going = begin(run, tmp_path / "live")
    going.log.warning("flip", ts_ns=1_723_120_000_000_000_001, value=np.float64(np.nan), levels=(1, 2))
    going.log.bind(task="sender").info("sent", ts_ns=1_723_120_000_000_000_002)
    going.change(1_723_120_000_000_000_003, "notebook", {"q": {"gamma": 1.0}}, {"q": {"gamma": np.float64(2)}}, 2)
    going.close(run.info)
    first, flip, sent, last = map(json.loads, (tmp_path / "live" / "log.jsonl").read_text().splitlines())
    assert (first["event"], last["event"], last["how"]) == ("run_started", "run_ended", run.info.ended)
    identity = json.loads((tmp_path / "live" / "run.json").read_text())["id"]
    assert flip == {
        "run": identity, "event": "flip", "level": "warning", "value": None, "levels": [1, 2],
        "time": "2024-08-08T12:26:40.000000001Z", "decision": -1,
    }  # fmt: skip
    assert (sent["task"], sent["time"]) == ("sender", "2024-08-08T12:26:40.000000002Z")
    assert json.loads((tmp_path / "live" / "changes.jsonl").read_text()) == {
        "time": "2024-08-08T12:26:40.000000003Z", "source": "notebook", "version": 2,
        "old": {"q": {"gamma": 1.0}}, "new": {"q": {"gamma": 2.0}},
    }  # fmt: skip


@pytest.mark.parametrize(("table", "dtype"), [("inputs", INPUT), ("orders", ORDER)])
def test_a_put_costs_little(run, tmp_path, table, dtype):
    going = begin(run, tmp_path / "live", places={table: 1 << 17}, flush_s=3600.0)
    row = np.zeros((), dtype)
    costs = []
    for _ in range(5):
        start = time.thread_time()
        for _ in range(20_000):
            going.put(table, row)
        costs.append((time.thread_time() - start) / 20_000)
    going.close()
    assert min(costs) < 3e-6


def test_a_run_that_is_closed_while_it_is_read(run, tmp_path, monkeypatch):
    going = begin(run, tmp_path / "live")
    put_all(going, run)

    def close_first(folder, name):
        going.close(run.info)
        return read_stream(folder, name)

    monkeypatch.setattr(run_directory, "read_stream", close_first)
    again = read_run(tmp_path / "live")
    assert again.info.ended == run.info.ended
    assert_same(again.tables.orders, run.tables.orders)
