"""The two parts of a page that are written in JavaScript: its head, and the form of parameters."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import panel as pn
import param
from bokeh.models import Div, UIElement
from panel.custom import JSComponent
from panel.io.notebook import patch_inline_stylesheets

_PARTS = Path(__file__).with_name("parts")


def part(name: str) -> str:
    """Text of a file in ``parts``."""
    return (_PARTS / name).read_text(encoding="utf-8")


Heard = Callable[[dict[str, Any]], object]


class _Component(JSComponent):
    """A component whose messages go to a function."""

    __abstract = True

    def __init__(self, hear: Heard, **params: Any) -> None:
        self._hear = hear
        super().__init__(sizing_mode="stretch_width", **params)

    def _handle_msg(self, msg: dict[str, Any]) -> None:
        self._hear(msg)


class Bar(_Component):
    """Head of a page. Messages: ``{"what": "kill" | "rearm"}``."""

    runs = param.List(default=[], doc="name and label of each run to choose from")
    run = param.String(default="", doc="the run shown")
    views = param.List(default=[], doc="id and title of each view")
    view = param.String(default="", doc="the view shown")
    shown = param.String(default="", doc="the view in place; it follows `view`")
    status = param.Dict(default={}, doc="badge, tone, why, chips, can_kill, can_rearm, read_only, ended_words")
    said = param.Dict(default={}, doc="text and tone of the last message")
    pulse = param.List(default=[0, None], doc="beat, and age of the data in s (None: it does not age)")
    dark = param.Boolean(default=False, doc="dark theme; the browser says so first")
    page = param.Boolean(default=True, doc="it heads a page of its own, not a cell")

    _esm = part("bar.js")
    _stylesheets = [part("bar.css")]  # noqa: RUF012  as Panel wants it


class Form(_Component):
    """Parameters to edit. Messages: ``{"what": "edit" | "apply" | "revert" | "try" | "auto", ...}``.

    An edit names the version of the parameters that the page showed when it was made.
    """

    groups = param.List(default=[], doc="sections with their fields (`mmlab.views.fields`)")
    applied = param.Dict(default={}, doc="values in force, by dotted name")
    version = param.Integer(default=0, doc="of the values in force")
    pending = param.Dict(default={}, doc="values that differ and are not applied, by dotted name")
    complaint = param.String(default="", doc="why the last apply was refused")
    locked = param.String(default="", doc="why nothing can be applied; empty: it can")
    can_try = param.Boolean(default=False, doc="whether a what-if is possible")

    _esm = part("form.js")
    _stylesheets = [part("form.css")]  # noqa: RUF012  as Panel wants it


class Place(pn.Column):
    """A column whose content changes. In a cell Panel would look for the style sheets of what comes later elsewhere."""

    def _get_objects(self, *args: Any, **kwargs: Any) -> tuple[list[Any], list[Any]]:
        new, old = super()._get_objects(*args, **kwargs)
        if pn.config.inline:
            for model in (part for one in new for part in one.select({"type": UIElement})):
                patch_inline_stylesheets(model)
        return new, old


def html(text: str = "", *, wide: bool = False) -> pn.pane.Bokeh:
    """A piece of a page.

    A Bokeh `Div`, since `pn.pane.HTML` sends its style sheets anew with every change.
    """
    style = part("text.css") + (":host { grid-column: 1 / -1; }" if wide else "")
    piece = Div(text=text, stylesheets=[style], sizing_mode="stretch_width", margin=0, disable_math=True)
    return pn.pane.Bokeh(piece, sizing_mode="stretch_width", margin=0)


def set_html(pane: pn.pane.Bokeh, text: str) -> None:
    """Change a piece of a page, only if it differs."""
    if pane.object.text != text:
        pane.object.text = text


def card(*items: Any, title: str = "", note: str = "", wide: bool = False) -> pn.Column:
    """A box with a title."""
    head = [html(f"<h2>{title}{f' <small>{note}</small>' if note else ''}</h2>")] if title else []
    return pn.Column(
        *head, *items, css_classes=["card", "wide"] if wide else ["card"], stylesheets=[part("card.css")],
        sizing_mode="stretch_width", margin=0,
    )  # fmt: skip


def grid(*items: Any, css_classes: tuple[str, ...] = ()) -> pn.Column:
    """Boxes side by side where there is room, else one below the other."""
    return pn.Column(
        *items,
        css_classes=["grid", *css_classes],
        stylesheets=[part("card.css")],
        sizing_mode="stretch_width",
        margin=0,
    )
