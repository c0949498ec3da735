"""Planted bugs, each with the invariant that has to catch it and the driver that does.

A mutant that lives means that an invariant is idle, or that the drivers never go where it matters.
"""

from __future__ import annotations

import itertools

import msgspec

from mmlab.events import NEVER_NS, OrderState
from mmlab.orders import (
    checks,
    exposure,
    feed,
    ids,
    limits,
    manager,
    planner,
    react,
    reconcile,
    replies,
    sending,
    state,
    timers,
)
from mmlab.orders.account import Account
from mmlab.orders.exposure import Exposure
from mmlab.orders.nonces import Key
from mmlab.orders.retry import Retries
from mmlab.orders.states import RESTING, Step
from tests.orders.planting import mutant

STORIES = itertools.count()


# --- what the venue must never see -----------------------------------------------------------------------------------


@mutant("post_only", first=10)
def no_post_only_guard(patch):
    """Commands are not weighed against the book."""
    patch(limits, "book_objection", lambda *_: "")


@mutant("post_only")
def no_second_look(patch):
    """What was right when it was planned is sent, whatever happened while it was signed."""
    patch(sending, "objection_now", lambda *_: "")


@mutant("self_cross")
def own_other_side_forgotten(patch):
    """Our own other side does not count."""
    patch(Exposure, "crosses_own", lambda *_: False)


@mutant("self_cross", first=110)
def modify_leaves_old_price_at_once(patch):
    """A modify in flight counts at its new price alone."""
    patch(state.Order, "nearest_ticks", property(lambda order: order.aim_ticks))


@mutant("exposure")
def in_flight_does_not_count(patch):
    """Only what is seen resting counts."""
    patch(exposure, "MAY_REST", RESTING)


@mutant("exposure")
def limits_look_at_the_position_only(patch):
    """Resting lots are forgotten."""

    def objection(side, more, flags, worst, gate):
        most = gate.limits.max_long_lots if side > 0 else gate.limits.max_short_lots
        return "exposure" if side * worst.position_lots + more > most else ""

    patch(limits, "exposure_objection", objection)


@mutant("exposure", first=100)
def reported_fills_wait_for_their_trades(patch):
    """The venue's own count of filled lots is not believed until trades come."""
    patch(state, "position_of", lambda account, _: account.traded_lots)


@mutant("client_id_reuse")
def every_life_has_one_session(patch):
    """Ids of two lives are alike."""
    patch(ids, "session_at", lambda _: 1000)


@mutant("client_id_reuse")
def versions_start_again(patch):
    """A slot forgets its version when the link comes back."""

    def up(s, event):
        s.ids._used = [0] * ids.SLOTS
        reconcile.on_link_up(s, event)

    patch(manager, "APPLY", {**manager.APPLY, manager.e.LinkUp: up})


@mutant("nonce_race")
def nonce_question_settles_everything(patch):
    """What may still arrive is forgotten when the venue tells a nonce."""
    learn = Key.learn

    def forgetful(self, nonce, asked_ns, flight_ns):
        self.sent.clear()
        return learn(self, nonce, asked_ns, flight_ns)

    patch(Key, "learn", forgetful)


@mutant("nonce_reuse", first=170)
def old_answers_turn_the_counter_back(patch):
    """An answer that was overtaken by another counts."""
    learn = Key.learn

    def naive(self, nonce, asked_ns, flight_ns):
        self._floor = 0
        return learn(self, nonce, asked_ns, flight_ns)

    patch(Key, "learn", naive)


@mutant("nonce_reuse")
def unclear_counts_as_refused(patch):
    """A time-out frees the nonce."""

    def unclear(s, event):
        replies.on_refused(s, replies.Refused(event.ts_ns, event.tx_id, 1))

    patch(manager, "APPLY", {**manager.APPLY, manager.e.Unclear: unclear})


@mutant("placed_while_halted")
def kill_only_cancels(patch):
    """A halt does not forbid placing."""
    real = sending.closed

    def closed(s):
        s.halted, halted = False, s.halted
        why = real(s)
        s.halted = halted
        return why

    patch(sending, "closed", closed)
    patch(manager, "APPLY", {**manager.APPLY, manager.e.Targets: targets_while_halted})


def targets_while_halted(s, event):
    halted, s.halted = s.halted, False
    manager.on_targets(s, event)
    s.halted = halted


# --- belief and truth ------------------------------------------------------------------------------------------------


@mutant("exposure", blind=True)
def timeout_ends_an_order(patch):
    """No answer is taken for a refusal."""

    def doubt(s, order):
        state.advance(s, order, Step.DOUBT)
        state.advance(s, order, Step.REJECT)

    for module in (timers, reconcile, replies, state):
        patch(module, "doubt", doubt)


@mutant("exposure", blind=True)
def not_shown_means_gone(patch):
    """A view ends orders that cannot be in it yet."""

    def not_shown(s, order, asked_ns):
        if not reconcile.UNSENT[order.state] and reconcile.MAY_REST[order.state]:
            reconcile.end(s, order, Step.CANCEL)

    patch(reconcile, "not_shown", not_shown)


@mutant("anomaly", first=60)
def partial_views_count_as_full(patch):
    """What half a view does not show is gone."""
    real = reconcile.on_snapshot

    def believe(s, event):
        real(s, msgspec.structs.replace(event, complete=True))

    patch(manager, "APPLY", {**manager.APPLY, manager.e.Snapshot: believe})


