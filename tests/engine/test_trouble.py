"""What is broken inside or beside the engine: nothing that opens risk leaves after a trip, the book ends up empty."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

import mmlab
from mmlab.engine.engine import Engine
from mmlab.engine.signing import SignerWorker
from mmlab.errors import SigningError
from mmlab.events import BID, Switch
from mmlab.exchange import Payload, PositionUpdate, Status, Transaction, TxKind
from mmlab.lab.backtesting import load_run
from mmlab.lab.verify import verify_decisions
from mmlab.orders import events as e
from mmlab.venues.paper import PaperSigner, SlowSigner
from tests.engine.rig import RISKY, Outcome, Watched, at, cut, holding, play, quick, trade

LATER_S = 50.0
"""When things are broken: quotes rest by then."""
BEGIN_S, END_S = 300, 380


def feed() -> mmlab.Feed:
    return cut(BEGIN_S, END_S)


def trip_ns(outcome: Outcome) -> int:
    """When the engine's switch tripped that ended the session."""
    return int(next(line["ts_ns"] for line in outcome.log.of("switch") if line["switch"] in ("task", "manual")))


def check_safe(outcome: Outcome, ended: str) -> None:
    """Nothing risky after the trip, none of ours at the venue, and it says why."""
    assert outcome.venue.risky_after(0), "nothing was ever placed: the test proves nothing"
    assert outcome.venue.risky_after(trip_ns(outcome)) == []
    assert outcome.truth.orders == ()
    assert ended in outcome.ended
    assert not outcome.log.of("order_manager_failed") or "order manager failed" in outcome.ended


def break_handle(engine: Engine, when: Callable[[object], bool]) -> None:
    """The order manager raises on some events."""
    whole = engine.manager.handle

    def handle(event: e.AnyEvent) -> Any:
        if when(event):
            raise ZeroDivisionError("planted")
        return whole(event)

    engine.manager.handle = handle  # type: ignore[method-assign]


# --- Kill switches though cancelling is broken -----------------------------------------------------------------------


def test_order_manager_that_fails_on_kill() -> None:
    async def script(engine: Engine) -> None:
        break_handle(engine, lambda event: isinstance(event, e.Kill))
        await at(engine, LATER_S)
        engine.kill("by hand")

    outcome = play(feed(), script=script)
    check_safe(outcome, "order manager failed on Kill")
    assert outcome.log.of("emergency_cancel")[0]["left"] == 0


@pytest.mark.parametrize("gate", [True, False])
def test_order_manager_that_is_deaf_to_kill(gate: bool) -> None:
    """It goes on quoting; the last gate before the venue does not let it. Without that gate these tests would see."""

    async def script(engine: Engine) -> None:
        whole = engine.manager.handle
        engine.manager.handle = lambda event: [] if isinstance(event, e.Kill) else whole(event)  # type: ignore[method-assign]
        if not gate:
            engine.courier._barred = lambda: ""
        await at(engine, LATER_S)
        engine.steering.trip(Switch.TASK, "planted")  # which the kernel does not know

    outcome = play(cut(BEGIN_S, BEGIN_S + 60), script=script)
    assert outcome.engine.participation.latched
    assert bool(outcome.venue.risky_after(trip_ns(outcome))) != gate
    if gate:
        assert outcome.log.of("not_proven_empty")
        assert outcome.truth.orders == ()


@pytest.mark.parametrize("on", [e.Targets, e.Top, e.OrderReport, e.Ack, e.Signed, e.Snapshot])
def test_order_manager_that_fails_from_some_time_on(on: type) -> None:
    """On every event of a kind: the emergency runs once, not once an event."""

    async def script(engine: Engine) -> None:
        await at(engine, LATER_S)
        break_handle(engine, lambda event: isinstance(event, on))

    outcome = play(feed(), script=script)
    check_safe(outcome, f"order manager failed on {on.__name__}")
    assert len(outcome.log.of("emergency_cancel")) <= 1
    assert outcome.log.of("emergency_cancel") or outcome.log.of("halted")  # the order manager may be done first
    assert outcome.truth.violations == ()


def test_broken_order_manager_does_not_flatten() -> None:
    """What is broken must not place anything, not even to leave a position."""

    async def script(engine: Engine) -> None:
        await at(engine, LATER_S)
        assert engine.manager.position_lots != 0
        break_handle(engine, lambda event: isinstance(event, e.Ack))

    outcome = play(feed(), quick(risk__on_stop="flatten"), make=holding(BID), script=script)
    check_safe(outcome, "order manager failed on Ack")


