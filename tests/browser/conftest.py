"""A real browser: the system's chromium, driven by playwright."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

ARTEFACTS = Path(__file__).parents[2] / "artefacts"


@pytest.fixture(scope="session")
def browser():
    program = shutil.which("chromium")
    if program is None:
        message = "no program 'chromium' on PATH (Debian: apt-get install chromium)"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def artefacts():
    """Where screenshots are left for people."""
    ARTEFACTS.mkdir(exist_ok=True)
    return ARTEFACTS
