"""Small parts of the engine: mailboxes, signing worker, courier, uptime, stopwatch, supervisor, alarms."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from mmlab.engine.courier import KEPT, Courier, batches
from mmlab.engine.emergency import cancel_everything
from mmlab.engine.histogram import BOUNDS_S, StageHistograms
from mmlab.engine.inbound import Inbound
from mmlab.engine.mailbox import Mailbox, Stage
from mmlab.engine.signing import SignerWorker
from mmlab.engine.stopwatch import SAMPLES, Stopwatch
from mmlab.engine.supervisor import HEALTHY_NS, Alarm, Supervisor
from mmlab.engine.uptime import Uptime
from mmlab.errors import VenueError
from mmlab.events import NO_PRICE, NS_PER_S
from mmlab.exchange import Accepted, AccountView, OrderView, Payload, Transaction, TxKind, VenueRules
from mmlab.orders import events as e
from mmlab.orders.commands import Send, Sign
from mmlab.venues.clock import LoopClock
from mmlab.venues.paper import FailingSigner, PaperSigner, SlowSigner
from mmlab.venues.virtual import run_virtual
from tests.engine.rig import Log, cut, quick, trade


def sign_of(number: int, kind: TxKind = TxKind.PLACE) -> Sign:
    return Sign(0, number, 1, kind, 0, number, number, 0, 1, 1000, 1)


# --- Mailbox ---------------------------------------------------------------------------------------------------------


def test_mailbox_keeps_order_and_drops_nothing() -> None:
    async def main() -> None:
        box: Mailbox[int] = Mailbox("test", 3)
        assert [box.put(i) for i in range(6)] == [True, True, True, False, False, False]
        assert (box.overflows, box.peak, len(box)) == (3, 6, 6)
        assert await box.take() == list(range(6))
        assert box.take_now() == []
        assert box.put(9)

    run_virtual(main())


def test_mailbox_gives_room_when_taken() -> None:
    async def main() -> list[str]:
        box: Mailbox[int] = Mailbox("test", 2)
        course: list[str] = []

        async def putter() -> None:
            for i in range(4):
                await box.room()
                box.put(i)
                course.append(f"put {i}")

        task = asyncio.create_task(putter())
        await asyncio.sleep(1)
        course.append(f"took {await box.take()}")
        await asyncio.sleep(1)
        course.append(f"took {await box.take()}")
        await task
        return course

    assert run_virtual(main()) == ["put 0", "put 1", "took [0, 1]", "put 2", "put 3", "took [2, 3]"]


def test_poke_wakes_with_nothing() -> None:
    async def main() -> list[int]:
        box: Mailbox[int] = Mailbox("test", 2)
        asyncio.get_running_loop().call_later(1, box.poke)
        return await box.take()

    assert run_virtual(main()) == []


# --- Stages ----------------------------------------------------------------------------------------------------------


async def stage_of(work: Callable[[list[int]], object]) -> tuple[Mailbox[int], Stage[int], asyncio.Task[None]]:
    box: Mailbox[int] = Mailbox("test", 10)
    stage = Stage(box, work)
    task = asyncio.create_task(stage.loop())
    await asyncio.sleep(0)
    return box, stage, task


def test_stage_works_at_once_or_in_its_task_in_order() -> None:
    async def main() -> tuple[list[list[int]], int]:
        taken: list[list[int]] = []
        box, stage, task = await stage_of(taken.append)
        box.put(1)  # its task is woken, and has not run yet
        box.lay(2)
        stage.now()
        at_once = len(taken)
        box.put(3)
        await asyncio.sleep(1)
        task.cancel()
        return taken, at_once

    assert run_virtual(main()) == ([[1, 2], [3]], 1)


def test_what_comes_while_a_stage_works_waits_for_its_task() -> None:
    async def main() -> list[list[int]]:
        taken: list[list[int]] = []

        def work(items: list[int]) -> None:
            taken.append(items)
            if len(taken) == 1:
                box.put(2)
                stage.now()

        box, stage, task = await stage_of(work)
        box.lay(1)
        stage.now()
        assert taken == [[1]]
        await asyncio.sleep(1)
        task.cancel()
        return taken

    assert run_virtual(main()) == [[1], [2]]


def test_error_of_a_stage_is_its_tasks_and_ends_it() -> None:
    async def main() -> list[list[int]]:
        taken: list[list[int]] = []

        def work(items: list[int]) -> None:
            taken.append(items)
            raise ZeroDivisionError("planted")

        box, stage, task = await stage_of(work)
        box.lay(1)
        stage.now()  # does not raise
        stage.now()  # nor works any more
        with pytest.raises(ZeroDivisionError, match="planted"):
            await task
        box.put(2)
        stage.now()
        assert len(box) == 1
        return taken

    assert run_virtual(main()) == [[1]]


# --- Signing ---------------------------------------------------------------------------------------------------------


async def signed(signer: Any, n: int, kind: TxKind = TxKind.PLACE) -> tuple[list[tuple[Sign, Any]], list[str]]:
    """Results of `n` requests in the order delivered, and the threads they were delivered in."""
    results: list[tuple[Sign, Any]] = []
    tasks: list[str] = []
    done = asyncio.Event()

    def deliver(sign: Sign, result: Any) -> None:
        results.append((sign, result))
        tasks.append("loop" if asyncio.get_running_loop() is loop else "elsewhere")
        if len(results) == n:
            done.set()

    loop = asyncio.get_running_loop()
    worker = SignerWorker(signer, deliver)
    for i in range(n):
        worker.ask(sign_of(i, kind))
    await asyncio.wait_for(done.wait(), 30)
    assert worker.waiting == 0
    worker.close()
    return results, tasks


@pytest.mark.parametrize("signer", [PaperSigner(), SlowSigner(0.0)])
@pytest.mark.parametrize("run", [asyncio.run, run_virtual])
def test_signatures_come_in_order_on_the_loop(run: Callable[[Any], Any], signer: PaperSigner) -> None:
    results, tasks = run(signed(signer, 200))
    assert [sign.tx_id for sign, _ in results] == list(range(200))
    assert all(isinstance(result, Payload) and result.transaction.nonce == sign.nonce for sign, result in results)
    assert set(tasks) == {"loop"}


@pytest.mark.parametrize("run", [asyncio.run, run_virtual])
def test_failing_signer_says_why(run: Callable[[Any], Any]) -> None:
    results, _ = run(signed(FailingSigner(0.5, seed=1), 100))
    failed = [result for _, result in results if isinstance(result, str)]
    assert 20 < len(failed) < 80
    assert set(failed) == {"SigningError: the paper signer fails by plan"}
    assert [sign.tx_id for sign, _ in results] == list(range(100))


def test_only_a_quick_signer_is_called_on_the_loop() -> None:
    async def main(signer: PaperSigner) -> tuple[bool, int]:
        results: list[Any] = []
        worker = SignerWorker(signer, lambda *result: results.append(result))
        worker.ask(sign_of(1))
        at_once = len(results)
        worker.close()
        return any(thread.name == "mmlab-signer" for thread in threading.enumerate()), at_once

    assert asyncio.run(main(PaperSigner()))[1] == 1
    assert asyncio.run(main(SlowSigner(0.01))) == (True, 0)


def test_results_of_the_thread_reach_the_loop_though_one_is_refused() -> None:
    async def main() -> tuple[list[int], int]:
        got: list[int] = []
        turns: list[int] = []

        def deliver(sign: Sign, _: Any) -> None:
            got.append(sign.tx_id)
            if sign.tx_id == 1:
                raise ZeroDivisionError("planted")

        asyncio.get_running_loop().set_exception_handler(lambda *_: None)
        worker = SignerWorker(SlowSigner(0.0), deliver, lambda: turns.append(len(got)))
        for i in range(4):
            worker.ask(sign_of(i))
        time.sleep(0.2)  # noqa: ASYNC251  the thread is done before the loop looks
        for _ in range(100):
            await asyncio.sleep(0.01)
            if len(got) == 4:
                break
        worker.close()
        return got, turns[-1]

    assert asyncio.run(main()) == ([0, 1, 2, 3], 4)


def test_slow_signer_does_not_hold_up_the_loop() -> None:
    """20 ms a signature, in its own thread: the loop's own lag stays far below it."""

    async def main() -> tuple[float, float]:
        lags: list[float] = []
        work = asyncio.create_task(signed(SlowSigner(0.02), 25))
        while not work.done():
            before = time.perf_counter()
            await asyncio.sleep(0.001)
            lags.append(time.perf_counter() - before - 0.001)
        await work
        return float(np.median(lags)), len(lags)

    lag_s, n = asyncio.run(main())
    assert n > 100
    assert lag_s < 0.005