def test_order_manager_that_fails_on_everything() -> None:
    async def script(engine: Engine) -> None:
        await at(engine, LATER_S)
        break_handle(engine, lambda event: True)

    check_safe(play(feed(), script=script), "order manager failed")


class BrokenSender(Watched):
    """`send` raises from some time on; the emergency's cancels pass."""

    broken = False

    def send(self, payload: Payload) -> asyncio.Future[Any]:
        if self.broken and "emergency" not in str(asyncio.current_task()):
            raise OSError("planted: connection broke")
        return super().send(payload)


def test_sender_that_raises() -> None:
    async def script(engine: Engine) -> None:
        await at(engine, LATER_S)
        assert isinstance(engine.venue, BrokenSender)
        engine.venue.broken = True
        engine.kill("by hand")

    outcome = play(feed(), script=script, make=BrokenSender)
    assert outcome.venue.risky_after(0)
    assert outcome.venue.risky_after(trip_ns(outcome)) == []
    # The order manager never learns that it cancelled anything, so the proof fails, and the emergency takes over.
    assert outcome.log.of("not_proven_empty")
    assert outcome.truth.orders == ()


class NoSigner(PaperSigner):
    """Fails for what `refuse` names."""

    refuse: tuple[TxKind, ...] = ()

    def sign(self, transaction: Transaction) -> Payload:
        if transaction.kind in self.refuse:
            raise SigningError("planted")
        return super().sign(transaction)


@pytest.mark.parametrize("refuse", [RISKY, (TxKind.CANCEL_ALL,), (TxKind.CANCEL_ALL, *RISKY)])
def test_signer_that_fails_for_some(refuse: tuple[TxKind, ...]) -> None:
    signer = NoSigner()

    async def script(engine: Engine) -> None:
        await at(engine, LATER_S)
        signer.refuse = refuse
        engine.kill("by hand")

    outcome = play(feed(), script=script, signer=signer)
    assert outcome.venue.risky_after(trip_ns(outcome)) == []
    outcome.check_settled()
    assert not outcome.log.of("not_proven_empty")


def test_signer_that_fails_for_all_is_said() -> None:
    """Without signatures nothing can be cancelled: nothing more is placed, and the end says what is left."""
    signer = NoSigner()

    async def script(engine: Engine) -> None:
        await at(engine, LATER_S)
        signer.refuse = tuple(TxKind)
        engine.kill("by hand")

    outcome = play(feed(), script=script, signer=signer)
    assert outcome.venue.risky_after(trip_ns(outcome)) == []
    left = len(outcome.truth.orders)
    assert left > 0
    assert outcome.ended == f"end of feed; {left} of our orders are left"


class HangingSigner(PaperSigner):
    """Hangs in the thread of the session, from some time on."""

    quick = False

    def __init__(self) -> None:
        self.hangs, self.over = False, threading.Event()

    def sign(self, transaction: Transaction) -> Payload:
        if self.hangs and threading.current_thread().name == "mmlab-signer":
            self.hangs = False  # only this thread
            self.over.wait(60)
        return super().sign(transaction)


def test_signer_that_hangs() -> None:
    """In real time, thirty times as fast: the session's signer never answers, the emergency has one of its own."""
    signer = HangingSigner()

    async def script(engine: Engine) -> None:
        await at(engine, LATER_S)
        signer.hangs = True
        engine.kill("by hand")
        await at(engine, LATER_S + 5)
        engine.stop("enough")

    outcome = asyncio.run(trade(feed(), quick(), script=script, signer=signer, speed=30.0))
    signer.over.set()
    assert outcome.venue.risky_after(0)
    assert outcome.venue.risky_after(trip_ns(outcome)) == []
    assert outcome.truth.orders == ()
    assert outcome.ended == "enough"
    assert outcome.log.of("emergency_cancel") == [] or outcome.log.of("emergency_cancel")[-1]["left"] == 0


# --- Tasks that die --------------------------------------------------------------------------------------------------


