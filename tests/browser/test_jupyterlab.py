"""Notebooks in a real JupyterLab, in a real browser: they open, run to the end, and draw.

The first and the one with widgets; with ``--every-notebook`` all that papermill runs, but for 08, which mostly waits.
"""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from mmlab.lab.addresses import running
from mmlab.lab.client import Client

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted(path.name for path in (ROOT / "notebooks").glob("*.ipynb") if not path.name.startswith("08"))
ALWAYS = ("01", "04")
OFFLINE = {"@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False}}
IDLE = """async () => {
    const panel = window.jupyterapp.shell.currentWidget;
    await panel.context.ready;
    await panel.sessionContext.ready;
    return panel.sessionContext.session.kernel.status;
}"""
OUTPUTS = """() => window.jupyterapp.shell.currentWidget.content.model.sharedModel.cells
    .filter((cell) => cell.cell_type === "code")
    .map((cell) => [cell.execution_count, cell.getOutputs()])"""


def free_port() -> int:
    """Give a port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """Serve a copy of the notebooks from JupyterLab on loopback."""
    home = tmp_path_factory.mktemp("lab")
    shutil.copytree(ROOT / "notebooks", home / "notebooks")
    shutil.copytree(ROOT / "data", home / "data")
    settings = home / "settings" / "overrides.json"
    settings.parent.mkdir()
    settings.write_text(json.dumps(OFFLINE))
    port = free_port()
    command = [
        sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1", f"--port={port}",
        "--IdentityProvider.token=", "--LabApp.expose_app_in_browser=True", f"--notebook-dir={home}",
        f"--LabApp.app_settings_dir={settings.parent}",
    ]  # fmt: skip
    with (home / "lab.log").open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, cwd=home)
        try:
            wait_for(f"http://127.0.0.1:{port}/api", server)
            yield f"http://127.0.0.1:{port}/lab/tree/notebooks"
        finally:
            server.terminate()
            server.wait(20)


def wait_for(url: str, server: subprocess.Popen[bytes]) -> None:
    """Wait until the server answers; fail if it ends or takes a minute."""
    for _ in range(240):
        assert server.poll() is None, "JupyterLab ended by itself"
        try:
            urllib.request.urlopen(url, timeout=1).close()
        except OSError:
            time.sleep(0.25)
        else:
            return
    pytest.fail("JupyterLab did not answer within a minute")


def pytest_generate_tests(metafunc):
    if "name" in metafunc.fixturenames:
        every = metafunc.config.getoption("--every-notebook")
        metafunc.parametrize("name", [name for name in NOTEBOOKS if every or name.startswith(ALWAYS)])


def test_notebook_runs_in_jupyterlab(browser, lab, artefacts, name):
    page = browser.new_page(viewport={"width": 1280, "height": 1600})
    outside = []
    page.on("request", lambda r: None if "127.0.0.1" in r.url or ":" not in r.url[:6] else outside.append(r.url))
    page.goto(f"{lab}/{name}?reset")
    page.wait_for_function("() => window.jupyterapp?.shell.currentWidget?.context?.isReady", timeout=60_000)
    for _ in range(240):
        if page.evaluate(IDLE) == "idle":
            break
        page.wait_for_timeout(250)
    page.evaluate("() => window.jupyterapp.commands.execute('notebook:run-all-cells')")
    for _ in range(360):
        page.wait_for_timeout(500)
        cells = page.evaluate(OUTPUTS)
        if all(count for count, _ in cells) and page.evaluate(IDLE) == "idle":
            break
    tuned = name.startswith("04") and tune(page, artefacts)
    errors = [o for _, outputs in cells for o in outputs if o["output_type"] == "error"]
    page.screenshot(path=artefacts / f"jupyterlab-{Path(name).stem}.png")
    page.close()
    assert errors == []
    assert all(count for count, _ in cells), "not every cell ran within three minutes"
    assert any("text/html" in o.get("data", {}) for _, outputs in cells for o in outputs), "nothing was drawn"
    assert [url for url in outside if url.startswith("http")] == []
    if name.startswith("04"):
        assert tuned, "the engine's parameters did not change"


def tune(page, artefacts) -> bool:
    """Move a slider of the session's widgets and press Apply; whether the engine's parameters changed."""
    client = Client(running()[-1])
    before = client.params()
    revert = page.locator("button.jupyter-button", has_text="Revert").first
    revert.scroll_into_view_if_needed()
    revert.click()  # later cells changed parameters: these first, or the change is refused
    page.wait_for_timeout(1000)
    slider = page.locator(".jupyter-widgets.widget-slider .noUi-handle").first
    slider.scroll_into_view_if_needed()
    slider.focus()
    page.keyboard.press("ArrowRight")
    apply = page.locator("button.jupyter-button", has_text="Apply 1").first
    apply.scroll_into_view_if_needed()
    page.screenshot(path=artefacts / "jupyterlab-widgets.png")
    apply.click()
    for _ in range(100):
        page.wait_for_timeout(100)
        after = client.params()
        if after["version"] > before["version"]:
            break
    client.stop("the test has seen enough")
    change = after["history"][-1]
    return change["source"] == "widgets" and change["old"] != change["new"] and after["config"] != before["config"]
