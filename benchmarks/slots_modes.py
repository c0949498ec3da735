"""What slots and acknowledgement modes buy: time without a quote, time with a stale one, transactions.

    python benchmarks/slots_modes.py                                # 10 minutes of AMZN, 200 ms there and back
    python benchmarks/slots_modes.py --figure docs/figures/slots_modes.svg

One recording in virtual time for each of ``execution.slots`` single and ab x ``execution.ack_mode`` strict and
optimistic, everything else default, refresh tolerance 0, on the paper venue. What counts is what rests at the venue, at
the venue's time, not what the engine believes; both sides together:

    bare     share of the time with a target in which no order of ours rests on its side
    stale    share of the time with an order in which one rests at a price that is not the target's (or there is none)
    tx       transactions sent, by kind; refused: those that the venue refused

The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from pathlib import Path
from typing import Any

from recordings import load

import mmlab
from mmlab.engine.engine import Engine
from mmlab.engine.setup import Setup
from mmlab.events import ASK, BID, NS_PER_S
from mmlab.exchange import AccountMessage, Payload
from mmlab.lab.warm_up import calibrate, warm_up
from mmlab.orders import events as e
from mmlab.venues.paper import FaultPlan, PaperVenue
from mmlab.venues.virtual import run_virtual

MODES = [(slots, ack) for slots in ("single", "ab") for ack in ("strict", "optimistic")]


class Quiet:
    """A log that says nothing."""

    def info(self, event: str, **fields: Any) -> None:
        """Nothing."""

    warning = error = info


class Ledger:
    """Time by what rests and what is wanted."""

    def __init__(self) -> None:
        self.wanted: dict[int, set[int]] = {BID: set(), ASK: set()}
        self.resting: dict[int, set[int]] = {BID: set(), ASK: set()}
        self.ns: Counter[str] = Counter()
        self.last_ns = 0

    def until(self, now_ns: int) -> None:
        """What was true up to now was true since the last call."""
        passed, self.last_ns = (now_ns - self.last_ns if self.last_ns else 0), now_ns
        for side in (BID, ASK):
            wanted, resting = self.wanted[side], self.resting[side]
            self.ns["wanted"] += passed * bool(wanted)
            self.ns["bare"] += passed * (bool(wanted) and not resting)
            self.ns["resting"] += passed * bool(resting)
            self.ns["stale"] += passed * bool(resting - wanted)


class Watched(PaperVenue):
    """A paper venue that tells the ledger when its orders change."""

    ledger: Ledger

    def _update(self, at_ns: int, message: AccountMessage) -> None:
        self.look()
        super()._update(at_ns, message)

    def look(self) -> None:
        """Take the orders as they are."""
        self.ledger.until(self.clock.now_ns())
        for side in (BID, ASK):
            self.ledger.resting[side] = {o.price_ticks for o in self._account.orders.values() if o.side == side}


def measure(feed: mmlab.Feed, slots: str, ack_mode: str, rtt_ms: float) -> dict[str, Any]:
    """One session."""
    config = mmlab.Config().with_(
        **{"execution.slots": slots, "execution.ack_mode": ack_mode, "execution.refresh_tolerance_ticks": 0}
    )
    fit = warm_up(calibrate(feed, config, feed.instrument))

    async def main() -> dict[str, Any]:
        ledger, sent = Ledger(), Counter[str]()
        setup = Setup(config, feed.instrument, fit, lambda *_: None, Quiet())
        faults = FaultPlan(entry_ms=rtt_ms / 2, response_ms=rtt_ms / 2)
        venue = Watched(feed, setup.params(), faults=faults)
        venue.ledger = ledger
        engine = Engine(venue, setup)
        handle, send = engine.desk.handle, venue.send

        def heard(event: e.AnyEvent) -> None:
            if isinstance(event, e.Targets):
                ledger.until(venue.clock.now_ns())
                for side in (BID, ASK):
                    ledger.wanted[side] = {q.price_ticks for q in event.quotes if q.side == side}
            handle(event)

        def sending(payload: Payload) -> Any:
            sent[payload.transaction.kind.name.lower()] += 1
            return send(payload)

        engine.desk.handle, venue.send = heard, sending  # type: ignore[method-assign]
        await engine.run()
        refused = sum(n for name, n in venue.truth().counts.items() if name.startswith("refused"))
        ns = ledger.ns
        return {
            "slots": slots,
            "ack_mode": ack_mode,
            "bare": round(ns["bare"] / ns["wanted"], 4),
            "stale": round(ns["stale"] / ns["resting"], 4),
            "tx": sum(sent.values()),
            "sent": dict(sent),
            "refused": refused,
            "fills": engine.desk.counts["fills"],
            "anomalies": dict(engine.manager.state.counts),
        }

    return run_virtual(main())


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """Three bars a mode."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 3, figsize=(9, 2.6), constrained_layout=True)
    names = [f"{row['slots']}, {row['ack_mode']}" for row in rows]
    for axis, (field, title, factor) in zip(
        axes, (("bare", "without a quote, %", 100), ("stale", "stale quote, %", 100), ("tx", "transactions", 1)),
        strict=True,
    ):  # fmt: skip
        bars = axis.barh(names, [factor * row[field] for row in rows], color="#4c72b0")
        axis.bar_label(bars, fmt="%.3g", padding=2)
        axis.set_title(title, fontsize=10)
        axis.invert_yaxis()
        axis.spines[["top", "right"]].set_visible(False)
        axis.margins(x=0.15)
    for axis in axes[1:]:
        axis.set_yticklabels([])
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)


def main() -> None:
    """Measure all four."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recording", default="LOBSTER AMZN")
    parser.add_argument("--start", type=float, default=1800.0, help="seconds into the recording")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--rtt-ms", type=float, default=200.0)
    parser.add_argument("--figure", type=Path)
    args = parser.parse_args()
    feed = load(args.recording)
    begin_ns = int(feed.events["local_ns"][0]) + round(args.start * NS_PER_S)
    feed = feed[begin_ns : begin_ns + round(args.minutes * 60 * NS_PER_S)]
    rows = []
    for slots, ack_mode in MODES:
        row = measure(feed, slots, ack_mode, args.rtt_ms)
        rows.append(row)
        print(f"{slots:7} {ack_mode:11} bare {row['bare']:7.2%}  stale {row['stale']:7.2%}  tx {row['tx']:5}  {row}")
    if args.figure:
        draw(rows, args.figure)
    print(json.dumps({"recording": args.recording, "rtt_ms": args.rtt_ms, "rows": rows}))


if __name__ == "__main__":
    main()
