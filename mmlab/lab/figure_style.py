"""How the figures of a report look and behave: one shared time axis, quiet axes, colours that work on light and dark.

Text and lines tagged `INK` take the page's ink colour, light or dark, from ``templates/report.js``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from bokeh.models import (
    ColumnDataSource,
    CrosshairTool,
    CustomJS,
    DataRange1d,
    DatetimeTickFormatter,
    HoverTool,
    NumeralTickFormatter,
    Range1d,
    Span,
)
from bokeh.plotting import figure

Array = np.ndarray[Any, Any]

BID, ASK = "#2f80ed", "#e8702a"
GOOD, BAD, WARN, MUTED = "#18a07a", "#d6455d", "#d9a514", "#8b939e"
INK_COLOR = "#1d2127"
INK = "ink"
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
SIDE_COLOR = {"bid": BID, "ask": ASK}

_RESCALE = """
const [low, high] = [x_range.start, x_range.end];
let [bottom, top] = [Infinity, -Infinity];
for (const [source, names] of series) {
  const x = source.data[names[0]];
  for (const name of names.slice(1)) {
    const y = source.data[name];
    let before = NaN;
    for (let i = 0; i < x.length; i++) {
      if (x[i] < low) { before = y[i]; continue; }
      if (x[i] > high) break;
      if (y[i] < bottom) bottom = y[i];
      if (y[i] > top) top = y[i];
    }
    if (before < bottom) bottom = before;
    if (before > top) top = before;
  }
}
for (const value of keep) { bottom = Math.min(bottom, value); top = Math.max(top, value); }
if (bottom <= top) {
  const margin = 0.06 * (top - bottom) || 0.5 * Math.abs(top) || 1;
  y_range.setv({start: bottom - margin, end: top + margin});
}
"""


def to_ms(ns: Any) -> Any:
    """Nanoseconds as the milliseconds of a Bokeh time axis."""
    return ns / 1e6


class Panels:
    """Figures over one time axis, made one after the other.

    Parameters
    ----------
    start_ns, end_ns : int
        Span of the axis.
    """

    def __init__(self, start_ns: int, end_ns: int) -> None:
        start, end = float(to_ms(start_ns)), float(to_ms(max(end_ns, start_ns + 1)))
        self.x_range = Range1d(start, end, bounds=(start, end))
        self.crosshair = Span(dimension="height", line_color=MUTED, line_alpha=0.6, line_width=1)

    def panel(
        self,
        series: Sequence[tuple[ColumnDataSource, Sequence[str]]],
        *,
        height: int = 150,
        name: str = "",
        keep: Sequence[float] = (),
        **options: Any,
    ) -> figure:
        """An empty figure whose y axis follows what is in view.

        Parameters
        ----------
        series : sequence of (source, names)
            What the y axis must show: column of x, then columns of y.
        keep : sequence of float
            Values always in view.
        """
        plot = time_figure(self.x_range, height, name, **options)
        plot.add_tools(CrosshairTool(overlay=self.crosshair))
        if series:
            plot.y_range = Range1d(*extent(series, keep))
            arguments = {"x_range": self.x_range, "y_range": plot.y_range, "series": list(series), "keep": list(keep)}
            rescale = CustomJS(args=arguments, code=_RESCALE)
            self.x_range.js_on_change("start", rescale)
            self.x_range.js_on_change("end", rescale)
        return plot


def time_figure(x_range: Range1d, height: int, name: str, **options: Any) -> figure:
    """A figure over time in the house style."""
    plot = styled(
        figure(
            x_axis_type="datetime",
            x_range=x_range,
            height=height,
            sizing_mode="stretch_width",
            tools="xbox_zoom,xpan,reset",
            active_drag="xbox_zoom",
            toolbar_location=None,
            output_backend="canvas",
            name=name,
            tags=["time"],
            **options,
        )
    )
    plot.xaxis.formatter = DatetimeTickFormatter(
        milliseconds="%H:%M:%S.%3N", seconds="%H:%M:%S", minsec="%H:%M:%S", minutes="%H:%M", hourmin="%H:%M",
        hours="%H:%M", days="%d %b", months="%b %Y",
    )  # fmt: skip
    plot.xaxis.ticker.desired_num_ticks = 8
    return plot


def styled(plot: figure) -> figure:
    """Quiet axes, horizontal grid only, no frame."""
    plot.background_fill_color = plot.border_fill_color = None
    plot.outline_line_color = None
    plot.min_border_left = 66
    plot.min_border_right = 12
    plot.xgrid.grid_line_color = None
    plot.ygrid.grid_line_alpha = 0.5
    for axis in plot.axis:
        axis.axis_line_color = axis.minor_tick_line_color = None
        axis.major_tick_line_color = None
        axis.major_label_text_font = axis.axis_label_text_font = FONT
        axis.major_label_text_font_size, axis.axis_label_text_font_size = "11px", "11px"
        axis.axis_label_text_font_style = "normal"
    if isinstance(plot.y_range, DataRange1d):
        plot.yaxis.formatter = NumeralTickFormatter(format="0,0.[000000]")
        plot.yaxis.ticker.desired_num_ticks = 4
    return plot


def extent(series: Sequence[tuple[ColumnDataSource, Sequence[str]]], keep: Sequence[float] = ()) -> tuple[float, float]:
    """Range of y that shows every value of `series` and `keep`, with a margin."""
    values = np.concatenate(
        [np.asarray(source.data[name], np.float64) for source, names in series for name in names[1:]] + [np.array(keep)]
    )
    values = values[np.isfinite(values)]
    if not values.size:
        return 0.0, 1.0
    low, high = float(values.min()), float(values.max())
    margin = 0.06 * (high - low) or 0.5 * abs(high) or 1.0
    return low - margin, high + margin


def legend(plot: figure) -> None:
    """One quiet line of legend above the figure."""
    for box in plot.legend:
        box.orientation, box.location = "horizontal", "top_left"
        box.background_fill_alpha = box.border_line_alpha = 0.0
        box.padding = box.margin = 0
        box.spacing, box.glyph_width, box.label_text_font, box.label_text_font_size = 14, 16, FONT, "11px"
        box.label_standoff = 4
        box.click_policy = "hide"
        plot.add_layout(box, "above")


def hover(plot: figure, renderers: Any, rows: Sequence[tuple[str, str]], *, line: bool = True) -> None:
    """Tooltip of a renderer's (or several renderers') point under the pointer, or nearest in time if `line`."""
    plot.add_tools(
        HoverTool(
            renderers=renderers if isinstance(renderers, list) else [renderers],
            tooltips=[("time", "@x{%F %T} UTC"), *rows],
            formatters={"@x": "datetime"},
            mode="vline" if line else "mouse",
            point_policy="follow_mouse",
            line_policy="nearest",
        )
    )
