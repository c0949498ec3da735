"""Commands on Lighter itself: record."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from mmlab.cli.command import DONE, Command, Parser

PROFILES = ("mainnet", "testnet", "robinhood", "robinhood_testnet")


def record_arguments(one: Parser) -> None:
    """Arguments of `record`."""
    one.add_argument("venue", choices=("lighter",), help="the exchange")
    one.add_argument("--market", required=True, help="symbol, or the venue's market id")
    one.add_argument("--out", metavar="FOLDER", required=True, help="files go here; what is there is gone on with")
    one.add_argument("--profile", choices=PROFILES, default="mainnet", help="which of the venue's hosts")
    one.add_argument("--url", metavar="HTTP_URL", help="another host, such as a paper server's; goes with --ws")
    one.add_argument("--ws", metavar="WS_URL", help="its WebSocket")
    one.add_argument("--duration", metavar="S", type=float, help="stop after so long (default: Ctrl-C)")


def record(options: argparse.Namespace) -> int:
    """Record frames."""
    from mmlab.errors import ConfigError
    from mmlab.lab.lighter_record import endpoint_of, record

    if (options.url is None) != (options.ws is None):
        raise ConfigError("--url and --ws go together")
    endpoint = endpoint_of(options.profile, options.url, options.ws)
    found = record(options.market, options.out, venue=endpoint, duration_s=options.duration, look=_look(), log=_Said())
    trouble = {name: n for name, n in found.counters.items() if n and not name.endswith("_frames")}
    heard = {name.removesuffix("_frames"): n for name, n in found.counters.items() if name.endswith("_frames")}
    print(", ".join(f"{n} {name}" for name, n in heard.items()) or "nothing heard", trouble or "")
    print(*found.files, sep="\n")
    print(found.import_command)
    return DONE


class _Said:
    """Says on the terminal what the recorder met."""

    def info(self, event: str, **fields: Any) -> None:
        print(event, *(f"{name}={value}" for name, value in fields.items()), file=sys.stderr)


def _look() -> Any:
    """A line on a terminal that says how far it is; elsewhere nothing."""
    if not sys.stderr.isatty():
        return None
    return lambda recorder: print(f"\r{recorder.files.lines} frames", end="", file=sys.stderr)


COMMANDS = (
    Command(
        "record",
        "Record a market's frames to files that 'mmlab import --format lighter' reads; Ctrl-C ends it.",
        "mmlab record lighter --market ETH --out recordings/eth",
        record_arguments,
        record,
    ),
)
