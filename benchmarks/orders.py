"""Latency of the order manager: event in, commands out, with eight orders live.

    python benchmarks/orders.py --events 200000

A quiet venue answers at once: every transaction is signed, accepted and reported, so the mix of events is that of
trading (book, targets, signatures, acknowledgements, reports, trades). Prints one line a kind of event, then one JSON
line with p50 and p99 over all, in microseconds.
"""

from __future__ import annotations

import argparse
import gc
import json
import time
from collections import defaultdict, deque

import numpy as np

from mmlab.events import NS_PER_MS, NS_PER_S
from mmlab.exchange import TxKind
from mmlab.orders import Limits, OrderManager, OrderSettings, VenueRules
from mmlab.orders import events as e
from mmlab.orders.commands import Query, Send, Sign
from mmlab.orders.ids import ORIGIN_NS

START_NS = ORIGIN_NS + 10**7 * NS_PER_S
RUNGS = 4
CLOCKS = {"wall": time.perf_counter_ns, "cpu": time.thread_time_ns}


class QuietVenue:
    """Accepts everything at once; one of our orders trades now and then."""

    def __init__(self) -> None:
        self.signs: dict[int, Sign] = {}
        self.orders: dict[int, list[int]] = {}  # client id -> index, side, price, size, filled, seq
        self.index = self.trades = self.position = 0
        self.nonces = {0: 0, 1: 0}

    def answers(self, now_ns: int, command: object) -> list[e.AnyEvent]:
        """What a command leads to."""
        if isinstance(command, Sign):
            self.signs[command.tx_id] = command
            return [e.Signed(now_ns, command.tx_id, command.round)]
        if isinstance(command, Send):
            return self.execute(now_ns, self.signs.pop(command.tx_id))
        if isinstance(command, Query):
            views = tuple(self.view(client_id) for client_id in self.orders)
            nonces = tuple(self.nonces.items())
            return [e.Snapshot(now_ns, command.query_id, 1, views, (), self.trades, self.position, nonces)]
        return []

    def execute(self, now_ns: int, tx: Sign) -> list[e.AnyEvent]:
        """Acknowledge and report."""
        self.nonces[tx.key] += 1
        status = "open"
        if tx.kind == TxKind.PLACE:
            self.index += 1
            self.orders[tx.client_id] = [self.index, tx.side, tx.price_ticks, tx.size_lots, 0, 1]
        elif tx.kind == TxKind.MODIFY:
            order = self.orders[tx.client_id]
            order[2], order[3] = tx.price_ticks, tx.size_lots
            order[5] += 1
        else:
            status = "canceled"
        report = e.OrderReport(now_ns, self.view(tx.client_id, status))
        if status != "open":
            del self.orders[tx.client_id]
        return [e.Ack(now_ns, tx.tx_id), report]

    def view(self, client_id: int, status: str = "open") -> e.OrderView:
        """The order as it is."""
        index, side, price, size, filled, seq = self.orders[client_id]
        return e.OrderView(client_id, index, side, price, size, filled, status, seq)

    def fill(self, now_ns: int, side: int) -> list[e.AnyEvent]:
        """One lot of our best order of a side trades."""
        mine = [(client_id, o) for client_id, o in self.orders.items() if o[1] == side]
        if not mine:
            return []
        client_id, order = max(mine, key=lambda item: side * item[1][2])
        self.trades += 1
        order[4] += 1
        order[5] += 1
        self.position += side
        trade = e.Trade(now_ns, e.Fill(self.trades, client_id, side, order[2], 1, order[0]))
        report = e.OrderReport(now_ns, self.view(client_id, "filled" if order[4] == order[3] else "open"))
        if order[4] == order[3]:
            del self.orders[client_id]
        return [trade, report]


def run(events: int, replace: str, clock_name: str) -> tuple[dict[str, list[int]], list[int]]:
    """Drive `events` events; latency of each kind, and number of live orders at each, ns."""
    settings = OrderSettings(
        rungs=RUNGS, replace=replace, limits=Limits(10**6, 10**6, 64, collar_bps=1e4), venue=VenueRules(flight_ns=0)
    )
    om, venue, rng = OrderManager(settings, START_NS), QuietVenue(), np.random.default_rng(0)
    now, mid, done = START_NS, 10_000, 0
    latency: dict[str, list[int]] = defaultdict(list)
    live: list[int] = []
    queue: deque[e.AnyEvent] = deque([e.LinkUp(now, 1)])
    clock = CLOCKS[clock_name]
    while done < events:
        if not queue:
            now += 5 * NS_PER_MS
            due = om.next_deadline()
            if due is not None and due <= now:
                queue.append(e.Timer(now))
            mid += int(rng.integers(-1, 2)) if rng.random() < 0.3 else 0
            queue.append(e.Top(now, mid - 1, mid + 1))
            quotes = [e.Quote(s, k, mid - s * (1 + k), 10) for s in (1, -1) for k in range(RUNGS)]
            queue.append(e.Targets(now, tuple(quotes)))
            if rng.random() < 0.1:
                queue.extend(venue.fill(now, int(rng.choice((1, -1)))))
        event = queue.popleft()
        start = clock()
        commands = om.handle(event)
        om.next_deadline()
        latency[type(event).__name__].append(clock() - start)
        live.append(len(venue.orders))
        done += 1
        for command in commands:
            queue.extend(venue.answers(now, command))
    return latency, live


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--replace", choices=("modify", "cancel_place"), default="modify")
    parser.add_argument("--clock", choices=tuple(CLOCKS), default="wall", help="cpu: what others run does not count")
    args = parser.parse_args()
    run(5_000, args.replace, args.clock)
    gc.collect()
    gc.freeze()
    latency, live = run(args.events, args.replace, args.clock)
    for kind, ns in sorted(latency.items()):
        p50, p99 = np.percentile(ns, (50, 99)) / 1e3
        print(f"{kind:14s} {len(ns):8d}  p50 {p50:7.1f} us  p99 {p99:7.1f} us")
    everything = np.concatenate([np.asarray(ns) for ns in latency.values()]) / 1e3
    p50, p99 = np.percentile(everything, (50, 99))
    print(
        json.dumps(
            {
                "events": len(everything), "live_orders": float(np.median(live)), "p50_us": round(float(p50), 1),
                "p99_us": round(float(p99), 1), "max_us": round(float(everything.max()), 1),
                "events_per_s": round(len(everything) / (everything.sum() / 1e6)),
            }
        )
    )  # fmt: skip


if __name__ == "__main__":
    main()
