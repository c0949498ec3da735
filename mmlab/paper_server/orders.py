"""An order of an account, as it truly is. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from mmlab.events import NS_PER_MS, TargetFlag
from mmlab.paper_server.frames import OrderView
from mmlab.paper_server.units import Units
from mmlab.wire.lighter_terms import (
    ORDER_TYPE_WORDS,
    TIME_IN_FORCE_WORDS,
    OrderStatus,
    OrderType,
    TimeInForce,
)


@dataclass(slots=True)
class Order:
    """An order. Times: wall clock, ns (0: none). ``trigger_ticks`` 0: no trigger."""

    index: int
    account: int
    client_index: int
    side: int
    ticks: int
    lots: int
    type: int
    time_in_force: int
    reduce_only: bool
    expiry_ns: int
    created_ns: int
    tx_hash: str = ""
    trigger_ticks: int = 0
    filled_lots: int = 0
    filled_quote: int = 0
    """Ticks x lots."""
    status: str = OrderStatus.PENDING
    version: int = 0
    nonce: int = 0
    updated_ns: int = 0
    self_trade: int = 0
    parent: int = 0
    trigger_status: str = "na"
    group: tuple[int, ...] = field(default=())
    """Orders that are canceled when this one is filled or canceled (OCO)."""
    children: tuple[int, ...] = field(default=())
    """Orders that become ready when this one is filled (OTO)."""

    @property
    def leaves_lots(self) -> int:
        """Lots not yet filled."""
        return self.lots - self.filled_lots

    @property
    def over(self) -> bool:
        """Whether nothing more happens to it."""
        return self.status not in (OrderStatus.OPEN, OrderStatus.PENDING, OrderStatus.IN_PROGRESS)

    @property
    def flags(self) -> int:
        """`TargetFlag` for the simulated exchange."""
        ioc = self.time_in_force == TimeInForce.IOC or self.type in (
            OrderType.MARKET, OrderType.STOP_LOSS, OrderType.TAKE_PROFIT,
        )  # fmt: skip
        return (
            (TargetFlag.POST_ONLY if self.time_in_force == TimeInForce.POST_ONLY else 0)
            | (TargetFlag.IOC if ioc else 0)
            | (TargetFlag.REDUCE_ONLY if self.reduce_only else 0)
        )

    def view(self, units: Units, market_id: int, symbol: str) -> OrderView:
        """As the venue shows it."""
        ms, left = self.updated_ns // NS_PER_MS, 0 if self.over else self.leaves_lots
        return OrderView(
            order_index=self.index, client_order_index=self.client_index, order_id=str(self.index),
            client_order_id=str(self.client_index), market_index=market_id, market_symbol=symbol,
            owner_account_index=self.account, initial_base_amount=units.size(self.lots), price=units.price(self.ticks),
            nonce=self.nonce, remaining_base_amount=units.size(left), is_ask=self.side < 0, base_size=left,
            base_price=self.ticks, filled_base_amount=units.size(self.filled_lots),
            filled_quote_amount=units.quote(self.filled_quote), side="sell" if self.side < 0 else "buy",
            type=ORDER_TYPE_WORDS[self.type], time_in_force=TIME_IN_FORCE_WORDS[self.time_in_force],
            reduce_only=self.reduce_only, trigger_price=units.price(self.trigger_ticks),
            order_expiry=self.expiry_ns // NS_PER_MS, status=str(self.status), block_height=block_at(self.updated_ns),
            timestamp=ms, created_at=self.created_ns // NS_PER_MS, updated_at=ms,
            transaction_time=self.updated_ns // 1000, order_version=self.version, trigger_status=self.trigger_status,
            parent_order_index=self.parent, parent_order_id=str(self.parent),
        )  # fmt: skip


BLOCK_NS = 100 * NS_PER_MS
"""A block this often."""


def block_at(wall_ns: int) -> int:
    """Height of the block at a wall time."""
    return wall_ns // BLOCK_NS
