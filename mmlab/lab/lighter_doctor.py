"""`mmlab doctor lighter`: keys, account, clock, limits, tier and quota, as the venue tells them."""

from __future__ import annotations

import asyncio
from pathlib import Path

from mmlab.config import Config
from mmlab.errors import ConfigError
from mmlab.lab.access import Live
from mmlab.lab.doctor import Check
from mmlab.lab.live import ready_line
from mmlab.venues.lighter.checkup import Checkup
from mmlab.venues.lighter.keys import Credentials


def lighter_doctor(config: Config, paper: str | Path | None = None) -> list[Check]:
    """Every check of the venue that a config names; keys that are not there are said to be missing, not asked for.

    Parameters
    ----------
    config : Config
        Its ``[venue]``.
    paper : path, optional
        A file with a paper server's ready line, to check that one instead.
    """
    live = Live(None if paper is None else ready_line(paper))
    venue = config.venue
    checks: list[Check] = []
    credentials: Credentials | None = None
    account: int | None = None
    try:
        account = live.account_index(config)
        mine, supervisor = live.credentials(config), live.supervisor_credentials(config)
        credentials = Credentials(account, mine.keys | supervisor.keys, venue.cancel_keys)
    except ConfigError as error:
        checks.append(Check("API keys", "fail", str(error), "see docs/lighter.md, Keys"))
    checkup = Checkup(live.endpoint(config), credentials, account, venue.market, venue.supervisor_key)
    findings = asyncio.run(checkup.run())
    return [Check("Venue", "ok", live.endpoint(config).rest), *(Check(*finding) for finding in findings), *checks]
