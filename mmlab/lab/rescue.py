"""Cancelling everything at a live venue without the engine: the supervisor's last duty."""

from __future__ import annotations

import asyncio
import tomllib
from dataclasses import dataclass, field
from typing import Any

from mmlab.config import Config
from mmlab.lab.access import Live
from mmlab.venues.lighter.endpoint import Endpoint
from mmlab.venues.lighter.keys import Credentials
from mmlab.venues.lighter.rescue import cancel_everything

TRIES_S = 600.0
"""How long a venue that does not answer is asked again."""


@dataclass(frozen=True)
class Rescue:
    """Where, and with which key."""

    endpoint: Endpoint
    credentials: Credentials = field(repr=False)
    key: int

    @classmethod
    def of(cls, plan: dict[str, Any]) -> Rescue:
        """From a plan as it crosses to the engine's process."""
        config, live = Config(**tomllib.loads(plan["config"])), Live(**plan["live"])
        key = config.venue.supervisor_key
        return cls(live.endpoint(config), live.supervisor_credentials(config), key)

    def __call__(self) -> str:
        """Cancel all; what came of it, in words."""
        try:
            seen = asyncio.run(cancel_everything(self.endpoint, self.credentials, self.key, patience_s=TRIES_S))
        except Exception as error:  # noqa: BLE001  whatever it was, the run directory is to say so
            return f"failed: {type(error).__name__}: {error}"
        return f"all cancelled: {seen} orders were open"
