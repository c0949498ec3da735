"""A live venue for a session: whether it may trade there, and what has to run beside the engine."""

from __future__ import annotations

import json
import sys
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
        self._log = LaterLog()

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
            log=self._log, dry_run=live.dry_run, submit=config.venue.submit,
        )  # fmt: skip

    async def warm_up(self, log: Log) -> WarmUp:
        """By the plan's feed if there is one, else by listening."""
        feed, config, self._log.to = self._plan.feed, self._plan.config, log
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

    async def close(self) -> None:
        """Let go of the connection."""
        if self._venue is not None:
            await self._venue.close()

    def beside(self, engine: Engine) -> None:
        """The dead-man's switch, with the supervisor's key: the venue's scheduled cancel-all, kept ahead of now."""
        if self._live.dry_run:
            return
        from mmlab.venues.lighter import DeadMan

        config = self._plan.config
        venue, credentials = config.venue, self._live.supervisor_credentials(config)
        dead_man = DeadMan(
            self._live.endpoint(config), credentials, venue.supervisor_key, ahead_s=venue.dead_man_s,
            renew_s=venue.dead_man_renew_s,
        )  # fmt: skip

        def told(ok: bool, detail: str) -> None:
            if ok:
                engine.steering.cleared(Switch.DEAD_MAN)
            else:
                engine.steering.trip(Switch.DEAD_MAN, detail, cause=True)

        # unless the book is proven empty the plan stands: should we fail to cancel what is left, the venue does it
        engine.supervisor.start("dead_man", lambda: dead_man.run(told, lambda: engine.emptied), restart=True)


class LaterLog:
    """The session's log for an adapter that is there before it: what is said earlier is not kept."""

    def __init__(self) -> None:
        self.to: Log | None = None

    def info(self, event: str, **fields: Any) -> None:
        """Something happened."""
        if self.to is not None:
            self.to.info(event, **fields)


def market_name(text: str) -> str | int:
    """A market's symbol, or its id."""
    return int(text) if text.isdigit() else text
