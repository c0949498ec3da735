"""A served dashboard, sessions for it to show, and a page that writes down what it asks for."""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

ROOT = Path(__file__).parents[2]
SESSION = """
import sys, time
import mmlab
session = mmlab.Session(mmlab.Config().with_(**{"strategy.warmup_s": 1, "strategy.warmup_min_trades": 1}),
    feed=sys.argv[2], out=sys.argv[1], name="live", loop=True, speed=float(sys.argv[3]))
session.start()
print(session.state()["pid"] if "pid" in session.state() else "started", flush=True)
time.sleep(600)
"""


def environment():
    return {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}


@contextmanager
def session(run_dir, speed=10.0):
    """A session in a process of its own, whose owner is another; gives the owner's process."""
    command = [sys.executable, "-c", SESSION, str(run_dir), str(ROOT / "data" / "sample.parquet"), str(speed)]
    owner = subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, text=True)
    try:
        assert owner.stdout.readline(), "the session did not start"
        yield owner
    finally:
        owner.terminate()
        owner.wait(20)
        owner.stdout.close()


@contextmanager
def dashboard(runs, *options, port=0, env=None):
    """`mmlab dashboard`; gives its address and process."""
    program = "import sys; from mmlab.cli import main; sys.exit(main(['dashboard', *sys.argv[1:]]))"
    command = [sys.executable, "-c", program, "--runs", str(runs), "--port", str(port), *options]
    server = subprocess.Popen(
        command, env=environment() | (env or {}), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        line = ""
        while not line.startswith("http"):
            line = server.stdout.readline()
            assert line, "the dashboard did not start"
        yield line.strip(), server
    finally:
        server.terminate()
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
        server.stdout.close()


def free_port():
    """A port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def handshake(url, origin):
    """Status of a WebSocket's handshake from a page at `origin`."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=10)
    headers = {
        "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==", "Sec-WebSocket-Protocol": "bokeh, none", "Origin": origin,
    }  # fmt: skip
    try:
        connection.request("GET", f"{parts.path}/ws", headers=headers)
        return connection.getresponse().status
    finally:
        connection.close()


def eventually(done, seconds=20.0, pause=0.1):
    """Wait until `done()` is true; gives its value."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        value = done()
        if value:
            return value
        time.sleep(pause)
    raise AssertionError("it did not come to pass")


def recorded(context):
    """A page that writes down requests, errors and warnings."""
    page = context.new_page()
    page.asked, page.complaints = [], []
    page.on("request", lambda request: page.asked.append(request.url))
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    page.on("console", lambda line: line.type == "error" and page.complaints.append(line.text))
    page.frames_heard = []
    page.on("websocket", lambda socket: socket.on("framereceived", lambda frame: page.frames_heard.append(str(frame))))
    return page


def outside(page):
    """What it asked of other machines."""
    return [url for url in page.asked if not url.startswith(("http://127.0.0.1", "data:", "blob:"))]
