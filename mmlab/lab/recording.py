"""`Recording`: a paper or live session as its directory tells it, taken in while it grows.

Held are the market's events of the last window as a tape, what the session did in it, and the parameters in force.

    warm-up or run-in        window                                 newest rows
    |------------------------|--------------------------------------|----------|
    tape begins              start_ns                               end_ns     last_ns

Nothing is quoted in the run-in: it gives the estimators their memory, as a warm-up does. The window ends a bit before
the newest row, since rows travel: only what can no longer be changed by a late one is replayed (`simulator.playback`).
"""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from mmlab.config import Config
from mmlab.errors import SessionError
from mmlab.events import EVENT, FILL, METRIC, NS_PER_S, InputKind, Kind
from mmlab.feeds.slicing import cut
from mmlab.instrument import Instrument
from mmlab.lab.backtesting import Setting, stored_setting
from mmlab.lab.quoters import Quoter
from mmlab.lab.verify import versions
from mmlab.resolve import WarmUp
from mmlab.simulator import Tape
from mmlab.simulator.growing import NEAR, WHOLE, GrowingTape, is_by_order, moved
from mmlab.telemetry.finish import LOCK, settle
from mmlab.telemetry.info import RUNNING, RunInfo
from mmlab.telemetry.inputs import KERNEL
from mmlab.telemetry.run_directory import read_record
from mmlab.telemetry.tails import CsvTail, StreamTail

Array = np.ndarray[Any, Any]

LAG_S, MOST_LAG_S = 1.0, 60.0
"""How far the window's end keeps behind the newest row; doubled when a row came later than that."""
STEPS = 30
"""The window's start moves on by this part of it at a time, in whole seconds."""
RUN_IN_HALF_LIVES, LEAST_RUN_IN_S, MOST_RUN_IN_S = 2.0, 60.0, 600.0
MOVE = 0.1
"""The tape's price window is laid anew once the price has moved by this share."""
REASONS = np.dtype([("local_ns", "i8"), ("bid_reasons", "u4"), ("ask_reasons", "u4")])
"""What is read of decisions."""


class Rows:
    """A table that grows at its end and is cut at its beginning."""

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self._rows, self._first, self._end = np.zeros(64, dtype), 0, 0

    @property
    def all(self) -> Array:
        """The rows held; good until the next `add`."""
        return self._rows[self._first : self._end]

    def add(self, rows: Array) -> None:
        """Add rows at the end."""
        if self._end + rows.size > self._rows.size:
            held = self.all
            room = np.zeros(2 * (held.size + rows.size), self._rows.dtype)
            room[: held.size] = held
            self._rows, self._first, self._end = room, 0, held.size
        self._rows[self._end : self._end + rows.size] = rows
        self._end += rows.size

    def drop(self, n: int) -> None:
        """Drop the first `n` rows."""
        self._first += max(0, n)


