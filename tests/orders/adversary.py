"""The adversary: a world that ends well. When faults stop, belief must become truth, and targets orders."""

from __future__ import annotations

from collections import Counter

from mmlab.events import NS_PER_S
from mmlab.orders import OrderManager
from mmlab.orders import events as e
from mmlab.orders.commands import Query
from tests.orders.model_venue import Violation
from tests.orders.world import World

BOTH = (1, -1)


class Adversary(World):
    """What a driver drives: the world's moves, and at the end `settle` and `replay`."""

    def drain(self) -> None:
        """Everything on its way arrives, in order, without faults."""
        for _ in range(20_000):
            if not self.wire:
                return
            self.deliver(0)
        raise Violation("storm", f"{len(self.wire)} messages on their way after 20,000")

    def quiesce(self, rounds: int = 60) -> None:
        """First drain, then wait past every deadline (else time-outs would hide lost messages)."""
        self.link_up()
        self.drain()
        for _ in range(rounds):
            self.wait(NS_PER_S)
            self.drain()

    def check_silent(self) -> None:
        """Nothing happens, so nothing is said, but for the periodic view."""
        said = len(self.lives[-1][1])
        for _ in range(2 * self.settings.times.reconcile_ns // NS_PER_S):
            self.wait(NS_PER_S)
            self.drain()
        talk = [c for _, commands in self.lives[-1][1][said:] for c in commands]
        if len(talk) > 6 or any(type(c) is not Query for c in talk):
            raise Violation("not_silent", f"{len(talk)} commands in quiet: {talk[:5]}")

    def settle(self) -> None:
        """Faults stop: belief must become truth, and targets orders."""
        self.quiesce(30)
        self.check_same()  # in stillness: nothing but time mends what was lost
        self.rearm()
        self.venue.quota.told(1000)
        self.tell(e.ReduceOnly(self.now_ns, False))
        self.tell_top()
        self.targets(())
        self.quiesce()
        self.check_same()
        self.check_silent()
        if self.venue.mine():
            raise Violation("stray", f"{self.venue.mine()} rest, nothing is wanted")
        self.check_quotes()
        self.kill()
        self.quiesce(20)
        self.check_same()
        if self.venue.mine() or self.om.orders:
            raise Violation("cancel_all", f"{self.venue.mine()} {self.om.orders}")
        if not self.om.state.proven:
            raise Violation("halting", "the book is empty and it never found out")

    def check_quotes(self) -> None:
        """A quiet market: what is wanted rests, and nothing more is said."""
        for rungs, step in ((1, 0), (self.settings.rungs, 3), (self.settings.rungs, -1), (1, 0)):
            self.market(self.venue.bid + step, 4)
            quotes = self.some_quotes(rungs)
            self.targets(quotes)
            self.drain()  # and nothing but answers helps it on
        self.quiesce()
        self.check_same()
        self.check_silent()
        wanted = sorted((q.side, q.price_ticks, q.size_lots) for q in quotes)
        lots: Counter[tuple[int, int]] = Counter()
        for order in self.venue.mine():
            lots[order.side, order.price] += order.left
        resting = sorted((side, price, left) for (side, price), left in lots.items())
        near, most = max(1, self.settings.tolerance_ticks), 1 - self.settings.size_tolerance
        if len(resting) != len(wanted) or any(
            side != s or abs(price - p) >= near or not most * n <= left <= n
            for (side, price, left), (s, p, n) in zip(resting, wanted, strict=True)
        ):
            raise Violation("targets", f"wanted {wanted}, resting {resting}")

    def some_quotes(self, rungs: int) -> tuple[e.Quote, ...]:
        """Targets that all limits allow."""
        rungs = min(rungs, self.settings.limits.max_live_orders // 4)
        quotes = []
        for side in BOTH:
            lots = min(3, (self.limit(side) - side * self.venue.position) // rungs)
            touch = self.venue.bid if side > 0 else self.venue.ask
            quotes += [e.Quote(side, rung, touch - side * (1 + rung), lots) for rung in range(rungs) if lots > 0]
        return tuple(quotes)

    def limit(self, side: int) -> int:
        limits = self.settings.limits
        return limits.max_long_lots if side > 0 else limits.max_short_lots

    def check_same(self) -> None:
        """Belief equals truth, and every order is live or has ended."""
        if self.om.position_lots != self.venue.position:
            raise Violation("position", f"ours {self.om.position_lots}, venue {self.venue.position}")
        ours = {o.client_id: (o.side, o.price_ticks, o.left_lots) for o in self.om.orders}
        theirs = {o.client_id: (o.side, o.price, o.left) for o in self.venue.mine()}
        if ours != theirs:
            raise Violation("orders", f"ours {ours}, venue {theirs}")
        for order in self.om.orders:
            if order.state.name not in ("LIVE", "PARTIALLY_FILLED"):
                raise Violation("not_terminal", f"{order}")

    def replay(self) -> None:
        """Every life again, from its events alone: the same commands."""
        for start_ns, life in self.lives:
            om = OrderManager(self.settings, start_ns)
            for event, commands in life:
                again = om.handle(event)
                if again != commands:
                    raise Violation("replay", f"{event}: {again} instead of {commands}")
