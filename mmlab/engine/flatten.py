"""Leaving a position on purpose: reduce-only IOC slices, no larger than the book shows nearby. Pure."""

from __future__ import annotations

from typing import Any

import numpy as np

from mmlab.events import ASK, BID, NO_PRICE, TargetFlag
from mmlab.orders.events import Quote

FLAGS = int(TargetFlag.IOC | TargetFlag.REDUCE_ONLY)
PAUSE_NS = 250_000_000
"""Between two slices, for the book to recover and the fill to be heard."""


def flatten_slice(
    position_lots: int, book: np.ndarray[Any, Any], levels: np.ndarray[Any, Any], slippage_ticks: int, min_lots: int
) -> tuple[Quote, ...]:
    """The next slice: an IOC that takes what shows within `slippage_ticks` of the best price; empty if none can go.

    Parameters
    ----------
    position_lots : int
        Position to leave.
    book, levels : ndarray
        From `mmlab.kernels.live_book`.
    slippage_ticks : int
        How far from the best price it may trade.
    min_lots : int
        Smallest order; a position below it stays.
    """
    row = book[0]
    if abs(position_lots) < min_lots or not row["valid"]:
        return ()
    side = ASK if position_lots > 0 else BID
    opposite = 0 if side == ASK else 1
    best = int(row["bid_ticks"] if side == ASK else row["ask_ticks"])
    if best == NO_PRICE:
        return ()
    first = int(row["best"][opposite])
    visible = int(levels[opposite, first : first + slippage_ticks + 1].sum())
    lots = min(abs(position_lots), visible)
    if lots < min_lots or 0 < abs(position_lots) - lots < min_lots:
        lots = abs(position_lots)  # rather one order that may fill in part than a rest that cannot be traded
    return (Quote(side, -1, max(1, best + side * slippage_ticks), lots, FLAGS),)
