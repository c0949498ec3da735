"""`mmlab.sweep`: the same table wherever it is run, whatever dies meanwhile, and nothing wrong is started."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import mmlab
from mmlab.errors import ConfigError, FeedError, SessionError
from mmlab.lab.demo import sample_feed
from mmlab.lab.study import sweep as sweep_module
from mmlab.lab.study import workers as workers_module
from tests.lab import quoter_of_a_module
from tests.lab.fabricated import make_feed

GRID = {"strategy.gamma": [0.05, 0.2], "ladder.hysteresis": [0.02, 0.05], "seed": [1, 2]}
SETTING = {"latency": mmlab.Latency(resample=True)}
ROOT = Path(__file__).parents[2]
same = pd.testing.assert_frame_equal


@pytest.fixture(scope="module")
def feed():
    whole = sample_feed()
    start = whole.quotes(clock="local").index[0]
    return whole[start : start + pd.Timedelta(minutes=8)]


@pytest.fixture(scope="module")
def table(feed):
    return mmlab.sweep(feed, None, GRID, folds=3, workers=1, **SETTING)


@pytest.fixture
def outcomes(monkeypatch):
    """Every outcome that comes from elsewhere; `outcomes.then[n]` is done before the n-th is handed on."""
    seen = Outcomes()
    for name in ("spread", "spread_on"):
        monkeypatch.setattr(sweep_module, name, seen.watch(getattr(sweep_module, name)))
    return seen


class Outcomes(list):
    def __init__(self):
        self.then = {}

    def watch(self, spread):
        def watched(*args):
            for number, outcome in spread(*args):
                self.append(outcome)
                self.then.get(len(self), lambda _: None)(outcome)
                yield number, outcome

        return watched


def kill(outcome):
    os.kill(outcome.pid, signal.SIGKILL)


# --- the table ------------------------------------------------------------------------------------------------------


def test_one_row_a_point_in_the_order_of_the_grid(table):
    points = pd.MultiIndex.from_product(GRID.values(), names=list(GRID)).to_frame(index=False)
    same(table[list(GRID)], points)
    assert table.attrs == {"parameters": list(GRID), "folds": 3, "configurations_tried": 8}
    assert "error" not in table
    assert list(table.columns[:5]) == [*GRID, "net_pnl", "net_pnl_quote"]


def test_a_row_is_the_summary_of_that_backtest(table, feed):
    config = mmlab.Config().with_(**{"strategy.gamma": 0.2, "ladder.hysteresis": 0.02})
    summary = mmlab.backtest(feed, config, seed=2, **SETTING).summary
    row = table.iloc[5]
    for name, value in summary.items():
        assert row[name] == value or (pd.isna(row[name]) and pd.isna(value)), name


def test_fold_columns_are_runs_of_the_blocks(table, feed):
    config = mmlab.Config().with_(**{"strategy.gamma": 0.05, "ladder.hysteresis": 0.02})
    blocks = sweep_module.blocks_of(feed, mmlab.Config(), 3)
    runs = [mmlab.backtest(blocks.part(feed, i, 60.0), config, seed=1, **SETTING).summary for i in range(4)]
    row, million = table.iloc[0], 1e6
    for name, part in (("in_sample", runs[:3]), ("out_of_sample", runs[1:])):
        pnl, volume = sum(r["net_pnl_quote"] for r in part), sum(r["volume"] for r in part)
        assert row[f"{name}_pnl_per_million"] == pytest.approx(million * pnl / volume, rel=1e-12)
        assert row[f"{name}_net_pnl_quote"] == pytest.approx(pnl / 3, rel=1e-12)
        assert row[f"{name}_fills"] == sum(r["fills"] for r in part)
        assert row[f"{name}_net_pnl_quote_low"] < row[f"{name}_net_pnl_quote"] < row[f"{name}_net_pnl_quote_high"]
    assert row["fold_2_out_of_sample_net_pnl_quote"] == runs[2]["net_pnl_quote"]
    assert row["fold_2_in_sample_net_pnl_quote"] == pytest.approx((runs[0] + runs[1])["net_pnl_quote"] / 2)


def test_names_reach_what_they_mean(feed):
    config = mmlab.Config()
    grid = {
        "latency.entry_ms": [1.0, [1.0, 2.0]],
        "instrument.maker_fee_bps": [0.0, 1.0],
        "queue": ["power", "log"],
    }
    table = mmlab.sweep(feed, config, grid, workers=1)
    assert list(table["latency.entry_ms"]) == [1.0] * 4 + [(1.0, 2.0)] * 4
    last = mmlab.backtest(
        feed, config, latency=mmlab.Latency(entry_ms=(1.0, 2.0)), queue="log",
        instrument=feed.instrument.with_(maker_fee_bps=1.0),
    )  # fmt: skip
    assert table["net_pnl"].iloc[-1] == last.summary["net_pnl"]
    assert list(table["queue"]) == ["power", "log"] * 4


def test_a_feed_file_will_do_and_equal_points_are_run_once(feed, tmp_path):
    seen = []
    grid = {"seed": [3, 3, 4]}
    table = mmlab.sweep(feed.save(tmp_path / "feed.parquet"), None, grid, progress=lambda *at: seen.append(at))
    assert seen[-1] == (2, 2)
    assert len(table) == 3 and table.attrs["configurations_tried"] == 2
    same(table.iloc[[0]], table.iloc[[1]].set_axis([0]))


# --- workers --------------------------------------------------------------------------------------------------------


def test_processes_give_the_same_table_compile_nothing_and_may_be_killed(feed, table, outcomes, monkeypatch):
    monkeypatch.setattr(workers_module, "cores", lambda: 2)
    killed = []
    outcomes.then = dict.fromkeys(range(8), lambda o: killed or o.pid == os.getpid() or killed.append(kill(o)))
    same(mmlab.sweep(feed, None, GRID, folds=3, workers=2, **SETTING), table)
    assert {o.compiled for o in outcomes} == {0}
    assert len(outcomes) == 7
    assert len(killed) == 1 and os.getpid() in {o.pid for o in outcomes}


@pytest.mark.filterwarnings("default")  # the cluster's own
def test_a_dask_cluster_gives_the_same_table_compiles_nothing_and_may_be_killed(feed, table, outcomes):
    from distributed import Client, LocalCluster

    outcomes.then[2] = kill
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        same(mmlab.sweep(feed, None, GRID, folds=3, client=client, **SETTING), table)
        assert {o.compiled for o in outcomes} == {0}
        assert len(outcomes) == 7
        outcomes.then.clear()
        with pytest.raises(ConfigError, match=r"quoter <lambda> .* no worker can import it"):
            mmlab.sweep(feed, None, {"seed": [1, 2]}, client=client, strategy=flat)
    with pytest.raises(ConfigError, match="client: is closed"):
        mmlab.sweep(feed, None, GRID, client=client)


@pytest.mark.filterwarnings("default")
def test_dask_workers_of_a_command_line_give_the_same_table(feed, outcomes, tmp_path):
    from distributed import Client

    place = tmp_path / "scheduler.json"
    common = ["--scheduler-file", str(place), "--no-dashboard"]
    worker = ["worker", *common, "--nthreads", "1", "--no-nanny", "--local-directory", str(tmp_path)]
    variables = {**os.environ, "PYTHONPATH": str(ROOT)}
    started = []
    try:
        for command in (["scheduler", *common, "--host", "127.0.0.1", "--port", "0"], worker, worker):
            quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
            started.append(subprocess.Popen([sys.executable, "-m", "dask", *command], env=variables, **quiet))
        with Client(scheduler_file=str(place), timeout=60) as client:
            client.wait_for_workers(2, timeout=60)
            table = mmlab.sweep(feed, None, GRID, client=client)
    finally:
        for process in reversed(started):  # workers first, and at once: they wait long for a scheduler that has gone
            process.kill()
            process.wait()
    same(table, mmlab.sweep(feed, None, GRID, workers=1))
    assert {o.pid for o in outcomes} <= {process.pid for process in started[1:]}
    assert {o.compiled for o in outcomes} == {0}


SCRIPT = """
import sys, mmlab
from mmlab.lab.study import workers
workers.cores = lambda: 2
def tell(done, total): print(done, flush=True)
mmlab.sweep(sys.argv[1], None, {"seed": list(range(300))}, workers=2, out=sys.argv[2], progress=tell)
"""


def test_a_killed_script_leaves_no_workers_and_is_taken_up(feed, tmp_path):
    """And needs no ``if __name__ == "__main__"``."""
    script, out = tmp_path / "script.py", tmp_path / "study"
    script.write_text(SCRIPT)
    path = feed.save(tmp_path / "feed.parquet")
    command, variables = [sys.executable, script, path, out], {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=variables) as process:
        told = [int(process.stdout.readline()) for _ in range(10)]
        children = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True, check=True)
        process.kill()
    assert told == list(range(10))
    workers = [int(pid) for pid in children.stdout.split()]
    assert len(workers) >= 2  # one, and what multiprocessing has to clean up after it
    until = time.monotonic() + 20
    while alive := [pid for pid in workers if running(pid)]:
        assert time.monotonic() < until, f"{alive} outlive their parent"
        time.sleep(0.05)
    seen = []
    table = mmlab.sweep(path, None, {"seed": list(range(12))}, workers=1, out=out, progress=lambda *at: seen.append(at))
    assert seen[0][0] >= 9
    assert table.attrs["configurations_tried"] >= 12
    same(table.drop(columns="seed"), mmlab.sweep(path, None, {"seed": [0] * 12}).drop(columns="seed"))


def running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_an_item_that_kills_its_worker_again_and_again():
    with pytest.raises(SessionError, match=r"died 3 times at the same point \(number 0\)"):
        run(os._exit, [1], 2)
    with pytest.raises(SessionError, match="died 3 times"):  # it is not tried in this process
        run(os._exit, [1, 1], 1, here=lambda _: pytest.fail("this process would be gone"))


def run(task, items, processes, here=None):
    with workers_module.seats(processes, "os") as pool:
        return dict(workers_module.spread(task, items, pool, here))


def test_this_process_works_along():
    mine = []
    done = run(abs, range(-50, 0), 1, here=lambda item: mine.append(item) or abs(item))
    assert done == dict(enumerate(range(50, 0, -1)))
    assert mine


def test_what_a_killed_process_had_is_done_by_another():
    with workers_module.seats(2, "os") as pool:
        done = []
        for number, _ in workers_module.spread(time.sleep, [0.05] * 20, pool):
            done.append(number)
            if len(done) == 3:
                os.kill(next(iter(pool[0].pool._processes)), signal.SIGKILL)
    assert sorted(done) == list(range(20))


def test_what_a_task_raises_is_raised():
    with pytest.raises(TypeError):
        run(len, [1, 2, 3], 1)


# --- taking up ------------------------------------------------------------------------------------------------------


def test_a_second_call_takes_up_and_a_wider_grid_adds(feed, table, tmp_path):
    out, seen = tmp_path / "study", []

    def stop_at_3(done, total):
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        mmlab.sweep(feed, None, GRID, folds=3, workers=1, out=out, progress=stop_at_3, **SETTING)
    again = mmlab.sweep(feed, None, GRID, folds=3, workers=1, out=out, progress=lambda *at: seen.append(at), **SETTING)
    assert seen == [(n, 8) for n in range(3, 9)]
    same(again, table)
    same(pd.read_parquet(out / "results.parquet"), table)
    assert len(pd.read_csv(out / "results.csv")) == 8
    wider = {**GRID, "seed": [1, 2, 3]}
    more = mmlab.sweep(feed, None, wider, folds=3, workers=1, out=out, progress=lambda *at: seen.append(at), **SETTING)
    assert seen[-5:] == [(n, 12) for n in range(8, 13)]
    same(more[more["seed"] < 3].reset_index(drop=True), table)
    assert more.attrs["configurations_tried"] == 12
    narrow = mmlab.sweep(feed, None, {"seed": [1]}, out=out)
    assert narrow.attrs["configurations_tried"] == 13, "all that was ever tried in this study counts"
    with pytest.raises(SessionError, match="about something else"):
        mmlab.sweep(make_feed(200), None, {"seed": [1]}, out=out)


# --- what is wrong --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("grid", "words"),
    [
        ({"strategy.gama": [0.1]}, [r"strategy\.gama = 0\.1: no such parameter: did you mean strategy\.gamma\?"]),
        ({"strategy.gamma": [0.1, -1]}, [r"strategy\.gamma = -1: must be a number between"]),
        ({"strategy.gama": [1], "ladder.hysteresis": [9]}, ["did you mean strategy.gamma", "hysteresis = 9"]),
        ({"strategy.gamma": [-1], "ladder.hysteresis": [9]}, ["gamma = -1", "hysteresis = 9"]),
        ({"ladder.thresholds": [[0.5, 1.0]]}, ["offset_ticks has 4 values, thresholds 2"]),
        ({"queue": ["l3"]}, ["'l3': needs an order-by-order feed"]),
        ({"queue": ["fifo"]}, ["queue = 'fifo': must be one"]),
        ({"queue": [3]}, ["queue = 3: must be"]), ({"seed": [-1, 1.5]}, ["seed = -1", "seed = 1.5"]),
        ({"queue_exponent": [0]}, ["queue_exponent = 0"]), ({"queue_exponent": ["x"]}, ["queue_exponent = 'x'"]),
        ({"partial_fills": [1]}, ["partial_fills = 1: must be true"]),
        ({"latency.entry": [1]}, [r"latency\.entry: no such parameter: did you mean entry_ms"]),
        ({"latency.entry_ms": [-1], "seed": [-1]}, ["entry_ms = -1", "seed = -1"]),
        ({"instrument.tick_size": [1]}, [r"instrument\.tick_size: no such parameter"]),
        ({"instrument.maker_fee_bps": [500]}, ["maker_fee_bps = 500"]),
        ({"instrument.maker_fee_bps": ["x"]}, [r"instrument\.maker_fee_bps = 'x'"]),
        ({"quoter.width": [1]}, [r"quoter\.width: no quoter was given"]), ({"seed": []}, ["seed: has no values"]),
        ({"risk.max_position": [1e-9]}, ["max_position"]),
    ],
)  # fmt: skip
def test_a_wrong_grid_is_refused_before_anything_runs(feed, grid, words, monkeypatch):
    monkeypatch.setattr(sweep_module, "_run", lambda *_: pytest.fail("it was started"))
    with pytest.raises(ConfigError) as error:
        mmlab.sweep(feed, None, grid)
    for word in words:
        assert re.search(word, str(error.value)), str(error.value)


def test_many_complaints_are_told_once_and_not_all(feed):
    with pytest.raises(ConfigError, match="and 12 more") as error:
        mmlab.sweep(feed, None, {"strategy.gamma": list(range(-20, 0)), "seed": [1, 2, 3]})
    assert str(error.value).count("gamma = -20: must") == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"workers": 0}, "workers = 0"), ({"folds": 1}, "folds = 1"), ({"client": 3}, "client = 3"),
        ({"quque": "log"}, r"no argument \['quque'\]"), ({"seed": -1}, "seed = -1"), ({"latency": 5}, "latency = 5"),
        ({"instrument": mmlab.Instrument("X", 1.0, 1.0)}, "instrument has tick"),
    ],
)  # fmt: skip
def test_wrong_arguments_are_named(feed, arguments, words):
    with pytest.raises(ConfigError, match=words):
        mmlab.sweep(feed, None, {"seed": [1]}, **arguments)


def test_wrong_feeds_and_configs(tmp_path):
    with pytest.raises(FeedError, match="no such file"):
        mmlab.sweep(tmp_path / "none.parquet", None, {"seed": [1]})
    empty = mmlab.Feed(make_feed(10).instrument, np.zeros(0, mmlab.EVENT))
    with pytest.raises(FeedError, match="never has a two-sided"):
        mmlab.sweep(empty, None, {"seed": [1]})
    with pytest.raises(ConfigError, match=r"config = \{\}: must be a mmlab.Config"):
        mmlab.sweep(make_feed(10), {}, {"seed": [1]})


def test_a_point_that_is_refused_on_the_way_is_a_row(feed, monkeypatch, tmp_path):
    real = sweep_module._here

    def refuse(plan, point):
        return sweep_module.Outcome({}, "no") if point.setting.seed == 2 else real(plan, point)

    with monkeypatch.context() as patch:
        patch.setattr(sweep_module, "_here", refuse)
        table = mmlab.sweep(feed, None, {"seed": [1, 2]}, workers=1, folds=2, out=tmp_path / "study")
    assert list(table["error"]) == ["", "no"]
    assert np.isnan(table["net_pnl"].iloc[1]) and np.isnan(table["in_sample_pnl_per_million"].iloc[1])
    again = mmlab.sweep(feed, None, {"seed": [1, 2]}, workers=1, folds=2, out=tmp_path / "study")
    assert "error" not in again, "what failed is done again"


# --- a user's quoter ------------------------------------------------------------------------------------------------


flat = mmlab.quoter(half_spread_ticks=2.0)(lambda *_: 0)


def test_a_quoter_of_a_module_goes_along(feed):
    quoter, grid = quoter_of_a_module.at_a_distance, {"quoter.half_spread_ticks": [1.0, 30.0]}
    table = mmlab.sweep(feed, None, grid, workers=1, strategy=quoter)
    run = mmlab.backtest(feed, mmlab.Config(), strategy=quoter.with_(half_spread_ticks=30.0))
    assert table["fills"].iloc[1] == run.summary["fills"] < table["fills"].iloc[0]
    assert quoter.importable and not flat.importable
    with pytest.raises(ConfigError, match="did you mean half_spread_ticks"):
        mmlab.sweep(feed, None, {"quoter.half_spread": [1]}, strategy=quoter)
