"""A slow twin of the replay: exchange, messages and planner in plain Python, written from `terms.md`.

It looks at every millisecond of a tape whose times are whole ms: first the exchange takes the trades of that time, then
the book, then our requests; then we hear what is due and decide. It knows constant latencies, levels (no order-by-order
feeds), post-only quotes by the timetable of `tests.simulator.tapes`, and the queues risk_averse, power and log.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mmlab.events import NS_PER_MS, FillKind, Kind, OrderReason, OrderState
from tests.simulator.tapes import ASK, BID, INSTRUMENT, T0

S = OrderState


@dataclass
class Order:
    """One order of ours: what we believe, and what the exchange has."""

    id: int
    side: int
    rung: int
    ticks: int
    size: int
    state: OrderState = S.SENT
    filled: int = 0
    asked: int = 0
    request: tuple[str, int, int] | None = None
    live: bool = False
    at: int = 0
    leaves: int = 0
    done: int = 0
    ahead: float = 0.0
    shown: int = 0
    traded: int = 0
    arrival: int = 0

    @property
    def over(self) -> bool:
        return self.state >= S.FILLED

    @property
    def resting(self) -> bool:
        return self.state in {S.LIVE, S.PARTIALLY_FILLED}

    @property
    def working(self) -> int:
        """Lots that may still be filled, for all we know: a modify may or may not have arrived."""
        return (max(self.size, self.asked) if self.state == S.MODIFY_PENDING else self.size) - self.filled


@dataclass
class Rules:
    """What the twin is run with."""

    entry_ms: int = 5
    response_ms: int = 5
    queue: str = "risk_averse"
    exponent: float = 3.0
    partial: bool = True
    cross: bool = False
    through_only: bool = False
    tolerance: int = 1
    modify: bool = True
    limit: int = 1000


@dataclass
class Book:
    """Levels of one clock, message by message."""

    levels: dict[int, dict[int, int]] = field(default_factory=lambda: {BID: {}, ASK: {}})
    usable: bool = True

    def take(self, row: Any) -> None:
        kind = row["kind"]
        if kind == Kind.DEPTH:
            level = self.levels[int(row["side"])]
            level[int(row["price_ticks"])] = int(row["size_lots"])
            if not row["size_lots"]:
                del level[int(row["price_ticks"])]
        elif kind == Kind.SNAPSHOT_BEGIN:
            self.levels = {BID: {}, ASK: {}}
            self.usable = False
        elif kind == Kind.SNAPSHOT_END:
            self.usable = True
        elif kind == Kind.GAP:
            self.usable = False

    def best(self, side: int) -> int | None:
        return max(self.levels[side], key=lambda ticks: side * ticks, default=None)

    @property
    def top(self) -> tuple:
        """Best quotes, their sizes, and whether they can be used."""
        bid, ask = self.best(BID), self.best(ASK)
        valid = self.usable and bid is not None and ask is not None and bid < ask
        return bid, ask, self.levels[BID].get(bid), self.levels[ASK].get(ask), valid


def messages(events: np.ndarray) -> list[np.ndarray]:
    """The book's rows, cut into venue messages: depth rows of one time and update id, a snapshot from begin to end."""
    found: list[list[Any]] = []
    in_snapshot, last = False, None
    for row in events:
        if row["kind"] == Kind.TRADE:
            last = None
            continue
        key = (int(row["exch_ns"]), int(row["order_id"])) if row["kind"] == Kind.DEPTH else None
        if in_snapshot or (key is not None and key == last):
            found[-1].append(row)
        else:
            found.append([row])
        in_snapshot = (in_snapshot or row["kind"] == Kind.SNAPSHOT_BEGIN) and row["kind"] != Kind.SNAPSHOT_END
        last = None if in_snapshot else key
    return [np.array(rows, events.dtype) for rows in found]


