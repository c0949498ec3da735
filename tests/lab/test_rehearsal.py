"""What-if on a session's recorded events."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mmlab
from mmlab.engine.setup import params_of
from mmlab.errors import ConfigError, SessionError
from mmlab.events import NS_PER_S
from mmlab.feeds.slicing import levels_after
from mmlab.lab.recording import Recording
from mmlab.lab.rehearsal import Rehearsal, same_fills, switch_notes
from mmlab.lab.what_if_figure import what_if_columns, what_if_figure
from mmlab.lab.window_figures import OPTIONAL, Window
from mmlab.telemetry.info import clean
from mmlab.telemetry.inputs import market_events
from mmlab.telemetry.streams import stream_file
from mmlab.telemetry.tables import record_to_dict
from tests.lab.going import Going

WINDOW_S = 90.0


@pytest.fixture(scope="module")
def asked(source):
    rehearsal = Rehearsal(source.folder, WINDOW_S)
    rehearsal.refresh()
    return rehearsal


def test_no_changes_no_difference(asked):
    answer = asked.compare({})
    table = answer.table
    assert list(table) == ["now", "then", "difference", "session"]
    assert (table["difference"].dropna() == 0).all()
    for name in ("fills", "orders", "decisions", "targets", "gates", "metrics"):
        assert getattr(answer.now.tables, name).tobytes() == getattr(answer.then.tables, name).tobytes(), name
    assert answer.changes == {}
    assert table.loc["fills", "now"] > 5
    assert 0 < answer.seconds < 60


def test_changes_show(asked):
    answer = asked.compare({"strategy.model": "fixed", "strategy.half_spread_ticks": 20.0})
    assert set(answer.changes) == {"strategy.model", "strategy.half_spread_ticks"}
    assert answer.table.loc["fills", "difference"] != 0
    assert answer.then.config.strategy.half_spread_ticks == 20
    same = asked.compare(answer.then.config)
    assert same.table["then"].equals(answer.table["then"])


def test_table_agrees_with_the_summary_of_the_run(asked):
    answer = asked.compare({"ladder.offset_ticks": [2, 4, 6, 9]})
    for run, column in ((answer.now, "now"), (answer.then, "then")):
        names = ["net_pnl", "net_pnl_quote", "pnl_per_million", "markout_bid_bps", "markout_ask_bps", "fills", "fees"]
        for name in [*names, "fills_bid", "fills_ask", "volume", "final_position", "max_position"]:
            assert answer.table.loc[name, column] == pytest.approx(run.summary[name], rel=1e-9, abs=1e-12), name
        metrics = run.tables.metrics  # what is sent at the very start is not after it
        at_start = metrics["messages"][metrics["local_ns"] == answer.start.value][0]
        assert answer.table.loc["messages", column] == run.summary["messages"] - at_start


def test_session_column_is_what_the_session_did(asked, source):
    answer, tables = asked.compare({}), source.stored.tables
    start, end = answer.start.value, answer.end.value
    fills = tables.fills[(tables.fills["local_ns"] > start) & (tables.fills["local_ns"] <= end)]
    assert answer.table.loc["fills", "session"] == fills.size
    assert answer.matched["session"] == fills.size
    metrics = tables.metrics
    net = np.interp([start, end], metrics["local_ns"], metrics["net_pnl"])
    assert answer.table.loc["net_pnl", "session"] == pytest.approx(net[1] - net[0])
    assert answer.matched["same"] >= 0.7 * fills.size, "the replay should find most of the session's own fills"


def test_parameters_in_force_are_those_of_the_engine(source):
    recording = Recording(source.folder)
    params = params_of(recording.config, recording.instrument, recording.warmup, None)
    assert clean(record_to_dict(params[0])) == recording.info.params


def test_the_replay_begins_with_the_position_of_the_session(asked, source):
    answer, metrics = asked.compare({}), source.stored.tables.metrics
    lots = metrics["position_lots"][np.searchsorted(metrics["local_ns"], answer.start.value, "right") - 1]
    assert lots != 0, "the window should begin with a position for this test"
    lot = source.scale.lot_size
    assert answer.table.loc["start_position"].drop("difference").tolist() == pytest.approx([lots * lot] * 3)
    first = answer.now.tables.metrics["local_ns"] >= answer.start.value
    assert answer.now.tables.metrics["position_lots"][first][0] == lots
    assert any("position" in note for note in answer.notes)


@settings(max_examples=8)
@given(st.data())
def test_refresh_by_refresh_is_as_at_once(source, data):
    """However the recording came in, and wherever it was cut: table and replays are the same."""
    seconds = data.draw(st.lists(st.floats(40, 235), min_size=2, max_size=5).map(sorted))
    with tempfile.TemporaryDirectory() as folder:
        going = Going(source, Path(folder) / "run")
        rehearsal, compared = None, 0
        for second in seconds:
            going.write(source.begin_ns + round(second * NS_PER_S))
            rehearsal = rehearsal or Rehearsal(going.folder, WINDOW_S)
            rehearsal.refresh()
            fresh = Rehearsal(going.folder, WINDOW_S)
            fresh.refresh()
            for name in ("start_ns", "end_ns", "last_ns"):
                assert getattr(fresh.recording, name) == getattr(rehearsal.recording, name)
            if rehearsal.recording.end_ns > rehearsal.recording.start_ns:
                ours, theirs = (one.compare({"ladder.hysteresis": 0.1}) for one in (rehearsal, fresh))
                for run in ("now", "then"):
                    for name in ("fills", "orders", "decisions", "targets", "metrics", "gates"):
                        a, b = (getattr(getattr(x, run).tables, name).tobytes() for x in (ours, theirs))
                        assert a == b, (run, name)
                assert ours.table.equals(theirs.table)
                compared += 1
            fresh.close()
        going.close()
        rehearsal.close()
        assert compared


def test_book_at_the_start_is_the_full_book_then(source):
    recording = Recording(source.folder, WINDOW_S)
    recording.refresh()
    opening = recording.tape.events
    begin_ns = int(opening["local_ns"][0])
    assert begin_ns == recording.start_ns - recording.run_in_ns
    count = int(np.flatnonzero(opening["kind"] == mmlab.Kind.SNAPSHOT_END)[0])
    events = market_events(source.inputs)
    expected = levels_after(events[events["local_ns"] < begin_ns])
    for name in ("side", "price_ticks", "size_lots"):
        assert opening[name][1:count].tolist() == expected[name].tolist()
    book = mmlab.Feed(recording.instrument, events).book()
    ours, whole = (b[b["local_ns"] >= recording.start_ns] for b in (recording.tape.tape().book, book))
    for name in ("local_ns", "bid_ticks", "ask_ticks", "bid_lots", "ask_lots", "valid"):
        assert ours[name].tolist() == whole[name].tolist(), name


def test_a_run_that_ends_while_it_is_followed(source, tmp_path):
    going = Going(source, tmp_path / "run")
    going.write(source.begin_ns + 100 * NS_PER_S)
    rehearsal = Rehearsal(going.folder, WINDOW_S)
    rehearsal.refresh()
    going.end()
    for _ in range(2):
        rehearsal.refresh()
    whole = Rehearsal(source.folder, WINDOW_S)
    whole.refresh()
    assert rehearsal.recording.over
    assert rehearsal.recording.last_ns == whole.recording.last_ns
    assert rehearsal.compare({}).table.loc["fills", "session"] > 0


def test_changes_are_checked_as_a_whole(asked):
    with pytest.raises(ConfigError, match="hysteresis") as error:
        asked.compare({"ladder.hysteresis": -1, "strategy.gamma": -1})
    assert "strategy.gamma" in str(error.value)
    with pytest.raises(ConfigError, match="order_size"):
        asked.compare({"strategy.order_size": 1e-9})
    assert (asked.compare({}).table["difference"].dropna() == 0).all()


def test_changes_of_the_session_are_in_force(source, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(source.folder, folder)
    change = {"time": "2024-01-01T00:00:00Z", "source": "test", "version": 1, "old": {"ladder.hysteresis": 0.05}}
    line = json.dumps({**change, "new": {"ladder.hysteresis": 0.1}})
    (folder / "changes.jsonl").write_text(line + "\n", encoding="utf-8")
    rehearsal = Rehearsal(folder, WINDOW_S)
    rehearsal.refresh()
    answer = rehearsal.compare({})
    assert answer.now.config.ladder.hysteresis == 0.1
    assert any("change" in note for note in answer.notes)


def test_too_early_is_said_in_words(source, tmp_path):
    going = Going(source, tmp_path / "run")
    rehearsal = Rehearsal(going.folder)
    assert rehearsal.refresh() == 0
    with pytest.raises(SessionError, match="no market events"):
        rehearsal.compare({})
    going.write(source.begin_ns + 5 * NS_PER_S)
    rehearsal.refresh()
    with pytest.raises(SessionError, match="warm-up"):
        rehearsal.compare({})
    going.close()


def test_cut_short_is_said_in_words(source, tmp_path):
    with pytest.raises(SessionError, match="no such run directory"):
        Rehearsal(tmp_path / "none")
    folder = tmp_path / "run"
    shutil.copytree(source.folder, folder)
    (folder / "inputs.parquet").unlink()
    with pytest.raises(SessionError, match=r"inputs\.parquet: missing"):
        Rehearsal(folder).refresh()
    data = (source.folder / "inputs.parquet").read_bytes()
    (folder / "inputs.parquet").write_bytes(data[: len(data) // 2])
    with pytest.raises(SessionError, match=r"inputs\.parquet: cannot be read"):
        Rehearsal(folder).refresh()
    (folder / "run.json").write_text("{", encoding="utf-8")
    with pytest.raises(SessionError, match=r"run\.json"):
        Rehearsal(folder)


def test_a_damaged_stream_is_said_in_words(source, tmp_path):
    going = Going(source, tmp_path / "run")
    going.write(source.begin_ns + 60 * NS_PER_S)
    file = going.folder / stream_file("inputs")
    size = file.stat().st_size
    with file.open("ab") as stream:
        stream.write(b"x" * 100)
    rehearsal = Rehearsal(going.folder)
    with pytest.raises(SessionError, match=f"at byte {size}"):
        rehearsal.refresh()
    going.close()


def test_a_backtest_is_sent_where_it_belongs(tmp_path):
    run = mmlab.backtest(mmlab.load_feed("data/sample.parquet")[: 1 << 62])
    folder = run.save(tmp_path / "run")
    with pytest.raises(SessionError, match="what_if"):
        Rehearsal(folder)
    other = mmlab.what_if(folder, {"ladder.hysteresis": 0.1})
    assert other.config.ladder.hysteresis == 0.1


def test_what_if_takes_a_run_a_directory_and_a_session(source):
    changes = {"ladder.offset_ticks": [2, 4, 6, 9]}
    run = mmlab.what_if(source.folder, changes)
    assert run.config.ladder.offset_ticks == (2, 4, 6, 9)
    assert run.summary["fills"] > 5
    config = mmlab.Config.load(source.folder / "config.toml").with_(**changes)
    again = mmlab.what_if(str(source.folder), config)
    assert again.tables.fills.tobytes() == run.tables.fills.tobytes()

    class Handle:
        run_dir = source.folder

    assert mmlab.what_if(Handle(), changes).tables.fills.tobytes() == run.tables.fills.tobytes()
    loaded = mmlab.load_run(source.folder)
    assert mmlab.what_if(loaded, changes).config.ladder.offset_ticks == (2, 4, 6, 9)
    assert list(run.compare(loaded)) == ["this", "other", "change"]


def test_figure_and_its_update(asked):
    one, two = asked.compare({}), asked.compare({"strategy.min_spread_bps": 9.0})
    figure = what_if_figure(one)
    assert what_if_figure(two, figure) is figure
    net = next(r for r in figure.children[0].renderers if r.name == "then").data_source.data["net"]
    assert net.tolist() == what_if_columns(two)["then"]["net"].tolist()
    columns = what_if_columns(two)
    assert set(columns) == {"now", "then", "session"}
    assert columns["then"]["net"][-1] == pytest.approx(two.table.loc["net_pnl_quote", "then"])
    assert columns["session"]["net"][-1] == pytest.approx(two.table.loc["net_pnl_quote", "session"])
    assert "difference" in two._repr_html_()


def test_same_fills_count_once(source):
    fills = source.stored.tables.fills[:6]
    assert same_fills(fills, fills) == 6
    assert same_fills(np.concatenate([fills[:1], fills[:1]]), fills[:1]) == 1
    later = fills.copy()
    later["exch_ns"] += 2 * NS_PER_S
    assert same_fills(fills[:1], later[:1]) == 0


def test_switches_that_differ_are_said():
    reference = (np.zeros(0, np.int64), np.zeros(0), np.zeros(0, np.int64))
    window = Window(0, 100 * NS_PER_S, mmlab.Instrument("X", tick_size=1.0, lot_size=1.0), reference)
    times = dict.fromkeys(OPTIONAL, 0.0)
    assert switch_notes(times, times, window) == []
    (note,) = switch_notes({**times, "time_losing_s": 60.0}, {**times, "time_toxic_s": 2.0}, window)
    assert "time_losing_s: 60 s in the session, 0 s in the replay" in note
