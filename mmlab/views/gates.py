"""Gates and kill switches: when each acted, on what inputs, and what holds now."""

from __future__ import annotations

from html import escape
from typing import Any

import numpy as np
from bokeh.models import ColumnDataSource, FactorRange
from bokeh.plotting import figure

from mmlab.events import Reason
from mmlab.lab.figure_style import BAD, FONT, MUTED, WARN, hover, styled, time_figure
from mmlab.lab.numbers import number
from mmlab.views.components import card, grid, html, set_html
from mmlab.views.figures import WINDOWS_S, TimeFigures, pane
from mmlab.views.triggers import GATES, Trigger
from mmlab.views.view import View
from mmlab.views.words import clock, table

SHOWN = 60
"""Rows of the table."""
DRAWN = 1500
"""Bars of the timeline."""
LEAST_MS = 400.0
"""So that what happened at one moment can be seen."""
ROWS = (
    "manual", "messages", "collar", "hard_limit", "mismatch", "rejects", "link", "mark", "stale", "volatility",
    "drawdown", "loss", "losing", "burst", "toxic", "age_exit", "pull", "flip",
)  # fmt: skip
"""Rows of the timeline, from below."""


class Gates(View):
    """What held quotes back."""

    name_, title = "gates", "Gates & kill switches"

    def make(self) -> Any:
        """Build it."""
        self._version = -1
        times = TimeFigures([], going=self.store.going)
        self.source = ColumnDataSource(
            {name: [] for name in ("y", "left", "right", "color", "what", "input", "effect")}
        )
        self._plot = self._timeline(times)
        times.figures.append(self._plot)
        self.times = times
        self._now, self._held, self._table = html(), html(), html()
        return grid(
            self.windows(),
            card(pane(self._plot), title="Timeline", note="amber: a gate; red: a kill switch", wide=True),
            card(self._now, title="Kill switches now"),
            card(self._held, title="Held back now", note="what keeps each side from the model's quote"),
            card(self._table, title="Triggers", note=f"the newest {SHOWN}, with their inputs", wide=True),
        )

    def _timeline(self, times: TimeFigures) -> figure:
        plot = time_figure(times.x_range, 260, "gates", y_range=FactorRange(factors=["flip"]))
        styled(plot)
        plot.xaxis.ticker.desired_num_ticks = 5
        plot.yaxis.major_label_text_font = FONT
        plot.ygrid.grid_line_alpha = 0.6
        plot.min_border_left, plot.min_border_top, plot.min_border_bottom = 84, 4, 4
        bars = plot.hbar("y", left="left", right="right", height=0.7, color="color", source=self.source, line_width=2,
                         line_color="color")  # fmt: skip
        hover(plot, bars, [("", "@what"), ("input", "@input"), ("effect", "@effect")], line=False)
        plot.hover.tooltips = [("", "@what"), ("input", "@input"), ("effect", "@effect")]
        return plot

    def refresh(self) -> None:
        """Show what is new."""
        triggers = self.store.triggers
        set_html(self._now, self._switches())
        set_html(self._held, self._reasons())
        if triggers.version != self._version or triggers.holding:
            self._draw()
        if triggers.version != self._version:
            set_html(self._table, self._triggers())
        self._version = triggers.version
        if self.times is not None and self.times.going and not self.store.going:
            self.times.settle()

    def windowed(self) -> None:
        """Draw what the window holds."""
        self._draw()

    def _draw(self) -> None:
        now = self.store.metrics.last("t")
        since = now - 1e3 * WINDOWS_S[self.desk.window] if self.store.going else -np.inf
        newest = [one for one in self.store.triggers.newest(DRAWN)[::-1] if one.end is None or one.end >= since]
        seen = {one.switch for one in newest}
        factors = [name for name in ROWS if name in seen] + sorted(seen - set(ROWS))
        if factors and list(self._plot.y_range.factors) != factors:
            self._plot.y_range.factors = factors
            self._plot.height = 60 + 26 * max(3, len(factors))
        right = [max(one.start + LEAST_MS, now if one.end is None else one.end) for one in newest]
        self.source.data = {
            "y": [one.switch for one in newest],
            "left": [one.start for one in newest],
            "right": right,
            "color": [BAD if one.switch not in GATES else WARN for one in newest],
            "what": [f"{clock(one.start)} {one.switch} {one.action}{_side(one)}" for one in newest],
            "input": [_inputs(one) for one in newest],
            "effect": [_effect(one) for one in newest],
        }

    def _triggers(self) -> str:
        rows = [
            (
                clock(one.start), (one.switch, "warn" if one.switch in GATES else "bad"), one.action.replace("_", " "),
                "both" if one.side == "both" else (one.side, one.side), number(one.value), number(one.threshold), one.n,
                _effect(one), _span(one),
            )
            for one in self.store.triggers.newest(SHOWN)
        ]  # fmt: skip
        head = ("time", "switch", "action", "side", "value", "threshold", "n", "effect", "for")
        return table(head, rows, numbers=(4, 5, 6, 8), empty="No gate or kill switch has acted so far.")

    def _reasons(self) -> str:
        metrics, gates = self.store.metrics, self.store.triggers.counts
        if not metrics.total:
            return '<p class="hush">No decision yet.</p>'
        rows: list[tuple[Any, Any]] = []
        for side in ("bid", "ask"):
            bits = Reason(int(metrics.last(f"{side}_reasons")))
            words = ", ".join(str(one.name).lower().replace("_", " ") for one in bits) or "nothing"
            rows.append(((side, side), (words, "wrap")))
        level = metrics.last("level")
        done = ", ".join(f"{name.replace('_', ' ')} {number(gates[name])}" for name in GATES if gates.get(name))
        rows += [("ladder", f"level {number(level)}"), ("gates so far", (done or "none acted", "wrap"))]
        return table(("", ""), rows)

    def _switches(self) -> str:
        store = self.store
        active = {one["switch"]: one for one in store.state.get("switches", [])} if store.live else {}
        holding = {one.switch: one for one in store.triggers.holding}
        kill = store.params.get("config", {}).get("kill", {})
        rows = []
        names = [name for name, value in kill.items() if isinstance(value, dict)]
        for name in [*names, *(one for one in {**active, **holding} if one not in names)]:
            enabled = kill.get(name, {}).get("enabled", True)
            now = active.get(name)
            if now is not None and now["active"]:
                word = ("latched" if now["latched"] else "tripped", "bad")
            elif not store.live and name in holding:
                word = ("held at the end" if not store.going else "tripped", "bad")
            else:
                word = ("armed", "good") if enabled else ("off", "soft")
            why = str(now["why"]) if now else ""
            rows.append((name.replace("_", " "), word, number(store.triggers.counts.get(name, 0)), (why, "wrap")))
        mode = escape(str(kill.get("mode", "act")))
        note = "" if mode == "act" else f'<p class="warn">kill.mode = {mode}: trips are logged, nothing is done.</p>'
        return note + table(("switch", "now", "trips", "why"), rows, numbers=(2,), empty="Nothing is known of them.")

    def theme(self, *, dark: bool) -> None:
        """Put the timeline in the colours of a theme."""
        super().theme(dark=dark)
        self._plot.ygrid.grid_line_color = MUTED
        self._plot.ygrid.grid_line_alpha = 0.25


def _side(one: Trigger) -> str:
    return "" if one.side == "both" else f", {one.side}"


def _span(one: Trigger) -> str:
    if one.end is None:
        return "holds"
    return f"{number((one.end - one.start) / 1e3, 3)} s" if one.end > one.start else ""


def _inputs(one: Trigger) -> str:
    against = f" against {number(one.threshold)}" if one.threshold == one.threshold else ""
    return f"{number(one.value)}{against}, n = {one.n}"


def _effect(one: Trigger) -> str:
    unit = {"widen": "ticks", "exit": "lots"}.get(one.action, "s" if one.action in ("skip", "pause", "trip") else "")
    return f"{number(one.effect)} {unit}".strip()
