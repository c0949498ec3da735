"""The `PARAMS` record: everything a kernel reads, in one row.

It mirrors the config's sections. Durations are ns, sizes lots, fees fractions. A distance given in ticks and in bps
crosses as both; kernels take the larger at the current mid. `mmlab.resolve` fills it in; changing a parameter means
writing another row, so nothing is recompiled.
"""

from __future__ import annotations

import numpy as np

from mmlab.events import MAX_RUNGS

MAX_LEVELS = 8
"""Most ladder levels."""
GLFT, AVELLANEDA_STOIKOV, FIXED, QUOTER = range(4)
"""Quoting models; QUOTER is a user's own function."""
FLIP_OFF, FLIP_SKIP, FLIP_WIDEN, FLIP_ADAPTIVE = range(4)
"""Modes of the flip gate."""
MICRO, MID = range(2)
"""References of the flip gate."""

INSTRUMENT = np.dtype(
    [
        ("tick_size", "f8"), ("lot_size", "f8"), ("contract_size", "f8"), ("inverse", "i8"),
        ("min_size_lots", "i8"), ("min_notional", "f8"), ("maker_fee", "f8"), ("taker_fee", "f8"),
    ], align=True,
)  # fmt: skip
QUOTING = np.dtype(
    [
        ("model", "i8"), ("gamma", "f8"), ("kappa", "f8"), ("A", "f8"), ("terminal", "i8"), ("horizon_ns", "i8"),
        ("end_ns", "i8"), ("fee_in_model", "i8"), ("half_spread_ticks", "f8"), ("half_spread_bps", "f8"),
        ("order_lots", "i8"), ("floor_bps", "f8"), ("cap_bps", "f8"), ("rungs", "i8"), ("rung_spacing_ticks", "f8"),
        ("rung_spacing_bps", "f8"), ("rung_multiplier", "f8", (MAX_RUNGS,)), ("clock_ns", "i8"), ("half_life_s", "f8"),
        ("sigma_floor", "f8"), ("start_ns", "i8"), ("post_only", "i8"),
    ], align=True,
)  # fmt: skip
LADDER = np.dtype(
    [
        ("levels", "i8"), ("threshold", "f8", (MAX_LEVELS,)), ("offset_ticks", "f8", (MAX_LEVELS,)),
        ("offset_bps", "f8", (MAX_LEVELS,)), ("multiplier", "f8", (MAX_LEVELS,)), ("hysteresis", "f8"),
        ("dwell_ns", "i8"),
    ], align=True,
)  # fmt: skip
FLIP_GATE = np.dtype(
    [
        ("mode", "i8"), ("threshold", "i8"), ("hard_threshold", "i8"), ("window_ns", "i8"), ("reference", "i8"),
        ("min_move", "f8"), ("pause_ns", "i8"), ("pause_max_ns", "i8"), ("hold_ns", "i8"), ("widen_ticks", "f8"),
        ("widen_bps", "f8"), ("growth", "f8"), ("max_ticks", "f8"), ("max_bps", "f8"), ("half_life_ns", "f8"),
    ], align=True,
)  # fmt: skip
COOLDOWN = np.dtype(
    [
        ("enabled", "i8"), ("min_ns", "i8"), ("max_ns", "i8"), ("max_fills_per_s", "i8"), ("pause_ns", "i8"),
        ("pause_max_ns", "i8"),
    ], align=True,
)  # fmt: skip
AGE_EXIT = np.dtype(
    [
        ("enabled", "i8"), ("age_ns", "i8"), ("lot_basis", "i8"), ("adverse_ticks", "f8"), ("adverse_bps", "f8"),
        ("fraction", "f8"), ("depth_fraction", "f8"), ("slippage_ticks", "f8"), ("slippage_bps", "f8"),
        ("cooldown_ns", "i8"), ("budget_quote", "f8"),
    ], align=True,
)  # fmt: skip
KILL = np.dtype(
    [
        ("observe", "i8"), ("memory_ns", "i8"), ("fresh_ns", "i8"), ("pause_light_side", "i8"),
        ("toxic", "i8"), ("toxic_bps", "f8"), ("toxic_horizon_ns", "i8"), ("toxic_window", "i8"), ("toxic_min_n", "i8"),
        ("toxic_z", "f8"), ("toxic_pause_ns", "i8"), ("toxic_pause_max_ns", "i8"),
        ("burst", "i8"), ("burst_per_s", "f8"), ("burst_percentile", "f8"), ("burst_min_n", "i8"),
        ("burst_pause_ns", "i8"), ("burst_pause_max_ns", "i8"),
        ("losing", "i8"), ("losing_quote", "f8"), ("losing_window_ns", "i8"), ("losing_notional", "f8"),
        ("losing_z", "f8"), ("losing_halt_ns", "i8"), ("losing_rearms", "i8"),
        ("loss", "i8"), ("max_loss", "f8"), ("drawdown", "i8"), ("max_drawdown", "f8"),
        ("volatility", "i8"), ("vol_ratio", "f8"), ("vol_rearm_ratio", "f8"), ("vol_min_ns", "i8"),
        ("stale", "i8"), ("stale_ns", "i8"), ("mark", "i8"), ("mark_bps", "f8"), ("halt_ns", "i8"),
    ], align=True,
)  # fmt: skip
RISK = np.dtype(
    [
        ("max_long_lots", "i8"), ("max_short_lots", "i8"), ("hard_lots", "i8"), ("offset_lots", "i8"),
        ("flat_band", "f8"), ("max_live_orders", "i8"), ("max_order_notional", "f8"), ("max_messages", "i8"),
        ("collar_bps", "f8"), ("reduce", "i8"), ("flatten", "i8"),
    ], align=True,
)  # fmt: skip
EXECUTION = np.dtype([("tolerance_ticks", "i8"), ("modify", "i8"), ("step_ns", "i8")], align=True)
PARAMS = np.dtype(
    [
        ("instrument", INSTRUMENT), ("quoting", QUOTING), ("ladder", LADDER), ("flip", FLIP_GATE),
        ("cooldown", COOLDOWN), ("age_exit", AGE_EXIT), ("kill", KILL), ("risk", RISK), ("execution", EXECUTION),
        ("max_quote_age_ns", "i8"), ("watch_sigma", "i8"), ("watch_sizes", "i8"), ("user", "f8", (32,)),
    ], align=True,
)  # fmt: skip
"""Everything kernels read. ``user`` holds the numbers a quoter was given; ``watch_*`` say whether anything reads the
volatility, and the sizes at the best prices: what nothing reads is not worked out."""
