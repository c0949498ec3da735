"""A run directory gives back what was saved, is the same for equal runs, and is whole or absent."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mmlab import load_run
from mmlab.errors import SessionError
from mmlab.telemetry import run_directory
from mmlab.telemetry.files import FILES, WRITERS
from mmlab.telemetry.info import folder_name
from mmlab.telemetry.tables import Tables
from tests.lab.fabricated import INVERSE, make_feed, make_run

TABLES = [field.name for field in fields(Tables)]
LISTED = {"run.json", "config.toml", "changes.jsonl", "inputs.parquet", "log.jsonl", *FILES.values()}


def assert_same(a, b):
    assert a.dtype == b.dtype
    for name in a.dtype.names:
        np.testing.assert_array_equal(a[name], b[name], strict=True)


@pytest.fixture(scope="module")
def run():
    return make_run(120, halted=True)


@pytest.fixture
def saved(run, tmp_path):
    return run.save(tmp_path / "run")


def test_round_trip_is_lossless(run, saved):
    again = load_run(saved)
    for name in TABLES:
        assert_same(getattr(run.tables, name), getattr(again.tables, name))
    assert_same(run.markouts, again.markouts)
    assert_same(run.feed.events, again.feed.events)
    assert (again.config, again.instrument, again.info.to_json()) == (
        run.config,
        run.instrument,
        {**run.info.to_json(), "feed": again.info.feed},
    )
    pd.testing.assert_series_equal(run.summary, again.summary)
    for name in ("fills", "orders", "decisions", "metrics", "gates"):
        pd.testing.assert_frame_equal(getattr(run, name), getattr(again, name))


def test_it_holds_every_file_and_nothing_else(saved):
    assert {path.name for path in saved.iterdir()} == LISTED


def test_a_run_without_fills_or_triggers(run, tmp_path):
    empty = make_run(20)
    for name in TABLES:
        object.__setattr__(empty.tables, name, getattr(run.tables, name)[:0])
    empty.info.feed = {}
    again = load_run(empty.save(tmp_path / "empty"))
    for name in TABLES:
        assert_same(getattr(empty.tables, name), getattr(again.tables, name))
    assert again.summary["fills"] == 0
    assert np.isnan(again.summary["pnl_per_million"])


def test_equal_runs_give_equal_bytes(saved, tmp_path):
    other = make_run(
        120, halted=True, started="2001-01-01T00:00:00.000+00:00", finished="2001-01-01T00:00:01.000+00:00"
    )
    folder = other.save(tmp_path / "other")
    for name in LISTED - {"run.json", "log.jsonl"}:
        assert (saved / name).read_bytes() == (folder / name).read_bytes(), name
    ours, theirs = (json.loads((path / "run.json").read_text()) for path in (saved, folder))
    assert {name for name in ours if ours[name] != theirs[name]} == {"id", "started", "finished"}


def test_inputs_are_the_feeds_own_file_where_it_has_one(tmp_path):
    feed = make_feed(30)
    feed.save(tmp_path / "feed.parquet")
    folder = make_run(feed=feed).save(tmp_path / "run")
    assert not (folder / "inputs.parquet").exists()
    assert json.loads((folder / "run.json").read_text())["inputs"]["feed"] == str((tmp_path / "feed.parquet").resolve())
    assert_same(load_run(folder).feed.events, feed.events)
    make_feed(31).save(tmp_path / "feed.parquet")
    with pytest.raises(SessionError, match="no longer holds the events"):
        _ = load_run(folder).feed
    (tmp_path / "feed.parquet").unlink()
    with pytest.raises(SessionError, match=r"feed\.parquet.*no such file"):
        _ = load_run(folder).feed


def test_the_default_folder_is_start_and_name(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    started = make_run(20, name="My run/1", started="2024-08-08T12:34:56.000+00:00")
    assert folder_name(started.info) == "20240808T123456Z-My-run-1"
    assert started.save() == started.directory
    assert (tmp_path / "runs" / "20240808T123456Z-My-run-1" / "run.json").is_file()


def test_an_existing_run_is_not_overwritten(run, saved):
    before = (saved / "run.json").read_bytes()
    with pytest.raises(SessionError, match="already exists"):
        run.save(saved)
    assert (saved / "run.json").read_bytes() == before


def test_an_empty_folder_is_taken(run, tmp_path):
    (tmp_path / "given").mkdir()
    assert load_run(run.save(tmp_path / "given")).summary["fills"] == run.summary["fills"]


@pytest.mark.parametrize("stage", ["_write_log", "sha256", "write_record", "csv"])
def test_nothing_half_written_stays(run, tmp_path, monkeypatch, stage):
    def fail(*args):
        raise OSError(28, "No space left on device")

    if stage == "csv":
        monkeypatch.setitem(WRITERS, ".csv", fail)
    else:
        monkeypatch.setattr(run_directory, stage, fail)
    with pytest.raises(SessionError, match="No space left"):
        run.save(tmp_path / "run")
    assert not any(tmp_path.iterdir())


def test_a_place_that_cannot_be_written(run, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SessionError, match="cannot be written"):
        run.save(tmp_path / "file" / "run")


def truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("name", sorted(FILES.values()))
@pytest.mark.parametrize("damage", [truncate, Path.unlink])
def test_a_cut_short_directory_names_the_file(saved, name, damage):
    damage(saved / name)
    with pytest.raises(SessionError, match=name.replace(".", r"\.")):
        load_run(saved)


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"schema": 1}', '{"schema": 99, "tables": {}, "instrument": {}, "inputs": {}}']
)
def test_a_damaged_run_json(saved, content):
    (saved / "run.json").write_text(content)
    with pytest.raises(SessionError, match=r"run\.json"):
        load_run(saved)


def test_no_directory_and_no_run(tmp_path):
    with pytest.raises(SessionError, match="no such run directory"):
        load_run(tmp_path / "absent")
    with pytest.raises(SessionError, match=r"no run\.json"):
        load_run(tmp_path)


def test_an_unknown_name_in_a_table(saved):
    path = saved / "fills.csv"
    path.write_text(path.read_text().replace(",maker,", ",friend,", 1))
    with pytest.raises(SessionError, match=r"fills\.csv.*'friend' is not one of"):
        load_run(saved)


def test_json_is_strict_and_every_line_stands_alone(saved):
    def refuse(text):
        raise AssertionError(text)

    for name in ("gates.jsonl", "log.jsonl"):
        lines = (saved / name).read_text().splitlines()
        assert lines
        for line in lines:
            json.loads(line, parse_constant=refuse)
    json.loads((saved / "run.json").read_text(), parse_constant=refuse)


def test_inverse_contract(tmp_path):
    run = make_run(60, instrument=INVERSE)
    again = load_run(run.save(tmp_path / "run"))
    pd.testing.assert_series_equal(run.summary, again.summary)
    assert again.instrument == INVERSE
