"""Pages made from the code are as the code is, and nothing of the code is missing from them."""

import importlib.util
import re
from pathlib import Path

import pytest
import yaml

import mmlab
from mmlab.cli import COMMANDS
from mmlab.config import Config
from mmlab.events import GateAction, Reason, Switch
from mmlab.orders.states import TRANSITIONS
from mmlab.telemetry.files import FILES
from mmlab.telemetry.log_events import EVENTS
from mmlab.telemetry.metrics_registry import BY_NAME, METRICS
from mmlab.telemetry.tables import SCHEMAS
from mmlab.views import fields
from tools.reference import alerts_page, config_page, order_states, run_directory_page, switches
from tools.reference.switches import GATES, LIVE_ONLY, SWITCHES

TROUBLE = (
    "start-of-day", "going-live", "stuck-orders", "nonce-trouble", "venue-outage", "stale-data", "quota-exhausted",
    "left-with-a-position", "disk-full", "clock-skew", "key-rotation", "post-mortem", "engine-down", "slow-engine",
)  # fmt: skip
PARTS = ("Look first", "What to do", "Re-arm", "Write down")


@pytest.fixture(scope="module")
def docs(root):
    return root / "docs"


@pytest.fixture(scope="module")
def reference(docs):
    return {page.stem: page.read_text() for page in (docs / "reference").glob("*.md")}


def codes(text):
    return set(re.findall(r"`([^`\n]+)`", text))


def test_pages_are_as_the_code_is(docs):
    spec = importlib.util.spec_from_file_location("generate", docs / "generate.py")
    generate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generate)
    assert [str(path) for path in generate.stale()] == [], "run: python docs/generate.py"


def test_every_parameter(reference):
    rows = re.findall(r"^\| `([\w.]+)` \|(.*)\|$", reference["config"].partition("## What counts")[0], re.MULTILINE)
    assert sorted(name for name, _ in rows) == sorted(Config().flat())
    for name, row in rows:
        _unit, default, bounds, meaning, live = (value.strip() for value in re.split(r"(?<!\\)\|", row))
        assert default, name
        assert bounds, name
        assert meaning, f"{name} has no description in mmlab/config.py"
        assert live in ("yes", "start"), name


def test_defaults_are_those_of_the_config():
    flat = Config().flat()
    for one in config_page.parameters():
        default = None if one.default == "`none`" else one.default
        value = flat[one.name]
        assert (default == "none") == (value is None), one.name
        if isinstance(value, float):
            assert float(one.default) == pytest.approx(value, rel=1e-5)


def test_what_counts_from_the_next_start_says_why_and_is_on_no_form():
    fixed = {one.name for one in config_page.parameters() if not one.live}
    assert [one.name for one in config_page.parameters() if not one.live and not one.why_not] == []
    assert {"strategy.warmup_s", "execution.instance", "telemetry.metrics"} <= fixed
    assert fixed & set(fields.names()) <= {"risk.max_total_notional"}  # its value reloads where it was set


def test_every_switch_and_gate(reference):
    told = [one.name for one in (*SWITCHES, *GATES)]
    assert len(told) == len(set(told))
    members = {switch.name.lower() for switch in Switch}
    assert members <= set(told) <= members | LIVE_ONLY
    assert set(told) <= codes(reference["switches"].replace("[`", " `"))


def test_settings_of_switches_exist():
    names = set(Config().flat())
    members = {switch.name.lower() for switch in Switch}
    for one in (*SWITCHES, *GATES):
        for setting in one.settings if one.name in members else ():
            assert setting in names or any(name.startswith(f"{setting}.") for name in names), (one.name, setting)


def test_every_section_of_the_config_that_is_a_switch_has_a_runbook():
    sections = {name.split(".")[1] for name in Config().flat() if name.startswith("kill.") and name.count(".") == 2}
    assert sections <= {one.name for one in SWITCHES}


def test_every_reason_and_action(reference):
    assert set(switches.REASONS) == {str(one.name).lower() for one in Reason}
    assert set(switches.ACTIONS) == {one.name.lower() for one in GateAction}
    assert {*switches.REASONS, *switches.ACTIONS} <= codes(reference["switches"])


