"""`serve`: the paper server from its options to its end."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from aiohttp import web

from mmlab.errors import ConfigError, SafetyError
from mmlab.events import NS_PER_MS, NS_PER_S
from mmlab.feeds import Feed, load_feed
from mmlab.paper_server.clock import ServerClock
from mmlab.paper_server.core import Core, stopped
from mmlab.paper_server.desk import Desk
from mmlab.paper_server.judge import Judge, Rules
from mmlab.paper_server.keys import Keys, load_keys, make_keys
from mmlab.paper_server.ledger import Account, Key, Quota
from mmlab.paper_server.market import Market
from mmlab.paper_server.rest import Rest
from mmlab.paper_server.stream import Stream
from mmlab.paper_server.tiers import Tier, tier_of
from mmlab.paper_server.units import Units, in_units
from mmlab.wire.lighter_terms import DEFAULT_MARGIN_FRACTION, MIN_OWN_API_KEY, MIN_SCHEDULE_NS, STREAM

CHAIN_ID = 304
"""The official client's for every host that it does not know."""
SYNTHETIC = "synthetic"


@dataclass(frozen=True)
class Options:
    """Of a server. ``feed``: a feed file, or ``synthetic`` or ``synthetic:SEED``; ``collateral`` USD an account."""

    feed: str
    speed: float = 1.0
    loop: bool = False
    host: str = "127.0.0.1"
    port: int = 0
    any_host: bool = False
    tier: str = "premium"
    limits: bool = True
    latency_ms: float | None = None
    accounts: int = 2
    keys_per_account: int = 5
    keys: Path | None = None
    state: Path | None = None
    market_id: int = 0
    collateral: float = 100_000.0
    min_schedule_s: float = MIN_SCHEDULE_NS / NS_PER_S
    fat_finger: float = 0.05
    queue: str = "risk_averse"
    chain_id: int = CHAIN_ID

    def __post_init__(self) -> None:
        if not 0 < self.speed < 1e6:
            raise ConfigError(f"--speed {self.speed}: must be > 0 and < 1e6")
        if not 0 <= self.market_id <= 254:
            raise ConfigError(f"--market-id {self.market_id}: perpetuals have 0 to 254")
        if not 0 <= self.port < 1 << 16:
            raise ConfigError(f"--port {self.port}: must be 0 (any) to 65535")
        if self.latency_ms is not None and not 0 <= self.latency_ms <= 60_000:
            raise ConfigError(f"--latency-ms {self.latency_ms}: must be 0 to 60000")
        if not 0 < self.collateral <= 1e12 or not self.min_schedule_s >= 0 or not 0 <= self.fat_finger <= 1:
            raise ConfigError("--collateral must be > 0, --min-schedule-s >= 0, --fat-finger a share of 0 to 1")
        if not self.any_host and not is_loopback(self.host):
            raise SafetyError(
                f"--host {self.host} is not loopback: anyone there could trade; add --any-host to allow it"
            )


def is_loopback(host: str) -> bool:
    """Whether a host is this machine alone."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def feed_of(text: str) -> Feed:
    """A feed by file name, or a generated one."""
    kind, _, seed = text.partition(":")
    if kind != SYNTHETIC:
        return load_feed(text)
    from mmlab.feeds.synthetic import synthetic_feed

    if seed and not seed.isdecimal():
        raise ConfigError(f"--feed {text}: the seed must be a whole number")
    return synthetic_feed(seed=int(seed or 0))


def build(options: Options) -> tuple[Core, Keys]:
    """Everything but the sockets."""
    keys = (
        make_keys(options.accounts, options.keys_per_account, MIN_OWN_API_KEY)
        if options.keys is None
        else load_keys(options.keys)
    )
    feed, units = in_units(feed_of(options.feed))
    tier = tier_of(options.tier)
    tier = tier if options.limits else tier.unlimited()
    tier = tier if options.latency_ms is None else tier.with_latency(options.latency_ms)
    market = Market(feed, loop=options.loop)
    clock = ServerClock(market.begin_ns, options.speed)
    now_ns = clock.now_ns()
    accounts = {index: _account(index, found, tier, units, options.collateral, now_ns) for index, found in keys.items()}
    desk = Desk(market, accounts, units, clock, options.market_id, now_ns // NS_PER_MS, options.queue)
    for account in accounts.values():
        desk.exchange_of(account)  # may compile, so before time begins
    clock.begin()
    instrument = market.instrument
    rules = Rules(
        options.market_id, instrument.min_size_lots, round(instrument.min_notional * 10**6) * units.money // 10**12,
        round(options.min_schedule_s * NS_PER_S), fat_finger=options.fat_finger,
    )  # fmt: skip
    core = Core(desk, Judge(rules, accounts, market.book), tier)
    core.pump()
    return core, keys


def _account(
    index: int, keys: dict[int, tuple[str, str]], tier: Tier, units: Units, collateral: float, now_ns: int
) -> Account:
    return Account(
        index, f"0x{index:040x}", tier, round(collateral * 100) * units.money // 100, DEFAULT_MARGIN_FRACTION,
        keys={i: Key(public) for i, (_, public) in keys.items()}, quota=Quota(on=tier.quota), created_ns=now_ns,
    )  # fmt: skip


def application(core: Core, chain_id: int) -> web.Application:
    """The endpoints."""
    app = web.Application(client_max_size=1 << 20)
    app.add_routes([*Rest(core, chain_id).routes(), web.get(STREAM, Stream(core).handle)])
    return app


def serve(options: Options) -> None:
    """Serve until SIGINT or SIGTERM; the first line printed says where."""
    core, keys = build(options)
    asyncio.run(_serve(options, core, keys))


async def _serve(options: Options, core: Core, keys: Keys) -> None:
    loop, over = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, over.set)
    runner = web.AppRunner(application(core, options.chain_id), access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    pump = asyncio.create_task(core.run())
    pump.add_done_callback(lambda _: over.set())
    try:
        site = web.TCPSite(runner, options.host, options.port)
        try:
            await site.start()
        except OSError as error:
            raise ConfigError(f"cannot listen on {options.host}:{options.port}: {error.strerror}") from None
        print(json.dumps(told(options, keys, runner.addresses[0][1])), flush=True)  # noqa: T201 - what it is for
        await over.wait()
        if pump.done() and not pump.cancelled():
            pump.result()
    finally:
        await stopped(pump)
        for client in list(core.hub.clients.values()):
            await client.socket.close()
        await runner.cleanup()
        sys.stdout.flush()


def told(options: Options, keys: Keys, port: int) -> dict[str, Any]:
    """The line that says where the server is."""
    host = f"[{options.host}]" if ":" in options.host else options.host
    return {
        "url": f"http://{host}:{port}", "ws": f"ws://{host}:{port}{STREAM}", "chain_id": options.chain_id,
        "market_id": options.market_id, "accounts": [
            {"index": index, "api_keys": {str(i): private for i, (private, _) in found.items()}}
            for index, found in keys.items()
        ],
    }  # fmt: skip
