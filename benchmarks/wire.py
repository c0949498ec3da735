"""The whole engine on the wire: adapter, signer and paper server; ten minutes of a recording at ten times its speed.

    python benchmarks/wire.py                         # a quiet network, then every fault
    python benchmarks/wire.py --minutes 2 --only quiet

A session trades in this process on a paper server in another. What it sent is kept, the server's own view of the
account is asked again and again with the official signer, and at the end both sides must agree:

    reused        pairs (key, nonce), or client ids of creates, that left with two different contents
    over          looks at the server that found position + resting orders of a side beyond the hard limit
    locked        looks that found our best bid at or above our best ask
    left          orders open at the server after the session's end
    lots, fees, trades   position, fees and trades: the server's and ours

Quotes have no floor under their spread, so that they trade: what is not traded proves nothing of trades and fees. The
last line is one JSON object.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pandas as pd
from paper_exchange import PaperExchange
from recordings import load

import mmlab
from mmlab.exchange import Payload, TxKind
from mmlab.lab.trade import Trade

SPEED = 10.0
LOOK_S = 0.25
SETTINGS: dict[str, Any] = {
    "venue.market": "0", "strategy.warmup_s": 3.0, "strategy.warmup_min_trades": 0, "strategy.rungs": 2,
    "strategy.min_spread_bps": 0.0, "execution.refresh_tolerance_ticks": 0, "venue.dead_man_s": 20.0,
    "venue.dead_man_renew_s": 4.0,
    "kill.losing.enabled": False, "kill.volatility.enabled": False,
}  # fmt: skip
FAULTS = """
drop_ack = 0.02
unclear_ack = 0.02
drop_update = 0.01
fail_accepted = 0.01
disconnects_per_min = 1.0
split_fill = 0.2
seed = 7
"""
"""A plan of faults on the wire (docs/paper_server.md)."""


class Sent:
    """What left, by key and nonce, and by client id."""

    def __init__(self) -> None:
        self.by_nonce: dict[tuple[int, int], Any] = {}
        self.by_client: dict[int, Any] = {}
        self.reused = self.transactions = self.batches = 0

    def watch(self, venue: Any) -> None:
        """Look at each payload on its way."""
        send, send_batch = venue.send, venue.send_batch

        def look(payload: Payload) -> None:
            tx = payload.transaction
            self.transactions += 1
            self.reused += self.by_nonce.setdefault((tx.key, tx.nonce), tx) != tx
            if tx.kind == TxKind.PLACE:
                content = (tx.side, tx.price_ticks, tx.size_lots, tx.flags)
                self.reused += self.by_client.setdefault(tx.client_id, content) != content

        def seen(payload: Payload) -> Any:
            look(payload)
            return send(payload)

        def seen_batch(payloads: Sequence[Payload]) -> Any:
            self.batches += 1
            for payload in payloads:
                look(payload)
            return send_batch(payloads)

        venue.send, venue.send_batch = seen, seen_batch


class Looks:
    """The server's view of the account, again and again, in a thread."""

    def __init__(self, exchange: PaperExchange) -> None:
        self.exchange = exchange
        self.n = self.locked = 0
        self.most = {1: 0.0, -1: 0.0}
        self.over = False

    async def look(self) -> None:
        """Until the end."""
        while not self.over:
            with suppress(OSError):  # a fault of the plan
                await asyncio.to_thread(self._once)
            await asyncio.sleep(LOOK_S)

    def _once(self) -> None:
        orders, position = self.exchange.orders(), self.exchange.position()
        self.n += 1
        for side in (1, -1):
            rest = sum(float(o["remaining_base_amount"]) for o in orders if o["is_ask"] == (side < 0))
            self.most[side] = max(self.most[side], side * position + rest)
        bids = [float(o["price"]) for o in orders if not o["is_ask"]]
        asks = [float(o["price"]) for o in orders if o["is_ask"]]
        self.locked += bool(bids and asks and max(bids) >= min(asks))


