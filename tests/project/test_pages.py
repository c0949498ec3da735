"""What tutorial, concepts and post-mortem say runs; commands exist with their options; anchors exist."""

import json
import re
import shlex
import subprocess
import sys
import tomllib

import pyarrow.parquet as pq
import pytest

from mmlab.cli import parser
from mmlab.config import Config
from mmlab.paper_server.faulty import WireFaults
from mmlab.telemetry.files import FILES
from mmlab.telemetry.tables import SCHEMAS
from tools.reference import run_directory_page


def blocks(path, language):
    return re.findall(rf"```{language}\n(.*?)```", path.read_text(), re.DOTALL)


def run(code, place):
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code], check=False, cwd=place, capture_output=True, text=True
    )


@pytest.fixture(scope="module")
def tutorial(root, tmp_path_factory):
    """A place where the tutorial was followed, and what it printed."""
    place = tmp_path_factory.mktemp("tutorial")
    (place / "data").symlink_to(root / "data")
    return place, run("\n".join(blocks(root / "docs" / "tutorial.md", "python")), place)


def test_tutorial_runs(tutorial):
    place, done = tutorial
    assert done.returncode == 0, done.stderr
    assert "did you mean" in done.stdout or "histeresis" in done.stdout
    assert (place / "my.toml").is_file()
    assert (place / "runs" / "fast" / "run.json").is_file()


def test_post_mortem_and_monitoring_run(root, tutorial):
    place, done = tutorial
    assert done.returncode == 0, done.stderr
    code = "\n".join(blocks(root / "docs" / "runbooks" / "post-mortem.md", "python"))
    told = run(f"run_dir = 'runs/fast'\n{code}", place)
    assert told.returncode == 0, told.stderr
    assert "Verdict" in told.stdout
    told = run("run_dir = 'runs/fast'\n" + "\n".join(blocks(root / "docs" / "monitoring.md", "python")), place)
    assert told.returncode == 0, told.stderr


def test_columns_of_a_run_are_those_of_the_reference(tutorial):
    folder = tutorial[0] / "runs" / "fast"
    for name in SCHEMAS:
        told, path = list(run_directory_page.columns(name)), folder / FILES[name]
        if path.suffix == ".csv":
            columns = path.read_text().partition("\n")[0].split(",")
        elif path.suffix == ".jsonl":
            columns = list(json.loads(path.read_text().partition("\n")[0]))
        else:
            columns = pq.read_schema(path).names
        assert columns == told, name


def test_concepts_run(root, tutorial):
    place, _ = tutorial
    done = run("\n".join(blocks(root / "docs" / "concepts.md", "python")), place)
    assert done.returncode == 0, done.stderr


def commands(tracked):
    for path in tracked:
        if path.suffix == ".md":
            for block in blocks(path, r"(?:console|sh)"):
                yield from ((path, line) for line in re.findall(r"^(?:\$ )?(mmlab .*)$", block, re.MULTILINE))
            inline = re.findall(r"`(mmlab [a-z-]+ [^`]+)`", path.read_text())
            yield from ((path, line) for line in inline if "COMMAND" not in line)


def test_commands_are_ones_that_mmlab_takes(tracked):
    seen, wrong = 0, []
    for path, line in commands(tracked):
        words = shlex.split(line.replace("...", "X"), comments=True)[1:]
        words = words[: min(words.index(end) if end in words else len(words) for end in ("|", ">"))]
        if not taken(words):
            wrong.append((path.name, line))
        seen += 1
    assert wrong == []
    assert seen > 40


def taken(words):
    try:
        parser().parse_args(words)
    except SystemExit as stop:
        return not stop.code
    return True


def test_settings_are_ones_that_the_config_takes(tracked):
    texts = [text for path in tracked if path.suffix == ".md" for text in blocks(path, "toml")]
    assert len(texts) >= 3
    for text in texts:
        values = tomllib.loads(text)
        (WireFaults if set(values) & set(WireFaults.model_fields) else Config)(**values)


def slug(heading):
    """As Python-Markdown makes anchors of headings."""
    text = re.sub(r"[`*]|\[([^\]]*)\]\([^)]*\)", r"\1", heading)
    return re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", text).strip().lower())


def test_anchors_exist(tracked):
    pages = {path.resolve(): path.read_text() for path in tracked if path.suffix == ".md"}
    anchors = {
        path: {slug(line) for line in re.findall(r"^#+ (.*)$", text, re.MULTILINE)} for path, text in pages.items()
    }
    missing = [
        (path.name, link)
        for path, text in pages.items()
        for link in re.findall(r"\]\(([^)\s]*#[^)\s]*)\)", text)
        if "://" not in link
        and link.partition("#")[2]
        not in anchors.get((path.parent / link.partition("#")[0]).resolve() if link[0] != "#" else path, set())
    ]
    assert missing == []
