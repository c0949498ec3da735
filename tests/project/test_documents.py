"""What README and the other pages say holds: links lead somewhere, commands and targets exist, the snippet runs."""

import re
import subprocess
import sys

import pytest

from mmlab import FaultPlan
from mmlab.cli import COMMANDS

"""Commands that pages describe while they are being made: take out of here what `mmlab --help` has."""


@pytest.fixture(scope="module")
def pages(tracked):
    return {path: path.read_text() for path in tracked if path.suffix == ".md"}


def test_links_lead_to_files(pages):
    links = {(page, link) for page, text in pages.items() for link in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text)}
    assert [(page.name, link) for page, link in links if "://" not in link and not (page.parent / link).exists()] == []


def test_named_make_targets_exist(pages, root):
    targets = set(re.findall(r"^([a-z0-9-]+):", (root / "Makefile").read_text(), re.MULTILINE))
    named = {
        target for text in pages.values() for target in re.findall(r"(?:^\$ |`)make ([a-z0-9-]+)", text, re.MULTILINE)
    }
    assert named
    assert named <= targets


def test_named_commands_exist(pages):
    named = {name for text in pages.values() for name in re.findall(r"(?:^\$ |`)mmlab ([a-z-]+)", text, re.MULTILINE)}
    assert named
    assert named <= {command.name for command in COMMANDS}


def test_every_fault_is_explained(root):
    table = (root / "docs" / "engine.md").read_text().partition("## What can go wrong on paper")[2]
    assert set(FaultPlan.model_fields) <= set(re.findall(r"`([a-z_]+)`", table))


def test_readme_is_one_screen(root):
    assert len((root / "README.md").read_text().splitlines()) <= 60


def test_readme_snippet_runs(root, tmp_path):
    (snippet,) = re.findall(r"```python\n(.*?)```", (root / "README.md").read_text(), re.DOTALL)
    (tmp_path / "data").symlink_to(root / "data")
    done = subprocess.run([sys.executable, "-c", snippet], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "net_pnl" in done.stdout
    assert (tmp_path / "report.html").read_text().rstrip().endswith("</html>")
