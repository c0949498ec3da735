"""The seeded swarm: many short runs of the adversary, each with its own venue, habits and mix of faults."""

from __future__ import annotations

from random import Random

from mmlab.events import NS_PER_MS, NS_PER_S
from mmlab.exchange import TxKind
from mmlab.orders import ErrorClass, Limits, OrderSettings, QuotaRule, RateRule, RetryRule, Times, VenueRules
from mmlab.orders import events as e
from tests.orders.adversary import Adversary
from tests.orders.model_venue import BACKOFF, FATAL_ORDER, NONCE, NOW, ORDERS

ERRORS = {
    NOW: ErrorClass.RETRYABLE_NOW, BACKOFF: ErrorClass.RETRYABLE_BACKOFF, NONCE: ErrorClass.RESYNC_NONCE,
    ORDERS: ErrorClass.RESYNC_ORDERS, FATAL_ORDER: ErrorClass.FATAL_ORDER, 6: ErrorClass.FATAL_SESSION,
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


class Swarm:
    """One run: an adversary and the weights of what is done to it."""

    def __init__(self, seed: int) -> None:
        self.rng = rng = Random(seed)
        chosen = settings(rng)
        self.world = Adversary(
            chosen,
            hard_lots=chosen.limits.max_long_lots,
            accepts_dead=rng.random() < 0.5,
            late_replies=rng.random() < 0.5,
        )
        self.order = rng.random()  # share of messages that arrive in order
        self.trouble = rng.choice((0.0, 0.02, 0.1, 0.4))
        self.fates = rng.sample(("lost", "twice", "failed", "unclear", "fail", "silent"), rng.randint(1, 6))
        self.codes = rng.sample((NOW, BACKOFF, ORDERS, FATAL_ORDER, 99), rng.randint(1, 5))
        moves = (
            "deliver",
            "market",
            "take",
            "targets",
            "wait",
            "link",
            "restart",
            "venue",
            "kill",
            "stale",
            "mode",
            "odd",
        )
        weights = (40, 4, 4, 5, 5, 0.2, 0.06, 0.06, 0.15, 0.15, 0.05, 0.4)
        self.moves, self.weights = moves, [w * rng.choice((0, 1, 1, 2)) if w < 1 else w for w in weights]
        self.victim = rng.choice((None, None, TxKind.MODIFY, *TxKind))  # what trouble seeks out
        self.mid = 1000

    def run(self, steps: int) -> Adversary:
        """Trouble, then quiet, then the checks."""
        world = self.world
        world.link_up()
        world.wait(self.rng.choice((0, 40, 40, 40)) * NS_PER_S)
        world.tell_top()
        for move in self.rng.choices(self.moves, self.weights, k=steps):
            getattr(self, move)()
        world.settle()
        return world

    def deliver(self) -> None:
        world, rng = self.world, self.rng
        for _ in range(rng.choice((1, 1, 2, 5))):
            if not world.wire:
                return
            i = 0 if rng.random() < self.order else rng.randrange(len(world.wire))
            fate, code = "ok", 0
            victim = self.victim is not None and getattr(world.wire[i].body, "kind", None) == self.victim
            if rng.random() < (0.5 if victim else self.trouble):
                fate = rng.choice(("lost", "unclear") if victim else self.fates)
                code = rng.choice(self.codes) if rng.random() < 0.3 else 0
            world.deliver_any(i, fate, code)

    def market(self) -> None:
        self.mid += self.rng.choice((-3, -1, -1, 0, 1, 1, 3))
        self.world.market(self.mid, self.rng.choice((1, 2, 4)), tell=self.rng.random() < 0.9)

    def take(self) -> None:
        self.world.take(self.rng.choice((1, -1)), self.rng.choice((1, 2, 5, 20)))

    def targets(self) -> None:
        rng, world = self.rng, self.world
        if rng.random() < 0.1:
            world.targets(())
            return
        quotes = []
        size = rng.choice((1, 2, 3, 5))
        for side in (1, -1):
            if rng.random() < 0.1:
                continue
            touch = world.venue.bid if side > 0 else world.venue.ask
            price = touch - side * rng.choice((0, 0, 1, 2)) + side * (rng.random() < 0.1) * 3
            quotes += [e.Quote(side, rung, price - side * rung, size) for rung in range(world.settings.rungs)]
        if rng.random() < 0.05 and world.venue.position:
            side = -1 if world.venue.position > 0 else 1
            price = (world.venue.ask if side > 0 else world.venue.bid) + side
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
                self.rng.choice((self.deliver, self.wait))()
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


def run(seed: int, steps: int = 300) -> Adversary:
    """One seed."""
    return Swarm(seed).run(steps)
