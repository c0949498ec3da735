"""Markouts by what held quotes back when the fill came."""

from __future__ import annotations

import numpy as np
import pandas as pd

from mmlab.events import NS_PER_S, Reason
from mmlab.lab.fill_markouts import CONTROL_S
from mmlab.lab.record import Record
from mmlab.metrics.bands import MIN_BLOCK_S, mean_band

STATES = {
    "flip gate widened": Reason.FLIP_WIDEN,
    "cooldown": Reason.COOLDOWN,
    "light side widened": Reason.LIGHT_WIDEN,
    "age exit": Reason.AGE_EXIT,
    "post-only clamp": Reason.CLAMP,
    "size cut": Reason.CUT,
}
COLUMNS = ("mean_bps", "low_bps", "high_bps", "n", "blocks")


def markouts_by_gate(record: Record) -> pd.DataFrame:
    """Mean 1-s markout of fills by what the last decision before them held against their side.

    Returns
    -------
    DataFrame
        Indexed by state: "nothing", the ladder's levels, `STATES`; those that had fills. A fill may stand in several.
        ``mean_bps``, its 95 % band ``low_bps, high_bps`` (NaN: too few blocks of time), ``n``, ``blocks``.
    """
    fills, decisions = record.fills, record.tables.decisions
    if fills.empty or not decisions.size:
        return pd.DataFrame(columns=list(COLUMNS)).rename_axis("state")
    at = np.searchsorted(decisions["local_ns"], fills["exch_ns"].to_numpy(), side="right") - 1
    known = at >= 0
    bid = (fills["side"] == "bid").to_numpy()
    reasons = np.where(bid, decisions["bid_reasons"][at], decisions["ask_reasons"][at])
    level = decisions["level"][at]
    held = {"nothing": (reasons & int(np.bitwise_or.reduce([int(one) for one in STATES.values()]))) == 0}
    held["nothing"] &= (reasons & int(Reason.LADDER)) == 0
    heavy = (reasons & int(Reason.LADDER)) != 0
    held |= {f"ladder level {n}": heavy & (level == n) for n in range(1, int(level.max(initial=0)) + 1)}
    held |= {name: (reasons & int(reason)) != 0 for name, reason in STATES.items()}
    ns, values = fills["exch_ns"].to_numpy(), fills[f"markout_{CONTROL_S:g}s_bps"].to_numpy()
    block_ns = round(MIN_BLOCK_S * NS_PER_S)
    rows = {name: mean_band(ns[here & known], values[here & known], block_ns) for name, here in held.items()}
    frame = pd.DataFrame.from_dict(rows, orient="index", columns=list(COLUMNS)).rename_axis("state")
    return frame[frame["n"] > 0]
