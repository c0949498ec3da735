"""Messages of the order manager against cancel-all-and-replace, on the same changes of targets.

    python benchmarks/orders_messages.py --minutes 10

A backtest of a real recording gives the targets of every decision. The order manager takes them at their times, with
refresh tolerance 0, at a venue that answers after a round trip. Cancel-all-and-replace takes the same ones: at every
change of the targets one cancel-all (if anything rests) and one place a target. Two more are counted for comparison:
*paced* acts only when its last answers are in (two round trips), as the order manager does; *one by one* is paced too
and has no cancel-all. Prints one JSON line a recording and number of rungs.
"""

from __future__ import annotations

import argparse
import heapq
import itertools
import json
from collections import Counter
from typing import Any

import numpy as np
from orders import QuietVenue
from recordings import FOUR, load

import mmlab
from mmlab.config import Config
from mmlab.events import NS_PER_MS, NS_PER_S
from mmlab.exchange import TxKind
from mmlab.orders import Limits, OrderManager, OrderSettings, VenueRules
from mmlab.orders import events as e
from mmlab.orders.commands import Send, Sign

Decision = tuple[int, int, int, tuple[e.Quote, ...]]
TRADED_NS = 2 * 3600 * NS_PER_S
"""How much of a recording is traded at most, warm-up included."""
NO_LIMITS = Limits(1 << 60, 1 << 60, 64, collar_bps=1e9)


def decisions_of(run: Any, minutes: float) -> list[Decision]:
    """Time, bid, ask and targets of each decision of the busiest whole stretch of `minutes`."""
    rows, targets = run.tables.decisions, run.tables.targets
    rows = rows[rows["targets"] > 0]
    times = rows["local_ns"]
    span = round(minutes * 60) * NS_PER_S
    starts = np.arange(times[0], max(times[0] + 1, times[-1] - span), span)
    counts = [np.count_nonzero((times >= start) & (times < start + span)) for start in starts]
    start = starts[int(np.argmax(counts))]
    found = []
    for row in rows[(times >= start) & (times < start + span)]:
        quotes = targets[row["first_target"] : row["first_target"] + row["targets"]].tolist()
        found.append(
            (
                int(row["local_ns"]), int(row["bid_ticks"]), int(row["ask_ticks"]),
                tuple(e.Quote(side, rung, price, lots) for side, rung, flags, price, lots in quotes if flags == 1),
            )
        )  # fmt: skip
    return found


class Places:
    """Places in the queue: of prices that were wanted all the time, how many still have their oldest order."""

    def __init__(self) -> None:
        self.since: dict[tuple[int, int], int] = {}  # side, price -> number of the oldest order there
        self.kept = self.lost = 0

    def wanted(self, quotes: tuple[e.Quote, ...]) -> None:
        """Targets changed."""
        prices = {(quote.side, quote.price_ticks) for quote in quotes}
        self.since = {place: born for place, born in self.since.items() if place in prices}

    def settled(self, om: OrderManager, quotes: tuple[e.Quote, ...]) -> None:
        """Nothing is under way: compare, and begin anew."""
        now: dict[tuple[int, int], int] = {}
        for order in om.orders:
            place = order.side, order.price_ticks
            now[place] = min(order.born, now.get(place, order.born))
        kept = sum(now.get(place) == born for place, born in self.since.items())
        self.kept += kept
        self.lost += len(self.since) - kept
        self.since = now
        self.wanted(quotes)


