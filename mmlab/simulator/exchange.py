"""The exchange of a replay for orders that come one at a time, from outside: the paper venue's book.

It is the replay's exchange, driven without latencies: the same `advance`, queues and requests on the same records. Who
asks for something at a time must have taken everything before it, so times given here never fall.

All that is known here of `SIM` and `WORKING` is in `Exchange` and the two kernels before it.
"""

from __future__ import annotations

from enum import IntEnum
from functools import cache
from typing import Any, NamedTuple

import numba
import numpy as np

from mmlab.events import NEVER_NS
from mmlab.instrument import Instrument
from mmlab.kernels.policy import INTERPRETED, kernel
from mmlab.simulator import state
from mmlab.simulator.matching import ROOM, advance
from mmlab.simulator.memory import address_of
from mmlab.simulator.replay import _first_sim, _grown, check_setting
from mmlab.simulator.requests import send
from mmlab.simulator.state import NONE, QUEUES, SIM, WORKING, Array, book_at, params_at, place_at, print_at
from mmlab.simulator.tape import Tape

FULL = -1
"""`take_until` has stopped early: the tables are full."""


class AnswerKind(IntEnum):
    """What an `Answer` says."""

    ACCEPTED = state.ACCEPTED
    REJECTED = state.REJECTED
    CANCELED = state.CANCELED
    MODIFIED = state.MODIFIED
    FILLED = state.FILLED


class Answer(NamedTuple):
    """Something that happened to an order. ``size_lots``: of the order, or of the fill; ``fee`` of a fill."""

    exch_ns: int
    order_id: int
    kind: AnswerKind
    reason: int
    price_ticks: int
    size_lots: int
    fee: float = 0.0
    taker: bool = False


class Resting(NamedTuple):
    """A live order."""

    side: int
    price_ticks: int
    leaves_lots: int
    filled_lots: int
    ahead_lots: float


@kernel
def take_until(sims: Array, place: int, request: int, ticks: int, lots: int, t_ns: int) -> int:
    """Take everything up to `t_ns`, after the `request` (if not NONE) for `place` is on its way to arrive then.

    Returns `FULL` when the answers must be fetched first, then without the request again.
    """
    sim = sims[0]
    q = params_at(sim.params)[0]
    if request != NONE:
        send(sim, place_at(sim.places, place), t_ns, request, ticks, lots)
    while True:
        sim.answer_ns = NEVER_NS  # `advance` stops at each answer that is heard
        passed_ns = advance(q, sim, t_ns)
        if passed_ns < 0:
            return FULL
        if passed_ns >= t_ns:
            return 0


@kernel
def next_touch(sims: Array, limit_ns: int) -> int:
    """Time of the next trade or book event that may reach a live order, `limit_ns` if there is none before."""
    sim = sims[0]
    f = sim.feed
    for i in range(sim.x_print, f.n_prints):
        trade = print_at(f.prints, i)
        if trade.exch_ns >= limit_ns:
            break
        ticks = trade.price_ticks
        if ticks <= sim.best_ticks[0] if trade.signed_lots < 0 else ticks >= sim.best_ticks[1]:
            limit_ns = trade.exch_ns
    for i in range(sim.x_book, f.n_book if sim.cross else 0):
        b = book_at(f.book, i)
        if b.exch_ns >= limit_ns:
            break
        if b.bid_ticks >= sim.best_ticks[1] or b.ask_ticks <= sim.best_ticks[0]:  # an empty side may count: too soon
            limit_ns = b.exch_ns
    return limit_ns


