"""Nothing live leaves unless the config says so in full; a paper server is on this machine."""

import json

import pytest

import mmlab
from mmlab.lab.access import Live
from mmlab.lab.live import live_of, ready_line
from mmlab.lab.plan import Plan
from mmlab.lab.safety import require_armed, require_loopback

ARMED = {
    "venue.name": "lighter", "venue.mode": "live", "venue.armed": True, "venue.market": "BTC",
    "venue.account_index": 7, "kill.loss.max_loss_quote": 100.0,
}  # fmt: skip
SECRET = "5ec2e7" * 13
READY = {
    "url": "http://127.0.0.1:1", "ws": "ws://127.0.0.1:1/stream", "chain_id": 304,
    "accounts": [{"index": 1, "api_keys": {"4": SECRET}}],
}  # fmt: skip


def test_armed():
    require_armed(mmlab.Config().with_(**ARMED))


@pytest.mark.parametrize("name", ARMED)
def test_every_line_is_needed(name):
    config = mmlab.Config().with_(**{key: value for key, value in ARMED.items() if key != name})
    with pytest.raises(mmlab.SafetyError, match=name.rpartition(".")[2]):
        require_armed(config)


@pytest.mark.parametrize("change", [{"kill.mode": "observe"}, {"kill.loss.enabled": False},
                                    {"kill.drawdown.enabled": False}])  # fmt: skip
def test_the_last_lines_of_defence_are_on(change):
    with pytest.raises(mmlab.SafetyError, match="kill"):
        require_armed(mmlab.Config().with_(**ARMED, **change))


def test_a_dry_run_needs_no_arms_but_a_market():
    plain = {name: ARMED[name] for name in ("venue.name", "venue.market", "venue.account_index")}
    require_armed(mmlab.Config().with_(**plain), dry_run=True)
    with pytest.raises(mmlab.SafetyError, match="market"):
        require_armed(mmlab.Config().with_(**(plain | {"venue.market": ""})), dry_run=True)


@pytest.mark.parametrize("url", ["http://127.0.0.1:8800", "http://localhost:1", "http://[::1]:5"])
def test_loopback(url):
    require_loopback(url, allow_remote=False)


@pytest.mark.parametrize("url", ["http://10.0.0.1:1", "http://mainnet.zklighter.elliot.ai", "http://127.0.0.1.evil.com",
                                 "http://localhost.evil.com"])  # fmt: skip
def test_elsewhere(url):
    with pytest.raises(mmlab.SafetyError, match="allow-remote-paper"):
        require_loopback(url, allow_remote=False)
    require_loopback(url, allow_remote=True)


def test_no_url():
    with pytest.raises(mmlab.SafetyError, match="URL"):
        require_loopback("nothing", allow_remote=True)


def test_a_paper_server_needs_no_arms_but_a_market():
    config = mmlab.Config().with_(**{"venue.market": "0"})
    assert live_of(config, paper=READY, dry_run=False, remote=False).paper == READY
    with pytest.raises(mmlab.ConfigError, match=r"venue\.market"):
        live_of(mmlab.Config(), paper=READY, dry_run=False, remote=False)
    far = READY | {"ws": "ws://10.0.0.1:1/stream"}
    with pytest.raises(mmlab.SafetyError):
        live_of(config, paper=far, dry_run=False, remote=False)


@pytest.mark.parametrize("wrong", [{}, READY | {"accounts": [SECRET]}, READY | {"chain_id": SECRET}, SECRET])
def test_no_ready_line_and_the_complaint_does_not_repeat_it(wrong, tmp_path):
    file = tmp_path / "ready.json"
    file.write_text(json.dumps(wrong))
    with pytest.raises(mmlab.ConfigError) as caught:
        ready_line(file)
    assert SECRET not in str(caught.value)


def test_keys_are_never_shown():
    live = Live(READY)
    assert SECRET not in repr(live)
    session = mmlab.Session(mmlab.Config().with_(**{"venue.market": "0"}), venue="lighter", paper=READY)
    assert SECRET not in repr(session)
    assert SECRET not in session._repr_html_()


def test_what_is_of_the_paper_venue_only():
    config = mmlab.Config().with_(**{"venue.market": "0"})
    with pytest.raises(mmlab.ConfigError, match="speed"):
        mmlab.Session(config, venue="lighter", paper=READY, speed=10)
    with pytest.raises(mmlab.ConfigError, match="lighter"):
        mmlab.Session(config, dry_run=True)


def test_a_plan_crosses():
    config = mmlab.Config().with_(**{"venue.market": "0"})
    plan = mmlab.Session(config, venue="lighter", paper=READY)._trade.plan
    assert Plan.from_json(json.loads(plan.to_json(None))).live == Live(READY)


def test_nobody_changes_where_a_running_session_trades():
    from mmlab.config import reloads

    names = mmlab.Config().flat()
    assert not any(reloads(name) for name in names if name.startswith("venue."))
    assert reloads("ladder.hysteresis")
