"""`PaperVenue`: a recorded or generated market with a simulated exchange, behind the venue protocol.

A transaction reaches the exchange an entry latency after it was sent, and is judged then; reply and account messages
come back after the response latency. So a cancel races with the fill it wants to prevent, as it does in life. What can
go wrong on the way is in the `FaultPlan`. Everything happens through the clock, at its planned time: under
`mmlab.venues.virtual` a session is deterministic.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from typing import Any

import msgspec
import numpy as np

from mmlab.errors import VenueError
from mmlab.events import NEVER_NS, NS_PER_MS, NS_PER_S
from mmlab.exchange import (
    AccountMessage,
    AccountView,
    Fill,
    NotSent,
    OrderView,
    Payload,
    Reply,
    Status,
    Unanswered,
    VenueRules,
)
from mmlab.feeds import Feed
from mmlab.simulator import Tape, build_tape
from mmlab.simulator.exchange import Exchange
from mmlab.venues.clock import Clock, LoopClock
from mmlab.venues.paper import junk
from mmlab.venues.paper.account import Account
from mmlab.venues.paper.agenda import EXCHANGE, MARKET, OTHER, Agenda
from mmlab.venues.paper.codes import CLASSES
from mmlab.venues.paper.desk import Desk
from mmlab.venues.paper.faults import FaultPlan
from mmlab.venues.paper.limits import Bucket, Quota, quota_rule, rate_rule
from mmlab.venues.paper.link import Link
from mmlab.venues.paper.market import MarketFeed
from mmlab.venues.paper.network import Chance, Line
from mmlab.venues.paper.outages import Outages
from mmlab.venues.paper.signers import PaperSigner
from mmlab.venues.protocol import Signer, Venue

QUOTE_KEYS, CANCEL_KEYS = (0, 1), (2,)
SENDING, ACKS, UPDATES, VENUE, MARKET_FEED, JUNK, FIRST_OUTAGE = range(7)
"""Streams of chance."""


class Truth(msgspec.Struct, frozen=True):
    """What really is, for tests and notebooks. ``counts``: faults and ends of orders that happened, by name."""

    orders: tuple[OrderView, ...]
    position_lots: int
    fees: float
    trades: tuple[Fill, ...]
    nonces: dict[int, int]
    counts: dict[str, int]
    violations: tuple[str, ...]


class PaperVenue:
    """The paper venue. Made inside a running event loop; its time begins then.

    Parameters
    ----------
    feed : Feed
        A recording, or `mmlab.feeds.synthetic`'s.
    params : ndarray of PARAMS, shape (1,)
        From `mmlab.resolve`; its fees are used.
    clock : Clock, optional
        Default: a `LoopClock` that begins with the feed. On another clock the feed's times are shifted to begin now.
    faults : FaultPlan, optional
        Latencies and faults. Default: 5 ms each way, and no faults.
    speed : float
        Of the default clock: 1 is the recording's own.
    loop : bool
        Repeat the feed for ever. At the seam open orders are canceled (and reported, reason END_OF_FEED), the market
        feed brings a GAP and an empty snapshot, and all times go on.
    signer : Signer, optional
        Another one than `PaperSigner`, for tests.
    quote_keys, cancel_keys : tuple of int
        API keys of the account: for quotes, and kept for cancels.
    queue, queue_exponent, partial_fills, fill_on_cross, through_only, places
        As for `mmlab.simulator.exchange.Exchange`.

    Raises
    ------
    ConfigError
        An argument is out of range, or the feed cannot carry the queue model.
    """

    name = "paper"

    def __init__(
        self,
        feed: Feed,
        params: np.ndarray[Any, Any],
        clock: Clock | None = None,
        *,
        faults: FaultPlan | None = None,
        speed: float = 1.0,
        loop: bool = False,
        signer: Signer | None = None,
        quote_keys: tuple[int, ...] = QUOTE_KEYS,
        cancel_keys: tuple[int, ...] = CANCEL_KEYS,
        **exchange: Any,
    ) -> None:
        self.instrument, self.faults = feed.instrument, faults or FaultPlan()
        plan, events = self.faults, feed.events
        begin_ns = int(min(events["exch_ns"][0], events["local_ns"][0])) if events.size else 0
        book = Exchange(tape_of(feed), self.instrument, params, **exchange)  # may compile, so before time begins
        self.clock: Clock = clock or LoopClock(begin_ns, speed)
        self.signer: Signer = signer or PaperSigner()
        start_ns = self.clock.now_ns()
        shift_ns = 0 if clock is None else start_ns - begin_ns
        until_ns = NEVER_NS if plan.until_s is None else start_ns + round(plan.until_s * NS_PER_S)
        self.counts: Counter[str] = Counter()
        self._chances = [Chance(plan.seed, stream, until_ns, self.counts) for stream in range(FIRST_OUTAGE)]
        self._quote_keys, self._cancel_keys = quote_keys, cancel_keys
        keys = tuple(dict.fromkeys(quote_keys + cancel_keys))
        self._sending = {key: Line(plan, self._chances[SENDING], "send") for key in keys}
        self._acks = Line(plan, self._chances[ACKS], "ack")
        self._updates = Line(plan, self._chances[UPDATES], "update")
        self.rules = self._rules()
        self._account = Account(keys, self.rules.min_lots, Bucket(rate_rule(plan)), Quota(quota_rule(plan)))
        book.rewind(shift_ns)
        self._desk = Desk(book, self._account, plan, self._chances[VENUE], self._update)
        self._market = MarketFeed(events, plan, self._chances[MARKET_FEED], shift_ns, loop=loop)
        self._link, self._agenda = Link(), Agenda(self.clock)
        self._market_wake: asyncio.Future[None] | None = None
        self._market_reasons: set[str] = set()
        self._market_heard = False
        self._restarting = self._closed = False
        self._touch_ns = NEVER_NS
        Outages(
            self._agenda, plan, start_ns, self._outage_begins, self._outage_ends,
            lambda n: Chance(plan.seed, FIRST_OUTAGE + n, until_ns, self.counts),
        )  # fmt: skip
        if loop and events.size:
            self._agenda.at(begin_ns + shift_ns + self._market.lap_ns - 1, OTHER, self._seam, shift_ns)

    def _rules(self) -> VenueRules:
        plan = self.faults
        return VenueRules(
            quote_keys=self._quote_keys,
            cancel_keys=self._cancel_keys,
            flight_ns=max(line.longest_ns for line in self._sending.values()) + NS_PER_MS,
            min_lots=self.instrument.min_size_lots,
            rate=rate_rule(plan if plan.rate_told else FaultPlan()),
            quota=quota_rule(plan),
            errors=CLASSES,
        )

    # --- The protocol ------------------------------------------------------------------------------------------------

    async def market(self) -> AsyncIterator[np.ndarray[Any, Any] | Status]:
        """Market feed; ends with the recording, unless that is repeated."""
        chance = self._chances[JUNK]
        if self._market_heard and not self._market.cut_off:
            self._market.cut(self.clock.now_ns())
            self._market.restore(self.clock.now_ns())
        self._market_heard = True
        while not self._closed:
            now_ns = self.clock.now_ns()
            for rows in self._market.pull(now_ns):
                yield rows
                if chance.happens("junk_market", self.faults.junk_market, now_ns):
                    yield junk.market(chance.rng, now_ns)
            if self._market.ended:
                return
            await self._market_due()

    async def account(self) -> AsyncIterator[AccountMessage]:
        """Account feed, from now on; the first message is `Linked`."""
        queue = self._link.listen()
        while not self._closed:
            message = await queue.get()
            if message is _END:
                return
            yield message

    def send_batch(self, payloads: Sequence[Payload]) -> list[asyncio.Future[Reply]]:
        """One by one: there is nothing to gain here."""
        return [self.send(payload) for payload in payloads]

    def send(self, payload: Payload) -> asyncio.Future[Reply]:
        """Hand `payload` to the connection; the reply comes later, or never."""
        self._agenda.run_due()
        reply = self._link.reply_to()
        if self._closed or not self._link.up:
            reply.set_result(NotSent("no connection"))
            return reply
        now_ns, line = (
            self.clock.now_ns(),
            self._sending.get(payload.transaction.key, self._sending[self._quote_keys[0]]),
        )
        for arrival_ns in line.carry(now_ns):
            self._agenda.at(arrival_ns, OTHER, self._arrive, bytes(payload.data), reply, self._link.epoch)
        return reply

    async def view(self, since_trade_id: int) -> AccountView:
        """The account as it is, with all trades after `since_trade_id`; raises `VenueError`."""
        answer: AccountView = await self._ask(partial(self._account.view, since_trade_id))
        return answer

    async def nonce(self, key: int) -> int:
        """Next nonce of an API key; raises `VenueError`."""
        if key not in self._account.nonces:
            raise VenueError(f"key {key} does not exist: the paper venue has {sorted(self._account.nonces)}")
        answer: int = await self._ask(lambda: self._account.nonces[key])
        return answer

    async def close(self) -> None:
        """Let go of everything. Orders are left as they are."""
        self._closed = True
        self._agenda.close()
        self._link.let_go("closed")
        self._link.tell(_END)
        self._wake_market()

    def truth(self) -> Truth:
        """What really is now."""
        self._agenda.run_due()
        account = self._account
        return Truth(
            tuple(order.view() for order in account.orders.values()), account.position_lots, account.fees,
            tuple(account.trades), dict(account.nonces), dict(self.counts + account.counts), tuple(account.violations),
        )  # fmt: skip

    # --- Market feed -------------------------------------------------------------------------------------------------

    async def _market_due(self) -> None:
        """Wait until the market feed has something to say."""
        self._market_wake = asyncio.get_running_loop().create_future()
        due_ns = self._market.next_ns
        if due_ns < NEVER_NS:
            self._agenda.at(due_ns, MARKET, self._wake_market)
        await self._market_wake

    def _wake_market(self, _: int = 0) -> None:
        if self._market_wake is not None and not self._market_wake.done():
            self._market_wake.set_result(None)

    def _seam(self, at_ns: int, shift_ns: int) -> None:
        """The feed begins again."""
        self.counts["laps"] += 1
        shift_ns += self._market.lap_ns
        self._desk.begin_again(at_ns, shift_ns)
        self._agenda.at(at_ns + self._market.lap_ns, OTHER, self._seam, shift_ns)

    # --- Transactions ------------------------------------------------------------------------------------------------

    def _arrive(self, at_ns: int, data: bytes, reply: asyncio.Future[Reply], epoch: int) -> None:
        """A transaction reaches the venue."""
        cut = epoch != self._link.epoch or not self._link.up
        if self._restarting or (cut and self._chances[VENUE].rng.random() < 0.5):
            self.counts["lost_with_link"] += 1
            return
        self._reply(at_ns, reply, epoch, self._desk.receive(at_ns, data))
        self._desk.execute(at_ns)
        self._watch()

    def _watch(self) -> None:
        """Look again when the next trade may reach an order of ours."""
        touch_ns = self._desk.next_touch_ns()
        if touch_ns < self._touch_ns:
            self._touch_ns = touch_ns
            self._agenda.at(touch_ns, EXCHANGE, self._touch)

    def _touch(self, at_ns: int) -> None:
        if at_ns == self._touch_ns:
            self._touch_ns = NEVER_NS
        self._desk.advance(at_ns)
        self._watch()

    # --- What the venue says -----------------------------------------------------------------------------------------

    def _reply(self, at_ns: int, reply: asyncio.Future[Reply], epoch: int, what: Reply) -> None:
        chance, plan = self._chances[ACKS], self.faults
        if chance.happens("unclear_ack", plan.unclear_ack, at_ns):
            what = Unanswered("internal error")
        if self._chances[JUNK].happens("junk_reply", plan.junk_reply, at_ns):
            what = junk.reply(self._chances[JUNK].rng)
        for heard_ns in self._acks.carry(at_ns):
            self._agenda.at(heard_ns, OTHER, self._hear_reply, reply, epoch, what)

    def _hear_reply(self, _: int, reply: asyncio.Future[Reply], epoch: int, what: Reply) -> None:
        if epoch == self._link.epoch and self._link.up and not reply.done():
            reply.set_result(what)

    def _update(self, at_ns: int, message: AccountMessage) -> None:
        """Send an account message, if there is a connection."""
        if not self._link.up:
            self.counts["update_while_down"] += 1
            return
        for heard_ns in self._updates.carry(at_ns):
            self._agenda.at(heard_ns, OTHER, self._hear_update, message, self._link.epoch)

    def _hear_update(self, at_ns: int, message: AccountMessage, epoch: int) -> None:
        if epoch != self._link.epoch or not self._link.up:
            self.counts["update_lost_with_link"] += 1
            return
        self._link.tell(message)
        if self._chances[JUNK].happens("junk_account", self.faults.junk_account, at_ns):
            self._link.tell(junk.account(self._chances[JUNK].rng))

    async def _ask(self, look: Callable[[], Any]) -> Any:
        """A question: it travels, the venue looks, the answer travels."""
        self._agenda.run_due()
        if self._closed or not self._link.up:
            raise VenueError("no connection")
        answer, now_ns = self._link.answer_to(), self.clock.now_ns()
        self._agenda.at(now_ns + self._sending[self._quote_keys[0]].delay_ns(now_ns), OTHER, self._look, answer, look)
        return await answer

    def _look(self, at_ns: int, answer: asyncio.Future[Any], look: Callable[[], Any]) -> None:
        self._desk.advance(at_ns)
        plan, chance = self.faults, self._chances[VENUE]
        what, heard_ns = look(), at_ns + self._acks.delay_ns(at_ns)
        if isinstance(what, AccountView) and chance.happens("partial_view", plan.partial_view, at_ns):
            what = msgspec.structs.replace(what, orders=what.orders[::2], complete=False)
        if self._chances[JUNK].happens("junk_view", plan.junk_view, at_ns):
            what = junk.view(self._chances[JUNK].rng, what)
        if chance.happens("fail_view", plan.fail_view, at_ns):
            what = VenueError("internal error")
        if chance.happens("slow_view", plan.slow_view, at_ns):
            heard_ns += round(plan.slow_view_ms * NS_PER_MS)
        self._agenda.at(heard_ns, OTHER, _hear_answer, answer, what)

    # --- Outages -----------------------------------------------------------------------------------------------------

    def _outage_begins(self, at_ns: int, kind: str) -> None:
        self.counts[kind] += 1
        if kind in ("disconnect", "restart"):
            self._link.fail(kind)
        if kind in ("market_disconnect", "restart"):
            if not self._market_reasons:
                self._market.cut(at_ns)
            self._market_reasons.add(kind)
        if kind == "stale":
            self._market.hush(at_ns)
        if kind == "restart":
            self._restarting = True
            if self.faults.restart_cancels:
                self._desk.cancel_all(at_ns)
        self._wake_market()

    def _outage_ends(self, at_ns: int, kind: str) -> None:
        self._restarting = self._restarting and kind != "restart"
        self._link.mend(kind)
        if kind in self._market_reasons:
            self._market_reasons.discard(kind)
            if not self._market_reasons:
                self._market.restore(at_ns)
        if kind == "stale":
            self._market.speak(at_ns)
        self._wake_market()


def tape_of(feed: Feed) -> Tape:
    """What every run on a feed shares, worked out once."""
    if "tape" not in feed.cache:
        tape = build_tape(feed.events)
        feed.cache["tape"], feed.cache["book"] = tape, tape.book
    shared: Tape = feed.cache["tape"]
    return shared


_A_VENUE: type[Venue] = PaperVenue  # checked by mypy
_END = object()
"""Last in the account feed's queue."""


def _hear_answer(_: int, answer: asyncio.Future[Any], what: Any) -> None:
    if answer.done():
        return
    if isinstance(what, VenueError):
        answer.set_exception(what)
    else:
        answer.set_result(what)
