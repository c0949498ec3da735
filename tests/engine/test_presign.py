"""Payloads signed ahead: the bank, the forecast, the worker, and that a session is the same with and without."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmlab.config import Config, Presign
from mmlab.engine.bank import MOST, Bank
from mmlab.engine.overview import overview
from mmlab.engine.presign import Presigner, Trail
from mmlab.engine.signing import SignerWorker, transaction_of
from mmlab.errors import SigningError
from mmlab.events import ASK, BID, NS_PER_S
from mmlab.exchange import Payload, Transaction, TxKind, VenueRules
from mmlab.orders import events as e
from mmlab.orders.commands import Sign
from mmlab.orders.forecast import Turn, draft_of, with_nonce
from mmlab.orders.forecast import forecast as turns_of
from mmlab.orders.settings import settings_of
from mmlab.venues.paper import FaultPlan, PaperSigner
from mmlab.venues.paper.signers import decode
from mmlab.venues.virtual import run_virtual
from tests.engine.rig import Log, Outcome, cut, play, quick
from tests.orders.helpers import Desk

LIFE = 100


def tx_of(n: int, key: int = 0, nonce: int = 0, kind: TxKind = TxKind.PLACE) -> Transaction:
    return Transaction(kind, key, nonce, n, 0, 1, 1000 + n, 5, 1)


def payload_of(tx: Transaction) -> Payload:
    return PaperSigner().sign(tx)


def wished(wanted: list[Transaction]) -> list[Turn]:
    """These transactions, in this order."""
    return [Turn(tx.key, tx.nonce, {draft_of(tx): rank}) for rank, tx in enumerate(wanted)]


def forecast(*args: Any) -> list[Transaction]:
    """What an empty bank would have signed, in its order."""
    return wants(Bank(LIFE), turns_of(*args), {}, 0)


def wants(bank: Bank, turns: list[Turn], nonces: dict[int, int], now_ns: int) -> list[Transaction]:
    return [with_nonce(draft, key, nonce) for _, key, nonce, draft in bank.want(turns, nonces, now_ns)]


# --- The bank --------------------------------------------------------------------------------------------------------


def test_a_payload_is_used_once() -> None:
    bank = Bank(LIFE)
    bank.put(payload_of(tx_of(1)), 0)
    assert bank.take(tx_of(1), 5) == payload_of(tx_of(1))
    assert bank.take(tx_of(1), 5) is None
    assert bank.counts == {"signed": 1, "hits": 1, "misses": 1, "unforeseen": 1}
    assert bank.kinds == {(TxKind.PLACE, True): 1, (TxKind.PLACE, False): 1}


def test_misses_are_late_or_unforeseen() -> None:
    bank = Bank(LIFE)
    assert wants(bank, wished([tx_of(1), tx_of(2)]), {0: 0}, 0) == [tx_of(1), tx_of(2)]
    assert bank.lacking() == 2
    assert bank.take(tx_of(1), 0) is None
    assert bank.take(tx_of(3), 0) is None
    assert (bank.counts["late"], bank.counts["unforeseen"]) == (1, 1)


@pytest.mark.parametrize(("now_ns", "fresh"), [(0, True), (LIFE - 1, True), (LIFE, False), (-1, False)])
def test_what_is_too_old_is_not_used_nor_when_the_clock_was_set_back(now_ns: int, fresh: bool) -> None:
    bank = Bank(LIFE)
    bank.put(payload_of(tx_of(1)), 0)
    assert (bank.take(tx_of(1), now_ns) is not None) == fresh
    assert bank.counts["expired"] == (not fresh)


def test_what_wears_out_is_signed_anew_before_it_is_too_old() -> None:
    bank = Bank(LIFE)
    bank.put(payload_of(tx_of(1)), 0)
    assert wants(bank, wished([tx_of(1)]), {0: 0}, LIFE * 3 // 4) == []
    assert wants(bank, wished([tx_of(1)]), {0: 0}, LIFE * 4 // 5) == [tx_of(1)]
    bank.put(payload_of(tx_of(1)), 80)
    assert bank.take(tx_of(1), LIFE + 50) is not None
    assert bank.counts["wasted"] == 1


def test_a_nonce_that_was_given_away_makes_the_rest_of_its_key_useless() -> None:
    bank = Bank(LIFE)
    for n in range(3):
        bank.put(payload_of(tx_of(n, key=0)), 0)
        bank.put(payload_of(tx_of(n, key=1)), 0)
    wants(bank, wished([]), {0: 1, 1: 0}, 0)
    assert len(bank) == 3
    assert bank.take(tx_of(1, key=0), 0) is None
    assert bank.take(tx_of(1, key=1), 0) is not None
    assert bank.counts["wasted"] == 3


def test_what_nobody_wants_is_kept_in_bounds() -> None:
    bank = Bank(LIFE)
    wanted = [tx_of(-n) for n in range(1, 10)]
    for tx in [tx_of(n) for n in range(MOST + 100)] + wanted:
        bank.put(payload_of(tx), 0)
    wants(bank, wished(wanted), {0: 0}, 0)
    assert len(bank) <= MOST + len(wanted)
    assert all(bank.take(tx, 0) is not None for tx in wanted)


FEW = [
    msgspec.structs.replace(tx_of(7, key=key, nonce=1), price_ticks=price) for key, price in ((0, 9), (1, 9), (1, 8))
]
transactions = st.sampled_from(FEW)
"""Few, so that they meet; what differs may be the price alone."""
moves = st.one_of(
    st.tuples(st.just("put"), transactions),
    st.tuples(st.just("take"), transactions),
    st.tuples(st.just("want"), st.lists(transactions, max_size=4)),
    st.tuples(st.just("wait"), st.sampled_from((-1, 30, 120))),
    st.tuples(st.just("nonce"), st.integers(1, 2)),
)


@settings(max_examples=100, deadline=None)
@given(st.lists(moves, min_size=10, max_size=40))
def test_never_another_payload_never_an_old_one_never_one_twice(course: list[tuple[str, Any]]) -> None:
    bank, now, nonce, signed_ns = Bank(LIFE), 0, 1, dict[Transaction, int]()
    for move, what in course:
        if move == "put":
            bank.put(payload_of(what), now)
            signed_ns[what] = now
        elif move == "want":
            lacking = wants(bank, wished(what), {0: 1, 1: nonce}, now)
            assert set(lacking) <= set(what)
        elif move == "wait":
            now += what
        elif move == "nonce":
            nonce = what
        elif (payload := bank.take(what, now)) is not None:
            assert decode(payload.data) == payload.transaction == what
            assert 0 <= now - signed_ns.pop(what) < LIFE
    counts = bank.counts
    assert counts["misses"] == counts["late"] + counts["unforeseen"]
    assert counts["signed"] == counts["hits"] + counts["wasted"] + len(bank)


# --- The forecast ----------------------------------------------------------------------------------------------------


QUOTES = (e.Quote(BID, 0, 998, 5), e.Quote(ASK, 0, 1002, 5))
"""A bid and an ask."""


def mode(slots: str, ack_mode: str) -> dict[str, Any]:
    """Settings of an order manager, from the config's words."""
    config = Config().with_(**{"execution.slots": slots, "execution.ack_mode": ack_mode})
    made = settings_of(config, {"max_long_lots": 1, "max_short_lots": 1, "max_live_orders": 1, "collar_bps": 1.0}, KEYS)
    return {"slots": made.slots, "replace": made.replace, "ack_mode": made.ack_mode, "rungs": 1}


