"""The account over arrays: P&L after each of many fills and marks, and over windows (`terms.md`, Net P&L)."""

from __future__ import annotations

from typing import Any

import numpy as np

from mmlab.kernels.account import account_fill, account_mark, account_net, account_unrealised, per_million
from mmlab.kernels.markout_table import count_until
from mmlab.kernels.policy import kernel

Array = np.ndarray[Any, Any]

LEDGER = np.dtype(
    [
        ("position_lots", "i8"),
        ("cash", "f8"),
        ("entry", "f8"),
        ("realised", "f8"),
        ("unrealised", "f8"),
        ("fees", "f8"),
        ("volume", "f8"),
        ("net_quote", "f8"),
    ],
    align=True,
)
"""The account after a row; money in settle currency but for ``volume`` and ``net_quote`` (quote)."""


@kernel
def account_table(
    fill: Array, mid: Array, side: Array, price: Array, lots: Array, fee: Array,
    lot_size: float, contract_size: float, inverse: bool, a: Any, out: Array,
) -> None:  # fmt: skip
    """Book fills and mark the account at each row.

    Parameters
    ----------
    fill : ndarray of int64, shape (n,)
        Index of the fill each row books, -1 for a row that only marks.
    mid : ndarray of float64, shape (n,)
        Last valid mid at each row; NaN before the first.
    side, price, lots, fee : ndarray, shape (m,)
        The fills.
    a : ACCOUNT row
        Zeroed.
    out : ndarray of LEDGER, shape (n,)
        Written.
    """
    for i in range(fill.size):
        k = fill[i]
        if k >= 0:
            account_fill(a, side[k], price[k], lots[k], fee[k], lot_size, contract_size, inverse)
        row = out[i]
        row.position_lots, row.cash, row.entry = a.position_lots, a.cash, a.entry
        row.realised, row.fees, row.volume = a.realised, a.fees, a.volume
        row.unrealised = account_unrealised(a, mid[i], lot_size, contract_size, inverse)
        account_mark(a, mid[i], lot_size, contract_size, inverse)
        known = not np.isnan(mid[i]) or (a.position_lots == 0 and not inverse)
        row.net_quote = a.net_quote if known else np.nan


@kernel
def pnl_windows(
    ns: Array, mid: Array, start_mid: Array, ledger: Array, window_ns: int,
    lot_size: float, contract_size: float, inverse: bool, a: Any, out: Array,
) -> None:  # fmt: skip
    """Change of P&L over ``(t - window_ns, t]`` at each row, per million of notional traded in it.

    Parameters
    ----------
    ns, mid, ledger : ndarray, shape (n,)
        Rows of `account_table`, ascending in time.
    start_mid : ndarray of float64, shape (n,)
        Last valid mid at each row's window start.
    a : ACCOUNT row
        Scratch.
    out : ndarray of float64, shape (4, n)
        Written: P&L per million, change of net P&L by inventory carried in, by fills in the window, notional (quote).
    """
    started = 0
    for i in range(ns.size):
        started = count_until(ns, started, ns[i] - window_ns)
        held, net, volume = 0.0, 0.0, 0.0
        if started > 0:
            row = ledger[started - 1]
            a.position_lots, a.entry, a.realised, a.fees = row.position_lots, row.entry, row.realised, row.fees
            at_row = account_net(a, mid[started - 1], lot_size, contract_size, inverse)
            at_start = account_net(a, start_mid[i], lot_size, contract_size, inverse)
            at_end = account_net(a, mid[i], lot_size, contract_size, inverse)
            net = row.net_quote + (at_start - at_row) * (start_mid[i] if inverse else 1.0)
            held = (at_end - at_start) * (mid[i] if inverse else 1.0)
            volume = row.volume
        change, notional = ledger[i].net_quote - net, ledger[i].volume - volume
        out[0, i] = per_million(change, notional)
        out[1, i], out[2, i], out[3, i] = held, change - held, notional
