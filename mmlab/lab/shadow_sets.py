"""Parameter sets that run along on a going session without sending orders: the worker's inside.

Each set is a replay that goes on with every new event, from the second at which it was added and with the position that
the session had then; so it agrees with what a `Rehearsal` says of the same window. What is done with is dropped, but
for fills and seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mmlab.config import Config
from mmlab.errors import ConfigError, SessionError
from mmlab.events import NS_PER_S
from mmlab.lab.fill_markouts import Reference, reference
from mmlab.lab.player import Player, resolved
from mmlab.lab.recording import REASONS, Recording
from mmlab.lab.shadows import LIVE
from mmlab.lab.window_figures import Window, figures, gate_times, markout_1s

Array = np.ndarray[Any, Any]
SETTLED_NS = 2 * NS_PER_S
"""So long after a fill its 1-s markout is what it will be."""

MOST_ROWS, KEPT_S = 4_000_000, 120.0
"""Above so many events those of before the last seconds are let go; of an event about 100 bytes are held."""


class Tally:
    """Figures of one run since `start_ns`, kept up as its tables grow."""

    def __init__(self, start_ns: int) -> None:
        self.start_ns = self._until_ns = start_ns
        self._times: dict[str, float] = {}
        self._markouts, self._last = np.zeros(0), np.zeros(0, REASONS)

    def figures(self, window: Window, fills: Array, metrics: Array, decisions: Array) -> dict[str, float]:
        """Figures of a window that begins at `start_ns` and ends later each time.

        Parameters
        ----------
        window : Window
        fills, metrics : ndarray of FILL, METRIC
            All of them, in the order in which they came.
        decisions : ndarray
            Those since the call before, none later than the window's end.
        """
        known = self._markouts.size
        markouts = np.concatenate([self._markouts, markout_1s(window, fills[known:])])
        settled = fills["exch_ns"][known:] < window.end_ns - SETTLED_NS
        self._markouts = markouts[: known + (settled.size if settled.all() else int(np.argmin(settled)))]
        self._take(window, decisions)
        return figures(window, fills, metrics, markouts) | self._times

    def _take(self, window: Window, decisions: Array) -> None:
        """Add the time in gates since the call before."""
        rows = np.zeros(self._last.size + decisions.size, REASONS)
        for name in REASONS.names or ():
            rows[name] = np.concatenate([self._last[name], decisions[name]])
        new = Window(self._until_ns, window.end_ns, window.instrument, window.reference)
        self._times = {name: self._times.get(name, 0.0) + value for name, value in gate_times(new, rows).items()}
        self._until_ns, self._last = window.end_ns, rows[-1:].copy()


class ShadowSet:
    """One set; `player` is none until the session has left its warm-up."""

    def __init__(self, name: str, config: Config, asked_ns: int) -> None:
        self.name, self.config, self.asked_ns = name, config, asked_ns
        self.player: Player | None = None
        self.tally = Tally(asked_ns)

    def begin(self, recording: Recording) -> None:
        """Start, at a time that the recording has reached."""
        start_ns = max(self.asked_ns, recording.start_ns)
        self.player = Player(recording, self.config, resolved(recording, self.config), start_ns)
        self.tally = Tally(start_ns)


class ShadowSets:
    """All sets of a session.

    Parameters
    ----------
    recording : Recording
        Of the session; from now on it holds all that comes.
    """

    def __init__(self, recording: Recording) -> None:
        self.recording, self.sets = recording, dict[str, ShadowSet]()
        self._live: Tally | None = None
        self.most_rows = MOST_ROWS
        recording.refresh()
        recording.keep_all()

    def add(self, name: str, config: Config) -> None:
        """Run a set from now on."""
        self.sets[name] = ShadowSet(name, config, self.recording.end_ns)

    def remove(self, name: str) -> None:
        """Run it no more."""
        self.sets.pop(name, None)

    def step(self) -> bool:
        """Take in what was recorded, and let every set catch up; whether there is something to report."""
        r = self.recording
        r.refresh()
        if r.tape is None or not r.tape.read or r.end_ns <= r.start_ns:
            return False
        for one in self.sets.values():
            if one.player is None:
                one.begin(r)
        if self._live is None and self.sets:
            self._live = Tally(min(one.tally.start_ns for one in self.sets.values()))
        tape = r.tape.tape()
        for one in self.sets.values():
            if one.player is not None:
                one.player.advance(tape)
        if r.tape.size > self.most_rows:
            self._shorten()
        return bool(self.sets)

    def _shorten(self) -> None:
        """Let go of events that no set needs any more."""
        r = self.recording
        if self.sets:
            self.report()  # takes note of markouts, for which the market is needed
        found = r.shorten(r.end_ns - max(r.run_in_ns, round(KEPT_S * NS_PER_S)))
        for one in self.sets.values():
            if found is not None and one.player is not None:
                one.player.move(*found)

    def report(self) -> dict[str, dict[str, float]]:
        """Figures by name, the session's own as ``live``; after a `step` that was true.

        Each has ``start_ns`` and ``end_ns`` too, and a set ``live_net_pnl_quote`` and ``live_fills``: the session's own
        since the set began. The session's row begins with the first set.
        """
        r = self.recording
        assert r.tape is not None  # noqa: S101  `step` has looked
        mids = reference(r.tape.tape().book, r.instrument.tick_size)
        rows = {LIVE: self._live_row(mids)}
        for name, one in self.sets.items():
            if one.player is not None and one.tally.start_ns < r.end_ns:
                window = Window(one.tally.start_ns, r.end_ns, r.instrument, mids)
                result = one.player.result()
                row = one.tally.figures(window, result.fills, result.metrics, result.decisions)
                one.player.forget()
                rows[name] = row | self._beside(window) | {"start_ns": window.start_ns, "end_ns": window.end_ns}
        return rows

    def _live_row(self, mids: Reference) -> dict[str, float]:
        r, tally = self.recording, self._live
        assert tally is not None  # noqa: S101  `step` has made it
        window = Window(tally.start_ns, r.end_ns, r.instrument, mids)
        decisions = r.take_decisions(r.end_ns)
        row = tally.figures(window, r.fills, r.metrics, decisions)
        return row | self._beside(window) | {"start_ns": window.start_ns, "end_ns": window.end_ns}

    def _beside(self, window: Window) -> dict[str, float]:
        """The session's own money and fills over a set's time."""
        r = self.recording
        own = figures(window, r.fills, r.metrics, np.zeros(r.fills.size))
        return {"live_net_pnl_quote": own["net_pnl_quote"], "live_fills": own["fills"]}


def play_sets(run_dir: str | Path, sets: Mapping[str, dict[str, Any]]) -> pd.DataFrame:
    """What shadow sets would have shown, had they run since the session's warm-up.

    Parameters
    ----------
    run_dir : path
        Directory of a paper or live run, going or ended.
    sets : mapping
        Name -> changes of the parameters in force.

    Returns
    -------
    DataFrame
        As `mmlab.lab.shadows.read_shadows`.

    Raises
    ------
    ConfigError
        What is wrong with which set.
    SessionError
        The directory is cut short or damaged, or nothing can be replayed yet.
    """
    recording = Recording(run_dir)
    played = ShadowSets(recording)
    try:
        for name, changes in sets.items():
            try:
                played.sets[name] = ShadowSet(name, recording.config.with_(**changes), 0)
                resolved(recording, played.sets[name].config)
            except ConfigError as error:
                raise ConfigError(f"shadow set {name!r}: {error}") from None
        if not played.step():
            raise SessionError(f"{run_dir}: the session is still in its warm-up, or no sets were given")
        return frame(played.report())
    finally:
        recording.close()


def frame(rows: dict[str, dict[str, float]]) -> pd.DataFrame:
    """A report as a table."""
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis("name")
    table.insert(0, "time", pd.to_datetime(table.pop("end_ns").astype("int64"), utc=True))
    table.insert(1, "start", pd.to_datetime(table.pop("start_ns").astype("int64"), utc=True))
    return table
