"""The command on the machine: doctor."""

from __future__ import annotations

import argparse

from mmlab.cli.command import DONE, WRONG, Command, Parser


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
    Command("doctor", "Say whether this machine is ready; if not, what to do.", "mmlab doctor", no_arguments, doctor),
)
