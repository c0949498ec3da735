"""Pictures of a study: a heat map of two parameters, and each fold's choice in and out of sample."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from bokeh.core.properties import value as literal
from bokeh.models import (
    BasicTicker,
    ColorBar,
    ColumnDataSource,
    HoverTool,
    LinearColorMapper,
    NumeralTickFormatter,
    Span,
)
from bokeh.plotting import figure

from mmlab.errors import ConfigError
from mmlab.lab.figure_style import BAD, FONT, GOOD, MUTED, legend, styled
from mmlab.lab.numbers import number

CENTRE = "#f1f2f4"
SHADES = 64
LIGHT, DARK = "#ffffff", "#1d2127"


def heat_map(
    table: pd.DataFrame, x: str, y: str, value: str = "pnl_per_million", *, chosen: Any = None, title: str = ""
) -> figure:
    """A figure of every point of a grid of two parameters: red below zero, green above.

    Parameters
    ----------
    table : DataFrame
        From `mmlab.sweep`; points that agree in both parameters are averaged.
    x, y : str
        Its columns on the axes.
    value : str
        Its column in the cells.
    chosen : label, optional
        A row of the table to mark.
    title : str
    """
    missing = [name for name in (x, y, value) if name not in table]
    if missing:
        raise ConfigError(f"the table has no column {missing}: it has {list(table.columns)}")
    cells = table.groupby([x, y], sort=False)[value].agg(lambda v: v.astype(float).mean()).reset_index()
    data = {"x": _names(cells[x]), "y": _names(cells[y]), "value": cells[value]}
    most = float(cells[value].abs().max()) or 1.0
    data["text"] = [number(v, 3) for v in cells[value]]
    data["ink"] = [LIGHT if abs(v) > 0.6 * most else DARK for v in cells[value]]
    source = ColumnDataSource(data)
    plot = styled(
        figure(
            title=title or value, x_range=_ordered(cells[x]), y_range=_ordered(cells[y]), height=360, width=620,
            x_axis_label=x, y_axis_label=y, toolbar_location=None, tools="",
        )
    )  # fmt: skip
    plot.title.text_font, plot.title.text_font_size = FONT, "13px"
    plot.ygrid.grid_line_color = None
    signed = bool((cells[value] < 0).any())
    colours = diverging() if signed else diverging()[SHADES:]
    mapper = LinearColorMapper(colours, low=-most if signed else 0.0, high=most, nan_color=CENTRE)
    colour = {"field": "value", "transform": mapper}
    boxes = plot.rect("x", "y", 0.96, 0.94, source=source, line_color=None, fill_color=colour)
    plot.text(
        "x", "y", "text", source=source, text_align="center", text_baseline="middle", text_color="ink",
        text_font_size="12px", text_font=literal(FONT),
    )  # fmt: skip
    if chosen is not None:
        at = table.loc[[chosen]]
        plot.rect(_names(at[x]), _names(at[y]), 0.96, 0.94, fill_color=None, line_color=DARK, line_width=2.5)
    plot.add_tools(HoverTool(renderers=[boxes], tooltips=[(x, "@x"), (y, "@y"), (value, "@value{0,0.[000]}")]))
    plot.add_layout(
        ColorBar(
            color_mapper=mapper, width=8, border_line_color=None, background_fill_color=None, bar_line_color=None,
            ticker=BasicTicker(desired_num_ticks=5), formatter=NumeralTickFormatter(format="0,0.[00]"),
            major_label_text_font=FONT, major_tick_line_color=None,
        ),
        "right",
    )  # fmt: skip
    return plot


def fold_picture(walk: pd.DataFrame, unit: str = "") -> figure:
    """Each fold's choice: what it earned in sample (hollow) and out of sample (full), and what half of all points beat.

    Parameters
    ----------
    walk : DataFrame
        From `mmlab.walk_forward`.
    unit : str
        Label of the y axis.
    """
    folds = [f"fold {i}" if i != "mean" else "mean" for i in walk.index]
    data = {
        name: walk[name].astype(float).to_numpy() for name in ("in_sample", "out_of_sample", "median", "low", "high")
    }
    data["colour"] = [GOOD if v >= 0 else BAD for v in data["out_of_sample"]]
    source = ColumnDataSource({**data, "fold": folds})
    plot = styled(figure(x_range=folds, height=320, width=620, y_axis_label=unit, toolbar_location=None, tools=""))
    plot.add_layout(Span(location=0, dimension="width", line_color=MUTED, line_width=1))
    plot.segment(
        "fold",
        "in_sample",
        "fold",
        "out_of_sample",
        source=source,
        line_color=MUTED,
        line_width=1.5,
        line_dash="dotted",
    )
    plot.segment("fold", "low", "fold", "high", source=source, line_color="colour", line_width=5, line_alpha=0.3)
    plot.scatter(
        "fold", "median", source=source, size=16, marker="dash", line_color=MUTED, line_width=2,
        legend_label="median of all points, out of sample",
    )  # fmt: skip
    plot.scatter(
        "fold", "in_sample", source=source, size=11, fill_color="white", line_color=MUTED, line_width=2,
        legend_label="chosen, in sample",
    )  # fmt: skip
    dots = plot.scatter(
        "fold", "out_of_sample", source=source, size=11, color="colour", legend_label="chosen, out of sample"
    )
    rows = [(name.replace("_", " "), f"@{name}{{0,0.[00]}}") for name in ("in_sample", "out_of_sample", "median")]
    plot.add_tools(HoverTool(renderers=[dots], tooltips=[("", "@fold"), *rows]))
    legend(plot)
    return plot


def diverging() -> list[str]:
    """Colours from red over nearly white to green."""
    ends = [_mixed(end, i / (SHADES - 1)) for end in (BAD, GOOD) for i in range(SHADES)]
    return ends[:SHADES][::-1] + ends[SHADES:]


def _mixed(colour: str, share: float) -> str:
    one, other = (np.array([int(text[i : i + 2], 16) for i in (1, 3, 5)]) for text in (CENTRE, colour))
    return "#" + "".join(f"{round(v):02x}" for v in one + (other - one) * share)


def _names(values: pd.Series) -> list[str]:
    return [number(v) if isinstance(v, int | float) and not isinstance(v, bool) else str(v) for v in values]


def _ordered(values: pd.Series) -> list[str]:
    """Names of the different values, in the order of the grid."""
    return list(dict.fromkeys(_names(values)))
