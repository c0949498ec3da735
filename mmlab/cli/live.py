"""The command that trades live, or against a paper server on the same wire."""

from __future__ import annotations

import argparse

from mmlab.cli.command import DONE, INTERRUPTED, Command, Parser, config_of, progress_bar, refuse_existing
from mmlab.cli.runs import run_arguments, show


def live_arguments(one: Parser) -> None:
    """Arguments of `live`."""
    run_arguments(one, "live")
    one.add_argument("--dry-run", action="store_true", help="sign and log every order, send none")
    one.add_argument("--duration", metavar="S", type=float, help="stop after S seconds (default: until interrupted)")
    one.add_argument("--warmup", metavar="FEED", help="warm up on a recording instead of listening first")
    one.add_argument("--paper", metavar="URL", help="trade against a paper server (mmlab paper-server) instead")
    one.add_argument(
        "--paper-keys", metavar="FILE", help="with --paper: a file with the server's ready line; - is standard input"
    )
    one.add_argument(
        "--allow-remote-paper", action="store_true", help="with --paper: the server may be on another machine"
    )


def live(options: argparse.Namespace) -> int:
    """Trade live."""
    from mmlab.lab.paper import live_session, trade

    refuse_existing(options.out)
    session = live_session(
        config_of(options), paper_url=options.paper, paper_keys=options.paper_keys, remote=options.allow_remote_paper,
        dry_run=options.dry_run, warmup=options.warmup, name=options.name, out=options.out, seed=options.seed,
    )  # fmt: skip
    with progress_bar("Trading") as advance:
        run = trade(session, options.duration, advance)
    if not options.no_report:
        run.report()
    show(run)
    return INTERRUPTED if run.info.ended.startswith("interrupted") else DONE


COMMANDS = (
    Command(
        "live",
        "Trade on Lighter, if the config is armed; or with --dry-run, or against a paper server.",
        "mmlab live --paper http://127.0.0.1:8800 --paper-keys ready.json --set venue.market=BTC --duration 60",
        live_arguments,
        live,
    ),
)
