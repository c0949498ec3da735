"""The command line as a user meets it: exit status, one clear line, files left behind."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from mmlab import cli, load_run, verify_decisions
from mmlab.cli.command import assignment, busy, progress_bar
from mmlab.errors import FeedError, SafetyError
from mmlab.lab.doctor import Check, _holds, _parse
from mmlab.lab.doctor import doctor as checks_of
from mmlab.lab.study.batch import check_parameters
from mmlab.lab.study.grid import combinations, load_grid
from tests.feeds.binance import TICK, Exchange, Writer
from tests.lab.fabricated import make_feed, make_run


def mmlab(*arguments, cwd=None, **variables):
    """Run the installed program in a process of its own."""
    return subprocess.run(
        [sys.executable, "-c", "import sys; from mmlab.cli import main; sys.exit(main())", *map(str, arguments)],
        check=False, capture_output=True, text=True, cwd=cwd, env={**os.environ, **variables},
    )  # fmt: skip


def is_one_clear_line(text):
    return len(text.splitlines()) == 1 and "Traceback" not in text


@pytest.fixture(scope="module")
def feed_file(tmp_path_factory):
    return make_feed(300).save(tmp_path_factory.mktemp("feed") / "feed.parquet")


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    return make_run(60).save(tmp_path_factory.mktemp("runs") / "run")


def test_help_is_instant_and_loads_nothing_heavy():
    code = "import sys; from mmlab.cli import parser; parser().format_help(); print(*sys.modules)"
    began = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert time.perf_counter() - began < 2
    assert not {"numpy", "numba", "pandas", "bokeh", "pyarrow", "rich"} & set(done.stdout.split())


@pytest.mark.parametrize("command", cli.COMMANDS, ids=lambda command: command.name)
def test_the_help_of_each_command_shows_an_example_that_parses(command, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main([command.name, "--help"])
    assert stop.value.code == 0
    shown = capsys.readouterr().out
    (example,) = re.findall(r"^  (mmlab .*)$", shown, re.MULTILINE)
    program, *arguments = example.split()
    assert (program, cli.parser().parse_args(arguments).command) == ("mmlab", command.name)


def test_version(capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(["--version"])
    assert stop.value.code == 0
    assert re.fullmatch(r"mmlab \d+\.\d+\.\d+\n", capsys.readouterr().out)


def test_backtest_leaves_a_whole_run(feed_file, tmp_path):
    config = tmp_path / "c.toml"
    config.write_text("[ladder]\nhysteresis = 0.1\n")
    out = tmp_path / "runs" / "first"
    done = mmlab(
        "backtest", feed_file, "--config", config, "--set", "strategy.warmup_s=20", "--set", "gates.flip.mode=off",
        "--latency-ms", 3, "--queue", "power", "--seed", 4, "--out", out, "--no-sensitivity",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "Net P&L" in done.stdout
    assert f"Report: {out.resolve() / 'report.html'}" in done.stdout
    assert (out / "report.html").stat().st_size > 1e5
    record = json.loads((out / "run.json").read_text())
    assert (record["queue"], record["seed"], record["latency"]["entry_p50_ms"]) == ("power", 4, 3.0)
    assert record["inputs"]["feed"] == str(feed_file.resolve())
    text = (out / "config.toml").read_text()
    assert "hysteresis = 0.1" in text
    assert "warmup_s = 20" in text
    assert 'mode = "off"' in text
    again = mmlab("backtest", feed_file, "--out", out)
    assert again.returncode == 2
    assert is_one_clear_line(again.stderr)
    assert "already exists" in again.stderr


def test_paper_leaves_a_whole_run(feed_file, tmp_path):
    out = tmp_path / "runs" / "paper"
    done = mmlab(
        "paper", feed_file, "--set", "strategy.warmup_s=20", "--speed", "max", "--duration", 150, "--seed", 3,
        "--fault", "drop_ack=0.1", "--fault", "rejects.9=0.05", "--out", out,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert f"Report: {out.resolve() / 'report.html'}" in done.stdout
    record = json.loads((out / "run.json").read_text())
    assert (record["mode"], record["seed"], record["ended"]) == ("paper", 3, "duration over")
    assert record["latency"]["faults"] == {"seed": 3, "drop_ack": 0.1, "rejects": {"9": 0.05}}
    assert record["market"]["synthetic"]
    page = (out / "report.html").read_text()
    for words in ("paper on synthetic data", "drop_ack 0.1", "duration over", "replays of what it heard"):
        assert words in page
    assert verify_decisions(out).same


INTERRUPTIBLE = """
import signal, sys
from mmlab.cli import main
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
sys.exit(main())
"""


def test_ctrl_c_cancels_all_and_says_what_is_left(feed_file, tmp_path):
    out = tmp_path / "paper"
    command = [sys.executable, "-c", INTERRUPTIBLE, "paper", str(feed_file), "--set", "strategy.warmup_s=5"]
    child = subprocess.Popen(
        [*command, "--speed", "5", "--out", str(out)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        orders = out / "metrics.csv"
        for _ in range(600):
            if orders.is_file() and len(orders.read_text().splitlines()) > 45:  # s of the feed, 25 of warm-up
                break
            time.sleep(0.2)
        child.send_signal(signal.SIGINT)
        shown, complaint = child.communicate(timeout=60)
    finally:
        child.kill()
    assert child.returncode == 130
    assert complaint == ""
    assert "of the feed: all orders are cancelled." in shown
    assert re.search(r"^(Position left: |No position is left\.)", shown, re.MULTILINE)
    run = load_run(out)
    assert run.info.ended == "interrupted"
    assert len(run.orders)
    last = run.orders.groupby("client_order_id")["state"].last()
    assert set(last) <= {"filled", "canceled", "rejected", "expired"}


def test_report_of_a_run(run_folder, tmp_path, capsys):
    out = tmp_path / "x.html"
    assert cli.main(["report", str(run_folder), "--out", str(out), "--no-sensitivity"]) == 0
    assert capsys.readouterr().out.strip() == str(out)
    assert out.read_text().startswith("<!DOCTYPE html>")


def test_describe_and_calibrate(feed_file, capsys):
    assert cli.main(["describe", str(feed_file)]) == 0
    assert re.search(r"^gaps +1$", capsys.readouterr().out, re.MULTILINE)
    assert cli.main(["calibrate", str(feed_file)]) == 0
    shown = capsys.readouterr().out
    assert re.search(r"^kappa +\d", shown, re.MULTILINE)
    assert "distance_ticks" in shown


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    exchange, write = Exchange(0), Writer()
    write(exchange.snapshot())
    for _ in range(50):
        write(exchange.diff())
        write(exchange.trade())
    return write.save(tmp_path_factory.mktemp("raw") / "testusdt_20240808.gz")


def test_import_with_what_is_known_of_the_instrument(recording, tmp_path, capsys):
    out = tmp_path / "x.parquet"
    arguments = [
        "import",
        recording,
        "--format",
        "hftbacktest",
        "--out",
        out,
        "--maker-fee-bps",
        "-0.5",
        "--settle",
        "USDT",
    ]
    assert cli.main([str(a) for a in arguments]) == 0
    shown = capsys.readouterr().out
    assert shown.splitlines()[-1] == str(out)
    from mmlab import load_feed

    instrument = load_feed(out).instrument
    assert (instrument.tick_size, instrument.maker_fee_bps, instrument.settle) == (float(TICK), -0.5, "USDT")


def wrong_inputs(folder, recording, feed_file):
    """Command -> what its one line must say."""
    config = folder / "typo.toml"
    config.write_text("[ladder]\nhysterisis = 0.1\n")
    wild = folder / "wild.toml"
    wild.write_text("[ladder]\nhysteresis = 7\n")
    (folder / "broken.toml").write_text("[ladder\n")
    (folder / "cut.gz").write_bytes(recording.read_bytes()[:-20])
    (folder / "empty.gz").write_bytes(b"")
    (folder / "text.parquet").write_text("hello")
    out, ticks = ["--out", folder / "out.parquet"], ["--tick-size", 0.3, "--lot-size", 1]
    raw = ["--format", "hftbacktest", *out]
    return [
        (["describe", folder / "absent.parquet"], "no such file"),
        (["describe", folder / "text.parquet"], "text.parquet: is not a whole Parquet file"),
        (["describe", folder], "is a folder"),
        (["calibrate", folder / "absent.parquet"], "no such file"),
        (["report", folder / "absent"], "no such run directory"),
        (["report", folder], "no run.json"),
        (["import", folder / "absent.gz", *raw], "no such file"),
        (["import", folder / "cut.gz", *raw], "cut.gz"),
        (["import", folder / "empty.gz", *raw], "empty.gz"),
        (["import", recording, "--format", "fax", *out], "'fax' is unknown"),
        (["import", recording, *raw, *ticks], "tick"),
        (["import", recording, *raw, *ticks[:2]], "tick_size is given alone"),
        (["import", recording, *raw, "--contract", "quanto"], "quanto"),
        (["import", recording, *raw, "-o", "speed=3"], "speed"),
        (["import", recording, *raw[:2], "--out", folder / "absent" / "x.parquet"], "cannot be written"),
        (["backtest", folder / "absent.parquet"], "no such file"),
        (["backtest", feed_file, "--config", config], "typo.toml: ladder.hysterisis = 0.1: no such parameter"),
        (["backtest", feed_file, "--config", wild], "ladder.hysteresis = 7"),
        (["backtest", feed_file, "--config", folder / "broken.toml"], "not valid TOML"),
        (["backtest", feed_file, "--config", folder / "absent.toml"], "cannot read the config"),
        (["backtest", feed_file, "--set", "ladder.hysteresis=7"], "ladder.hysteresis = 7"),
        (["backtest", feed_file, "--set", "hysteresis"], "write it as name=value"),
        (["backtest", feed_file, "--latency-ms", "-1"], "entry_ms"),
        (["demo", "--feed", folder / "absent.parquet"], "no such file"),
        (["paper", folder / "absent.parquet"], "no such file"),
        (["paper", feed_file, "--fault", "nonsense=1"], "nonsense = 1: no such parameter"),
        (["paper", feed_file, "--fault", "drop_ack=2"], "drop_ack = 2: must be a number between 0 and 1"),
        (["paper", feed_file, "--fault", "drop_ack"], "for example drop_ack=0.1"),
        (["paper", feed_file, "--fault", "rejects.77=0.1"], "rejects: must map codes to shares"),
        (["paper", feed_file, "--speed", "fast"], "--speed fast: must be a number > 0, or max"),
        (["paper", feed_file, "--speed", "nan"], "--speed nan"),
        (["paper", feed_file, "--speed", "max", "--loop"], "finite speed"),
        (["paper", feed_file, "--duration", "-1"], "duration_s = -1.0: must be > 0"),
        (["paper", feed_file, "--set", "ladder.hysteresis=7"], "ladder.hysteresis = 7"),
    ]  # fmt: skip


def test_bad_input_gives_one_line_and_leaves_nothing(recording, feed_file, tmp_path, monkeypatch, capsys):
    cases = wrong_inputs(tmp_path, recording, feed_file)
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.iterdir())
    for arguments, says in cases:
        status = cli.main([str(argument) for argument in arguments])
        shown = capsys.readouterr()
        assert status == 2, arguments
        assert is_one_clear_line(shown.err), shown.err
        assert says in shown.err, (arguments, shown.err)
        assert shown.err.startswith(f"mmlab {arguments[0]}: ")
        assert shown.out == ""
    assert sorted(tmp_path.iterdir()) == before


def test_bad_input_in_a_process_of_its_own(tmp_path):
    done = mmlab("describe", tmp_path / "absent.parquet")
    assert done.returncode == 2
    assert is_one_clear_line(done.stderr)


@pytest.mark.parametrize("arguments", [[], ["nonsense"], ["backtest"], ["backtest", "x", "--queue", "magic"]])
def test_bad_usage_exits_2(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(arguments)
    assert stop.value.code == 2
    assert "usage: mmlab" in capsys.readouterr().err


def raising(monkeypatch, error):
    def work(options):
        raise error

    commands = tuple(replace(command, work=work) if command.name == "doctor" else command for command in cli.COMMANDS)
    monkeypatch.setattr(cli, "COMMANDS", commands)
    return cli.main(["doctor"])


def test_refusals_errors_and_defects(monkeypatch, capsys):
    assert raising(monkeypatch, SafetyError("not armed:\n  set armed = true")) == 3
    assert capsys.readouterr().err == "mmlab doctor: not armed: set armed = true\n"
    assert raising(monkeypatch, FeedError("wrong", path="x.gz", line=3)) == 2
    assert capsys.readouterr().err == "mmlab doctor: x.gz:3: wrong\n"
    assert raising(monkeypatch, KeyboardInterrupt()) == 130
    with pytest.raises(ZeroDivisionError):  # a defect of ours is not hidden
        raising(monkeypatch, ZeroDivisionError())


def test_a_reader_that_leaves_early(feed_file):
    command = f"'{sys.executable}' -m mmlab describe '{feed_file}' | head -1"
    command = command.replace("-m mmlab", "-c 'import sys; from mmlab.cli import main; sys.exit(main())'")
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], check=False, capture_output=True, text=True)
    assert done.returncode == 0
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a.b=0.1", 0.1), ("a.b=[1, 2]", [1, 2]), ("a.b=true", True), ("a.b=adaptive", "adaptive"),
        ('a.b="x=y"', "x=y"),
        ("a.b=x=y", "x=y"), (" a.b = 3", 3),
    ],
)  # fmt: skip
def test_assignments(text, value):
    assert assignment(text) == ("a.b", value)


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_bars_on_a_terminal_only(monkeypatch):
    shown = Terminal()
    monkeypatch.setattr(sys, "stderr", shown)
    with progress_bar("Importing") as advance:
        advance(0.5)
    with busy("Trading"):
        pass
    assert "Importing" in shown.getvalue()
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    with progress_bar("Importing") as advance:
        assert advance is None


def test_doctor_finds_this_machine_ready(capsys):
    assert cli.main(["doctor"]) == 0
    shown = capsys.readouterr().out
    for check in checks_of():
        assert f"{check.state:<5} {check.name}" in shown


def test_doctor_says_what_to_do(monkeypatch, capsys):
    from mmlab.lab import doctor

    monkeypatch.setattr(doctor, "OLDEST", (99, 0))
    monkeypatch.setattr(doctor, "requires", lambda _: ["numpy>=99", "absent-package>=1", 'x; extra == "dev"'])
    monkeypatch.setattr(doctor.shutil, "which", lambda _: None)
    monkeypatch.setenv("NUMBA_CACHE_DIR", "/proc/absent")
    assert cli.main(["doctor"]) == 2
    shown = capsys.readouterr().out
    for part in ("fail  Python", "install Python 99.0", "absent-package is missing", "needs >=99", "warn  Chromium",
                 "warn  Compiled kernels", "set NUMBA_CACHE_DIR"):  # fmt: skip
        assert part in shown


def test_ranges_of_requirements():
    assert _parse("numpy>=2.1,<3") == ("numpy", [(">=", "2.1"), ("<", "3")])
    assert _parse("nest-asyncio2<2,>=1.7") == ("nest-asyncio2", [("<", "2"), (">=", "1.7")])
    assert [_holds("2.4.6", *part) for part in ((">=", "2.1"), ("<", "3"), ("<", "2.4"), ("==", "2.4.6"))] == [
        True, True, False, True,
    ]  # fmt: skip
    assert Check("x", "ok", "y").advice == ""


def test_sweep_and_batch_leave_their_tables(feed_file, tmp_path, capsys):
    grid, out = tmp_path / "grid.toml", tmp_path / "study"
    grid.write_text("seed = [1, 2]\nladder.hysteresis = [0.02, 0.05]\n")
    command = ["sweep", feed_file, "--grid", grid, "--out", out, "--folds", 3, "--set", "strategy.warmup_s=20"]
    command += ["--workers", 1, "--queue", "power", "--latency-ms", 3]
    assert cli.main([str(word) for word in command]) == 0
    shown = capsys.readouterr()
    assert shown.err == ""
    assert "4 points" in shown.out and "4 configurations were tried" in shown.out
    assert str(out / "results.parquet") in shown.out
    assert (out / "results.csv").read_text().startswith("seed,ladder.hysteresis,net_pnl,")
    grid.write_text("seed = [1]\nladder.hysteresi = [0.02]\n")
    assert cli.main([str(word) for word in command]) == 2
    assert is_one_clear_line(shown := capsys.readouterr().err) and "did you mean ladder.hysteresis" in shown
    assert cli.main(["batch", str(tmp_path / "none.ipynb"), "--grid", str(grid), "--out", str(out)]) == 2
    assert "there is no such notebook" in capsys.readouterr().err


def test_the_grids_that_help_names_are_grids():
    root = Path(__file__).parents[1]
    assert len(combinations(load_grid(root / "config" / "sweep_grid.toml"))) == 18
    check_parameters(root / "notebooks" / "01_quickstart.ipynb", list(load_grid(root / "config" / "batch_grid.toml")))
