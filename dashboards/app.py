"""The served dashboard: ``mmlab dashboard``, or ``panel serve dashboards/app.py``.

Settings come from the environment, which `mmlab dashboard` fills in: MMLAB_DASHBOARD_RUNS (folder of runs, default
``runs``) and MMLAB_DASHBOARD_READ_ONLY (1: no controls).
"""

import os
from pathlib import Path

import panel as pn
from bokeh.models import CustomJS

from mmlab.views import hub
from mmlab.views.components import part
from mmlab.views.dashboard import PERIOD_MS, Dashboard

pn.extension(throttled=True, raw_css=[part("page.css")])


def asked(name: str) -> str:
    """What the page's address asks for."""
    values = pn.state.session_args.get(name) or [b""]
    return values[0].decode(errors="replace")


dashboard = Dashboard(
    hub.shared(),
    Path(os.environ.get("MMLAB_DASHBOARD_RUNS", "runs")).absolute(),
    run=asked("run"),
    view=asked("view"),
    read_only=os.environ.get("MMLAB_DASHBOARD_READ_ONLY") == "1",
)
document = pn.state.curdoc
document.js_on_event("connection_lost", CustomJS(code="window.mmlabLost?.()"))
pn.state.on_session_destroyed(dashboard.left)
dashboard.servable(title="mmlab")
pn.state.add_periodic_callback(dashboard.tick, PERIOD_MS)
