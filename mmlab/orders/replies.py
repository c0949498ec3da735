"""Apply what signer, sender and venue answer to a transaction.

State only, but for one thing: where nonces move, the payloads made so far are void and are asked for anew at once.
"""

from __future__ import annotations

from collections.abc import Iterable

from mmlab.events import NEVER_NS, OrderReason, OrderState
from mmlab.exchange import ErrorClass, TxKind
from mmlab.orders.events import Ack, NonceReport, Refused, SendFailed, Signed, SignFailed, Unclear
from mmlab.orders.order import Order, Tx
from mmlab.orders.state import State, advance, doubt, hold_back, hold_of, release
from mmlab.orders.states import Step
from mmlab.orders.writing import sign_command

CANCELS = (TxKind.CANCEL, TxKind.CANCEL_ALL)
BACKOFF = (ErrorClass.RETRYABLE_NOW, ErrorClass.RETRYABLE_BACKOFF)


def order_of(s: State, tx: Tx) -> Order | None:
    """The working order a transaction is about; None for cancel-all, or if it has ended."""
    return s.orders.working.get(tx.client_id)


def answered(s: State, tx_id: int) -> Tx | None:
    """The transaction that an answer is about, whose fate it tells; None if it has been told, or cannot be."""
    tx = s.txs.get(tx_id)
    if tx is None:
        s.counts["late_reply"] += 1
    elif tx.sent_ns == NEVER_NS:
        s.anomaly("early_reply", tx.client_id)  # it has not left us yet
    else:
        return s.txs.pop(tx_id)
    return None


def on_signed(s: State, event: Signed) -> None:
    """A payload exists; it leaves when all before it have."""
    tx = s.txs.get(event.tx_id)
    if tx is None or tx.round != event.round or tx.sent_ns != NEVER_NS:
        s.counts["stale_signature"] += 1
        return
    tx.signed = True
    order = order_of(s, tx)
    if tx.kind == TxKind.PLACE and order is not None:
        advance(s, order, Step.SIGN)


def on_sign_failed(s: State, event: SignFailed) -> None:
    """The signer cannot."""
    tx = s.txs.get(event.tx_id)
    if tx is not None and tx.round == event.round and tx.sent_ns == NEVER_NS:
        s.anomaly("sign_failed", tx.client_id, event.reason)
        withdraw(s, tx)
        held_back(s, tx, 0)


def withdraw(s: State, tx: Tx) -> None:
    """Give up a transaction that has not left; those behind it get its nonce."""
    del s.txs[tx.tx_id]
    sign_anew(s, s.keys.keys[tx.key].drop(tx))
    undo(s, tx)


def undo(s: State, tx: Tx) -> None:
    """As if the transaction had never been asked for."""
    s.dirty = True
    for client_id in tx.covers:
        covered = s.orders.working.get(client_id)
        if covered is not None and covered.cancel is tx:
            covered.cancel = None
            set_back(s, covered)
    order = order_of(s, tx)
    if order is None:
        return
    if tx.kind == TxKind.PLACE:
        advance(s, order, Step.WITHDRAW)
    elif order.modify is tx or order.cancel is tx:
        if order.modify is tx:
            order.modify = None
        else:
            order.cancel = None
        set_back(s, order)


def set_back(s: State, order: Order) -> None:
    """A change of the order is off: back to where it was."""
    if order.state not in (OrderState.MODIFY_PENDING, OrderState.CANCEL_PENDING):
        return
    if order.modify is not None or order.seen_ns > s.now_ns:
        doubt(s, order)
    else:
        release(s, order)


def sign_anew(s: State, txs: Iterable[Tx]) -> None:
    """Nonces moved: the payloads made so far are void."""
    for tx in txs:
        if tx.signed and tx.kind == TxKind.PLACE and tx.client_id in s.orders.working:
            advance(s, s.orders.working[tx.client_id], Step.UNSIGN)
        tx.signed, tx.round = False, tx.round + 1
        tx.deadline_ns = s.now_ns + s.settings.times.sign_ns
        s.out.append(sign_command(s, tx))


def on_ack(s: State, event: Ack) -> None:
    """Accepted: the nonce is consumed; the effect will show on the account feed."""
    if event.quota_left >= 0:
        s.dirty = s.dirty or event.quota_left > s.quota.left
        s.quota.told(event.quota_left)
    tx = answered(s, event.tx_id)
    if tx is None:
        return
    s.keys.keys[tx.key].consumed(tx)
    s.retries.note(refused=False, now_ns=s.now_ns)
    order = order_of(s, tx)
    changing = order is not None and (order.in_doubt or order.modify is not None or order.cancel is not None)
    if tx.kind == TxKind.PLACE and order is not None and order.seen_ns > s.now_ns and not changing:
        advance(s, order, Step.ACCEPT)
        order.deadline_ns = s.now_ns + s.settings.times.open_ns
    s.dirty = s.dirty or s.starved


def on_send_failed(s: State, event: SendFailed) -> None:
    """Not one byte left: the nonce is free, nothing happened."""
    tx = answered(s, event.tx_id)
    if tx is None:
        return
    lost_nonce(s, tx, bad_nonce=False)
    undo(s, tx)
    held_back(s, tx, 0)


def lost_nonce(s: State, tx: Tx, *, bad_nonce: bool) -> None:
    """A sent transaction burned nothing: tell its key, and give up or sign anew what stood behind it."""
    key = s.keys.keys[tx.key]
    behind = key.refused(tx, s.now_ns, bad_nonce=bad_nonce)
    if not key.resync:
        sign_anew(s, behind)
        return
    for later in behind:
        s.txs.pop(later.tx_id, None)
        undo(s, later)


