"""The `STATE` record: all that the decision kernel remembers, in one row without pointers.

Copying the row copies the whole estimator state; comparing bytes compares it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mmlab.events import MARKET, MAX_RUNGS, METRIC, NEVER_NS, NO_PRICE, QUOTE
from mmlab.kernels.account import ACCOUNT
from mmlab.kernels.age_exit import AGE_EXIT_STATE
from mmlab.kernels.cooldown import COOLDOWN_STATE
from mmlab.kernels.flip_gate import FLIP_GATE_STATE
from mmlab.kernels.flow import RATE
from mmlab.kernels.gate_log import GATE_LOG
from mmlab.kernels.inventory import AGE, LOTS
from mmlab.kernels.ladder import LADDER_STATE
from mmlab.kernels.markout import MARKOUT
from mmlab.kernels.pnl_window import PNL
from mmlab.kernels.policy import one_row
from mmlab.kernels.switch import SWITCH
from mmlab.kernels.volatility import VOL
from mmlab.kernels.windows import HISTOGRAM_FIELDS

WORLD_SWITCHES = 15
"""Global kill switches, indexed by `mmlab.events.Switch`."""
WARM_UP_INTERVALS = 50
"""Volatility intervals (5 s on the default clock) before sigma is defined."""

SIDE = np.dtype(
    [
        ("markout", MARKOUT), ("rate", RATE), ("cooldown", COOLDOWN_STATE), ("toxic", SWITCH), ("burst", SWITCH),
        ("burst_rate", np.dtype(HISTOGRAM_FIELDS, align=True)),
        ("last_hit_ns", "i8"), ("epoch_seen", "i8"), ("working_lots", "i8"), ("last_ticks", "i8", (MAX_RUNGS,)),
        ("last_lots", "i8", (MAX_RUNGS,)), ("reasons", "i8"), ("quoted_lots", "i8"),
    ],
    align=True,
)  # fmt: skip
"""Memory of one side. ``last_*``: the last targets by rung, less what has been filled since; ``working_lots``: resting
or in flight, as the driver reports it; ``burst_rate``: samples of the fill rate in the burst switch's present epoch."""

STATE = np.dtype(
    [
        ("dirty", "i8"), ("now_ns", "i8"), ("deadline_ns", "i8"), ("started", "i8"),
        ("market", MARKET), ("mid_ticks", "f8"), ("last_mid", "f8"), ("mark_ticks", "i8"),
        ("book_ns", "i8"), ("valid_since_ns", "i8"), ("silent", "i8"),
        ("side", SIDE, (2,)), ("vol", VOL), ("flip", FLIP_GATE_STATE), ("ladder", LADDER_STATE),
        ("exit", AGE_EXIT_STATE),
        ("account", ACCOUNT), ("net", "f8"), ("loss_from", "f8"), ("peak", "f8"), ("age", AGE), ("lots", LOTS),
        ("pnl", PNL),
        ("world", SWITCH, (WORLD_SWITCHES,)), ("refused_ns", "i8", (WORLD_SWITCHES,)),
        ("refusals", "i8", (WORLD_SWITCHES,)), ("refusing", "i8", (WORLD_SWITCHES,)),
        ("was_refusing", "i8", (WORLD_SWITCHES,)), ("refused", "i8"),
        ("refused_value", "f8", (WORLD_SWITCHES,)), ("refused_limit", "f8", (WORLD_SWITCHES,)), ("calm_since_ns", "i8"),
        ("blocked", "i8"), ("tripped", "i8"), ("next_second_ns", "i8"),
        ("live_orders", "i8"), ("messages", "i8"), ("message_ring", "i8", (61,)), ("message_second", "i8"),
        ("exit_live", "i8"), ("market_volume", "f8"),
        ("quotes", QUOTE, (2 * MAX_RUNGS,)), ("metric", METRIC), ("metric_second", "i8"), ("gates", GATE_LOG),
    ],
    align=True,
)  # fmt: skip


def new_state() -> np.ndarray[Any, Any]:
    """A fresh `STATE` row."""
    state = one_row(STATE)
    row = state[0]
    row["deadline_ns"], row["mark_ticks"], row["last_mid"] = NEVER_NS, NO_PRICE, np.nan
    row["calm_since_ns"] = NEVER_NS
    row["vol"]["warm_up_n"] = WARM_UP_INTERVALS
    row["market"]["bid_ticks"] = row["market"]["ask_ticks"] = NO_PRICE
    row["market"]["mid"] = row["market"]["micro"] = np.nan
    row["side"]["last_ticks"] = NO_PRICE
    return state
