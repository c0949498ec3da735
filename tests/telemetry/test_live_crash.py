"""What a run directory holds after its writer was killed, whenever that was."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmlab import load_run
from mmlab.errors import SessionError
from mmlab.events import INPUT
from mmlab.telemetry import finish
from mmlab.telemetry.files import FILES, cut_partial_line, whole_lines
from mmlab.telemetry.inputs import read_inputs
from mmlab.telemetry.row_queue import RowQueue
from mmlab.telemetry.run_directory import read_run
from mmlab.telemetry.streams import STREAMS, read_batches, stream_file
from tests.lab.fabricated import make_run
from tests.telemetry.live_runs import STREAMED, begin, make_inputs, numbered, put_all
from tests.telemetry.test_run_directory import LISTED, TABLES, assert_same

ROOT = Path(__file__).parents[2]
NUMBER = {"orders": "order_id", "fills": "order_id", "metrics": "messages", "gates": "n", "decisions": "local_ns"}


@pytest.fixture(scope="module")
def run():
    return make_run(120, halted=True, mode="paper")


@pytest.fixture(scope="module")
def kernel_inputs(run):
    return make_inputs(run.feed, np.random.default_rng(5))


def start_child(folder, flush_s, mode):
    command = [sys.executable, "-m", "tests.telemetry.live_child", str(folder), str(flush_s), mode]
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env={**os.environ, "PYTHONPATH": path}
    )


def kill_writer(live):
    """Leave a directory as a killed process would: nothing flushed, the lock released. Its thread ends unheard."""
    for sink in live._sinks.values():
        sink.flush = lambda: None
    live._writer.stop(10)
    os.close(live._lock)


@pytest.mark.parametrize("after_s", [0.35, 0.9, 1.7])
def test_kill_9_loses_the_last_flush_at_most(tmp_path, after_s):
    flush_s = 0.5
    with start_child(tmp_path / "run", flush_s, "put") as child:
        child.stdout.readline()  # the first row is put
        time.sleep(after_s)
        assert read_run(tmp_path / "run").info.ended == "running"
        os.kill(child.pid, signal.SIGKILL)
        killed = time.monotonic()
        lines = child.stdout.read().splitlines()
    put = {int(line.split()[0]): float(line.split()[1]) for line in lines if len(line.split()) == 2}
    again = load_run(tmp_path / "run")
    assert again.info.ended == "crashed"
    inputs = read_inputs(tmp_path / "run", read_run(tmp_path / "run").inputs)
    written = {name: getattr(again.tables, name)[column] for name, column in NUMBER.items()}
    written["inputs"] = inputs["order_id"]
    for name in ("changes", "log"):
        rows = list(map(json.loads, (tmp_path / "run" / f"{name}.jsonl").read_text().splitlines()))
        written[name] = np.array(
            [row["version"] if name == "changes" else row["n"] for row in rows if "old" in row or "n" in row]
        )
    for name, numbers in written.items():
        np.testing.assert_array_equal(numbers, np.arange(len(numbers)), err_msg=name)
        missing_s = killed - min((put[i] for i in put if i >= len(numbers)), default=killed)
        print(f"{name}: {len(numbers)} rows, the oldest missing one is {missing_s:.3f} s old")
        # A flush that was under way, on a machine that may be busy, comes on top of the interval.
        assert missing_s < flush_s + 0.3, (name, missing_s)
    np.testing.assert_array_equal(
        again.tables.targets["size_lots"], np.repeat(written["decisions"], written["decisions"] % 3)
    )
    assert not {path.name for path in (tmp_path / "run").iterdir()} & {*STREAMED, ".lock"}
    for name in FILES.values():
        reader = {".parquet": pd.read_parquet, ".csv": pd.read_csv}.get(Path(name).suffix)
        assert reader is None or len(reader(tmp_path / "run" / name)) >= 0
    before = (tmp_path / "run" / "run.json").read_bytes()
    read_run(tmp_path / "run")
    assert (tmp_path / "run" / "run.json").read_bytes() == before


@pytest.mark.parametrize("after_ms", [0, 5, 15, 30, 60])
def test_kill_9_while_it_is_closed(tmp_path, after_ms):
    with start_child(tmp_path / "run", 0.1, "close") as child:
        child.stdout.readline()
        time.sleep(after_ms / 1e3)
        os.kill(child.pid, signal.SIGKILL)
    again = load_run(tmp_path / "run")
    assert again.info.ended in ("crashed", "end of feed")
    inputs = read_inputs(tmp_path / "run", read_run(tmp_path / "run").inputs)
    np.testing.assert_array_equal(inputs["order_id"][:-1], np.arange(max(0, inputs.size - 1)))
    assert inputs.size in (0, 40_000, 40_001)  # the last flush was still to come, or came
    assert again.tables.orders.size in (0, 40_000, 40_001)


@pytest.mark.parametrize("step", range(12))
def test_putting_in_order_may_be_cut_short_and_done_again(run, kernel_inputs, tmp_path, monkeypatch, step):
    going = begin(run, tmp_path / "run", flush_s=0.005)
    put_all(going, run, kernel_inputs)
    wait_until_written(tmp_path / "run", run, kernel_inputs)
    kill_writer(going)
    steps = iter(range(100))

    def killed(original):
        def call(*args, **kwargs):
            if next(steps) == step:
                raise KeyboardInterrupt
            return original(*args, **kwargs)

        return call

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", killed(Path.replace))
        patch.setattr(Path, "unlink", killed(Path.unlink))
        with suppress(KeyboardInterrupt):
            read_run(tmp_path / "run")
    again = load_run(tmp_path / "run")
    assert again.info.ended == "crashed"
    for name in TABLES:
        assert_same(getattr(again.tables, name), getattr(run.tables, name))
    assert_same(again.feed.events, run.feed.events)
    assert {path.name for path in (tmp_path / "run").iterdir()} == LISTED


def wait_until_written(folder, run, kernel_inputs):
    until = time.monotonic() + 20
    while True:
        seen = read_run(folder)
        sizes = [getattr(seen.tables, name).size == getattr(run.tables, name).size for name in TABLES]
        if all(sizes) and read_inputs(folder, seen.inputs).size == kernel_inputs.size:
            return
        assert time.monotonic() < until
        time.sleep(0.01)


@pytest.fixture(scope="module")
def crashed(run, kernel_inputs, tmp_path_factory):
    """A directory whose writer died after two batches of every stream, and the rows in the first of them."""
    folder = tmp_path_factory.mktemp("crashed") / "run"
    going = begin(run, folder, flush_s=3600.0)
    going._writer.hurry = lambda: None  # its thread sleeps: rows have one taker, which here is this one
    first = {}
    for part in (0, 1):
        going.put("inputs", kernel_inputs[40 * part : 40 * part + 40])
        going.put("orders", run.tables.orders[20 * part : 20 * part + 20])
        rows = run.tables.decisions[20 * part : 20 * part + 20]
        at = int(rows["first_target"][0])
        going.put("decisions", rows, run.tables.targets[at : at + int(rows["targets"].sum())])
        for name in ("fills", "metrics", "gates"):
            going.put(name, getattr(run.tables, name)[2 * part : 2 * part + 2])
        going._writer._flush(tuple(going._sinks))
        first = first or {file: (folder / file).stat().st_size for file in STREAMED}
        assert [len(list(read_batches(folder / file))) for file in STREAMED] == [part + 1] * 3
    kill_writer(going)
    return folder, first


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_cut_anywhere_in_its_last_batch_gives_the_others(crashed, tmp_path, name):
    folder, first = crashed
    path, start = tmp_path / stream_file(name), first[stream_file(name)]
    shutil.copy(folder / path.name, path)

    def read():
        return [batch.serialize().to_pybytes() for batch in read_batches(path)]  # bytes: a NaN equals itself

    whole, end = read(), path.stat().st_size
    assert len(whole) == 2
    assert whole[0] != whole[1]
    assert end - start > 500
    for size in range(end - 1, start - 1, -1):
        os.truncate(path, size)
        assert read() == whole[:1], size


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_a_directory_cut_anywhere_is_put_in_order(crashed, run, kernel_inputs, tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("cut") / "run"
    shutil.copytree(crashed[0], folder)
    for file in STREAMED:
        content = (folder / file).read_bytes()
        os.truncate(folder / file, data.draw(st.integers(crashed[1][file], len(content)), file))
    for file in ("fills.csv", "metrics.csv", "gates.jsonl", "log.jsonl"):
        content = (folder / file).read_bytes()
        header = content.find(b"\n") + 1 if file.endswith(".csv") else 0
        os.truncate(folder / file, data.draw(st.integers(header, len(content)), file))
    again = load_run(folder)
    assert again.info.ended == "crashed"
    assert again.tables.orders.size in (20, 40)
    assert again.tables.decisions.size in (20, 40)
    for name in TABLES:
        rows = getattr(again.tables, name)
        assert_same(rows, getattr(run.tables, name)[: rows.size])
    inputs = read_inputs(folder, read_run(folder).inputs)
    assert inputs.size in (40, 80)
    assert_same(inputs, kernel_inputs[: inputs.size])
    for line in (folder / "log.jsonl").read_text().splitlines():
        json.loads(line)
    assert pq.read_metadata(folder / "orders.parquet").num_rows == again.tables.orders.size


@given(text=st.text("ab\n"), blocks=st.integers(1, 4))
def test_partial_lines_are_cut(tmp_path_factory, text, blocks):
    path = tmp_path_factory.mktemp("lines") / "x"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mmlab.telemetry.files._BLOCK", blocks)
        path.write_text(text)
        expected = whole_lines(path)
        cut_partial_line(path)
        assert path.read_bytes() == expected == text[: text.rfind("\n") + 1].encode()


def test_a_directory_that_cannot_be_written_to_is_read_as_it_is(crashed, run, tmp_path, monkeypatch):
    folder = tmp_path / "run"
    shutil.copytree(crashed[0], folder)

    def refuse(*args):
        raise PermissionError(13, "Permission denied")

    before = sorted(path.name for path in folder.iterdir())
    for name in ("take_lock", "replace_file"):
        with monkeypatch.context() as patch:
            patch.setattr(finish, name, refuse)
            again = load_run(folder)
            assert again.info.ended == "crashed"
            assert_same(again.tables.orders, run.tables.orders[:40])
    assert sorted(path.name for path in folder.iterdir()) == before


@pytest.mark.parametrize("file", [*STREAMED, "fills.csv", "gates.jsonl"])
def test_a_file_that_is_missing_is_named(crashed, tmp_path, file):
    shutil.copytree(crashed[0], tmp_path / "run")
    (tmp_path / "run" / file).unlink()
    with pytest.raises(SessionError, match=file.replace(".", r"\.")):
        _ = load_run(tmp_path / "run").feed


def test_a_damaged_table_is_told(crashed, tmp_path):
    shutil.copytree(crashed[0], tmp_path / "run")
    path = tmp_path / "run" / "fills.csv"
    header, rest = path.read_bytes().split(b"\n", 1)
    path.write_bytes(header + b"\n1,2\n" + rest)
    with pytest.raises(SessionError, match="a file is damaged"):
        load_run(tmp_path / "run")
    assert (tmp_path / "run" / "orders.arrows").exists()


@given(steps=st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9), st.booleans())), size=st.sampled_from([1, 3, 8]))
def test_rows_wait_in_a_bounded_queue(steps, size):
    queue, model, put = RowQueue(INPUT, size), [], 0
    for n_put, n_take, single in steps:
        rows = numbered(1 if single else n_put, put)
        put += rows.size
        room = size - len(model)
        assert queue.put(rows[0] if single else rows) == max(0, rows.size - room)
        model += rows["order_id"][:room].tolist()
        assert (queue.waiting, queue.room) == (len(model), size - len(model))
        taken = min(n_take, len(model))
        assert queue.peek(taken)["order_id"].tolist() == model[:taken]
        queue.take(taken)
        model = model[taken:]
