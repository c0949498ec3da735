"""Belief against truth: links that come and go, and full views of the venue. State only.

A view was asked for at some time q and answered later; what it shows is some instant in between. So an order that it
does not show is gone only if we knew it to be there before q, or if it was sent so long before q that it would have
arrived. Everything else waits for a later view. The position is simply the venue's.
"""

from __future__ import annotations

from mmlab.events import NEVER_NS, OrderReason, OrderState
from mmlab.exchange import Fill, OrderView
from mmlab.orders.commands import Filled, Halted
from mmlab.orders.events import LinkDown, LinkUp, QueryFailed, Snapshot
from mmlab.orders.feed import after_fill, apply_fill, apply_view, contradiction, end
from mmlab.orders.ids import slot_code, unpack
from mmlab.orders.order import Order
from mmlab.orders.replies import learn, undo
from mmlab.orders.state import State, doubt, rest
from mmlab.orders.states import MAY_REST, TERMINAL, UNSENT, Step

OLD_VIEWS = 3
"""Views in a row that are older than what we know, before they are believed."""


def on_link_up(s: State, event: LinkUp) -> None:
    """A new link: quote only after its first full view."""
    s.linked, s.recovered, s.epoch = True, False, event.epoch
    s.query, s.query_fails = None, 0
    s.queries.clear()
    for key in s.keys.keys.values():
        key.ask_ns, key.asked = s.now_ns if key.resync else key.ask_ns, 0
    s.ask(s.now_ns)
    s.dirty = True


def on_link_down(s: State, event: LinkDown) -> None:
    """The link is gone: what has not left never will, the fate of what was in flight is unknown."""
    if event.epoch != s.epoch or not s.linked:
        return
    s.linked = s.recovered = False
    s.query = None
    s.queries.clear()
    for key in s.keys.keys.values():
        for tx in key.lose(s.now_ns):
            s.txs.pop(tx.tx_id, None)
            undo(s, tx)
    for order in list(s.orders.working.values()):
        if order.seen_ns > s.now_ns or order.modify is not None or order.cancel is not None:
            doubt(s, order)


def on_query_failed(s: State, event: QueryFailed) -> None:
    """No usable answer: ask again later."""
    if s.query is not None and s.query[0] == event.query_id:
        query_lost(s)
    elif event.query_id in s.queries:
        key, _ = s.queries.pop(event.query_id)
        s.keys.keys[key].ask_ns = s.now_ns + s.settings.times.query_gap_ns


def query_lost(s: State) -> None:
    """The full view asked for will not come."""
    s.query = None
    s.query_fails += 1
    s.ask(s.now_ns)


def on_snapshot(s: State, event: Snapshot) -> None:
    """A view of the venue."""
    if s.query is None or s.query[0] != event.query_id or event.epoch != s.epoch:
        s.counts["late_reply"] += 1
        return
    if event.complete and event.last_trade_id < s.account.watermark and not believe_old(s):
        return
    asked_ns, s.query = s.query[1], None
    s.query_fails = s.old_views = 0
    s.risk += 1
    for fill in sorted(event.fills, key=lambda f: f.trade_id):
        apply_view_fill(s, fill)
    if event.complete:
        rebase(s, event, asked_ns)
        s.foreign = False  # until the view shows otherwise
    shown = {view.client_id for view in event.orders}
    for view in event.orders:
        apply_shown(s, view, asked_ns, complete=event.complete)
    for order in list(s.orders.working.values()):
        if event.complete and order.client_id not in shown:
            not_shown(s, order, asked_ns)
        if not TERMINAL[order.state]:
            still_open(s, order, asked_ns)
    for key, nonce in event.nonces:
        learn(s, key, nonce, asked_ns)
    if event.quota_left >= 0:
        s.quota.told(event.quota_left)
    forget_transactions(s)
    if event.complete:
        after_full_view(s, asked_ns)
    else:
        s.ask(s.now_ns + s.settings.times.query_gap_ns)


def apply_view_fill(s: State, fill: Fill) -> None:
    """A trade in a view; one seen before is no news."""
    if not s.account.known and fill.client_id not in s.orders.known:  # before our life: in the position already
        return
    if not s.account.has(fill.trade_id):
        s.counts["missed_fill"] += 1
        apply_fill(s, fill)


def believe_old(s: State) -> bool:
    """A view ends before trades that we know of: some node is behind, but if it goes on, we were told nonsense."""
    s.anomaly("old_view")
    s.old_views += 1
    if s.old_views < OLD_VIEWS:
        query_lost(s)
        return False
    s.account.forget()
    s.trip("mismatch", "halted", "the venue's trades end before those that we know of")
    return True


def rebase(s: State, event: Snapshot, asked_ns: int) -> None:
    """Take the venue's position; a difference to ours is a mismatch."""
    off = s.account.rebase(event.last_trade_id, event.position_lots)
    for trade_id in s.account.drop_heard_before(asked_ns):
        s.anomaly("trade_without_trace", 0, str(trade_id))
    if off:
        s.anomaly("mismatch", 0, f"venue minus ours: {off} lots")
        if abs(off) > 1:
            s.trip("mismatch", "halted", f"venue minus ours: {off} lots")


