"""The seeded swarm: many short runs of the adversary, each with its own venue, habits and mix of faults."""

from __future__ import annotations

from random import Random

import msgspec

from mmlab.events import NS_PER_MS, NS_PER_S
from mmlab.exchange import TxKind
from mmlab.orders import ErrorClass, Limits, OrderSettings, QuotaRule, RateRule, RetryRule, Times, VenueRules
from mmlab.orders import events as e
from mmlab.orders.quota import TokenBucket
from tests.orders.adversary import Adversary
from tests.orders.model_venue import BACKOFF, FATAL_ORDER, FATAL_SESSION, NONCE, NOW, ORDERS
from tests.orders.nonsense import nonsense

ERRORS = {
    NOW: ErrorClass.RETRYABLE_NOW, BACKOFF: ErrorClass.RETRYABLE_BACKOFF, NONCE: ErrorClass.RESYNC_NONCE,
    ORDERS: ErrorClass.RESYNC_ORDERS, FATAL_ORDER: ErrorClass.FATAL_ORDER, FATAL_SESSION: ErrorClass.FATAL_SESSION,
}  # fmt: skip


def settings(rng: Random) -> OrderSettings:
    """A venue and habits drawn at random."""
    limit = rng.choice((6, 12, 40))
    return OrderSettings(
        instance=rng.randrange(16), seed=rng.randrange(1 << 30), rungs=rng.choice((1, 2, 4)),
        slots=rng.random() < 0.6, ack_mode=rng.choice(("strict", "strict", "optimistic")),
        replace=rng.choice(("modify", "modify", "cancel_place")), tolerance_ticks=rng.choice((0, 1, 2)),
        size_tolerance=rng.choice((0.0, 0.5)),
        limits=Limits(limit, limit, rng.choice((4, 16)), collar_bps=1e4),
        times=Times(
            sign_ns=NS_PER_S, ack_ns=NS_PER_S, open_ns=NS_PER_S, change_ns=NS_PER_S, query_ns=2 * NS_PER_S,
            query_gap_ns=100 * NS_PER_MS, reconcile_ns=10 * NS_PER_S,
        ),
        retry=RetryRule(max_ns=2 * NS_PER_S, per_session=1000, breaker_share=rng.choice((0.2, 0.9))),
        venue=VenueRules(
            modify=rng.random() < 0.7, modify_keeps_queue=rng.random() < 0.7, cancel_all=rng.random() < 0.5,
            quote_keys=rng.choice(((0,), (0, 1))), cancel_keys=rng.choice(((5,), (0,))),
            flight_ns=rng.choice((NS_PER_S, 3 * NS_PER_S, 8 * NS_PER_S)),
            max_in_flight=rng.choice((4, 50)),
            rate=RateRule(*rng.choice(((0, 0), (20, 600))), per_ns=60 * NS_PER_S),
            quota=QuotaRule(rng.random() < 0.2, 20, 1000, earn_tick_lots=2000, free_ns=5 * NS_PER_S), errors=ERRORS,
        ),
    )  # fmt: skip


DEAF_TO = (e.OrderReport, e.Trade)


FOCUS: dict[str, tuple[dict, dict]] = {
    # both sides chase one another through a wide spread, while modifies linger or come to nothing
    "duel": (
        {"rungs": 1, "modify": True, "quote_keys": (0, 1), "cancel_keys": (5,)},
        {
            "inside": 1.0, "spreads": (10,), "trouble": 0.02, "victim": TxKind.MODIFY, "order": 0.6,
            "slow": TxKind.MODIFY,
        },
    ),
    # much is wanted, little is allowed, and nobody knows which changes of size have been made
    "tight": (
        {"rungs": 2, "modify": True, "limit": 6},
        {
            "sizes": (1, 5), "trouble": 0.02, "victim": TxKind.MODIFY, "victim_fates": ("unclear",), "order": 1.0,
            "slow": "core", "deaf": 0.0,
        },
    ),
}  # fmt: skip
"""What some seeds look at closely: settings, and attributes of the run."""


