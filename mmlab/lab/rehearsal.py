"""What-if on a session's recorded events: the last half hour with the parameters in force, and with changes on top."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from pathlib import Path
from threading import RLock
from typing import Any

import numpy as np
import pandas as pd

from mmlab.config import Config
from mmlab.errors import FeedError, SessionError
from mmlab.events import NS_PER_S
from mmlab.feeds.feed import Feed
from mmlab.lab.backtesting import setting_dict
from mmlab.lab.fill_markouts import Reference, markouts_of, reference
from mmlab.lab.player import Player, resolved
from mmlab.lab.quoters import Quoter
from mmlab.lab.recording import Recording
from mmlab.lab.run import Run
from mmlab.lab.window_figures import OPTIONAL, Window, figures, gate_times, within
from mmlab.simulator import Tape
from mmlab.simulator.replay import Replay
from mmlab.telemetry.info import RunInfo
from mmlab.telemetry.tables import Tables, record_to_dict

Array = np.ndarray[Any, Any]

WINDOW_S = 1800.0
MUCH = 0.05
"""Share of the window by which the time in a switch may differ between session and replay without a note."""
MATCH_NS = NS_PER_S
"""A replayed fill is the session's own if side and price are the same and they are no farther apart."""


@dataclass(frozen=True, eq=False)
class WhatIf:
    """One question, answered.

    Attributes
    ----------
    now, then : Run
        The window with the parameters in force, and with the changes.
    table : DataFrame
        One row a figure (`mmlab.lab.window_figures.figures`): ``now, then, difference`` (then - now) and ``session``:
        what the session really did, under whatever parameters were in force at the time.
    seconds : float
        How long the answer took.
    changes : dict
        Parameters that differ, dotted names.
    start, end : Timestamp
        The window, session time.
    matched : dict
        How far the replay with the parameters in force is to be trusted: ``session`` and ``replay``, fills of each;
        ``same``, how many agree in side and price within a second.
    notes : list of str
        What the reader should know.
    """

    now: Run
    then: Run
    table: pd.DataFrame
    seconds: float
    changes: dict[str, Any]
    start: pd.Timestamp
    end: pd.Timestamp
    matched: dict[str, int]
    notes: list[str] = field(default_factory=list)
    session: Array = field(default_factory=lambda: np.zeros(0), repr=False)
    """`METRIC` rows of the session itself, from the window's start."""

    def _repr_html_(self) -> str:
        from mmlab.lab.what_if_html import what_if_html

        return what_if_html(self)


