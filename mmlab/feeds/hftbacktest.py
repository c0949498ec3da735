"""hftbacktest's two formats: raw collector files, and .npz event arrays, told apart by their content."""

from __future__ import annotations

from pathlib import Path

from mmlab.errors import FeedError
from mmlab.feeds import hftbacktest_raw
from mmlab.feeds.lines import Progress, open_file
from mmlab.feeds.normalise import Raw

ZIP_MAGIC, NPY_MAGIC = b"PK", b"\x93NUMPY"


def read(paths: list[Path], progress: Progress | None = None) -> Raw:
    """Read raw files or event arrays; all of one kind."""
    arrays = [is_array(path) for path in paths]
    if not any(arrays):
        return hftbacktest_raw.read(paths, progress)
    if not all(arrays):
        raise FeedError("raw files and event arrays cannot be one recording", path=paths[arrays.index(False)])
    from mmlab.feeds import hftbacktest_npz

    return hftbacktest_npz.read(paths, progress)


def is_array(path: Path) -> bool:
    """Whether the file is an .npz or .npy."""
    with open_file(path) as file:
        head = file.read(len(NPY_MAGIC))
    return head.startswith(ZIP_MAGIC) or head == NPY_MAGIC