def test_market_is_heard_in_time_while_signing_is_slow() -> None:
    """A whole session in real time: from rows in hand to a decision, signing takes no part."""
    outcome = asyncio.run(
        trade(cut(300, 350), quick(), signer=SlowSigner(0.02), speed=10.0, duration_s=45.0)
    )  # fmt: skip
    table = outcome.engine.stopwatch.percentiles_us()
    assert table["sign"]["n"] > 10
    assert table["sign"]["p50"] > 20_000
    assert table["decide"]["p50"] < 10_000
    assert outcome.truth.orders == ()
    assert outcome.truth.violations == ()


# --- Courier ---------------------------------------------------------------------------------------------------------


class Stub:
    """What a courier and an emergency need of a venue."""

    signer = PaperSigner()
    name = "stub"

    def __init__(self, views: list[Any] | None = None, rules: VenueRules | None = None) -> None:
        self.sent: list[Transaction] = []
        self.views, self.rules = views or [], rules or VenueRules(flight_ns=2 * NS_PER_S)
        self.clock = LoopClock(0)
        self.asked: list[int] = []

    def send(self, payload: Payload) -> asyncio.Future[Any]:
        self.sent.append(payload.transaction)
        reply = asyncio.get_running_loop().create_future()
        reply.set_result(Accepted())
        return reply

    async def view(self, since: int) -> Any:
        self.asked.append(self.clock.now_ns())
        view = self.views.pop(0) if len(self.views) > 1 else self.views[0]
        if isinstance(view, Exception):
            raise view
        if view == "hang":
            await asyncio.Event().wait()
        return view

    async def nonce(self, key: int) -> int:
        return 40


