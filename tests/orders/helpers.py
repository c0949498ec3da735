"""A venue in a few words: say what happens, look at what the order manager says."""

from __future__ import annotations

import msgspec

from mmlab.events import NS_PER_MS, NS_PER_S
from mmlab.exchange import TxKind
from mmlab.orders import ErrorClass, Limits, OrderManager, OrderSettings, RetryRule, Times, VenueRules
from mmlab.orders import events as e
from mmlab.orders.commands import Query, Send, Sign
from mmlab.orders.ids import ORIGIN_NS, unpack
from mmlab.orders.order import Order

START_NS = ORIGIN_NS + 80_000_000 * NS_PER_S
MS, S = NS_PER_MS, NS_PER_S
BID, ASK = 1, -1
NOW, BACKOFF, NONCE, ORDERS, FATAL, SESSION = range(1, 7)
ERRORS = {
    NOW: ErrorClass.RETRYABLE_NOW, BACKOFF: ErrorClass.RETRYABLE_BACKOFF, NONCE: ErrorClass.RESYNC_NONCE,
    ORDERS: ErrorClass.RESYNC_ORDERS, FATAL: ErrorClass.FATAL_ORDER, SESSION: ErrorClass.FATAL_SESSION,
}  # fmt: skip
VENUE = VenueRules(flight_ns=S, errors=ERRORS, quote_keys=(0,), cancel_keys=(9,))


def quote(side: int, price: int, lots: int = 5, rung: int = 0, flags: int = 1) -> e.Quote:
    return e.Quote(side, rung, price, lots, flags)


class Desk:
    """An order manager at a venue that does only what the test says.

    `tell` hands over an event at the present time and keeps the commands in `said`; signatures come by themselves.
    """

    def __init__(
        self, venue: VenueRules = VENUE, *, ready: bool = True, start_ns: int = START_NS, position: int = 0, **settings
    ) -> None:
        chosen = {
            "rungs": 4, "limits": Limits(100, 100, 32, collar_bps=1e4), "venue": venue,
            "times": Times(S, 2 * S, 2 * S, 2 * S, 2 * S, 100 * MS, 30 * S), "retry": RetryRule(jitter=0.0),
        }  # fmt: skip
        self.settings = OrderSettings(**{**chosen, **settings})
        self.om = OrderManager(self.settings, start_ns)
        self.now_ns, self.start_ns = start_ns, start_ns
        self.epoch = 0
        self.log: list[tuple[e.AnyEvent, list]] = []
        self.said: list = []
        self.nonces = dict.fromkeys((*venue.quote_keys, *venue.cancel_keys), 0)
        self.last_trade, self.position = 0, position
        if ready:
            self.now_ns += 40 * S
            self.link_up()
            self.tell(e.Top(0, 999, 1001))

    # --- events -----------------------------------------------------------------------------------------------------

    def tell(self, event: e.AnyEvent, *, sign: bool = True) -> list:
        """Hand over an event; returns all that was said, signatures included."""
        event = msgspec.structs.replace(event, ts_ns=self.now_ns)
        self.said = self.om.handle(event)
        self.log.append((event, self.said))
        said = list(self.said)
        for command in [c for c in said if type(c) is Sign and sign]:
            said += self.tell(e.Signed(0, command.tx_id, command.round))
        self.said = said
        return said

    def link_up(self) -> list:
        self.epoch += 1
        self.tell(e.LinkUp(0, self.epoch))
        return self.view()

    def view(self, *orders: e.OrderView, fills: tuple[e.Fill, ...] = (), **changes) -> list:
        """Answer the full query under way, or the next one."""
        query = self.query()
        for fill in fills:
            self.position += fill.side * fill.size_lots
            self.last_trade = fill.trade_id
        snapshot = e.Snapshot(
            0, query[0], self.epoch, orders, fills, self.last_trade, self.position, tuple(self.nonces.items())
        )
        return self.tell(msgspec.structs.replace(snapshot, **changes))

    def query(self) -> tuple[int, int]:
        """The full query under way; if there is none, time passes until there is."""
        while self.om.state.query is None:
            self.now_ns = max(self.now_ns, self.om.next_deadline())
            self.tell(e.Timer(0))
        return self.om.state.query

    def targets(self, *quotes: e.Quote, sign: bool = True) -> list:
        return self.tell(e.Targets(0, quotes), sign=sign)

    def wait(self, ns: int) -> list:
        """Let time pass, with every timer that is due."""
        until, said = self.now_ns + ns, []
        while (due := self.om.next_deadline()) is not None and due <= until:
            self.now_ns = due
            said += self.tell(e.Timer(0))
        self.now_ns = until
        self.said = said
        return said

    def ack(self, tx: Sign) -> list:
        self.nonces[tx.key] = tx.nonce + 1
        return self.tell(e.Ack(0, tx.tx_id))

    def live(self, tx: Sign, index: int = 0, **changes) -> e.OrderView:
        """The order of a place, as the venue shows it."""
        view = e.OrderView(tx.client_id, index or tx.tx_id + 1000, tx.side, tx.price_ticks, tx.size_lots, 0, "open", 1)
        return msgspec.structs.replace(view, **changes)

    def report(self, view: e.OrderView) -> list:
        return self.tell(e.OrderReport(0, view))

    def trade(self, view: e.OrderView, lots: int, trade_id: int | None = None) -> list:
        self.last_trade = self.last_trade + 1 if trade_id is None else trade_id
        self.position += view.side * lots
        fill = e.Fill(self.last_trade, view.client_id, view.side, view.price_ticks, lots, view.order_index)
        return self.tell(e.Trade(0, fill))

    def accept(self, said: list) -> list[e.OrderView]:
        """Everything placed in `said` goes live."""
        views = []
        for tx in sent(said, TxKind.PLACE, self):
            self.ack(tx)
            views.append(self.live(tx))
            self.report(views[-1])
        return views

    # --- what is there ----------------------------------------------------------------------------------------------

    def order(self, view: e.OrderView | Sign) -> Order:
        return self.om.state.orders.known[view.client_id]

    def state(self, view: e.OrderView | Sign) -> str:
        return self.order(view).state.name

    @property
    def signs(self) -> dict[int, Sign]:
        return {c.tx_id: c for _, commands in self.log for c in commands if type(c) is Sign}

    def replay(self) -> None:
        om = OrderManager(self.settings, self.start_ns)
        for event, commands in self.log:
            assert om.handle(event) == commands


def of(said: list, kind: type) -> list:
    return [command for command in said if type(command) is kind]


def signed(said: list, kind: TxKind | None = None) -> list[Sign]:
    return [c for c in of(said, Sign) if kind is None or c.kind == kind]


def sent(said: list, kind: TxKind, desk: Desk) -> list[Sign]:
    """Transactions of a kind that left."""
    signs = desk.signs
    return [signs[c.tx_id] for c in of(said, Send) if signs[c.tx_id].kind == kind]


def full_queries(said: list) -> list[Query]:
    return [c for c in of(said, Query) if c.what == "full"]


def version(client_id: int) -> int:
    parts = unpack(client_id)
    assert parts is not None
    return parts.version
