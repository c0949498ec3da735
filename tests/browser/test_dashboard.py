"""The served dashboard in a real browser, on a session in a process of its own."""

from __future__ import annotations

import os
import re
import signal

import pytest
from playwright.sync_api import expect

from mmlab.lab.addresses import find
from mmlab.lab.client import Client
from mmlab.views.dashboard import VIEWS
from tests.browser.proxy import proxy
from tests.browser.served import dashboard, eventually, free_port, handshake, outside, recorded, session
from tests.lab.fabricated import make_run

NAMES = [view.name_ for view in VIEWS]
SHOWN = {
    "overview": "Latency by stage", "markouts": "Markout by horizon", "flow": "Flip rate", "inventory": "Ladder level",
    "gates": "Kill switches now", "orders": "Pending map", "tune": "Changes so far", "compare": "Other run",
}  # fmt: skip
POINTS = """() => Math.max(0, ...Bokeh.documents[0].roots().flatMap((root) => [...root.references()])
    .filter((model) => model.type === "ColumnDataSource").map((model) => (model.data.x ?? []).length))"""
WAIT = 30_000
DARK = "document.documentElement.dataset.theme === 'dark'"


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dashboard") / "runs"
    make_run(300, halted=True).save(folder / "finished")
    return folder


@pytest.fixture(scope="module")
def going(runs):
    with session(runs / "live") as owner:
        yield owner


@pytest.fixture(scope="module")
def engine(runs, going):
    return Client.of(runs / "live")


@pytest.fixture(scope="module")
def served(runs, going):
    with dashboard(runs) as (url, server):
        yield url, server


@pytest.fixture
def open_page(browser, served):
    contexts = []

    def open_page(query="", width=1280, height=800, url=None, **options):
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        page = recorded(context)
        page.goto(f"{url or served[0]}{query}")
        page.locator("button.kill, .readonly").first.wait_for(state="attached", timeout=WAIT)
        return page

    yield open_page
    for context in contexts:
        context.close()


def choose(page, name):
    page.locator(f"nav button#{name}").click()
    page.get_by_text(SHOWN[name]).first.wait_for(timeout=WAIT)


@pytest.mark.parametrize(
    ("width", "height", "scheme", "names"),
    [(1280, 800, "light", NAMES), (1280, 800, "dark", NAMES[:2]), (390, 844, "dark", ["overview", "tune"]),
     (390, 844, "light", ["gates"])],
)  # fmt: skip
def test_every_view_draws_live_data_and_asks_nobody(open_page, artefacts, width, height, scheme, names):
    page = open_page(f"?run=live&view={names[0]}", width, height, color_scheme=scheme)
    for name in names:
        choose(page, name)
        if name not in ("gates", "tune", "compare"):
            page.wait_for_function(f"({POINTS})() > 0", timeout=WAIT)
        if name == "markouts":
            page.get_by_text("too few blocks").or_(page.get_by_text(" to ")).first.wait_for(timeout=WAIT)
        if name == "compare":
            page.get_by_label("Other run").select_option(index=1)
            page.get_by_text("pnl_per_million").wait_for(timeout=WAIT)
        page.wait_for_timeout(250)
        page.screenshot(path=artefacts / f"dashboard-{name}-{width}-{scheme}.png", full_page=True)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.locator("button.kill").is_visible()
        assert re.search(r"data [\d.]+ s old", page.locator(".age").text_content())
    dark = page.evaluate("getComputedStyle(document.documentElement).backgroundColor") == "rgb(20, 23, 27)"
    assert dark == (scheme == "dark")
    assert page.complaints == []
    assert outside(page) == []