def manager_messages(decisions: list[Decision], rungs: int, round_trip_ns: int) -> Counter[str]:
    """Transactions that the order manager sends, a kind."""
    begin = decisions[0][0] - 60 * NS_PER_S
    settings = OrderSettings(rungs=rungs, tolerance_ticks=0, limits=NO_LIMITS, venue=VenueRules(flight_ns=NS_PER_S))
    om, venue, number = OrderManager(settings, begin), QuietVenue(), itertools.count()
    queue: list[tuple[int, int, e.AnyEvent]] = []
    sent: Counter[str] = Counter()
    places, before = Places(), ()

    def push(t_ns: int, event: e.AnyEvent) -> None:
        heapq.heappush(queue, (t_ns, next(number), event))

    push(begin, e.LinkUp(begin, 1))
    for t_ns, bid, ask, quotes in decisions:
        push(t_ns, e.Top(t_ns, bid, ask))
        push(t_ns, e.Targets(t_ns, quotes))
    end = decisions[-1][0] + 10 * NS_PER_S
    while queue:
        due = om.next_deadline()
        if due is not None and due < queue[0][0] and due < end:
            push(due, e.Timer(due))
        now, _, event = heapq.heappop(queue)
        if now > end:
            break
        kind = type(event)
        if kind is e.Targets:
            if om.state.keys.in_flight == 0 and om.orders:
                places.settled(om, before)
            before = event.quotes
            places.wanted(before)
        for command in om.handle(kind(**{**{f: getattr(event, f) for f in event.__struct_fields__}, "ts_ns": now})):
            if isinstance(command, Send):
                sent[TxKind(venue.signs[command.tx_id].kind).name.lower()] += 1
            for answer in venue.answers(now, command):
                push(now if isinstance(command, Sign) else now + round_trip_ns, answer)
    sent["places_kept"], sent["places_lost"] = places.kept, places.lost
    return sent


def replace_messages(decisions: list[Decision], busy_ns: int, *, cancel_all: bool) -> int:
    """Transactions of cancel-all-and-replace; after acting it waits `busy_ns` for its answers."""
    resting: tuple[e.Quote, ...] = ()
    sent, free_ns = 0, 0
    times = [t_ns for t_ns, *_ in decisions[1:]] + [1 << 62]
    for (t_ns, _, _, quotes), until_ns in zip(decisions, times, strict=True):
        if quotes == resting or max(t_ns, free_ns) >= until_ns:  # the next one comes before it could act
            continue
        sent += (1 if cancel_all else len(resting)) if resting else 0
        sent += len(quotes)
        resting, free_ns = quotes, max(t_ns, free_ns) + busy_ns
    return sent


def least_messages(decisions: list[Decision]) -> int:
    """What any planner that follows every change has to send: one message an order that is not where it should be."""
    resting: dict[tuple[int, int], int] = {}
    sent = 0
    for *_, quotes in decisions:
        wanted: Counter[tuple[int, int]] = Counter()
        for quote in quotes:
            wanted[quote.side, quote.price_ticks] += quote.size_lots
        for side in (1, -1):
            new = {k: v for k, v in wanted.items() if k[0] == side}
            old = {k: v for k, v in resting.items() if k[0] == side}
            resized = sum(old[k] != v for k, v in new.items() if k in old)
            sent += resized + max(len(new.keys() - old.keys()), len(old.keys() - new.keys()))
        resting = dict(wanted)
    return sent


def compare(name: str, rungs: int, minutes: float, round_trip_ms: float) -> dict[str, Any]:
    """One recording."""
    feed = load(name)
    feed = feed[: int(feed.events["local_ns"][0]) + TRADED_NS]
    decisions = decisions_of(mmlab.backtest(feed, Config(strategy={"rungs": rungs})), minutes)
    trip = round(round_trip_ms * NS_PER_MS)
    ours = manager_messages(decisions, rungs, trip)
    total = sum(ours[kind.name.lower()] for kind in TxKind)
    every = replace_messages(decisions, 0, cancel_all=True)
    paced = replace_messages(decisions, 2 * trip, cancel_all=True)
    single = replace_messages(decisions, 2 * trip, cancel_all=False)
    least = least_messages(decisions)
    return {
        "recording": name, "rungs": rungs, "minutes": round((decisions[-1][0] - decisions[0][0]) / 6e10, 1),
        "target_changes": len(decisions), "manager": total, **ours,
        "cancel_all_and_replace": every, "share": round(total / every, 3), "paced": paced,
        "share_of_paced": round(total / paced, 3), "one_by_one": single,
        "share_of_one_by_one": round(total / single, 3), "least_of_any_planner": least,
        "inherent_share": round(least / every, 3),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recording", action="append", help="name in benchmarks/recordings.py; default: four of them")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--round-trip-ms", type=float, default=50.0)
    args = parser.parse_args()
    for name in args.recording or FOUR:
        for rungs in (4, 1):
            print(json.dumps(compare(name, rungs, args.minutes, args.round_trip_ms)), flush=True)


if __name__ == "__main__":
    main()
