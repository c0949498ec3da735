"""Everything that comes from time alone: deadlines that pass, queries that fall due, and when the next of them is."""

from __future__ import annotations

from mmlab.events import NEVER_NS, OrderState
from mmlab.orders.commands import Query
from mmlab.orders.replies import held_back, withdraw
from mmlab.orders.state import State, doubt


def expire(s: State) -> None:
    """Apply the passing of time. State only."""
    if s.now_ns >= s.wake_ns:
        s.dirty, s.wake_ns = True, NEVER_NS
    if s.query is not None and s.now_ns >= s.query[1] + s.settings.times.query_ns:
        s.counts["query_timeout"] += 1
        s.query = None
        s.query_fails += 1
        s.ask(s.now_ns)
    if s.now_ns >= s.order_due_ns:
        expire_orders(s)
    for key in s.keys.ring:
        while key.unsent and key.unsent[0].deadline_ns <= s.now_ns:
            tx = key.unsent[0]
            s.anomaly("sign_timeout", tx.client_id)
            withdraw(s, tx)
            held_back(s, tx, 0)


def expire_orders(s: State) -> None:
    """No answer in time: doubt. A draining order is asked about."""
    for order in list(s.orders.working.values()):
        if order.deadline_ns > s.now_ns:
            continue
        s.counts["timeout"] += 1
        if order.state == OrderState.DRAINING:
            order.deadline_ns, order.ask_ns = NEVER_NS, s.now_ns
        else:
            doubt(s, order)


def look_ahead(s: State) -> None:
    """Find the next deadline and question among orders, once for all who ask."""
    due = want = NEVER_NS
    for order in s.orders.working.values():
        if order.deadline_ns < due:  # noqa: PLR1730  quicker than min
            due = order.deadline_ns
        if order.ask_ns < want:  # noqa: PLR1730
            want = order.ask_ns
    s.order_due_ns, s.order_ask_ns = due, want


def query_due_ns(s: State) -> int:
    """When the next full view is to be asked for; `NEVER_NS` while one is under way or there is no link."""
    if s.query is not None or not s.linked:
        return NEVER_NS
    due = min(s.ask_ns, s.order_ask_ns, s.viewed_ns + s.settings.times.reconcile_ns)
    return max(due, s.last_query_ns + (s.settings.times.query_gap_ns << min(s.query_fails, 5)))


def ask(s: State) -> None:
    """Put the questions that are due."""
    full = query_due_ns(s) <= s.now_ns
    if full:
        s.query, s.last_query_ns = (s.number(), s.now_ns), s.now_ns
        s.tokens.take(s.settings.venue.rate.weights.query, s.now_ns)
        s.out.append(Query(s.now_ns, s.query[0], "full", 0, s.account.watermark))
    for key in s.keys.ring:
        if key.resync and key.ask_ns <= s.now_ns and s.linked:
            key.ask_ns = s.now_ns + (s.settings.times.query_ns << min(key.asked, 5))
            key.asked += 1
            if full:
                continue  # the view just asked for tells it too
            oldest_ns = s.now_ns - 8 * s.settings.times.query_ns
            s.queries = {number: asked for number, asked in s.queries.items() if asked[1] > oldest_ns}
            query_id = s.number()
            s.queries[query_id] = (key.index, s.now_ns)
            s.tokens.take(s.settings.venue.rate.weights.query, s.now_ns)
            s.out.append(Query(s.now_ns, query_id, "nonce", key.index))


def next_deadline(s: State) -> int:
    """Time of the next event that comes from time alone, or `NEVER_NS`."""
    due = min(s.wake_ns, s.order_due_ns, query_due_ns(s))
    if s.query is not None:
        due = min(due, s.query[1] + s.settings.times.query_ns)
    for key in s.keys.ring:
        if key.unsent:
            due = min(due, key.unsent[0].deadline_ns)
        if key.resync and s.linked:
            due = min(due, key.ask_ns)
    return due
