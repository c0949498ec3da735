"""mmlab: a market-making lab. Research on recorded ticks, tune on a live what-if, trade on paper or live.

Names are loaded on first use, so that ``import mmlab`` is quick and compiles nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_HOME = {
    "EVENT": "mmlab.events",
    "Kind": "mmlab.events",
    "Instrument": "mmlab.instrument",
    "Config": "mmlab.config",
    "Feed": "mmlab.feeds",
    "load_feed": "mmlab.feeds",
    "import_feed": "mmlab.feeds",
    "markouts": "mmlab.metrics",
    "rolling_markout": "mmlab.metrics",
    "fill_rate": "mmlab.metrics",
    "flips": "mmlab.metrics",
    "inventory_age": "mmlab.metrics",
    "pnl_per_million": "mmlab.metrics",
    "calibrate": "mmlab.lab.warm_up",
    "Latency": "mmlab.simulator",
    "backtest": "mmlab.lab.backtesting",
    "quoter": "mmlab.lab.quoters",
    "Session": "mmlab.lab.session",
    "attach": "mmlab.lab.session",
    "PaperServer": "mmlab.lab.paper_server",
    "verify_decisions": "mmlab.lab.verify",
    "FaultPlan": "mmlab.venues.paper",
    "sweep": "mmlab.lab.study.sweep",
    "load_grid": "mmlab.lab.study.grid",
    "batch": "mmlab.lab.study.batch",
    "record": "mmlab.lab.study.record",
    "runs": "mmlab.lab.runs",
    "walk_forward": "mmlab.lab.study.folds",
    "load_run": "mmlab.lab.backtesting",
    "Run": "mmlab.lab.run",
    "what_if": "mmlab.lab.backtesting",
    "MMLabError": "mmlab.errors",
    "ConfigError": "mmlab.errors",
    "FeedError": "mmlab.errors",
    "VenueError": "mmlab.errors",
    "SigningError": "mmlab.errors",
    "SessionError": "mmlab.errors",
    "SafetyError": "mmlab.errors",
}
__all__ = ["__version__", "metrics", "theory", "venues", *_HOME]  # noqa: PLE0604  the keys are strings


def __getattr__(name: str) -> Any:
    if name in ("metrics", "theory"):
        return import_module(f"mmlab.{name}")
    if name == "venues":
        import_module("mmlab.venues.paper")  # so that `mmlab.venues.paper.FaultPlan` needs no further import
        return import_module("mmlab.venues")
    if name not in _HOME:
        raise AttributeError(f"module 'mmlab' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