async def courier_of(barred: str = "") -> tuple[Courier, Stub, list[e.AnyEvent], Log]:
    venue, events, log = Stub(), list[e.AnyEvent](), Log()
    courier = Courier(venue, Inbound(lambda *_: None), lambda: 7, events.append, lambda: barred, log)  # type: ignore[arg-type]
    return courier, venue, events, log


def test_what_was_never_signed_is_not_sent() -> None:
    async def main() -> None:
        courier, venue, events, log = await courier_of()
        courier.send(Send(0, 5, 1))
        courier.sign(sign_of(6))
        courier.send(Send(0, 6, 2))  # another round than was signed
        await asyncio.sleep(0)
        assert [type(event) for event in events] == [e.SendFailed, e.Signed, e.SendFailed]
        assert not courier.outbox.take_now()
        assert venue.sent == []
        assert len(log.of("no_payload")) == 2

    run_virtual(main())


def test_payloads_never_asked_for_are_forgotten() -> None:
    async def main() -> None:
        courier, _, events, _ = await courier_of()
        for i in range(KEPT + 50):
            courier.sign(sign_of(i))
        courier.send(Send(0, 0, 1))
        assert isinstance(events[-1], e.SendFailed)
        courier.send(Send(0, KEPT + 49, 1))
        assert len(courier.outbox.take_now()) == 1
        assert len(courier._payloads) < KEPT
        assert len(courier._asked_ns) <= KEPT

    run_virtual(main())


@pytest.mark.parametrize("kind", list(TxKind))
def test_barred_means_nothing_risky_leaves(kind: TxKind) -> None:
    async def main() -> None:
        courier, venue, events, _ = await courier_of("halted")
        loop = asyncio.ensure_future(courier.sender.loop())
        courier.sign(sign_of(1, kind))
        courier.send(Send(0, 1, 1))
        courier.flush()
        await asyncio.sleep(1)
        loop.cancel()
        risky = kind in (TxKind.PLACE, TxKind.MODIFY)
        assert len(venue.sent) == (not risky)
        assert isinstance(events[-1], e.SendFailed if risky else e.Ack)

    run_virtual(main())


# --- Emergency -------------------------------------------------------------------------------------------------------

OURS, FOREIGN = OrderView(7, 70, 1, 1000, 5), OrderView(8, 80, -1, 1001, 5)
FULL, EMPTY = AccountView((OURS, FOREIGN), (), 0, 0, ()), AccountView((FOREIGN,), (), 0, 0, ())
PART = AccountView((FOREIGN,), (), 0, 0, (), complete=False)


@pytest.mark.parametrize(
    ("views", "left"),
    [
        ([EMPTY], 0),
        ([FULL, EMPTY], 0),
        ([EMPTY, FULL, EMPTY], 0),  # what was on its way landed after the first view
        ([VenueError("no"), "hang", FULL, PART, EMPTY], 0),
        ([FULL], 1),
        ([PART], -1),
        ([VenueError("no")], -1),
        (["hang"], -1),
    ],
)
def test_emergency_ends_only_with_proof(views: list[Any], left: int) -> None:
    async def main() -> None:
        venue = Stub(list(views))
        assert await cancel_everything(venue, lambda client_id: client_id == 7) == left  # type: ignore[arg-type]
        assert all(tx.kind == TxKind.CANCEL and tx.client_id == 7 and tx.nonce == 40 for tx in venue.sent)
        assert bool(venue.sent) == (FULL in views)
        assert venue.asked[-1] >= venue.rules.flight_ns

    run_virtual(main())