class Rehearsal:
    """Replays the end of a session's recorded events, with other parameters.

    Parameters
    ----------
    run_dir : path
        Directory of a paper or live run, going or ended.
    window_s : float
        How much of it is replayed, session time; infinite: all since its warm-up. The window's start moves in steps, so
        it may be up to a thirtieth longer.
    strategy : Quoter, optional
        The session's own quoting function, if it has one.

    Raises
    ------
    SessionError
        It is no run directory, a backtest's, cut short or damaged: which file, and what to do.

    Notes
    -----
    The replay begins with the position that the session had at the window's start, valued at the mid, since ladder and
    age exit depend on it and the session's own figures begin with it too. Estimators begin afresh, in a run-in before
    the window; so do the memories of the kill switches. Latency, queue model and seed are the session's. Methods may be
    called by several threads.
    """

    def __init__(self, run_dir: str | Path, window_s: float = WINDOW_S, strategy: Quoter | None = None) -> None:
        self._recording, self._lock = Recording(run_dir, window_s, strategy), RLock()
        self._now: Player | None = None
        self._market: tuple[tuple[int, int], Tape, Reference] | None = None
        self._asked = False

    @property
    def recording(self) -> Recording:
        """What is known of the session."""
        return self._recording

    def refresh(self) -> int:
        """Take in what was recorded since the last call; returns how many events are held.

        Raises
        ------
        SessionError
            A file of the directory is damaged.
        """
        with self._lock:
            held = self._recording.refresh()
            if self._asked and self._why_not() is None:
                self._play_now()
            return held

    def compare(self, changes: dict[str, Any] | Config) -> WhatIf:
        """The window with the parameters in force, and with `changes` on top.

        Parameters
        ----------
        changes : dict or Config
            Dotted names and values, or a whole config.

        Raises
        ------
        ConfigError
            Every wrong field.
        SessionError
            There is nothing to replay yet.
        """
        started = time.perf_counter()
        with self._lock:
            recording = self._recording
            if recording.tape is None:
                self.refresh()
            config = changes if isinstance(changes, Config) else recording.config.with_(**changes)
            params = resolved(recording, config)
            why_not = self._why_not()
            if why_not is not None:
                raise SessionError(f"{recording.run_dir}: {why_not}")
            self._asked = True
            now = self._play_now()
            then = Player(recording, config, params, recording.start_ns)
            tape, mids = self._tape()
            then.advance(tape)
            return self._answer(now, then, mids, started)

    def _why_not(self) -> str | None:
        """Why nothing can be replayed yet."""
        r = self._recording
        if r.tape is None or not r.tape.read:
            return "no market events are recorded yet: ask again in a moment"
        if r.end_ns <= r.start_ns:
            left_s = (r.start_ns - r.settled_ns) / NS_PER_S + 1
            return f"the session is in its warm-up, or has just left it: ask again in {math.ceil(left_s)} s"
        return None

    def _tape(self) -> tuple[Tape, Reference]:
        r = self._recording
        assert r.tape is not None  # noqa: S101  `_why_not` has looked
        key = (r.anchors, r.tape.read)
        if self._market is None or self._market[0] != key:
            tape = r.tape.tape()
            self._market = (key, tape, reference(tape.book, r.instrument.tick_size))
        return self._market[1], self._market[2]

    def _play_now(self) -> Player:
        """The replay with the parameters in force, up to the window's end; it goes on from where it was."""
        recording = self._recording
        if self._now is None or not self._now.fits(recording):
            params = resolved(recording, recording.config)
            self._now = Player(recording, recording.config, params, recording.start_ns)
        self._now.advance(self._tape()[0])
        return self._now

    def _answer(self, now: Player, then: Player, mids: Reference, started: float) -> WhatIf:
        r = self._recording
        window = Window(r.start_ns, r.end_ns, r.instrument, mids)
        results = {"now": now.result(), "then": then.result()}
        acts = {name: (x.fills, x.metrics, x.decisions) for name, x in results.items()}
        acts["session"] = r.fills, r.metrics, r.decisions
        columns = {
            name: figures(window, fills, metrics) | gate_times(window, decisions)
            for name, (fills, metrics, decisions) in acts.items()
        }
        runs = {name: self._run(name, player, results[name], mids) for name, player in (("now", now), ("then", then))}
        own, played = (acts[name][0][within(acts[name][0], window)] for name in ("session", "now"))
        ours, theirs = now.config.flat(), then.config.flat()
        return WhatIf(
            now=runs["now"],
            then=runs["then"],
            table=table_of(columns),
            seconds=time.perf_counter() - started,
            changes={name: value for name, value in theirs.items() if value != ours[name]},
            start=pd.Timestamp(r.start_ns, tz="UTC"),
            end=pd.Timestamp(r.end_ns, tz="UTC"),
            matched={"session": own.size, "replay": played.size, "same": same_fills(own, played)},
            notes=self._notes(now) + switch_notes(columns["session"], columns["now"], window),
            session=np.concatenate([r.second(r.start_ns), r.metrics[within(r.metrics, window)]]),
        )

    def _notes(self, now: Player) -> list[str]:
        r = self._recording
        notes = []
        if not now.adopted:
            notes.append("the book was unusable at the window's start: the replays begin flat")
        lots = int(r.second(r.start_ns)["position_lots"].sum())
        if now.adopted and lots:
            size = lots * r.instrument.lot_size
            notes.append(f"the replays begin with the session's position of {size:g}, valued at the mid")
        if r.version:
            notes.append(f"{r.version} change(s) of parameters so far: the session column knows others than `now`")
        dropped = r.info.counters.get("dropped_inputs", 0)
        if dropped:
            notes.append(f"{dropped} inputs are missing from the recording: the disk did not keep up")
        return notes

    def _run(self, name: str, player: Player, result: Replay, mids: Reference) -> Run:
        r = self._recording
        instrument, setting, end_ns = r.instrument, r.setting, r.end_ns
        assert r.tape is not None  # noqa: S101  it was replayed
        events, info = r.tape.events, r.info
        warmup = {**info.warmup, "start_ns": player.began_ns, "end_ns": r.start_ns}
        about = RunInfo(
            name=f"{info.name} {name}", seed=setting.seed, queue=setting.queue, partial_fills=setting.partial_fills,
            latency={k: v for k, v in info.latency.items() if k != "faults"}, warmup=warmup,
            params=record_to_dict(player.params[0]), notes=self._notes(player), counters=result.counters,
            setting=setting_dict(setting), ended="end of the window", versions=info.versions,
        )  # fmt: skip
        tables = Tables(result.fills, result.orders, result.decisions, result.targets, result.gates, result.metrics)
        fees = (instrument.maker_fee_bps, instrument.taker_fee_bps)
        markouts = markouts_of(mids, instrument.tick_size, result.fills, fees)
        source, synthetic = f"recorded by {r.run_dir.name}", bool(info.market.get("synthetic", False))

        def feed() -> Feed:
            until = int(np.searchsorted(events["local_ns"], end_ns, "right"))
            try:
                return Feed(instrument, events[:until], source, {"synthetic": synthetic})
            except FeedError as error:
                raise SessionError(f"{r.run_dir}: its inputs are no feed: {error}") from None

        return Run(player.config, feed, instrument, tables, about, markouts=markouts)

    def close(self) -> None:
        """Close the files."""
        self._recording.close()