def held_back(s: State, tx: Tx, wait_ns: int) -> None:
    """Count a try of an order or rung, and make it wait."""
    if tx.kind in CANCELS:
        for client_id in tx.covers or (tx.client_id,):
            canceled = s.orders.working.get(client_id)
            if canceled is not None:
                canceled.attempts += 1
                canceled.retry_ns = s.now_ns + max(wait_ns, s.retries.delay_ns(canceled.attempts))
                s.wake_ns = min(s.wake_ns, canceled.retry_ns)
        return
    order = s.orders.known.get(tx.client_id)
    if order is None:
        s.wake_ns = min(s.wake_ns, s.now_ns + s.settings.retry.base_ns)
        return
    hold_back(s, order, wait_ns)
    if tx.kind == TxKind.MODIFY:
        order.modify_ns = hold_of(s, order.side, order.rung).until_ns


def on_refused(s: State, event: Refused) -> None:
    """Refused: no effect, no nonce burned. What comes next depends on the class of the code."""
    tx = answered(s, event.tx_id)
    if tx is None:
        return
    kind = s.settings.venue.classify(event.code)
    s.counts[f"refused_{kind}"] += 1
    lost_nonce(s, tx, bad_nonce=kind == ErrorClass.RESYNC_NONCE)
    if tx.kind == TxKind.PLACE:
        order = order_of(s, tx)
        if order is not None:
            advance(s, order, Step.REJECT, reason=OrderReason.NONE)
        s.dirty = True
    elif kind in (ErrorClass.RESYNC_ORDERS, ErrorClass.FATAL_ORDER):
        in_doubt(s, tx)
    else:
        undo(s, tx)
    after_refusal(s, tx, kind, event)


def in_doubt(s: State, tx: Tx) -> None:
    """A change was refused for what the order is or is not: look before trying again."""
    for client_id in tx.covers or (tx.client_id,):
        order = s.orders.working.get(client_id)
        if order is None or tx not in (order.cancel, order.modify):
            continue
        if order.modify is tx:
            order.modify = None
        else:
            order.cancel = None
        order.in_doubt = True
        doubt(s, order)


def after_refusal(s: State, tx: Tx, kind: ErrorClass, event: Refused) -> None:
    """Budgets, back-off, breaker, and what concerns the whole session."""
    if kind == ErrorClass.FATAL_SESSION:
        held_back(s, tx, event.retry_after_ns)  # cancels are tried on, but not at every answer
        s.trip("session", "halted", f"code {event.code}: {event.reason}")
        return
    if kind == ErrorClass.RESYNC_ORDERS:
        s.ask(s.now_ns)
    if kind == ErrorClass.RETRYABLE_BACKOFF:  # that we send too much concerns every order
        s.tokens.empty(s.now_ns)
        s.retries.open_until_ns = max(s.retries.open_until_ns, s.now_ns + event.retry_after_ns)
    if kind != ErrorClass.RETRYABLE_NOW or order_attempts(s, tx) > 0:
        held_back(s, tx, event.retry_after_ns)
    else:
        hold_tries(s, tx)
    if s.retries.note(refused=True, now_ns=s.now_ns):
        s.trip("rejects", "paused", f"code {event.code}", s.retries.open_until_ns)
    elif kind in BACKOFF and not s.retries.spend(s.now_ns):
        s.retries.trip(s.now_ns)
        s.trip("retries", "paused", "the session's budget of retries is spent", s.retries.open_until_ns)


def order_attempts(s: State, tx: Tx) -> int:
    """Refusals in a row of what `tx` is about."""
    order = s.orders.known.get(tx.client_id)
    if order is None:
        return 0
    return order.attempts if tx.kind == TxKind.CANCEL else hold_of(s, order.side, order.rung).attempts


def hold_tries(s: State, tx: Tx) -> None:
    """Count a try that may be repeated at once."""
    order = s.orders.known.get(tx.client_id)
    if order is None:
        return
    if tx.kind == TxKind.CANCEL:
        order.attempts += 1
    else:
        hold_of(s, order.side, order.rung).attempts += 1


def on_unclear(s: State, event: Unclear) -> None:
    """No conclusion possible: the order is unknown, the nonce stays occupied."""
    tx = answered(s, event.tx_id)
    if tx is None:
        return
    s.counts["unclear"] += 1
    for client_id in tx.covers or (tx.client_id,):
        order = s.orders.working.get(client_id)
        if order is None or tx not in (order.place, order.modify, order.cancel):
            continue
        if tx.kind != TxKind.PLACE or order.seen_ns > s.now_ns:
            doubt(s, order)


def on_nonce(s: State, event: NonceReport) -> None:
    """The venue's next nonce of a key."""
    asked = s.queries.pop(event.query_id, None)
    if asked is None or asked[0] != event.key:
        s.counts["late_reply"] += 1
        return
    learn(s, event.key, event.nonce, asked[1])


def learn(s: State, index: int, nonce: int, asked_ns: int) -> None:
    """Bring a key's counter in step with the venue's."""
    key = s.keys.keys.get(index)
    if key is None:
        return
    _, changed = key.learn(nonce, asked_ns, s.settings.venue.flight_ns)
    sign_anew(s, changed)
    s.dirty = True