class Exchange:
    """A tape with our orders in it.

    Parameters
    ----------
    tape : Tape
        From `build_tape`.
    instrument : Instrument
        Must agree with `params`.
    params : ndarray of PARAMS, shape (1,)
        From `mmlab.resolve`; its fees are used.
    queue, queue_exponent, partial_fills, fill_on_cross, through_only
        As for `replay`.
    places : int
        Most live orders.

    Attributes
    ----------
    now_ns : int
        Everything up to then has been taken. Times given may be earlier, and then mean this one.

    Raises
    ------
    ConfigError
        An argument is out of range, or the feed cannot carry the queue model.
    """

    def __init__(
        self,
        tape: Tape,
        instrument: Instrument,
        params: Array,
        queue: str = "risk_averse",
        queue_exponent: float = 3.0,
        *,
        partial_fills: bool = True,
        fill_on_cross: bool = False,
        through_only: bool = False,
        places: int = 64,
    ) -> None:
        check_setting(tape, instrument, params, queue, queue_exponent)
        self.tape, self._params, self._n_places = tape, params, places
        self._options = {
            "queue": QUEUES[queue], "exponent": queue_exponent, "partial": partial_fills,
            "through_only": through_only, "cross": fill_on_cross and not through_only,
        }  # fmt: skip
        self._take, self._next_touch = _compiled()
        self._begin(0, 0)

    def rewind(self, shift_ns: int) -> None:
        """Begin the tape again, its times later by `shift_ns`; live orders are gone, the position stays."""
        self._begin(shift_ns, self.position_lots)

    def _begin(self, shift_ns: int, position_lots: int) -> None:
        no_delay = np.zeros((2, 1), np.int64)
        self._sim, self._kept = _first_sim(self.tape, self._params, (no_delay, no_delay))
        places = np.zeros(self._n_places, WORKING)
        places["request_ns"], places["cell"] = NEVER_NS, -1
        self._places, self._sim["places"], self._sim["n_places"] = places, address_of(places), places.size
        for name, value in self._options.items():
            self._sim[name] = value
        self._sim["position_lots"] = position_lots
        self._out = _grown({}, self._sim, 4 * ROOM)  # emptied after every call, so it is large enough for ever
        self._row = self._sim[0]
        self._shift_ns, self._free = shift_ns, list(range(self._n_places))[::-1]
        self._place_of: dict[int, int] = {}
        self.now_ns = -NEVER_NS if not self.tape.events.size else int(self.tape.events["exch_ns"][0]) - 1 + shift_ns

    @property
    def position_lots(self) -> int:
        """The position."""
        return int(self._row["position_lots"])

    @property
    def full(self) -> bool:
        """Whether no further order can be placed."""
        return not self._free

    @property
    def live(self) -> dict[int, Resting]:
        """Live orders by id."""
        return {order_id: _resting(self._places[k]) for order_id, k in self._place_of.items()}

    def is_live(self, order_id: int) -> bool:
        """Whether the order rests."""
        return order_id in self._place_of

    def advance(self, until_ns: int) -> list[Answer]:
        """Take everything of the tape up to `until_ns`; what happened to orders, in exchange order."""
        return self._step(until_ns, 0, NONE, 0, 0) if until_ns > self.now_ns else []

    def place(self, at_ns: int, order_id: int, side: int, price_ticks: int, size_lots: int, flags: int) -> list[Answer]:
        """An order arrives, after all data up to and at `at_ns`; `order_id` is new, `flags`: `TargetFlag`."""
        k = self._free.pop()
        self._place_of[order_id] = k
        place = self._places[k]
        place["side"], place["how"], place["client_order_id"] = side, flags, order_id
        return self._step(at_ns, k, state.PLACE, price_ticks, size_lots)

    def modify(self, at_ns: int, order_id: int, price_ticks: int, size_lots: int) -> list[Answer]:
        """A live order gets a new price and total size, filled lots included."""
        return self._step(at_ns, self._place_of[order_id], state.MODIFY, price_ticks, size_lots)

    def cancel(self, at_ns: int, order_id: int) -> list[Answer]:
        """A live order is taken away."""
        return self._step(at_ns, self._place_of[order_id], state.CANCEL, 0, 0)

    def next_touch_ns(self, limit_ns: int) -> int:
        """When the next trade may fill a live order, `limit_ns` if none does before; `NEVER_NS` if none is live."""
        if not self._place_of:
            return NEVER_NS
        return int(self._next_touch(self._sim, limit_ns - self._shift_ns)) + self._shift_ns

    def _step(self, at_ns: int, k: int, request: int, ticks: int, lots: int) -> list[Answer]:
        self.now_ns = max(self.now_ns, at_ns)
        t_ns = self.now_ns - self._shift_ns
        answers: list[Answer] = []
        while self._take(self._sim, k, request, ticks, lots, t_ns) == FULL:
            answers += self._fetch()
            request = NONE
        answers += self._fetch()
        for answer in answers:
            self._forget_dead(answer.order_id)
        return answers

    def _forget_dead(self, order_id: int) -> None:
        k = self._place_of.get(order_id)
        if k is not None and not self._places["live"][k]:
            del self._place_of[order_id]
            self._free.append(k)

    def _fetch(self) -> list[Answer]:
        """The answers so far, merged: a side's in its order, fills in theirs."""
        n_bid, n_ask = (int(n) for n in self._row["tail"])
        if not n_bid and not n_ask:
            return []
        answers = self._out["answers"]
        rows = [*answers[0, :n_bid].copy(), *answers[1, :n_ask].copy()]
        if n_bid and n_ask:
            rows = _merged(rows[:n_bid], rows[n_bid:])
        fills = self._out["fills"]
        done = [self._answer(row, fills) for row in rows]
        self._row["head"], self._row["tail"], self._row["fills"] = 0, 0, 0
        return done

    def _answer(self, a: Any, fills: Array) -> Answer:
        fill = fills[a["fill_row"]] if a["kind"] == state.FILLED else None
        return Answer(
            int(a["exch_ns"]) + self._shift_ns, int(a["client_order_id"]), AnswerKind(int(a["kind"])),
            int(a["reason"]), int(a["price_ticks"]), int(a["size_lots"]),
            0.0 if fill is None else float(fill["fee"]), fill is not None and bool(fill["liquidity"]),
        )  # fmt: skip


def _resting(w: Any) -> Resting:
    return Resting(
        int(w["side"]), int(w["at_ticks"]), int(w["leaves_lots"]), int(w["done_lots"]), float(w["ahead_lots"])
    )


def _merged(bids: list[Any], asks: list[Any]) -> list[Any]:
    """Two sides' answers as one list: by time, at equal time what is no fill first."""
    merged = []
    while bids and asks:
        (first, a), (second, b) = ((int(rows[0]["exch_ns"]), int(rows[0]["fill_row"])) for rows in (bids, asks))
        merged.append((bids if (first, a) <= (second, b) else asks).pop(0))  # no fill: row -1
    return merged + bids + asks


@cache
def _compiled() -> tuple[Any, Any]:
    """Both kernels, compiled on first use for one signature each, and cached on disk."""
    step: Any = take_until
    touch: Any = next_touch
    if not INTERPRETED:
        sims, i8 = numba.types.Array(numba.from_dtype(SIM), 1, "C"), numba.int64
        step.compile(i8(sims, i8, i8, i8, i8, i8))
        touch.compile(i8(sims, i8))
        step.disable_compile()
        touch.disable_compile()
    return step, touch
