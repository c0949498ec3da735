"""Boxes and arrows as SVG, placed by hand."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from html import escape

INK, LINE, BLUE, GREY, WARM = "#1b2733", "#4a6178", "#e8f0f8", "#f3f4f6", "#fdf1e3"
LETTER = 6.3
"""Mean width of a letter of a label, px."""


@dataclass(frozen=True)
class Box:
    """A box with its centre; the first line is bold."""

    x: float
    y: float
    w: float
    h: float
    lines: tuple[str, ...]
    fill: str = BLUE
    bold: bool = True

    def draw(self) -> str:
        """The box."""
        left, top = self.x - self.w / 2, self.y - self.h / 2
        first = self.y - 8 * (len(self.lines) - 1) + 4
        text = "".join(
            f'<text x="{self.x:g}" y="{first + 16 * n:g}"{_weight(bold=self.bold and n == 0)}>{escape(line)}</text>'
            for n, line in enumerate(self.lines)
        )
        return (
            f'<rect x="{left:g}" y="{top:g}" width="{self.w:g}" height="{self.h:g}" rx="7" fill="{self.fill}"'
            f' stroke="{LINE}"/>{text}'
        )

    def edge(self, x: float, y: float) -> tuple[float, float]:
        """Where the line from the centre towards a point leaves the box."""
        dx, dy = x - self.x, y - self.y
        scale = min(
            self.w / 2 / abs(dx) if dx else float("inf"), self.h / 2 / abs(dy) if dy else float("inf")
        )  # fmt: skip
        return self.x + dx * scale, self.y + dy * scale


@dataclass(frozen=True)
class Arrow:
    """From box to box. ``shift`` moves it aside, ``at`` says where on it the label stands (0 to 1)."""

    start: str
    end: str
    label: str = ""
    shift: float = 0.0
    at: float = 0.5
    dashed: bool = False
    both: bool = False

    def draw(self, boxes: Mapping[str, Box]) -> tuple[str, str]:
        """The arrow, and its label."""
        a, b = boxes[self.start], boxes[self.end]
        dx, dy = b.x - a.x, b.y - a.y
        length = (dx * dx + dy * dy) ** 0.5
        sx, sy = -dy / length * self.shift, dx / length * self.shift
        (x1, y1), (x2, y2) = a.edge(b.x, b.y), b.edge(a.x, a.y)
        if abs(dx) * 3 < abs(dy) or abs(dy) * 3 < abs(dx):  # steep or flat: shifting keeps the ends at the boxes
            x1, y1, x2, y2 = x1 + sx, y1 + sy, x2 + sx, y2 + sy
        else:
            x1, x2 = x1 + sx, x2 + sx
        dash = ' stroke-dasharray="5 4"' if self.dashed else ""
        tail = ' marker-start="url(#head)"' if self.both else ""
        line = (
            f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{LINE}"{dash}{tail}'
            ' marker-end="url(#head)"/>'
        )
        return line, self._text(x1 + (x2 - x1) * self.at, y1 + (y2 - y1) * self.at)

    def _text(self, x: float, y: float) -> str:
        if not self.label:
            return ""
        lines = self.label.split("\n")
        w, h = LETTER * max(map(len, lines)) + 6, 14 * len(lines)
        text = "".join(
            f'<text x="{x:.1f}" y="{y - h / 2 + 11 + 14 * n:.1f}" class="s">{escape(line)}</text>'
            for n, line in enumerate(lines)
        )
        return f'<rect x="{x - w / 2:.1f}" y="{y - h / 2:.1f}" width="{w:.1f}" height="{h}" fill="#fff"/>{text}'


def _weight(*, bold: bool) -> str:
    return ' font-weight="600"' if bold else ' class="s"'


@dataclass(frozen=True)
class Frame:
    """A dashed frame with a title, behind the boxes."""

    x: float
    y: float
    w: float
    h: float
    title: str

    def draw(self) -> str:
        """The frame."""
        return (
            f'<rect x="{self.x:g}" y="{self.y:g}" width="{self.w:g}" height="{self.h:g}" rx="9" fill="none"'
            f' stroke="#9fb0c0" stroke-dasharray="3 3"/><text x="{self.x + 10:g}" y="{self.y + 17:g}" class="t">'
            f"{escape(self.title)}</text>"
        )


def picture(
    width: int, height: int, title: str, boxes: Mapping[str, Box], arrows: Iterable[Arrow],
    frames: Iterable[Frame] = (),
) -> str:  # fmt: skip
    """A whole picture."""
    drawn = [one.draw(boxes) for one in arrows]
    parts = [*(one.draw() for one in frames), *(line for line, _ in drawn), *(one.draw() for one in boxes.values())]
    parts += [label for _, label in drawn if label]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
        f' role="img" font-family="system-ui, sans-serif" font-size="13" fill="{INK}" text-anchor="middle">\n'
        f"<title>{escape(title)}</title>\n"
        "<style>.s{font-size:11.5px;fill:#334555}.t{font-size:11.5px;fill:#5b6f82;text-anchor:start}</style>\n"
        f'<defs><marker id="head" viewBox="0 0 8 8" refX="7.4" refY="4" markerWidth="8" markerHeight="8"'
        f' orient="auto-start-reverse"><path d="M0 0 8 4 0 8z" fill="{LINE}"/></marker></defs>\n'
        f'<rect width="{width}" height="{height}" rx="6" fill="#fff"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )
