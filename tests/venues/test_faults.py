"""Each fault of the plan happens as often as asked, and does what it says; nothing else does."""

from __future__ import annotations

import re
from collections import Counter
from functools import cache

import numpy as np
import pytest

import mmlab
from mmlab.errors import ConfigError, VenueError
from mmlab.events import EVENT, NS_PER_MS, NS_PER_S, Kind
from mmlab.exchange import (
    Accepted,
    AccountView,
    FillUpdate,
    Linked,
    Message,
    NotSent,
    OrderUpdate,
    PositionUpdate,
    Rejected,
    Unanswered,
    Unlinked,
)
from mmlab.venues.paper import Code, FaultPlan
from tests.simulator.tapes import Feed
from tests.venues.helpers import BID, CANCEL, PLACE, POST_ONLY, Client, Heard, market, scripted, session
from tests.venues.test_market_feed import best
from tests.venues.test_paper import conserved, refusals

SECONDS = 60.0
NAN = float("nan")


@cache
def without_faults() -> Heard:
    """The session that all others are compared with."""
    return with_faults()


def with_faults(**plan) -> Heard:
    return session(FaultPlan(**{"seed": 11, **plan}), SECONDS)


def about(n: int, share: float, of: int) -> bool:
    """Whether `n` of `of` is a likely number of events of this share (5 standard deviations)."""
    return abs(n - share * of) <= 5 * np.sqrt(of * share * (1 - share)) + 1


def test_wrong_values_are_all_named():
    with pytest.raises(ConfigError) as wrong:
        FaultPlan(drop_ack=1.5, entry_ms=-1, seed="x", rejects={77: 0.1}, disconnect_s=0, no_such=1, until_s=NAN)
    for name in ("drop_ack = 1.5", "entry_ms = -1", "seed = 'x'", "rejects", "disconnect_s = 0", "no_such", "until_s"):
        assert name in str(wrong.value)


@pytest.mark.parametrize("rejects", [{77: 0.1}, {9: 1.1}, {9: -0.1}, {9: 0.6, 5: 0.6}, {9: "often"}, 9, {9: NAN}])
def test_wrong_rejects(rejects):
    with pytest.raises(ConfigError, match="9: 'BUSY'"):
        FaultPlan(rejects=rejects)


def test_every_fault_is_explained():
    text = FaultPlan.__doc__.split("Raises")[0]
    assert [name for name in FaultPlan.model_fields if not re.search(rf"\b{name}\b.*:|\b{name},", text)] == []


def test_a_plan_is_frozen_and_at_the_front_door():
    plan = mmlab.venues.paper.FaultPlan(drop_ack=0.1, disconnects_per_min=1, seed=7)
    with pytest.raises(Exception, match="frozen"):
        plan.drop_ack = 0.2
    assert FaultPlan(**plan.model_dump()) == plan


def test_lost_sends_never_arrive():
    heard = with_faults(lose_send=0.2)
    lost = set(range(len(heard.sent))) - set(heard.replies)
    assert about(len(lost), 0.2, len(heard.sent))
    assert heard.truth.counts["lose_send"] == len(lost)
    shown = {m.order.client_id for m in heard.messages(OrderUpdate)}
    placed = {n: tx.client_id for n, (_, tx) in enumerate(heard.sent) if tx.kind == PLACE}
    assert shown == {client_id for n, client_id in placed.items() if n not in lost and n not in refusals(heard)}


def test_dropped_acks_leave_their_effect():
    heard = with_faults(drop_ack=0.3)
    silent = set(range(len(heard.sent))) - set(heard.replies)
    assert about(len(silent), 0.3, len(heard.sent))
    conserved_orders = {m.order.client_id for m in heard.messages(OrderUpdate)}
    assert {heard.sent[n][1].client_id for n in silent if heard.sent[n][1].kind == PLACE} <= conserved_orders


