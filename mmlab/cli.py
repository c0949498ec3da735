"""The command line: ``mmlab COMMAND``. Exit status 0 done, 2 bad usage or input, 3 refused for safety.

A command is a `Command`: its arguments, an example, and a function that does the work through `mmlab.lab`. Everything
heavy is imported in these functions, so ``mmlab --help`` is instant.
"""

from __future__ import annotations

import argparse
import os
import sys
import tomllib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmlab.errors import ConfigError, MMLabError, SafetyError

if TYPE_CHECKING:
    from mmlab.lab.inputs import Config
    from mmlab.lab.run import Run

DONE, WRONG, REFUSED, INTERRUPTED = 0, 2, 3, 130
Parser = argparse.ArgumentParser


@dataclass(frozen=True)
class Command:
    """One command: what it is for, an example that works, its arguments, its work (which returns the exit status)."""

    name: str
    purpose: str
    example: str
    arguments: Callable[[Parser], None]
    work: Callable[[argparse.Namespace], int]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    options = parser().parse_args(arguments)
    try:
        return options.work(options)
    except MMLabError as error:
        print(f"mmlab {options.command}: {' '.join(str(error).split())}", file=sys.stderr)
        return REFUSED if isinstance(error, SafetyError) else WRONG
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # the reader of our output has gone, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE


