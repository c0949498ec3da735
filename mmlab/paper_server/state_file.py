"""The server's memory on disk: accounts, live orders and nonces. One JSON file, always whole."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from mmlab.errors import ConfigError
from mmlab.paper_server.desk import Desk
from mmlab.paper_server.frames import TradeView
from mmlab.paper_server.ledger import Key, Position, Quota
from mmlab.paper_server.orders import Order
from mmlab.paper_server.units import Units

VERSION = 1


class KeptAccount(msgspec.Struct):
    """An account as it is kept. Public keys only, unless the server made the private ones itself."""

    index: int
    collateral: int
    margin_fraction: int
    keys: dict[int, Key]
    private_keys: dict[int, str]
    position: Position
    quota: Quota
    fees: int
    volume: int
    trades_made: int
    orders: list[Order]
    over: list[Order]
    trades: list[TradeView]
    cancel_all_ns: int
    orders_made: int
    trading_mode: int
    margin_mode: int
    allocated: int
    created_ns: int


class Kept(msgspec.Struct):
    """A file."""

    version: int
    market: str
    units: Units
    next_order: int
    next_trade: int
    sequence: int
    accounts: list[KeptAccount]


_COPIED = (
    "index", "collateral", "margin_fraction", "keys", "position", "quota", "fees", "volume", "trades_made",
    "cancel_all_ns", "orders_made", "trading_mode", "margin_mode", "allocated", "created_ns",
)  # fmt: skip
MOST_OVER = 200
"""Orders that are over, and trades, kept an account."""


def kept(desk: Desk, private_keys: dict[int, dict[int, str]]) -> Kept:
    """What is worth keeping of a desk."""
    return Kept(VERSION, desk.symbol, desk.units, desk.next_order, desk.tape.next_id, desk.sequence, [
        KeptAccount(
            **{name: getattr(account, name) for name in _COPIED}, orders=list(account.orders.values()),
            private_keys=private_keys.get(account.index, {}), over=list(account.over.values())[-MOST_OVER:],
            trades=list(account.trades)[-MOST_OVER:],
        ) for account in desk.accounts.values()
    ])  # fmt: skip


def write(path: Path, what: Kept) -> None:
    """Replace the file; whoever reads sees the old one or the new one. Mode 0600, for it may hold keys."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.touch(0o600)
    beside.write_bytes(msgspec.json.encode(what))
    beside.replace(path)


def read(path: Path) -> Kept | None:
    """What was kept; None: nothing yet.

    Raises
    ------
    ConfigError
        The file is not one of ours.
    """
    if not path.exists():
        return None
    try:
        found = msgspec.json.decode(path.read_bytes(), type=Kept)
    except (OSError, msgspec.DecodeError) as error:
        raise ConfigError(f"state file {path}: {error}; move it away to begin anew") from None
    if found.version != VERSION:
        raise ConfigError(f"state file {path}: version {found.version}, not {VERSION}; move it away to begin anew")
    return found


def restore(desk: Desk, found: Kept, now_ns: int) -> None:
    """Give a new desk what was kept; live orders are at the back of their queues again.

    Raises
    ------
    ConfigError
        It is of another market.
    """
    if (found.market, found.units) != (desk.symbol, desk.units):
        raise ConfigError(
            f"the state is of {found.market}, the feed of {desk.symbol}: serve the same market, or move it"
        )
    desk.next_order, desk.sequence = max(desk.next_order, found.next_order), found.sequence
    desk.tape.next_id = max(desk.tape.next_id, found.next_trade)
    for one in found.accounts:
        account = desk.accounts[one.index]
        for name in _COPIED:
            setattr(account, name, getattr(one, name))
        account.quota.on = account.tier.quota
        for order in one.over:
            account.end(order)
        account.trades.extend(one.trades)
        desk.resume(account, one.orders, now_ns)


def keys_of(found: Kept) -> dict[int, dict[int, tuple[str, str]]]:
    """Accounts and keys as they were."""
    return {
        one.index: {i: (one.private_keys.get(i, ""), key.public_key) for i, key in one.keys.items()}
        for one in found.accounts
    }
