"""The same adversary, driven by Hypothesis: shallower than the swarm, but what it finds is short enough to explain."""

from __future__ import annotations

from random import Random

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from mmlab.events import NS_PER_MS, NS_PER_S
from mmlab.orders import events as e
from tests.orders.adversary import Adversary
from tests.orders.model_venue import BACKOFF, FATAL_ORDER, NOW, ORDERS
from tests.orders.nonsense import nonsense
from tests.orders.swarm import settings as draw_settings

SIDES = st.sampled_from((1, -1))
FATES = st.sampled_from(("ok", "ok", "ok", "ok", "lost", "twice", "failed", "unclear", "fail", "silent"))
CODES = st.sampled_from((0, 0, 0, 0, NOW, BACKOFF, ORDERS, FATAL_ORDER, 99))


class OrdersMachine(RuleBasedStateMachine):
    """Every rule is a move of venue, network, strategy or operator."""

    def __init__(self) -> None:
        super().__init__()
        self.world: Adversary | None = None
        self.mid = 1000

    @initialize(seed=st.integers(0, 40), dead=st.booleans(), late=st.booleans())
    def begin(self, seed, dead, late):
        chosen = draw_settings(Random(seed))
        self.world = Adversary(chosen, hard_lots=chosen.limits.max_long_lots, accepts_dead=dead, late_replies=late)
        self.world.link_up()
        self.world.wait(40 * NS_PER_S)
        self.world.tell_top()
        for _ in range(4):
            self.world.drain()
            self.world.wait(NS_PER_S)

    @rule(step=st.integers(-3, 3), spread=st.integers(1, 4), tell=st.booleans())
    def market(self, step, spread, tell):
        self.mid += step
        self.world.market(self.mid, spread, tell=tell)

    @rule(side=SIDES, lots=st.integers(1, 8))
    def take(self, side, lots):
        self.world.take(side, lots)

    @rule(offsets=st.tuples(st.integers(-2, 2), st.integers(-2, 2)), lots=st.integers(0, 5))
    def targets(self, offsets, lots):
        world = self.world
        quotes = [
            e.Quote(side, rung, (world.venue.bid if side > 0 else world.venue.ask) - side * (offset + rung), lots)
            for side, offset in zip((1, -1), offsets, strict=True)
            for rung in range(world.settings.rungs if lots else 0)
        ]
        world.targets(tuple(quotes))

    @precondition(lambda self: self.world and self.world.wire)
    @rule(data=st.data(), fate=FATES, code=CODES)
    def deliver(self, data, fate, code):
        self.world.deliver_any(data.draw(st.integers(0, len(self.world.wire) - 1)), fate, code)

    @rule(n=st.integers(1, 10))
    def deliver_some(self, n):
        for _ in range(min(n, len(self.world.wire))):
            self.world.deliver(0)

    @rule(ms=st.sampled_from((1, 10, 100, 1000, 5000)))
    def wait(self, ms):
        self.world.wait(ms * NS_PER_MS)

    @rule()
    def reconnect(self):
        self.world.link_down()
        self.world.link_up()

    @rule(cancels=st.booleans())
    def venue_restart(self, cancels):
        self.world.venue_restart(cancels=cancels)
        self.world.link_up()

    @rule()
    def restart(self):
        self.world.restart()
        self.world.link_up()
        self.world.tell_top()

    @rule(on=st.booleans())
    def kill(self, on):
        if on:
            self.world.kill()
        else:
            self.world.rearm()

    @rule()
    def cancel_all(self):
        self.world.tell(e.CancelAll(self.world.now_ns))

    @rule(i=st.integers(0, 7))
    def expire(self, i):
        self.world.expire(i)

    @rule(on=st.booleans())
    def reduce_only(self, on):
        self.world.tell(e.ReduceOnly(self.world.now_ns, on))

    @rule(side=SIDES, lots=st.integers(1, 8))
    def unheard_take(self, side, lots):
        self.world.take(side, lots)
        self.world.lose_feed()

    @rule(seed=st.integers(0, 1 << 20))
    def nonsense(self, seed):
        self.world.tell_nonsense(nonsense(Random(seed), self.world))

    def teardown(self):
        if self.world is not None:
            self.world.settle()
            self.world.replay()


TestOrders = OrdersMachine.TestCase
TestOrders.settings = settings(
    max_examples=60, stateful_step_count=50, deadline=None, report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