def test_duplicated_and_unclear_acks():
    heard = with_faults(duplicate_ack=0.3, unclear_ack=0.2)
    assert about(heard.truth.counts["duplicate_ack"], 0.3, len(heard.sent))
    unclear = heard.answered(Unanswered)
    assert about(len(unclear), 0.2, len(heard.sent))
    conserved(heard)


def test_reordered_acks_are_overtaken():
    heard = with_faults(reorder_ack=0.2, latency_cap_ms=500)
    order = [n for n, _ in sorted(heard.replies.items(), key=lambda item: item[1][0])]
    assert order != sorted(order)
    late = [latency for latency in heard.latency_ms() if latency > 10.0]
    assert about(len(late), 0.2, len(heard.sent))
    assert max(late) <= 510.0


def test_lost_twice_and_overtaken_updates():
    clean = without_faults()
    n = len(clean.account) - 1
    lost = with_faults(drop_update=0.2)
    assert about(lost.truth.counts["drop_update"], 0.2, n)
    assert len(lost.account) == len(clean.account) - lost.truth.counts["drop_update"]
    assert lost.truth.trades == clean.truth.trades
    twice = with_faults(duplicate_update=0.2)
    assert len(twice.account) == len(clean.account) + twice.truth.counts["duplicate_update"]
    assert max(Counter(m.fill.trade_id for m in twice.messages(FillUpdate)).values()) == 2
    moved = with_faults(reorder_update=0.3, latency_cap_ms=400)
    end_ns = clean.account[-1][0] - NS_PER_S  # the last ones were still on their way
    updates = [sorted(repr(m) for m in h.messages(OrderUpdate) if m.exch_ns < end_ns) for h in (moved, clean)]
    assert updates[0] == updates[1]
    assert falling(moved) > 0
    assert falling(clean) == falling(lost) == falling(twice) == 0


def falling(heard: Heard) -> int:
    """How often an order's update is older than one heard before, or a trade."""
    newest: dict = {}
    n = 0
    for message in heard.messages(OrderUpdate):
        n += message.order.seq < newest.get(message.order.client_id, 0)
        newest[message.order.client_id] = max(message.order.seq, newest.get(message.order.client_id, 0))
    return n


def test_spread_latency_keeps_order_and_its_cap():
    heard = with_faults(entry_spread_ms=20, response_spread_ms=20, latency_cap_ms=60)
    latencies = np.array(heard.latency_ms())
    assert latencies.min() >= 10
    assert 30 < latencies.mean() < 70
    assert latencies.max() <= 10 + 2 * 60
    assert falling(heard) == 0
    order = [n for n, _ in sorted(heard.replies.items(), key=lambda item: item[1][0]) if heard.sent[n][1].key == 0]
    assert len(set(latencies)) > 100
    assert order == sorted(order)


@pytest.mark.parametrize("fault", [{}, {"entry_spread_ms": 50.0}, {"reorder_send": 0.3}])
def test_flight_bounds_what_a_payload_takes(fault):
    took = []

    async def script(client: Client) -> None:
        arrive = client.venue._arrive

        def watched(at_ns, data, reply, epoch):
            took.append(at_ns - sent[data])
            arrive(at_ns, data, reply, epoch)

        client.venue._arrive = watched
        sent: dict = {}
        for n in range(300):
            await client.until_ms(10 + n)
            client.send(PLACE, n + 1, BID, 990, 5, POST_ONLY, nonce=n)
            sent[client.venue.signer.sign(client.heard.sent[-1][1]).data] = client.venue.clock.now_ns()
        await client.until_ms(3000)
        assert max(took) <= client.venue.rules.flight_ns

    heard = scripted(Feed().book().wait(4000), script, FaultPlan(latency_cap_ms=200, **fault), places=300)
    assert len(took) == 300
    assert (max(took) > 100 * NS_PER_MS) == bool(fault)
    assert bool(refusals(heard)) == ("reorder_send" in fault)