KEYS = VenueRules(flight_ns=NS_PER_S, quote_keys=(4, 5, 6), cancel_keys=(7,))


def quoting(slots: str = "single", ack_mode: str = "strict") -> Desk:
    """An order manager with an order live on each side."""
    desk = Desk(KEYS, **mode(slots, ack_mode))
    desk.accept(desk.targets(*QUOTES))
    return desk


def signs(said: list[Any]) -> list[Transaction]:
    return [transaction_of(command) for command in said if type(command) is Sign]


def moved(ticks: int) -> tuple[e.Quote, ...]:
    return tuple(msgspec.structs.replace(quote, price_ticks=quote.price_ticks + ticks) for quote in QUOTES)


def test_cancels_come_first_for_as_many_nonces_as_asked() -> None:
    desk = quoting()
    found = forecast(desk.om.state, QUOTES, 2, 2, 1)
    assert [(tx.kind, tx.key, tx.nonce) for tx in found[:4]] == [
        (TxKind.CANCEL, 7, 0), (TxKind.CANCEL, 7, 0), (TxKind.CANCEL, 7, 1), (TxKind.CANCEL, 7, 1)
    ]  # fmt: skip
    assert found[4].kind == TxKind.CANCEL_ALL
    assert signs(desk.targets()) == [found[0], found[3]]  # both sides withdrawn: one nonce after the other


