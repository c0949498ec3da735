"""Fields of the config as a form shows them: kind, unit, bounds, help, and a slider's span where one makes sense."""

from __future__ import annotations

import math
from collections.abc import Iterator
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from mmlab.config import Config, reloads
from mmlab.lab.numbers import number

SECTIONS = {
    "ladder": "Ladder",
    "strategy": "Quoting",
    "gates.flip": "Flip gate",
    "gates.age_exit": "Age exit",
    "gates.cooldown": "Refill cooldown",
    "kill": "Kill switches",
    "risk": "Limits",
}
"""What may be tuned, in the order of the form."""
WIDEST = 1e4
"""A slider ends at the field's own bounds where they are no further apart, else at a few times the default."""


def groups() -> list[dict[str, Any]]:
    """Sections with their fields: ``name, title, help, fields``.

    A field: ``name`` (dotted), ``label, kind`` (number, list, flag, choice), ``unit, help, bounds`` (words), ``low,
    high, whole, none`` (may be none), ``slide`` (low, high, step; None: a box only), ``choices``.
    """
    return [
        {
            "name": name,
            "title": title,
            "help": (_model(name).__doc__ or "").strip().splitlines()[0],
            "fields": [field for field in _fields(_model(name), name) if reloads(field["name"])],
        }
        for name, title in SECTIONS.items()
    ]


def names() -> list[str]:
    """Dotted names of all that may be tuned."""
    return [field["name"] for group in groups() for field in group["fields"]]


def _model(name: str) -> type[BaseModel]:
    model: Any = Config
    for part in name.split("."):
        model = model.model_fields[part].annotation
    return model


def _fields(model: type[BaseModel], prefix: str) -> Iterator[dict[str, Any]]:
    for name, info in model.model_fields.items():
        dotted = f"{prefix}.{name}"
        if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel):
            yield from _fields(info.annotation, dotted)
        else:
            yield _field(dotted, info)


def _field(name: str, info: FieldInfo) -> dict[str, Any]:
    annotation, none = info.annotation, False
    if get_origin(annotation) in (Union, UnionType):
        members = get_args(annotation)
        none = type(None) in members
        annotation = next(one for one in members if one is not type(None))
    extra = info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
    section, _, leaf = name.rpartition(".")
    label = f"{section.split('.')[-1]}.{leaf}" if section.startswith("kill.") else leaf
    field: dict[str, Any] = {
        "name": name, "label": label, "kind": "number", "unit": str(extra.get("unit", "")),
        "help": info.description or "", "bounds": "", "none": none, "whole": annotation is int, "choices": [],
        "low": None, "high": None, "slide": None,
    }  # fmt: skip
    if annotation is bool:
        return field | {"kind": "flag"}
    if get_origin(annotation) is Literal:
        return field | {"kind": "choice", "choices": list(get_args(annotation))}
    default, metadata = info.default, list(info.metadata)
    if get_origin(annotation) is tuple:
        item, *_ = get_args(annotation)
        metadata = [one for part in getattr(item, "__metadata__", ()) for one in getattr(part, "metadata", [part])]
        field["kind"], default = "list", max(info.default)
    low, high = _bound(metadata, "ge", "gt"), _bound(metadata, "le", "lt")
    strict = _bound(metadata, "gt") is not None
    return field | {
        "low": low, "high": high, "bounds": _words(low, high, strict=strict, none=none, many=field["kind"] == "list"),
        "slide": _slide(low, high, default, whole=field["whole"], strict=strict),
    }  # fmt: skip


def _bound(metadata: list[Any], *kinds: str) -> float | None:
    found = (getattr(one, kind, None) for one in metadata for kind in kinds)
    return next((float(value) for value in found if value is not None), None)


def _words(low: float | None, high: float | None, *, strict: bool, none: bool, many: bool) -> str:
    if low is None or high is None:
        return ""
    words = f"{'above ' if strict else ''}{number(low)} to {number(high)}"
    if 0 < abs(low) < 1e-6 or abs(high) > 1e9:
        words = f"{low:g} to {high:g}"
    return words + (" each" if many else "") + (", or none" if none else "")


def _slide(
    low: float | None, high: float | None, default: Any, *, whole: bool, strict: bool
) -> tuple[float, float, float] | None:
    """Span and step of a slider, on multiples of the step; None where no default says what size its values have."""
    if low is None or high is None or not isinstance(default, int | float):
        return None
    start, end = low, high
    if high - low > 4 * max(abs(default), 1e-9) and (high - low) > 1.0:
        size = abs(default) or (10.0 if high > WIDEST / 10 else high)
        start, end = max(low, -4 * size if default < 0 else 0.0), min(high, 4 * size if default >= 0 else 0.0)
        start = max(low, start)
    if end <= start:
        return None
    decimals = 0 if whole else 2 - math.floor(math.log10(end - start))
    step = 10.0**-decimals
    start = math.ceil(start / step - 1e-9) * step + (step if strict and start <= low else 0.0)
    return round(start, max(0, decimals)), round(end, max(0, decimals)), step