@mutant("position")
def no_periodic_view(patch):
    """Nobody looks unless there is a doubt."""
    real = timers.query_due_ns

    def due(s):
        s.viewed_ns = NEVER_NS // 2
        return real(s)

    patch(timers, "query_due_ns", due)


@mutant("position", blind=True)
def trades_count_twice(patch):
    """A duplicate is another trade."""
    patch(Account, "has", lambda *_: False)


@mutant("anomaly")
def reports_go_to_the_slot(patch):
    """A late report about an old version closes the order that now has its slot."""
    real = feed.on_report

    def report(s, event):
        old = s.orders.known.get(event.order.client_id)
        newer = None if old is None else s.orders.slots.get(old.slot)
        if newer is not None and newer is not old and event.order.status != "open":
            feed.end(s, newer, Step.CANCEL)
            return
        real(s, event)

    patch(manager, "APPLY", {**manager.APPLY, manager.e.OrderReport: report})


@mutant("orders", first=40)
def strays_are_ignored(patch):
    """Orders of an earlier life are somebody else's."""
    patch(reconcile, "found", lambda *_: None)


@mutant("not_terminal")
def doubts_are_never_settled(patch):
    """A view does not end a doubt."""
    patch(reconcile, "settle_open", lambda *_: None)


@mutant("anomaly")
def missed_fills_stay_missed(patch):
    """Trades in a view are not looked at."""
    patch(reconcile, "apply_view_fill", lambda *_: None)


@mutant("position")
def position_is_never_the_venues(patch):
    """The venue's position is not taken over."""
    patch(reconcile, "rebase", lambda *_: None)


@mutant("exposure", first=120, blind=True)
def a_modify_in_doubt_is_forgotten(patch):
    """A modify whose fate is unknown is taken for not done."""
    real = state.doubt

    def doubt(s, order):
        real(s, order)
        order.modify = None

    for module in (timers, reconcile, replies, state):
        patch(module, "doubt", doubt)


# --- cancelling ------------------------------------------------------------------------------------------------------


@mutant("halted_but_not_empty", "machine")
def halted_without_proof(patch):
    """It says that the book is empty as soon as its own list is."""

    def prove(s, asked_ns):
        s.proven = True
        s.out.append(reconcile.Halted(s.now_ns, 0))

    patch(reconcile, "prove", prove)


@mutant("halting", "machine")
def proof_is_never_sought(patch):
    """It never finds out that the book is empty."""
    patch(reconcile, "prove", lambda *_: None)


@mutant("cancel_all")
def a_halt_plans_nothing(patch):
    """A halt trusts its cancel-all, and looks after nothing."""
    real = react.replan
    patch(react, "replan", lambda s: None if s.halted else real(s))


@mutant("stray")
def a_cancel_is_sent_once(patch):
    """An order whose cancel went wrong is not cancelled again."""
    real = planner.changeable

    def once(order, rules):
        return real(order, rules) and not order.attempts

    patch(planner, "changeable", once)


@mutant("blind_cancel")
def refused_cancels_are_repeated(patch):
    """A refused cancel is tried again at once, without looking."""

    def in_doubt(s, tx):
        for client_id in tx.covers or (tx.client_id,):
            order = s.orders.working.get(client_id)
            if order is not None:
                order.cancel = order.modify = None
                if order.state in (OrderState.CANCEL_PENDING, OrderState.MODIFY_PENDING):
                    state.release(s, order)

    patch(replies, "in_doubt", in_doubt)
    patch(replies, "held_back", lambda *_: None)


# --- time, chance, progress ------------------------------------------------------------------------------------------


@mutant("replay")
def chance_from_outside(patch):
    """Jitter is not a function of the events."""
    patch(Retries, "delay_ns", lambda *_: 1000 + next(STORIES))


@mutant("timer_storm", "machine")
def deadlines_in_the_past(patch):
    """A deadline that is over is named again."""
    real = timers.next_deadline
    patch(manager, "next_deadline", lambda s: min(real(s), s.now_ns + 1000))


@mutant("targets", "machine")
def a_lost_nonce_is_never_found(patch):
    """A key that lost its counter is never asked about."""
    learn = Key.learn
    patch(Key, "learn", lambda self, *_: (self.ready, []) if self.next is not None else learn(self, *_))


@mutant("storm", first=30)
def refused_at_once_tried_at_once(patch):
    """No back-off."""
    patch(replies, "held_back", lambda *_: None)
    patch(replies, "hold_tries", lambda *_: None)
    patch(feed, "hold_back", lambda *_: None)


# --- bad input -------------------------------------------------------------------------------------------------------


@mutant("raised")
def nobody_looks_at_the_door(patch):
    """Malformed events go in as they are."""
    patch(manager, "admit", lambda s, event: event)


@mutant("nonsense")
def any_number_is_an_order(patch):
    """Types are looked at, ranges are not."""
    patch(checks, "whole", lambda value, *_: type(value) is int)


@mutant("raised", first=30)
def answers_to_what_has_not_left(patch):
    """Any answer with a number that we know is believed."""
    patch(replies, "answered", lambda s, tx_id: s.txs.pop(tx_id, None))