def test_near_prices_and_the_turns_that_come_next_come_first() -> None:
    desk = quoting()
    modifies = [tx for tx in forecast(desk.om.state, QUOTES, 3, 1, 2) if tx.kind == TxKind.MODIFY]
    turn = {
        (key.index, key.next + n): 3 * n + i
        for n in (0, 1)
        for i, key in enumerate(desk.om.state.keys.quotes_in_turn())
    }
    order = [
        abs(tx.price_ticks - (998 if tx.side == BID else 1002))
        + {BID: (0, 3, 4, 5, 6, 7), ASK: (1, 0, 3, 4, 5, 6)}[tx.side][turn[tx.key, tx.nonce]]
        for tx in modifies
    ]
    assert order == sorted(order)
    prices = 6  # where it rests nothing is to be done
    assert len(modifies) == len(set(modifies)) == 3 * 2 * 2 * prices  # keys, nonces of each, sides


@pytest.mark.parametrize(("nonces", "foreseen"), [(1, 3), (2, 6), (3, 8)])
def test_a_burst_finds_the_nonces_after_the_next(nonces: int, foreseen: int) -> None:
    """Both sides move four times before anything new is signed: eight transactions on three keys."""
    desk = quoting()
    found, said = set(forecast(desk.om.state, QUOTES, 1, 1, nonces)), list[Transaction]()
    for ticks in (1, -1, 1, -1):
        said += signs(desk.targets(*moved(ticks)))
        settle(desk)
    assert len(said) == 8
    assert [tx in found for tx in said] == [True] * foreseen + [False] * (8 - foreseen)


def test_a_forecast_changes_nothing() -> None:
    desk, twin = quoting(), quoting()
    forecast(desk.om.state, QUOTES, 5, 3, 2)
    assert desk.targets(*moved(2)) == twin.targets(*moved(2))
    assert desk.om.state.ids.peek(0) == twin.om.state.ids.peek(0)


def test_a_filled_order_is_replaced_by_what_was_foreseen() -> None:
    desk = Desk(KEYS, **mode("single", "strict"))
    bid, _ = desk.accept(desk.targets(*QUOTES))
    found = forecast(desk.om.state, QUOTES, 0, 1, 1)
    (place,) = signs(desk.trade(bid, 5))
    assert (place.kind, place.price_ticks) == (TxKind.PLACE, 998)
    assert place in found


def test_no_forecast_without_a_link_and_only_cancels_in_a_halt() -> None:
    desk = quoting()
    desk.tell(e.Kill(0))
    assert {tx.kind for tx in forecast(desk.om.state, QUOTES, 2, 1, 1)} <= {TxKind.CANCEL, TxKind.CANCEL_ALL}
    desk.tell(e.LinkDown(0, desk.epoch))
    assert forecast(desk.om.state, QUOTES, 2, 1, 1) == []


