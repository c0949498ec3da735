"""The command on the machine: doctor."""

from __future__ import annotations

import argparse

from mmlab.cli.command import DONE, WRONG, Command, Parser, config_of


def doctor_arguments(one: Parser) -> None:
    """Arguments of `doctor`."""
    one.add_argument("venue", nargs="?", choices=("lighter",), help="look at this venue instead of the machine")
    one.add_argument("--config", metavar="X.toml", help="whose [venue] section counts")
    one.add_argument(
        "--set", metavar="NAME=VALUE", action="append", default=[], help="change a parameter; may be repeated"
    )
    one.add_argument("--paper-keys", metavar="FILE", help="look at a paper server: a file with its ready line")


def doctor(options: argparse.Namespace) -> int:
    """Print what the doctor finds."""
    from mmlab.lab.doctor import doctor

    if options.venue is None:
        checks = doctor()
    else:
        from mmlab.lab.lighter_doctor import lighter_doctor

        checks = lighter_doctor(config_of(options), options.paper_keys)
    width = max(len(check.name) for check in checks)
    for check in checks:
        print(f"{check.state:<5} {check.name:<{width}}  {check.found}")
        if check.advice:
            print(f"{'':<5} {'':<{width}}  -> {check.advice}")
    return WRONG if any(check.state == "fail" for check in checks) else DONE


COMMANDS = (
    Command(
        "doctor",
        "Say whether this machine is ready, or keys, account and limits at a venue; if not, what to do.",
        "mmlab doctor lighter --config live.toml",
        doctor_arguments,
        doctor,
    ),
)
