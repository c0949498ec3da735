"""The command paper-server: Lighter's wire on a recorded market."""

from __future__ import annotations

import argparse
from pathlib import Path

from mmlab.cli.command import DONE, Command, Parser
from mmlab.errors import ConfigError


def server_arguments(one: Parser) -> None:
    """Arguments of `paper-server`."""
    one.add_argument("--feed", metavar="FEED", required=True, help="a feed file, or synthetic, or synthetic:SEED")
    one.add_argument("--speed", metavar="S", type=float, default=1.0, help="recorded seconds a second (default: 1)")
    one.add_argument("--loop", action="store_true", help="begin the recording again at its end")
    one.add_argument("--port", metavar="P", type=int, default=0, help="port (default: 0, any that is free)")
    one.add_argument("--host", default="127.0.0.1", help="address (default: 127.0.0.1)")
    one.add_argument("--any-host", action="store_true", help="allow a --host that others can reach")
    one.add_argument("--tier", default="premium", help="standard, premium (default), plus or builder")
    one.add_argument("--no-limits", action="store_true", help="no rate limits and no volume quota")
    one.add_argument("--latency-ms", metavar="MS", type=float, help="latency of all transactions, not the tier's")
    one.add_argument("--accounts", metavar="N", type=int, default=2, help="accounts 1 to N (default: 2)")
    one.add_argument("--keys-per-account", metavar="N", type=int, default=5, help="keys from 4 on (default: 5)")
    one.add_argument("--keys", metavar="FILE", type=Path, help="accounts and their keys, instead of throwaway ones")
    one.add_argument("--state", metavar="FILE", type=Path, help="keep accounts, orders and nonces there, and go on")
    one.add_argument("--faults", metavar="FILE", type=Path, help="a TOML file with a fault plan")
    one.add_argument("--market-id", metavar="M", type=int, default=0, help="the market's index (default: 0)")
    one.add_argument("--collateral", metavar="USD", type=float, default=100_000.0, help="of each account (100000)")
    one.add_argument(
        "--min-schedule-s", metavar="S", type=float, default=300.0, help="least scheduled cancel-all (300)"
    )
    one.add_argument(
        "--fat-finger", metavar="SHARE", type=float, default=0.05, help="0 lets every price through (0.05)"
    )


def paper_server(options: argparse.Namespace) -> int:
    """Serve until interrupted."""
    from mmlab.lab.serving import Options, serve

    if options.faults is not None or options.state is not None:
        raise ConfigError("--faults and --state: not yet")
    serve(Options(
        feed=options.feed, speed=options.speed, loop=options.loop, host=options.host, port=options.port,
        any_host=options.any_host, tier=options.tier, limits=not options.no_limits, latency_ms=options.latency_ms,
        accounts=options.accounts, keys_per_account=options.keys_per_account, keys=options.keys, state=options.state,
        market_id=options.market_id, collateral=options.collateral, min_schedule_s=options.min_schedule_s,
        fat_finger=options.fat_finger,
    ))  # fmt: skip
    return DONE


COMMANDS = (
    Command(
        "paper-server",
        "Serve a recorded or generated market over Lighter's REST and WebSocket wire, until interrupted.",
        "mmlab paper-server --feed data/sample.parquet --speed 10 --loop --port 8787",
        server_arguments,
        paper_server,
    ),
)
