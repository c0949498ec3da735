"""Lighter: keys, signer, connections and feeds behind the venue protocol.

Names are loaded on first use: `cancel_everything` must be light.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mmlab.venues.lighter.dead_man import DeadMan
    from mmlab.venues.lighter.endpoint import PROFILES, Endpoint, profile
    from mmlab.venues.lighter.keys import Credentials, Secret
    from mmlab.venues.lighter.rescue import cancel_everything
    from mmlab.venues.lighter.venue import LighterVenue

_HOME = {
    "DeadMan": "dead_man",
    "PROFILES": "endpoint",
    "Endpoint": "endpoint",
    "profile": "endpoint",
    "Credentials": "keys",
    "Secret": "keys",
    "cancel_everything": "rescue",
    "LighterVenue": "venue",
}
__all__ = ["PROFILES", "Credentials", "DeadMan", "Endpoint", "LighterVenue", "Secret", "cancel_everything", "profile"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
