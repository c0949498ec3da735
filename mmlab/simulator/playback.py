"""`Playback`: a replay that pauses and goes on, on a tape that may have grown meanwhile.

A replay at local time t has let the exchange take everything up to t on its own clock, and rows travel: what happened
before t may be heard after it. So a pause is exact only if all rows that come later are later than it on the exchange's
clock; whoever pauses keeps far enough behind the newest row (`Playback.paused_ns`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from mmlab.events import NS_PER_S
from mmlab.instrument import Instrument
from mmlab.kernels.policy import one_row
from mmlab.params import PARAMS
from mmlab.simulator.adopt import adopt
from mmlab.simulator.latency import Latency
from mmlab.simulator.levels import hear_rows
from mmlab.simulator.loop import GROW
from mmlab.simulator.memory import address_of
from mmlab.simulator.queues import pass_rows
from mmlab.simulator.replay import Replay, _first_sim, _grown, _loop, _no_quoter, _result, check_setting
from mmlab.simulator.state import QUEUES
from mmlab.simulator.tape import Tape

Array = np.ndarray[Any, Any]
FIRST_ROWS = 1 << 16


class Playback:
    """A replay in parts: `advance` after `advance` it does what `replay` does at once.

    Parameters
    ----------
    tape, instrument, params, latency, queue, queue_exponent, partial_fills, fill_on_cross, through_only, quoter, seed,
    record_decisions
        As for `replay`; the tape must hold a row. Resampled latencies are drawn from the rows of this tape.

    Attributes
    ----------
    paused_ns : int
        Local time up to which everything was taken.
    """

    def __init__(
        self,
        tape: Tape,
        instrument: Instrument,
        params: Array,
        latency: Latency | None = None,
        queue: str = "risk_averse",
        queue_exponent: float = 3.0,
        *,
        partial_fills: bool = True,
        fill_on_cross: bool = False,
        through_only: bool = False,
        quoter: Callable[..., int] | None = None,
        seed: int = 0,
        record_decisions: bool = True,
    ) -> None:
        check_setting(tape, instrument, params, queue, queue_exponent)
        latency = latency or Latency()
        delays = latency.draw(tape.latency_ns if latency.resample else np.zeros(0, np.int64), seed)
        self._sim, self._kept = _first_sim(tape, params, delays)
        sim = self._sim
        sim["queue"], sim["exponent"], sim["partial"] = QUEUES[queue], queue_exponent, partial_fills
        sim["through_only"], sim["cross"] = through_only, fill_on_cross and not through_only
        sim["since_ns"] = sim["started_ns"] = self.paused_ns = int(tape.events["local_ns"][0])
        sim["metric_ns"] = (self.paused_ns // NS_PER_S + 1) * NS_PER_S
        sim["goes_on"] = 1
        self.paused_ns -= 1
        self._quote = _no_quoter() if quoter is None else quoter
        self._record = record_decisions
        self._out = _grown({}, sim, FIRST_ROWS)

    def advance(self, tape: Tape, until_ns: int) -> None:
        """Go on to `until_ns`, on the tape as it is now: the one of before with further rows."""
        if until_ns <= self.paused_ns:
            return
        sim, loop = self._sim, _loop()
        self._point_at(tape)
        sim["end_ns"] = self.paused_ns = until_ns
        sim["x_due_ns"] = 0  # something may have come for the exchange
        while loop(sim, self._kept["wanted"], self._quote, self._record) == GROW:
            self._out = _grown(self._out, sim, FIRST_ROWS)

    def _point_at(self, tape: Tape) -> None:
        feed = self._sim["feed"]
        for name in ("events", "book", "prints", "others", "steps", "times", "added"):
            self._kept[name] = getattr(tape, name)
            feed[name] = address_of(self._kept[name])
        for name in ("events", "book", "prints", "others"):
            feed[f"n_{name}"] = self._kept[name].size

    def adopt(self, lots: int, since_ns: int) -> bool:
        """Hold `lots` from now on, valued at the mid, as if since `since_ns`; before the first quote.

        Returns whether there is a mid: without one nothing is held.
        """
        mid = float(self._kept["state"]["last_mid"][0])
        if not np.isfinite(mid):
            return False
        params = one_row(PARAMS)
        params[:] = self._kept["params"]
        adopt(params, self._kept["state"], self._sim, self.paused_ns, lots, mid, min(since_ns, self.paused_ns))
        return True

    def result(self) -> Replay:
        """What has happened so far; its tables do not change any more, its state does."""
        return _result(self._out, self._sim, self._kept["state"])

    def move(self, old: Tape, new: Tape, first: int, opening: int) -> None:
        """Go on upon a tape that begins later: so the rows of a long session need not be kept.

        Parameters
        ----------
        old, new : Tape
            Of the same price window. `new` has `opening` rows, a snapshot of the book after all rows of `old` before
            `first`, and then the rows of `old` from `first` on.
        first : int
            A row that is heard later than every row before it, all of which were heard by `paused_ns`.
        opening : int
        """
        sim = self._sim
        pass_rows(sim[0], first)  # so far rows that concern nobody may have been put off
        hear_rows(sim[0], int(old.events["local_ns"][first - 1]))
        for side, begin, row in (("cells", "begin", "row"), ("x_cells", "x_begin", "x_row")):
            _move_cells(self._kept[side], new.steps[:opening], first)
            sim[begin] = sim[begin] - first + opening if sim[begin][0] > first else 1
            sim[row] += opening - first
        for name, key in (("prints", "row"), ("book", "row"), ("others", None)):
            a, b = (getattr(tape, name) if key is None else getattr(tape, name)[key] for tape in (old, new))
            gone, come = int(np.searchsorted(a, first)), int(np.searchsorted(b, opening))
            for place in {"prints": ("print", "x_print"), "book": ("book", "x_book"), "others": ("other",)}[name]:
                sim[place] = max(int(sim[place][0]) - gone, 0) + come
        self._kept["places"]["arrived_row"] += opening - first  # only order-by-order queues look at it
        self._point_at(new)

    def forget(self) -> None:
        """Drop order transitions and decisions written so far, which a long playback need not keep."""
        self._sim["orders"] = self._sim["decisions"] = self._sim["targets"] = 0


def _move_cells(cells: Array, opening: Array, first: int) -> None:
    """Rows that named levels, in the numbers of a tape that begins with `opening` and then has rows from `first` on."""
    named = np.flatnonzero(cells["row"])
    rows = cells["row"][named]
    cells["row"][named] = 0
    levels = np.flatnonzero(opening["cell"] >= 0)
    cells["row"][opening["cell"][levels]] = levels + 1  # of several orders at a level the last one counts
    later = rows > first
    cells["row"][named[later]] = rows[later] - first + opening.size
