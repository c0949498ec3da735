"""Grids: lists of values, in a dict or a TOML file, and the combinations they make."""

from __future__ import annotations

import itertools
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mmlab.errors import ConfigError

Grid = Mapping[str, Sequence[Any]] | Sequence[Mapping[str, Any]]
"""Name -> values, of which all combinations are meant; or the combinations themselves, one dict a point."""
MOST_POINTS = 1_000_000


def load_grid(path: str | Path) -> dict[str, list[Any]]:
    """Read a grid from a TOML file: a list of values a parameter.

    ``strategy.gamma = [0.1, 0.2]``, or in a table ``[strategy]``; a parameter that is a list itself takes a list of
    lists.

    Raises
    ------
    ConfigError
        The file cannot be read, or holds something else than lists.
    """
    try:
        data = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot read the grid: {error}") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from None
    flat = dict(_flatten(data, ""))
    try:
        combinations(flat)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None
    return flat


def combinations(grid: Grid) -> list[dict[str, Any]]:
    """The points of a grid, as plain Python values; the last parameter changes fastest.

    Raises
    ------
    ConfigError
        It is no grid, has no points, or too many.
    """
    if isinstance(grid, Mapping):
        return _product(grid)
    if isinstance(grid, str) or not isinstance(grid, Sequence):
        raise ConfigError(
            f"grid = {grid!r}: must be a dict, name -> list of values, or a list of dicts, one a point; a file is read"
            " with load_grid"
        )
    wrong = [point for point in grid if not isinstance(point, Mapping) or not point]
    if not grid or wrong:
        what = f"has {wrong[0]!r} in it" if wrong else "is empty"
        raise ConfigError(f"grid {what}: give one dict a point, name -> value")
    names = list(grid[0])
    for point in grid:
        if set(point) != set(names):
            raise ConfigError(
                f"grid: every point must set the same parameters, but one sets {sorted(point)}, the first {names}"
            )
    return [{name: plain(point[name]) for name in names} for point in grid]


def _product(grid: Mapping[str, Any]) -> list[dict[str, Any]]:
    if not grid:
        raise ConfigError(
            "grid is empty: give a list of values a parameter, for example {'strategy.gamma': [0.1, 0.2]}"
        )
    lists: dict[str, list[Any]] = {}
    wrong = []
    for name, values in grid.items():
        if isinstance(values, str | bytes | Mapping) or not hasattr(values, "__iter__"):
            wrong.append(f"{name} = {values!r}: must be a list of values")
            continue
        lists[name] = [plain(value) for value in values]
        if not lists[name]:
            wrong.append(f"{name}: has no values")
    if wrong:
        raise ConfigError("grid: " + "; ".join(wrong))
    count = int(np.prod([float(len(values)) for values in lists.values()]))
    if count > MOST_POINTS:
        raise ConfigError(f"grid: {count:,} points, at most {MOST_POINTS:,} are possible: make it coarser")
    return [dict(zip(lists, values, strict=True)) for values in itertools.product(*lists.values())]


def plain(value: Any) -> Any:
    """The value as plain Python: NumPy scalars and arrays too."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def cell(value: Any) -> Any:
    """The value as it stands in a table: lists as tuples, which can be grouped by."""
    return tuple(cell(item) for item in value) if isinstance(value, list | tuple) else value


def in_words(values: Mapping[str, Any]) -> str:
    """``name = value, name = value``."""
    return ", ".join(f"{name} = {value!r}" for name, value in values.items())


def _flatten(node: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for name, value in node.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value