def parser() -> Parser:
    """The whole command line."""
    top = Parser(prog="mmlab", description="A market-making lab: replay recorded ticks, see why a market maker earns.")
    top.add_argument("--version", action=_Version, help="print the version and stop")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in COMMANDS:
        one = commands.add_parser(
            command.name, help=command.purpose, description=command.purpose, epilog=f"example:\n  {command.example}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )  # fmt: skip
        command.arguments(one)
        one.set_defaults(work=command.work)
    return top


class _Version(argparse.Action):
    def __init__(self, option_strings: Sequence[str], dest: str, **kwargs: Any) -> None:
        super().__init__(option_strings, dest, nargs=0, **kwargs)

    def __call__(self, parser: Parser, *_: Any) -> None:
        from mmlab import __version__

        print(f"mmlab {__version__}")
        parser.exit(DONE)


# --- demo, backtest, report -----------------------------------------------------------------------------------------


def demo_arguments(one: Parser) -> None:
    """Arguments of `demo`."""
    one.add_argument("--feed", metavar="FEED", help="a feed file (default: the synthetic sample)")
    one.add_argument("--out", metavar="DIR", type=Path, help="run directory to make (default: runs/<UTC start>-demo)")


def demo(options: argparse.Namespace) -> int:
    """Trade the sample."""
    from mmlab.lab.demo import run_demo

    refuse_existing(options.out)
    with busy("Trading"):
        run = run_demo(options.feed, options.out)
    run.report()
    show(run)
    return DONE


def run_arguments(one: Parser, name: str) -> None:
    """Arguments of every command that makes a run with a config."""
    one.add_argument("--config", metavar="C.toml", help="a TOML file with what differs from the defaults")
    one.add_argument("--out", metavar="DIR", type=Path, help="run directory to make (default: runs/<UTC start>-<name>)")
    one.add_argument(
        "--set",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        help="one parameter, e.g. ladder.hysteresis=0.1; may be repeated",
    )
    one.add_argument("--seed", metavar="N", type=int, default=0, help="of everything drawn (default: 0)")
    one.add_argument("--name", default=name, help=f"short name of the run (default: {name})")
    one.add_argument("--no-report", action="store_true", help="write no report.html")


def config_of(options: argparse.Namespace) -> Config:
    """Config file and single parameters of a command."""
    from mmlab.lab.inputs import Config

    config = Config() if options.config is None else Config.load(options.config)
    return config.with_(**dict(assignment(text) for text in options.set))


def backtest_arguments(one: Parser) -> None:
    """Arguments of `backtest`."""
    one.add_argument("feed", metavar="FEED", help="a feed file, as made by 'mmlab import'")
    run_arguments(one, "backtest")
    one.add_argument("--latency-ms", metavar="MS", type=float, help="one way, orders and answers alike (default: 5)")
    one.add_argument(
        "--queue", choices=["risk_averse", "power", "log", "l3"], default="risk_averse", help="queue model"
    )
    one.add_argument("--no-sensitivity", action="store_true", help="leave the variants out of the report")


def backtest(options: argparse.Namespace) -> int:
    """Trade a feed."""
    from mmlab.lab.backtesting import backtest
    from mmlab.lab.inputs import Latency, load_feed

    refuse_existing(options.out)
    config = config_of(options)
    setting: dict[str, Any] = {"queue": options.queue, "seed": options.seed}
    if options.latency_ms is not None:
        setting["latency"] = Latency(entry_ms=options.latency_ms, response_ms=options.latency_ms)
    with busy("Trading"):
        run = backtest(load_feed(options.feed), config, name=options.name, **setting)
        run.save(options.out)
    if not options.no_report:
        run.report(sensitivity=not options.no_sensitivity)
    show(run)
    return DONE


def paper_arguments(one: Parser) -> None:
    """Arguments of `paper`."""
    one.add_argument("feed", metavar="FEED", nargs="?", help="a feed file (default: the synthetic sample)")
    run_arguments(one, "paper")
    one.add_argument("--speed", metavar="X", default="1", help="times as fast as recorded, or max (default: 1)")
    one.add_argument("--duration", metavar="S", type=float, help="stop after S seconds of the feed's time")
    one.add_argument("--loop", action="store_true", help="repeat the feed until interrupted")
    one.add_argument(
        "--fault",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        help="what goes wrong (docs/engine.md), e.g. drop_ack=0.1 or rejects.9=0.05; may be repeated",
    )


def paper(options: argparse.Namespace) -> int:
    """Trade a feed on the paper venue."""
    from mmlab.lab.backtesting import load_run
    from mmlab.lab.paper import left_behind, paper_session

    refuse_existing(options.out)
    faults = [assignment(text, "drop_ack=0.1") for text in options.fault]
    session = paper_session(
        options.feed, config_of(options), options.speed, faults, options.seed, name=options.name, out=options.out,
        loop=options.loop,
    )  # fmt: skip
    try:
        with progress_bar("Trading") as advance:
            run = session.run(options.duration, advance)
    except KeyboardInterrupt:
        if session.run_dir is not None and session.began:
            show(load_run(session.run_dir))
        print(*left_behind(session), sep="\n")
        return INTERRUPTED
    if not options.no_report:
        run.report()
    show(run)
    return DONE


def report_arguments(one: Parser) -> None:
    """Arguments of `report`."""
    one.add_argument("run", metavar="RUN_DIR", help="a run directory")
    one.add_argument("--out", metavar="X.html", type=Path, help="the file (default: report.html in the run directory)")
    one.add_argument("--no-sensitivity", action="store_true", help="leave the variants out")


def report(options: argparse.Namespace) -> int:
    """Write a report."""
    from mmlab.lab.backtesting import load_run

    print(load_run(options.run).report(options.out, sensitivity=not options.no_sensitivity))
    return DONE


# --- feeds ----------------------------------------------------------------------------------------------------------

INSTRUMENT: dict[str, tuple[Any, str]] = {
    "symbol": (str, "name; where the files hold several markets, the one to import"),
    "tick_size": (float, "smallest price step; goes with --lot-size"),
    "lot_size": (float, "smallest size step; goes with --tick-size"),
    "min_size": (float, "smallest order (default: one lot)"),
    "min_notional": (float, "smallest order value, quote currency (default: 0)"),
    "maker_fee_bps": (float, "maker fee, a rebate is < 0 (default: 0)"),
    "taker_fee_bps": (float, "taker fee (default: 0)"),
    "contract": (str, "linear (default) or inverse"),
    "contract_size": (float, "linear: base a unit is worth; inverse: quote a contract is worth (default: 1)"),
    "settle": (str, "currency of fees and P&L"),
}


def import_arguments(one: Parser) -> None:
    """Arguments of `import`."""
    one.add_argument("files", metavar="FILE", nargs="+", help="recorded files; several are one recording")
    one.add_argument("--format", required=True, help="hftbacktest, bitmex, lobster, lighter, tardis or snapshots")
    one.add_argument("--out", metavar="X.parquet", required=True, help="feed file to write")
    group = one.add_argument_group("instrument", "Tick and lot are inferred from the data unless both are given.")
    for name, (kind, text) in INSTRUMENT.items():
        metavar = "TEXT" if kind is str else "X"
        group.add_argument(f"--{name.replace('_', '-')}", dest=name, metavar=metavar, type=kind, help=text)
    one.add_argument(
        "-o",
        "--option",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        help="option of the format; may be repeated",
    )


def import_(options: argparse.Namespace) -> int:
    """Write a feed file."""
    from mmlab.lab.import_files import import_files

    known = {name: value for name in INSTRUMENT if (value := getattr(options, name)) is not None}
    chosen = dict(assignment(text) for text in options.option)
    with progress_bar("Importing") as advance:
        feed = import_files(options.files, options.format, known, chosen, advance)
        path = feed.save(options.out)
    print(feed.describe())
    print(path)
    return DONE


def feed_argument(one: Parser) -> None:
    """The feed of a command that takes nothing else."""
    one.add_argument("feed", metavar="FEED", help="a feed file, as made by 'mmlab import'")


def describe(options: argparse.Namespace) -> int:
    """Print what is in a feed."""
    from mmlab.lab.inputs import load_feed

    print(load_feed(options.feed).describe())
    return DONE


FITTED = {"A": "1/s", "kappa": "1/price", "sigma": "price/sqrt(s)", "gamma": "1/price", "mid": "price", "r2": "",
          "n_orders": "market orders"}  # fmt: skip


def calibrate(options: argparse.Namespace) -> int:
    """Print a fit."""
    from mmlab.lab.inputs import load_feed
    from mmlab.lab.warm_up import calibrate

    fit = calibrate(load_feed(options.feed))
    for name, unit in FITTED.items():
        print(f"{name:<9} {getattr(fit, name):.6g} {unit}".rstrip())
    print(f"{fit.fallback}\n" if fit.fallback else "")
    print(fit.table.to_string(index=False, float_format="{:.6g}".format))
    return DONE


# --- dashboard ------------------------------------------------------------------------------------------------------


def dashboard_arguments(one: Parser) -> None:
    """Arguments of `dashboard`."""
    one.add_argument("--runs", metavar="DIR", type=Path, default=Path("runs"), help="folder of runs (default: runs)")
    one.add_argument("--port", metavar="P", type=int, default=5006, help="0 takes a free one (default: 5006)")
    one.add_argument("--address", metavar="A", default="127.0.0.1", help="where to listen (default: this machine only)")
    one.add_argument("--read-only", action="store_true", help="without KILL, re-arm and apply")
    one.add_argument("--password-env", metavar="NAME", help="environment variable that holds the password asked for")
    one.add_argument("--prefix", metavar="/PATH", default="", help="path under which a proxy serves it")
    one.add_argument(
        "--origin",
        metavar="HOST:PORT",
        action="append",
        default=[],
        help="address that browsers use, where it is not this one; may be repeated",
    )


def dashboard(options: argparse.Namespace) -> int:
    """Serve the dashboard."""
    from mmlab.lab.dashboard import serve_dashboard

    serve_dashboard(
        options.runs, port=options.port, address=options.address, read_only=options.read_only,
        password_env=options.password_env, prefix=options.prefix, origins=options.origin,
    )  # fmt: skip
    return DONE


# --- doctor ---------------------------------------------------------------------------------------------------------


def no_arguments(one: Parser) -> None:
    """None."""


def doctor(_: argparse.Namespace) -> int:
    """Print what the doctor finds."""
    from mmlab.lab.doctor import doctor

    checks = doctor()
    width = max(len(check.name) for check in checks)
    for check in checks:
        print(f"{check.state:<5} {check.name:<{width}}  {check.found}")
        if check.advice:
            print(f"{'':<5} {'':<{width}}  -> {check.advice}")
    return WRONG if any(check.state == "fail" for check in checks) else DONE


COMMANDS = (
    Command("demo", "Trade the sample, end with a summary and a report.", "mmlab demo", demo_arguments, demo),
    Command(
        "import",
        "Turn recorded files into a feed file.",
        "mmlab import btc_20240808.gz btc_20240809.gz --format hftbacktest --out btc.parquet",
        import_arguments,
        import_,
    ),
    Command(
        "describe",
        "Say what is in a feed file, and what was met on import.",
        "mmlab describe data/sample.parquet",
        feed_argument,
        describe,
    ),
    Command(
        "backtest",
        "Trade a feed, leave a run directory with its report.",
        "mmlab backtest data/sample.parquet --set ladder.hysteresis=0.1 --out runs/first",
        backtest_arguments,
        backtest,
    ),
    Command(
        "paper",
        "Trade a feed on the paper venue with the engine that also trades live; Ctrl-C cancels all and stops.",
        "mmlab paper data/sample.parquet --speed max --fault disconnects_per_min=1 --out runs/paper",
        paper_arguments,
        paper,
    ),
    Command("report", "Write the report of a run directory.", "mmlab report runs/first", report_arguments, report),
    Command(
        "calibrate",
        "Fit A, kappa, sigma and gamma to the warm-up of a feed.",
        "mmlab calibrate data/sample.parquet",
        feed_argument,
        calibrate,
    ),
    Command(
        "dashboard",
        "Serve the dashboard: every run in a folder, live or over; KILL works while every notebook is busy.",
        "mmlab dashboard --runs runs --port 5006",
        dashboard_arguments,
        dashboard,
    ),
    Command("doctor", "Say whether this machine is ready; if not, what to do.", "mmlab doctor", no_arguments, doctor),
)


# --- words and bars -------------------------------------------------------------------------------------------------


def refuse_existing(out: Path | None) -> None:
    """Refuse early, before any work, a run directory that exists."""
    if out is not None:
        from mmlab.lab.inputs import require_new

        require_new(out)


def assignment(text: str, example: str = "ladder.hysteresis=0.1") -> tuple[str, Any]:
    """``name=value``; the value as TOML writes it, else as text."""
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise ConfigError(f"{text!r}: write it as name=value, for example {example}")
    try:
        return name.strip(), tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return name.strip(), value.strip()


@contextmanager
def busy(what: str) -> Iterator[None]:
    """Something turning on a terminal, nothing elsewhere."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console

    with Console(stderr=True).status(what):
        yield


@contextmanager
def progress_bar(what: str) -> Iterator[Callable[[float], None] | None]:
    """A bar on a terminal, to be told the share done; None elsewhere."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(what, total=1.0)
        yield lambda share: progress.update(task, completed=share)


def show(run: Run) -> None:
    """Headline, key figures, and where the files are."""
    from rich.console import Console
    from rich.table import Table

    from mmlab.lab.report_text import headline, key_figures

    console = Console(highlight=False, soft_wrap=True)
    variants = run.__dict__.get("sensitivity")
    for sentence in headline(run, variants):
        console.print(sentence, style="bold")
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="dim")
    table.add_column(justify="right", style="bold")
    table.add_column(style="dim")
    for label, value, note in key_figures(run, variants):
        table.add_row(label, value, note)
    console.print(table)
    console.print(f"Run: {run.directory}", markup=False)
    if run.directory is not None and (run.directory / "report.html").is_file():
        console.print(f"Report: {(run.directory / 'report.html').resolve()}", markup=False)
