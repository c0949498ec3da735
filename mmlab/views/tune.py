"""Tune: parameters to edit, what they would have done, apply, and what was changed by whom.

Edits wait in the form until they are applied, all or none. They stand on the version of the parameters that the page
showed at the first of them: if somebody else applies meanwhile, the engine refuses them and says who changed what.
"""

from __future__ import annotations

import threading
from html import escape
from time import monotonic
from typing import TYPE_CHECKING, Any

import numpy as np
from bokeh.models import ColumnDataSource, DataRange1d

from mmlab.config import Config
from mmlab.errors import ConfigError, MMLabError, SessionError
from mmlab.lab.figure_style import INK, WARN, hover, legend, time_figure
from mmlab.lab.numbers import number
from mmlab.views import fields
from mmlab.views.components import Form, card, grid, html, set_html
from mmlab.views.figures import LIGHT, Later
from mmlab.views.hub import Hub
from mmlab.views.store import Store
from mmlab.views.view import View
from mmlab.views.words import shown, table

if TYPE_CHECKING:
    import pandas as pd

    from mmlab.lab.rehearsal import WhatIf

LOOK_S = 2.0
HISTORY = 40
"""Versions of the table, the newest."""


class Tune(View):
    """The parameters of a session."""

    name_, title = "tune", "Tune"

    def make(self) -> Any:
        """Build it."""
        self._base: int | None = None
        self._auto = self._again = False
        self._version: object = None
        self._looked = -np.inf
        self.form = Form(self._hear, groups=fields.groups())
        self._story, self._verdict = html(), html()
        self._curves = {name: ColumnDataSource({"x": [], "net": []}) for name in ("now", "then")}
        plot = time_figure(DataRange1d(), 190, "what_if")
        plot.y_range = DataRange1d(range_padding=0.08)
        plot.min_border_left, plot.min_border_top, plot.min_border_bottom = 52, 4, 4
        for name, color in (("now", INK), ("then", WARN)):
            drawn = plot.line("x", "net", source=self._curves[name], color=LIGHT[0] if color == INK else color,
                              line_width=1.6, legend_label={"now": "as it is", "then": "with the changes"}[name],
                              tags=[INK] if color == INK else [])  # fmt: skip
        hover(plot, drawn, [("net P&L", "@net{0,0.[0000]}")])
        legend(plot)
        self.plots.append(plot)
        self._later = Later(plot)
        self._picture = card(self._later.pane, title="Net P&amp;L", note="of the replayed window")
        self._picture.visible = False
        self._shadow_table = html()
        self._beside = card(self._shadow_table, title="Shadow sets", note="run along without sending orders")
        self._beside.visible = False
        return grid(
            card(self.form, title="Parameters", note="edits wait until they are applied"),
            grid(
                card(self._verdict, title="What if", note="the last 30 minutes replayed with the changes"),
                self._picture,
                card(self._story, title="Changes so far"),
                self._beside,
            ),
        )

    def refresh(self) -> None:
        """Show what is new."""
        store = self.store
        self._lock_form()
        self._look_on()
        version = store.params.get("version")
        key = (version, len(store.params.get("history", ())))
        if version is None or key == self._version:
            if version is None:
                set_html(self._story, '<p class="hush">The config of this run cannot be read by this mmlab.</p>')
            return
        self._version = key
        flat = Config(**store.params["config"]).flat()
        self.form.param.update(applied={name: _plain(flat[name]) for name in fields.names()}, version=int(version))
        self.form.pending = {k: v for k, v in self.form.pending.items() if v != self.form.applied.get(k)}
        if not self.form.pending:
            self._base = None
        set_html(self._story, self._history())
        if not self.form.pending:
            self._no_verdict()

    def _look_on(self) -> None:
        """Every other second: shadow sets; and the recording, so that an answer at every change comes at once."""
        now = monotonic()
        if now - self._looked < LOOK_S:
            return
        self._looked = now
        hub, store = self.desk.hub, self.store
        if self._auto and self.form.can_try:
            self.desk.jobs.start("rehearse", lambda: rehearse(hub, store, {}), lambda *_: None)
        if (store.run_dir / "shadows.jsonl").exists():
            self.desk.jobs.start("shadows", lambda: shadows_of(store), self._show_shadows)

    def _show_shadows(self, found: pd.DataFrame | None, error: Exception | None) -> None:
        if error is not None:
            set_html(self._shadow_table, f'<p class="bad">{escape(str(error))}</p>')
        elif found is not None and len(found):
            set_html(self._shadow_table, _shadows(found))
        self._beside.visible = error is not None or (found is not None and len(found) > 0)

    def _lock_form(self) -> None:
        if self.desk.read_only:
            locked = "Read only: nothing can be applied here."
        elif not self.store.going and self.store.record:
            locked = "The run is over: only what-if is possible."
        elif not self.store.live:
            locked = "No engine answers: nothing can be applied."
        else:
            locked = ""
        can_try = self.store.record.get("mode") != "replay"
        if (self.form.locked, self.form.can_try) != (locked, can_try):
            self.form.param.update(locked=locked, can_try=can_try)

    # --- what the form says ------------------------------------------------------------------------------------------

    def _hear(self, message: dict[str, Any]) -> None:
        what = message.get("what")
        if what == "edit":
            self._edited(int(message["version"]))
        elif what == "apply":
            self._apply()
        elif what == "revert":
            self.form.complaint, self._base = "", None
            self._no_verdict()
        elif what == "try":
            self._try()
        elif what == "auto":
            self._auto = bool(message.get("on"))
            if self._auto:
                self._try()

    def _edited(self, version: int) -> None:
        if not self.form.pending:
            self._base = None
            self.form.complaint = ""
            self._no_verdict()
            return
        if self._base is None:
            self._base = version
        self.form.complaint = self._wrong()
        if self._auto and not self.form.complaint:
            self._try()

    def _wrong(self) -> str:
        """What is wrong with the edits, as the engine would say it."""
        try:
            Config(**self.store.params["config"]).with_(**self.form.pending)
        except ConfigError as error:
            return f"Nothing can be applied: {error}"
        return ""

    def _apply(self) -> None:
        if self.desk.read_only or not self.form.pending:
            return
        changes, base = dict(self.form.pending), self._base
        self.form.complaint = self._wrong()
        if self.form.complaint:
            return
        store = self.store

        def work() -> int:
            return store.engine().update(changes, base_version=base, source="dashboard")

        self.desk.jobs.start("apply", work, self._applied)

    def _applied(self, version: Any, error: Exception | None) -> None:
        if error is None:
            names = ", ".join(self.form.pending)
            self.desk.say(f"Applied as version {version}: {names}", "good")
            self.form.param.update(pending={}, complaint="")
            self._base = None
            self._no_verdict()
        elif isinstance(error, SessionError) and self.store.live:
            self._base = int(self.store.params.get("version", 0))
            self.form.complaint = (
                f"Nothing was applied: {error}\nYour edits are kept. Apply again to put them on top of that, or revert."
            )
        else:
            self.form.complaint = f"Nothing was applied: {error}"

    # --- what if -----------------------------------------------------------------------------------------------------

    def _try(self) -> None:
        changes = dict(self.form.pending)
        if not changes or self._wrong():
            return
        hub, store = self.desk.hub, self.store
        started = self.desk.jobs.start("what-if", lambda: rehearse(hub, store, changes), self._tried)
        self._again = not started
        if started:
            set_html(self._verdict, '<p class="hush">Replaying…</p>')

    def _tried(self, found: WhatIf | None, error: Exception | None) -> None:
        if self._again:
            self._again = False
            self._try()
            return
        if error is not None or found is None:
            words = str(error) if isinstance(error, MMLabError) else f"{type(error).__name__}: {error}"
            set_html(self._verdict, f'<p class="bad">No what-if: {escape(words)}</p>')
            self._picture.visible = False
            return
        if not self.form.pending:
            return
        set_html(self._verdict, _verdict(found))
        for name, run in (("now", found.now), ("then", found.then)):
            metrics = run.metrics
            self._curves[name].data = {"x": metrics["local_ns"].to_numpy() / 1e6, "net": metrics["net_pnl"].to_numpy()}
        self._later.show()
        self._picture.visible = True

    def _no_verdict(self) -> None:
        self._picture.visible = False
        words = "Edit something, then ask what it would have done."
        if not self.form.can_try:
            words = "A replay can be asked by mmlab.what_if: this is for sessions."
        set_html(self._verdict, f'<p class="hush">{words}</p>')

    # --- history -----------------------------------------------------------------------------------------------------

    def _history(self) -> str:
        history = self.store.params.get("history", [])
        rows = [
            (
                change["version"], str(change["time"])[11:19], change["source"], (name, "wrap"),
                shown(change["old"].get(name)), shown(new),
            )
            for change in list(history)[-HISTORY:][::-1]
            for name, new in change["new"].items()
        ]  # fmt: skip
        head = ("version", "time", "by", "parameter", "was", "is")
        return table(head, rows, empty="None: the session runs with the config it was started with.")


