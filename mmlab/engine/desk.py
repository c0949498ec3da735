"""The order manager as the engine holds it: events in, its commands carried to signer, sender, venue, kernel and files.

Everything that can happen to an order passes here, one thing after the other. The desk writes down every transition and
fill; it decides nothing. Transitions are written by `write`, which the engine calls once orders are on their way.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from mmlab.engine.decider import Record
from mmlab.engine.tally import Tally
from mmlab.events import ASK, BID, FILL, NO_PRICE, ORDER, FillKind, Liquidity
from mmlab.instrument import Instrument
from mmlab.kernels.policy import one_row
from mmlab.orders.commands import Anomaly, AnyCommand, Filled, Halted, Moved, Query, Send, Sign, Trip
from mmlab.orders.events import AnyEvent, Refused
from mmlab.orders.exposure import Exposure
from mmlab.orders.ids import EXIT_RUNG, unpack
from mmlab.orders.manager import OrderManager
from mmlab.orders.states import RESTING

Array = np.ndarray[Any, Any]
MIDS = 4096


@dataclass(frozen=True)
class Outlets:
    """Where commands go."""

    sign: Callable[[Sign], None]
    send: Callable[[Send], None]
    query: Callable[[Query], None]
    trip: Callable[[Trip], None]
    halted: Callable[[Halted], None]
    filled: Callable[[Array], None]
    """One `FILL` row."""
    anomaly: Callable[[Anomaly], None]
    record: Record


class Desk:
    """Drives one order manager."""

    def __init__(self, manager: OrderManager, instrument: Instrument, outlets: Outlets) -> None:
        self.manager, self.outlets = manager, outlets
        self.counts: Counter[str] = Counter()
        self.tally = Tally(instrument)
        self.moved = False
        self.exit_live = 0
        self._instrument = instrument
        self._mids: deque[tuple[int, float]] = deque(maxlen=MIDS)
        self._mid = math.nan  # the last that was one
        self._transitions: list[Moved] = []
        self._hits = 0
        self._hit: dict[int, tuple[int, int]] = {}
        self._carry: dict[type, Callable[[Any], None]] = {
            Sign: outlets.sign, Send: outlets.send, Query: outlets.query, Trip: outlets.trip, Halted: outlets.halted,
            Moved: self._transitions.append, Filled: self._filled, Anomaly: outlets.anomaly,
        }  # fmt: skip

    def handle(self, event: AnyEvent) -> None:
        """Tell the order manager, and carry out what it says."""
        if type(event) is Refused:
            self.tally.refuse(event.code)
        commands: list[AnyCommand] = self.manager.handle(event)
        for command in commands:
            self._carry[type(command)](command)

    def mid(self, exch_ns: int, mid: float) -> None:
        """A new mid, for the fills that come; NaN while the book is unusable."""
        self._mids.append((exch_ns, mid))
        if mid == mid:  # noqa: PLR0124  quicker than isnan
            self._mid = mid

    @property
    def priced(self) -> bool:
        """Whether there was a mid."""
        return not math.isnan(self._mid)

    # --- Commands ----------------------------------------------------------------------------------------------------

    def write(self) -> None:
        """Write down what moved since the last call."""
        for moved in self._transitions:
            self._moved(moved)
        self._transitions.clear()

    def _moved(self, moved: Moved) -> None:
        self.moved = True
        self.counts[moved.after.name.lower()] += 1
        parts, order = unpack(moved.client_id), self.manager.state.orders.known.get(moved.client_id)
        if parts is None:
            return
        row = one_row(ORDER)
        rung = -1 if parts.rung == EXIT_RUNG else parts.rung
        row[0] = (
            moved.exch_ns, moved.ts_ns, moved.after, parts.side, rung, 0 if order is None else order.flags,
            moved.price_ticks, moved.size_lots, moved.filled_lots, moved.order_index, moved.client_id, moved.reason,
        )  # fmt: skip
        self.outlets.record("orders", row)

    def _filled(self, filled: Filled) -> None:
        self.moved = True
        self.counts["fills"] += 1
        instrument, parts = self._instrument, unpack(filled.client_id)
        price = instrument.to_price(filled.price_ticks)
        rate = (instrument.taker_fee_bps if filled.taker else instrument.maker_fee_bps) * 1e-4
        fee = rate * instrument.notional(filled.size_lots, price) / (price if instrument.inverse else 1.0)
        exch_ns = filled.exch_ns or filled.ts_ns
        rung = -1 if parts is None or parts.rung == EXIT_RUNG else parts.rung
        order = self.manager.state.orders.known.get(filled.client_id)
        row = one_row(FILL)
        row[0] = (
            exch_ns, filled.ts_ns, filled.side, rung, Liquidity.TAKER if filled.taker else Liquidity.MAKER,
            FillKind.TAKER if filled.taker else FillKind.QUEUE, filled.price_ticks, filled.size_lots, fee,
            self._mid_before(exch_ns), filled.position_lots - filled.side * filled.size_lots, filled.position_lots,
            0 if order is None else order.order_index, filled.client_id, self._hit_id(filled.side, exch_ns),
        )  # fmt: skip
        self.tally.fill(row)
        self.outlets.record("fills", row)
        self.outlets.filled(row)

    def adoption(self, now_ns: int, lots: int) -> Array:
        """A `FILL` row for lots of the position that no fill explains: at the mid, free of charge, not in the files."""
        row, mid = one_row(FILL), self._mid
        ticks = self._instrument.to_ticks(mid)
        row["exch_ns"], row["local_ns"], row["side"], row["rung"] = now_ns, now_ns, 1 if lots > 0 else -1, -1
        row["price_ticks"], row["size_lots"], row["mid"] = ticks, abs(lots), mid
        row["liquidity"] = Liquidity.TAKER
        return row

    def _hit_id(self, side: int, exch_ns: int) -> int:
        last_ns, hit = self._hit.get(side, (-1, 0))
        if last_ns != exch_ns:
            self._hits += 1
            hit = self._hits
            self._hit[side] = (exch_ns, hit)
        return hit

    def _mid_before(self, exch_ns: int) -> float:
        """Mid after the last book event strictly before `exch_ns`."""
        at = bisect_left(self._mids, exch_ns, key=lambda pair: pair[0])
        return self._mids[at - 1][1] if at > 0 else math.nan

    # --- What others ask ---------------------------------------------------------------------------------------------

    def working(self) -> tuple[tuple[int, int], int, int]:
        """Worst-case lots bid and ask, number of working orders, 1 while an exit works."""
        orders = self.manager.state.orders.working.values()
        resting = Exposure(self.manager.position_lots, orders).resting_lots
        exits = any((parts := unpack(o.client_id)) is not None and parts.rung == EXIT_RUNG for o in orders)
        return (resting[BID], resting[ASK]), len(orders), int(exits)

    def shown_ticks(self) -> tuple[int, int]:
        """Best resting price a side, as we believe it; `NO_PRICE` where there is none."""
        best = {BID: NO_PRICE, ASK: NO_PRICE}
        for order in self.manager.state.orders.live.values():
            if RESTING[order.state] and (
                best[order.side] == NO_PRICE or order.side * (order.price_ticks - best[order.side]) > 0
            ):
                best[order.side] = order.price_ticks
        return best[BID], best[ASK]
