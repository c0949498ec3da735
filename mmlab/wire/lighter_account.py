"""Lighter's account frames, and the orders, trades and positions in them, as the REST answers have them too. Pure.

Prices and sizes stay decimal strings. A field that is missing though nothing can be concluded without it is an error.
"""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from mmlab.wire.lighter import Id, Micros, Millis

ORDERS, TRADES, POSITIONS, STATS = "account_orders", "account_all_trades", "account_all_positions", "user_stats"
T = TypeVar("T")


class Order(msgspec.Struct):
    """An order of the account; times: ms, µs."""

    order_index: Id
    client_order_index: Id
    market_index: Id
    initial_base_amount: str
    remaining_base_amount: str
    filled_base_amount: str
    price: str
    is_ask: bool
    status: str
    time_in_force: str = ""
    reduce_only: bool = False
    updated_at: Millis = 0
    timestamp: Millis = 0
    transaction_time: Micros = 0


class AccountTrade(msgspec.Struct):
    """A trade of the account; times: ms, µs."""

    trade_id: Id
    market_id: Id
    size: str
    price: str
    ask_id: Id
    bid_id: Id
    ask_account_id: Id
    bid_account_id: Id
    is_maker_ask: bool
    ask_client_id: Id = 0
    bid_client_id: Id = 0
    timestamp: Millis = 0
    transaction_time: Micros = 0
    type: str = "trade"

    @property
    def exch_ns(self) -> int:
        """When it was matched."""
        return self.transaction_time * 1000 if self.transaction_time else self.timestamp * 1_000_000


class Position(msgspec.Struct):
    """A position: size without sign, and sign; where it would be liquidated (0 or nothing: nowhere)."""

    market_id: Id
    position: str
    sign: int = 0
    liquidation_price: str = ""


class OrdersFrame(msgspec.Struct):
    """Frame of ``account_orders/M/A``: orders by market."""

    type: str
    channel: str
    orders: dict[str, list[Order]]


class TradesFrame(msgspec.Struct):
    """Frame of ``account_all_trades/A``: trades by market; the first frame may have a list or nothing."""

    type: str
    channel: str
    trades: dict[str, list[AccountTrade]] | list[AccountTrade] | None = None

    @property
    def is_snapshot(self) -> bool:
        """Whether it repeats old trades."""
        return self.type.startswith("subscribed/")

    def all(self) -> list[AccountTrade]:
        """The trades, whatever they were packed in."""
        if isinstance(self.trades, dict):
            return [trade for some in self.trades.values() for trade in some]
        return self.trades or []


class PositionsFrame(msgspec.Struct):
    """Frame of ``account_all_positions/A``."""

    type: str
    channel: str
    positions: dict[str, Position] | None = None


class Stats(msgspec.Struct):
    """Collateral and margin, quote currency."""

    collateral: str = ""
    portfolio_value: str = ""
    available_balance: str = ""
    margin_usage: str = ""
    leverage: str = ""


class StatsFrame(msgspec.Struct):
    """Frame of ``user_stats/A``."""

    type: str
    channel: str
    stats: Stats


AccountFrame = OrdersFrame | TradesFrame | PositionsFrame | StatsFrame
_DECODE: dict[str, Any] = {
    ORDERS: msgspec.json.Decoder(OrdersFrame).decode,
    TRADES: msgspec.json.Decoder(TradesFrame).decode,
    POSITIONS: msgspec.json.Decoder(PositionsFrame).decode,
    STATS: msgspec.json.Decoder(StatsFrame).decode,
}


def decode(family: str, text: bytes) -> AccountFrame | None:
    """An account frame of the family that its type names; None for every other kind.

    Raises
    ------
    msgspec.DecodeError
        An account frame without its fields.
    """
    decoder = _DECODE.get(family)
    return None if decoder is None else decoder(text)
