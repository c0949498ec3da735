"""Compare: this run beside another one."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import panel as pn
from bokeh.models import ColumnDataSource, DataRange1d, NumeralTickFormatter
from bokeh.plotting import figure

from mmlab.errors import MMLabError
from mmlab.lab.downsample import m4
from mmlab.lab.figure_style import INK, WARN, legend, styled
from mmlab.lab.numbers import number
from mmlab.views.components import card, grid, html, set_html
from mmlab.views.figures import LIGHT, Later
from mmlab.views.view import View
from mmlab.views.words import empty, shown, table

HIDDEN = ("queue", "queue_fidelity")
NONE_CHOSEN = "choose a run"


def compare_runs(this: Path, other: Path) -> tuple[Any, dict[str, tuple[Any, Any]]]:
    """Table of two runs (`mmlab.lab.compare`), and of each minutes since its start and net P&L."""
    from mmlab.lab.run import load_run

    runs = [load_run(path) for path in (this, other)]
    curves = {}
    for name, run in zip(("this", "other"), runs, strict=True):
        metrics = run.tables.metrics
        if not metrics.size:
            curves[name] = (np.zeros(0), np.zeros(0))
            continue
        minutes = (metrics["local_ns"] - metrics["local_ns"][0]) / 6e10
        keep = m4(minutes, [metrics["net_pnl"]], 400)
        curves[name] = (minutes[keep], metrics["net_pnl"][keep])
    return runs[0].compare(runs[1]), curves


class Compare(View):
    """Two runs side by side."""

    name_, title = "compare", "Compare"

    def make(self) -> Any:
        """Build it."""
        self._choice = pn.widgets.Select(
            options=self._options(), value="", margin=0, width=320, label="Other run", stylesheets=[_SELECT]
        )
        self._choice.param.watch(self._chosen, "value")
        self._table = html()
        self._sources = {name: ColumnDataSource({"x": [], "net": []}) for name in ("this", "other")}
        plot = styled(figure(height=220, sizing_mode="stretch_width", tools="", toolbar_location=None, name="compare"))
        plot.y_range = DataRange1d(range_padding=0.08)
        plot.xaxis.axis_label = "minutes since the start"
        plot.yaxis.formatter = NumeralTickFormatter(format="0,0.[0000]")
        for name, color in (("this", INK), ("other", WARN)):
            plot.line("x", "net", source=self._sources[name], color=LIGHT[0] if color == INK else color, line_width=1.6,
                      legend_label=f"{name} run", tags=[INK] if color == INK else [])  # fmt: skip
        legend(plot)
        self.plots.append(plot)
        self._later = Later(plot)
        self._picture = card(self._later.pane, title="Net P&amp;L", note="settle currency, after fees")
        self._picture.css_classes = ["card", "short"]
        self._picture.visible = False
        set_html(self._table, '<p class="hush">Figures and parameters of both, and net P&amp;L over time.</p>')
        if len(self._choice.options) < 2:
            set_html(self._table, empty("No other run", "Runs in the same folder can be compared with this one."))
        return grid(card(self._choice, self._table), self._picture)

    def _options(self) -> dict[str, str]:
        folder = self.desk.folder or self.store.run_dir.parent
        runs = self.desk.hub.runs(folder)
        return {NONE_CHOSEN: ""} | {
            f"{run.path.name} ({run.mode}, {run.ended})": str(run.path)
            for run in runs
            if run.path.absolute() != self.store.run_dir
        }

    def _chosen(self, event: Any) -> None:
        if not event.new:
            return
        this, other = self.store.run_dir, Path(event.new)
        set_html(self._table, '<p class="hush">Reading both runs…</p>')
        if not self.desk.jobs.start("compare", lambda: (other, *compare_runs(this, other)), self._found):
            set_html(self._table, '<p class="hush">Still reading the runs chosen before…</p>')

    def _found(self, found: Any, error: Exception | None) -> None:
        if error is not None:
            words = str(error) if isinstance(error, MMLabError) else f"{type(error).__name__}: {error}"
            set_html(self._table, f'<p class="bad">They cannot be compared: {escape(words)}</p>')
            self._picture.visible = False
            return
        other, figures, curves = found
        if str(other) != self._choice.value:  # another was chosen while this was read
            self._choice.param.trigger("value")
            return
        rows = [
            (str(name), shown(_plain(row["this"])), shown(_plain(row["other"])), number(row["change"], sign=True))
            for name, row in figures.iterrows()
            if name not in HIDDEN
        ]
        set_html(self._table, table(("", "this run", "other run", "other − this"), rows, numbers=(1, 2, 3)))
        for name, (x, net) in curves.items():
            self._sources[name].data = {"x": x, "net": net}
        self._later.show()
        self._picture.visible = True


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


_SELECT = """
:host { font: 13px var(--font); color: var(--soft); }
select { background-color: var(--card) !important; color: var(--ink) !important;
  border: 1px solid var(--line) !important; }
"""
