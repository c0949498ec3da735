"""Against a real Prometheus: it scrapes a running session, every alert fires, every panel's query has data.

One scenario: Prometheus alone; then a session in a process of its own, and exporters that serve what each alert looks
at; then the session is halted with a position, and killed.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
import requests

import mmlab
from mmlab.lab.demo import SAMPLE
from mmlab.telemetry.metrics_registry import METRICS
from mmlab.telemetry.ops.alerts import ALERTS
from mmlab.telemetry.ops.dashboards import dashboards
from tests.ops.prometheus import Prometheus, until
from tests.ops.scenes import CALM, SCENES, SESSION_OF, Stage, healthy

LIVE = "observed"
"""Name of the real session."""
CONFIG = mmlab.Config().with_(**{"strategy.warmup_s": 5, "owner.on_owner_lost": "keep", "telemetry.metrics_port": 0})
SUBSTITUTES = {"$session": ".*", "$__rate_interval": "5s", "$__range": "1m"}


class Scenario:
    """What the tests look at."""

    def __init__(self, folder: Path, undo: ExitStack) -> None:
        self.prometheus = Prometheus(folder / "prometheus")
        undo.callback(self.prometheus.close)
        self.none_fired = until(lambda: ("MmlabNoEngine", "") in self.prometheus.firing())
        config = CONFIG.with_(**{"telemetry.targets_dir": str(self.prometheus.targets)})
        self.session = mmlab.Session(config, feed=SAMPLE, speed=10.0, loop=True, out=folder / "run", name=LIVE)
        self.session.start()  # meanwhile the scenes are made
        undo.callback(self.stop)
        self.stage = Stage(healthy(), self.prometheus.targets)
        self.stage.start()
        undo.callback(self.stage.close)

    def stop(self) -> None:
        with suppress(mmlab.SessionError):
            self.session.stop()
            self.session.wait(30)


@pytest.fixture(scope="module")
def scenario(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("runtime")))
        with ExitStack() as undo:
            yield Scenario(tmp_path_factory.mktemp("scenario"), undo)


def test_no_engine_is_said(scenario):
    assert scenario.none_fired


def test_it_scrapes_a_running_session(scenario):
    scenario.session.until_quoting()
    prometheus = scenario.prometheus
    until(lambda: prometheus.query(f'mmlab_trading_state{{session="{LIVE}",state="quoting"}} == 1'))
    assert float(prometheus.query(f'up{{session="{LIVE}"}}')[0]["value"][1]) == 1
    names = {row["metric"]["__name__"] for row in prometheus.query(f'{{session="{LIVE}",__name__=~"mmlab_.*"}}')}
    for metric in METRICS:
        if not metric.optional and metric.name not in ("mmlab_messages_per_fill", "mmlab_cancels_per_fill"):
            shown = metric.name + ("_bucket" if metric.kind == "histogram" else "")
            ours = shown in names or "markout" in shown or "age" in shown or "fill_rate" in shown  # NaN until a fill
            assert ours, shown


def test_promtool_finds_nothing_to_say_of_the_metrics(scenario):
    (target,) = [p for p in scenario.prometheus.targets.glob("run-*.json") if LIVE in p.read_text()]
    address = re.search(r'"targets": \["([^"]+)"', target.read_text()).group(1)
    text = requests.get(f"http://{address}/metrics", timeout=10)
    assert text.headers["Content-Type"].startswith("text/plain")
    check = ["promtool", "check", "metrics"]
    done = subprocess.run(check, check=False, input=text.text, capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip(), done.stderr.strip()) == (0, "", "")
    assert requests.get(f"http://{address}/metrics", headers={"Host": "evil.example"}, timeout=10).status_code == 403


def test_every_alert_fires_in_its_scene_and_none_in_a_calm_session(scenario):
    assert {*SCENES, "MmlabEngineDown", "MmlabNoEngine"} == {alert.name for alert in ALERTS}
    wanted = set(SESSION_OF.items())
    with suppress(AssertionError):
        until(lambda: wanted <= scenario.prometheus.firing(), 40)
    assert wanted - scenario.prometheus.firing() == set()
    assert {name for name, session in scenario.prometheus.firing() if session == CALM} == set()
    for alert in scenario.prometheus.alerts():
        assert alert["annotations"]["runbook_url"].startswith("docs/runbooks/")
        assert "{{" not in alert["annotations"]["summary"]


@pytest.mark.parametrize("name", dashboards())
def test_every_panel_has_data(scenario, name):
    for panel in dashboards()[name]["panels"]:
        for target in panel["targets"]:
            expr = target["expr"]
            for variable, value in SUBSTITUTES.items():
                expr = expr.replace(variable, value)
            assert "$" not in expr
            assert scenario.prometheus.query(expr), (panel["title"], expr)


def test_a_halt_with_a_position_and_the_death_of_the_engine(scenario):
    session, prometheus = scenario.session, scenario.prometheus
    until(lambda: session.state()["position_lots"] != 0)
    session.kill("by hand")
    until(lambda: {("MmlabKillManual", LIVE), ("MmlabPositionWhileHalted", LIVE)} <= prometheus.firing())
    os.kill(session.state()["pid"], signal.SIGKILL)
    until(lambda: ("MmlabEngineDown", LIVE) in prometheus.firing())
    assert not prometheus.query(f'mmlab_market_data_age_seconds{{session="{LIVE}"}}'), "it cannot say that it is stale"
