"""Which exchange a live session is at, and with which keys. Light: the supervisor needs it, too."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from mmlab.config import Config
from mmlab.errors import ConfigError
from mmlab.venues.lighter.endpoint import PROFILES, Endpoint
from mmlab.venues.lighter.keys import Credentials

PAPER = "paper server"


@dataclass(frozen=True)
class Live:
    """Which exchange: the venue's own host, or a paper server with the keys it gave.

    Attributes
    ----------
    paper : dict or None
        The paper server's ready line; None: the venue itself, with keys from the environment or the OS keyring.
    dry_run : bool
        Everything is signed and logged, nothing is sent.
    """

    paper: dict[str, Any] | None = field(default=None, repr=False)
    dry_run: bool = False

    def to_json(self) -> dict[str, Any]:
        """For the engine's process; it holds the paper server's keys, so it only ever goes through a pipe."""
        return {"paper": self.paper, "dry_run": self.dry_run}

    def endpoint(self, config: Config) -> Endpoint:
        """Where to connect."""
        if self.paper is None:
            return PROFILES[config.venue.profile]
        return Endpoint(PAPER, self.paper["url"], self.paper["ws"], self.paper["chain_id"])

    def account_index(self, config: Config) -> int:
        """The account that trades; of a paper server by default its first."""
        index = config.venue.account_index
        if index is None and self.paper is not None:
            index = int(self.paper["accounts"][0]["index"])
        if index is None:
            raise ConfigError("venue.account_index: which account is to trade?")
        return index

    def credentials(self, config: Config) -> Credentials:
        """Keys of a session: for quotes and for cancels.

        Raises
        ------
        ConfigError
            There is none under an index, or the account is not the paper server's.
        """
        venue = config.venue
        return self._keys(config, (*venue.quote_keys, *venue.cancel_keys), venue.cancel_keys)

    def supervisor_credentials(self, config: Config) -> Credentials:
        """The supervisor's key alone."""
        return self._keys(config, (config.venue.supervisor_key,), ())

    def _keys(self, config: Config, indexes: tuple[int, ...], cancels: tuple[int, ...]) -> Credentials:
        """Of the paper server those it told, and no others; else from the environment or the keyring."""
        account = self.account_index(config)
        if self.paper is None:
            return Credentials.from_environment(account, indexes, cancels)
        return Credentials.from_paper(self.paper, account, indexes, cancels)
