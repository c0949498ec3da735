"""Tiny tapes written by hand, and a strategy that quotes by a timetable, so that each fill rule can be seen alone.

Times are in ms after `T0`. Unless said otherwise data is heard `FEED_MS` after it happened, a request takes `ENTRY_MS`
to the exchange, its answer `RESPONSE_MS` back.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mmlab.config import Config
from mmlab.events import EVENT, NS_PER_MS, Kind, Liquidity
from mmlab.instrument import Instrument
from mmlab.kernels.policy import INTERPRETED
from mmlab.kernels.quoter import compile_quoter
from mmlab.params import QUOTER
from mmlab.resolve import WarmUp, resolve
from mmlab.simulator import Latency, Replay, build_tape, replay

T0 = 1_700_000_000_000_000_000
FEED_MS, ENTRY_MS, RESPONSE_MS = 1, 5, 5
BID, ASK = 1, -1
INSTRUMENT = Instrument("TEST", tick_size=0.5, lot_size=0.1, maker_fee_bps=2.0, taker_fee_bps=5.0)
PHASE_ROWS = 8
OFF = ("toxic", "burst", "losing", "loss", "drawdown", "volatility", "stale", "mark")


class Feed:
    """Rows of a feed in the order they are heard."""

    def __init__(self) -> None:
        self.rows: list[tuple[int, ...]] = []
        self.messages = 0

    def add(self, ms: float, kind: int, side: int = 0, ticks: int = 0, lots: int = 0, order_id: int = 0,
            heard_ms: float = FEED_MS) -> Feed:  # fmt: skip
        """Append one row."""
        at, heard = T0 + round(ms * NS_PER_MS), T0 + round((ms + heard_ms) * NS_PER_MS)
        self.rows.append((at, heard, int(kind), side, ticks, lots, order_id))
        return self

    def depth(self, ms: float, *levels: tuple[int, int, int]) -> Feed:
        """One message: (side, ticks, lots) a level."""
        self.messages += 1
        for side, ticks, lots in levels:
            self.add(ms, Kind.DEPTH, side, ticks, lots, self.messages)
        return self

    def trade(self, ms: float, aggressor: int, ticks: int, lots: int) -> Feed:
        """One trade."""
        return self.add(ms, Kind.TRADE, aggressor, ticks, lots)

    def book(self, ms: float = 0.0, lots: int = 10, levels: int = 5) -> Feed:
        """Bids from 999 down and asks from 1001 up, `lots` each."""
        both = [(side, 1000 - side * (1 + i), lots) for i in range(levels) for side in (BID, ASK)]
        return self.depth(ms, *both)

    def wait(self, ms: float) -> Feed:
        """Something that concerns nobody, so that the clock gets there and a decision is taken."""
        return self.trade(ms, ASK, 1900, 1)

    @property
    def events(self) -> np.ndarray:
        """As `EVENT` rows."""
        return np.array(self.rows, EVENT)


def timetable(market: Any, metrics: Any, position_lots: int, params: Any, out: Any) -> int:
    """Quoter: rows (from ms, side, ticks, lots) in `params.user`; those with the latest start are quoted now."""
    user, now = params.user, (metrics.local_ns - params.quoting.start_ns) / 1e6
    begun = -1.0
    for i in range(8):
        if user[4 * i + 1] != 0.0 and begun < user[4 * i] <= now:
            begun = user[4 * i]
    n = 0
    for i in range(8):
        if user[4 * i + 1] != 0.0 and user[4 * i] == begun:
            out[n].side, out[n].price = int(user[4 * i + 1]), user[4 * i + 2] * params.instrument.tick_size
            out[n].size_lots = int(user[4 * i + 3])
            n += 1
    return n


_compiled: list[Any] = []


def quoter() -> Any:
    """The timetable as the loop takes it."""
    if not _compiled:
        _compiled.append(timetable if INTERPRETED else compile_quoter(timetable))
    return _compiled[0]


def parameters(
    phases: list[tuple[float, int, int, int]], instrument: Instrument = INSTRUMENT, **changes: Any
) -> np.ndarray:
    """A `PARAMS` row with gates and kill switches off that quotes by the timetable of (from ms, side, ticks, lots)."""
    settings = {
        "strategy.model": "fixed", "strategy.order_size": instrument.to_size(1), "strategy.max_spread_bps": 10_000,
        "risk.max_position": instrument.to_size(1000), "risk.collar_bps": 10_000, "risk.max_live_orders": 100,
        "ladder.enabled": False, "gates.flip.mode": "off", "gates.cooldown.enabled": False,
        "gates.age_exit.enabled": False, "telemetry.metrics": False,
        **{f"kill.{name}.enabled": False for name in OFF}, **changes,
    }  # fmt: skip
    warmup = WarmUp(
        start_ns=T0, end_ns=T0, mid=1000 * instrument.tick_size, A=1.0, kappa=1.0, sigma=1.0, gamma=1.0,
        median_spread_ticks=2.0, median_interval_ns=1e6, p99_interval_ns=1e7,
    )  # fmt: skip
    params, _ = resolve(Config().with_(**settings), instrument, warmup)
    params["quoting"]["model"] = QUOTER
    assert len(phases) <= PHASE_ROWS
    params["user"][0, : 4 * len(phases)] = np.ravel(phases)
    return params


def run(
    feed: Feed | np.ndarray, phases: list[tuple[float, int, int, int]], *, instrument: Instrument = INSTRUMENT,
    latency: Latency | None = None, changes: dict[str, Any] | None = None, **options: Any,
) -> Replay:  # fmt: skip
    """Replay a feed with a timetable; `changes` of the config, `options` of `replay`."""
    events = feed.events if isinstance(feed, Feed) else feed
    return replay(
        build_tape(events), instrument, parameters(phases, instrument, **(changes or {})),
        latency or Latency(ENTRY_MS, RESPONSE_MS), quoter=quoter(), record_metrics=False, **options,
    )  # fmt: skip


def ms(ns: Any) -> float:
    """Time after `T0` in ms."""
    return (int(ns) - T0) / NS_PER_MS


def filled(result: Replay) -> list[tuple[float, int, int, int, int]]:
    """Fills as (ms, side, ticks, lots, kind)."""
    return [
        (ms(f["exch_ns"]), int(f["side"]), int(f["price_ticks"]), int(f["size_lots"]), int(f["fill_kind"]))
        for f in result.fills
    ]


def life(result: Replay, client_order_id: int) -> list[tuple[float, int, int]]:
    """Transitions of an order as (ms heard or done, state, reason)."""
    orders = result.orders[result.orders["client_order_id"] == client_order_id]
    return [(ms(o["local_ns"]), int(o["state"]), int(o["reason"])) for o in orders]


def makers(result: Replay) -> bool:
    """Whether every fill was a maker's."""
    return bool((result.fills["liquidity"] == Liquidity.MAKER).all())
