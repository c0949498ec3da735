"""The ipywidgets tune and kill; the served dashboard refuses what is unsafe."""

from __future__ import annotations

import pytest

from mmlab.cli import main
from mmlab.errors import ConfigError, SafetyError
from mmlab.lab.dashboard import application, is_loopback, settings
from mmlab.views.controls import Controls
from tests.views.fake import FakeEngine

PLAIN = {"port": 5006, "address": "127.0.0.1", "password_env": None, "prefix": "", "origins": ()}


@pytest.fixture
def controls(tmp_path):
    return Controls(FakeEngine(tmp_path / "runs" / "one"))


def test_widgets_show_what_is_in_force(controls):
    flat = controls.client.config.flat()
    assert controls.pending() == {}
    assert controls.apply.disabled
    assert controls.inputs["gates.flip.mode"].value == flat["gates.flip.mode"]
    assert controls.inputs["strategy.gamma"].value == ""
    assert controls.inputs["ladder.thresholds"].value == "0.25, 0.5, 0.75, 1.0"


def test_apply(controls):
    controls.inputs["ladder.offset_ticks"].value = "2, 4, 6, 9"
    controls.inputs["ladder.hysteresis"].value = 0.04
    assert controls.apply.description == "Apply 2"
    controls.apply.click()
    assert controls.client.config.ladder.offset_ticks == (2, 4, 6, 9)
    assert (controls.client.version, controls.pending()) == (1, {})
    assert "version 1" in controls.said.value


def test_wrong_values_are_said(controls):
    controls.inputs["ladder.offset_ticks"].value = "2, four"
    controls.apply.click()
    assert "must be a number" in controls.said.value
    controls.inputs["ladder.offset_ticks"].value = "2, 4, 6"
    controls.apply.click()
    assert "offset_ticks has 3 values" in controls.said.value
    assert controls.client.version == 0


def test_two_people_apply_at_once(controls):
    controls.inputs["ladder.hysteresis"].value = 0.04
    controls.client.update({"ladder.min_dwell_ms": 700.0}, source="somebody else")
    controls.apply.click()
    assert "somebody else" in controls.said.value
    assert controls.client.config.ladder.hysteresis != 0.04


def test_kill_and_rearm(controls):
    controls.kill.click()
    controls.rearm.click()
    assert controls.client.deeds == [("kill", "widgets"), ("rearm", "")]
    controls.client.dead = "the engine has ended, or died"
    controls.kill.click()
    assert "died" in controls.said.value


def test_the_note_names_the_way_that_always_works(controls):
    assert "mmlab kill" in controls.box.children[-1].value


# --- served ---------------------------------------------------------------------------------------------------------


def test_the_application_is_found():
    assert application().is_file()
    assert application().with_name("login.html").is_file()


@pytest.mark.parametrize(
    ("address", "inside"),
    [("127.0.0.1", True), ("127.8.8.8", True), ("localhost", True), ("::1", True), ("0.0.0.0", False),
     ("192.168.1.5", False), ("::", False), ("example.org", False)],
)  # fmt: skip
def test_loopback(address, inside):
    assert is_loopback(address) is inside


def test_off_loopback_needs_password_and_origin(monkeypatch):
    monkeypatch.setenv("SECRET", "x")
    outside = {**PLAIN, "address": "0.0.0.0"}
    with pytest.raises(SafetyError, match="needs a password"):
        settings(**outside | {"origins": ["host:5006"]})
    with pytest.raises(SafetyError, match="--origin"):
        settings(**outside | {"password_env": "SECRET"})
    options = settings(**outside | {"password_env": "SECRET", "origins": ["host:5006"]})
    assert options["basic_auth"] == "x"
    assert "host:5006" in options["websocket_origin"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"password_env": "ABSENT_VARIABLE"}, "not set"),
        ({"origins": ["*"]}, "HOST:PORT"),
        ({"origins": ["http://a:1"]}, "HOST:PORT"),
        ({"prefix": "user/me"}, "must begin with /"),
    ],
)
def test_wrong_settings_are_said(change, words):
    with pytest.raises(ConfigError, match=words):
        settings(**PLAIN | change)


def test_exit_status_of_what_is_unsafe(capsys):
    assert main(["dashboard", "--address", "0.0.0.0"]) == 3
    assert "needs a password" in capsys.readouterr().err
