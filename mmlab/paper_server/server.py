"""`serve`: the paper server from its options to its end."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from aiohttp import web

from mmlab.errors import ConfigError, SafetyError
from mmlab.events import NS_PER_MS, NS_PER_S
from mmlab.feeds import Feed, load_feed
from mmlab.paper_server import state_file
from mmlab.paper_server.clock import ServerClock
from mmlab.paper_server.core import Core
from mmlab.paper_server.desk import Desk
from mmlab.paper_server.faulty import Faults, load_plan
from mmlab.paper_server.judge import Judge, Rules
from mmlab.paper_server.keys import Keys, load_keys, make_keys
from mmlab.paper_server.ledger import Account, Key, Quota
from mmlab.paper_server.market import Market
from mmlab.paper_server.rest import Rest
from mmlab.paper_server.state_file import Kept
from mmlab.paper_server.stream import Stream
from mmlab.paper_server.tiers import Tier, tier_of
from mmlab.paper_server.units import Units, in_units
from mmlab.paper_server.upstream import Upstream
from mmlab.paper_server.wire import stopped
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
    until_eof: bool = False
    queue: str = "risk_averse"
    faults: Path | None = None
    chain_id: int = CHAIN_ID

    def __post_init__(self) -> None:
        if not 0 < self.speed < 1e6:
            raise ConfigError(f"--speed {self.speed}: must be > 0 and < 1e6")
        if self.feed.startswith(("ws://", "wss://")) and (self.speed != 1.0 or self.loop):
            raise ConfigError("--speed and --loop: a live feed has its own time")
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


def build(options: Options, upstream: Upstream | None = None) -> tuple[Core, Keys]:
    """Everything but the sockets; `upstream` must be open."""
    found = None if options.state is None else state_file.read(options.state)
    keys = _keys(options, found)
    tier = tier_of(options.tier)
    tier = tier if options.limits else tier.unlimited()
    tier = tier if options.latency_ms is None else tier.with_latency(options.latency_ms)
    market, units = _market(options) if upstream is None else upstream.opened
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
    faults = None if options.faults is None else Faults(load_plan(options.faults), clock.now_ns())
    core = Core(desk, Judge(rules, accounts, market.book), tier, faults)
    core.pump()
    if found is not None:
        state_file.restore(desk, found, clock.now_ns())
    if options.state is not None:
        core.keep = _keeper(options.state, desk, keys)
        core.keep()
    return core, keys


def _market(options: Options) -> tuple[Market, Units]:
    feed, units = in_units(feed_of(options.feed))
    return Market(feed, loop=options.loop), units


def _keys(options: Options, found: Kept | None) -> Keys:
    if found is not None:
        return state_file.keys_of(found)
    if options.keys is not None:
        return load_keys(options.keys)
    return make_keys(options.accounts, options.keys_per_account, MIN_OWN_API_KEY)


def _keeper(path: Path, desk: Desk, keys: Keys) -> Callable[[], None]:
    private = {account: {i: pair[0] for i, pair in pairs.items()} for account, pairs in keys.items()}

    def keep() -> None:
        try:
            state_file.write(path, state_file.kept(desk, private))
        except OSError as error:
            raise ConfigError(f"state file {path}: {error.strerror}") from None

    return keep


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
    asyncio.run(_serve(options))


async def _serve(options: Options) -> None:
    upstream = None
    if options.feed.startswith(("ws://", "wss://")):
        upstream = Upstream(options.feed, options.market_id)
        await upstream.open()
    core, keys = build(options, upstream)
    loop, over = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, over.set)
    if options.until_eof:
        loop.add_reader(sys.stdin.fileno(), end_at_eof, over)
    runner = web.AppRunner(application(core, options.chain_id), access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    pump = asyncio.create_task(core.run())
    tasks: list[asyncio.Task[None]] = [pump]
    if upstream is not None:
        tasks.append(asyncio.create_task(upstream.run(lambda: core.desk.clock.market_ns(core.now_ns))))
    for task in tasks:
        task.add_done_callback(lambda _: over.set())
    try:
        site = web.TCPSite(runner, options.host, options.port)
        try:
            await site.start()
        except OSError as error:
            raise ConfigError(f"cannot listen on {options.host}:{options.port}: {error.strerror}") from None
        print(json.dumps(told(options, keys, runner.addresses[0][1])), flush=True)  # noqa: T201 - what it is for
        await over.wait()
        for task in tasks:
            if task.done() and not task.cancelled():
                task.result()
    finally:
        for task in tasks:
            await stopped(task)
        for client in list(core.hub.clients.values()):
            await client.socket.close()
        await runner.cleanup()
        sys.stdout.flush()


def end_at_eof(over: asyncio.Event) -> None:
    """Standard input has something: end, if that is its end."""
    if not os.read(sys.stdin.fileno(), 4096):
        over.set()


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