# --- Time ------------------------------------------------------------------------------------------------------------


def test_uptime_counts_what_was_shown() -> None:
    uptime, s = Uptime(), NS_PER_S
    uptime.book(1 * s, (100, 101), valid=True)
    uptime.shown(1 * s, (100, NO_PRICE))
    uptime.shown(3 * s, (99, 101))  # 2 s at the bid's best
    uptime.book(4 * s, (98, 101), valid=True)  # 1 s behind it; now better than the best
    uptime.book(6 * s, (98, 101), valid=False)
    uptime.shown(7 * s, (NO_PRICE, NO_PRICE))
    assert uptime.shares(8 * s) == [6.0, 4.0, 4.0, 3.0]
    assert uptime.valid_ns == 5 * s
    assert uptime.shares(9 * s) == [0.0] * 4


def test_stopwatch_keeps_the_newest() -> None:
    watch = Stopwatch()
    for i in range(SAMPLES + 10):
        watch.add("sign", i * 1000)
    assert watch.counts["sign"] == SAMPLES + 10
    assert watch.samples("sign").size == SAMPLES
    assert watch.samples("sign").min() == 10_000
    table = watch.percentiles_us()
    assert set(table) == {"sign"}
    assert table["sign"]["max"] == SAMPLES + 9
    assert table["sign"]["p50"] == pytest.approx(10 + (SAMPLES - 1) / 2)


def test_histograms_count_all_even_where_nobody_looks() -> None:
    watch = Stopwatch()
    histograms = StageHistograms(watch)
    rng = np.random.default_rng(4)
    durations_ns = [25_000, 25_001, 10**10, *rng.integers(0, 2 * 10**9, 2 * SAMPLES).tolist()]
    for n, duration_ns in enumerate(durations_ns):
        watch.add("sign", duration_ns)
        if n % 1000 == 0:
            histograms.keep_up()
    seen = histograms.table()
    bounds_s = [*BOUNDS_S, np.inf]
    expected = [sum(ns <= round(bound * 1e9) for ns in durations_ns) for bound in BOUNDS_S] + [len(durations_ns)]
    assert [n for _, n in seen["sign"]["buckets"]] == expected
    assert [float(bound) for bound, _ in seen["sign"]["buckets"]] == bounds_s
    assert seen["sign"]["sum"] == pytest.approx(sum(durations_ns) / 1e9)
    assert seen["lag"]["buckets"][-1] == ("+Inf", 0)


def test_alarm_rings_once_at_the_time_set_last() -> None:
    async def main() -> list[int]:
        clock, rings = LoopClock(0), list[int]()
        alarm = Alarm(clock, lambda: rings.append(clock.now_ns()))
        alarm.set(5 * NS_PER_S)
        alarm.set(3 * NS_PER_S)
        await clock.sleep_until(10 * NS_PER_S)
        alarm.set(12 * NS_PER_S)
        alarm.set(None)
        await clock.sleep_until(20 * NS_PER_S)
        return rings

    assert run_virtual(main()) == [3 * NS_PER_S]


def test_a_task_that_ran_long_begins_a_new_row_of_restarts() -> None:
    """It fails for ever, each time after a healthy while: never given up. Failing at once: given up."""

    async def main(healthy: bool) -> tuple[int, list[str], int]:
        clock, gave_up = LoopClock(0), list[str]()
        supervisor = Supervisor(clock, Log(), gave_up.append)

        async def loop() -> None:
            await clock.sleep_until(clock.now_ns() + (HEALTHY_NS + 1 if healthy else 1))
            raise ConnectionError("planted")

        supervisor.start("test", loop, restart=True)
        await clock.sleep_until(200 * HEALTHY_NS)
        await supervisor.end()
        return supervisor.deaths, gave_up, clock.now_ns()

    deaths, gave_up, _ = run_virtual(main(healthy=True))
    assert deaths > 150
    assert gave_up == []
    deaths, gave_up, _ = run_virtual(main(healthy=False))
    assert deaths == 100
    assert gave_up == ["task test died"]


def test_payloads_of_a_key_leave_together_in_order() -> None:
    def one(tx_id: int, key: int, nonce: int) -> tuple[int, Payload]:
        return tx_id, Payload(Transaction(TxKind.PLACE, key, nonce))

    leaving = [one(1, 4, 10), one(2, 5, 7), one(3, 4, 11), one(4, 4, 13), one(5, 4, 14), one(6, 4, 15), one(7, 5, 8)]
    assert [[tx_id for tx_id, _ in batch] for batch in batches(leaving, 2)] == [[1, 3], [2, 7], [4, 5], [6]]
    assert batches(leaving, 1) == [[one] for one in leaving]
