"""The command line: ``mmlab COMMAND``. Exit status 0 done, 2 bad usage or input, 3 refused for safety.

A command is a `Command`: its arguments, an example, and a function that does the work through `mmlab.lab`. Everything
heavy is imported in these functions, so ``mmlab --help`` is instant. A module a topic, each with its `COMMANDS`.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import Any

from mmlab.cli import dashboard, engines, feeds, lighter, live, machine, paper_server, runs, study
from mmlab.cli.command import DONE, INTERRUPTED, REFUSED, WRONG, Parser
from mmlab.errors import MMLabError, SafetyError

COMMANDS = (
    *runs.COMMANDS, *live.COMMANDS, *engines.COMMANDS, *dashboard.COMMANDS, *study.COMMANDS, *feeds.COMMANDS,
    *lighter.COMMANDS, *paper_server.COMMANDS, *machine.COMMANDS,
)  # fmt: skip


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