class Faltering(Watched):
    """Its feeds raise once each, at some time."""

    falters: tuple[str, ...] = ()

    async def market(self) -> AsyncIterator[Any]:
        async for rows in super().market():
            yield rows
            self._falter("market")

    async def account(self) -> AsyncIterator[Any]:
        async for message in super().account():
            yield message
            self._falter("account")

    def _falter(self, name: str) -> None:
        if name in self.falters and self.clock.now_ns() > self.clock.origin_ns + LATER_S * 1e9:  # type: ignore[attr-defined]
            self.falters = tuple(other for other in self.falters if other != name)
            raise ConnectionError(f"planted in {name}")


@pytest.mark.parametrize("name", ["market", "account"])
def test_feed_that_fails_once_is_read_again(name: str) -> None:
    def make(*args: Any, **options: Any) -> Faltering:
        venue = Faltering(*args, **options)
        venue.falters = (name,)
        return venue

    outcome = play(cut(BEGIN_S, END_S + 20), make=make)
    assert outcome.deaths == [name]
    died_ns = outcome.log.of("task_died")[0]["ts_ns"]
    assert outcome.ended == "end of feed"
    assert outcome.venue.risky_after(died_ns + 5_000_000_000), "it never quoted again"
    outcome.check_empty()
    assert outcome.kernel_lots == outcome.truth.position_lots == outcome.engine.manager.position_lots
    outcome.check_reproduced()
    blind = [tx for t, tx in outcome.venue.sent if died_ns < t < died_ns + 100_000_000 and tx.kind in RISKY]
    if name == "account":
        assert blind == []
        assert [line["up"] for line in outcome.log.of("link")] == [True, False, True]


@pytest.mark.parametrize("on_stop", ["keep", "flatten"])
@pytest.mark.parametrize("name", ["decide", "order", "send"])
def test_inner_task_that_dies_makes_the_session_safe(name: str, on_stop: str) -> None:
    """Then nothing is placed any more, not even to leave the position."""

    def fail(*_: Any) -> Any:
        raise ZeroDivisionError("planted")

    async def script(engine: Engine) -> None:
        await at(engine, LATER_S)
        if name == "decide":
            engine.decider.hear = fail  # type: ignore[method-assign]
        elif name == "order":
            engine._tell_kernel = fail  # type: ignore[method-assign]
        else:
            engine.courier._may_leave = fail  # type: ignore[method-assign]

    outcome = play(feed(), quick(risk__on_stop=on_stop), script=script)
    check_safe(outcome, f"task {name} died")
    assert outcome.deaths == [name]
    assert outcome.log.of("emergency_cancel") or name != "order"


