"""Gate and kill-switch triggers as episodes: from when to when something was held back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from mmlab.events import NS_PER_S, GateAction, Switch

Array = np.ndarray[Any, Any]

GATES = frozenset({Switch.FLIP, Switch.PULL, Switch.AGE_EXIT, Switch.LADDER})
"""Those that hold back quotes trigger by trigger; every other `Switch` is a kill switch."""
HALTS = frozenset(
    {
        Switch.LOSING,
        Switch.LOSS,
        Switch.DRAWDOWN,
        Switch.HARD_LIMIT,
        Switch.COLLAR,
        Switch.SIZE,
        Switch.ORDER_COUNT,
        Switch.MESSAGES,
        Switch.MANUAL,
        Switch.REJECTS,
        Switch.MISMATCH,
        Switch.SESSION,
        Switch.QUEUE,
        Switch.TASK,
        Switch.MARGIN,
        Switch.CLOCK,
    }
)
"""Kill switches that halt; the others that are global (volatility, stale, mark, link, status, dead-man) stop while a
cause lasts."""
TRIPS = (GateAction.TRIP, GateAction.LATCH)
TRIGGERS = (GateAction.SKIP, GateAction.WIDEN, GateAction.PAUSE, GateAction.EXIT)
COLUMNS = ("switch", "action", "side", "start_ns", "end_ns", "value", "threshold", "n", "effect")


def is_trip(gates: Array) -> Array:
    """Rows of a `GATE` table in which a kill switch acted."""
    kill = ~np.isin(gates["switch"], [int(switch) for switch in GATES])
    return kill & np.isin(gates["action"], [int(action) for action in TRIPS])


def is_trigger(gates: Array) -> Array:
    """Rows of a `GATE` table in which a gate acted (ladder levels apart)."""
    return np.isin(gates["action"], [int(action) for action in TRIGGERS])


def episodes(gates: Array, end_ns: int) -> pd.DataFrame:
    """One row a trip or trigger, with its end.

    Parameters
    ----------
    gates : ndarray of GATE
        In order of time.
    end_ns : int
        End of the run, local clock: what is still open ends there.

    Returns
    -------
    DataFrame
        `COLUMNS`. A trip ends at the re-arm of its switch and side, a gate's trigger at its ``until_ns``; an exit, or a
        trip only observed, has no length.
    """
    rows = []
    acted = is_trip(gates) | is_trigger(gates) | (gates["action"] == GateAction.OBSERVE)
    rearms = gates[gates["action"] == GateAction.REARM]
    for row in gates[acted]:
        start, action = int(row["local_ns"]), int(row["action"])
        if action in TRIPS:
            same = (rearms["switch"] == row["switch"]) & (rearms["side"] == row["side"]) & (rearms["local_ns"] >= start)
            end = int(rearms["local_ns"][same][0]) if same.any() else end_ns
        elif action in (GateAction.EXIT, GateAction.OBSERVE):
            end = start
        else:
            end = min(max(int(row["until_ns"]), start), end_ns)
        names = (Switch(int(row["switch"])).name.lower(), GateAction(action).name.lower(), int(row["side"]))
        rows.append((*names, start, end, *(row[name].item() for name in ("value", "threshold", "n", "effect"))))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def covered_s(episodes: pd.DataFrame) -> float:
    """Seconds covered by at least one of the episodes."""
    total, reached = 0, -(2**63)
    for start, end in sorted(zip(episodes["start_ns"], episodes["end_ns"], strict=True)):
        total += max(0, end - max(start, reached))
        reached = max(reached, end)
    return total / NS_PER_S


def halts(episodes: pd.DataFrame) -> pd.DataFrame:
    """Those episodes that were halts."""
    names = [switch.name.lower() for switch in HALTS]
    return episodes[episodes["switch"].isin(names) & episodes["action"].isin(["trip", "latch"])]