steps = st.tuples(st.sampled_from(("bid", "ask", "both", "out", "in", "settle")), st.integers(-3, 3))


@pytest.mark.parametrize("ack_mode", ["strict", "optimistic"])
@pytest.mark.parametrize("slots", ["single", "ab"])
@settings(max_examples=25, deadline=None)
@given(course=st.lists(steps, max_size=12))
def test_moves_within_range_are_foreseen_in_every_mode(
    slots: str, ack_mode: str, course: list[tuple[str, int]]
) -> None:
    """The first transaction a key gives, whatever the targets do: one side or both, withdrawn and back."""
    desk, quotes, shown = quoting(slots, ack_mode), dict(zip("ba", QUOTES, strict=True)), {"b", "a"}
    for what, ticks in course:
        centre = tuple(quotes.values())
        found = set(forecast(desk.om.state, centre, 3, 4, 1))
        for side in {"bid": "b", "ask": "a", "both": "ba"}.get(what, ""):
            quotes[side] = msgspec.structs.replace(quotes[side], price_ticks=quotes[side].price_ticks + ticks)
        shown = {"out": set(), "in": {"b", "a"}}.get(what, shown)
        if quotes["b"].price_ticks >= quotes["a"].price_ticks:
            return
        said = signs(desk.targets(*(quotes[side] for side in sorted(shown, reverse=True))))
        first = {tx.key: tx for tx in reversed(said)}
        assert set(first.values()) <= found, set(first.values()) - found
        if what == "settle":
            settle(desk)


def settle(desk: Desk) -> None:
    """The venue shows every order as we want it."""
    for order in list(desk.om.orders):
        if order.cancel is not None:
            desk.report(e.OrderView(order.client_id, 1000 + order.client_id % 1000, order.side, order.price_ticks,
                                    order.size_lots, 0, "canceled", order.seq + 1))  # fmt: skip
        else:
            price, lots = order.aim_ticks, order.aim_lots
            desk.report(e.OrderView(order.client_id, 1000 + order.client_id % 1000, order.side, price, lots, 0, "open",
                                    order.seq + 1))  # fmt: skip


def test_where_a_side_has_no_target_the_trail_keeps_its_distance_from_the_book() -> None:
    trail, bid, ask = Trail(), *QUOTES
    assert trail.centre((), e.Top(0, 999, 1001)) == ()
    assert trail.centre(QUOTES, e.Top(0, 999, 1001)) == QUOTES
    assert trail.centre((ask,), e.Top(0, 1003, 1005)) == (msgspec.structs.replace(bid, price_ticks=1002), ask)
    assert trail.centre((), e.Top(0, 1003, 1005, valid=False)) == (bid, ask)


# --- The worker ------------------------------------------------------------------------------------------------------


class Gate(PaperSigner):
    """Signs one transaction each time it is let, in a thread; remembers the order."""

    quick = False

    def __init__(self) -> None:
        self.may, self.begun = threading.Semaphore(0), threading.Semaphore(0)
        self.order: list[Transaction] = []

    def sign(self, transaction: Transaction) -> Payload:
        self.order.append(transaction)
        self.begun.release()
        assert self.may.acquire(timeout=20)
        return super().sign(transaction)


def sign_of(tx: Transaction, number: int = 1) -> Sign:
    return Sign(
        0, number, 1, tx.kind, tx.key, tx.nonce, tx.client_id, 0, tx.side, tx.price_ticks, tx.size_lots, tx.flags
    )


def with_worker(
    signer: PaperSigner, course: Callable[[SignerWorker, asyncio.Queue[Any]], Any], *, life_ns: int = LIFE
) -> None:
    """Run `course` with a worker that has a bank; results come through a queue."""

    async def main() -> None:
        results: asyncio.Queue[Any] = asyncio.Queue()
        worker = SignerWorker(signer, lambda sign, result: results.put_nowait((sign, result)))
        worker.open_bank(life_ns, lambda: 0)
        try:
            await asyncio.wait_for(course(worker, results), 30)
        finally:
            worker.close()
            if isinstance(signer, Gate):
                signer.may.release(1000)

    asyncio.run(main())


