"""P&L per million of traded notional."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from mmlab.errors import MMLabError
from mmlab.events import NS_PER_S
from mmlab.kernels.account import ACCOUNT
from mmlab.kernels.account_table import LEDGER, account_table, pnl_windows
from mmlab.kernels.policy import one_row, records
from mmlab.metrics.fills import whole_lots
from mmlab.metrics.frames import Fills, Quotes, ns_of, read_fills, read_quotes, utc_index

Array = np.ndarray[Any, Any]

MINUTE_NS = 60 * NS_PER_S


def last_valid(quotes: Quotes, ns: Array) -> tuple[Array, Array]:
    """The last mid that was valid at or before each time, and whether the book was valid then."""
    valid = np.isfinite(quotes.reference)
    at, of_valid = (np.searchsorted(t, ns, side="right") for t in (quotes.ns, quotes.ns[valid]))
    return np.append(quotes.reference[valid], np.nan)[of_valid - 1], np.append(valid, False)[at - 1]


def rows_of(fills: Fills, quotes: Quotes) -> tuple[Array, Array]:
    """Times of the rows, a fill or a whole minute from the first fill to the end, and the fill of each (-1: none)."""
    if fills.ns.size == 0:
        return fills.ns, np.empty(0, np.int64)
    end = max(int(fills.ns[-1]), int(quotes.ns[-1]) if quotes.ns.size else 0)
    minutes = np.arange(-(-int(fills.ns[0]) // MINUTE_NS), end // MINUTE_NS + 1, dtype=np.int64) * MINUTE_NS
    ns = np.concatenate([fills.ns, minutes])
    fill = np.concatenate([np.arange(fills.ns.size), np.full(minutes.size, -1)])
    order = np.argsort(ns, kind="stable")  # at one time, fills come before the minute
    return ns[order], fill[order]


def pnl_per_million(
    fills: pd.DataFrame,
    quotes: pd.DataFrame,
    windows_min: Sequence[float] = (30, 60),
    *,
    contract: str = "linear",
    contract_size: float = 1.0,
) -> pd.DataFrame:
    """Change of net P&L over a window per million of notional traded in it; 100 is 1 bp.

    Parameters
    ----------
    fills : DataFrame
        UTC index (exchange time) or ``ts_ns``; ``side``, ``price``, ``size``, ``fee`` (settle currency, > 0 paid). The
        position starts at 0.
    quotes : DataFrame
        As for `markouts`, with ``mid``.
    windows_min : sequence of float, optional
        Windows ``(t - w, t]`` in minutes. Until a window is full it runs from the first fill.
    contract : {"linear", "inverse"}, optional
        Inverse: size in contracts, the ledger in base, each increment converted to quote at its own mid.
    contract_size : float, optional
        As in `Instrument`.

    Returns
    -------
    DataFrame
        One row a fill and a whole minute, by UTC time. For each window ``pnl_per_million_<w>m`` (NaN when nothing
        traded), ``held_pnl_<w>m`` and ``new_fill_pnl_<w>m`` (change of net P&L by re-marking the inventory carried in,
        and by the window's fills, less fees), ``notional_<w>m``; and ``mid_valid``: False where the last valid mid had
        to serve. Quote currency.

    Raises
    ------
    MMLabError
        A column is missing or wrong, times are naive, or an argument is out of range.

    Notes
    -----
    Every fill counts once: a round trip of 1 million trades 2 million. Without funding. Source: `terms.md`, Net P&L.
    """
    if contract not in {"linear", "inverse"} or not contract_size > 0:
        raise MMLabError(
            f"contract = {contract!r}, contract_size = {contract_size!r}: must be linear or inverse, and > 0"
        )
    windows_ns = [ns_of(60 * w, "60 * windows_min") for w in windows_min]
    if not all(windows_ns):
        raise MMLabError(f"windows_min = {tuple(windows_min)}: each must be > 0")
    read, book = read_fills(fills), read_quotes(quotes, "mid")
    lots, per_unit = whole_lots(read.column("size"))
    sizes = (1.0 / per_unit, float(contract_size), contract == "inverse")
    ns, fill = rows_of(read, book)
    mid, mid_valid = last_valid(book, ns)
    ledger = records(np.zeros(ns.size, LEDGER))
    account_table(
        fill, mid, read.side, read.column("price"), lots, read.column("fee", positive=False), *sizes,
        one_row(ACCOUNT)[0], ledger,
    )  # fmt: skip
    names = ("pnl_per_million", "held_pnl", "new_fill_pnl", "notional")
    columns: dict[str, Array] = {}
    for window_ns, minutes in zip(windows_ns, windows_min, strict=True):
        out = np.empty((4, ns.size))
        start_mid, _ = last_valid(book, ns - window_ns)
        pnl_windows(ns, mid, start_mid, ledger, window_ns, *sizes, one_row(ACCOUNT)[0], out)
        columns |= {f"{name}_{minutes:g}m": out[k] for k, name in enumerate(names)}
    order = [f"{name}_{minutes:g}m" for name in names for minutes in windows_min]
    return pd.DataFrame({name: columns[name] for name in order} | {"mid_valid": mid_valid}, index=utc_index(ns))
