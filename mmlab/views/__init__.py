"""Views of a run for a browser and for a notebook cell: the dashboard's inside, `panel_of` and `widgets_of`."""

from __future__ import annotations

from typing import Any

__all__ = ["panel_of", "widgets_of"]


def __getattr__(name: str) -> Any:
    if name == "panel_of":
        from mmlab.views.cell import panel_of

        return panel_of
    if name == "widgets_of":
        from mmlab.views.controls import widgets_of

        return widgets_of
    raise AttributeError(f"module 'mmlab.views' has no attribute {name!r}")
