"""The dashboard's views in a notebook cell."""

from __future__ import annotations

from pathlib import Path

import panel as pn

from mmlab.views.components import html
from mmlab.views.dashboard import Dashboard
from mmlab.views.hub import Hub, shared
from mmlab.views.store import Engine

_SHOWN: dict[Path, Dashboard] = {}
"""The newest of each run: an older one in another cell stands still, so that a cell run again costs nothing."""


def panel_of(run: str | Path | Engine, *, read_only: bool = False) -> pn.viewable.Viewable:
    """Every view of one run, live while it goes, with the tuning form; for a cell.

    The browser asks for ticks, five a second. A busy kernel may draw nothing and run no KILL: for that there are
    the served dashboard and ``mmlab kill``.

    Parameters
    ----------
    run : path or Client
        A run directory, or the handle on its engine.
    read_only : bool
        Without controls.

    Returns
    -------
    Viewable
        To be shown in a cell; it needs nothing from the network.
    """
    pn.extension(inline=True, throttled=True)
    if isinstance(run, str | Path):
        run_dir, hub = Path(run).absolute(), shared()
    else:
        engine = run
        run_dir, hub = Path(engine.run_dir).absolute(), Hub(lambda _: engine)
    old = _SHOWN.pop(run_dir, None)
    if old is not None:
        old.leave()
    dashboard = Dashboard(hub, run_dir=run_dir, read_only=read_only, page=False)
    _SHOWN[run_dir] = dashboard
    note = html(
        '<p class="hush">A busy kernel stops these pictures, and KILL here may wait for it. These never do: '
        f"<code>mmlab kill {run_dir}</code> and <code>mmlab dashboard --runs {run_dir.parent}</code>.</p>"
    )
    dashboard.body.append(note)
    return dashboard.body
