"""A model venue behind a faulty network, and the order manager in front of it.

Nothing arrives by itself: what is on its way lies in queues, and whoever drives picks the next message and its fate, or
lets time pass. The rules of fair play: what left us reaches the venue within `flight_ns` or never; replies and feed die
with their link; a full view is one instant of the venue; and faults end, after which everything must come right.
"""

from __future__ import annotations

from collections import Counter

import msgspec

from mmlab.events import NO_PRICE, NS_PER_S
from mmlab.exchange import TxKind
from mmlab.orders import ErrorClass, OrderManager, OrderSettings
from mmlab.orders import events as e
from mmlab.orders.commands import Anomaly, Halted, Query, Send, Sign
from mmlab.orders.ids import ORIGIN_NS, unpack
from mmlab.orders.quota import TokenBucket, VolumeQuota
from tests.orders.faults import REPLIES, Message, count_fate, count_feed, refusal_name
from tests.orders.model_venue import Venue, Violation

MOST_SENDS = 60
"""Messages about one order that trouble may cause; more is a storm."""
LOOK_FIRST = (ErrorClass.RESYNC_ORDERS, ErrorClass.FATAL_ORDER)
CONTRADICTIONS = (
    "illegal_transition", "risen", "mismatch", "inferred_fill", "fill_after_end", "bad_report", "bad_trade",
    "old_view", "trade_without_trace",
)  # fmt: skip
"""Anomalies that an honest venue never causes, however faulty the network."""
START_NS = ORIGIN_NS + (80 * 10**6 + 7) * NS_PER_S


