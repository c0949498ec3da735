"""`import_feed`: one door to all formats."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import pyarrow as pa

from mmlab.errors import FeedError
from mmlab.feeds.feed import Feed
from mmlab.feeds.normalise import Raw, normalise
from mmlab.instrument import Instrument

FORMATS = {
    "hftbacktest": "hftbacktest",
    "bitmex": "bitmex",
    "lobster": "lobster",
    "lighter": "lighter",
    "tardis": "tardis",
    "snapshots": "snapshots",
}
"""Format -> module of `mmlab.feeds` whose ``read(paths, ...) -> Raw`` reads it."""
StrPath = str | Path


def import_feed(
    path_or_paths: StrPath | Sequence[StrPath],
    format: str = "hftbacktest",  # noqa: A002 - the public name
    instrument: Instrument | None = None,
    *,
    progress: Callable[[float], None] | None = None,
    **options: Any,
) -> Feed:
    """Import recorded market data.

    Parameters
    ----------
    path_or_paths : path, or sequence of paths
        Several files are one recording.
    format : str
        ``hftbacktest`` (raw collector files, or its .npz event arrays), ``bitmex``, ``lobster``, ``lighter``,
        ``tardis``, ``snapshots``.
    instrument : Instrument, optional
        Checked against the data. Without it tick and lot are inferred as greatest common divisors.
    progress : callable, optional
        Called with the share of the input read so far, 0 to 1.
    **options
        Those of the format; see its module in `mmlab.feeds`.

    Returns
    -------
    Feed

    Raises
    ------
    FeedError
        Unknown format or option, missing file, or wrong data: names file, line and reason.
    """
    if format not in FORMATS:
        raise FeedError(f"format = {format!r} is unknown: one of {', '.join(FORMATS)}")
    paths = [Path(p) for p in ([path_or_paths] if isinstance(path_or_paths, str | Path) else path_or_paths)]
    if not paths:
        raise FeedError("no file was given")
    for path in paths:
        if not path.exists():
            raise FeedError("there is no such file", path=path)
        if path.is_dir():
            raise FeedError("is a folder: give the files in it", path=path)
    read: Callable[..., Raw] = import_module(f"mmlab.feeds.{FORMATS[format]}").read
    allowed = list(inspect.signature(read).parameters)[2:]
    if "prefer" in allowed and instrument is not None:
        options.setdefault("prefer", instrument.symbol)
    unknown = sorted(set(options) - set(allowed))
    if unknown:
        raise FeedError(
            f"options {unknown} are unknown to format {format!r}: it takes {sorted(set(allowed) - {'prefer'})}"
        )
    try:
        raw = read(paths, _share(paths, progress), **options)
    except (pa.ArrowException, UnicodeDecodeError, OverflowError) as error:  # damage that no importer looks for
        names = ", ".join(map(str, paths))
        raise FeedError(f"cannot be read as {format!r} ({error}): fetch it again", path=names) from None
    return normalise(raw, instrument)


def _share(paths: list[Path], progress: Callable[[float], None] | None) -> Callable[[int], None] | None:
    """Turn bytes read into a share of all files."""
    if progress is None:
        return None
    total = max(1, sum(path.stat().st_size for path in paths))
    done = 0

    def advance(n: int) -> None:
        nonlocal done
        done += n
        progress(min(1.0, done / total))

    return advance
