"""A live venue for a session: whether it may trade there, and what has to run beside the engine."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mmlab.config import Config
from mmlab.engine.engine import Engine
from mmlab.engine.setup import Log
from mmlab.errors import ConfigError, VenueError
from mmlab.events import NS_PER_S, Switch
from mmlab.instrument import Instrument
from mmlab.lab.access import PAPER, Live
from mmlab.lab.backtesting import setting_dict
from mmlab.lab.market import fit_of, live_clock, live_warm_up
from mmlab.lab.safety import require_armed, require_loopback
from mmlab.resolve import WarmUp
from mmlab.telemetry.info import RunInfo
from mmlab.venues.protocol import Venue

if TYPE_CHECKING:
    from mmlab.lab.plan import Plan
    from mmlab.venues.lighter import LighterVenue

LEAST_S = 2.0
"""A plan to cancel all may be missing so long before the switch trips: to renew it is to call it off first."""


def live_of(config: Config, *, paper: str | Path | Mapping[str, Any] | None, dry_run: bool, remote: bool) -> Live:
    """Check that a session may trade there.

    Parameters
    ----------
    config : Config
    paper : dict or path, optional
        A paper server's ready line, or a file that holds it.
    dry_run : bool
    remote : bool
        A paper server need not be on this machine.

    Raises
    ------
    SafetyError
        Not armed, or a paper server that is elsewhere.
    ConfigError
        What `paper` holds is no ready line.
    """
    if paper is None:
        require_armed(config, dry_run=dry_run)
        return Live(None, dry_run)
    ready = ready_line(paper)
    for url in (ready["url"], ready["ws"]):
        require_loopback(url, allow_remote=remote)
    if not config.venue.market:
        raise ConfigError("venue.market: which market of the paper server? (its symbol, or id; a recording's is 0)")
    return Live(ready, dry_run)


def ready_line(paper: str | Path | Mapping[str, Any]) -> dict[str, Any]:
    """A paper server's ready line, checked; no message of an error repeats what it holds."""
    if isinstance(paper, str | Path):
        path = Path(paper)
        try:
            line: Any = json.loads(sys.stdin.readline() if str(paper) == "-" else path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            raise ConfigError(f"{path}: no ready line of a paper server in it (one line of JSON)") from None
    else:
        line = paper
    try:
        accounts = [{"index": int(a["index"]), "api_keys": dict(a["api_keys"])} for a in line["accounts"]]
        return {"url": str(line["url"]), "ws": str(line["ws"]), "chain_id": int(line["chain_id"]),
                "accounts": accounts}  # fmt: skip
    except (KeyError, TypeError, ValueError):
        raise ConfigError("not a paper server's ready line: url, ws, chain_id and accounts are needed") from None


class LiveMarket:
    """Lighter, or a paper server that speaks its wire."""

    def __init__(self, plan: Plan, live: Live) -> None:
        self._plan, self._live = plan, live
        self._venue: LighterVenue | None = None
        self._log: Log | None = None

    @property
    def mode(self) -> str:
        """Whether orders are real."""
        return "paper" if self._live.paper is not None or self._live.dry_run else "live"

    @property
    def _opened(self) -> LighterVenue:
        if self._venue is None:
            raise VenueError("the venue is not connected yet")
        return self._venue

    @property
    def instrument(self) -> Instrument:
        """As the venue describes it."""
        return self._opened.instrument

    async def open(self) -> None:
        """Connect, and learn what the market and the account are."""
        from mmlab.venues.lighter import LighterVenue

        config, live = self._plan.config, self._live
        self._venue = await LighterVenue.open(
            live.endpoint(config), live.credentials(config), market_name(config.venue.market), clock=live_clock(),
            log=self._say, dry_run=live.dry_run, submit=config.venue.submit,
        )  # fmt: skip

    def _say(self, event: str, **fields: Any) -> None:
        """The adapter's words go to the session's log, once there is one."""
        if self._log is not None:
            self._log.info(event, ts_ns=self._opened.clock.now_ns(), **fields)

    async def warm_up(self, log: Log) -> WarmUp:
        """By the plan's feed if there is one, else by listening."""
        feed, config, self._log = self._plan.feed, self._plan.config, log
        return fit_of(feed, config) if feed is not None else await live_warm_up(self._opened, config, log)

    def venue(self, _: np.ndarray[Any, Any]) -> Venue:
        """The venue as it was opened."""
        return self._opened

    def info(self) -> RunInfo:
        """Where it trades, never with what keys."""
        plan, live, venue = self._plan, self._live, self._plan.config.venue
        paper = live.paper is not None
        return RunInfo(
            name=plan.name, mode=self.mode, venue="lighter", seed=plan.seed,
            queue=plan.queue, latency={"source": "measured"}, setting=setting_dict(plan.setting),
            market={"source": PAPER if paper else f"lighter {venue.profile}", "synthetic": False,
                    "market": venue.market, "account_index": live.account_index(plan.config),
                    "dry_run": live.dry_run},
        )  # fmt: skip

    def done(self, engine: Engine, duration_s: float | None) -> float | None:
        """By the time it is to trade."""
        if duration_s is None:
            return None
        return min(1.0, (engine.now() - engine.began_ns) / max(1.0, duration_s * NS_PER_S))

    def beside(self, engine: Engine) -> None:
        """The dead-man's switch."""
        engine.supervisor.start("dead_man", lambda: self._keep(engine), restart=True)

    async def _keep(self, engine: Engine) -> None:
        """Keep the venue's scheduled cancel-all ahead of now; a plan that cannot be renewed trips the switch."""
        from mmlab.venues.lighter import DeadMan, Schedule

        venue, config = self._opened, self._plan.config.venue
        schedule = Schedule(config.dead_man_s, config.dead_man_renew_s)
        dead_man = DeadMan(venue.plan_cancel_all, schedule, self._say)
        covered_s = time.time()
        dead_man.start()
        try:
            while True:
                await asyncio.sleep(config.dead_man_renew_s / 4)
                if schedule.covers(time.time()):
                    covered_s = time.time()
                    engine.steering.cleared(Switch.DEAD_MAN)
                elif (missing_s := time.time() - covered_s) > max(LEAST_S, config.dead_man_renew_s / 2):
                    engine.steering.trip(
                        Switch.DEAD_MAN, "the scheduled cancel-all cannot be renewed", cause=True, value=missing_s
                    )
        finally:
            if engine.emptied:
                await dead_man.stop()
            # else the plan stands: should we fail to cancel what is left, the venue does it


def market_name(text: str) -> str | int:
    """A market's symbol, or its id."""
    return int(text) if text.isdigit() else text
