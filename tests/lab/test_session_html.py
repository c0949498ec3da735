"""A session as a notebook cell shows it, before, during and after it trades."""

from __future__ import annotations

import asyncio
import math

import pytest

import mmlab
from tests.lab.fabricated import make_feed

CONFIG = mmlab.Config().with_(**{"strategy.warmup_s": 5})


def test_before_it_begins():
    session = mmlab.Session(CONFIG, feed=make_feed(60), name="<b>")
    assert session._repr_html_().startswith("<p>Session(&#x27;&lt;b&gt;&#x27;, paper, &#x27;TEST&#x27;")
    with pytest.raises(mmlab.SessionError, match="has not begun"):
        session.state()


@pytest.fixture
def compiled(tmp_path):
    """Everything a session needs, so that no feed time passes while Numba works."""
    mmlab.Session(CONFIG, feed=make_feed(60), speed=math.inf, out=tmp_path / "first").run()


@pytest.mark.usefixtures("compiled")
def test_while_it_trades_and_after(tmp_path):
    session = mmlab.Session(CONFIG, feed=make_feed(300), speed=20.0, out=tmp_path / "run")

    async def look():
        task = asyncio.create_task(session.run())
        for _ in range(600):
            await asyncio.sleep(0.05)
            if session.began and len(session.orders()):
                break
        shown, orders = session._repr_html_(), session.orders()
        session.stop()
        return shown, orders, await task

    shown, orders, run = asyncio.run(look())
    assert {"bid", "ask"} >= set(orders["side"]) > set()
    for words in ("quoting", "net P&amp;L", "version", *orders["side"]):
        assert words in shown
    assert run.info.ended == "stopped"
    assert "halted (stopping), stopped" in session._repr_html_()


@pytest.mark.parametrize("duration_s", [0, -1, math.nan])
def test_a_duration_that_is_none(duration_s, tmp_path):
    session = mmlab.Session(CONFIG, feed=make_feed(60), speed=math.inf, out=tmp_path / "run")
    with pytest.raises(mmlab.ConfigError, match="duration_s"):
        session.run(duration_s)
    assert not (tmp_path / "run").exists()


def test_progress_is_of_the_duration(tmp_path):
    shares = []
    session = mmlab.Session(CONFIG, feed=make_feed(300), speed=math.inf, out=tmp_path / "run")
    session.run(60, shares.append)
    assert shares == sorted(shares)
    assert shares[0] < 0.01
    assert 0.9 < shares[-1] <= 1.0
