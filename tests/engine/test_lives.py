"""Start, reconnect and recovery are one path: orders of earlier lives, positions found, orders of others."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

import mmlab
from mmlab.engine.engine import Engine
from mmlab.events import ASK, BID, GATE, Switch, TargetFlag
from mmlab.exchange import Transaction, TxKind, VenueRules
from mmlab.orders.ids import pack, slot_code, unpack
from mmlab.venues.paper import FaultPlan
from mmlab.venues.virtual import run_virtual
from tests.engine.rig import Outcome, Watched, at, cut, kinds, quick, sample, trade

OTHERS = (77, pack(1, 5, slot_code(BID, 0, 0), 0))
"""Client ids of another program, and of another instance of this one."""
IOC = int(TargetFlag.IOC)


def far_price(feed: mmlab.Feed, side: int) -> int:
    """A price 1 % away from the market on a side."""
    return round(feed.instrument.to_ticks(sample()[1].mid) * (1 - 0.01 * side))


def order_of_others(venue: Watched, nonce: int, client_id: int, side: int, price: int, lots: int, flags: int) -> None:
    """Somebody else sends an order, before our first life begins."""
    tx = Transaction(TxKind.PLACE, 0, nonce, client_id, 0, side, price, lots, flags)
    venue.clock.call_at(venue.clock.now_ns(), lambda: venue.send(venue.signer.sign(tx)))


async def crash(engine: Engine, seconds: float) -> None:
    """The engine is gone from one instant to the next."""
    await at(engine, seconds)
    engine._shut_down = engine.supervisor.end  # type: ignore[method-assign]
    engine.stop("crash")


class NoCancelAll(Watched):
    """A venue without a transaction that cancels everything."""

    def _rules(self) -> VenueRules:
        return msgspec.structs.replace(super()._rules(), cancel_all=False)


def two_lives(
    feed: mmlab.Feed, crash_s: float, config: mmlab.Config, kind: type[Watched] = NoCancelAll, **options: Any
) -> tuple[Outcome, Outcome]:
    """Orders of others, a life that crashes, and one after it on the same venue."""

    async def main() -> tuple[Outcome, Outcome]:
        venues: list[Watched] = []

        def make(*args: Any, **given: Any) -> Watched:
            venues.append(kind(*args, **given))
            for nonce, side in enumerate((BID, ASK)):
                order_of_others(venues[0], nonce, OTHERS[nonce], side, far_price(feed, side), 20, 1)
            return venues[0]

        first = await trade(feed, config, make=make, script=lambda engine: crash(engine, crash_s), **options)
        assert first.ended == "crash"
        return first, await trade(feed, config, venue=venues[0], seed=1)

    return run_virtual(main())


def check_second(second: Outcome) -> None:
    """Only orders of others are left, as they were; everybody agrees on the position."""
    assert {order.client_id for order in second.truth.orders} == set(OTHERS)
    assert all(order.filled_lots == 0 and order.size_lots == 20 for order in second.truth.orders)
    assert second.truth.violations == ()
    assert second.kernel_lots == second.truth.position_lots == second.engine.manager.position_lots
    assert not second.deaths
    assert second.ended == "end of feed"
    second.check_reproduced()


@pytest.mark.parametrize("crash_s", [50.0, 50.007, 63.5])
@pytest.mark.parametrize("rungs", [1, 4])
def test_second_life_takes_over_what_the_first_left(crash_s: float, rungs: int) -> None:
    first, second = two_lives(cut(300, 420), crash_s, quick(strategy__rungs=rungs))
    ours = {order.client_id for order in first.truth.orders} - set(OTHERS)
    assert ours, "the first life left nothing: the test proves nothing"
    assert second.engine.manager.state.counts["stray"] >= 1
    assert second.engine.manager.state.counts["foreign_order"] >= 2
    check_second(second)
    parts = [unpack(client_id) for client_id in ours]
    assert all(part is not None and part.session < second.engine.manager.state.ids.session for part in parts)
    if first.truth.position_lots:
        adopted = [line["lots"] for line in second.log.of("position_adopted")]
        assert adopted == [first.truth.position_lots]


def test_cancel_all_spares_orders_of_others() -> None:
    _, second = two_lives(cut(300, 420), 50.0, quick(), Watched)
    check_second(second)


def test_lives_under_faults() -> None:
    plan = FaultPlan(
        seed=3, until_s=100, lose_send=0.03, drop_ack=0.05, drop_update=0.05, reorder_send=0.05, latency_cap_ms=300,
        split_fill=0.3, fail_view=0.1, partial_view=0.1, disconnects_per_min=2, skip_nonce=0.02, unclear_ack=0.05,
    )  # fmt: skip
    _, second = two_lives(cut(600, 740), 55.0, quick(strategy__rungs=2), faults=plan)
    check_second(second)


@pytest.mark.parametrize("side", [BID, ASK])
@pytest.mark.parametrize("delay_ms", [0.0, 3000.0])
def test_position_at_the_start_is_adopted(side: int, delay_ms: float) -> None:
    """At the market's price, so that it is no profit; also when the account is known before the first book."""
    feed = cut(300, 360)

    async def main() -> Outcome:
        def make(*args: Any, **given: Any) -> Watched:
            venue = Watched(*args, **given)
            order_of_others(venue, 0, 77, side, far_price(feed, -side), 30, IOC)
            return venue

        async def script(engine: Engine) -> None:
            await at(engine, 3.5)
            assert engine.manager.position_lots == side * 30
            assert int(engine.decider.state[0]["account"]["position_lots"]) == side * 30

        faults = FaultPlan(market_delay_ms=delay_ms, entry_ms=1.0)
        return await trade(feed, quick(), make=make, script=script, faults=faults)

    outcome = run_virtual(main())
    outcome.check_settled()
    assert [line["lots"] for line in outcome.log.of("position_adopted")] in ([side * 30], [])
    assert abs(float(outcome.engine.decider.state[0]["net"])) < 5.0  # of 1,800 held
    losses = {Switch.LOSS, Switch.DRAWDOWN, Switch.LOSING}
    assert not losses & set(outcome.table("gates", GATE)["switch"].tolist())
    outcome.check_reproduced()


def test_reconnects_beyond_the_limit_halt_and_then_go_on() -> None:
    """`link`: every lost link halts; too many in a minute halt for `halt_s`."""
    plan = FaultPlan(seed=1, until_s=60, disconnects_per_min=40, disconnect_s=0.05)
    outcome = run_plain(cut(300, 420), quick(kill__losing__halt_s=20.0), plan)
    outcome.check_settled()
    trips = [line for line in outcome.log.of("switch") if line["switch"] == "link"]
    assert any(line["detail"] == "reconnects a minute" for line in trips)
    assert kinds(outcome.venue)["place"] > 2
    assert outcome.venue.risky_after(outcome.engine.clock.origin_ns + 90 * 10**9)  # type: ignore[attr-defined]


def run_plain(feed: mmlab.Feed, config: mmlab.Config, faults: FaultPlan) -> Outcome:
    return run_virtual(trade(feed, config, faults=faults))


def test_two_engines_share_nothing() -> None:
    """Side by side on two venues in one loop: each as if it were alone."""

    async def both() -> list[Outcome]:
        return list(await asyncio.gather(*(trade(cut(300, 345), quick()) for _ in range(2))))

    alone = run_plain(cut(300, 345), quick(), FaultPlan())
    for outcome in run_virtual(both()):
        assert outcome.truth == alone.truth
