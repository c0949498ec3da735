"""The command that serves the dashboard."""

from __future__ import annotations

import argparse
from pathlib import Path

from mmlab.cli.command import DONE, Command, Parser


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


COMMANDS = (
    Command(
        "dashboard",
        "Serve the dashboard: every run in a folder, live or over; KILL works while every notebook is busy.",
        "mmlab dashboard --runs runs --port 5006",
        dashboard_arguments,
        dashboard,
    ),
)
