"""docs/reference/api.md, from the names that `import mmlab` offers; the site fills in their docstrings."""

from __future__ import annotations

from importlib import import_module

import mmlab
from tools.reference.markdown import MADE

HEAD = """# Python interface

What `import mmlab` offers. On the built site (`make docs`) every name has its signature and docstring here; in the
source text it is a list.
"""
GROUPS = {
    "Market data": ("Feed", "load_feed", "import_feed", "EVENT", "Kind", "Instrument"),
    "Metrics": ("markouts", "rolling_markout", "fill_rate", "flips", "inventory_age", "pnl_per_million"),
    "Strategy and replay": ("Config", "backtest", "Latency", "quoter", "calibrate", "what_if", "Run", "load_run"),
    "Studies": ("sweep", "load_grid", "walk_forward", "batch", "record", "runs"),
    "Sessions": ("Session", "attach", "verify_decisions", "FaultPlan"),
}


def page() -> str:
    """The page."""
    rest = [name for name in mmlab._HOME if not any(name in names for names in GROUPS.values())]
    errors = [name for name in rest if name.endswith("Error")]
    groups = {**GROUPS, "More": tuple(name for name in rest if name not in errors), "Errors": tuple(errors)}
    parts = [MADE + HEAD]
    for title, names in groups.items():
        entries = [f"::: {home(name)}\n" for name in names if name in mmlab._HOME]
        if entries:
            parts.append(f"## {title}\n\n" + "\n".join(entries))
    parts.append("## Closed forms\n\n::: mmlab.theory\n    options:\n      show_root_heading: true\n")
    return "\n".join(parts)


def home(name: str) -> str:
    """Where a name is defined, dotted."""
    value = getattr(mmlab, name)
    module = getattr(value, "__module__", "")
    if isinstance(module, str) and module.startswith("mmlab.") and hasattr(import_module(module), name):
        return f"{module}.{name}"
    return f"{mmlab._HOME[name]}.{name}"
