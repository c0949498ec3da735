"""Figures over time that follow a growing table: made once, then given only what is new."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import panel as pn
from bokeh.models import ColumnDataSource, CrosshairTool, DataRange1d
from bokeh.models import Span as Line
from bokeh.plotting import figure

from mmlab.lab.downsample import m4
from mmlab.lab.figure_style import INK, MUTED, SIDE_COLOR, hover, legend, styled, time_figure
from mmlab.views.components import Place
from mmlab.views.tails import Columns

Array = np.ndarray[Any, Any]
Derive = Callable[[dict[str, Array], int], Array]
"""Values of rows from a place on, from all rows held."""

LIGHT, DARK = ("#1d2127", "#5c646e", "#e9ebee"), ("#e8eaed", "#a0a8b2", "#2a3037")
"""Ink, text and grid of the two themes."""
WINDOWS_S = {"5 min": 300.0, "30 min": 1800.0, "2 h": 7200.0, "all": np.inf}
POINTS = 1500
"""Points of a line before it is thinned."""
_TOUCH = ":host, .bk-events { touch-action: pan-y !important; }"
"""So that a finger that moves up or down scrolls the page."""


@dataclass
class Follow:
    """A source that follows a table.

    Parameters
    ----------
    table : Columns
    columns : dict
        Column of the source -> column of the table, or a function of the table's rows.
    window_s : float
        How far back it goes, in session time.
    """

    table: Columns
    columns: Mapping[str, str | Derive]
    window_s: float = np.inf
    source: ColumnDataSource = field(init=False)
    _seen: int = field(init=False, default=0)
    _streamed: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        self.source = ColumnDataSource({"x": [], **{name: [] for name in self.columns}})
        self.seed()

    def seed(self) -> None:
        """Fill the source with what its window holds, thinned to what can be seen."""
        rows = self.table.since()
        t, self._seen, self._streamed = rows["t"], self.table.total, 0
        first = 0 if not t.size or self.window_s == np.inf else int(np.searchsorted(t, t[-1] - 1e3 * self.window_s))
        data = self._data(rows, first)
        if data["x"].size > POINTS:
            keep = m4(data["x"], [data[name] for name in self.columns], POINTS // 4)
            data = {name: values[keep] for name, values in data.items()}
        self.source.data = data

    def advance(self) -> bool:
        """Give the source what is new; whether there was anything."""
        new = self.table.total - self._seen
        if new <= 0:
            return False
        if self._streamed + new > POINTS // 2 or self.source.data["x"] is None:
            self.seed()
            return True
        rows = self.table.since()
        self._seen += new
        self._streamed += new
        data = self._data(rows, max(0, rows["t"].size - new))
        self.source.stream(data, None if self.window_s == np.inf else int(self.window_s) + 60)
        return True

    def _data(self, rows: dict[str, Array], first: int) -> dict[str, Array]:
        data = {"x": rows["t"][first:].copy()}
        for name, column in self.columns.items():
            data[name] = rows[column][first:].copy() if isinstance(column, str) else column(rows, first)
        return data


class TimeFigures:
    """Figures over one time axis.

    Parameters
    ----------
    follows : sequence of Follow
        What they draw.
    going : bool
        Whether the run grows; the axis then follows its end.
    """

    def __init__(self, follows: Sequence[Follow], *, going: bool) -> None:
        self.follows, self.going = list(follows), going
        self.figures: list[figure] = []
        self.x_range = DataRange1d(range_padding=0.01)
        self._crosshair = Line(dimension="height", line_color=MUTED, line_alpha=0.6, line_width=1)

    def make(self, name: str, *, height: int = 150, keep_zero: bool = False, label: str = "") -> figure:
        """An empty figure in the house style."""
        plot = time_figure(self.x_range, height, name)
        plot.add_tools(CrosshairTool(overlay=self._crosshair))
        plot.y_range = DataRange1d(range_padding=0.08, only_visible=True)
        styled(plot)
        plot.stylesheets = [_TOUCH]
        plot.min_border_left, plot.min_border_top, plot.min_border_bottom = 52, 4, 4
        plot.xaxis.ticker.desired_num_ticks = 5
        if label:
            plot.yaxis.axis_label = label
        if keep_zero:
            zero = Line(location=0.0, dimension="width", line_color=MUTED, line_alpha=0.7, line_width=1)
            plot.add_layout(zero)
            plot.y_range.renderers = "auto"
        self.figures.append(plot)
        return plot

    def window(self, seconds: float) -> None:
        """Show so many seconds before the end."""
        if self.going and seconds != np.inf:
            self.x_range.follow, self.x_range.follow_interval = "end", 1e3 * seconds
        else:
            self.x_range.follow = None
        for follow in self.follows:
            follow.window_s = seconds
            follow.seed()

    def advance(self) -> None:
        """Give every source what is new."""
        for follow in self.follows:
            follow.advance()

    def settle(self) -> None:
        """The run has ended: the axis stands still."""
        self.going = False
        self.x_range.follow = None


def lines(
    plot: figure, follow: Follow, columns: Iterable[tuple[str, str, str, float]], unit: str = "", *, step: bool = True
) -> None:
    """One line for each of (column, legend, colour, strength), and a tooltip over all."""
    rows, drawn = [], None
    for column, words, color, alpha in columns:
        how = {"color": color, "alpha": alpha, "line_width": 1.6, "tags": [INK] if color == INK else []}
        if color == INK:
            how["color"] = LIGHT[0]
        if words:
            how["legend_label"] = words
        draw = plot.step if step else plot.line
        drawn = draw("x", column, source=follow.source, **({"mode": "after"} if step else {}), **how)
        rows.append((words or column, f"@{column}{{0,0.[0000]}} {unit}".strip()))
    if drawn is not None:
        hover(plot, drawn, rows)
    if plot.legend:
        legend(plot)


def sides(what: str, bid: str, ask: str, alpha: float = 1.0) -> list[tuple[str, str, str, float]]:
    """A line a side, for `lines`."""
    return [
        (column, f"{side} {what}".strip(), SIDE_COLOR[side], alpha) for side, column in (("bid", bid), ("ask", ask))
    ]


def ink(plots: Iterable[figure], *, dark: bool) -> None:
    """Text, grid and ink of figures in the colours of a theme."""
    strong, text, grid = DARK if dark else LIGHT
    for plot in plots:
        for axis in plot.axis:
            axis.major_label_text_color = axis.axis_label_text_color = text
        for lines_ in plot.grid:
            lines_.grid_line_color = grid if lines_.dimension == 1 else None
        for box in plot.legend:
            box.label_text_color = text
            box.inactive_fill_color = None
        for renderer in plot.renderers:
            if INK in getattr(renderer, "glyph", renderer).tags:
                renderer.glyph.line_color = strong


def pane(plot: figure) -> pn.pane.Bokeh:
    """A figure as a piece of a page."""
    return pn.pane.Bokeh(plot, sizing_mode="stretch_width", margin=0, min_width=0)


class Later:
    """A figure that is put on the page once there is something to draw.

    Attributes
    ----------
    pane : Viewable
        Its place.
    """

    def __init__(self, plot: figure) -> None:
        self._plot = plot
        self.pane = Place(sizing_mode="stretch_width", margin=0, visible=False)

    def show(self, *, there: bool = True) -> None:
        """Show it, or hide it where nothing is `there`."""
        if there and not self.pane.objects:
            self.pane.append(pane(self._plot))
        self.pane.visible = there