def test_rejects_by_code():
    heard = with_faults(rejects={Code.BUSY: 0.1, Code.SUSPENDED: 0.05, Code.BAD_NONCE: 0.1})
    codes = Counter(refusals(heard).values())
    n = len(heard.sent)
    assert about(codes[Code.BUSY], 0.1, n)
    assert about(codes[Code.SUSPENDED], 0.05 * 0.9, n)
    assert about(codes[Code.BAD_NONCE], 0.1 * 0.95 * 0.9, n)
    burned = sum(heard.truth.nonces.values())
    assert burned == len(heard.answered(Accepted))
    conserved(heard)


def test_skipped_nonces_leave_gaps():
    heard = with_faults(skip_nonce=0.1)
    accepted = [heard.sent[n][1].nonce for n, (_, r) in heard.replies.items() if isinstance(r, Accepted)]
    assert about(heard.truth.counts["skip_nonce"], 0.1, len(accepted))
    assert sum(heard.truth.nonces.values()) == len(accepted) + heard.truth.counts["skip_nonce"]

    async def script(client: Client) -> None:
        await client.until_ms(10)
        client.send(PLACE, 1, BID, 990, 5, POST_ONLY, nonce=0)
        client.send(PLACE, 2, BID, 990, 5, POST_ONLY, nonce=1)
        await client.until_ms(50)
        assert await client.venue.nonce(0) == 2

    assert refusals(scripted(Feed().book().wait(200), script, FaultPlan(skip_nonce=1))) == {1: Code.BAD_NONCE}


def test_accepted_then_failed_burns_a_nonce():
    heard = with_faults(fail_accepted=0.2)
    n = sum(isinstance(r, Accepted) for _, r in heard.replies.values())
    assert about(heard.truth.counts["fail_accepted"], 0.2, n)
    assert sum(heard.truth.nonces.values()) == n
    failed = [m.order for m in heard.messages(OrderUpdate) if m.order.status == "rejected" and m.order.reason == 0]
    assert len(failed) > 20
    assert {o.seq for o in failed} == {1}
    conserved(heard)


def test_split_fills_add_up():
    clean, split = without_faults(), with_faults(split_fill=1.0)
    assert len(split.truth.trades) > 1.5 * len(clean.truth.trades)
    assert split.truth.position_lots == clean.truth.position_lots
    assert split.truth.fees == pytest.approx(clean.truth.fees)
    conserved(split)


def test_views_fail_are_slow_or_partial():
    heard = with_faults(fail_view=0.3)
    assert 0 < sum(isinstance(view, VenueError) for view in heard.views) < len(heard.views)

    async def script(client: Client) -> None:
        await client.until_ms(10)
        for n in range(4):
            client.send(PLACE, n + 1, BID, 990 + n, 5, POST_ONLY, nonce=n)
        await client.until_ms(30)
        view = await client.view()
        assert not view.complete
        assert len(view.orders) == 2
        assert client.venue.clock.now_ns() == client.venue._market._events["exch_ns"][0] + (30 + 10 + 700) * NS_PER_MS

    scripted(Feed().book(levels=15).wait(2000), script, FaultPlan(partial_view=1, slow_view=1, slow_view_ms=700))


def test_disconnects_cut_account_and_sender():
    heard = with_faults(disconnects_per_min=12, disconnect_s=2, seed=1, response_ms=400)
    links = heard.messages(Linked) + heard.messages(Unlinked)
    assert heard.truth.counts["disconnect"] > 4
    order = [(type(m).__name__, m.epoch) for _, m in heard.account if isinstance(m, Linked | Unlinked)]
    n = len(heard.messages(Linked))
    expected = [(name, epoch) for epoch in range(1, n + 1) for name in ("Linked", "Unlinked")]
    assert order == expected[: len(links)]
    down = False
    for _, message in heard.account:
        assert not down or isinstance(message, Linked)
        down = isinstance(message, Unlinked)
    assert len(heard.answered(NotSent)) > 20
    assert heard.truth.counts["update_while_down"] > 0
    assert heard.truth.counts["update_lost_with_link"] > 0
    assert np.array_equal(np.concatenate(heard.rows)["exch_ns"], market().events["exch_ns"][: heard.events.size])


