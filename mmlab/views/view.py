"""What every view is made of, and what it may use of the session it belongs to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import panel as pn
from bokeh.plotting import figure

from mmlab.views import figures
from mmlab.views.components import html
from mmlab.views.hub import Hub
from mmlab.views.jobs import Jobs
from mmlab.views.store import Store

ALL = "all"


@dataclass
class Desk:
    """What a view may use: the run, and its session's means."""

    store: Store
    hub: Hub
    jobs: Jobs
    say: Callable[[str, str], object]
    """Text and tone, for the line of messages."""
    folder: Path | None = None
    """Where the other runs are."""
    read_only: bool = False
    dark: bool = False
    window: str = field(default="")
    """How far back figures go; a key of `figures.WINDOWS_S`."""

    def __post_init__(self) -> None:
        if not self.window:
            self.window = "30 min" if self.store.going else ALL


class View(pn.viewable.Viewer):
    """One view of one run.

    Attributes
    ----------
    body : Viewable
        What is shown.
    plots : list of figure
        Its figures, for the theme.
    """

    name_ = ""
    title = ""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self.desk, self.store = desk, desk.store
        self.plots: list[figure] = []
        self.times: figures.TimeFigures | None = None
        self.body: Any = self.make()
        if self.times is not None:
            self.plots += self.times.figures
            self.times.window(figures.WINDOWS_S[desk.window])
            if not self.store.metrics.total:
                self.times.x_range.bounds = None
        self.refresh()
        self.theme(dark=desk.dark)

    def make(self) -> Any:
        """Build what is shown."""
        raise NotImplementedError

    def refresh(self) -> None:
        """Show what is new."""

    def theme(self, *, dark: bool) -> None:
        """Put figures in the colours of a theme."""
        figures.ink(self.plots, dark=dark)

    def follow(self, columns: dict[str, str | figures.Derive]) -> figures.TimeFigures:
        """Figures that follow columns of the metrics table."""
        follow = figures.Follow(self.store.metrics, columns)
        self.times = figures.TimeFigures([follow], going=self.store.going)
        return self.times

    def advance(self) -> None:
        """Give the figures what is new."""
        if self.times is None:
            return
        self.times.advance()
        if self.times.going and not self.store.going:
            self.times.settle()

    def windows(self) -> Any:
        """Choose how far back the figures go."""
        choose = pn.widgets.RadioButtonGroup(
            options=list(figures.WINDOWS_S), value=self.desk.window, margin=0, stylesheets=[_GROUP], width=260
        )

        def change(event: Any) -> None:
            self.desk.window = event.new
            if self.times is not None:
                with pn.io.hold():
                    self.times.window(figures.WINDOWS_S[event.new])
                    self.windowed()

        choose.param.watch(change, "value")
        return pn.Row(
            html('<p class="hush desk">Session time, UTC. Drag to zoom, double-click for all.</p>'), choose,
            sizing_mode="stretch_width", margin=0, css_classes=["wide"], stylesheets=[":host(.wide){grid-column:1/-1}"],
        )  # fmt: skip

    def windowed(self) -> None:
        """Another window was chosen."""

    def __panel__(self) -> Any:
        return self.body


_GROUP = """
:host { font: 13px var(--font); }
.bk-btn-group .bk-btn { background: var(--card) !important; color: var(--soft) !important;
  border: 1px solid var(--line) !important; padding: 4px 10px; box-shadow: none !important; }
.bk-btn-group .bk-btn.bk-active { background: var(--line) !important; color: var(--ink) !important; font-weight: 600; }
"""


def last(values: Any) -> float:
    """Newest value that is known; NaN if none is."""
    known = values[np.isfinite(values)]
    return float(known[-1]) if known.size else float("nan")
