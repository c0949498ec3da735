"""Commands on engines that run: attach, kill, flatten."""

from __future__ import annotations

import argparse

from mmlab.cli.command import DONE, Command, Parser, assignment


def engine_argument(one: Parser) -> None:
    """Which engine."""
    one.add_argument("run", metavar="RUN_DIR", nargs="?", help="its run directory (default: the only one that runs)")


def every_arguments(one: Parser) -> None:
    """Which engines, or all."""
    engine_argument(one)
    one.add_argument("--all", action="store_true", help="every engine of yours on this machine")


def kill_arguments(one: Parser) -> None:
    """Arguments of `kill`."""
    every_arguments(one)
    one.add_argument("--reason", default="mmlab kill", help="written down with the halt (default: mmlab kill)")


def kill(options: argparse.Namespace) -> int:
    """Cancel all and halt."""
    from mmlab.lab import steer

    for client in steer.meant(options.run, every=options.all):
        print(steer.kill(client, options.reason))
    return DONE


def flatten(options: argparse.Namespace) -> int:
    """Leave positions."""
    from mmlab.lab import steer

    for client in steer.meant(options.run, every=options.all):
        print(steer.flatten(client))
    return DONE


def attach_arguments(one: Parser) -> None:
    """Arguments of `attach`."""
    engine_argument(one)
    one.add_argument(
        "--set", metavar="NAME=VALUE", action="append", default=[], help="change a parameter; may be repeated"
    )
    one.add_argument("--rearm", action="store_true", help="quote again after a halt")
    one.add_argument("--stop", action="store_true", help="end the session")
    one.add_argument("--once", action="store_true", help="say what it does now, and leave")


def attach(options: argparse.Namespace) -> int:
    """Say what an engine does; change it if asked to. Ctrl-C leaves it as it is."""
    from mmlab.lab import steer

    (client,) = steer.meant(options.run)
    print(client.run_dir)
    changes = dict(assignment(text) for text in options.set)
    if changes:
        print(f"parameters {client.update(changes, source='mmlab attach')}")
    if options.rearm:
        client.rearm()
    if options.stop:
        client.stop("mmlab attach --stop")
    for line in steer.lines(client):
        print(line, flush=True)
        if options.once:
            break
    return DONE


COMMANDS = (
    Command(
        "attach",
        "Say what a running engine does, change its parameters; Ctrl-C leaves it as it is.",
        "mmlab attach runs/20261126T101500Z-paper --set ladder.offset_ticks=[2,4,6,9]",
        attach_arguments,
        attach,
    ),
    Command(
        "kill",
        "Cancel all orders of a running engine and halt it, until it is re-armed; waits for proof.",
        "mmlab kill --all",
        kill_arguments,
        kill,
    ),
    Command(
        "flatten",
        "Have a running engine leave its position by reduce-only slices; waits.",
        "mmlab flatten runs/20261126T101500Z-paper",
        every_arguments,
        flatten,
    ),
)