def apply_shown(s: State, view: OrderView, asked_ns: int, *, complete: bool) -> None:
    """An order that the view shows."""
    order = s.orders.known.get(view.client_id)
    if order is None or TERMINAL[order.state]:
        order = found(s, order, view, asked_ns) if complete else None  # part of a view does not tell its trades
    if order is None:
        return
    if view.side != order.side:
        contradiction(s, "bad_report", view.client_id)
        return
    if view.status == "open" and complete:  # the view's fills are all in, so this is exact
        order.traded_lots = view.filled_lots + s.account.later_lots(view.client_id)
    apply_view(s, order, view)
    if not TERMINAL[order.state] and view.status == "open":
        settle_open(s, order, asked_ns)


def found(s: State, order: Order | None, view: OrderView, asked_ns: int) -> Order | None:
    """An order in the view that does not work by our list: foreign, of an earlier life, or risen from the dead."""
    if view.status != "open":
        return None
    if not s.ids.owns(view.client_id):
        s.counts["foreign_order"] += 1
        s.foreign = True
        return None
    if order is None and not s.ids.made(view.client_id):
        s.counts["stray"] += 1
    elif order is None or order.ended_ns < asked_ns:
        s.anomaly("risen", view.client_id)  # it ended, we asked, and there it is
    else:
        return None  # it ended after the view was taken
    return adopt(s, view)


def adopt(s: State, view: OrderView) -> Order:
    """Take an order that a view shows, of ours but not on our list, on the list."""
    parts = unpack(view.client_id)
    assert parts is not None  # noqa: S101  `owns` was asked
    order = Order(
        view.client_id, slot_code(parts.side, parts.rung, parts.half), view.side, parts.rung, view.price_ticks,
        view.size_lots, view.flags, 0,
    )  # fmt: skip
    order.state = OrderState.UNKNOWN
    order.reported_lots = view.filled_lots
    s.orders.add(order)
    return order


def settle_open(s: State, order: Order, asked_ns: int) -> None:
    """The view shows it open: changes that would have landed by then did not."""
    flight_ns = s.settings.venue.flight_ns
    if order.modify is not None and asked_ns >= order.modify.sent_ns + flight_ns:
        order.modify = None
        s.dirty = True
    if order.cancel is not None and order.state == OrderState.UNKNOWN:
        order.cancel = None
    if order.state == OrderState.UNKNOWN and order.modify is None and order.ask_ns <= asked_ns:
        rest(s, order)


def not_shown(s: State, order: Order, asked_ns: int) -> None:
    """A complete view does not show it: it is gone, or not there yet."""
    if UNSENT[order.state] or not MAY_REST[order.state]:
        return
    arrived = order.seen_ns < asked_ns
    if not arrived and asked_ns < order.sent_ns + s.settings.venue.flight_ns:
        order.ask_ns = order.sent_ns + s.settings.venue.flight_ns
        if order.state != OrderState.UNKNOWN:
            order.ask_ns = NEVER_NS  # no doubt yet: its own deadline is running
        return
    s.counts["gone" if arrived else "lost"] += 1
    end(s, order, Step.CANCEL, OrderReason.NOT_FOUND)


def still_open(s: State, order: Order, asked_ns: int) -> None:
    """What remains to be asked about an order after a view."""
    if order.traded_lots < order.reported_lots and order.reported_ns < asked_ns:
        infer_fill(s, order)  # the view should have brought its trades: take the venue's count
    if order.state != OrderState.UNKNOWN or order.ask_ns > asked_ns:
        return
    waits = [tx.sent_ns for tx in (order.place, order.modify, order.cancel) if tx is not None and tx.sent_ns < NEVER_NS]
    settle_ns = max(waits, default=0) + s.settings.venue.flight_ns
    order.ask_ns = max(settle_ns, asked_ns + s.settings.times.query_gap_ns)


def infer_fill(s: State, order: Order) -> None:
    """Lots reported filled for which no trade was ever shown: the venue's position has them already."""
    lots = order.reported_lots - order.traded_lots
    order.traded_lots = order.reported_lots
    s.anomaly("inferred_fill", order.client_id, f"{lots} lots")
    s.out.append(Filled(s.now_ns, 0, order.client_id, order.side, order.price_ticks, lots, s.position_lots))
    after_fill(s, order)


def forget_transactions(s: State) -> None:
    """Drop transactions whose nonce is settled and whose answer is overdue."""
    horizon = s.now_ns - s.settings.venue.flight_ns
    for tx in [tx for tx in s.txs.values() if tx.sent_ns < horizon]:
        if s.keys.keys[tx.key].sent.get(tx.nonce) is not tx:
            del s.txs[tx.tx_id]


def after_full_view(s: State, asked_ns: int) -> None:
    """The account is reconciled as of `asked_ns`."""
    s.viewed_ns = asked_ns
    s.dirty = True
    if s.ask_ns <= asked_ns:
        s.ask_ns = NEVER_NS
    if asked_ns >= s.calm_ns:
        s.recovered = True
    else:
        s.ask(s.calm_ns)
    if s.halted and not s.proven:
        prove(s, asked_ns)


def prove(s: State, asked_ns: int) -> None:
    """See whether the book is empty of ours and will stay so."""
    quiet_ns = max(s.calm_ns, s.placed_ns + s.settings.venue.flight_ns)
    if s.orders.working or s.sweep:
        s.ask(s.now_ns + s.settings.times.open_ns)
        return
    if asked_ns < quiet_ns:
        s.ask(quiet_ns)
        return
    s.proven = True
    s.out.append(Halted(s.now_ns, s.position_lots))
