"""What has happened and is not told yet, account by account. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from mmlab.paper_server.frames import OrderView, TradeView, TxView


@dataclass(slots=True)
class Change:
    """News of an account. ``orders``: as they are now, by index; only the last state of each."""

    orders: dict[int, OrderView] = field(default_factory=dict)
    trades: list[TradeView] = field(default_factory=list)
    txs: list[TxView] = field(default_factory=list)
    money: bool = False
    """Position or balance moved."""


@dataclass(slots=True)
class News:
    """Everything that is not told yet."""

    accounts: dict[int, Change] = field(default_factory=dict)
    trades: list[TradeView] = field(default_factory=list)
    """Public ones."""

    def of(self, account: int) -> Change:
        """News of an account."""
        return self.accounts.setdefault(account, Change())
