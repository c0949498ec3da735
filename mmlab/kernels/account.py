"""Cash, position, entry price, fees and P&L of one market, linear and inverse (`terms.md`, Net P&L).

Money is in the settle currency: quote for linear, base for inverse contracts. With n signed size (lots * lot_size) and
C the contract size, at every row

    linear   cash + n*C*mid - fees + funding = realised + unrealised - fees + funding
    inverse  cash - n*C/mid - fees + funding = realised + unrealised - fees + funding
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mmlab.kernels.policy import kernel

Array = np.ndarray[Any, Any]

ACCOUNT = np.dtype(
    [
        ("position_lots", "i8"),
        ("cash", "f8"),
        ("entry", "f8"),
        ("realised", "f8"),
        ("fees", "f8"),
        ("funding", "f8"),
        ("volume", "f8"),
        ("fills", "i8"),
        ("marked_net", "f8"),
        ("net_quote", "f8"),
    ],
    align=True,
)
"""The ledger. ``entry`` is the average entry price (harmonic for inverse), 0 when flat; ``fees`` > 0 were paid;
``funding`` > 0 was received; ``volume`` is traded notional in quote currency. ``net_quote`` is net P&L in quote
currency, each increment since the last `account_mark` (``marked_net``) converted at its own mid."""


@kernel
def value_of(size: float, price: float, contract_size: float, inverse: bool) -> float:
    """Worth of a signed size at `price` as the ledger books it: a rise of the price raises it."""
    return -size * contract_size / price if inverse else size * contract_size * price


@kernel
def notional_quote(size: float, price: float, contract_size: float, inverse: bool) -> float:
    """Notional of a size in quote currency."""
    return abs(size) * contract_size if inverse else abs(size) * contract_size * price


@kernel
def average_entry(held: float, entry: float, added: float, price: float, inverse: bool) -> float:
    """Average price of two sizes of one sign: arithmetic, harmonic for inverse."""
    if held == 0.0:
        return price
    if inverse:
        return (held + added) / (held / entry + added / price)
    return (held * entry + added * price) / (held + added)


@kernel
def account_fill(
    a: Any, side: int, price: float, lots: int, fee: float, lot_size: float, contract_size: float, inverse: bool
) -> None:
    """Book a fill of `lots` > 0 on `side` (+1 bid, -1 ask); `fee` in settle currency, > 0 paid.

    A fill through zero closes the old position at its entry and opens the rest at the fill price.
    """
    held_lots, fill_lots = a.position_lots, side * lots
    a.cash -= value_of(fill_lots * lot_size, price, contract_size, inverse)
    a.fees += fee
    a.volume += notional_quote(lots * lot_size, price, contract_size, inverse)
    a.fills += 1
    a.position_lots = held_lots + fill_lots
    if held_lots == 0 or (held_lots > 0) == (side > 0):
        a.entry = average_entry(held_lots * lot_size, a.entry, fill_lots * lot_size, price, inverse)
        return
    closed = -side * min(abs(held_lots), lots) * lot_size
    a.realised += value_of(closed, price, contract_size, inverse) - value_of(closed, a.entry, contract_size, inverse)
    if a.position_lots == 0:
        a.entry = 0.0
    elif (a.position_lots > 0) == (side > 0):
        a.entry = price


@kernel
def account_funding(a: Any, mark: float, rate: float, lot_size: float, contract_size: float, inverse: bool) -> float:
    """Book funding at its instant, on fills strictly before it; return the amount (> 0 received).

    Linear: ``-position*mark*rate``; inverse, in base: ``-(n*C/mark)*rate``.
    """
    size = a.position_lots * lot_size * contract_size
    amount = -(size / mark if inverse else size * mark) * rate
    a.funding += amount
    return amount


@kernel
def account_unrealised(a: Any, mid: float, lot_size: float, contract_size: float, inverse: bool) -> float:
    """Worth of the open position at `mid` less at its entry; 0 when flat, NaN without a mid."""
    if a.position_lots == 0:
        return 0.0
    size = a.position_lots * lot_size
    return value_of(size, mid, contract_size, inverse) - value_of(size, a.entry, contract_size, inverse)


@kernel
def account_net(a: Any, mid: float, lot_size: float, contract_size: float, inverse: bool) -> float:
    """Net P&L in settle currency: realised + unrealised - fees + funding, at `mid`."""
    return a.realised + account_unrealised(a, mid, lot_size, contract_size, inverse) - a.fees + a.funding


@kernel
def account_equity(a: Any, mid: float, lot_size: float, contract_size: float, inverse: bool) -> float:
    """The same from the ledger: cash + worth of the position - fees + funding, at `mid`."""
    worth = 0.0
    if a.position_lots != 0:
        worth = value_of(a.position_lots * lot_size, mid, contract_size, inverse)
    return a.cash + worth - a.fees + a.funding


@kernel
def account_mark(a: Any, mid: float, lot_size: float, contract_size: float, inverse: bool) -> float:
    """Bring ``net_quote`` up to `mid` and return it. A NaN mid leaves it as it was."""
    if np.isnan(mid):
        return a.net_quote
    net = account_net(a, mid, lot_size, contract_size, inverse)
    a.net_quote += (net - a.marked_net) * (mid if inverse else 1.0)
    a.marked_net = net
    return a.net_quote


@kernel
def per_million(net_quote: float, notional: float) -> float:
    """P&L per million of traded notional; NaN when nothing traded."""
    return 1e6 * net_quote / notional if notional > 0.0 else np.nan