class Recording:
    """One session's recorded events.

    Parameters
    ----------
    run_dir : path
        Directory of a paper or live run, going or ended.
    window_s : float
        How much of it is held, session time; the window is up to a thirtieth longer. Infinite: all.
    strategy : Quoter, optional
        The session's own quoting function, if it has one.
    whole : bool
        Keep a price window that need not be laid anew, as an infinite window has it.

    Attributes
    ----------
    run_dir, info, instrument, warmup, setting
        What ``run.json`` says.
    first, config, version
        Parameters at the start, those in force, and their version.
    start_ns, last_ns : int
        Start of the window, and newest recorded time; session time, ns.
    tape : GrowingTape
        The market's events.
    anchors, late : int
        How often the tape was begun anew: what was made of one tape does not go with another. And how often a row came
        so late that what was replayed would have to be replayed again.

    Raises
    ------
    SessionError
        It is no run directory, a backtest's, cut short or damaged: which file, and what to do.
    """

    def __init__(
        self,
        run_dir: str | Path,
        window_s: float = math.inf,
        strategy: Quoter | None = None,
        *,
        whole: bool = False,
    ) -> None:
        self.run_dir, self._window_ns = Path(run_dir), window_s * NS_PER_S
        self._whole = whole or window_s == math.inf
        record = read_record(self.run_dir)
        if record["inputs"]["what"] != KERNEL:
            raise SessionError(
                f"{self.run_dir}: a {record.get('mode', 'replay')} run records no session:"
                " use mmlab.what_if(mmlab.load_run(...), config)"
            )
        if record["ended"] == RUNNING or (self.run_dir / LOCK).exists():
            settle(self.run_dir)
            record = read_record(self.run_dir)
        self.info = RunInfo.from_json(record)
        self.instrument, self.warmup = Instrument(**record["instrument"]), WarmUp(**self.info.warmup)
        self.setting = setting_of(self.info, strategy)
        self.first = Config.load(self.run_dir / "config.toml")
        self.config, self.version = self.first, 0
        self._inputs, self._reasons = (
            StreamTail(self.run_dir, "inputs", EVENT), StreamTail(self.run_dir, "decisions", REASONS)
        )  # fmt: skip
        self._tails = {name: CsvTail(self.run_dir, name) for name in ("fills", "metrics")}
        self._rows = {"fills": Rows(FILL), "metrics": Rows(METRIC), "decisions": Rows(REASONS)}
        self.lag_ns, self.anchors, self.late, self.over = round(LAG_S * NS_PER_S), 0, 0, False
        self.start_ns, self.last_ns = self.warmup.end_ns, 0
        self._replayed_ns = 0  # no row may be earlier than this at the exchange
        self.tape: GrowingTape | None = None
        self._written: tuple[int, ...] = ()
        self._kept = False
        self._laid = 0  # the price about which the tape was laid

    # --- Taking in ---------------------------------------------------------------------------------------------------

    def refresh(self) -> int:
        """Take in what was recorded since the last call; returns how many events are held.

        Raises
        ------
        SessionError
            A file is damaged.
        """
        over = self.info.ended != RUNNING  # read first: what is written before the end is read below
        for rows in self._inputs.read():
            self._take(rows)
        for name, tail in self._tails.items():
            self._rows[name].add(tail.read())
        for rows in self._reasons.read():
            self._rows["decisions"].add(rows)
        self._look_at_changes()
        if over and not self.over and self.tape is not None:
            self.tape.extend(self.tape.events[:0], over=True)
        self.over = over
        self._forget()
        return 0 if self.tape is None else self.tape.size

    def _take(self, rows: Array) -> None:
        if not rows.size:
            return
        events = rows[rows["kind"] < min(InputKind)]  # the others are of the engine's own making
        if events.size:
            np.maximum.accumulate(events["local_ns"], out=events["local_ns"])
            np.maximum(events["local_ns"], self.last_event_ns, out=events["local_ns"])
            if int(events["exch_ns"].min()) <= self._replayed_ns:
                self._late()
            if self.tape is None:
                self._begin(events)
            else:
                self.tape.extend(events)
        self.last_ns = max(self.last_ns, int(rows["local_ns"].max()))
        due_ns = self._due_ns()
        if due_ns > self.start_ns or self._has_moved():
            self._anchor(due_ns)

    @property
    def last_event_ns(self) -> int:
        """Local time of the newest event held."""
        return int(self.tape.events["local_ns"][-1]) if self.tape is not None and self.tape.size else 0

    def _late(self) -> None:
        """A row came later than what was taken for settled: what was replayed is to be replayed again."""
        self.lag_ns = min(2 * self.lag_ns, round(MOST_LAG_S * NS_PER_S))
        self.late += 1
        self._replayed_ns = 0

    def _begin(self, events: Array) -> None:
        mid_ticks = self.instrument.to_ticks(self.warmup.mid) if self.tape is None else self._mid_ticks()
        by_order = is_by_order(events) if self.tape is None else self.tape.by_order
        reach = WHOLE if self._whole else NEAR
        self.tape = GrowingTape(mid_ticks, reach, by_order=by_order, adds=self.setting.queue == "l3")
        self.tape.extend(events)
        self.anchors += 1
        self._replayed_ns = 0
        self._laid = mid_ticks

    def _mid_ticks(self) -> int:
        """The newest price."""
        assert self.tape is not None  # noqa: S101  there is one when there are events
        book = self.tape.tape().book
        valid = np.flatnonzero(book["valid"][-1024:])
        if not valid.size:
            return self._laid
        row = book[-1024:][valid[-1]]
        return (int(row["bid_ticks"]) + int(row["ask_ticks"])) // 2

    def _due_ns(self) -> int:
        """Where the window begins by now: at the end of the warm-up, then at whole steps from there."""
        if self._window_ns == math.inf:
            return self.start_ns
        first_ns = -(-self.warmup.end_ns // NS_PER_S) * NS_PER_S
        step_ns = max(1, int(self._window_ns / STEPS) // NS_PER_S) * NS_PER_S
        steps = (self.last_ns - int(self._window_ns) - first_ns) // step_ns
        return first_ns + steps * step_ns if steps > 0 else self.warmup.end_ns

    def _has_moved(self) -> bool:
        """Whether the price has left the middle of the tape."""
        if self._whole or self.tape is None:
            return False
        return abs(self._mid_ticks() - self._laid) > MOVE * self._laid + 1

    def _anchor(self, start_ns: int) -> None:
        """Move the window's start on."""
        self.start_ns = max(start_ns, self.start_ns)
        if self.tape is not None:
            events, from_ns = self.tape.events, self.start_ns - self.run_in_ns
            self._begin(cut(events, whole_before(events, from_ns), events.size, from_ns))

    @property
    def run_in_ns(self) -> int:
        """Length of the run-in."""
        run_in_s = RUN_IN_HALF_LIVES * self.config.strategy.half_life_s
        return round(min(max(run_in_s, LEAST_RUN_IN_S), MOST_RUN_IN_S) * NS_PER_S)

    def _look_at_changes(self) -> None:
        """Parameters in force, and whether the run is over."""
        written = tuple((self.run_dir / name).stat().st_mtime_ns for name in ("changes.jsonl", "run.json"))
        if written == self._written:
            return
        self._written = written
        known = versions(self.run_dir, self.first)
        self.version = max(known)
        self.config = known[self.version]
        self.info = RunInfo.from_json(read_record(self.run_dir))

    def _forget(self) -> None:
        """Drop what lies before the window; of metrics and decisions the last row before it says how it begins."""
        if self._kept:
            return
        for name, rows in self._rows.items():
            before = int(np.searchsorted(rows.all["local_ns"], self.start_ns, "right"))
            rows.drop(before if name == "fills" else before - 1)

    # --- Looking -----------------------------------------------------------------------------------------------------

    @property
    def settled_ns(self) -> int:
        """Local time up to which nothing can change any more."""
        return self.last_ns if self.over else self.last_ns - self.lag_ns

    @property
    def end_ns(self) -> int:
        """End of the window, a whole second."""
        return self.settled_ns // NS_PER_S * NS_PER_S

    def replayed(self, until_ns: int) -> None:
        """A replay was taken up to `until_ns`: a row that was earlier at the exchange comes too late for it."""
        self._replayed_ns = max(self._replayed_ns, until_ns + 1)

    @property
    def fills(self) -> Array:
        """The session's fills, `FILL`."""
        return self._rows["fills"].all

    @property
    def metrics(self) -> Array:
        """The session's seconds, `METRIC`."""
        return self._rows["metrics"].all

    @property
    def decisions(self) -> Array:
        """The session's decisions, `REASONS`."""
        return self._rows["decisions"].all

    def second(self, ns: int) -> Array:
        """The session's own `METRIC` row at a time, or the last before it; none before the first second."""
        n = int(np.searchsorted(self.metrics["local_ns"], ns, "right"))
        return self.metrics[max(0, n - 1) : n]

    def take_decisions(self, until_ns: int) -> Array:
        """Decisions up to a time, which are then dropped; the first call also gives what there was before."""
        rows = self._rows["decisions"]
        taken = rows.all[: int(np.searchsorted(rows.all["local_ns"], until_ns, "right"))].copy()
        rows.drop(taken.size)
        return taken

    def keep_all(self) -> None:
        """From now on the window's start stays where it is."""
        self._window_ns, self._kept = math.inf, True

    def shorten(self, until_ns: int) -> tuple[Tape, Tape, int, int] | None:
        """Let go of events before `until_ns`: arguments for `Playback.move`; None where that must wait.

        Where our place in a queue depends on who came before us (``queue = "l3"``), nothing is let go.
        """
        old = self.tape
        if old is None or self.setting.queue == "l3":
            return None
        events = old.events
        first = whole_before(events, until_ns)
        if not 0 < first < events.size or events["local_ns"][first - 1] == events["local_ns"][first]:
            return None
        found = moved(old, first, cut(events, first, events.size, int(events["local_ns"][first])))
        if found is None:
            return None
        self.tape, opening = found
        return old.tape(), self.tape.tape(), first, opening

    def close(self) -> None:
        """Close the files."""
        self._inputs.close()
        self._reasons.close()


def setting_of(info: RunInfo, strategy: Quoter | None) -> Setting:
    """How the session's market is simulated: its own latency, queue model and seed.

    Raises
    ------
    SessionError
        The session has a quoting function of its own, and `strategy` is none.
    """
    if not info.setting:
        return Setting(strategy=strategy, seed=info.seed)
    if strategy is None:
        return stored_setting(info)
    return replace(stored_setting(replace(info, setting={**info.setting, "strategy": None})), strategy=strategy)


def whole_before(events: Array, from_ns: int) -> int:
    """First row at or after `from_ns`; earlier, if a snapshot or a venue message is on its way there."""
    first = int(np.searchsorted(events["local_ns"], from_ns, "left"))
    kinds = events["kind"][:first]
    begins, ends = (np.flatnonzero(kinds == kind) for kind in (Kind.SNAPSHOT_BEGIN, Kind.SNAPSHOT_END))
    if begins.size and (not ends.size or ends[-1] < begins[-1]):
        return int(begins[-1])
    return first