def test_every_command_and_option(reference):
    for command in COMMANDS:
        assert f"## {command.name}\n" in reference["commands"]


def test_every_public_name(reference):
    documented = {line.rpartition(".")[2] for line in re.findall(r"^::: (\S+)", reference["api"], re.MULTILINE)}
    assert set(mmlab._HOME) <= documented


def test_the_picture_of_orders_holds_every_arrow():
    members = {state for states in order_states.GROUPS.values() for state in states}
    assert members == set(TRANSITIONS)
    assert set(order_states.arrows()) >= order_states.OMITTED
    picture = order_states.diagram()
    drawn = set(order_states.arrows()) - order_states.OMITTED
    assert picture.count("<line") == len(drawn)


@pytest.mark.parametrize("name", [*TROUBLE, *(one.page.removesuffix(".md") for one in SWITCHES)])
def test_runbook(docs, name):
    text = (docs / "runbooks" / f"{name}.md").read_text()
    assert text.startswith("# ")
    if name not in ("going-live", "post-mortem"):  # a way to go, and a list of questions
        wanted = [part for part in PARTS if not re.search(rf"^## {part}", text, re.MULTILINE)]
        assert wanted == []
    assert "## Write down" in text


def test_runbooks_are_all_known(docs):
    known = {"index", *TROUBLE, *(one.page.removesuffix(".md") for one in SWITCHES)}
    assert {page.stem for page in (docs / "runbooks").glob("*.md")} == known
    index = (docs / "runbooks" / "index.md").read_text()
    assert {f"{name}.md" for name in known - {"index"}} <= set(re.findall(r"\(([\w-]+\.md)\)", index))


def test_the_site_lists_every_page(root, docs):
    site = yaml.safe_load((root / "mkdocs.yml").read_text())

    def pages(node):
        if isinstance(node, str):
            return [node]
        return [page for one in (node.values() if isinstance(node, dict) else node) for page in pages(one)]

    listed = pages(site["nav"])
    assert sorted(listed) == sorted(str(page.relative_to(docs)) for page in docs.rglob("*.md"))


def test_every_metric(reference):
    rows = re.findall(r"^\| (`mmlab_.*) \|$", reference["metrics"], re.MULTILINE)
    told = {row.split("|")[0].strip(" `"): row for row in rows}
    assert set(told) == {metric.name for metric in METRICS}
    for metric in METRICS:
        assert {metric.kind, metric.unit} <= {part.strip() for part in told[metric.name].split("|")}
        assert set(metric.labels) <= codes(told[metric.name])


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_column(reference, name):
    known = {**run_directory_page.EVERYWHERE, **run_directory_page.MEANING[name]}
    assert [column for column in run_directory_page.columns(name) if not known.get(column)] == []
    assert f"## {FILES[name]}" in reference["run_directory"]


def test_every_alert_has_a_runbook(root, reference):
    alerts = alerts_page.alerts()
    assert {alert["alert"] for alert in alerts} <= codes(reference["alerts"])
    for alert in alerts:
        assert (root / alert["annotations"]["runbook_url"]).is_file(), alert["alert"]
    switches_told = {Path(alert["annotations"]["runbook_url"]).name for alert in alerts}
    members = {switch.name.lower() for switch in Switch}
    assert {one.page for one in SWITCHES if one.name in members} <= switches_told


def test_every_event(reference):
    told = re.findall(r"^\| `(\w+)` \| (.*) \|", reference["log_events"].partition("## Events")[2], re.MULTILINE)
    assert {name for name, _ in told} == set(EVENTS)


def test_events_that_runbooks_look_for_are_logged(docs):
    wanted = {name for page in docs.rglob("*.md") for name in re.findall(r'\.event == "(\w+)"', page.read_text())}
    assert wanted
    assert wanted <= set(EVENTS)


def test_metrics_that_pages_name_exist(docs):
    pages = [page for page in docs.rglob("*.md") if page.name != "metrics.md"]
    named = {name for page in pages for name in re.findall(r"\bmmlab_[a-z0-9_]+\b", page.read_text())}
    assert {re.sub(r"_(bucket|sum|count)$", "", name) for name in named} <= set(BY_NAME)
