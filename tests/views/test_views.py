"""Every view is built, ticks and says what it should; the form and the head do as they are told. Without a browser."""

from __future__ import annotations

import json
import shutil
import time

import numpy as np
import panel as pn
import pytest
from bokeh.document import Document
from bokeh.models import ColumnDataSource, Div

from mmlab.config import Config
from mmlab.views import fields
from mmlab.views.dashboard import VIEWS, Dashboard
from mmlab.views.hub import Hub
from mmlab.views.overview import _log_words
from tests.lab.fabricated import INVERSE, make_run
from tests.views.fake import FakeEngine, going, nobody

NAMES = [view.name_ for view in VIEWS]


@pytest.fixture(scope="module")
def run():
    return make_run(300, halted=True)


@pytest.fixture(scope="module")
def runs(run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    run.save(folder / "first")
    make_run(200, seed=3, instrument=INVERSE).save(folder / "inverse")
    return folder


@pytest.fixture
def live(run, tmp_path):
    writer = going(tmp_path / "runs" / "live", run)
    engine = FakeEngine(tmp_path / "runs" / "live", run.config)
    hub = Hub(lambda path: engine if path.name == "live" else nobody(path), period_s=0.02)
    dashboard = Dashboard(hub, tmp_path / "runs")
    dashboard.writer, dashboard.engine = writer, engine
    yield dashboard
    writer.close()
    dashboard.leave()


def texts(viewable):
    """All text of the HTML panes."""
    return " ".join(pane.object.text for pane in viewable.select(pn.pane.Bokeh) if isinstance(pane.object, Div))


def until(dashboard, done, seconds=10.0):
    end = time.monotonic() + seconds
    while not done() and time.monotonic() < end:
        dashboard.tick()
        time.sleep(0.02)
    assert done()


def render(dashboard):
    """As the server does it; what a browser would be sent."""
    document = Document()
    dashboard.body.server_doc(document)
    return document.to_json()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("run_name", ["first", "inverse"])
def test_every_view_of_a_finished_run(runs, name, run_name):
    dashboard = Dashboard(Hub(nobody), runs, run=run_name, view=name)
    assert render(dashboard)
    for _ in range(3):
        dashboard.tick()
    assert dashboard._broken == {}
    assert "failed" not in texts(dashboard.body)
    assert dashboard.bar.status["badge"] == "ended"
    assert not dashboard.bar.status["can_kill"]
    dashboard.leave()


@pytest.mark.parametrize("name", NAMES)
def test_every_view_of_a_going_run(live, run, name):
    live.bar.view = name
    until(live, lambda: live.store.live and live.store.metrics.total)
    assert render(live)
    live.writer.put("metrics", run.tables.metrics[-20:])
    until(live, lambda: live.store.metrics.total == run.tables.metrics.size + 20)
    live.tick()
    assert live._broken == {}
    assert live.bar.status["badge"] == "quoting"
    assert ["Net P&L", "+1.25", "good"] in live.bar.status["chips"]
    live.theme(dark=True)
    assert "dark" in live.body.css_classes


def test_what_the_views_say(live):
    said = {
        "overview": ["60,002.5", "cancel pending", "event to sender"],
        "orders": ["Pending map", "late report"[:4], "news"],
        "gates": ["armed", "Held back now"],
        "tune": ["started with"],
    }
    until(live, lambda: live.store.live)
    for name, words in said.items():
        live.bar.view = name
        live.tick()
        shown = texts(live.body)
        assert [word for word in words if word not in shown] == []


def test_figures_get_only_what_is_new(live, run, monkeypatch):
    live.bar.view = "flow"
    until(live, lambda: live.store.metrics.total >= run.tables.metrics.size)
    follow = live._views["flow"].times.follows[0]
    live.tick()
    before, held = follow.source, len(follow.source.data["x"])
    streamed = []
    monkeypatch.setattr(ColumnDataSource, "stream", lambda _, data, rollover=None: streamed.append(len(data["x"])))
    live.writer.put("metrics", run.tables.metrics[-3:])
    until(live, lambda: sum(streamed) == 3)
    assert follow.source is before and len(before.data["x"]) == held


def test_only_the_shown_view_is_brought_up_to_date(live):
    live.bar.view = "flow"
    live.bar.view = "inventory"
    flow = live._views["flow"]
    flow.refresh = lambda: pytest.fail("a view that is not shown was refreshed")
    live.tick()
    live.tick()


def test_a_view_that_fails_takes_nothing_with_it(live, monkeypatch):
    monkeypatch.setattr(live._views["overview"], "refresh", lambda: 1 / 0)
    live.tick()
    assert "This view failed" in texts(live.body)
    live.bar.view = "flow"
    live.tick()
    assert "failed" not in texts(live.body)
    live._hear({"what": "kill"})
    until(live, lambda: live.engine.deeds)


# --- steering -------------------------------------------------------------------------------------------------------


def test_kill_then_rearm(live):
    until(live, lambda: live.store.live)
    assert live.bar.status["can_kill"] and not live.bar.status["can_rearm"]
    live._hear({"what": "kill"})
    until(live, lambda: live.bar.status["can_rearm"])
    assert live.engine.deeds == [("kill", "dashboard")]
    assert live.bar.status["badge"] == "halted" and "re-arm" in live.bar.status["why"]
    assert "Killed" in live.bar.said["text"]
    live._hear({"what": "rearm"})
    until(live, lambda: not live.bar.status["can_rearm"])
    assert live.engine.deeds[-1][0] == "rearm"


def test_kill_that_does_not_arrive_is_said(live):
    until(live, lambda: live.store.live)
    live.engine.dead = "the engine has ended, or died"
    live._hear({"what": "kill"})
    until(live, lambda: "NOT killed" in live.bar.said.get("text", ""))
    until(live, lambda: live.bar.status["badge"] == "no engine")
    assert "died" in live.bar.status["why"]


def test_a_wrong_token_is_said(run, tmp_path):
    live = going(tmp_path / "live", run, rows=0)
    engine = FakeEngine(tmp_path / "live")
    engine.dead = "live: the token is wrong"
    dashboard = Dashboard(Hub(lambda _: engine), tmp_path)
    dashboard.tick()
    assert dashboard.bar.status["badge"] == "going"
    assert "controls are off: live: the token is wrong" in dashboard.bar.status["why"]
    live.close()


def test_read_only_steers_nothing(run, tmp_path):
    live = going(tmp_path / "live", run, rows=0)
    engine = FakeEngine(tmp_path / "live")
    dashboard = Dashboard(Hub(lambda _: engine), tmp_path, read_only=True, view="tune")
    dashboard._hear({"what": "kill"})
    form = dashboard._views["tune"].form
    assert "Read only" in form.locked
    form.pending = {"ladder.hysteresis": 0.1}
    form._hear({"what": "edit", "name": "ladder.hysteresis", "version": form.version})
    form._hear({"what": "apply"})
    for _ in range(10):
        dashboard.tick()
        time.sleep(0.02)
    assert (engine.deeds, engine.version) == ([], 0)
    assert dashboard.bar.status["read_only"]
    live.close()


@pytest.fixture
def tune(live):
    live.bar.view = "tune"
    until(live, lambda: live.store.live and not live._views["tune"].form.locked)
    return live._views["tune"]


def edit(tune, **changes):
    tune.form.pending = {**tune.form.pending, **{name.replace("__", "."): value for name, value in changes.items()}}
    tune._hear({"what": "edit", "version": tune.form.version})


def test_apply(live, tune):
    edit(tune, ladder__offset_ticks=[2, 4, 6, 9])
    assert live.engine.version == 0
    tune._hear({"what": "apply"})
    until(live, lambda: not tune.form.pending)
    assert live.engine.config.ladder.offset_ticks == (2, 4, 6, 9)
    until(live, lambda: tune.form.applied["ladder.offset_ticks"] == [2, 4, 6, 9])
    assert "Applied as version 1" in live.bar.said["text"]
    assert live.engine.history[0]["source"] == "dashboard"
    until(live, lambda: "ladder.offset_ticks" in texts(tune.body))


def test_revert(tune):
    edit(tune, ladder__hysteresis=0.2)
    assert tune._base == 0
    tune.form.pending = {}
    tune._hear({"what": "revert"})
    assert (tune._base, tune.form.complaint) == (None, "")


def test_values_out_of_range_are_said_and_not_sent(live, tune):
    edit(tune, ladder__hysteresis=7.0)
    assert "ladder.hysteresis" in tune.form.complaint
    tune._hear({"what": "apply"})
    for _ in range(5):
        live.tick()
    assert live.engine.version == 0
    assert tune.form.pending == {"ladder.hysteresis": 7.0}


def test_two_people_apply_at_once(live, tune):
    edit(tune, ladder__hysteresis=0.1)
    live.engine.update({"ladder.min_dwell_ms": 700.0}, source="somebody else")
    tune._hear({"what": "apply"})
    until(live, lambda: "somebody else" in tune.form.complaint)
    assert tune.form.pending == {"ladder.hysteresis": 0.1}
    assert live.engine.config.ladder.hysteresis != 0.1
    until(live, lambda: live.store.params["version"] == 1)
    tune._base = 1
    tune._hear({"what": "apply"})
    until(live, lambda: live.engine.version == 2)
    assert (live.engine.config.ladder.hysteresis, live.engine.config.ladder.min_dwell_ms) == (0.1, 700.0)


# --- choosing -------------------------------------------------------------------------------------------------------


def test_no_runs_yet(tmp_path, run):
    hub = Hub(nobody)
    dashboard = Dashboard(hub, tmp_path / "none")
    dashboard.tick()
    assert "No runs yet" in texts(dashboard.body)
    assert render(dashboard)
    run.save(tmp_path / "none" / "one")
    hub._listed.clear()
    until(dashboard, lambda: dashboard.bar.run == "one")
    dashboard.tick()
    assert "Net P&amp;L" in texts(dashboard.body)


def test_another_run(runs):
    dashboard = Dashboard(Hub(nobody), runs, run="first")
    before = dashboard.store
    dashboard.bar.run = "inverse"
    dashboard.tick()
    assert dashboard.store.name == "inverse"
    assert dashboard.hub.watchers(before.run_dir) == 0
    assert dashboard.store.inverse


@pytest.mark.parametrize("name", ["../first", "/etc", "absent", "a/b", ".."])
def test_only_runs_of_the_folder(runs, name):
    dashboard = Dashboard(Hub(nobody), runs / "first", run=name)
    dashboard.tick()
    assert dashboard.store is None or dashboard.store.run_dir.parent == runs / "first"
    assert dashboard.store is None or not dashboard.store.record


def test_a_run_that_is_cut_short(runs, tmp_path):
    folder = shutil.copytree(runs / "first", tmp_path / "cut")
    dashboard = Dashboard(Hub(nobody), tmp_path, run="cut")
    dashboard.tick()
    (folder / "run.json").write_text("{")
    dashboard.store._looked = -np.inf
    dashboard.store.step()
    dashboard.tick()
    assert dashboard.bar.status["badge"] == "no data"
    assert "cut short" in dashboard.bar.status["why"]


def test_an_engine_that_died(runs, tmp_path):
    folder = shutil.copytree(runs / "first", tmp_path / "dead")
    record = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps({**record, "ended": "running"}))
    dashboard = Dashboard(Hub(nobody), tmp_path)
    dashboard.tick()
    assert dashboard.bar.status["badge"] == "crashed"
    assert "died" in dashboard.bar.status["why"]