def table_of(columns: dict[str, dict[str, float]]) -> pd.DataFrame:
    """Figures side by side; switches that were never on are left out."""
    names = [n for n in columns["now"] if n not in OPTIONAL or any(column[n] for column in columns.values())]
    values = {name: [column[n] for n in names] for name, column in columns.items()}
    table = pd.DataFrame(values, index=pd.Index(names, name="metric"), dtype=np.float64)
    table.insert(2, "difference", table["then"] - table["now"])
    return table


def switch_notes(session: dict[str, float], now: dict[str, float], window: Window) -> list[str]:
    """Where a kill switch held back the session for much longer, or shorter, than its replay."""
    much_s = MUCH * (window.end_ns - window.start_ns) / NS_PER_S
    return [
        f"{name}: {session[name]:.0f} s in the session, {now[name]:.0f} s in the replay, whose switches begin afresh:"
        " compare fills and money with care"
        for name in sorted(OPTIONAL)
        if abs(session[name] - now[name]) > much_s
    ]


def same_fills(ours: Array, theirs: Array) -> int:
    """How many fills of two tables agree in side and price, and in time within `MATCH_NS`; each counts once."""
    waiting: dict[tuple[int, int], list[int]] = {}
    for side, ticks, ns in zip(theirs["side"], theirs["price_ticks"], theirs["exch_ns"], strict=True):
        waiting.setdefault((int(side), int(ticks)), []).append(int(ns))
    same = 0
    for side, ticks, ns in zip(ours["side"], ours["price_ticks"], ours["exch_ns"], strict=True):
        times = waiting.get((int(side), int(ticks)), [])
        near = next((t for t in times if abs(t - int(ns)) <= MATCH_NS), None)
        if near is not None:
            times.remove(near)
            same += 1
    return same
