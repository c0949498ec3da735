"""Shared fixtures: where the real recordings are."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# The first example of a kernel's test may compile it, so no deadline; CI draws the same examples every time.
settings.register_profile("mmlab", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("mmlab")

SHARED = Path(os.environ.get("MMLAB_SHARED_DATA", Path(__file__).parents[2] / "shared" / "data"))


@pytest.fixture(scope="session", autouse=True)
def runtime_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Engines of these tests are announced apart from the user's, and from those of tests beside us."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("runtime")))
        yield


def shared_data(name: str) -> Path:
    """Path of a recording under ``../shared/data``; skips where it is absent, fails in CI."""
    path = SHARED / name
    if not path.exists():
        message = f"no recording at {path}: set MMLAB_SHARED_DATA to the folder that holds the recordings"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return path


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Browser tests come last: Playwright leaves an event loop running, beside which no other can run.

    Of them the longest file comes first, so that two processes end together.
    """
    items.sort(key=lambda item: ("browser" in item.path.parts, item.path.stem != "test_jupyterlab"))


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--every-notebook` for `make evidence-04`; `--update-golden` for `tests/orders/golden`."""
    parser.addoption("--every-notebook", action="store_true", help="open all notebooks in JupyterLab, not only two")
    parser.addoption("--update-golden", action="store_true", help="write golden files anew, to be reviewed like code")
