"""`Dashboard`: what one session shows, in a page of its own or in a cell.

A tick, five times a second, brings the head and the view that is shown up to date; other views wait until they are
chosen. Views are made when they are first chosen, and kept while the run is.
"""

from __future__ import annotations

import logging
from html import escape
from pathlib import Path
from typing import Any

import panel as pn

from mmlab.errors import MMLabError
from mmlab.lab.numbers import number
from mmlab.telemetry.info import RUNNING
from mmlab.views.compare import Compare
from mmlab.views.components import Bar, Place, html, part, set_html
from mmlab.views.figures import WINDOWS_S
from mmlab.views.flow import Flow
from mmlab.views.gates import Gates
from mmlab.views.hub import Hub
from mmlab.views.inventory import Inventory
from mmlab.views.jobs import Jobs
from mmlab.views.markouts import Markouts
from mmlab.views.orders import Orders
from mmlab.views.overview import Overview
from mmlab.views.store import Store
from mmlab.views.tune import Tune
from mmlab.views.view import Desk, View
from mmlab.views.words import badge, empty, money, tone_of

VIEWS: tuple[type[View], ...] = (Overview, Markouts, Flow, Inventory, Gates, Orders, Tune, Compare)
PERIOD_MS = 200
_log = logging.getLogger(__name__)


class Dashboard(pn.viewable.Viewer):
    """One viewer of one folder of runs, or of one run.

    Parameters
    ----------
    hub : Hub
    folder : Path, optional
        Runs to choose from, newest first.
    run_dir : Path, optional
        The run to show; without a folder the only one.
    run, view : str
        Name of the run and of the view to begin with.
    read_only : bool
        Without controls.
    page : bool
        It is a page of its own: it sets its title and address, and loads itself again after a lost connection.
    """

    def __init__(
        self,
        hub: Hub,
        folder: Path | None = None,
        *,
        run_dir: Path | None = None,
        run: str = "",
        view: str = "",
        read_only: bool = False,
        page: bool = True,
    ) -> None:
        super().__init__()
        self.hub, self.folder, self.read_only = hub, folder, read_only
        self._only = run_dir
        self.store: Store | None = None
        self.jobs = Jobs(hub.pool)
        self._views: dict[str, View] = {}
        self._broken: dict[str, str] = {}
        self._desk: Desk | None = None
        self._beat, self._said = 0, 0
        known = [one.name_ for one in VIEWS]
        self.bar = Bar(self._hear, page=page, views=[[one.name_, one.title] for one in VIEWS],
                       view=view if view in known else known[0])  # fmt: skip
        self._place = Place(
            sizing_mode="stretch_width", css_classes=["views"], stylesheets=[part("card.css")], margin=0
        )
        self._nothing = html()
        self.body = pn.Column(
            self.bar, self._place, sizing_mode="stretch_width", margin=0, css_classes=["mm"],
            stylesheets=[part("view.css"), _STICKY],
        )  # fmt: skip
        self._list()
        self._choose(run)
        self.bar.param.watch(lambda event: self._choose(event.new), "run")
        self.bar.param.watch(lambda _: self._show(), "view")
        self.bar.param.watch(lambda event: self.theme(dark=event.new), "dark")
        self.tick()

    # --- what is shown -----------------------------------------------------------------------------------------------

    def _list(self) -> None:
        """The runs to choose from."""
        if self.folder is None:
            runs = [] if self._only is None else [{"name": self._only.name, "label": self._only.name}]
        else:
            runs = [
                {"name": one.path.name, "label": f"{'● ' if one.going else ''}{one.path.name} ({_how(one.ended)})"}
                for one in self.hub.runs(self.folder)
            ]
        if runs != self.bar.runs:
            self.bar.runs = runs
        if not self.bar.run and runs:
            self.bar.run = runs[0]["name"]

    def _choose(self, name: str) -> None:
        """Show another run."""
        runs = [one["name"] for one in self.bar.runs]
        name = name or (runs[0] if runs else "")
        path = self._only if self.folder is None else self.folder / name
        if (
            not name
            or path is None
            or Path(name).name != name
            or (self.store and self.store.run_dir == path.absolute())
        ):
            self._show()
            return
        self.leave()
        self.store, self._views, self._broken = self.hub.watch(path), {}, {}
        self._desk = Desk(
            self.store,
            self.hub,
            self.jobs,
            self.say,
            folder=self.folder,
            read_only=self.read_only,
            dark=self.bar.dark,
        )
        if self.bar.run != name:
            self.bar.run = name
        self._show()

    def _show(self) -> None:
        """Put the chosen view in place."""
        view = self._view()
        shown = self._nothing if view is None else view.body
        if view is None:
            set_html(self._nothing, self._words())
        if list(self._place.objects) != [shown]:
            if view is not None:
                self._refresh(view)
            self._place.objects = [shown]
        self.bar.shown = self.bar.view

    def _view(self) -> View | None:
        store, desk = self.store, self._desk
        if store is None or desk is None or not store.record:
            return None
        name = self.bar.view
        if name in self._broken:
            return None
        if name not in self._views:
            kind = next(one for one in VIEWS if one.name_ == name)
            try:
                self._views[name] = kind(desk)
            except Exception as error:  # noqa: BLE001  one view must not take the others, and KILL, with it
                self._break(name, error)
        return self._views.get(name)

    def _refresh(self, view: View) -> None:
        try:
            view.refresh()
        except Exception as error:  # noqa: BLE001  likewise
            self._break(view.name_, error)
            self._show()

    def _break(self, name: str, error: Exception) -> None:
        """A view that failed stays away until another run is chosen."""
        _log.exception("the view %s failed", name)
        self._broken[name] = f"{type(error).__name__}: {error}"
        self._views.pop(name, None)

    def _words(self) -> str:
        """Why there is nothing to show, and what to do."""
        if self.store is None:
            return empty(
                "No runs yet",
                f"There is no run directory in <code>{escape(str(self.folder))}</code>.",
                "Start one: <code>mmlab paper data/sample.parquet</code>. It appears here by itself.",
            )
        if self.bar.view in self._broken:
            return empty("This view failed", escape(self._broken[self.bar.view]), "Other views and KILL still work.")
        if self.store.trouble:
            return empty("This run cannot be shown", escape(self.store.trouble))
        return empty("Looking at the run", "Its files have not been read yet.")

    # --- tick --------------------------------------------------------------------------------------------------------

    def tick(self) -> None:
        """Bring up to date what is shown."""
        with pn.io.hold():
            self.jobs.collect()
            self._beat += 1
            if self._beat % 10 == 0:
                self._list()
            view = self._view()
            if view is None or self._nothing in self._place.objects or not self._place.objects:
                self._show()
            elif self._beat > 1:
                self._refresh(view)
            self._head()

    def _head(self) -> None:
        store, bar = self.store, self.bar
        if store is None:
            status: dict[str, Any] = {"badge": "no runs", "tone": "", "why": "", "read_only": self.read_only}
            age = None
        else:
            word, tone, why = badge(store)
            age = None if not store.age_s >= 0 else round(store.age_s, 1)
            status = {
                "badge": word, "tone": tone, "why": why, "chips": _chips(store), "read_only": self.read_only,
                "can_kill": store.going, "can_rearm": store.live and _can_rearm(store.state),
                "ended_words": "run is over" if store.record and not store.going else "",
            }  # fmt: skip
        if status != bar.status:
            bar.status = status
        bar.pulse = [self._beat, age]

    def theme(self, *, dark: bool) -> None:
        """Light or dark."""
        with pn.io.hold():
            self.body.css_classes = ["mm", "dark"] if dark else ["mm"]
            if self._desk is not None:
                self._desk.dark = dark
            for view in self._views.values():
                view.theme(dark=dark)

    def leave(self) -> None:
        """Watch the run no longer."""
        if self.store is not None:
            self.hub.leave(self.store)
            self.store = self._desk = None
            self._views = {}

    def left(self, _: Any) -> None:
        """The browser has gone."""
        self.leave()

    # --- steering ----------------------------------------------------------------------------------------------------

    def say(self, text: str, tone: str = "") -> None:
        """Put a sentence in the line of messages."""
        self._said += 1
        self.bar.said = {"text": text, "tone": tone, "n": self._said}

    def _hear(self, message: dict[str, Any]) -> None:
        store, what = self.store, message.get("what")
        if what == "here":
            self._anew()
        elif what == "tick":
            self.tick()
        if self.read_only or store is None or what not in ("kill", "rearm"):
            return
        if what == "kill":
            self.say("Killing…", "warn")
            self.jobs.start("kill", lambda: store.engine().kill("dashboard"), self._killed)
        else:
            self.say("Re-arming…", "warn")
            self.jobs.start("rearm", lambda: store.engine().rearm(), self._rearmed)

    def _anew(self) -> None:
        """The cell shows the page now, maybe once more: figures begin with all they hold."""
        for view in self._views.values():
            if view.times is not None:
                view.times.window(WINDOWS_S[view.desk.window])

    def _killed(self, _: Any, error: Exception | None) -> None:
        if error is None:
            self.say("Killed: all orders are being cancelled. It stays halted until it is re-armed.", "bad")
        else:
            self.say(f"NOT killed: {_reason(error)}", "bad")

    def _rearmed(self, _: Any, error: Exception | None) -> None:
        if error is None:
            self.say("Re-armed: it quotes again as soon as the book is fresh and nothing else holds it.", "good")
        else:
            self.say(f"Not re-armed: {_reason(error)}", "bad")

    def __panel__(self) -> Any:
        return self.body


