"""Lines of a text file, gzipped or not, with the file and line named when something is wrong."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from mmlab.errors import FeedError

CHUNK_BYTES = 1 << 22
GZIP_MAGIC = b"\x1f\x8b"
Progress = Callable[[int], None]
"""Called with the bytes of the file (as stored) consumed since the last call."""


def open_file(path: Path) -> BinaryIO:
    """The file as stored; what hinders reading it is a FeedError."""
    try:
        return path.open("rb")
    except OSError as error:
        raise FeedError(f"cannot be read: {error.strerror or error}", path=path) from None


def chunks(path: Path, progress: Progress | None = None) -> Iterator[bytes]:
    """The file's bytes in pieces, inflated if it is gzipped."""
    with open_file(path) as stored:
        zipped = stored.read(2) == GZIP_MAGIC
        stored.seek(0)
        reader = gzip.GzipFile(fileobj=stored) if zipped else stored
        newlines, consumed = 0, 0
        while True:
            try:
                chunk = reader.read1(CHUNK_BYTES)  # type: ignore[union-attr]
            except (EOFError, zlib.error, gzip.BadGzipFile) as error:
                reason = f"the gzip file is cut off or damaged in this line ({error}): fetch it again"
                raise FeedError(reason, path=path, line=newlines + 1) from None
            if not chunk:
                return
            newlines += chunk.count(b"\n")
            if progress is not None:
                progress(stored.tell() - consumed)
                consumed = stored.tell()
            yield chunk


def read_all(path: Path, progress: Progress | None = None) -> bytes:
    """The whole file, inflated."""
    return b"".join(chunks(path, progress))


def lines(path: Path, progress: Progress | None = None) -> Iterator[tuple[int, bytes]]:
    """(line number from 1, line without its end), blank lines left out; raises FeedError on an empty file."""
    rest, number, found = b"", 0, False
    for chunk in chunks(path, progress):
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            number += 1
            if line.strip():
                found = True
                yield number, line
    if rest.strip():
        found = True
        yield number + 1, rest
    if not found:
        raise FeedError("the file is empty", path=path)
