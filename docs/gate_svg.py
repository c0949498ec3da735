"""Time-series panels as plain SVG, in one style for every picture of a gate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

import numpy as np

from mmlab.events import Reason

WIDTH, LEFT, RIGHT, HEAD, FOOT = 900, 62, 14, 20, 8
BID, ASK, BOOK, GATE, KILL, GOOD, GREY = "#1f6fb4", "#d8590b", "#c9ced6", "#6a3d9a", "#c0392b", "#1a8f5c", "#6b7280"
MOST_POINTS = 4000


@dataclass
class Line:
    """A series; `step` holds each value until the next. NaN leaves a gap."""

    t: Sequence[float]
    y: Sequence[float]
    color: str
    label: str = ""
    step: bool = True
    width: float = 1.6
    dash: str = ""


@dataclass
class Band:
    """Filled between two step lines."""

    t: Sequence[float]
    low: Sequence[float]
    high: Sequence[float]
    color: str = BOOK
    label: str = ""


@dataclass
class Marks:
    """Symbols: ``up``, ``down``, ``dot``, ``cross``."""

    t: Sequence[float]
    y: Sequence[float]
    color: str
    shape: str = "dot"
    label: str = ""


@dataclass
class Panel:
    """One set of axes; `spans` are shaded (begin, end, color), `levels` dashed lines (value, text)."""

    title: str
    lines: list[Line] = field(default_factory=list)
    bands: list[Band] = field(default_factory=list)
    marks: list[Marks] = field(default_factory=list)
    levels: list[tuple[float, str]] = field(default_factory=list)
    spans: list[tuple[float, float, str]] = field(default_factory=list)
    height: int = 130
    low: float | None = None
    high: float | None = None


@dataclass
class Lanes:
    """Rows of coloured bars: name -> (begin, end, key); `colors` by key."""

    title: str
    rows: dict[str, list[tuple[float, float, str]]]
    colors: dict[str, str]
    height: int = 0


CAUSES: list[tuple[str, str, Reason]] = [
    ("no book, warm-up", "#d1d5db", Reason.BOOK | Reason.WARMUP),
    ("limit: refused, backs off", "#b45309", Reason.COLLAR | Reason.SIZE | Reason.ORDER_COUNT | Reason.MESSAGES),
    ("age exit", GOOD, Reason.AGE_EXIT),
    ("side pause, widened", "#f4a6b5", Reason.LIGHT_WIDEN),
    ("side pause", "#e0455e", Reason.TOXIC | Reason.BURST),
    ("too many hits", "#f08c00", Reason.PULL),
    ("flip gate: pulled", "#4c1d95", Reason.FLIP_SKIP),
    ("inventory full", "#0b3c6f", Reason.LADDER_FULL | Reason.POSITION),
    ("flip gate: widened", "#b394e0", Reason.FLIP_WIDEN),
    ("cooldown", "#f7d154", Reason.COOLDOWN),
    ("ladder", "#9cc7ea", Reason.LADDER | Reason.CUT),
]
"""What is shown of a side's reasons, first match first: name, colour, bits."""
HALT, REDUCES, REARMS = "halt", "halt, reduces only", "waits to re-arm"
COLORS = {
    HALT: "#8e1b12",
    REDUCES: "#d99a8f",
    REARMS: "#9ca3af",
    **{name: color for name, color, _ in CAUSES},
    "as the model says": "#e9f5ec",
}


def cause(reasons: int, *, quoted: bool, halted: bool) -> str:
    """The name under which a side's reasons are shown."""
    if halted:
        return REDUCES if quoted else (REARMS if reasons & int(Reason.REARM) else HALT)
    return next((name for name, _, bits in CAUSES if reasons & int(bits)), "as the model says")


def runs(t: Sequence[float], keys: Sequence[str], end: float) -> list[tuple[float, float, str]]:
    """Equal neighbours joined: (begin, end, key)."""
    out: list[tuple[float, float, str]] = []
    for begin, key in zip(t, keys, strict=True):
        if out and out[-1][2] == key:
            continue
        if out:
            out[-1] = (out[-1][0], begin, out[-1][2])
        out.append((begin, end, key))
    return [row for row in out if row[1] > row[0]]


def side_lanes(t: Sequence[float], bid: Sequence[str], ask: Sequence[str], end: float) -> Lanes:
    """What each side does, as a lane panel."""
    return Lanes("state of each side", {"ask": runs(t, ask, end), "bid": runs(t, bid, end)}, COLORS)


