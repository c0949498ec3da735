"""What a notebook and the command line touch: runs, backtests, reports.

Names are loaded on first use, so that importing this package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOME = {
    "Config": "mmlab.config",
    "Instrument": "mmlab.instrument",
    "Feed": "mmlab.feeds",
    "load_feed": "mmlab.feeds",
    "import_feed": "mmlab.feeds",
    "Run": "mmlab.lab.run",
    "load_run": "mmlab.lab.backtest",
    "backtest": "mmlab.lab.backtest",
    "what_if": "mmlab.lab.backtest",
    "calibrate": "mmlab.lab.warm_up",
    "quoter": "mmlab.lab.quoter",
}
__all__ = [*_HOME]  # noqa: PLE0604 - see `__getattr__`


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'mmlab.lab' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)
