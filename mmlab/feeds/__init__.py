"""Recorded and generated market data: `Feed`, its Parquet file, and one importer a format.

Names are loaded on first use, so that importing this package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOME = {
    "Feed": "mmlab.feeds.feed",
    "load_feed": "mmlab.feeds.store",
    "import_feed": "mmlab.feeds.importers",
    "to_hftbacktest": "mmlab.feeds.hftbacktest_npz",
}
__all__ = ["Feed", "import_feed", "load_feed", "to_hftbacktest"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'mmlab.feeds' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)
