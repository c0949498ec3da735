"""Markouts: rolling medians a side, the curve by horizon, fill by fill, and by gate state."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from bokeh.models import ColumnDataSource, DataRange1d, FixedTicker, Whisker
from bokeh.models import Span as Line
from bokeh.plotting import figure

from mmlab.lab.figure_style import BAD, MUTED, SIDE_COLOR, hover, legend, styled
from mmlab.lab.numbers import bps, number
from mmlab.views.components import card, grid, html, set_html
from mmlab.views.figures import Later, lines, pane, sides
from mmlab.views.view import View
from mmlab.views.words import table

if TYPE_CHECKING:
    from mmlab.views.analysis import Markouts as Found

SHIFT = {"bid": 0.94, "ask": 1.06}
"""So that bands at the same horizon do not cover each other."""


class Markouts(View):
    """How the market moved after our fills."""

    name_, title = "markouts", "Markouts"

    def make(self) -> Any:
        """Build it."""
        self._shown: Found | None = None
        times = self.follow({"bid": "markout_bid_bps", "ask": "markout_ask_bps"})
        rolling = times.make("rolling", height=210, keep_zero=True)
        lines(rolling, times.follows[0], sides("", "bid", "ask"), "bps")
        self._threshold = Line(location=np.nan, dimension="width", line_color=BAD, line_dash="dashed", line_width=1)
        rolling.add_layout(self._threshold)
        self._points = {
            side: ColumnDataSource({name: [] for name in ("x", "markout", "size", "kind")}) for side in SHIFT
        }
        scatter = times.make("scatter", height=210, keep_zero=True)
        for side, source in self._points.items():
            drawn = scatter.scatter("x", "markout", source=source, size=5, color=SIDE_COLOR[side], alpha=0.55,
                                    legend_label=side)  # fmt: skip
            hover(
                scatter,
                drawn,
                [("markout 1 s", "@markout{0.000} bps"), ("size", "@size"), ("kind", "@kind")],
                line=False,
            )
        legend(scatter)
        self._curves = {
            side: ColumnDataSource({name: [] for name in ("x", "mean", "low", "high", "n")}) for side in SHIFT
        }
        curve = self._curve()
        self.plots.append(curve)
        self._gates, self._note = html(), html()
        self._drawn = [Later(curve), Later(scatter)]
        return grid(
            self.windows(),
            card(pane(rolling), title="Rolling 1 s markout", note="bps, median of 200 a side; dashed: the switch"),
            card(self._drawn[0].pane, self._note, title="Markout by horizon", note="mean, bps, with 95 % bands"),
            card(self._drawn[1].pane, title="Each fill", note="1 s markout, bps"),
            card(self._gates, title="By gate state", note="mean 1 s markout of fills, by what held their side back"),
        )  # fmt: skip

    def _curve(self) -> figure:
        plot = styled(
            figure(
                x_axis_type="log",
                x_range=(0.08, 75.0),
                height=210,
                sizing_mode="stretch_width",
                tools="",
                toolbar_location=None,
                name="curve",
            )
        )
        plot.y_range = DataRange1d(range_padding=0.12)
        plot.add_layout(Line(location=0.0, dimension="width", line_color=MUTED, line_alpha=0.7, line_width=1))
        plot.xaxis.ticker = FixedTicker(ticks=[0.1, 0.5, 1, 5, 30, 60])
        plot.xaxis.major_label_overrides = {0.1: "0.1 s", 0.5: "0.5", 1: "1 s", 5: "5 s", 30: "30", 60: "60 s"}
        for side, source in self._curves.items():
            color = SIDE_COLOR[side]
            plot.line("x", "mean", source=source, color=color, line_width=1.6, legend_label=side)
            drawn = plot.scatter("x", "mean", source=source, color=color, size=6)
            whisker = Whisker(base="x", lower="low", upper="high", source=source, line_color=color, line_width=1.2)
            whisker.upper_head.line_color = whisker.lower_head.line_color = color
            whisker.upper_head.size = whisker.lower_head.size = 6
            plot.add_layout(whisker)
            rows = [("mean", "@mean{0.000} bps"), ("band", "@low{0.000} to @high{0.000}"), ("n", "@n")]
            hover(plot, drawn, rows, line=False)
            plot.hover[-1].tooltips = rows
        legend(plot)
        return plot

    def refresh(self) -> None:
        """Show what is new."""
        self.advance()
        kill = self.store.params.get("config", {}).get("kill", {}).get("toxic", {})
        threshold = kill.get("threshold_bps", np.nan) if kill.get("enabled") else np.nan
        if self._threshold.location != threshold and np.isfinite(threshold):
            self._threshold.location = threshold
        analysis = self.desk.hub.analysis(self.store)
        found = analysis.ask()
        set_html(self._note, self._words(analysis.trouble, busy=analysis.busy))
        if found is None or found is self._shown:
            if found is None:
                set_html(self._gates, f'<p class="hush">{"Reading the run…" if analysis.busy else "No fill yet."}</p>')
            return
        self._shown = found
        self._show(found)

    def _words(self, trouble: str, *, busy: bool) -> str:
        if trouble:
            return f'<p class="bad">{trouble}</p>'
        if self._shown is None:
            return f'<p class="hush">{"Reading the run…" if busy else "No fill yet."}</p>'
        note = "" if len(self._shown.bands) == 0 else str(self._shown.bands["note"].iloc[0])
        words = f"Of {number(self._shown.fills)} fills" + (f"; bands: {note}" if note else "")
        return f'<p class="hush">{words}.{" Being brought up to date…" if busy else ""}</p>'

    def _show(self, found: Found) -> None:
        for side, source in self._curves.items():
            if not len(found.bands):
                continue
            rows = found.bands.loc[side]
            horizon = rows.index.to_numpy(dtype=float) * SHIFT[side]
            source.data = {
                "x": horizon, "mean": rows["mean_bps"].to_numpy(), "low": rows["mean_low_bps"].to_numpy(),
                "high": rows["mean_high_bps"].to_numpy(), "n": rows["n"].to_numpy(),
            }  # fmt: skip
        for side, source in self._points.items():
            here = found.scatter["side"] == side
            source.data = {name: found.scatter[name][here] for name in ("x", "markout", "size", "kind")}
        self._drawn[0].show(there=bool(len(found.bands)))
        self._drawn[1].show(there=bool(found.scatter["x"].size))
        rows = [
            (name, bps(row["mean_bps"]), f"{bps(row['low_bps'])} to {bps(row['high_bps'])}"
             if np.isfinite(row["low_bps"]) else "too few blocks", number(row["n"]))
            for name, row in found.by_gate.iterrows()
        ]  # fmt: skip
        head = ("state at the fill", "mean, bps", "95 % band", "fills")
        set_html(self._gates, table(head, rows, numbers=(1, 2, 3), empty="No fill yet."))
