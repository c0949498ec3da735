"""What is wrong with a config, in words: every wrong field with its value and what is allowed instead."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any, Literal, get_args, get_origin

from annotated_types import Ge, Gt, Le
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo


def field_of(model: type[BaseModel], loc: tuple[int | str, ...]) -> FieldInfo | None:
    """The field at a place of an error; None if the place is a section."""
    field = None
    for part in loc:
        if not isinstance(part, str) or part not in model.model_fields:
            break
        field = model.model_fields[part]
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            model, field = kind, None
    return field


def _parts(annotation: Any) -> list[Any]:
    """The annotation and everything inside it."""
    return [annotation, *(part for inner in get_args(annotation) for part in _parts(inner))]


def _bounds(metadata: list[Any]) -> str:
    least = [m.ge for m in metadata if isinstance(m, Ge)]
    above = [m.gt for m in metadata if isinstance(m, Gt)]
    most = [m.le for m in metadata if isinstance(m, Le)]
    if least and most:
        return f" between {least[0]:g} and {most[0]:g}"
    words = [f"above {x:g}" for x in above] + [f"at least {x:g}" for x in least] + [f"at most {x:g}" for x in most]
    return " " + " and ".join(words) if words else ""


def allowed(field: FieldInfo, *, inside: bool = False) -> str:
    """What a field, or one of its values (`inside`), may hold, for example ``a number between 0 and 0.5``."""
    parts = _parts(field.annotation)
    for part in parts:
        if get_origin(part) is Literal:
            return "one of " + ", ".join(repr(value) for value in get_args(part))
    metadata = [*field.metadata, *(m for part in parts if isinstance(part, FieldInfo) for m in part.metadata)]
    if bool in parts:
        return "true or false"
    noun = "a whole number" if int in parts else "a number"
    if not inside and tuple in (get_origin(part) for part in parts):
        noun = "a list of numbers, each"
    extra = field.json_schema_extra
    unit = f" {extra['unit']}" if isinstance(extra, dict) and extra.get("unit") else ""
    return noun + _bounds(metadata) + unit + (", or none" if type(None) in parts else "")


def nearest(name: str, names: list[str]) -> str:
    """A hint at the known name that is most like an unknown one."""
    leaf = name.rpartition(".")[2]
    close = get_close_matches(name, names, 1, 0.75) or [n for n in names if n.rpartition(".")[2] == leaf][:1]
    close = close or get_close_matches(name, names, 1, 0.6)
    return f": did you mean {close[0]}?" if close else f": known here are {', '.join(names)}" if len(names) < 12 else ""


def unknown(name: str, value: Any, names: list[str]) -> str:
    """A sentence about a parameter that does not exist."""
    given = "" if isinstance(value, (dict, BaseModel)) else f" = {value!r}"
    return f"{name}{given}: no such parameter{nearest(name, names)}"


def explain(error: ValidationError, model: type[BaseModel], names: list[str]) -> str:
    """Every wrong field, its value and what is allowed, in one line.

    Parameters
    ----------
    error : pydantic.ValidationError
    model : type of BaseModel
        The whole config.
    names : list of str
        Every parameter and section, dotted.
    """
    lines = []
    for item in error.errors():
        loc, value = item["loc"], item["input"]
        name = ".".join(str(part) for part in loc) or "config"
        if item["type"] == "extra_forbidden":
            lines.append(unknown(name, value, names))
            continue
        field = field_of(model, loc)
        given = "" if isinstance(value, (dict, BaseModel)) else f" = {value!r}"
        if item["type"] == "value_error":
            lines.append(f"{name}{given}: {item['msg'].removeprefix('Value error, ')}")
        elif field is None:
            lines.append(f"{name} = {value!r}: must be a table of parameters")
        else:
            lines.append(f"{name}{given}: must be {allowed(field, inside=isinstance(loc[-1], int))}")
    return "; ".join(lines)
