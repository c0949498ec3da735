"""Names of channels: ``order_book/0`` in requests, ``order_book:0`` in frames. Pure."""

from __future__ import annotations

from typing import NamedTuple

from mmlab.paper_server.candles import RESOLUTIONS_MS
from mmlab.paper_server.transactions import Refusal
from mmlab.wire.lighter_terms import ALL_MARKETS, Code

MARKET, ACCOUNT = "M", "A"
FAMILIES: dict[str, tuple[tuple[str, ...], bool]] = {
    "order_book": ((MARKET,), False),
    "ticker": ((MARKET,), False),
    "trade": ((MARKET,), False),
    "market_stats": ((MARKET,), False),
    "spot_market_stats": ((MARKET,), False),
    "candle": ((MARKET, "RES"), False),
    "mark_price_candle": ((MARKET, "RES"), False),
    "height": ((), False),
    "account_all": ((ACCOUNT,), False),
    "account_market": ((MARKET, ACCOUNT), True),
    "user_stats": ((ACCOUNT,), False),
    "account_tx": ((ACCOUNT,), True),
    "account_all_orders": ((ACCOUNT,), True),
    "account_orders": ((MARKET, ACCOUNT), True),
    "account_all_trades": ((ACCOUNT,), True),
    "account_all_positions": ((ACCOUNT,), True),
    "account_all_assets": ((ACCOUNT,), True),
}
"""Family -> its indices, and whether a token is needed."""
HAVE_ALL = ("market_stats", "spot_market_stats")
"""Families with a channel for all markets."""


class Channel(NamedTuple):
    """A channel; ``market`` and ``account`` -1 where it has none."""

    family: str
    name: str
    """Colon form."""
    market: int = -1
    account: int = -1
    resolution: str = ""
    private: bool = False


def parse(text: str, market_id: int, accounts: object) -> Channel:
    """A channel by its name in a request.

    Raises
    ------
    Refusal
        There is no such channel, market or account.
    """
    family, *indices = text.replace(":", "/").split("/")
    if family not in FAMILIES or len(indices) != len(FAMILIES[family][0]):
        raise Refusal(Code.BAD_CHANNEL, f"invalid channel: {text}")
    roles, private = FAMILIES[family]
    market, account, resolution = -1, -1, ""
    for role, index in zip(roles, indices, strict=True):
        if role == "RES":
            if index not in RESOLUTIONS_MS:
                raise Refusal(Code.BAD_CHANNEL, f"invalid channel: {text}: resolution {index}")
            resolution = index
        elif role == MARKET and index == "all" and family in HAVE_ALL:
            market = ALL_MARKETS
        elif not index.isdecimal() or not index.isascii():
            raise Refusal(Code.BAD_CHANNEL, f"invalid channel: {text}")
        elif role == MARKET:
            market = int(index)
            if market != market_id and family != "spot_market_stats":
                raise Refusal(Code.BAD_CHANNEL, f"invalid channel: {text}: no market {market}")
        else:
            account = int(index)
            if account not in accounts:  # type: ignore[operator]
                raise Refusal(Code.ACCOUNT_NOT_FOUND, f"account not found: {account}")
    return Channel(family, ":".join((family, *indices)), market, account, resolution, private)
