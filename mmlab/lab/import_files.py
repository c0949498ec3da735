"""Import from the command line's point of view: whatever is known of the instrument, the rest inferred."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from mmlab.errors import ConfigError
from mmlab.feeds.feed import Feed
from mmlab.feeds.importers import FORMATS, import_feed
from mmlab.instrument import Instrument


def import_files(
    paths: Sequence[str | Path],
    format: str,  # noqa: A002 - the public name
    known: Mapping[str, Any],
    options: Mapping[str, Any],
    progress: Callable[[float], None] | None = None,
) -> Feed:
    """Import recorded files.

    Parameters
    ----------
    paths : sequence of paths
        One recording.
    format : str
        A format of `mmlab.import_feed`.
    known : mapping
        Fields of `Instrument` that the user gave. Tick and lot go together: both given are checked against the data,
        none given are inferred.
    options : mapping
        Options of the format.
    progress : callable, optional
        Called with the share read so far.

    Raises
    ------
    ConfigError
        Only one of tick and lot is given, or a field is out of range.
    FeedError
        See `mmlab.import_feed`.
    """
    steps = {"tick_size", "lot_size"} & set(known)
    if len(steps) == 1:
        raise ConfigError(
            f"{steps.pop()} is given alone: give tick_size and lot_size, or neither (then both are inferred)"
        )
    if steps:
        instrument = Instrument(**{"symbol": Path(paths[0]).stem, **known})
        return import_feed(paths, format, instrument, progress=progress, **options)
    wanted = {"symbol": known["symbol"]} if "symbol" in known and "symbol" in option_names(format) else {}
    feed = import_feed(paths, format, progress=progress, **{**wanted, **options})
    feed.instrument = feed.instrument.with_(**known)
    return feed


def option_names(format: str) -> list[str]:  # noqa: A002 - the public name
    """Options a format takes; none for a format that does not exist."""
    if format not in FORMATS:
        return []
    return list(inspect.signature(import_module(f"mmlab.feeds.{FORMATS[format]}").read).parameters)[2:]