def test_what_is_asked_goes_before_what_may_be_asked_and_old_wishes_are_dropped() -> None:
    gate = Gate()

    async def course(worker: SignerWorker, results: asyncio.Queue[Any]) -> None:
        worker.prepare(wished([tx_of(1), tx_of(2), tx_of(3)]), {0: 0})
        await asyncio.to_thread(gate.begun.acquire)  # the thread signs the first
        worker.ask(sign_of(tx_of(9)))
        worker.prepare(wished([tx_of(1), tx_of(4)]), {0: 0})  # the first is being made; the second and third are off
        gate.may.release(3)
        sign, payload = await results.get()
        assert payload == payload_of(tx_of(9))
        assert sign == sign_of(tx_of(9))
        await asyncio.to_thread(gate.begun.acquire)
        await asyncio.to_thread(gate.begun.acquire)
        assert gate.order == [tx_of(1), tx_of(9), tx_of(4)]

    with_worker(gate, course)


def test_a_hit_is_delivered_before_ask_returns() -> None:
    gate = Gate()

    async def course(worker: SignerWorker, results: asyncio.Queue[Any]) -> None:
        worker.prepare(wished([tx_of(1), tx_of(2)]), {0: 0})
        gate.may.release(2)
        for _ in range(2):
            await asyncio.to_thread(gate.begun.acquire)
        while worker.bank is not None and worker.bank.lacking():
            await asyncio.sleep(0.001)
            worker.prepare(wished([tx_of(1), tx_of(2)]), {0: 0})
        worker.ask(sign_of(tx_of(2)))
        assert results.get_nowait() == (sign_of(tx_of(2)), payload_of(tx_of(2)))
        assert worker.waiting == 0
        assert gate.order == [tx_of(1), tx_of(2)]

    with_worker(gate, course)


def test_asked_for_while_it_is_being_made_it_is_not_signed_again() -> None:
    gate = Gate()

    async def course(worker: SignerWorker, results: asyncio.Queue[Any]) -> None:
        worker.prepare(wished([tx_of(1)]), {0: 0})
        await asyncio.to_thread(gate.begun.acquire)
        worker.ask(sign_of(tx_of(1)))
        gate.may.release(1)
        assert (await results.get())[1] == payload_of(tx_of(1))
        assert gate.order == [tx_of(1)]

    with_worker(gate, course)


class Broken(PaperSigner):
    """Cannot."""

    def sign(self, transaction: Transaction) -> Payload:
        raise SigningError("planted")


def test_what_cannot_be_signed_ahead_is_not_tried_again_and_again() -> None:
    async def course(worker: SignerWorker, results: asyncio.Queue[Any]) -> None:
        for _ in range(3):
            worker.prepare(wished([tx_of(1)]), {0: 0})
        assert worker.failed_ahead == 1
        assert results.empty()  # only what is asked in earnest is heard of
        worker.ask(sign_of(tx_of(1)))
        assert results.get_nowait()[1] == "SigningError: planted"

    with_worker(Broken(), course)


# --- Sessions --------------------------------------------------------------------------------------------------------


def session(enabled: str, seed: int, **changes: Any) -> Outcome:
    begin_s = 300.0 + 60 * seed
    faults = FaultPlan(
        seed=seed, until_s=38, entry_ms=20, response_ms=20, drop_ack=0.02, lose_send=0.02, reorder_send=0.05,
        skip_nonce=0.01, disconnects_per_min=1.0, entry_spread_ms=20,
    )  # fmt: skip
    config = quick(execution__presign__enabled=enabled, execution__retry__breaker_share=0.9, **changes)
    return play(cut(begin_s, begin_s + 45), config, faults=faults, seed=seed)


