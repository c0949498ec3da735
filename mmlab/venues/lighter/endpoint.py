"""Where Lighter is: hosts, and the chain id that goes into every signature."""

from __future__ import annotations

from dataclasses import dataclass

from mmlab.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A Lighter exchange, or a server that speaks like one.

    Parameters
    ----------
    name : str
        For people.
    rest, ws : str
        Addresses: of the REST service without a path, of the WebSocket with its path.
    chain_id : int
        Signed with every transaction.
    """

    name: str
    rest: str
    ws: str
    chain_id: int


PROFILES = {
    endpoint.name: endpoint
    for endpoint in (
        Endpoint(
            "mainnet", "https://mainnet.zklighter.elliot.ai", "wss://mainnet.zklighter.elliot.ai/stream", 304
        ),
        Endpoint(
            "testnet", "https://testnet.zklighter.elliot.ai", "wss://testnet.zklighter.elliot.ai/stream", 300
        ),
        Endpoint("robinhood", "https://api.rh.lighter.xyz", "wss://api.rh.lighter.xyz/stream", 466324),
        Endpoint(
            "robinhood_testnet", "https://api.rh-testnet.lighter.xyz", "wss://api.rh-testnet.lighter.xyz/stream", 300
        ),
    )
}  # fmt: skip
"""Known exchanges by name."""


def profile(name: str) -> Endpoint:
    """A known exchange; raises `ConfigError` for an unknown name."""
    if name not in PROFILES:
        raise ConfigError(f"profile {name!r}: must be one of {', '.join(PROFILES)}")
    return PROFILES[name]
