"""What `ops/` holds: made by the code, valid, complete."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from mmlab.telemetry.metrics_registry import BY_NAME, COMMON, GROUPS, METRICS
from mmlab.telemetry.ops.__main__ import files, main
from mmlab.telemetry.ops.alerts import ALERTS
from mmlab.telemetry.ops.dashboards import dashboards, queries
from mmlab.telemetry.ops.rules import RECORDED
from mmlab.telemetry.ops.switches import KILL_SWITCHES, runbook_of
from mmlab.telemetry.ops.terms import Terms, duration

ROOT = Path(__file__).parents[2]
OPS = ROOT / "ops"
RUNBOOKS = ROOT / "docs" / "runbooks"
OWN_SERIES = {"ALERTS", "up", "label_values"}


def promtool(*arguments):
    done = subprocess.run(["promtool", *arguments], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_committed_files_are_what_the_code_makes():
    for name, text in files(Terms()).items():
        assert (OPS / name).read_text() == text, f"{name}: run `make ops`"
    made = {OPS / name for name in files(Terms())} | {OPS / "README.md"}
    assert {path for path in OPS.rglob("*") if path.is_file()} == made


@pytest.fixture(scope="module", params=["committed", "quick"])
def folder(request, tmp_path_factory):
    if request.param == "committed":
        return OPS
    out = tmp_path_factory.mktemp("ops")
    main([str(out), "--for-s", "2", "--window-s", "10", "--scrape-s", "1"])
    return out


def test_promtool_accepts_the_rules_and_sees_every_alert_fire(folder):
    promtool("check", "config", str(folder / "prometheus.yml"))
    promtool("check", "rules", str(folder / "rules" / "recording.yml"), str(folder / "rules" / "alerts.yml"))
    promtool("test", "rules", str(folder / "rules" / "tests.yml"))


def test_promtool_tests_cover_every_alert():
    tests = yaml.safe_load((OPS / "rules" / "tests.yml").read_text())["tests"]
    asked = " ".join(one["expr"] for test in tests for one in test["promql_expr_test"] if one["exp_samples"])
    for alert in ALERTS:
        assert f'alertname="{alert.name}"' in asked


def test_durations():
    rules = yaml.safe_load(files(Terms(for_s=2.5, window_s=20))["rules/alerts.yml"])["groups"][0]["rules"]
    assert {rule.get("for") for rule in rules} == {None, "2500ms"}
    assert all("$window" not in rule["expr"] for rule in rules)
    assert [duration(s) for s in (0.5, 90, 7200)] == ["500ms", "90s", "2h"]


# --- Names -----------------------------------------------------------------------------------------------------------


def test_names_and_labels_of_metrics():
    assert len(BY_NAME) == len(METRICS)
    for metric in METRICS:
        assert re.fullmatch(r"mmlab_[a-z][a-z0-9_]*", metric.name)
        assert metric.name.endswith("_total") == (metric.kind == "counter")
        assert (metric.unit == "seconds") == ("_seconds" in metric.name), metric.name
        assert metric.source.count("*") + metric.source.count("{side}") == len(metric.labels), metric.name
        assert not {"order", "client_id", "order_index", *COMMON} & set(metric.labels)
        assert not metric.help.endswith(".")
    assert {metric.group for metric in METRICS} == set(GROUPS)


def test_expressions_name_metrics_that_exist():
    known = {*BY_NAME, *RECORDED, *OWN_SERIES}
    known |= {f"{m.name}_{part}" for m in METRICS if m.kind == "histogram" for part in ("bucket", "sum", "count")}
    exprs = [alert.expr for alert in ALERTS] + list(RECORDED.values())
    exprs += [t["expr"] for board in dashboards().values() for panel in board["panels"] for t in panel["targets"]]
    for expr in exprs:
        named = set(re.findall(r"\bmmlab[:_][a-z0-9_:]+", expr))
        assert named <= known, (expr, named - known)


def test_every_switch_has_an_alert_and_every_alert_a_runbook():
    assert {runbook_of(switch) for switch in KILL_SWITCHES} <= {alert.runbook for alert in ALERTS}
    assert len({alert.name for alert in ALERTS}) == len(ALERTS)
    missing = {alert.runbook for alert in ALERTS if not (RUNBOOKS / f"{alert.runbook}.md").is_file()}
    assert missing == set()


# --- Dashboards: what Grafana's dashboard schema demands of what is used here -----------------------------------------


@pytest.mark.parametrize("name", dashboards())
def test_dashboard_is_of_the_schema(name):
    board = json.loads((OPS / "grafana" / "dashboards" / name).read_text())
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,40}", board["uid"])
    assert board["schemaVersion"] == 39
    assert isinstance(board["title"], str)
    assert set(board["time"]) == {"from", "to"}
    assert isinstance(board["annotations"]["list"], list)
    variables = {variable["name"]: variable for variable in board["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource"
    assert variables["datasource"]["query"] == "prometheus"
    assert variables["session"]["type"] == "query"
    ids = [panel["id"] for panel in board["panels"]]
    assert len(set(ids)) == len(ids)
    cells = set()
    for panel in board["panels"]:
        check_panel(panel, variables)
        at = panel["gridPos"]
        mine = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & mine, "panels overlap"
        cells |= mine


def check_panel(panel, variables):
    assert panel["type"] in ("timeseries", "stat")
    assert panel["title"]
    assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    at = panel["gridPos"]
    assert 0 <= at["x"] < at["x"] + at["w"] <= 24
    assert at["h"] > 0
    assert panel["fieldConfig"]["overrides"] == []
    assert isinstance(panel["fieldConfig"]["defaults"]["unit"], str)
    refs = [target["refId"] for target in panel["targets"]]
    assert refs
    assert len(set(refs)) == len(refs)
    for target in panel["targets"]:
        assert target["datasource"] == panel["datasource"]
        used = set(re.findall(r"\$\{?(\w+)", target["expr"]))
        assert used <= {*variables, "__rate_interval"}


def test_every_metric_is_on_a_panel():
    shown = {t["expr"] for board in dashboards().values() for panel in board["panels"] for t in panel["targets"]}
    for metric in METRICS:
        assert {expr for expr, _ in queries(metric)} <= shown
