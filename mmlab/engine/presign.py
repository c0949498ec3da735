"""When to sign ahead, and what: watches the order manager, and asks the signer's worker for what may come next.

It changes nothing but when payloads are made: decisions, and the order of transactions, are the same without it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import msgspec

from mmlab.config import Presign
from mmlab.engine.setup import Log
from mmlab.engine.signing import SignerWorker
from mmlab.events import ASK, BID, NO_PRICE, NS_PER_S
from mmlab.exchange import TxKind, VenueRules
from mmlab.orders.events import Quote, Top
from mmlab.orders.forecast import forecast
from mmlab.orders.limits import takes
from mmlab.orders.state import State

Quotes = tuple[Quote, ...]


class Trail:
    """Where the targets are; for a side that has none, where they would be: as far from the best quote as the last."""

    def __init__(self) -> None:
        self._last: dict[int, tuple[Quotes, int]] = {}
        self._quotes: Quotes | None = None

    def centre(self, quotes: Quotes, top: Top) -> Quotes:
        """Targets of both sides, as far as there ever were any."""
        found: list[Quote] = []
        for side, best_ticks in ((BID, top.bid_ticks), (ASK, top.ask_ticks)):
            mine = tuple(q for q in quotes if q.side == side and not takes(q.flags)) if quotes else ()
            if mine:
                if quotes is not self._quotes and top.valid and best_ticks != NO_PRICE:
                    self._last[side] = mine, best_ticks
                found += mine
            elif side in self._last:
                last, then_ticks = self._last[side]
                shift = best_ticks - then_ticks if top.valid and best_ticks != NO_PRICE else 0
                found += [msgspec.structs.replace(q, price_ticks=q.price_ticks + shift) for q in last]
        self._quotes = quotes
        return tuple(found)


def fingerprint(s: State, centre: Quotes) -> tuple[Any, ...]:
    """All that a forecast depends on."""
    keys = [(key.next if key.ready else None) for key in s.keys.ring]
    orders = [
        (o.client_id, o.state, o.aim_ticks, o.aim_lots, o.filled_lots, o.in_doubt) for o in s.orders.working.values()
    ]
    return centre, keys, orders, s.linked, s.recovered, s.halted, s.foreign, s.risk


class Presigner:
    """Keeps the bank of one worker stocked.

    Parameters
    ----------
    worker : SignerWorker
        Signs.
    config : Presign
        Whether, and how far ahead.
    rules : VenueRules
        How long a payload counts, and may be under way.
    now : callable
        The session's time, ns: payloads age by it where signing has no thread of its own, else by the wall clock, which
        is the one that a signer writes down.
    log : Log
        Told when a forecast fails: then nothing is signed ahead any more, and all else goes on.
    """

    def __init__(
        self, worker: SignerWorker, config: Presign, rules: VenueRules, now: Callable[[], int], log: Log
    ) -> None:
        self.worker, self._rules, self._log = worker, rules, log
        self._now: Callable[[], int] = time.time_ns if worker.apart else now
        self._trail = Trail()
        self._last: tuple[Any, ...] | None = None
        self._renew_ns = 0
        self.configure(config)

    def configure(self, config: Presign) -> None:
        """Other settings, from now on."""
        self.config, self._last = config, None
        if config.enabled == "on" or (config.enabled == "auto" and self.worker.apart):
            self.worker.open_bank(self._life_ns(), self._now)
        else:
            self.worker.close_bank()

    def _life_ns(self) -> int:
        """A payload must still count when it arrives, though it may be long under way."""
        most_ns = self._rules.payload_life_ns - self._rules.flight_ns
        return max(1, min(round(self.config.max_age_s * NS_PER_S), most_ns))

    def look(self, s: State) -> None:
        """Have signed what may come next, if that is news or payloads near their end."""
        bank = self.worker.bank
        if bank is None or self.worker.waiting:  # what was asked comes first; its answer brings us back here
            return
        centre = self._trail.centre(s.quotes, s.top)
        news, now_ns = fingerprint(s, centre), self._now()
        if news == self._last and now_ns < self._renew_ns:
            return
        self._last, self._renew_ns = news, now_ns + bank.life_ns // 20
        try:
            wanted = forecast(s, centre, self.config.ticks, self.config.cancels, self.config.nonces)
        except Exception as error:  # noqa: BLE001  a guess about the future must not harm the present
            self._log.error("forecast_failed", error=f"{type(error).__name__}: {error}")
            self.worker.close_bank()
            return
        self.worker.prepare(wanted, {key.index: key.next for key in s.keys.ring if key.next is not None})

    def numbers(self) -> dict[str, Any]:
        """What the bank did so far, and how it is; see ``docs/engine.md``."""
        bank = self.worker.bank
        if bank is None:
            return {"on": False}
        counts, asked = bank.counts, bank.counts["hits"] + bank.counts["misses"]
        oldest_ns = bank.oldest_ns()
        return {
            "on": True,
            "hits": counts["hits"],
            "misses": counts["misses"],
            "hit_rate": counts["hits"] / asked if asked else None,
            "kinds": {
                kind.name.lower(): {"hits": bank.kinds[kind, True], "misses": bank.kinds[kind, False]}
                for kind in TxKind
            },
            "late": counts["late"],
            "unforeseen": counts["unforeseen"],
            "signed": counts["signed"],
            "wasted": counts["wasted"],
            "expired": counts["expired"],
            "failed": self.worker.failed_ahead,
            "held": len(bank),
            "lacking": bank.lacking(),
            "age_s": None if oldest_ns is None else max(0, self._now() - oldest_ns) / NS_PER_S,
            "signer_cpu_s": self.worker.cpu_ns / NS_PER_S,
        }