def test_what_is_on_its_way_at_a_cut_arrives_or_not():
    outcomes = Counter()

    async def script(client: Client) -> None:
        await client.until_ms(10)
        for n in range(40):
            client.send(PLACE, n + 1, BID, 990, 5, POST_ONLY, nonce=n)
        await client.until_ms(12)
        client.venue._outage_begins(client.venue.clock.now_ns(), "disconnect")
        await client.until_ms(13)
        outcomes.update(type(reply).__name__ for _, reply in client.heard.replies.values())
        with pytest.raises(VenueError):
            await client.venue.view(0)
        client.venue._outage_ends(client.venue.clock.now_ns(), "disconnect")
        await client.until_ms(60)

    heard = scripted(Feed().book().wait(2000), script)
    assert outcomes == {"Unanswered": 40}
    lost = heard.truth.counts["lost_with_link"]
    assert 8 < lost < 32
    assert heard.truth.counts["refused_bad_nonce"] + len(heard.truth.orders) == 40 - lost
    assert heard.messages(OrderUpdate) == [] or heard.messages(Linked)[-1].epoch == 2


def test_market_disconnects_are_gaps_healed_by_snapshots():
    heard = with_faults(market_disconnects_per_min=12, seed=1)
    events = heard.events
    gaps = np.flatnonzero(events["kind"] == Kind.GAP)
    assert heard.truth.counts["market_disconnect"] == gaps.size > 4
    healed = [gap for gap in gaps if gap + 1 < events.size]
    assert all(events["kind"][gap + 1] == Kind.SNAPSHOT_BEGIN for gap in healed)
    assert heard.messages(Unlinked) == []
    assert (np.diff(events["local_ns"]) >= 0).all()
    original = market().events
    end = np.searchsorted(original["local_ns"], events["local_ns"][-1], "right")
    assert best(events) == best(original[:end])
    conserved(heard)


def test_stale_feeds_are_silent_while_orders_live_on():
    heard, clean = with_faults(stales_per_min=6, stale_s=6, seed=1), without_faults()
    longest_s = [float(np.diff(h.row_ns).max()) / NS_PER_S for h in (heard, clean)]
    assert longest_s[0] > 4
    assert longest_s[1] < 1
    assert np.array_equal(heard.events["exch_ns"], clean.events["exch_ns"][: heard.events.size])
    assert heard.messages(Unlinked) == []
    conserved(heard)


def test_restarts_cut_everything():
    heard = with_faults(restarts_per_min=4, restart_s=3, seed=2)
    n = heard.truth.counts["restart"]
    assert n >= 2
    assert len(heard.messages(Unlinked)) == n
    assert (heard.events["kind"] == Kind.GAP).sum() == n
    told_open = {m.order.client_id for m in heard.messages(OrderUpdate) if m.order.status == "open"}
    told_over = {m.order.client_id for m in heard.messages(OrderUpdate) if m.order.status != "open"}
    assert told_open - told_over - {o.client_id for o in heard.truth.orders}  # canceled, and nobody said so


@pytest.mark.parametrize("cancels", [True, False])
def test_a_restart_loses_what_arrives(cancels):
    async def script(client: Client) -> None:
        await client.until_ms(10)
        client.send(PLACE, 1, BID, 990, 5, POST_ONLY, nonce=0)
        await client.until_ms(30)
        client.send(PLACE, 2, BID, 990, 5, POST_ONLY, nonce=1)
        await client.until_ms(32)
        client.venue._outage_begins(client.venue.clock.now_ns(), "restart")
        await client.until_ms(50)
        client.venue._outage_ends(client.venue.clock.now_ns(), "restart")
        view = await client.view()
        assert [order.client_id for order in view.orders] == [1] * (not cancels)
        assert dict(view.nonces)[0] == 1

    heard = scripted(Feed().book().wait(2000), script, FaultPlan(restart_cancels=cancels))
    assert heard.truth.counts["lost_with_link"] == 1


