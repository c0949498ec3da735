"""The one jit policy of the project.

`kernel` marks every compiled function: cached on disk, IEEE division (no Python exceptions in the loop), no fastmath
(results must be equal on every run), and `nogil`, so that a kernel never stalls another thread of the engine.
With ``NUMBA_DISABLE_JIT=1`` the same functions run as plain Python, for coverage.

Numba's cache checks only the file a function stands in: after a change in a kernel it calls from another file, stale
machine code would run. So a kernel's cache is stamped with the text of every file of ours its own file imports.
"""

from __future__ import annotations

import hashlib
import inspect
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
import numpy as np

F = TypeVar("F", bound=Callable[..., Any])
INTERPRETED = bool(numba.config.DISABLE_JIT)  # type: ignore[attr-defined]  # Numba sets its options at import
ROOT = Path(__file__).parents[1]
IMPORT = re.compile(r"^\s*(?:from|import)\s+mmlab((?:\.\w+)*)", re.MULTILINE)


@cache
def _imports(path: Path) -> frozenset[Path]:
    """Files of ours that the file imports directly; of a package, all its files."""
    names = IMPORT.findall(path.read_text(encoding="utf-8"))
    places = [ROOT.joinpath(*name.split(".")[1:]) for name in names]
    files = [f for place in places for f in (place.glob("*.py") if place.is_dir() else [place.with_suffix(".py")])]
    return frozenset(f for f in files if f.is_file())


@cache
def _source_stamp(path: Path) -> bytes:
    """Digest of the file and of every file of ours that it imports, directly or not."""
    files: set[Path] = set()
    found = {path}
    while found:
        files |= found
        found = {f for file in found for f in _imports(file)} - files
    return hashlib.sha256(b"".join(file.read_bytes() for file in sorted(files))).digest()


def _compile(function: F, **options: Any) -> F:
    dispatcher = numba.njit(cache=True, error_model="numpy", nogil=True, **options)(function)
    path = Path(inspect.getfile(function))
    if not INTERPRETED and path.exists():  # a notebook cell has no file
        dispatcher._cache._cache_file._source_stamp = _source_stamp(path)  # noqa: SLF001  Numba has no public way
    return cast(F, dispatcher)


def kernel(function: F) -> F:
    """Compile `function` under the project's jit policy."""
    return _compile(function)


def inline(function: F) -> F:
    """As `kernel`, for a scalar formula that is always inlined into its caller."""
    return _compile(function, inline="always")


def one_row(dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    """One zeroed row of `dtype`: how state and parameters cross into a kernel.

    Kernels read fields as attributes, which plain structured scalars lack in interpreted mode; there the row is a
    record array.
    """
    row = np.zeros(1, dtype)
    return row.view(np.recarray) if INTERPRETED else row


def records(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The array as kernels take it: in interpreted mode a record array, whose rows have their fields as attributes."""
    return array.view(np.recarray) if INTERPRETED and array.dtype.names else array
