"""`mmlab.batch`: notebooks over a grid, taken up where it ended, with what failed said in words."""

from __future__ import annotations

import json
import math
import re

import nbformat
import numpy as np
import pandas as pd
import papermill
import pytest
from zmq.error import ZMQError

import mmlab
from mmlab.errors import ConfigError, MMLabError, SessionError
from mmlab.lab.study import batch as batch_module
from mmlab.lab.study.batch import batch, execute, file_name
from mmlab.lab.study.record import recorded

PARAMETERS = "a = 1  # a number\ntext = 'x'"
BODY = "import mmlab\nif a == 3: raise ValueError('three')\nmmlab.record({'double': 2 * a}, text_twice=text * 2)"


@pytest.fixture
def notebook(tmp_path):
    return write(tmp_path / "small.ipynb", PARAMETERS, BODY)


def write(path, parameters, *cells):
    new = nbformat.v4.new_code_cell
    book = nbformat.v4.new_notebook(cells=[new(parameters, metadata={"tags": ["parameters"]}), *map(new, cells)])
    book.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(book, path)
    return path


@pytest.fixture
def nothing_runs(monkeypatch):
    monkeypatch.setattr(batch_module, "spread", lambda *_: pytest.fail("it was started"))


@pytest.mark.filterwarnings("default")  # the kernel's client is not ours
def test_a_batch_leaves_notebooks_and_a_table_and_is_taken_up(notebook, tmp_path):
    out, seen = tmp_path / "study", []
    table = mmlab.batch(notebook, {"a": [2, 3]}, out, progress=lambda *at: seen.append(at))
    assert list(table.columns) == ["a", "double", "text_twice", "seconds", "notebook", "error"]
    assert (table["double"].iloc[0], table["text_twice"].iloc[0]) == (4, "xx")
    assert re.fullmatch(r"ValueError: three \(cell \d\)", table["error"].iloc[1])
    assert pd.isna(table["double"].iloc[1])
    assert seen == [(0, 2), (1, 2), (2, 2)]
    files = [out / name for name in table["notebook"]]
    assert nbformat.read(files[0], 4).metadata.papermill.parameters == {"a": 2}
    assert recorded(nbformat.read(files[0], 4)) == {"double": 4, "text_twice": "xx"}
    pd.testing.assert_frame_equal(pd.read_parquet(out / "results.parquet"), table)
    assert list(pd.read_csv(out / "results.csv").columns) == list(table.columns)
    seen.clear()
    again = mmlab.batch(notebook, {"a": [3, 2]}, out, progress=lambda *at: seen.append(at))
    assert seen == [(1, 2), (2, 2)], "only what failed is done again"
    assert again["seconds"].iloc[1] == table["seconds"].iloc[0]
    write(notebook, PARAMETERS, BODY + "  # changed")
    with pytest.raises(SessionError, match="about something else"):
        mmlab.batch(notebook, {"a": [2]}, out)


@pytest.mark.parametrize(
    ("grid", "words"),
    [
        ({"b": [1]}, "b: no such parameter: known here are a, text"), ({"tex": [1]}, "did you mean text"),
        ({"a": 1}, "a = 1: must be a list"), ({}, "is empty"),
    ],
)  # fmt: skip
def test_a_wrong_grid_is_refused_before_anything_runs(notebook, tmp_path, grid, words, nothing_runs):
    with pytest.raises(ConfigError, match=words):
        batch(notebook, grid, tmp_path / "study")
    assert not (tmp_path / "study").exists()


def test_wrong_notebooks_and_numbers(notebook, tmp_path, nothing_runs):
    bare, text = tmp_path / "bare.ipynb", tmp_path / "text.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("a = 1")]), bare)
    text.write_text("no notebook")
    for path, words in (
        (tmp_path / "none.ipynb", "there is no such notebook"), (tmp_path / "x.py", "must be an .ipynb"),
        (bare, "no cell tagged 'parameters'"), (text, "is no notebook"),
    ):  # fmt: skip
        with pytest.raises(ConfigError, match=words):
            batch(path, {"a": [1]}, tmp_path / "study")
    for name in ("retries", "workers"):
        with pytest.raises(ConfigError, match=f"{name} = -1"):
            batch(notebook, {"a": [1]}, tmp_path / "study", **{name: -1})


def test_a_kernel_that_does_not_start_is_begun_again(monkeypatch, tmp_path):
    calls = []

    def fails(times, error):
        def run(*_, **__):
            calls.append(1)
            if len(calls) <= times:
                raise error
            return nbformat.v4.new_notebook()

        calls.clear()
        monkeypatch.setattr(papermill, "execute_notebook", run)

    job = ("a.ipynb", {}, str(tmp_path / "b.ipynb"))
    fails(2, ZMQError(98, "Address already in use"))
    assert execute(job, 2)._replace(seconds=0) == ({}, "", 0, 3)
    fails(3, RuntimeError("Kernel died before replying to kernel_info"))
    outcome = execute(job, 2)
    assert outcome.error == "its kernel: RuntimeError: Kernel died before replying to kernel_info"
    assert outcome.attempts == 3


def test_names_of_executed_notebooks():
    name = file_name("01_x", {"a": 1, "path": "/tmp/ü/" + "y" * 200}, "0123456789abcdef")
    assert name.startswith("01_x-a=1-path=_tmp_")
    assert name.endswith("-01234567.ipynb") and "/" not in name and len(name) < 130


def test_what_a_notebook_hands_over(monkeypatch):
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda data, raw: shown.append(data))
    mmlab.record(pd.Series({"pnl": np.float64(1.5), "n": np.int64(3)}, dtype=object), undefined=math.nan, wide=[1, 2])
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("")])
    output = nbformat.v4.new_output("display_data", json.loads(json.dumps(shown[0], allow_nan=False)))
    book.cells[0].outputs = [output, nbformat.v4.new_output("stream", text="x")]
    found = recorded(book)
    assert math.isnan(found.pop("undefined"))
    assert found == {"pnl": 1.5, "n": 3, "wide": [1, 2]}
    assert "pnl = 1.5" in shown[0]["text/plain"]
    with pytest.raises(MMLabError, match=r"run = <.*must be numbers"):
        mmlab.record(run=object())