def test_the_rate_limit_is_a_token_bucket():
    async def script(client: Client) -> None:
        assert client.venue.rules.rate.capacity == (0 if client.venue.faults.rate_told is False else 4)
        for n in range(10):  # a burst
            await client.until_ms(10 + n)
            client.send(PLACE, n + 1, BID, 990, 5, POST_ONLY)
        for n in range(10, 20):  # exactly the rate
            await client.until_ms(2010 + 200 * n)
            client.send(PLACE, n + 1, BID, 990, 5, POST_ONLY)
        await client.until_ms(9000)

    for told in (True, False):
        plan = FaultPlan(rate_capacity=4, rate_refill=5, rate_told=told, entry_ms=0)
        heard = scripted(Feed().book().wait(9000), script, plan)
        assert refusals(heard) == dict.fromkeys(range(4, 10), Code.RATE_LIMITED)
        waits = [reply.retry_after_ns / NS_PER_MS for _, reply in heard.replies.values() if isinstance(reply, Rejected)]
        assert waits == pytest.approx([200 - n for n in range(4, 10)])
        conserved(heard)


def test_the_volume_quota_is_spent_and_earned():
    feed = Feed().book(lots=1).wait(20).trade(60, -1, 999, 8).wait(500)

    async def script(client: Client) -> None:
        for n, ms in enumerate((10, 20, 30, 80)):
            await client.until_ms(ms)
            client.send(PLACE, n + 1, BID, 999, 3, POST_ONLY)
        await client.until_ms(100)
        client.send(CANCEL, 4, key=2)
        assert (await client.view()).quota_left == 1
        await client.until_ms(150)

    heard = scripted(feed, script, FaultPlan(quota=2, quota_earn_tick_lots=999 * 3))
    assert refusals(heard) == {2: Code.NO_QUOTA}
    assert [r.quota_left for r in heard.answered(Accepted)] == [1, 0, 1, 1]


def test_nonsense_comes_on_every_path_and_changes_nothing():
    clean = without_faults()
    heard = with_faults(junk_market=0.01, junk_account=0.2, junk_reply=0.3, junk_view=0.7)
    counts = heard.truth.counts
    assert heard.truth.trades == clean.truth.trades
    assert min(counts[name] for name in ("junk_market", "junk_account", "junk_reply", "junk_view")) > 10
    true = (OrderUpdate, FillUpdate, PositionUpdate, Linked)
    assert len(heard.account) == len(clean.account) + counts["junk_account"]
    assert any(not isinstance(message, Message) for _, message in heard.account)
    well_typed = {repr(m) for _, m in heard.account if isinstance(m, true)} - {repr(m) for _, m in clean.account}
    assert len(well_typed) > 5
    assert sum(not isinstance(r, Accepted | Rejected) for _, r in heard.replies.values()) > 10
    assert sum(not isinstance(view, AccountView) for view in heard.views) > 0
    bad_rows = [rows for rows in heard.rows if rows.size == 1 and impossible(rows[0])]
    assert len(bad_rows) + len(heard.odd) == counts["junk_market"]
    assert len(bad_rows) > 2
    assert any(isinstance(item, np.ndarray) and item.dtype != EVENT for item in heard.odd)


def impossible(row: np.void) -> bool:
    """Whether no venue can mean this."""
    return (
        row["kind"] > Kind.EXECUTE or (row["kind"] == Kind.DEPTH and abs(row["side"]) != 1)
        or not 0 <= row["size_lots"] < 1 << 60 or not 0 <= row["price_ticks"] < 1 << 60
        or not 0 < row["local_ns"] < 1 << 62
    )  # fmt: skip