def focused(chosen: OrderSettings, *, rungs: int, limit: int = 12, **venue) -> OrderSettings:
    """Settings that bring about what a focus needs."""
    return msgspec.structs.replace(
        chosen, rungs=rungs, replace="modify", tolerance_ticks=0, limits=Limits(limit, limit, 16, collar_bps=1e4),
        venue=msgspec.structs.replace(chosen.venue, **venue),
    )  # fmt: skip


class Swarm:
    """One run: an adversary and the weights of what is done to it.

    `order` is the share of messages that arrive in order, `trouble` of those that meet a fault; `victim` is the kind of
    transaction that trouble seeks out, `slow` what is kept waiting, `deaf` the share of the account feed that is lost.
    """

    def __init__(self, seed: int) -> None:
        self.rng = rng = Random(seed)
        chosen = settings(rng)
        focus = rng.choice((None, None, None, None, *FOCUS))
        if focus is not None:
            chosen = focused(chosen, **FOCUS[focus][0])
        self.world = Adversary(
            chosen,
            hard_lots=chosen.limits.max_long_lots,
            accepts_dead=rng.random() < 0.5,
            late_replies=rng.random() < 0.5,
        )
        rate = chosen.venue.rate
        if rng.random() < 0.3:  # the venue allows less than it says
            rate = msgspec.structs.replace(rate, capacity=rate.capacity // 2, refill=rate.refill // 3)
        self.world.venue.bucket = TokenBucket(rate)
        self.order = rng.choice((rng.random(), 1.0))
        self.trouble = rng.choice((0.0, 0.02, 0.1, 0.4))
        self.fates = rng.sample(("lost", "twice", "failed", "unclear", "fail", "silent"), rng.randint(1, 6))
        self.codes = rng.sample((*ERRORS, 99), rng.randint(1, 5))
        often = {"deliver": 40, "market": 4, "take": 4, "targets": 5, "wait": 5}
        pace = {"deliver": (1, 3), "market": (0.3, 1, 2), "take": (0.1, 1, 2), "targets": (1, 3), "wait": (0.3, 1, 2)}
        rare = {
            "link": 0.2, "restart": 0.06, "venue": 0.06, "kill": 0.15, "stale": 0.15, "mode": 0.05, "odd": 0.4,
            "nonsense": 0.5, "hush": 0.2,
        }  # fmt: skip
        weights = {move: weight * rng.choice(pace[move]) for move, weight in often.items()}
        weights |= {move: weight * rng.choice((0, 1, 1, 2, 6)) for move, weight in rare.items()}
        self.moves, self.weights = list(weights), list(weights.values())
        self.victim = rng.choice((None, None, TxKind.MODIFY, *TxKind))
        self.victim_fates: tuple[str, ...] = ("lost", "unclear", "fail", "silent")
        self.slow = rng.choice(("none", "none", "core", "venue", "us", "signer", TxKind.MODIFY, TxKind.CANCEL))
        self.deaf = rng.choice((0.0, 0.0, 0.0, 0.3, 0.8))
        # targets keep to the touches, or follow what is thought fair inside a wide spread
        self.inside, self.spreads = rng.choice(((0.0, (1, 2, 4)), (0.2, (1, 2, 4)), (1.0, (6, 10))))
        self.sizes = rng.choice(((1, 2, 3, 5), (1, 6)))
        self.mid = 1000
        for name, value in FOCUS[focus][1].items() if focus is not None else ():
            setattr(self, name, value)

    def run(self, steps: int) -> Adversary:
        """Trouble, then quiet, then the checks."""
        world = self.world
        world.link_up()
        world.wait(self.rng.choice((0, 40, 40, 40)) * NS_PER_S)
        world.tell_top()
        for move in self.rng.choices(self.moves, self.weights, k=steps):
            getattr(self, move)()
        if self.rng.random() < 0.5:  # the last thing that happens is not heard of, and nobody asks for anything more
            world.quiesce(5)
            self.hush()
        world.settle()
        return world

    def deliver(self) -> None:
        world, rng = self.world, self.rng
        for _ in range(rng.choice((1, 1, 2, 5, 12))):
            if not world.wire:
                return
            i = self.choose()
            fate, code = "ok", 0
            victim = self.victim is not None and getattr(world.wire[i].body, "kind", None) == self.victim
            if rng.random() < (0.5 if victim else self.trouble):
                fate = rng.choice(self.victim_fates if victim else self.fates)
                code = rng.choice(self.codes) if rng.random() < 0.4 else 0
            elif self.deaf and isinstance(world.wire[i].body, DEAF_TO) and rng.random() < self.deaf:
                fate = "lost"
            world.deliver_any(i, fate, code)

    def choose(self) -> int:
        """The message that arrives next."""
        wire, rng = self.world.wire, self.rng
        quick = [i for i, m in enumerate(wire) if self.slow not in (m.to, getattr(m.body, "kind", None))]
        if len(quick) < len(wire) and quick and rng.random() < 0.95:
            return quick[0] if rng.random() < self.order else rng.choice(quick)
        return 0 if rng.random() < self.order else rng.randrange(len(wire))

    def market(self) -> None:
        self.mid += self.rng.choice((-3, -1, -1, 0, 1, 1, 3))
        self.world.market(self.mid, self.rng.choice(self.spreads), tell=self.rng.random() < 0.9)

    def take(self) -> None:
        self.world.take(self.rng.choice((1, -1)), self.rng.choice((1, 2, 5, 20)))

    def hush(self) -> None:
        """We trade, and nothing of it is told."""
        self.take()
        self.world.lose_feed()

    def targets(self) -> None:
        rng, world = self.rng, self.world
        if rng.random() < 0.1:
            world.targets(())
            return
        quotes = []
        size = rng.choice(self.sizes)
        bid, ask = world.venue.bid, world.venue.ask
        fair = rng.randint(bid, ask)
        inside = rng.random() < self.inside
        for side in (1, -1):
            if rng.random() < 0.1:
                continue
            touch = bid if side > 0 else ask
            price = touch - side * rng.choice((0, 0, 1, 2)) + side * (rng.random() < 0.1) * 3
            price = fair - side if inside else price
            quotes += [e.Quote(side, rung, price - side * rung, size) for rung in range(world.settings.rungs)]
        if rng.random() < 0.05 and world.venue.position:
            side = -1 if world.venue.position > 0 else 1
            price = (ask if side > 0 else bid) + side
            quotes = [q for q in quotes if q.side != side]
            quotes.append(e.Quote(side, -1, price, min(3, abs(world.venue.position)), 6))
        world.targets(tuple(quotes))

    def wait(self) -> None:
        self.world.wait(self.rng.choice((1, 1, 10, 10, 100, 100, 500, 3000)) * NS_PER_MS)

    def link(self) -> None:
        self.world.link_down()
        for _ in range(self.rng.choice((0, 1, 10))):
            self.rng.choice((self.market, self.take, self.targets, self.wait, self.deliver))()
        self.world.link_up()

    def restart(self) -> None:
        self.world.restart()
        self.world.wait(self.rng.choice((0, 1, 40)) * NS_PER_S)
        self.world.link_up()
        self.world.tell_top()
        self.world.wait(self.rng.choice((0, 40, 40, 40)) * NS_PER_S)

    def venue(self) -> None:
        self.world.venue_restart(cancels=self.rng.random() < 0.5)
        self.wait()
        self.world.link_up()

    def kill(self) -> None:
        if self.rng.random() < 0.5:
            self.world.kill()
            for _ in range(self.rng.choice((0, 3, 20))):
                self.rng.choice((self.deliver, self.wait, self.targets))()
            self.world.rearm()
        else:
            self.world.tell(e.CancelAll(self.world.now_ns))

    def odd(self) -> None:
        if self.rng.random() < 0.5:
            self.world.hint()
        else:
            self.world.expire(self.rng.randrange(8))

    def stale(self) -> None:
        self.world.stale_book()

    def mode(self) -> None:
        self.world.tell(e.ReduceOnly(self.world.now_ns, self.rng.random() < 0.5))

    def nonsense(self) -> None:
        self.world.tell_nonsense(nonsense(self.rng, self.world))


def run(seed: int, steps: int = 300) -> Adversary:
    """One seed."""
    return Swarm(seed).run(steps)
