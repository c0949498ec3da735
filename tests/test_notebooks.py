"""Every notebook: runs from top to bottom, is left without outputs, and is in step with its text form."""

from __future__ import annotations

import ast
import subprocess
import sys
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import jupytext
import nbformat
import papermill
import pytest

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
QUICK: dict[str, dict[str, Any]] = {
    "02_avellaneda_stoikov_2008": {"paths": 200, "many_paths": 2_000},
    "04_live_tuning": {"stop_at_end": True},
    "08_lighter_paper": {"trade_s": 3.0},
}
"""Parameters with which a notebook runs quickly; the others run as they are."""

each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def test_there_are_notebooks_and_each_has_its_text_form() -> None:
    assert NOTEBOOKS
    assert {path.stem for path in NOTEBOOKS} == {path.stem for path in (ROOT / "notebooks").glob("*.py")}
    assert set(QUICK) <= {path.stem for path in NOTEBOOKS}


@each_notebook
@pytest.mark.filterwarnings("default")  # the notebook's kernel and client are not ours
def test_notebook_runs(path: Path, tmp_path: Path) -> None:
    finished = papermill.execute_notebook(
        str(path), str(tmp_path / path.name), QUICK.get(path.stem), progress_bar=False, cwd=str(path.parent),
        kernel_name="python3",
    )  # fmt: skip
    warned = [
        output["text"]
        for cell in finished.cells
        for output in cell.get("outputs", [])
        if output.get("name") == "stderr" and "Warning" in output["text"]
    ]
    assert not warned, "a notebook should run without warnings"


@each_notebook
def test_notebook_has_one_parameters_cell_and_defines_nothing_twice(path: Path) -> None:
    cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    assert [cell.metadata.get("tags") for cell in cells].count(["parameters"]) == 1
    parameters = next(cell for cell in cells if cell.metadata.get("tags") == ["parameters"])
    given = {target.id for node in ast.parse(parameters.source).body for target in getattr(node, "targets", [])}
    assert set(QUICK.get(path.stem, {})) <= given, "quick parameters that the notebook does not have"
    functions = Counter(
        node.name
        for cell in cells
        for node in ast.walk(ast.parse(cell.source))
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
    )
    assert all(n == 1 for n in functions.values()), functions


@each_notebook
def test_notebook_is_stored_without_outputs(path: Path) -> None:
    command = [sys.executable, "-m", "nbstripout", "--verify", "--keep-id", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@each_notebook
def test_text_form_is_in_step(path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("default")  # nbformat's own
        notebook, text = jupytext.read(path), jupytext.read(path.with_suffix(".py"))
    assert notebook.metadata["jupytext"]["formats"] == "ipynb,py:percent"
    say = f"run: jupytext --sync notebooks/{path.name}"
    for ours, theirs in zip(notebook.cells, text.cells, strict=True):
        assert (ours.cell_type, ours.source) == (theirs.cell_type, theirs.source), say
        assert ours.metadata.get("tags") == theirs.metadata.get("tags"), say
