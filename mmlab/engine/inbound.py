"""A last look at what a venue hands in, before anything believes it. Pure.

Venues decode their own wire; this catches what no exchange should say. What is wrong is left out, counted by kind, and
reported once a kind; it never raises.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np

from mmlab.events import EVENT, NEVER_NS
from mmlab.exchange import (
    Accepted,
    AccountMessage,
    AccountView,
    Fill,
    FillUpdate,
    Linked,
    Liquidation,
    Message,
    NotSent,
    OrderUpdate,
    OrderView,
    PositionUpdate,
    Rejected,
    Status,
    Unanswered,
    Unlinked,
)
from mmlab.kernels.live import row_fault, rows_fault
from mmlab.kernels.policy import records

Array = np.ndarray[Any, Any]
MOST = 1 << 53
"""No price in ticks and no size in lots is as large as this."""
MOST_ROWS = 5_000_000
MOST_ORDERS = 100_000
ROW_FAULTS = ("", "unknown kind", "no side", "absurd price", "absurd size", "time runs back", "time ahead",
              "absurd time")  # fmt: skip


class Inbound:
    """Checks, and counts what fails.

    Parameters
    ----------
    report : callable
        ``report(kind, detail)``, called at the first of each kind.
    """

    def __init__(self, report: Callable[[str, str], None]) -> None:
        self.counts: Counter[str] = Counter()
        self._report = report
        self._last_ns = np.zeros(1, np.int64)  # time of the last good row

    def market(self, rows: object, now_ns: int) -> Array | Status | None:
        """Market rows heard by now without the bad ones, a status, or None if nothing is left."""
        if isinstance(rows, Status):
            return rows if isinstance(rows.trading, bool) else self._bad("market: wrong type", rows)
        if not isinstance(rows, np.ndarray) or rows.ndim != 1:
            return self._bad("market: unknown message", rows)
        if rows.dtype is not EVENT or not rows.flags.carray:
            if rows.dtype != EVENT:
                return self._bad("market: unknown message", rows)
            rows = np.array(rows).view(EVENT)  # as kernels are compiled for, with one canonical dtype object
        if not rows.size:
            return None
        if rows.size > MOST_ROWS:
            return self._bad("market: giant frame", f"{rows.size} rows")
        bad = rows_fault(records(rows), self._last_ns, now_ns)
        return rows if bad < 0 else self._without_bad(rows, bad, now_ns)

    def _without_bad(self, rows: Array, bad: int, now_ns: int) -> Array | None:
        first_ns = self._last_ns.item()
        keep, last_ns = np.ones(rows.size, bool), first_ns
        while bad >= 0:
            row, fault = bad >> 8, bad & 255
            keep[row] = False
            self._bad(f"market: {ROW_FAULTS[fault]}", rows[row])
            good = rows["local_ns"][:row][keep[:row]]
            last_ns = int(good[-1]) if good.size else first_ns
            bad = row_fault(records(rows), row + 1, last_ns, now_ns)
        rows = rows[keep]
        if not rows.size:
            return None
        self._last_ns[0] = rows["local_ns"][-1]
        return rows

    def account(self, message: object) -> Message | None:
        """An account message that can be believed, or None."""
        if not isinstance(message, AccountMessage):
            return self._bad("account: unknown message", message)
        if not well_typed(message):
            return self._bad("account: wrong type", message)
        if isinstance(message, OrderUpdate) and not order_is_sane(message.order):
            return self._bad("account: absurd order", message)
        if isinstance(message, FillUpdate) and not fill_is_sane(message.fill):
            return self._bad("account: absurd fill", message)
        if isinstance(message, PositionUpdate) and abs(message.position_lots) >= MOST:
            return self._bad("account: absurd position", message)
        if isinstance(message, Liquidation) and not 0 <= message.price_ticks < MOST:
            return self._bad("account: absurd liquidation price", message)
        if isinstance(message, Linked | Unlinked) and not 0 < message.epoch < MOST:
            return self._bad("account: absurd epoch", message)
        return message

    def view(self, view: object) -> AccountView | None:
        """A full view that can be believed, or None: half a view would be worse than none."""
        if not isinstance(view, AccountView):
            return self._bad("view: unknown message", view)
        if isinstance(view.orders, tuple) and len(view.orders) > MOST_ORDERS:
            return self._bad("view: giant frame", f"{len(view.orders)} orders")
        sane = (
            well_typed(view)
            and all(order_is_sane(order) for order in view.orders)
            and all(fill_is_sane(fill) for fill in view.fills)
            and abs(view.position_lots) < MOST
            and 0 <= view.last_trade_id < MOST
            and view.quota_left >= -1
            and all(key >= 0 and 0 <= nonce < MOST for key, nonce in view.nonces)
        )
        return view if sane else self._bad("view: absurd", view)

    def nonce(self, nonce: object) -> int | None:
        """A nonce that can be believed, or None."""
        if isinstance(nonce, int) and not isinstance(nonce, bool) and 0 <= nonce < MOST:
            return nonce
        return self._bad("nonce: absurd", nonce)

    def reply(self, reply: object) -> bool:
        """Whether a reply is one."""
        if not isinstance(reply, Accepted | Rejected | Unanswered | NotSent) or not well_typed(reply):
            self._bad("reply: unknown message", reply)
            return False
        absurd = (isinstance(reply, Rejected) and not 0 <= reply.retry_after_ns < NEVER_NS) or (
            isinstance(reply, Accepted) and not -1 <= reply.quota_left < MOST
        )
        if absurd:  # what contradicts itself must not be believed in its main point either
            self._bad("reply: absurd", reply)
        return not absurd

    def _bad(self, kind: str, what: object) -> Any:
        """Count and report; None, so that callers can return it."""
        self.counts[kind] += 1
        if self.counts[kind] == 1:
            self._report(kind, repr(what)[:200])
        return None


def well_typed(message: msgspec.Struct) -> bool:
    """Whether every field has the type it should."""
    try:
        msgspec.convert(msgspec.to_builtins(message), type(message))
    except (msgspec.MsgspecError, TypeError, ValueError, OverflowError, RecursionError):
        return False
    return True


def order_is_sane(order: OrderView) -> bool:
    """Whether an order could exist."""
    return (
        order.side in (1, -1)
        and 0 < order.price_ticks < MOST
        and 0 <= order.filled_lots <= order.size_lots < MOST
        and order.order_index >= 0
        and order.client_id >= 0
    )


def fill_is_sane(fill: Fill) -> bool:
    """Whether a fill could have happened."""
    return (
        fill.side in (1, -1) and 0 < fill.price_ticks < MOST and 0 < fill.size_lots < MOST and 0 < fill.trade_id < MOST
    )  # fmt: skip
