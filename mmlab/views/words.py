"""What a dashboard says: states, ages, tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from math import isfinite, nan
from typing import Any

from mmlab.lab.numbers import NONE, number
from mmlab.telemetry.info import CRASHED
from mmlab.views.store import Store

TONES = {"quoting": "good", "reducing": "warn", "starting": "warn", "halting": "bad", "halted": "bad"}


def badge(store: Store) -> tuple[str, str, str]:
    """State of a run: word, tone, and why."""
    state, ended = store.state, store.ended
    if store.trouble:
        return "no data", "bad", store.trouble
    if not store.record:
        return "looking", "", "waiting for the run directory"
    if ended == CRASHED:
        return "crashed", "bad", "The engine died without closing its run; its files are shown up to the last write."
    if not store.going:
        tone = "bad" if ended.startswith("failed") else ""
        return "ended", tone, f"{store.record.get('mode', 'run')}: {ended}"
    if not store.live:
        if state:
            return "no engine", "bad", f"The engine stopped answering: {store.silence}"
        return "going", "warn", f"Data are live, controls are off: {store.silence}"
    if state["ended"]:
        return "ending", "warn", str(state["ended"])
    trading = str(state["trading"])
    why = "; ".join(filter(None, [str(state["why"]), "latched until it is re-armed" if state["latched"] else ""]))
    return trading, TONES.get(trading, ""), why


def money(value: float | None, *, sign: bool = True) -> str:
    """An amount, two decimals or as many digits as it needs."""
    if value is None or not isfinite(value):
        return NONE
    return number(round(value, 2) if abs(value) >= 1 else value, 4 if abs(value) < 100 else 8, sign=sign)


def tone_of(value: float | None) -> str:
    """Green above zero, red below."""
    if value is None or not isfinite(value) or abs(value) < 1e-12:
        return ""
    return "good" if value > 0 else "bad"


def table(head: Sequence[str], rows: Iterable[Sequence[Any]], *, numbers: Iterable[int] = (), empty: str = "") -> str:
    """A table of escaped cells; a cell (text, class) gets that class. `empty` stands for no rows."""
    right = set(numbers)
    lines = []
    for row in rows:
        cells = []
        for i, cell in enumerate(row):
            text, kind = cell if isinstance(cell, tuple) else (cell, "")
            classes = " ".join(filter(None, ["n" if i in right else "", kind]))
            cells.append(f'<td class="{classes}">{escape(str(text))}</td>')
        lines.append(f"<tr>{''.join(cells)}</tr>")
    if not lines:
        return f'<p class="hush">{escape(empty)}</p>' if empty else ""
    heads = "".join(f'<th class="{"n" if i in right else ""}">{escape(name)}</th>' for i, name in enumerate(head))
    return f'<div class="scroll" tabindex="0"><table><tr>{heads}</tr>{"".join(lines)}</table></div>'


def tiles(items: Iterable[tuple[str, str, str, str]]) -> str:
    """Figures side by side: label, value, note, tone."""
    inner = "".join(
        f'<div><dt>{escape(label)}</dt><dd class="{tone}">{escape(value)}</dd>'
        f'<dd class="note">{escape(note)}</dd></div>'
        for label, value, note, tone in items
    )
    return f'<dl class="tiles" style="margin:0">{inner}</dl>'


def pairs(items: Iterable[tuple[str, str]], *, empty: str) -> str:
    """Names and figures in as many columns as there is room for."""
    inner = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in items)
    return f'<dl class="pairs">{inner}</dl>' if inner else f'<p class="hush">{escape(empty)}</p>'


def empty(title: str, *sentences: str) -> str:
    """A page that has nothing to show, and says what to do; sentences may hold markup."""
    return f'<div class="empty"><h2>{escape(title)}</h2>{"".join(f"<p>{text}</p>" for text in sentences)}</div>'


def clock(ms: float) -> str:
    """Time of day, UTC."""
    if not isfinite(ms):
        return NONE
    seconds = int(ms // 1000) % 86400
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"


def value_of(value: Any) -> float:
    """A number, NaN for none."""
    return nan if value is None else float(value)


def shown(value: Any) -> str:
    """A parameter's value for people."""
    if value is None:
        return "none"
    if isinstance(value, list | tuple):
        return ", ".join(shown(one) for one in value)
    if isinstance(value, bool):
        return "on" if value else "off"
    return number(value) if isinstance(value, int | float) else str(value)
