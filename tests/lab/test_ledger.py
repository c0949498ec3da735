"""Sessions side by side: together they never reserve more than the limit, unless they hold it already."""

from __future__ import annotations

import subprocess
import sys
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

import mmlab
from mmlab.lab.ledger import Ledger
from tests.lab.fabricated import make_feed

money = st.floats(0, 1000)


@pytest.fixture
def own_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "runtime"))


@given(steps=st.lists(st.tuples(st.integers(0, 3), money, money, st.booleans()), max_size=30))
def test_the_sum_stays_below_the_limit(tmp_path_factory, steps):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("runtime")))
        ledgers, held, total = [Ledger(f"run{i}") for i in range(4)], [0.0] * 4, 1000.0
        for i, wanted, share, leave in steps:
            if leave:
                ledgers[i].release()
                held[i] = 0.0
                continue
            least = min(held[i], wanted) * share / 1000
            held[i] = ledgers[i].reserve(wanted, least, total)
            assert least <= held[i] <= max(least, wanted)
            assert sum(held) <= total + 1e-6


@pytest.mark.usefixtures("own_folder")
def test_a_dead_session_holds_nothing():
    code = "from mmlab.lab.ledger import Ledger; print(Ledger('a').reserve(900, 0, 1000))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "900\n"
    assert Ledger("b").reserve(500, 0, 1000) == 500


@pytest.mark.usefixtures("own_folder")
def test_the_first_leaves_the_others_a_share():
    first, second, third = Ledger("a"), Ledger("b"), Ledger("c")
    assert first.reserve(900, 0, 900) == 900
    assert second.reserve(900, 0, 900) == 0
    assert third.reserve(100, 0, 900) == 0
    assert first.reserve(900, 0, 900) == 400  # the third wants less than an equal share, and gets it
    assert second.reserve(900, 0, 900) == 400
    assert third.reserve(100, 0, 900) == 100
    assert first.reserve(900, 700, 900) == 700  # it holds that already: no order is refused after the fact
    assert second.reserve(900, 0, 900) == 100
    first.release()
    assert second.reserve(900, 0, 900) == 800


@pytest.mark.usefixtures("own_folder")
def test_many_at_once():
    got = []
    threads = [threading.Thread(target=lambda i=i: got.append(Ledger(f"r{i}").reserve(300, 0, 1000))) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(got) == pytest.approx(1000)
    assert max(got) == 300


@pytest.mark.usefixtures("own_folder")
def test_two_engines_side_by_side(tmp_path):
    """Each wants more than half; what they may come to hold together stays within the limit at every look."""
    file = make_feed(600).save(tmp_path / "feed.parquet")
    total = 4.5 * 0.01 * 60_000  # four and a half orders
    config = mmlab.Config().with_(**{"strategy.warmup_s": 5, "risk.max_total_notional": total})
    sessions = [
        mmlab.Session(config, feed=file, speed=10.0, loop=True, out=tmp_path / f"run{i}").start() for i in range(2)
    ]
    until_s, seen = time.monotonic() + 60, []
    while time.monotonic() < until_s and len(seen) < 60:
        states = [session.state() for session in sessions]
        worst = sum(max(_worst(state, +1), _worst(state, -1)) * state["best_ask"] for state in states)
        if all(state["trading"] == "quoting" for state in states):
            seen.append(worst)
            time.sleep(0.1)
    for session in sessions:
        session.stop()
    runs = [session.wait(60) for session in sessions]
    assert all(len(run.orders) for run in runs)
    assert len(seen) >= 30
    assert max(seen) <= total * 1.001  # prices move a little between two looks
    assert max(seen) > 0.4 * total
    assert all(state["cap_lots"] < 80 for state in states)  # eight orders would be the config's own limit


def _worst(state, side):
    name = "bid" if side > 0 else "ask"
    resting = sum(order["size"] - order["filled"] for order in state["orders"] if order["side"] == name)
    return max(0.0, side * state["position"] + resting)
