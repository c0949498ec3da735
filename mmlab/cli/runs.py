"""Commands that make a run, or report of one: demo, backtest, paper, report."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmlab.cli.command import (
    DONE,
    INTERRUPTED,
    Command,
    Parser,
    assignment,
    busy,
    config_of,
    progress_bar,
    refuse_existing,
)

if TYPE_CHECKING:
    from mmlab.lab.run import Run


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


COMMANDS = (
    Command("demo", "Trade the sample, end with a summary and a report.", "mmlab demo", demo_arguments, demo),
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
)
