"""Apply what the account feed says: orders, trades, position. State only."""

from __future__ import annotations

from mmlab.events import OrderState, TargetFlag
from mmlab.exchange import Fill, OrderView
from mmlab.orders.commands import Filled
from mmlab.orders.events import OrderReport, PositionReport, Trade
from mmlab.orders.order import Order
from mmlab.orders.state import State, advance, hold_back, hold_of, release, rest
from mmlab.orders.states import TERMINAL, Step

ENDS = {"filled": Step.FILL, "canceled": Step.CANCEL, "rejected": Step.REJECT, "expired": Step.EXPIRE}


def on_report(s: State, event: OrderReport) -> None:
    """The feed shows an order."""
    view = event.order
    order = s.orders.known.get(view.client_id)
    if order is None:
        on_unknown(s, view)
    elif view.side != order.side:
        contradiction(s, "bad_report", view.client_id)
    elif TERMINAL[order.state]:
        on_late(s, order, view)
    else:
        apply_view(s, order, view, event.exch_ns)


def on_unknown(s: State, view: OrderView) -> None:
    """A report about an order that is not on our list."""
    if not s.ids.owns(view.client_id):
        s.counts["foreign_report"] += 1
        s.foreign = True
    elif view.status == "open" and not s.ids.made(view.client_id):  # what this life made and forgot has long ended
        unlisted(s, "stray", view.client_id)


def contradiction(s: State, kind: str, client_id: int) -> None:
    """The other side than that of our order: not believed, but a full view will tell."""
    s.anomaly(kind, client_id, "side")
    s.ask(s.now_ns + s.settings.times.open_ns)


def unlisted(s: State, kind: str, client_id: int) -> None:
    """Something of ours is out there that is not on our list: place nothing before a full view has told all of it."""
    s.anomaly(kind, client_id)
    s.recovered = False
    s.ask(s.now_ns)


def on_late(s: State, order: Order, view: OrderView) -> None:
    """A report about an order that has ended: mostly old news."""
    if view.filled_lots > order.filled_lots:
        s.anomaly("fill_after_end", order.client_id)
        s.ask(s.now_ns)
    elif order.state == OrderState.REJECTED and view.status != "rejected":
        advance(s, order, Step.OPEN)  # illegal: counted, and looked into
        s.ask(s.now_ns)
    else:
        s.counts["late_report"] += 1


def apply_view(s: State, order: Order, view: OrderView, exch_ns: int = 0) -> None:
    """What the venue says about a working order."""
    new_here = order.seen_ns > s.now_ns
    seen(s, order, view.order_index)
    if view.filled_lots > order.reported_lots:
        order.reported_lots, order.reported_ns = view.filled_lots, s.now_ns
        s.dirty = True
    if view.status != "open":
        end(s, order, ENDS[view.status], view.reason, exch_ns)
        return
    if order.state == OrderState.DRAINING or view.seq <= order.seq:
        if new_here:
            rest(s, order)
        elif order.filled_lots and order.state != OrderState.UNKNOWN:  # old news ends no doubt
            advance(s, order, Step.PARTIAL)
        return
    order.seq = view.seq
    settle_modify(s, order, view)
    if order.state != OrderState.UNKNOWN:
        rest(s, order)
    elif order.modify is None:  # a modify in doubt may still land, whatever this report says
        order.cancel = None
        rest(s, order)


def seen(s: State, order: Order, order_index: int) -> None:
    """The order is, or was, at the venue."""
    order.seen_ns = min(order.seen_ns, s.now_ns)
    if order_index and not order.order_index:
        order.order_index = order_index
        s.orders.refile(order)


def settle_modify(s: State, order: Order, view: OrderView) -> None:
    """Take price and size from a newer report; a modify that shows in it is done."""
    now = view.price_ticks, view.size_lots
    done = order.modify is not None and (order.new_price_ticks, order.new_size_lots) == now
    was = order.price_ticks, order.size_lots
    if was != now:
        order.price_ticks, order.size_lots = now
        s.dirty = s.dirty or not done
    if done:
        if order.price_ticks != was[0] or order.size_lots > was[1]:
            order.born = s.number()  # it stands at the end of the queue now
        order.modify = None
        if order.state == OrderState.MODIFY_PENDING:
            hold_of(s, order.side, order.rung).attempts = 0
            release(s, order)