def trial(feed: str, minutes: float, faults: str, folder: Path) -> dict[str, Any]:
    """One session; what both sides say at its end."""
    options: dict[str, Any] = {}
    if faults:
        (folder / "faults.toml").write_text(faults)
        options["faults"] = folder / "faults.toml"
    with mmlab.PaperServer(feed, speed=SPEED, loop=True, no_limits=True, min_schedule_s=3, **options) as server:
        exchange = PaperExchange(server.ready)
        config = mmlab.Config().with_(**SETTINGS)
        session = mmlab.Session(config, venue="lighter", paper=server.ready, out=folder / "run", name="wire")
        sent, looks = Sent(), Looks(exchange)
        trade = session._trade
        watch(trade, sent)
        asyncio.run(drive(session, looks, minutes * 60 / SPEED))
        run = mmlab.load_run(folder / "run")
        left, trades = exchange.orders(), exchange.trades()
        theirs = exchange.position()
    ours = run.info.counters["position_left_lots"] * run.instrument.lot_size
    manager = trade.engine.manager
    mine = pd.DataFrame(
        [(own_side(t, exchange.account), float(t["price"]), float(t["size"]), own_fee(t, exchange.account))
         for t in trades],
        columns=["side", "price", "size", "fee"],
    )  # fmt: skip
    fills = run.fills
    same = sorted(zip(fills["side"], fills["price"], fills["size"], strict=True)) == sorted(
        zip(mine["side"], mine["price"], mine["size"], strict=True)
    )
    hard = float(run.info.params["risk"]["hard_lots"]) * run.instrument.lot_size
    result = {
        "ended": run.info.ended, "transactions": sent.transactions, "batches": sent.batches, "reused": sent.reused,
        "looks": looks.n,
        "most_long": looks.most[1], "most_short": looks.most[-1], "hard_limit": hard, "locked": looks.locked,
        "left": len(left), "working": len(manager.orders), "lots_equal": abs(ours - theirs) < 1e-9, "position": theirs,
        "trades": len(trades), "fills": len(fills), "trades_equal": same, "fees": float(mine["fee"].sum()),
        "our_fees": float(fills["fee"].sum()), "tasks_died": run.info.counters["tasks_died"],
        "anomalies": dict(manager.state.counts),
    }  # fmt: skip
    result["good"] = (
        not sent.reused and not looks.locked and not left and not result["working"] and result["lots_equal"] and same
        and max(looks.most.values()) <= hard + 1e-9 and abs(result["fees"] - result["our_fees"]) < 1e-6
        and not result["tasks_died"] and len(trades) > 0  # nothing traded proves nothing of trades and fees
    )  # fmt: skip
    return result


def watch(trade: Trade, sent: Sent) -> None:
    """See everything that the session's venue sends."""
    market, venue_of = trade.market, trade.market.venue

    def venue(params: Any) -> Any:
        made = venue_of(params)
        sent.watch(made)
        return made

    market.venue = venue  # type: ignore[method-assign]


async def drive(session: mmlab.Session, looks: Looks, trade_s: float) -> None:
    """Trade so long; look meanwhile."""
    looking = asyncio.create_task(looks.look())
    started = time.monotonic()
    await session.run(duration_s=trade_s)
    looks.over = True
    await looking
    print(f"traded {time.monotonic() - started:.0f} s")


def own_side(trade: dict[str, Any], account: int) -> str:
    """Bid or ask."""
    return "ask" if trade["ask_account_id"] == account else "bid"


def own_fee(trade: dict[str, Any], account: int) -> float:
    """Fee paid, quote currency: fee ticks are millionths of the notional."""
    is_ask = trade["ask_account_id"] == account
    maker = is_ask == trade["is_maker_ask"]
    ticks = trade.get("maker_fee" if maker else "taker_fee") or 0
    return ticks * 1e-6 * float(trade["usd_amount"])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0, help="of the recording (default: 10)")
    parser.add_argument("--only", choices=("quiet", "faults"))
    parser.add_argument("--feed", default="", help="a feed file (default: AMZN of LOBSTER)")
    options = parser.parse_args()
    results = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        feed = options.feed
        if not feed:
            feed = str(folder / "feed.parquet")
            recording(feed, options.minutes)
        for what, faults in (("quiet", ""), ("faults", FAULTS)):
            if options.only in (None, what):
                place = folder / what
                place.mkdir()
                results[what] = trial(feed, options.minutes, faults, place)
                print(what, json.dumps(results[what], indent=1))
    print(json.dumps(results))
    return 0 if all(r["good"] for r in results.values()) else 1


def recording(path: str, minutes: float) -> None:
    """The beginning of a recording, as a feed file."""
    feed = load("LOBSTER AMZN")
    start = int(feed.events["local_ns"][0])
    feed[start : start + round((minutes + 2) * 60e9)].save(path)


if __name__ == "__main__":
    raise SystemExit(main())
