"""Tuning with ipywidgets, for those who prefer them to the form of `mmlab.views.cell`."""

from __future__ import annotations

import threading
from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Any

import ipywidgets as iw

from mmlab.config import Config
from mmlab.errors import ConfigError, MMLabError
from mmlab.views import fields
from mmlab.views.store import Engine
from mmlab.views.words import money, shown

WIDE = iw.Layout(width="auto")


class Controls:
    """Widgets of one session.

    Parameters
    ----------
    client : Client
        The engine.
    """

    def __init__(self, client: Engine) -> None:
        self.client = client
        self._lock = threading.Lock()
        self.inputs: dict[str, Any] = {}
        self._kinds: dict[str, dict[str, Any]] = {}
        self.applied: dict[str, Any] = {}
        self.version = 0
        self.state, self.said = iw.HTML(), iw.HTML()
        self.apply = self._button("Apply", self._apply, "primary")
        self.revert = self._button("Revert", self.load, "")
        self.kill = self._button("KILL", self._kill, "danger")
        self.rearm = self._button("Re-arm", self._rearm, "")
        sections = iw.Accordion([self._section(group) for group in fields.groups()], layout=WIDE)
        for i, title in enumerate(fields.SECTIONS.values()):
            sections.set_title(i, title)
        sections.selected_index = 0
        run_dir = escape(str(client.run_dir))
        note = iw.HTML(
            "<small>These widgets answer only while the kernel is idle. KILL at any time: "
            f"<code>mmlab kill {run_dir}</code>, or <code>mmlab dashboard --runs {escape(str(Path(run_dir).parent))}"
            "</code> and its red button.</small>"
        )
        buttons = iw.HBox([self.apply, self.revert, self.kill, self.rearm])
        self.box = iw.VBox([self.state, buttons, self.said, sections, note])
        self.load()

    # --- making ------------------------------------------------------------------------------------------------------

    def _button(self, words: str, work: Callable[[], object], style: str) -> iw.Button:
        button = iw.Button(description=words, button_style=style)
        button.on_click(lambda _: self._do(work))
        return button

    def _section(self, group: dict[str, Any]) -> iw.VBox:
        rows = []
        for field in group["fields"]:
            name = field["name"]
            widget = self._input(field)
            self.inputs[name], self._kinds[name] = widget, field
            widget.observe(lambda _: self._mark(), "value")
            rest = " ".join(
                filter(None, [field["unit"], field["help"], f"({field['bounds']})" if field["bounds"] else ""])
            )
            rows.append(iw.HBox([widget, iw.HTML(f"<small>{escape(rest)}</small>")]))
        return iw.VBox(rows)

    @staticmethod
    def _input(field: dict[str, Any]) -> Any:
        look = {
            "description": field["label"],
            "style": {"description_width": "190px"},
            "layout": iw.Layout(width="360px"),
        }
        if field["kind"] == "flag":
            return iw.Checkbox(indent=True, **look)
        if field["kind"] == "choice":
            return iw.Dropdown(options=field["choices"], **look)
        if field["slide"] is not None and field["kind"] == "number":
            low, high, step = field["slide"]
            kind = iw.IntSlider if field["whole"] else iw.FloatSlider
            number = int if field["whole"] else float
            return kind(
                min=number(low), max=number(high), step=number(step), readout_format="d" if field["whole"] else ".4g",
                continuous_update=False, **look,
            )  # fmt: skip
        return iw.Text(continuous_update=False, placeholder="none" if field["none"] else "", **look)

    # --- values ------------------------------------------------------------------------------------------------------

    def load(self) -> None:
        """Show the parameters in force."""
        params = self.client.params()
        flat = Config(**params["config"]).flat()
        self.version = int(params["version"])
        self.applied = {name: _plain(flat[name]) for name in self.inputs}
        for name, widget in self.inputs.items():
            value = self.applied[name]
            if isinstance(widget, iw.Text):
                widget.value = (
                    "" if value is None else ", ".join(map(str, value)) if isinstance(value, list) else str(value)
                )
                continue
            if isinstance(widget, iw.IntSlider | iw.FloatSlider):
                widget.max, widget.min = max(widget.max, value), min(widget.min, value)
            widget.value = value
        self._mark()
        self._look()

    def pending(self) -> dict[str, Any]:
        """What differs from the parameters in force.

        Raises
        ------
        ConfigError
            A text is no number.
        """
        values = {name: self._value(name) for name in self.inputs}
        return {name: value for name, value in values.items() if value != self.applied.get(name)}

    def _value(self, name: str) -> Any:
        widget, field = self.inputs[name], self._kinds[name]
        if not isinstance(widget, iw.Text):
            return widget.value
        text = widget.value.strip()
        try:
            if field["kind"] == "list":
                return [float(part) for part in text.split(",")]
            return None if not text or text == "none" else float(text)
        except ValueError:
            raise ConfigError(
                f"{name} = {text!r}: must be a number{', or several' * (field['kind'] == 'list')}"
            ) from None

    def _mark(self) -> None:
        """Say how much waits."""
        try:
            n = len(self.pending()) if self.applied else 0
        except ConfigError:
            n = 1
        self.apply.description = f"Apply {n}" if n else "Apply"
        self.apply.disabled = not n

    # --- doing -------------------------------------------------------------------------------------------------------

    def _do(self, work: Callable[[], object]) -> None:
        with self._lock:
            try:
                self.said.value = f"<b>{escape(str(work() or ''))}</b>"
            except MMLabError as error:
                self.said.value = f'<b style="color:#b0203c">{escape(str(error))}</b>'

    def _apply(self) -> str:
        changes = self.pending()
        if not changes:
            return "Nothing to apply."
        version = self.client.update(changes, base_version=self.version, source="widgets")
        self.load()
        return f"Applied as version {version}: " + ", ".join(f"{k} = {shown(v)}" for k, v in changes.items())

    def _kill(self) -> str:
        self.client.kill("widgets")
        self._look()
        return "Killed: all orders are being cancelled. It stays halted until it is re-armed."

    def _rearm(self) -> str:
        self.client.rearm()
        self._look()
        return "Re-armed."

    def _look(self) -> None:
        state = self.client.state()
        self.state.value = (
            f"<b>{escape(str(state['trading']))}</b> {escape(str(state['why']))}"
            f" · net P&amp;L {money(state['net_pnl'])} · position {state['position']:g}"
            f" · parameters version {self.version}"
        )


def widgets_of(client: Engine) -> iw.VBox:
    """Widgets that tune and kill a session.

    Parameters
    ----------
    client : Client
        The engine.

    Raises
    ------
    SessionError
        It does not answer.
    """
    return Controls(client).box


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
