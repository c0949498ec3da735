"""`mmlab.runs`: a row for every run directory, whatever state it is in."""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import mmlab
from mmlab.errors import SessionError
from mmlab.lab.run import load_run
from mmlab.telemetry.finish import take_lock
from tests.lab.fabricated import INVERSE, make_run
from tests.telemetry.live_runs import begin, put_all

FIRST = ["name", "mode", "venue", "symbol", "started", "finished", "ended", "going", "fault", "path"]


@pytest.fixture(scope="module")
def run():
    return make_run(60, started="2024-01-02T03:04:05.678+00:00", finished="2024-01-02T03:05:05.678+00:00")


@pytest.fixture
def folder(run, tmp_path):
    run.save(tmp_path / "runs" / "whole")
    return tmp_path / "runs"


def test_a_folder_without_runs(tmp_path):
    for place in (tmp_path, tmp_path / "none"):
        table = mmlab.runs(place)
        assert list(table.columns) == FIRST and len(table) == 0
    (tmp_path / "file").touch()
    with pytest.raises(SessionError, match="is a file"):
        mmlab.runs(tmp_path / "file")


def test_a_whole_run_with_its_summary(folder, run, monkeypatch):
    monkeypatch.setattr("mmlab.lab.run.summarise", lambda _: pytest.fail("worked out again"))
    row = mmlab.runs(folder).loc["whole"]
    assert (row["name"], row["mode"], row["venue"], row["symbol"]) == ("fabricated", "replay", "simulator", "TEST")
    assert (row["ended"], row["going"], row["fault"]) == ("end of feed", False, "")
    assert row["started"] == pd.Timestamp("2024-01-02T03:04:05.678Z")
    assert row["finished"] - row["started"] == pd.Timedelta(minutes=1)
    for name, value in run.summary.items():
        assert row[name] == value or (pd.isna(row[name]) and pd.isna(value)), name


def test_a_summary_is_kept_when_it_is_first_read(folder, run):
    file = folder / "whole" / "run.json"
    record = json.loads(file.read_text())
    del record["summary"]
    file.write_text(json.dumps(record))
    before = mmlab.runs(folder).loc["whole"]
    assert "markout_bid_bps" not in before and before["fills"] == len(run.fills)
    assert before["net_pnl"] == pytest.approx(run.summary["net_pnl"])
    assert before["pnl_per_million"] == pytest.approx(run.summary["pnl_per_million"])
    load_run(folder / "whole").summary  # noqa: B018  reading it works it out
    assert mmlab.runs(folder).loc["whole", "markout_bid_bps"] == run.summary["markout_bid_bps"]
    assert json.loads(file.read_text()) == record | {"summary": json.loads(file.read_text())["summary"]}


def test_an_inverse_contract_without_a_summary_has_no_figure_it_cannot_know(tmp_path):
    make_run(60, instrument=INVERSE).save(tmp_path / "inverse")
    file = tmp_path / "inverse" / "run.json"
    record = json.loads(file.read_text())
    file.write_text(json.dumps({name: value for name, value in record.items() if name != "summary"}))
    row = mmlab.runs(tmp_path).loc["inverse"]
    assert "pnl_per_million" not in row and np.isfinite(row["net_pnl"])


def test_damaged_directories_are_rows(folder):
    whole = folder / "whole"
    faults = {
        "empty": None, "cut": b'{"schema": 1, "na', "list": b"[]", "newer": b'{"schema": 99}', "bare": b'{"schema": 1}',
        "nonsense": b'{"schema": 1, "tables": 3, "instrument": 1, "inputs": 2}', "bytes": b"\xff\xfe",
    }  # fmt: skip
    for name, content in faults.items():
        (folder / name).mkdir()
        if content is not None:
            (folder / name / "run.json").write_bytes(content)
    record = json.loads((whole / "run.json").read_text())
    for name, change in {
        "symbol": {"instrument": {}},
        "text": {"instrument": "x"},
        "time": {"started": "noon"},
    }.items():
        shutil.copytree(whole, folder / name)
        (folder / name / "run.json").write_text(json.dumps({**record, **change}))
    (folder / ".whole.part").mkdir()
    (folder / "study").mkdir()
    (folder / "study" / "study.json").touch()
    (folder / "a file").touch()
    table = mmlab.runs(folder)
    assert set(table.index) == {"whole", "symbol", "text", "time", *faults}
    damaged = table.drop(["whole", "time"])
    assert (damaged["fault"] != "").all()
    assert all(str(folder / name) in fault for name, fault in damaged["fault"].items())
    assert "run.json" in table.loc["empty", "fault"] and "schema 99" in table.loc["newer", "fault"]
    assert table.loc["whole", "fault"] == "" and pd.isna(table.loc["time", "started"])


def test_going_and_crashed_runs(tmp_path, run):
    live = begin(run, tmp_path / "going", flush_s=0.05)
    put_all(live, run)
    until = time.monotonic() + 10
    while np.isnan(mmlab.runs(tmp_path).get("net_pnl", pd.Series([np.nan])).iloc[0]):
        assert time.monotonic() < until
        time.sleep(0.05)
    table = mmlab.runs(tmp_path)
    row = table.loc["going"]
    assert (row["ended"], row["going"], row["fault"]) == ("running", True, "")
    assert pd.isna(row["finished"]) and row["fills"] <= len(run.fills)
    shutil.copytree(tmp_path / "going", tmp_path / "crashed", ignore=shutil.ignore_patterns(".lock"))
    (tmp_path / "crashed" / ".lock").touch()
    live.close(replace(run.info, ended="stopped"))
    table = mmlab.runs(tmp_path)
    assert (table.loc["going", "ended"], table.loc["going", "going"]) == ("stopped", False)
    assert (table.loc["crashed", "ended"], table.loc["crashed", "going"]) == ("crashed", False)
    assert take_lock(tmp_path / "crashed") is not None, "looking at it holds nothing"