# ---------------------------------------------------------------------------------------------------------------------


class _Axis:
    def __init__(self, begin: float, end: float) -> None:
        self.begin, self.end = begin, end
        self.scale = (WIDTH - LEFT - RIGHT) / (end - begin)

    def __call__(self, t: float) -> float:
        return LEFT + (min(max(t, self.begin), self.end) - self.begin) * self.scale


def _ticks(low: float, high: float, n: int) -> list[float]:
    raw = (high - low) / max(n, 1)
    size = 10.0 ** np.floor(np.log10(raw))
    step = next(size * m for m in (1, 2, 2.5, 5, 10) if size * m >= raw * 0.8)
    whole = np.arange(np.ceil(low / step - 1e-9), np.floor(high / step + 1e-9) + 1)
    return [round(float(v) * float(step), 12) + 0.0 for v in whole]


def _text(x: float, y: float, words: str, color: str = "#111827", anchor: str = "start", more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="{color}" text-anchor="{anchor}"{more}>{escape(words)}</text>'


def _window(t: np.ndarray, begin: float, end: float) -> slice:
    first = max(0, int(np.searchsorted(t, begin, "right")) - 1)
    return slice(first, int(np.searchsorted(t, end, "right")))


def _path(line: Line, x: _Axis, up) -> str:
    """SVG path of a line, one point a pixel at the most."""
    t, y = np.asarray(line.t, float), np.asarray(line.y, float)
    part = _window(t, x.begin, x.end)
    t, y = t[part], y[part]
    out, pen, last = [], False, (np.nan, np.nan)
    column = np.floor((np.clip(t, x.begin, x.end) - x.begin) * x.scale * 3)
    for i in range(t.size):
        if i + 1 < t.size and column[i + 1] == column[i]:
            continue  # a third of a pixel holds one value: its last
        if np.isnan(y[i]):
            if pen and line.step:
                out.append(f"H{x(t[i]):.1f}")
            pen = False
            continue
        a, b = x(t[i]), up(y[i])
        if not pen:
            out.append(f"M{a:.1f},{b:.1f}")
        elif line.step:
            if abs(b - last[1]) < 0.05:
                continue
            out.append(f"H{a:.1f}V{b:.1f}")
        else:
            out.append(f"L{a:.1f},{b:.1f}")
        pen, last = True, (a, b)
    if pen and line.step:
        out.append(f"H{x(x.end):.1f}")
    return "".join(out)


def _limits(panel: Panel, x: _Axis) -> tuple[float, float]:
    values = [value for value, _ in panel.levels]
    for t, y in (
        [(line.t, line.y) for line in panel.lines]
        + [(b.t, b.low) for b in panel.bands]
        + [(b.t, b.high) for b in panel.bands]
    ):
        part = np.asarray(y, float)[_window(np.asarray(t, float), x.begin, x.end)]
        values += [v for v in (np.nanmin(part), np.nanmax(part)) if np.isfinite(v)] if np.isfinite(part).any() else []
    for m in panel.marks:
        inside = (np.asarray(m.t, float) >= x.begin) & (np.asarray(m.t, float) <= x.end)
        values += [float(v) for v in np.asarray(m.y, float)[inside]]
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    room = 0.08 * (high - low) or 1.0
    return (low - room if panel.low is None else panel.low), (high + room if panel.high is None else panel.high)


SHAPES = {
    "up": "M0,-5.5L5,4.5H-5Z",
    "down": "M0,5.5L5,-4.5H-5Z",
    "dot": "M-3.2,0a3.2,3.2 0 1,0 6.4,0a3.2,3.2 0 1,0 -6.4,0",
    "cross": "M-4,-4L4,4M-4,4L4,-4",
}


def _panel(panel: Panel, x: _Axis, top: float) -> str:
    low, high = _limits(panel, x)
    bottom = top + HEAD + panel.height

    def up(value: float) -> float:
        return bottom - (min(max(value, low), high) - low) / (high - low) * panel.height

    out = [f'<rect x="{LEFT}" y="{top + HEAD}" width="{WIDTH - LEFT - RIGHT}" height="{panel.height}" fill="#fbfcfd"/>']
    for begin, end, color in panel.spans:
        if end > x.begin and begin < x.end:
            width = max(1.0, x(end) - x(begin))
            out.append(
                f'<rect x="{x(begin):.1f}" y="{top + HEAD}" width="{width:.1f}" height="{panel.height}" '
                f'fill="{color}" opacity="0.16"/>'
            )
    for value in _ticks(low, high, max(2, panel.height // 28)):
        out.append(f'<path d="M{LEFT},{up(value):.1f}H{WIDTH - RIGHT}" stroke="#e5e7eb" fill="none"/>')
        out.append(_text(LEFT - 6, up(value) + 4, f"{value:.6g}", GREY, "end"))
    for band in panel.bands:
        upper = _path(Line(band.t, band.high, band.color), x, up)
        lower = _path(Line(band.t, band.low, band.color), x, up)
        out.append(f'<path d="{upper}{lower}" stroke="{band.color}" fill="none" stroke-width="1.4"/>')
    for value, words in panel.levels:
        out.append(
            f'<path d="M{LEFT},{up(value):.1f}H{WIDTH - RIGHT}" stroke="{GREY}" stroke-dasharray="2 4" fill="none"/>'
        )
        out.append(_text(WIDTH - RIGHT - 4, up(value) - 3, words, GREY, "end"))
    for line in panel.lines:
        dash = f' stroke-dasharray="{line.dash}"' if line.dash else ""
        out.append(
            f'<path d="{_path(line, x, up)}" stroke="{line.color}" stroke-width="{line.width}" fill="none"{dash}/>'
        )
    for m in panel.marks:
        shapes = "".join(
            f'<path transform="translate({x(t):.1f},{up(y):.1f})" d="{SHAPES[m.shape]}"/>'
            for t, y in zip(m.t, m.y, strict=True)
            if x.begin <= t <= x.end
        )
        fill = "none" if m.shape == "cross" else m.color
        out.append(f'<g fill="{fill}" stroke="{"none" if fill != "none" else m.color}" stroke-width="1.8">{shapes}</g>')
    out.append(_text(LEFT, top + 14, panel.title, more=' font-weight="bold"'))
    right = WIDTH - RIGHT
    for item in reversed([*panel.bands, *panel.lines, *panel.marks]):
        if item.label:
            color = "#8a929e" if isinstance(item, Band) else item.color
            out.append(_text(right, top + 14, item.label, color, "end"))
            right -= 7.0 * len(item.label) + 12
    return "".join(out)


def _lanes(lanes: Lanes, x: _Axis, top: float) -> str:
    out = [_text(LEFT, top + 14, lanes.title, more=' font-weight="bold"')]
    used: list[str] = []
    for i, (name, row) in enumerate(lanes.rows.items()):
        y = top + HEAD + 20 * i
        out.append(_text(LEFT - 6, y + 12, name, GREY, "end"))
        for begin, end, key in row:
            if end <= x.begin or begin >= x.end:
                continue
            used += [key] if key not in used else []
            out.append(
                f'<rect x="{x(begin):.1f}" y="{y}" width="{max(0.8, x(end) - x(begin)):.1f}" height="16" '
                f'fill="{lanes.colors[key]}"/>'
            )
    place = WIDTH - RIGHT
    for key in sorted(used, key=list(lanes.colors).index, reverse=True):
        place -= 6.6 * len(key) + 22
        out.append(f'<rect x="{place:.1f}" y="{top + 4}" width="11" height="11" fill="{lanes.colors[key]}"/>')
        out.append(_text(place + 15, top + 14, key, GREY))
    return "".join(out)


def draw(path: Path, panels: Sequence[Panel | Lanes], begin: float, end: float, unit: str = "s") -> None:
    """Write the panels below each other over one time axis."""
    x, top, body = _Axis(begin, end), 4.0, []
    for panel in panels:
        if isinstance(panel, Lanes):
            body.append(_lanes(panel, x, top))
            top += HEAD + 20 * len(panel.rows) + FOOT
        else:
            body.append(_panel(panel, x, top))
            top += HEAD + panel.height + FOOT
    for value in _ticks(begin, end, 9):
        body.append(f'<path d="M{x(value):.1f},{top - FOOT}v5" stroke="{GREY}"/>')
        anchor = "end" if x(value) > WIDTH - RIGHT - 24 else "middle"
        body.append(_text(x(value), top + 10, f"{value:g} {unit}", GREY, anchor))
    height = top + 18
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" width="{WIDTH}"'
        f' height="{height:.0f}"'
        f' font-family="system-ui, sans-serif" font-size="12"><rect width="100%" height="100%" fill="#fff"/>'
        + "\n".join(body)
        + "</svg>\n",
        encoding="utf-8",
    )