def test_markouts_and_comparison_come_from_the_lab(runs, run):
    dashboard = Dashboard(Hub(nobody), runs, run="first", view="markouts")
    view = dashboard._views["markouts"]
    until(dashboard, lambda: view._shown is not None, 60)
    assert view._shown.fills == len(run.fills)
    assert "nothing" in texts(dashboard.body) or "ladder level" in texts(dashboard.body)
    shown = view._curves["bid"].data["mean"]
    assert shown == pytest.approx(run.bands.loc["bid"]["mean_bps"].to_numpy(), nan_ok=True)
    dashboard.bar.view = "compare"
    compare = dashboard._views["compare"]
    compare._choice.value = str(runs / "inverse")
    until(dashboard, lambda: "pnl_per_million" in texts(dashboard.body), 60)
    assert compare._picture.visible
    dashboard.leave()


# --- fields ---------------------------------------------------------------------------------------------------------


def test_every_field_is_shown_as_the_config_has_it():
    flat = Config().flat()
    known = [field for group in fields.groups() for field in group["fields"]]
    assert {field["name"] for field in known} <= set(flat)
    for name in ("ladder.offset_ticks", "gates.flip.mode", "kill.toxic.threshold_bps", "strategy.gamma"):
        assert name in fields.names()
    for field in known:
        value = flat[field["name"]]
        assert field["help"], field["name"]
        if field["slide"] is not None:
            low, high, step = field["slide"]
            assert field["low"] <= low < high <= field["high"] and step > 0
            values = value if field["kind"] == "list" else [value]
            assert all(low <= one <= high for one in values), field["name"]
        if field["kind"] == "choice":
            assert value in field["choices"]
        if field["kind"] == "flag":
            assert isinstance(value, bool)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"event": "switch", "switch": "stale", "value": 1.6447, "threshold": None, "n": 0, "decision": 9},
         "11:56:46 switch: stale, value 1.645, n 0"),
        ({"event": "queue_full", "error": ""}, "11:56:46 queue full"),
    ],
)  # fmt: skip
def test_a_line_of_the_log_is_told_in_words_without_what_it_does_not_know(fields, words):
    assert _log_words({"time": "2026-11-26T11:56:46.1Z", "level": "warning", "run": "x", **fields}) == words
