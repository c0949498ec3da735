"""Recorded frames on disk: a line a frame, ``<local ns> <frame>``, a file a day (UTC), as `mmlab import` reads them."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from mmlab.errors import FeedError
from mmlab.events import NS_PER_S
from mmlab.wire.lighter import gap_mark

TAIL = 1 << 20
"""A line's time is looked for in so much of a file's end."""


class FrameFiles:
    """Appends to the files of one market in a folder; what a crash left half written is cut off.

    Parameters
    ----------
    folder : Path
        Made if it is not there.
    market : int
        The venue's id; part of the file names.

    Raises
    ------
    FeedError
        The folder cannot be written, or holds something else under such a name.
    """

    def __init__(self, folder: Path, market: int) -> None:
        self.folder, self.market = folder, market
        self.lines = 0
        self._file: BinaryIO | None = None
        self._day = ""
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self.last_ns = max((_mended(path) for path in self.paths()), default=0)
        except OSError as error:
            raise FeedError(f"cannot be written: {error.strerror or error}", path=folder) from None

    def paths(self) -> list[Path]:
        """Files there are, in the order of time."""
        return sorted(self.folder.glob(f"lighter-{self.market}-????-??-??.jsonl"))

    def frame(self, local_ns: int, data: bytes) -> None:
        """Append a frame heard at `local_ns`; time never runs back in a recording."""
        self.last_ns = max(self.last_ns, local_ns)
        file = self._file_of(self.last_ns)
        file.write(b"%d %s\n" % (self.last_ns, data.replace(b"\n", b" ").replace(b"\r", b" ")))
        self.lines += 1

    def gap(self, local_ns: int, reason: str) -> None:
        """Mark that frames are missing from here on."""
        self.frame(local_ns, gap_mark(self.market, reason))

    def flush(self) -> None:
        """Hand what was written to the system."""
        if self._file is not None:
            self._file.flush()

    def close(self) -> None:
        """Write all to disk."""
        file, self._file, self._day = self._file, None, ""
        if file is not None:
            file.flush()
            os.fsync(file.fileno())
            file.close()

    def _file_of(self, at_ns: int) -> BinaryIO:
        day = datetime.fromtimestamp(at_ns // NS_PER_S, UTC).date().isoformat()
        if self._file is None or day != self._day:
            self.close()
            self._file, self._day = (self.folder / f"lighter-{self.market}-{day}.jsonl").open("ab"), day
        return self._file


def _mended(path: Path) -> int:
    """Cut half a line off a file's end; returns the time of its last line, ns."""
    with path.open("r+b") as file:
        end = file.seek(0, os.SEEK_END)
        file.seek(max(0, end - TAIL))
        tail = file.read()
        whole = tail.rfind(b"\n") + 1
        if end > len(tail) and not whole:
            raise FeedError("is no recording of frames: a line has no end", path=path)
        file.truncate(end - len(tail) + whole)
    lines = tail[:whole].splitlines()
    if not lines:
        return 0
    stamp = lines[-1].partition(b" ")[0]
    if not stamp.isdigit():
        raise FeedError("is no recording of frames: its last line has no time", path=path)
    return int(stamp)