class World:
    """Venue, network and order manager, driven from outside; every move checks what must hold.

    `faults` counts what went wrong on the way, a kind (see `tests.orders.faults`).
    """

    def __init__(
        self, settings: OrderSettings, *, hard_lots: int, accepts_dead: bool = False, late_replies: bool = False
    ) -> None:
        self.settings, self.hard_lots, self.late_replies = settings, hard_lots, late_replies
        venue = settings.venue
        self.venue = Venue((*venue.quote_keys, *venue.cancel_keys), venue.modify_keeps_queue, accepts_dead)
        self.venue.bucket, self.venue.quota = TokenBucket(venue.rate), VolumeQuota(venue.quota)
        self.now_ns = START_NS
        self.wire: list[Message] = []
        self.linked, self.epoch = False, 0
        self.payloads: dict[tuple[int, int], Sign] = {}
        self.placed: dict[int, Sign] = {}
        self.sends: Counter[int] = Counter()
        self.refused: set[int] = set()  # orders whose cancel was refused, and nothing heard of them since
        self.events = 0
        self.faults: Counter[str] = Counter()
        self.halted = False
        self.lives: list[tuple[int, list]] = []
        self.start()

    # --- our side ---------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """A new life of the order manager."""
        self.om = OrderManager(self.settings, self.now_ns)
        self.lives.append((self.now_ns, []))
        self.payloads.clear()
        self.signs: dict[int, Sign] = {}
        self.told = (NO_PRICE, NO_PRICE)
        self.halted = False

    def tell(self, event: e.AnyEvent, *, honest: bool = True) -> None:
        """Hand an event to the order manager and do what it says."""
        self.events += 1
        try:
            commands = self.om.handle(event)
        except Exception as error:
            raise Violation("raised", f"{error!r} for {event}") from error
        self.lives[-1][1].append((event, commands))
        for command in commands:
            kind = type(command)
            if kind is Sign:
                self.payloads[command.tx_id, command.round] = self.signs[command.tx_id] = command
                if command.kind == TxKind.CANCEL and command.round == 0 and command.client_id in self.refused:
                    raise Violation("blind_cancel", str(command))
                self.post("signer", command)
            elif kind is Send:
                self.send(self.payloads[command.tx_id, command.round])
            elif kind is Query:
                self.post("venue", command)
            elif kind is Halted:
                self.on_halted()
            elif kind is Anomaly and honest and command.kind in CONTRADICTIONS:
                raise Violation("anomaly", str(command))

    def tell_nonsense(self, event: object) -> None:
        """Hand over something malformed: it is reported as such, and changes nothing that we or the venue believe."""
        self.faults["nonsense"] += 1
        if type(event) is e.Top:
            self.told = (NO_PRICE, NO_PRICE)
        before = self.beliefs()
        self.tell(event, honest=False)
        said = [c.kind for c in self.lives[-1][1][-1][1] if type(c) is Anomaly]
        if not any(kind.startswith("bad_") for kind in said):
            raise Violation("nonsense", f"{event} passed: {said}")
        if self.beliefs() != before:
            raise Violation("nonsense", f"{event} changed what is believed")

    def beliefs(self) -> tuple:
        """Position and orders as we see them, but for what is only planned or being changed by ourselves."""
        return self.om.position_lots, {
            o.client_id: (o.price_ticks, o.size_lots, o.filled_lots) for o in self.om.orders if o.order_index
        }

    def send(self, tx: Sign) -> None:
        """The moment a payload leaves: what it may not be."""
        for message in self.wire:
            other = message.body
            if type(other) is Sign and message.to != "signer" and (other.key, other.nonce) == (tx.key, tx.nonce):
                raise Violation("nonce_race", f"{other} may still arrive, and now {tx}")
        self.sends[tx.client_id] += tx.client_id != 0
        if self.sends[tx.client_id] > MOST_SENDS:
            raise Violation("storm", f"{self.sends[tx.client_id]} messages about one order")
        if tx.kind == TxKind.PLACE and tx.client_id in self.placed:
            raise Violation("client_id_reuse", f"{unpack(tx.client_id)}")
        if tx.kind in (TxKind.PLACE, TxKind.MODIFY):
            self.placed[tx.client_id] = tx
            opposite = self.told[1] if tx.side > 0 else self.told[0]
            moved = tx.kind == TxKind.PLACE or self.om.state.orders.known[tx.client_id].price_ticks != tx.price_ticks
            if moved and tx.flags & 1 and (opposite == NO_PRICE or tx.side * tx.price_ticks >= tx.side * opposite):
                raise Violation("post_only", f"{tx.side} at {tx.price_ticks} against {self.told}")
            if self.halted and tx.kind == TxKind.PLACE:
                raise Violation("placed_while_halted", str(tx))
        self.post("venue", tx)
        if tx.kind in (TxKind.PLACE, TxKind.MODIFY):
            self.check_exposure(tx.side)

    def check_exposure(self, side: int) -> None:
        """Position + resting + in flight, in truth."""
        lots = side * self.venue.position
        sizes = {o.client_id: o.left for o in self.venue.mine() if o.side == side}
        lots += sum(sizes.values())
        for message in self.wire:
            tx = message.body
            if message.to in ("venue", "core") and type(tx) is Sign and tx.side == side:
                if tx.kind == TxKind.PLACE:
                    lots += tx.size_lots
                elif tx.kind == TxKind.MODIFY and tx.client_id in sizes:
                    filled = self.venue.find(tx).filled
                    lots += max(0, tx.size_lots - filled - sizes[tx.client_id])
        if lots > self.hard_lots:
            raise Violation("exposure", f"side {side}: {lots} > {self.hard_lots}")

    def on_halted(self) -> None:
        """It says that the book is empty of ours."""
        alive = [m for m in self.wire if type(m.body) is Sign and m.to != "signer" and m.body.kind == TxKind.PLACE]
        if self.venue.mine() or alive:
            raise Violation("halted_but_not_empty", str(self.venue.mine()))

    # --- moves ------------------------------------------------------------------------------------------------------

    def post(self, to: str, body: object) -> None:
        by_ns = self.now_ns + self.settings.venue.flight_ns - 1
        self.wire.append(Message(to, body, self.now_ns, self.epoch, len(self.lives), by_ns))

    def market(self, bid: int, spread: int, *, tell: bool = True) -> None:
        """The market moves, and we hear of it or not."""
        self.venue.market(bid, spread)
        self.flush_feed()
        if tell:
            self.tell_top()
        else:
            self.faults["unheard_book"] += 1

    def tell_top(self) -> None:
        self.told = (self.venue.bid, self.venue.ask)
        self.tell(e.Top(self.now_ns, *self.told))

    def expire(self, i: int) -> None:
        """The venue lets an order of ours expire."""
        resting = self.venue.mine()
        if resting:
            self.faults["expiry"] += 1
            self.venue.end(resting[i % len(resting)], "expired")
            self.flush_feed()

    def hint(self) -> None:
        """The feed tells our position."""
        if self.linked:
            self.post("us", e.PositionReport(0, self.venue.position))

    def stale_book(self) -> None:
        """The feed has a gap."""
        self.faults["stale_book"] += 1
        self.told = (NO_PRICE, NO_PRICE)
        self.tell(e.Top(self.now_ns, valid=False))

    def take(self, side: int, lots: int) -> None:
        self.venue.take(side, lots)
        self.flush_feed()

    def lose_feed(self) -> None:
        """What the account feed is about to tell is lost."""
        for i in reversed(range(len(self.wire))):
            if isinstance(self.wire[i].body, (e.OrderReport, e.Trade)):
                self.deliver(i, "lost")

    def targets(self, quotes: tuple[e.Quote, ...]) -> None:
        self.tell(e.Targets(self.now_ns, quotes))

    def flush_feed(self) -> None:
        """What the venue reports gets on its way, if there is a link."""
        count_feed(self.faults, self.venue.feed, self.wire, linked=self.linked)
        for item in self.venue.feed:
            if self.linked:
                event = e.OrderReport(0, item) if isinstance(item, e.OrderView) else e.Trade(0, item)
                self.post("us", event)
        self.venue.feed.clear()
        self.venue.forget_ended()

    def deliver_any(self, i: int, fate: str, code: int) -> None:
        """`deliver`, but signer and sequencer keep the order of a key."""
        to, body = self.wire[i].to, self.wire[i].body
        if to in ("signer", "core"):
            i = next(j for j, m in enumerate(self.wire) if m.to == to and m.body.key == body.key)
        self.deliver(i, fate, code)

    def deliver(self, i: int, fate: str = "ok", code: int = 0) -> None:
        """Let message `i` arrive, or not. Fates: ok, lost, twice, failed, unclear, fail, silent."""
        count_fate(self.faults, self.wire, i, fate, self.now_ns)
        message = self.wire.pop(i)
        if message.to == "us":
            if fate != "lost":
                self.to_us(message)
            if fate == "twice":
                self.to_us(message)
        elif message.to == "signer":
            self.to_signer(message.body, fate)
        elif message.to == "core":
            self.venue.execute(message.body, fail=fate in ("fail", "silent"), silent=fate == "silent")
            self.flush_feed()
        elif type(message.body) is Query:
            self.to_queries(message, fate)
        else:
            self.to_venue(message, fate, code)

    def to_us(self, message: Message) -> None:
        late = self.late_replies and isinstance(message.body, REPLIES)
        if late or (message.epoch == self.epoch and self.linked):
            self.heard(message.body)
            self.tell(msgspec.structs.replace(message.body, ts_ns=self.now_ns))

    def heard(self, event: e.AnyEvent) -> None:
        """What we are told about refused cancels."""
        if isinstance(event, e.Refused) and self.settings.venue.classify(event.code) in LOOK_FIRST:
            tx = self.signs[event.tx_id]
            if tx.kind == TxKind.CANCEL:
                self.refused.add(tx.client_id)
        elif isinstance(event, e.Snapshot):
            self.refused.clear()
        elif isinstance(event, e.OrderReport):
            self.refused.discard(event.order.client_id)
        elif isinstance(event, e.Trade):
            self.refused.discard(event.fill.client_id)

    def to_signer(self, command: Sign, fate: str) -> None:
        if fate == "failed":
            self.tell(e.SignFailed(self.now_ns, command.tx_id, command.round, "no key"))
        elif fate != "lost":
            self.tell(e.Signed(self.now_ns, command.tx_id, command.round))

    def to_venue(self, message: Message, fate: str, code: int) -> None:
        tx = message.body
        if fate == "lost":
            return
        if fate == "failed":
            self.reply(message, e.SendFailed(0, tx.tx_id))
            return
        refusal = self.venue.receive(tx, code)
        if refusal:
            self.faults[refusal_name(refusal, code)] += 1
            self.reply(message, e.Refused(0, tx.tx_id, refusal))
            return
        self.reply(message, e.Unclear(0, tx.tx_id) if fate == "unclear" else e.Ack(0, tx.tx_id, self.quota_left()))
        if fate in ("fail", "silent"):
            self.venue.execute(tx, fail=True, silent=fate == "silent")
            self.flush_feed()
        else:
            message.to = "core"
            self.wire.append(message)

    def reply(self, message: Message, event: e.AnyEvent) -> None:
        if message.life == len(self.lives) and (self.late_replies or (message.epoch == self.epoch and self.linked)):
            self.post("us", event)

    def to_queries(self, message: Message, fate: str) -> None:
        query = message.body
        if fate == "lost":
            return
        if fate in ("failed", "unclear"):
            self.reply(message, e.QueryFailed(0, query.query_id))
        elif query.what == "nonce":
            self.reply(message, e.NonceReport(0, query.query_id, query.key, self.venue.nonces[query.key]))
        else:
            self.reply(message, self.snapshot(query, complete=fate not in ("twice", "silent", "fail")))

    def quota_left(self) -> int:
        return self.venue.quota.left if self.settings.venue.quota.on else -1

    def snapshot(self, query: Query, *, complete: bool = True) -> e.Snapshot:
        """One instant of the venue, in full or in part."""
        views = tuple(order.view() for order in self.venue.mine())
        foreign = e.OrderView(4711, 3, 1, self.venue.bid - 5, 1)
        return e.Snapshot(
            0, query.query_id, self.epoch, (*(views if complete else views[query.query_id % 2 :: 2]), foreign),
            tuple(self.venue.trades[query.since_trade_id :]), len(self.venue.trades), self.venue.position,
            tuple(self.venue.nonces.items()), complete, self.quota_left(),
        )  # fmt: skip

    def wait(self, dt_ns: int) -> None:
        """Time passes; deadlines fire; what is too long on its way to the venue is lost."""
        until = self.now_ns + dt_ns
        for _ in range(1000):
            due = self.om.next_deadline()
            if due is None or due > until:
                break
            self.pass_to(max(due, self.now_ns))
            self.tell(e.Timer(self.now_ns))
        else:
            raise Violation("timer_storm", f"deadline {self.om.next_deadline()} at {self.now_ns}")
        self.pass_to(until)

    def pass_to(self, t_ns: int) -> None:
        self.now_ns = self.venue.now_ns = t_ns
        kept = [m for m in self.wire if not (m.to in ("venue", "core") and type(m.body) is Sign and m.by < t_ns)]
        self.faults["lost_after_flight"] += len(self.wire) - len(kept)
        self.wire = kept

    def link_down(self) -> None:
        if self.linked:
            self.linked = False
            self.faults["disconnect"] += 1
            self.wire = [
                m for m in self.wire if type(m.body) is Sign or (self.late_replies and isinstance(m.body, REPLIES))
            ]
            self.tell(e.LinkDown(self.now_ns, self.epoch))

    def link_up(self) -> None:
        if not self.linked:
            self.linked, self.epoch = True, self.epoch + 1
            self.tell(e.LinkUp(self.now_ns, self.epoch))

    def restart(self) -> None:
        """We crash and start anew; only what already left us lives on."""
        self.linked = False
        self.faults["crash"] += 1
        self.wire = [m for m in self.wire if type(m.body) is Sign and m.to != "signer"]
        self.start()

    def venue_restart(self, *, cancels: bool) -> None:
        """The venue goes down, with or without our orders; what was accepted but not executed may be gone."""
        self.link_down()
        self.faults["venue_restart_cancels" if cancels else "venue_restart_keeps"] += 1
        self.wire = [m for m in self.wire if m.to not in ("venue", "core")]
        for order in self.venue.mine() if cancels else []:
            self.venue.end(order, "canceled")
        self.flush_feed()

    def kill(self) -> None:
        self.tell(e.Kill(self.now_ns, "test"))
        self.halted = True

    def rearm(self) -> None:
        self.halted = False
        self.tell(e.Rearm(self.now_ns))
