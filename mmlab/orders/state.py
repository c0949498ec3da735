"""Everything the order manager remembers, in one place; and the few moves that every part of it makes."""

from __future__ import annotations

from collections import Counter
from typing import Literal

from mmlab.events import NEVER_NS
from mmlab.orders.account import Account, position_of
from mmlab.orders.commands import Anomaly, AnyCommand, Moved, Trip
from mmlab.orders.events import Quote, Top
from mmlab.orders.ids import IdSource
from mmlab.orders.maps import OrderMaps
from mmlab.orders.nonces import KeyRing
from mmlab.orders.order import Order, Tx
from mmlab.orders.quota import TokenBucket, VolumeQuota
from mmlab.orders.retry import Retries
from mmlab.orders.settings import OrderSettings
from mmlab.orders.states import NEXT, REPLAN, RESTING, TERMINAL, Step


class Hold:
    """Why a rung waits before it is tried again."""

    __slots__ = ("attempts", "until_ns")

    def __init__(self) -> None:
        self.attempts = 0
        self.until_ns = 0


class State:
    """The memory of one order manager.

    Attributes
    ----------
    now_ns : int
        Time of the newest event.
    linked, recovered : bool
        Whether there is a link, and whether a full view of this epoch was seen (no quoting before).
    halted, proven : bool
        Whether placing is forbidden; whether a full view has proven the book empty since.
    sweep : bool
        A cancel-all is due.
    foreign : bool
        The account seems to hold orders that are not ours, which a cancel-all would hit.
    dirty : bool
        Something changed that plans depend on.
    guarded, starved, waits : bool
        Something was forbidden by the book; lacked a key, a slot or room in flight; waits for an order to go live.
    risk : int
        Counts changes, other than of the book, that may forbid what was planned before.
    wake_ns : int
        When what was withheld may be tried again.
    ask_ns : int
        When a full view is wanted for a reason that belongs to no order.
    calm_ns : int
        From when on nothing sent by an earlier life or link can reach the book.
    """

    def __init__(self, settings: OrderSettings, start_ns: int) -> None:
        self.settings = settings
        self.now_ns = start_ns
        self.out: list[AnyCommand] = []
        self.orders = OrderMaps()
        self.account = Account()
        self.calm_ns = start_ns + settings.venue.flight_ns
        self.keys = KeyRing(settings.venue.quote_keys, settings.venue.cancel_keys, self.calm_ns)
        self.txs: dict[int, Tx] = {}
        self.ids = IdSource(settings.instance, start_ns)
        self.tokens = TokenBucket(settings.venue.rate)
        self.quota = VolumeQuota(settings.venue.quota)
        self.retries = Retries(settings.retry, settings.seed)
        self.holds: dict[tuple[int, int], Hold] = {}
        self.counts: Counter[str] = Counter()
        self.top = Top(start_ns, valid=False)
        self.quotes: tuple[Quote, ...] = ()
        self.exits: list[Quote] = []
        self.epoch = -1
        self.linked = self.recovered = self.halted = self.reduce_only = self.sweep = self.dirty = False
        self.foreign = False
        self.proven = True
        self.wake_ns = NEVER_NS
        self.ask_ns = NEVER_NS
        self.placed_ns = -NEVER_NS  # when the newest place or modify left
        self.query: tuple[int, int] | None = None  # id and time of the full view asked for
        self.queries: dict[int, tuple[int, int]] = {}  # nonce queries: id -> key, time
        self.last_query_ns = -NEVER_NS
        self.viewed_ns = start_ns  # when the newest full view was asked for
        self.query_fails = self.old_views = 0
        self.collars = 0
        self.guarded = self.starved = self.waits = False
        self.order_due_ns = self.order_ask_ns = NEVER_NS  # see `timers.look_ahead`
        self.risk = 0
        self._numbers = 0

    def number(self) -> int:
        """A new number for a transaction or a query."""
        self._numbers += 1
        return self._numbers

    @property
    def position_lots(self) -> int:
        """Our position as far as is known."""
        return position_of(self.account, self.orders.working.values())

    def anomaly(self, kind: str, client_id: int = 0, detail: str = "") -> None:
        """Count and report something that should not happen."""
        self.counts[kind] += 1
        self.out.append(Anomaly(self.now_ns, kind, client_id, detail))

    def trip(
        self,
        switch: Literal["rejects", "session", "mismatch", "collar", "retries"],
        effect: Literal["paused", "halted", "none"],
        detail: str = "",
        until_ns: int = 0,
    ) -> None:
        """Tell the kill switches; ``halted`` halts here and now."""
        self.counts[f"trip_{switch}"] += 1
        self.out.append(Trip(self.now_ns, switch, effect, detail, until_ns))
        if effect == "halted":
            self.halt()

    def halt(self) -> None:
        """Forbid placing and ask for everything to be cancelled. The ban stands whatever becomes of the cancels."""
        self.halted, self.proven, self.sweep, self.dirty = True, False, True, True
        self.quotes, self.exits = (), []
        self.ask(self.now_ns)

    def ask(self, when_ns: int) -> None:
        """Want a full view asked for at `when_ns` or later."""
        self.ask_ns = min(self.ask_ns, when_ns)