def test_a_slider_changes_the_engine_and_others_see_it(open_page, engine, artefacts):
    page, other = open_page("?run=live&view=tune"), open_page("?run=live&view=tune")
    slider = page.get_by_label("ladder.offset_ticks, level 4").first
    slider.wait_for(timeout=WAIT)
    before = engine.params()
    slider.focus()
    for _ in range(10):
        page.keyboard.press("ArrowRight")
    wanted = float(slider.input_value())
    assert wanted > before["config"]["ladder"]["offset_ticks"][3]
    expect(page.locator(".count")).to_have_text("1 pending")
    assert engine.params()["version"] == before["version"]
    page.locator("button.try").click()
    page.get_by_text("answered in").wait_for(timeout=5 * WAIT)  # the first may compile
    page.screenshot(path=artefacts / "dashboard-what-if.png", full_page=True)
    expect(page.locator("button.apply")).to_be_enabled(timeout=WAIT)
    page.locator("button.apply").click()
    eventually(lambda: engine.params()["version"] > before["version"])
    assert engine.params()["config"]["ladder"]["offset_ticks"][3] == pytest.approx(wanted)
    expect(page.locator(".count")).to_have_text("Nothing pending", timeout=WAIT)
    expect(other.get_by_label("ladder.offset_ticks, level 4").first).to_have_value(f"{wanted:g}", timeout=WAIT)
    other.get_by_text("dashboard", exact=True).first.wait_for(timeout=WAIT)


def test_two_people_apply_at_once(open_page, engine):
    page = open_page("?run=live&view=tune")
    box = page.get_by_label("ladder.hysteresis").last
    box.wait_for(timeout=WAIT)
    box.fill("0.11")
    box.press("Enter")
    expect(page.locator(".count")).to_have_text("1 pending", timeout=WAIT)
    engine.update({"ladder.min_dwell_ms": 650.0}, source="somebody else")
    page.locator("button.apply").evaluate("button => button.click()")
    expect(page.locator(".complaint")).to_contain_text("somebody else", timeout=WAIT)
    assert engine.params()["config"]["ladder"]["hysteresis"] != 0.11
    box.fill("99")
    box.press("Enter")
    expect(page.locator(".complaint")).to_contain_text("ladder.hysteresis", timeout=WAIT)


def test_kill_reload_rearm_in_two_browsers(open_page, engine, artefacts):
    page, other = open_page("?run=live"), open_page("?run=live&view=orders")
    eventually(lambda: engine.state()["orders"])
    page.locator("button.kill").click()
    eventually(lambda: engine.state()["latched"] and not engine.state()["orders"])
    for one in (page, other):
        expect(one.locator(".badge")).to_have_text("halted", timeout=WAIT)
    page.screenshot(path=artefacts / "dashboard-killed.png")
    page.reload()
    expect(page.locator(".badge")).to_have_text("halted", timeout=WAIT)
    page.locator("button.rearm").click()
    assert engine.state()["latched"]
    page.locator("button.yes").click()
    eventually(lambda: not engine.state()["latched"])
    expect(other.locator(".badge")).to_have_text("quoting", timeout=WAIT)


def test_theme_view_and_run_are_kept_over_a_reload(open_page):
    page = open_page("?run=finished", color_scheme="light")
    page.locator("button.theme").click()
    page.wait_for_function(DARK, timeout=WAIT)
    page.locator("nav button#inventory").focus()
    page.keyboard.press("Tab")
    choose(page, "flow")
    page.keyboard.press("ArrowRight")
    page.get_by_text(SHOWN["inventory"]).first.wait_for(timeout=WAIT)
    page.reload()
    page.get_by_text(SHOWN["inventory"]).first.wait_for(timeout=WAIT)
    page.wait_for_function(DARK, timeout=WAIT)
    assert page.locator("select").first.input_value() == "finished"
    assert page.locator("button.kill").is_disabled()