def test_feed_that_never_works_ends_the_session(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mmlab.engine.supervisor.RESTARTS", 12)

    class Broken(Watched):
        async def account(self) -> AsyncIterator[Any]:
            raise ConnectionError("planted")
            yield

    outcome = play(feed(), make=Broken)
    assert outcome.ended.startswith("task account died")
    assert len(outcome.deaths) == 12
    assert outcome.venue.sent == []


def test_account_feed_that_ends_ends_the_session() -> None:
    class Ending(Watched):
        async def account(self) -> AsyncIterator[Any]:
            async for message in super().account():
                yield message
                if self.clock.now_ns() > self.clock.origin_ns + LATER_S * 1e9:  # type: ignore[attr-defined]
                    return

    outcome = play(feed(), make=Ending)
    assert outcome.ended == "end of account feed"
    outcome.check_empty()


def test_too_much_news_of_our_orders_halts_for_a_while() -> None:
    """Nothing is dropped, but a reader that far behind must not quote."""

    class Flooding(Watched):
        flooded = False

        async def account(self) -> AsyncIterator[Any]:
            async for message in super().account():
                yield message
                if not self.flooded and self.clock.now_ns() > self.clock.origin_ns + LATER_S * 1e9:  # type: ignore[attr-defined]
                    self.flooded = True
                    for _ in range(15_000):
                        yield PositionUpdate(self.truth().position_lots)

    outcome = play(cut(BEGIN_S, END_S + 20), quick(kill__losing__halt_s=10.0), make=Flooding)
    outcome.check_settled()
    (trip, rearm) = [line for line in outcome.log.of("switch") if line["switch"] == "queue"]
    assert (trip["action"], trip["detail"], rearm["action"]) == ("trip", "reports", "rearm")
    assert rearm["ts_ns"] - trip["ts_ns"] >= 10**10
    between = [tx for t, tx in outcome.venue.sent if trip["ts_ns"] < t < rearm["ts_ns"] and tx.kind in RISKY]
    assert between == []
    assert outcome.venue.risky_after(rearm["ts_ns"])


@pytest.mark.parametrize("path", ["market", "account"])
def test_venue_that_does_not_trade(path: str) -> None:
    """Halted while it says so, wherever it says it."""

    class Closing(Watched):
        told = 0

        async def _with_status(self, messages: AsyncIterator[Any]) -> AsyncIterator[Any]:
            async for message in messages:
                yield message
                seconds = (self.clock.now_ns() - self.clock.origin_ns) / 1e9  # type: ignore[attr-defined]
                if self.told == 0 and seconds > LATER_S:
                    self.told = 1
                    yield Status(trading=False, reason="halt of the market")
                elif self.told == 1 and seconds > LATER_S + 10:
                    self.told = 2
                    yield Status(trading=True)

        async def market(self) -> AsyncIterator[Any]:
            async for message in self._with_status(super().market()) if path == "market" else super().market():
                yield message

        async def account(self) -> AsyncIterator[Any]:
            async for message in self._with_status(super().account()) if path == "account" else super().account():
                yield message

    outcome = play(cut(BEGIN_S, END_S + 60), quick(execution__waits__reconcile_s=1.0), make=Closing)
    outcome.check_settled()
    lines = [line for line in outcome.log.of("switch") if line["switch"] == "status"]
    assert lines[0]["detail"] == "halt of the market"
    if path == "market":  # the account feed has nothing to say while nothing of ours rests
        assert [line["action"] for line in lines] == ["trip", "rearm"]
        assert lines[1]["ts_ns"] - lines[0]["ts_ns"] > 9 * 10**9
        assert outcome.venue.risky_after(lines[1]["ts_ns"])
    quiet = outcome.venue.risky_after(lines[0]["ts_ns"]) if path == "account" else [
        tx for t, tx in outcome.venue.sent if lines[0]["ts_ns"] < t < lines[1]["ts_ns"] and tx.kind in RISKY
    ]  # fmt: skip
    assert quiet == []


# --- Ends ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["stopped", "duration over", "end of feed"])
def test_every_end_leaves_an_empty_book(how: str) -> None:
    async def script(engine: Engine) -> None:
        await at(engine, LATER_S)
        assert engine.manager.orders, "nothing rests: the test proves nothing"
        if how == "stopped":
            engine.stop()

    outcome = play(feed(), script=script, duration_s=LATER_S + 3 if how == "duration over" else None)
    assert outcome.ended == how
    outcome.check_settled()
    outcome.check_reproduced()


def interrupt() -> None:
    os.kill(os.getpid(), signal.SIGINT)


@pytest.fixture
def hearing() -> Iterator[None]:
    """A shell's background job is started deaf to Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def cancel() -> None:
    for task in asyncio.all_tasks():
        if "_run_here" in str(task.get_coro()):
            task.cancel()


@pytest.mark.usefixtures("hearing")
@pytest.mark.parametrize(("how", "error"), [(interrupt, KeyboardInterrupt), (cancel, asyncio.CancelledError)])
def test_interrupted_session_leaves_an_empty_book_and_a_run(
    how: Callable[[], None], error: type[BaseException], tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    venues: list[Watched] = []

    def make(*args: Any, **options: Any) -> Watched:
        venues.append(Watched(*args, **options))
        venues[0].clock.call_at(venues[0].clock.now_ns() + round(LATER_S * 2 * 1e9), how)
        return venues[0]

    monkeypatch.setattr("mmlab.lab.market.PaperVenue", make)
    session = mmlab.Session(mmlab.Config(), feed=cut(300, 500), speed=float("inf"), out=tmp_path / "run")
    with pytest.raises(error):
        session.run()
    truth = venues[0].truth()
    assert venues[0].sent
    assert truth.orders == ()
    run = load_run(tmp_path / "run")
    assert run.info.ended == "interrupted"
    assert run.info.counters["position_left_lots"] == truth.position_lots
    assert verify_decisions(tmp_path / "run").same


def test_threads_of_signers_end() -> None:
    async def main() -> list[str]:
        worker = SignerWorker(SlowSigner(0.0), lambda *_: None)
        names = [thread.name for thread in threading.enumerate()]
        worker.close()
        for _ in range(100):
            await asyncio.sleep(0.01)
            if "mmlab-signer" not in [thread.name for thread in threading.enumerate()]:
                break
        return names

    assert "mmlab-signer" in asyncio.run(main())
    assert "mmlab-signer" not in [thread.name for thread in threading.enumerate()]