def advance(s: State, order: Order, step: Step, *, reason: int = 0, exch_ns: int = 0) -> bool:
    """Move `order` by the table; an illegal step is refused, counted and reported. Returns whether it was legal."""
    before, after = order.state, NEXT[order.state][step]
    if after is None:
        s.anomaly("illegal_transition", order.client_id, f"{before.name} {step.name}")
        return False
    if after != before:
        order.state = after
        if TERMINAL[after]:
            order.ended_ns, order.deadline_ns, order.ask_ns = s.now_ns, NEVER_NS, NEVER_NS
        s.orders.refile(order)
        if REPLAN[after] or REPLAN[before] or s.waits or s.starved or s.settings.ack_mode == "optimistic":
            s.dirty = True
        s.out.append(
            Moved(
                s.now_ns, order.client_id, before, after, order.order_index, order.price_ticks, order.size_lots,
                order.filled_lots, reason, exch_ns,
            )
        )  # fmt: skip
    return True


def doubt(s: State, order: Order) -> None:
    """Nobody knows what became of `order`: only reconciliation may tell."""
    if advance(s, order, Step.DOUBT):
        order.deadline_ns = NEVER_NS
        order.ask_ns = min(order.ask_ns, s.now_ns)


def rest(s: State, order: Order) -> None:
    """`order` is known to rest in the book, with nothing of ours in flight about it that could still count."""
    order.in_doubt = False
    if not RESTING[order.state]:
        hold = s.holds.get((order.side, order.rung))
        if hold is not None:
            hold.attempts = 0
    advance(s, order, Step.PARTIAL if order.filled_lots else Step.OPEN)
    if order.modify is None and order.cancel is None:
        order.deadline_ns = order.ask_ns = NEVER_NS


def release(s: State, order: Order) -> None:
    """The change in flight is over; what rests is what rested."""
    advance(s, order, Step.RELEASE)
    if order.filled_lots:
        advance(s, order, Step.PARTIAL)
    order.deadline_ns = NEVER_NS


def hold_back(s: State, order: Order, wait_ns: int = 0) -> None:
    """What was tried on a rung did not work: the next try waits, longer each time in a row."""
    hold = hold_of(s, order.side, order.rung)
    hold.attempts += 1
    hold.until_ns = s.now_ns + max(wait_ns, s.retries.delay_ns(hold.attempts))
    s.wake_ns = min(s.wake_ns, hold.until_ns)


def hold_of(s: State, side: int, rung: int) -> Hold:
    """The waiting of one rung."""
    hold = s.holds.get((side, rung))
    if hold is None:
        hold = s.holds[side, rung] = Hold()
    return hold