def _how(ended: str) -> str:
    return "going" if ended == RUNNING else ended if len(ended) < 24 else f"{ended[:22]}…"


def _can_rearm(state: dict[str, Any]) -> bool:
    return bool(state.get("latched")) or any(one["latched"] for one in state.get("switches", []))


def _reason(error: Exception) -> str:
    return str(error) if isinstance(error, MMLabError) else f"{type(error).__name__}: {error}"


def _chips(store: Store) -> list[list[str]]:
    """Figures of the head: from the engine while it answers, else from the files."""
    live, state, m = store.live, store.state, store.metrics
    net = state["net_pnl"] if live else m.last("net_pnl")
    chips = [
        ["Net P&L", money(net), tone_of(net)],
        ["Position", number(state["position"] if live else m.last("position")), ""],
        ["Fills", number(state["fills"] if live else store.fills.total), ""],
    ]
    if live:
        chips += [
            ["Bid", str(state["bid"]), "" if state["bid"] == "quoting" else "warn"],
            ["Ask", str(state["ask"]), "" if state["ask"] == "quoting" else "warn"],
            ["Orders", number(len(state["orders"])), ""],
        ]
        if state["best_bid"] is not None and state["best_ask"] is not None:
            chips.append(["Market", f"{number(state['best_bid'], 10)} / {number(state['best_ask'], 10)}", ""])
    return chips


_STICKY = """
:host(.mm) > .bk-panel-models-esm-ReactiveESM, :host(.mm) > :first-child { position: sticky; top: 0; z-index: 20; }
"""
