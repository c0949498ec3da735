"""`run.report()`: one HTML file that holds everything, needs nothing and asks nobody."""

from __future__ import annotations

import html
import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import pandas as pd
from bokeh.document import Document
from bokeh.embed import file_html
from bokeh.layouts import column
from bokeh.models import Column, Legend, UIElement
from bokeh.resources import Resources

from mmlab.errors import SessionError
from mmlab.lab.figure_style import INK, MUTED
from mmlab.lab.money import bridge
from mmlab.lab.numbers import bps, number
from mmlab.lab.report_figures import bridge_figure, markout_curve, time_panels
from mmlab.lab.report_text import (
    headline,
    is_coarse,
    key_figures,
    markout_table_html,
    method,
    result,
    rows_html,
    sensitivity_table,
    subtitle,
    summary_table,
)
from mmlab.lab.sensitivity import THROUGH_ONLY, sensitivity

PANELS = {
    "price": ("Price", "with our quotes and fills"),
    "position": ("Position", "base currency (contracts for inverse)"),
    "pnl": ("Net P&L", "quote currency, after fees"),
    "markout": ("Rolling markout", "bps; per side, median of the last 200 completed 1 s markouts"),
    "fill_rate": ("Fill rate", "same-side hits in the last second; p95 of it at each of the last 200 hits"),
    "flip_rate": ("Flip rate", "of the reference price, per second"),
    "age": ("Inventory age", "seconds"),
    "ladder": ("Ladder level", "of the heavy side"),
    "gates": ("Gates and kill switches", "amber: a gate; red: a kill switch; grey: only observed"),
}


def write_report(run: Any, path: Path, *, sensitivity: bool = True) -> Path:
    """Write the tear sheet of a run.

    Parameters
    ----------
    run : Run
        The run; its ``rerun`` makes the variants of the sensitivity.
    path : Path
        The file, written whole or not at all.
    sensitivity : bool
        Run the variants.

    Returns
    -------
    Path
        `path`.
    """
    page = report_html(run, sensitivity=sensitivity)
    path = Path(path)
    partial = path.with_name(f".{path.name}.part")
    try:
        partial.write_text(page, encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise SessionError(f"{path} cannot be written: {error.strerror}") from None
    return path


def report_html(run: Any, *, sensitivity: bool = True) -> str:
    """The page as text."""
    table, why_not = variants(run, wanted=sensitivity)
    figures = {**time_panels(run), "bridge": bridge_figure(run), "curve": markout_curve(run)}
    *alarms, lead = headline(run, table)
    parts = bridge(run)
    template = files("mmlab.lab") / "templates"
    notes = [*run.info.notes, *run.facts["notes"]]
    variables = {
        "css": (template / "report.css").read_text(encoding="utf-8"),
        "js": (template / "report.js").read_text(encoding="utf-8"),
        "heading": f"{run.instrument.symbol}, {run.info.name}",
        "subtitle": subtitle(run),
        "alarms": alarms,
        "lead": lead,
        "tiles": key_figures(run, table),
        "panels": [(name, *titles) for name, titles in PANELS.items()],
        "bridge_table": rows_html(
            ((name, bps(row["bps"]), number(row["quote"], 4, sign=True)) for name, row in parts.iterrows()),
            ("", "bps of traded", "quote"),
        ),
        "markout_table": markout_table_html(run),
        "sensitivity": sensitivity_table(table) if table is not None else f"<p>{html.escape(why_not)}</p>",
        "method": rows_html(method(run)),
        "notes": "<ul class='notes'>"
        + "".join(f"<li>{html.escape(note)}</li>" for note in notes or ["None."])
        + "</ul>",
        "config": run.config.to_toml(),
        "params": json.dumps(run.info.params, indent=1),
        "summary": summary_table(run),
        "footer": f"mmlab {run.info.versions['mmlab']}, run of {run.info.started}, seed {run.info.seed}. "
        "This file is complete: it loads nothing.",
    }
    document = Document()
    with document.models.freeze():  # else every root walks all models anew
        for plot in figures.values():
            document.add_root(plot)
    return file_html(
        document,
        Alone("inline"),
        title=variables["heading"],
        template=(template / "report.html").read_text(encoding="utf-8"),
        template_variables=variables,
    )


class Alone(Resources):  # type: ignore[misc]  # bokeh's stubs are left out
    """Bokeh's own scripts and nobody else's: once imported, panel hangs scripts of the network on every page."""

    def clone(self, *, components: list[str] | None = None) -> Alone:
        """The same with other components, as bokeh asks for."""
        return Alone("inline", components=components)

    def _collect_external_resources(self, _: str) -> list[str]:
        return []


def variants(run: Any, *, wanted: bool) -> tuple[pd.DataFrame | None, str]:
    """Sensitivity table, or why there is none. On a coarse feed the through-only figures are made in any case."""
    if not wanted and not is_coarse(run):
        return None, "Not run: the report was made without it."
    try:
        return (run.sensitivity if wanted else sensitivity(run, [THROUGH_ONLY])), ""
    except SessionError as error:
        return None, f"Not run: {error}."


def overview(run: Any) -> Column:
    """Price with quotes and fills, position and net P&L, for a notebook cell."""
    figures = time_panels(run)
    chosen: list[UIElement] = [figures[name] for name in ("price", "position", "pnl")]
    for name, plot in zip(("price", "position", "pnl"), chosen, strict=True):
        plot.yaxis.axis_label = PANELS[name][0]
        for glyph in plot.select({"tags": INK}):
            glyph.line_color = MUTED  # seen on a light and on a dark notebook
        plot.axis.major_label_text_color = plot.axis.axis_label_text_color = MUTED
        for box in plot.select({"type": Legend}):
            box.label_text_color = MUTED
    figures["price"].toolbar_location = "right"
    return column(chosen, sizing_mode="stretch_width")


def summary_html(run: Any) -> str:
    """Headline and key figures, for a notebook cell."""
    cells = "".join(
        f"<td style='text-align:left;padding:4px 14px 4px 0;vertical-align:top'><small>{html.escape(label)}</small><br>"
        f"<b>{html.escape(value)}</b><br><small>{html.escape(note)}</small></td>"
        for label, value, note in key_figures(run, None)
    )
    first, second = html.escape(result(run, None)), html.escape(subtitle(run))
    return f"<p><b>{first}</b><br><small>{second}</small></p><table><tr>{cells}</tr></table>"
