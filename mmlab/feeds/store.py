"""The feed file: one Parquet table with the columns of `EVENT`, and the rest of the feed in its metadata.

Times are delta-coded (they hardly move from row to row), prices, sizes and ids split into streams of their bytes (the
high ones hardly change), all then zstd: 3 to 8 bytes a row on recordings, the smallest of the encodings tried. Any
Parquet reader can open the file; ``load_feed`` gives back exactly the rows that were saved.
"""

from __future__ import annotations

import json
import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mmlab.errors import FeedError, MMLabError
from mmlab.events import EVENT, Kind
from mmlab.feeds.feed import Feed
from mmlab.instrument import Instrument

FORMAT_VERSION = 1
METADATA_KEY = b"mmlab"
ENCODINGS = {
    "exch_ns": "DELTA_BINARY_PACKED",
    "local_ns": "DELTA_BINARY_PACKED",
    "price_ticks": "BYTE_STREAM_SPLIT",
    "size_lots": "BYTE_STREAM_SPLIT",
    "order_id": "BYTE_STREAM_SPLIT",
}
DICTIONARY = ["kind", "side"]
ZSTD_LEVEL = 12


def save_feed(feed: Feed, path: str | Path) -> Path:
    """Write `feed` to `path`: to a temporary file beside it, then renamed, so that it is whole or absent."""
    path = Path(path)
    names = EVENT.names or ()
    table = pa.table({name: pa.array(np.ascontiguousarray(feed.events[name])) for name in names})
    about = {
        "format_version": FORMAT_VERSION,
        "instrument": feed.instrument.to_dict(),
        "source": feed.source,
        "report": feed.report,
    }
    table = table.replace_schema_metadata({METADATA_KEY: json.dumps(about, sort_keys=True).encode()})
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    except OSError as error:
        raise FeedError(f"cannot be written: {error.strerror}", path=path) from None
    os.close(handle)
    try:
        pq.write_table(
            table, temporary, compression="zstd", compression_level=ZSTD_LEVEL,
            use_dictionary=DICTIONARY, column_encoding=ENCODINGS,
        )  # fmt: skip
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        with suppress(FileNotFoundError):
            Path(temporary).unlink()
        raise
    feed.path = path.resolve()
    return path


def load_feed(path: str | Path) -> Feed:
    """Read a feed file.

    Parameters
    ----------
    path : str or Path
        A file written by `Feed.save`.

    Returns
    -------
    Feed
        Its rows byte-equal to those saved, with dtype object `mmlab.EVENT`.

    Raises
    ------
    FeedError
        The file is absent, no Parquet file, not one of ours, of a newer format, or damaged.
    """
    path = Path(path)
    about, table = _read(path)
    events = np.zeros(table.num_rows, EVENT)
    for name in EVENT.names or ():
        column = table.column(name)
        if column.null_count or column.type != pa.from_numpy_dtype(EVENT[name]):
            raise FeedError(f"column {name} holds {column.type} with {column.null_count} nulls: damaged", path=path)
        events[name] = column.to_numpy()
    _check(events, path)
    try:
        instrument = Instrument(**about["instrument"])
    except (KeyError, TypeError, MMLabError) as error:
        raise FeedError(f"its instrument cannot be read ({error})", path=path) from None
    feed = Feed(instrument, events, about.get("source", ""), about.get("report", {}))
    feed.path = path.resolve()
    return feed


def _read(path: Path) -> tuple[dict[str, Any], pa.Table]:
    """Metadata and table of a file of ours."""
    try:
        schema = pq.read_schema(path)
        names = schema.names
    except FileNotFoundError:
        raise FeedError("there is no such file", path=path) from None
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        if path.is_dir():
            raise FeedError("is a folder: give the file written by Feed.save", path=path) from None
        reason = f"is not a whole Parquet file ({error}): import raw files with import_feed"
        raise FeedError(reason, path=path) from None
    metadata = schema.metadata or {}
    if METADATA_KEY not in metadata:
        raise FeedError("is a Parquet file, but not a feed of mmlab: import it with format='snapshots'", path=path)
    try:
        about = json.loads(metadata[METADATA_KEY])
    except ValueError as error:
        raise FeedError(f"its metadata is damaged ({error})", path=path) from None
    if about.get("format_version") != FORMAT_VERSION:
        version = about.get("format_version")
        raise FeedError(f"has feed format {version}, this mmlab reads {FORMAT_VERSION}: import it again", path=path)
    missing = set(EVENT.names or ()) - set(names)
    if missing:
        raise FeedError(f"misses the columns {sorted(missing)}: damaged", path=path)
    try:
        return about, pq.read_table(path, columns=list(EVENT.names or ()))
    except (pa.ArrowException, OSError) as error:
        raise FeedError(f"is damaged ({error})", path=path) from None


def _check(events: np.ndarray[Any, Any], path: Path) -> None:
    """Refuse rows that no import would have written."""
    backwards = np.flatnonzero(np.diff(events["local_ns"]) < 0)
    if backwards.size:
        raise FeedError("local_ns goes backwards: damaged", path=path, line=int(backwards[0]) + 2)
    unknown = np.flatnonzero(events["kind"] > max(Kind))
    if unknown.size:
        row = int(unknown[0])
        raise FeedError(f"kind {events['kind'][row]} is unknown: damaged", path=path, line=row + 1)
