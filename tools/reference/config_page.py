"""docs/reference/config.md, from the config model: name, unit, default, bounds, meaning, what reloads live."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from mmlab import config
from mmlab.config import Config
from tools.reference.markdown import MADE, code, table

AT_START = {
    "strategy.warmup_s": "the warm-up is over",
    "strategy.warmup_min_trades": "the warm-up is over",
    "strategy.warmup_max_s": "the warm-up is over",
    "risk.inventory": "decides what a position is",
    "risk.portfolio_total": "decides what a position is",
    "risk.portfolio_start": "decides what a position is",
    "risk.target_pct": "decides what a position is",
    "risk.max_total_notional": "the reservation is made at the start; if it was set then, its value reloads",
    "execution.instance": "part of the ids of orders that rest",
    "telemetry": "files and listener are made at the start",
    "venue": "the connection is made at the start",
}
"""Fields, or whole sections, that count from the next start only, and why."""
reloads = config.reloads
"""What a running session refuses to change, too, once the config says so itself."""

HEAD = """# Configuration reference

Every parameter, from the model in `mmlab.config`. A TOML file holds only what differs from the defaults; `--set
NAME=VALUE` and `Config.with_` take the dotted names below. A wrong name, type or value is a `ConfigError` that lists
every wrong field with its allowed range, and nothing is applied.

- **Default** `none`: worked out from the instrument or the warm-up, as the meaning says.
- **Live** `yes`: `session.update`, `mmlab attach --set NAME=VALUE`, `POST /params` and the dashboard's *Tune* change it
  between two decisions of a running session. `start`: it counts for the next session only.
- Where a `_ticks` value has a `_bps` twin, the larger distance holds.
"""


@dataclass(frozen=True)
class Parameter:
    """One field of the config."""

    name: str
    unit: str
    default: str
    bounds: str
    meaning: str

    @property
    def live(self) -> bool:
        """Whether a running session acts on a change."""
        return self.why_not == "" and reloads(self.name)

    @property
    def why_not(self) -> str:
        """Why it counts from the next start only; "" if it does not."""
        return next((why for start, why in AT_START.items() if f"{self.name}.".startswith(f"{start}.")), "")


@cache
def sections() -> list[tuple[str, str, list[Parameter]]]:
    """Every section that has fields of its own: dotted name, purpose, fields."""
    schema = Config.model_json_schema()
    return list(_sections(schema, schema["$defs"], ""))


def parameters() -> list[Parameter]:
    """Every field."""
    return [parameter for _, _, fields in sections() for parameter in fields]


def _sections(node: dict[str, Any], known: dict[str, Any], name: str) -> Iterator[tuple[str, str, list[Parameter]]]:
    below, fields = [], []
    for key, field in node["properties"].items():
        dotted = f"{name}.{key}" if name else key
        if "$ref" in field:
            below.append((known[field["$ref"].rpartition("/")[2]], dotted))
        else:
            fields.append(_parameter(dotted, field))
    if fields:
        yield name, " ".join(node.get("description", "").split()), fields
    for child, dotted in below:
        yield from _sections(child, known, dotted)


def _parameter(name: str, field: dict[str, Any]) -> Parameter:
    kinds = field.get("anyOf", [field])
    kind = next(one for one in kinds if one.get("type") != "null")
    bounds = _bounds(kind)
    if len(kinds) > 1:
        bounds = f"{bounds}, or none" if bounds else "any, or none"
    return Parameter(name, field.get("unit", ""), _value(field.get("default")), bounds, field.get("description", ""))


def _value(value: Any) -> str:
    """A default as a TOML file writes it."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.6g}".replace("e+0", "e").replace("e+", "e").replace("e-0", "e-")
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_value(one) for one in value) + "]"
    return f'"{value}"' if isinstance(value, str) else str(value)


def _bounds(kind: dict[str, Any]) -> str:
    if "enum" in kind:
        return ", ".join(kind["enum"])
    if "const" in kind:
        return str(kind["const"])
    if kind["type"] == "boolean":
        return "true, false"
    if kind["type"] == "array":
        inner = _bounds(kind["items"]) if "items" in kind else ""
        return f"each {inner}" if inner else "a list"
    low = kind.get("minimum", kind.get("exclusiveMinimum"))
    high = kind.get("maximum", kind.get("exclusiveMaximum"))
    if low is None and high is None:
        return {"string": "text"}.get(kind["type"], "any")
    above = "above " if "exclusiveMinimum" in kind else ""
    whole = ", whole" if kind["type"] == "integer" else ""
    return f"{above}{_value(float(low))} to {_value(float(high))}{whole}"


def rows(fields: list[Parameter]) -> str:
    """A table of fields."""
    return table(
        ("name", "unit", "default", "bounds", "meaning", "live"),
        [
            (code(one.name), one.unit, code(one.default), one.bounds, one.meaning, "yes" if one.live else "start")
            for one in fields
        ],
    )


def page() -> str:
    """The page."""
    parts = [MADE + HEAD]
    parts += [f"## {name}\n\n{purpose}\n\n{rows(fields)}" for name, purpose, fields in sections()]
    reasons = [(code(name), why) for name, why in AT_START.items() if _stands(name)]
    parts.append("## What counts from the next start only\n\n" + table(("parameter", "why"), reasons))
    return "\n".join(parts)


def _stands(name: str) -> bool:
    return any(one.name == name or one.name.startswith(f"{name}.") for one in parameters())
