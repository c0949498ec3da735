"""The picture of a what-if: net P&L and position, now, then, and of the session itself."""

from __future__ import annotations

from typing import Any

import numpy as np
from bokeh.layouts import column
from bokeh.models import ColumnDataSource, LayoutDOM, Span

from mmlab.events import NS_PER_S
from mmlab.lab.downsample import m4
from mmlab.lab.figure_style import ASK, BID, MUTED, Panels, extent, hover, legend, to_ms
from mmlab.lab.rehearsal import WhatIf
from mmlab.lab.window_figures import quote_path

Array = np.ndarray[Any, Any]

LINES = {"now": BID, "then": ASK, "session": MUTED}
PANELS = (("net", "net P&L (quote)", 220), ("position", "position", 130))
PIXELS = 400


def what_if_columns(what_if: WhatIf) -> dict[str, dict[str, Array]]:
    """Data of the picture: per line (``now, then, session``) columns ``x`` (ms), ``net`` (quote), ``position`` (base).

    A page that shows one answer after the other gives these to the sources of a figure that it has already
    (`what_if_figure` names each source after its line).
    """
    start_ns, end_ns = what_if.start.value, what_if.end.value
    rows = {
        "now": what_if.now.tables.metrics, "then": what_if.then.tables.metrics, "session": what_if.session,
    }  # fmt: skip
    return {name: _columns(what_if, metrics, start_ns, end_ns) for name, metrics in rows.items()}


def _columns(what_if: WhatIf, metrics: Array, start_ns: int, end_ns: int) -> dict[str, Array]:
    instrument = what_if.now.instrument
    first = max(0, int(np.searchsorted(metrics["local_ns"], start_ns, "right")) - 1)
    rows = metrics[first : int(np.searchsorted(metrics["local_ns"], end_ns, "right"))]
    net = quote_path(instrument, rows[0], rows) if rows.size else np.zeros(0)
    position = rows["position_lots"] * instrument.lot_size
    x = to_ms(np.maximum(rows["local_ns"], start_ns).astype(np.float64))
    keep = m4(x, [net, position], PIXELS)
    return {"x": x[keep], "net": net[keep], "position": position[keep]}


def what_if_figure(what_if: WhatIf, figure: LayoutDOM | None = None) -> LayoutDOM:
    """Net P&L above, position below, over the window.

    Parameters
    ----------
    what_if : WhatIf
    figure : LayoutDOM, optional
        What this function gave for another answer: it is brought up to date, which takes a tenth of the time, and
        returned.
    """
    data = what_if_columns(what_if)
    span = what_if.start.value, max(what_if.end.value, what_if.start.value + NS_PER_S)
    if figure is not None:
        _update(figure, data, span)
        return figure
    sources = {name: ColumnDataSource(columns, name=name) for name, columns in data.items()}
    panels = Panels(*span)
    plots = [_panel(panels, sources, *panel) for panel in PANELS]
    return column(*plots, sizing_mode="stretch_width")


def _panel(panels: Panels, sources: dict[str, ColumnDataSource], name: str, label: str, height: int) -> Any:
    plot = panels.panel(
        [(source, ["x", name]) for source in sources.values()], height=height, name=name, keep=[0.0], y_axis_label=label
    )
    plot.add_layout(Span(location=0, dimension="width", line_color=MUTED, line_alpha=0.4))
    lines = []
    for line, source in sources.items():
        options = {"legend_label": line} if name == "net" else {}
        glyph = plot.step if name == "position" else plot.line
        dash = "dashed" if line == "session" else "solid"
        lines.append(
            glyph("x", name, source=source, name=line, color=LINES[line], line_width=1.5, line_dash=dash, **options)
        )
    hover(plot, lines, [("$name", f"@{name}")])
    if name == "net":
        legend(plot)
    return plot


def _update(figure: LayoutDOM, data: dict[str, dict[str, Array]], span: tuple[int, int]) -> None:
    start, end = (float(to_ms(ns)) for ns in span)
    plots = figure.children
    for name, source in {r.name: r.data_source for r in plots[0].renderers if r.name in LINES}.items():
        source.data = data[name]
    for plot, (name, _, _) in zip(plots, PANELS, strict=True):
        low, high = extent([(r.data_source, ["x", name]) for r in plot.renderers if r.name in LINES], [0.0])
        plot.y_range.update(start=low, end=high)
    plots[0].x_range.update(start=start, end=end, bounds=(start, end))