_REHEARSALS: dict[Store, tuple[threading.Lock, Any]] = {}
_GUARD = threading.Lock()


def rehearse(hub: Hub, store: Store, changes: dict[str, Any]) -> WhatIf | None:
    """What the last half hour would have been with `changes`; without any, only what is new is taken in."""
    from mmlab.lab.rehearsal import Rehearsal

    with _GUARD:
        for old in [one for one in _REHEARSALS if not hub.watchers(one.run_dir)]:
            del _REHEARSALS[old]
        if store not in _REHEARSALS:
            _REHEARSALS[store] = (threading.Lock(), Rehearsal(store.run_dir))
        lock, rehearsal = _REHEARSALS[store]
    with lock:
        rehearsal.refresh()
        return rehearsal.compare(changes) if changes else None


def shadows_of(store: Store) -> pd.DataFrame:
    """The newest figures of a session's shadow sets, and its own."""
    from mmlab.lab.shadows import read_shadows

    return read_shadows(store.run_dir)


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _verdict(found: WhatIf) -> str:
    """Table of a what-if, and how far it is to be trusted."""
    rows = [
        (
            str(name).replace("_", " "), number(row["now"]), number(row["then"]), number(row["difference"], sign=True),
            (number(row["session"]), "soft"),
        )
        for name, row in found.table.iterrows()
    ]  # fmt: skip
    changes = ", ".join(f"{name} = {shown(value)}" for name, value in found.changes.items())
    same, session = found.matched["same"], found.matched["session"]
    notes = [
        f"{changes}: {found.start:%H:%M:%S} to {found.end:%H:%M:%S} UTC, answered in {found.seconds * 1e3:.0f} ms.",
        f"As it is, the replay makes {same} of the session's {session} fills.",
        *found.notes,
    ]
    words = "".join(f'<p class="hush">{escape(note)}</p>' for note in notes)
    head = ("", "as it is", "changed", "difference", "session")
    return table(head, rows, numbers=(1, 2, 3, 4)) + words


SHADOW_COLUMNS = ("net_pnl_quote", "fills", "pnl_per_million", "markout_bid_bps", "markout_ask_bps")


def _shadows(found: pd.DataFrame) -> str:
    columns = [name for name in SHADOW_COLUMNS if name in found.columns]
    rows = [(str(name), *(number(row[column]) for column in columns)) for name, row in found.iterrows()]
    head = ("set", *(name.replace("_", " ") for name in columns))
    return table(head, rows, numbers=range(1, len(head)))
