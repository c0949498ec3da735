"""How often a payload is ready, by the time a signature takes: a modelled signer, in virtual time.

    python benchmarks/presign_model.py                                  # 10 minutes of AMZN, some 15 s a row
    python benchmarks/presign_model.py --signer-us 1000 --nonces 3

As `benchmarks/presign.py` (default config, four keys, refresh tolerance 0), but the signer's thread is replaced by one
that takes so many microseconds of the session's time for each payload, whatever the machine. So two forecasts can be
told apart that the noise of a machine would hide. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
from collections import deque
from typing import Any

from presign import Quiet
from recordings import load

import mmlab
from mmlab.engine import courier
from mmlab.engine.engine import Engine
from mmlab.engine.setup import Setup
from mmlab.engine.signing import SignerWorker, transaction_of
from mmlab.events import NS_PER_S
from mmlab.exchange import Transaction
from mmlab.lab.warm_up import calibrate, warm_up
from mmlab.orders.commands import Sign
from mmlab.venues.paper import FaultPlan, PaperVenue
from mmlab.venues.virtual import run_virtual

QUOTE_KEYS, CANCEL_KEYS = (4, 5, 6), (7,)


class Modelled(SignerWorker):
    """Stands where the thread and its queue would."""

    signer_s = 1e-3

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._thread = self._requests = self
        self._todo: deque[Sign] = deque()
        self._busy = False
        self.made = 0

    def put(self, item: object) -> None:
        """A request, or a sign that there is something to make ahead."""
        if isinstance(item, Sign):
            self._todo.append(item)
        self._next()

    def _next(self) -> None:
        if self._busy or not (self._todo or self._ahead):
            return
        self._busy = True
        self.made += 1
        job = self._todo.popleft() if self._todo else self._next_wish()
        assert job is not None
        self._loop.call_later(self.signer_s, self._done, job, self._clock())

    def _done(self, job: Sign | Transaction, begun_ns: int) -> None:
        self._busy, self._making = False, None
        if isinstance(job, Transaction):
            self._made.append((job, self._sign(job), begun_ns))
        else:
            self._results.append((job, self._sign(transaction_of(job))))
            self._collect()
        self._next()


async def trade(feed: mmlab.Feed, config: mmlab.Config) -> Engine:
    """One session over the whole feed."""
    fit = warm_up(calibrate(feed, config, feed.instrument))
    setup = Setup(config, feed.instrument, fit, lambda *_: None, Quiet())
    venue = PaperVenue(
        feed, setup.params(), speed=1.0, quote_keys=QUOTE_KEYS, cancel_keys=CANCEL_KEYS,
        faults=FaultPlan(entry_ms=5.0, response_ms=5.0),
    )  # fmt: skip
    engine = Engine(venue, setup)
    await engine.run()
    return engine


def main() -> None:
    """One row a time and depth."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recording", default="LOBSTER AMZN")
    parser.add_argument("--start", type=float, default=1800.0, help="seconds into the recording")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--signer-us", type=float, nargs="+", default=[500.0, 1000.0, 1500.0, 2000.0])
    parser.add_argument("--nonces", type=int, nargs="+", default=[1, 2, 3, 4])
    args = parser.parse_args()
    feed = load(args.recording)
    begin_ns = int(feed.events["local_ns"][0]) + round(args.start * NS_PER_S)
    feed = feed[begin_ns : begin_ns + round(args.minutes * 60 * NS_PER_S)]
    courier.SignerWorker = Modelled
    rows = []
    for nonces in args.nonces:
        for signer_us in args.signer_us:
            Modelled.signer_s = signer_us / 1e6
            changes = {"execution.refresh_tolerance_ticks": 0, "execution.presign.nonces": nonces}
            engine = run_virtual(trade(feed, mmlab.Config().with_(**changes)))
            bank, signer = engine.presigner.numbers(), engine.courier.signer
            asked = bank["hits"] + bank["misses"]
            rows.append({
                "nonces": nonces, "signer_us": signer_us, "hit_rate": round(bank["hit_rate"], 4), "late": bank["late"],
                "unforeseen": bank["unforeseen"], "asked": asked, "per_s": round(asked / args.minutes / 60, 2),
                "wasted_per_used": round(bank["wasted"] / bank["hits"], 1),
                "signer_share": round(signer.made * Modelled.signer_s / args.minutes / 60, 4),
            })  # fmt: skip
            print(rows[-1], flush=True)
    print(json.dumps(rows))


if __name__ == "__main__":
    main()
