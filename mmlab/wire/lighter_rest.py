"""Lighter's REST answers: JSON text -> typed structures. Pure.

Success has ``code`` 200. What a caller cannot do without has no default, so that its lack is an error.
"""

from __future__ import annotations

import msgspec

from mmlab.wire.lighter import Id
from mmlab.wire.lighter_account import AccountTrade, Order, Position


class Answer(msgspec.Struct):
    """What every answer has."""

    code: int
    message: str | None = None


class Market(msgspec.Struct):
    """Metadata of a market. Fees as text, in percent (to verify)."""

    symbol: str
    market_id: Id
    status: str
    min_base_amount: str
    min_quote_amount: str
    supported_size_decimals: int
    supported_price_decimals: int
    supported_quote_decimals: int
    maker_fee: str = "0"
    taker_fee: str = "0"
    order_quote_limit: str = ""
    market_type: str = "perp"


class Markets(Answer):
    """Answer of ``orderBooks``."""

    order_books: list[Market] = msgspec.field(default_factory=list)


class NextNonce(Answer):
    """Answer of ``nextNonce``."""

    nonce: Id = msgspec.field(default=-1)


class Orders(Answer):
    """Answer of ``accountActiveOrders`` and its like."""

    orders: list[Order] | None = None
    next_cursor: str | None = None


class Trades(Answer):
    """Answer of ``trades``."""

    trades: list[AccountTrade] | None = None
    next_cursor: str | None = None


class Account(msgspec.Struct):
    """An account."""

    index: Id = 0
    account_index: Id = 0
    positions: list[Position] | None = None
    total_order_count: int = -1
    cancel_all_time: Id = 0
    collateral: str = ""
    available_balance: str = ""
    status: int = -1


class Accounts(Answer):
    """Answer of ``account``."""

    accounts: list[Account] = msgspec.field(default_factory=list)


class ApiKey(msgspec.Struct):
    """An API key as the venue knows it."""

    api_key_index: int
    nonce: Id = 0
    public_key: str = ""


class ApiKeys(Answer):
    """Answer of ``apikeys``."""

    api_keys: list[ApiKey] = msgspec.field(default_factory=list)


class Limits(Answer):
    """Answer of ``accountLimits``; fee ticks are millionths of the value traded."""

    user_tier: str = ""
    effective_lit_stakes: str = ""
    current_maker_fee_tick: int | None = None
    current_taker_fee_tick: int | None = None


class MakerOnly(Answer):
    """Answer of ``getMakerOnlyApiKeys``."""

    api_key_indexes: list[int] = msgspec.field(default_factory=list)


class Status(msgspec.Struct):
    """Answer of ``/``; time in s."""

    status: int = 0
    network_id: int = 0
    timestamp: int = 0