class Twin:
    """Run with `play`; then `fills` and `transitions` hold what happened."""

    def __init__(self, events: np.ndarray, phases: list[tuple], rules: Rules) -> None:
        self.rules, self.phases = rules, phases
        trades = events[events["kind"] == Kind.TRADE]
        self.trades, self.heard_trades = self.by_time(trades, "exch_ns"), self.by_time(trades, "local_ns")
        books = messages(events)
        self.books, self.heard_books = self.by_time(books, "exch_ns"), self.by_time(books, "local_ns")
        self.end = self.at(events["local_ns"].max())
        self.market, self.heard = Book(), Book()
        self.orders: list[Order] = []
        self.to_exchange: list[tuple[int, int, Order]] = []
        self.to_us: list[tuple[int, int, int, dict]] = []
        self.sent = self.said = self.arrivals = self.position = self.known = 0
        self.fills: list[tuple] = []
        self.transitions: list[tuple] = []
        self.dirty = False

    @staticmethod
    def at(ns: int) -> int:
        assert (int(ns) - T0) % NS_PER_MS == 0
        return (int(ns) - T0) // NS_PER_MS

    def by_time(self, items: Any, clock: str) -> dict[int, list[Any]]:
        """Trades, or messages, of each ms of a clock."""
        found: dict[int, list[Any]] = {}
        for item in items:
            found.setdefault(self.at(np.ravel(item[clock])[0]), []).append(item)
        return found

    def play(self) -> Twin:
        for now in range(self.end + 1):
            self.exchange(now)
            self.listen(now)
        for _, _, _, answer in sorted(self.to_us, key=lambda item: item[:3]):
            self.hear(answer)
        for order in sorted((o for o in self.orders if not o.over), key=lambda o: (o.rung, -o.side)):
            self.note(order, 0, self.end, S.CANCELED, OrderReason.END_OF_FEED)
        return self

    # --- the exchange ---

    def exchange(self, now: int) -> None:
        for trade in self.trades.get(now, []):
            self.trade(now, -int(trade["side"]), int(trade["price_ticks"]), int(trade["size_lots"]))
        for message in self.books.get(now, []):
            self.book(now, message)
        due = [item for item in self.to_exchange if item[0] == now]
        self.to_exchange = [item for item in self.to_exchange if item[0] != now]
        for _, _, order in sorted(due, key=lambda item: item[1]):
            self.arrive(now, order)

    def queue_of(self, side: int, ticks: int) -> list[Order]:
        """Our live orders of `side` at `ticks` or better, by price and time."""
        reached = [o for o in self.orders if o.live and o.side == side and side * (o.at - ticks) >= 0]
        return sorted(reached, key=lambda o: (-side * o.at, o.arrival))

    def trade(self, now: int, side: int, ticks: int, lots: int) -> None:
        taken = 0
        for order in self.queue_of(side, ticks):
            if order.at != ticks:
                order.ahead, reached, kind = 0.0, lots - taken, FillKind.THROUGH
            elif self.rules.through_only:
                continue
            else:
                reached, kind = math.floor(lots - taken - order.ahead + 1e-9), FillKind.QUEUE
                order.ahead = max(0.0, order.ahead - lots)
                order.traded += lots
            if reached <= 0:
                continue
            if self.rules.partial:
                reached = min(reached, order.leaves)
                taken += reached
            else:
                reached = order.leaves
            self.fill(now, order, reached, kind, self.mid)

    def book(self, now: int, message: np.ndarray) -> None:
        before = self.market.top
        mid = self.mid
        for row in message:
            self.market.take(row)
            for order in self.orders:
                ended = row["kind"] == Kind.SNAPSHOT_END
                named = row["kind"] == Kind.DEPTH and (row["side"], row["price_ticks"]) == (order.side, order.at)
                if order.live and (ended or named):
                    self.level_changed(order)
        if self.rules.cross and not self.rules.through_only and self.market.top != before:
            for side in (BID, ASK):
                opposite = self.market.best(-side)
                for order in self.queue_of(side, opposite) if opposite is not None else []:
                    self.fill(now, order, order.leaves, FillKind.CROSS, mid)

    def level_changed(self, order: Order) -> None:
        lots = self.market.levels[order.side].get(order.at, 0)
        gone = order.shown - lots - order.traded
        if self.rules.queue != "risk_averse" and gone > 0:
            behind = max(0.0, order.shown - order.traded - order.ahead)
            weigh = math.log1p if self.rules.queue == "log" else lambda x: x**self.rules.exponent
            front, back = weigh(order.ahead), weigh(behind)
            share = front / (front + back) if front + back else 0.0
            order.ahead = max(0.0, order.ahead - max(gone * share, gone - behind))
        order.ahead = min(order.ahead, lots)
        order.shown, order.traded = lots, 0

    def arrive(self, now: int, order: Order) -> None:
        assert order.request
        (what, ticks, size), order.request = order.request, None
        if what == "place":
            self.enter(now, order, ticks, size, "accepted")
        elif not order.live:
            self.answer(now, order, "refused", order.at, order.leaves)
        elif what == "cancel" or size <= order.done:
            order.live = False
            self.answer(now, order, "canceled", order.at, order.leaves)
        elif ticks == order.at and size - order.done <= order.leaves:
            order.leaves = size - order.done
            self.answer(now, order, "modified", ticks, size)
        else:
            order.live = False
            self.enter(now, order, ticks, size - order.done, "modified")

    def enter(self, now: int, order: Order, ticks: int, lots: int, kind: str) -> None:
        opposite = self.market.best(-order.side)
        order.at, order.leaves = ticks, lots
        if opposite is not None and order.side * (ticks - opposite) >= 0:
            self.answer(now, order, "rejected", ticks, lots)
            return
        self.arrivals += 1
        order.live, order.arrival, order.traded = True, self.arrivals, 0
        order.shown = self.market.levels[order.side].get(ticks, 0)
        order.ahead = float(order.shown)
        self.answer(now, order, kind, ticks, order.done + lots)

    @property
    def mid(self) -> float | None:
        """Mid on the exchange clock, None while the book is unusable."""
        bid, ask, _, _, valid = self.market.top
        return 0.5 * (bid + ask) * INSTRUMENT.tick_size if valid else None

    def fill(self, now: int, order: Order, lots: int, kind: FillKind, mid: float | None) -> None:
        order.leaves -= lots
        order.done += lots
        order.live = order.leaves > 0
        self.position += order.side * lots
        where = (order.id, order.side, order.rung, order.at)
        self.fills.append((now, now + self.rules.response_ms, *where, lots, int(kind), mid, self.position))
        self.answer(now, order, "filled", order.at, lots)

    def answer(self, now: int, order: Order, kind: str, ticks: int, lots: int) -> None:
        self.said += 1
        what = {"order": order, "kind": kind, "ticks": ticks, "lots": lots, "exch": now}
        what["heard"] = now + self.rules.response_ms
        self.to_us.append((what["heard"], -order.side, self.said, what))

    # --- we ---

    def listen(self, now: int) -> None:
        """Hear what is due, and decide if something happened."""
        happened = now in self.heard_trades
        self.dirty = self.dirty or happened
        for message in self.heard_books.get(now, []):
            happened = self.learn(message) or happened
        due = sorted((item for item in self.to_us if item[0] == now), key=lambda item: item[:3])
        self.to_us = [item for item in self.to_us if item[0] != now]
        for _, _, _, answer in due:
            happened = self.dirty = True
            self.hear(answer)
        if happened and self.dirty:
            self.dirty = False
            self.plan(now)

    def learn(self, message: np.ndarray) -> bool:
        """Take a message of the book; whether it wakes us. A snapshot is seen to begin and to end."""
        begins = message["kind"][0] == Kind.SNAPSHOT_BEGIN
        changed = False
        for rows in (message[:1], message[1:]) if begins else (message,):
            before = self.heard.top
            for row in rows:
                self.heard.take(row)
            changed = changed or self.heard.top != before
        self.dirty = self.dirty or changed
        return changed or bool((message["kind"] != Kind.DEPTH).any())

    def hear(self, answer: dict) -> None:
        order, kind = answer["order"], answer["kind"]
        if kind == "refused":
            state = S.CANCELED if answer["lots"] else S.FILLED
            self.transitions.append((answer["heard"], answer["exch"], order.id, int(state), order.side, order.rung,
                                     answer["ticks"], answer["lots"], 0, int(OrderReason.TOO_LATE)))  # fmt: skip
            return
        reason = OrderReason.NONE
        if kind == "filled":
            order.filled += answer["lots"]
            self.known += order.side * answer["lots"]
            if order.filled < order.size:
                if order.state == S.LIVE:
                    order.state = S.PARTIALLY_FILLED
                self.note(order, answer["exch"], answer["heard"], S.PARTIALLY_FILLED, reason)
                return
            order.state = S.FILLED
        elif kind == "canceled":
            order.state = S.CANCELED
        elif kind == "rejected":
            order.state, reason = S.REJECTED, OrderReason.POST_ONLY_WOULD_CROSS
        else:
            order.ticks, order.size = answer["ticks"], answer["lots"]
            order.state = S.PARTIALLY_FILLED if order.filled else S.LIVE
        self.note(order, answer["exch"], answer["heard"], order.state, reason)

    def note(self, o: Order, exch: int, heard: int, state: OrderState, reason: OrderReason) -> None:
        self.transitions.append((heard, exch, o.id, int(state), o.side, o.rung, o.ticks, o.size, o.filled, int(reason)))

    def targets(self, now: int) -> list[tuple[int, int, int, int]]:
        """(side, rung, ticks, lots): the timetable, one tick behind the opposite best at least, within the limit."""
        bid, ask, _, _, valid = self.heard.top
        begun = max((row[0] for row in self.phases if row[0] <= now), default=None)
        wanted = []
        for side in (BID, ASK) if valid else ():
            previous, room = None, max(0, self.rules.limit - side * self.known)
            rows = [row for row in self.phases if row[0] == begun and row[1] == side]
            for rung, (_, _, ticks, lots) in enumerate(rows):
                behind = (ask if side == BID else bid) - side
                price = side * min(side * ticks, side * behind)
                if previous is not None:
                    price = side * min(side * price, side * (previous - side))
                previous, size = price, min(lots, room)
                if size > 0:
                    wanted.append((side, rung, price, size))
                    room -= size
        return wanted

    def room(self, side: int) -> int:
        """Lots that can be added so that no set of fills passes the limit."""
        return self.rules.limit - side * self.known - sum(
            o.working for o in self.orders if not o.over and o.side == side
        )  # fmt: skip

    def plan(self, now: int) -> None:
        wanted = self.targets(now)
        slots = {(side, rung) for side, rung, _, _ in wanted}
        for order in sorted(self.orders, key=lambda o: (o.rung, -o.side)):
            if order.resting and (order.side, order.rung) not in slots:
                self.send(now, order, "cancel", S.CANCEL_PENDING, order.ticks, order.size)
        for side, rung, ticks, lots in wanted:
            mine = [o for o in self.orders if (o.side, o.rung) == (side, rung)]
            working = [o for o in mine if not o.over]
            if working:
                if working[0].resting:
                    self.refresh(now, working[0], ticks, lots)
                continue
            size = min(lots, self.room(side))
            # a finished order may still have a request on its way; two such, and its slot waits
            if size > 0 and sum(o.request is not None for o in mine) < 2:
                order = Order(len(self.orders), side, rung, ticks, size)
                self.orders.append(order)
                self.send(now, order, "place", S.SENT, ticks, size)

    def refresh(self, now: int, order: Order, ticks: int, lots: int) -> None:
        leaves = order.size - order.filled
        if lots > leaves:
            lots = min(lots, leaves + max(0, self.room(order.side)))
        moved = abs(ticks - order.ticks) >= self.rules.tolerance
        if not moved and leaves <= lots <= order.size:
            return
        if not self.rules.modify:
            self.send(now, order, "cancel", S.CANCEL_PENDING, order.ticks, order.size)
        else:
            self.send(now, order, "modify", S.MODIFY_PENDING, ticks if moved else order.ticks, order.filled + lots)

    def send(self, now: int, order: Order, what: str, state: OrderState, ticks: int, size: int) -> None:
        self.sent += 1
        order.state, order.asked, order.request = state, size, (what, ticks, size)
        self.to_exchange.append((now + self.rules.entry_ms, self.sent, order))
        self.note(order, 0, now, state, OrderReason.NONE)
        self.dirty = True