@pytest.mark.parametrize(("slots", "ack_mode", "rungs"), [("single", "strict", 1), ("ab", "optimistic", 2)])
def test_a_session_is_the_same_with_and_without(slots: str, ack_mode: str, rungs: int) -> None:
    changes = {"execution__slots": slots, "execution__ack_mode": ack_mode, "strategy__rungs": rungs}
    on, off = session("on", rungs, **changes), session("off", rungs, **changes)
    assert on.venue.sent == off.venue.sent
    assert on.truth == off.truth
    bank = overview(on.engine)["presign"]
    assert bank["hits"] > 10
    assert bank["signed"] == bank["hits"] + bank["wasted"] + bank["held"]
    assert overview(off.engine)["presign"] == {"on": False}
    on.check_settled()


def test_without_faults_most_payloads_are_there() -> None:
    outcome = play(cut(300, 360), quick(execution__presign__enabled="on"))
    bank = overview(outcome.engine)["presign"]
    assert bank["hit_rate"] > 0.85
    assert bank["late"] == 0  # in virtual time all wishes are fulfilled at once
    assert bank["kinds"]["cancel"]["misses"] == 0
    assert bank["hits"] + bank["misses"] == outcome.engine.courier.messages


@pytest.mark.parametrize(
    ("enabled", "apart", "on"),
    [("auto", False, False), ("on", False, True), ("off", True, False), ("auto", True, True)],
)
def test_where_it_is_on(enabled: str, apart: bool, on: bool) -> None:
    signer = Gate() if apart else PaperSigner()

    async def main() -> None:
        worker = SignerWorker(signer, lambda *_: None)
        presigner = Presigner(worker, Presign(enabled=enabled), VenueRules(), lambda: 0, Log())  # type: ignore[arg-type]
        assert presigner.numbers()["on"] == on
        if worker.bank is not None:
            assert worker.bank.life_ns == 300 * NS_PER_S
            presigner.configure(Presign(enabled="on", max_age_s=3600))
            assert worker.bank.life_ns == VenueRules().payload_life_ns - VenueRules().flight_ns
        presigner.configure(Presign(enabled="off"))
        assert presigner.numbers() == {"on": False}
        worker.close()

    asyncio.run(main())


def test_a_forecast_that_fails_ends_signing_ahead_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise ZeroDivisionError("planted")

    monkeypatch.setattr("mmlab.engine.presign.forecast", fail)
    outcome = play(cut(300, 320), quick(execution__presign__enabled="on"))
    assert outcome.log.of("forecast_failed") == [{"error": "ZeroDivisionError: planted"}]
    assert overview(outcome.engine)["presign"] == {"on": False}
    outcome.check_settled()


def test_old_payloads_are_made_anew_though_nothing_happens() -> None:
    async def main() -> None:
        now = [0]
        worker = SignerWorker(PaperSigner(), lambda *_: None)
        presigner = Presigner(worker, Presign(enabled="on", max_age_s=100), VenueRules(), lambda: now[0], Log())
        desk = quoting()
        for now[0] in range(0, 1000 * NS_PER_S, NS_PER_S):
            presigner.look(desk.om.state)
            assert presigner.numbers()["lacking"] == 0
            assert presigner.numbers()["age_s"] < 100
        assert presigner.numbers()["expired"] == 0

    run_virtual(main())


def test_settings_of_old_runs_are_understood() -> None:
    assert Config(execution={"slots": True}).execution.slots == "single"  # it moved by modify
    assert Config(execution={"slots": True, "replace": "cancel_place"}).execution.slots == "ab"
    assert Config(execution={"slots": False}).execution.slots == "single"


def test_keys_take_turns() -> None:
    desk = quoting()
    used = []
    for n in range(1, 7):
        said = desk.targets(moved(-n)[0], QUOTES[1])
        used += [tx.key for tx in signs(said)]
        settle(desk)
        for sign in [c for c in said if type(c) is Sign]:
            desk.ack(sign)
    assert len(used) == 6
    assert sorted(used[:3]) == [4, 5, 6] and used[3:] == used[:3]