def test_keyboard_reaches_everything(open_page):
    page = open_page("?run=live&view=tune")
    page.get_by_label("ladder.enabled").wait_for(timeout=WAIT)
    page.mouse.click(640, 2)
    seen = []
    for _ in range(12):
        page.keyboard.press("Tab")
        seen.append(
            page.evaluate(
                """() => { let e = document.activeElement;
                   while (e?.shadowRoot?.activeElement) e = e.shadowRoot.activeElement;
                   return e.className || e.getAttribute("aria-label") || e.id || e.tagName; }"""
            )
        )
    order = ["SELECT", "theme", "kill", "tune"]
    assert [name for name in seen if name in order] == order


def test_an_engine_killed_under_the_dashboard(open_page, runs, artefacts):
    with session(runs / "doomed"):
        client = Client.of(runs / "doomed")
        page = open_page("?run=doomed")
        expect(page.locator(".badge")).to_have_text(re.compile("quoting|starting"), timeout=WAIT)
        os.kill(client.pid, signal.SIGKILL)
        expect(page.locator(".badge")).to_have_text("crashed", timeout=WAIT)
        assert "died" in page.locator(".why").text_content()
        expect(page.locator("button.kill")).to_be_disabled()
        page.screenshot(path=artefacts / "dashboard-crashed.png")


def test_a_page_from_elsewhere_gets_no_connection(served):
    url = served[0]
    here = url.rsplit("/", 1)[0]
    assert (handshake(url, here), handshake(url, "http://example.org")) == (101, 403)


def test_no_page_holds_the_token(open_page, runs, going):
    page = open_page("?run=live&view=orders")
    page.get_by_text(SHOWN["orders"]).first.wait_for(timeout=WAIT)
    page.wait_for_timeout(500)
    heard = "".join(page.frames_heard)
    assert "Pending map" in heard
    token = find(runs / "live").token
    assert token not in heard and token not in page.content()


def test_no_runs_then_a_lost_server_and_another_in_its_place(open_page, runs, tmp_path):
    port = free_port()
    with dashboard(tmp_path / "empty", port=port) as (url, server):
        page = open_page("?view=flow", url=url)
        page.get_by_text("No runs yet").wait_for(timeout=WAIT)
        page.evaluate("window.before = true")
        server.kill()
        page.get_by_text("The dashboard's server does not answer").wait_for(timeout=WAIT)
    with dashboard(runs, port=port):
        page.wait_for_function("() => window.before === undefined", timeout=2 * WAIT)
        page.get_by_text(SHOWN["flow"]).first.wait_for(timeout=WAIT)
        page.wait_for_function(f"({POINTS})() > 1", timeout=WAIT)


def test_behind_a_proxy_with_a_path_and_a_password_read_only(browser, runs, going):
    port = free_port()
    with proxy(f"http://127.0.0.1:{port}") as front:
        options = ("--prefix", "/user/me/proxy", "--origin", f"127.0.0.1:{front}", "--read-only",
                   "--password-env", "DASHBOARD_PASSWORD")  # fmt: skip
        with dashboard(runs, *options, port=port, env={"DASHBOARD_PASSWORD": "not a secret"}) as (url, _):
            assert url.endswith("/user/me/proxy/app")
            context = browser.new_context()
            page = recorded(context)
            for password in ("wrong", "not a secret"):
                page.goto(f"http://127.0.0.1:{front}/user/me/proxy/app?run=live&view=flow")
                page.fill("#username", "me")
                page.fill("#password", password)
                page.click("button")
                if password == "wrong":
                    page.get_by_role("alert").wait_for()
            page.locator(".readonly").wait_for(timeout=WAIT)
            page.get_by_text(SHOWN["flow"]).first.wait_for(timeout=WAIT)
            page.wait_for_function(f"({POINTS})() > 0", timeout=WAIT)
            choose(page, "tune")
            page.get_by_text("Read only: nothing can be applied here.").wait_for(timeout=WAIT)
            assert page.locator("button.kill").is_hidden()
            assert page.locator("button.apply").is_disabled()
            assert outside(page) == []
            assert all(f":{front}/user/me/proxy" in one for one in page.asked if one.startswith("http"))
            context.close()