def end(s: State, order: Order, step: Step, reason: int = 0, exch_ns: int = 0) -> None:
    """The venue says the order is over: ended if trades account for every filled lot, else draining."""
    if order.cancel is None and step in (Step.CANCEL, Step.REJECT) and not order.flags & TargetFlag.IOC:
        unasked_end(s, order)
    order.modify = order.cancel = None
    order.end, order.end_reason = step, reason
    if order.traded_lots >= order.reported_lots:
        finish(s, order, exch_ns)
    elif advance(s, order, Step.DRAIN, reason=reason, exch_ns=exch_ns):
        order.deadline_ns = s.now_ns + s.settings.times.open_ns


def unasked_end(s: State, order: Order) -> None:
    """The venue threw it out (a post-only that would cross a book newer than ours): not again at once."""
    hold_back(s, order)
    if s.retries.note(refused=True, now_ns=s.now_ns):
        s.trip("rejects", "paused", "orders thrown out", s.retries.open_until_ns)


def finish(s: State, order: Order, exch_ns: int = 0) -> None:
    """All lots are accounted for."""
    step = order.end
    if step == Step.REJECT and order.filled_lots:
        step = Step.CANCEL
    if step in (Step.CANCEL, Step.EXPIRE) and order.filled_lots >= order.size_lots:
        step = Step.FILL
    advance(s, order, step, reason=order.end_reason, exch_ns=exch_ns)


def on_trade(s: State, event: Trade) -> None:
    """The feed shows a trade."""
    apply_fill(s, event.fill)


def apply_fill(s: State, fill: Fill) -> None:
    """Count a trade once, in position and order."""
    if s.account.has(fill.trade_id):
        s.counts["duplicate_trade"] += 1
        return
    order = s.orders.known.get(fill.client_id)
    if order is not None and order.side != fill.side:
        contradiction(s, "bad_trade", fill.client_id)
        return
    s.account.book(fill.trade_id, fill.client_id, fill.side * fill.size_lots, s.now_ns)
    s.quota.earn(fill.price_ticks, fill.size_lots)
    s.dirty = True
    s.risk += 1
    if order is None:
        report_fill(s, fill)
        if s.account.known:
            unlisted(s, "stray_fill", fill.client_id)
        return
    order.traded_lots += fill.size_lots
    report_fill(s, fill)
    if TERMINAL[order.state]:
        s.anomaly("fill_after_end", order.client_id)
        s.ask(s.now_ns)
        return
    seen(s, order, fill.order_index)
    after_fill(s, order, fill.exch_ns)


def after_fill(s: State, order: Order, exch_ns: int = 0) -> None:
    """Where an order goes when lots of it traded."""
    if order.state == OrderState.DRAINING:
        if order.traded_lots >= order.reported_lots:
            finish(s, order, exch_ns)
    elif order.traded_lots >= order.most_lots and (order.place is not None or s.viewed_ns >= s.calm_ns):
        # the size of an order from an earlier life is sure only when no modify of that life can land any more
        order.modify = order.cancel = None
        advance(s, order, Step.FILL, exch_ns=exch_ns)
    elif order.state != OrderState.UNKNOWN or (order.modify is None and order.cancel is None and not order.in_doubt):
        rest(s, order)


def report_fill(s: State, fill: Fill) -> None:
    """Tell the decision kernel and the journal."""
    s.out.append(
        Filled(
            s.now_ns, fill.trade_id, fill.client_id, fill.side, fill.price_ticks, fill.size_lots, s.position_lots,
            fill.taker, fill.exch_ns,
        )
    )  # fmt: skip


def on_position(s: State, event: PositionReport) -> None:
    """A hint: if it is not what we think, look again."""
    if s.account.known and event.position_lots != s.position_lots:
        s.counts["position_hint"] += 1
        s.ask(s.now_ns + s.settings.times.open_ns)
